//! Where a repository begins and what is checked out, in repositories that git itself made.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use repo::{
    git::{self, Head},
    locate::{LocateError, Place, locate},
};

/// A folder of its own, without symlinks above it.
struct Ground {
    _kept: tempfile::TempDir,
    path: PathBuf,
}

impl Ground {
    fn new() -> Self {
        let kept = tempfile::tempdir().unwrap();
        let path = fs::canonicalize(kept.path()).unwrap();
        Self { _kept: kept, path }
    }

    fn folder(&self, name: &str) -> PathBuf {
        let folder = self.path.join(name);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// Runs git in the folder of that name, which is made if it is not there.
    fn git(&self, folder: &str, words: &[&str]) -> String {
        let mut git = Command::new("git");
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"GIT_") {
                git.env_remove(name);
            }
        }
        let settings = ["user.name=A", "user.email=a@b.c", "protocol.file.allow=always"];
        let settings = settings.iter().flat_map(|setting| ["-c", setting]);
        let output = git
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .args(settings)
            .args(words)
            .current_dir(self.folder(folder))
            .output()
            .unwrap();
        assert!(output.status.success(), "git {words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// A repository with a commit on `main`.
    fn repository(&self, name: &str, options: &[&str]) -> String {
        self.git(name, &[&["init", "-q", "-b", "main"], options].concat());
        self.git(name, &["commit", "-q", "--allow-empty", "-m", "first"]);
        self.git(name, &["rev-parse", "HEAD"])
    }

    #[track_caller]
    fn check(&self, from: &str, root: &str, work_tree: &str) -> Place {
        let place = locate(&self.path.join(from), None).unwrap();
        assert_eq!(place.root, self.path.join(root), "root");
        assert_eq!(place.work_tree, self.path.join(work_tree), "work tree");
        place
    }

    fn head(&self, folder: &str) -> Option<Head> {
        git::head(&locate(&self.path.join(folder), None).unwrap().git.unwrap())
    }
}

fn branch(name: &str, commit: &str) -> Option<Head> {
    Some(Head::Branch { name: name.to_owned(), commit: commit.to_owned() })
}

#[test]
fn a_subfolder_belongs_to_the_work_tree_above_it() {
    let ground = Ground::new();
    for name in ["plain", "with space", "quote\"'", "日本", "line\nbreak", "-dash"] {
        let commit = ground.repository(name, &[]);
        let inner = format!("{name}/a/b");
        ground.folder(&inner);
        assert!(ground.check(&inner, name, name).git.is_some());
        assert_eq!(ground.head(&inner), branch("main", &commit));
    }
}

#[test]
fn a_linked_work_tree_keeps_its_records_in_the_main_one() {
    let ground = Ground::new();
    for name in ["main", "sp ace\nline"] {
        let commit = ground.repository(name, &[]);
        let linked = format!("{name}-linked");
        ground.git(
            name,
            &[
                "worktree",
                "add",
                "-q",
                "-b",
                &linked.replace([' ', '\n'], "-"),
                &format!("../{linked}"),
            ],
        );
        ground.folder(&format!("{linked}/deep"));
        ground.check(&format!("{linked}/deep"), name, &linked);
        assert_eq!(ground.head(&linked), branch(&linked.replace([' ', '\n'], "-"), &commit));
        assert_eq!(ground.head(name), branch("main", &commit));
    }
}

#[test]
fn a_linked_work_tree_with_relative_paths_is_found_too() {
    let ground = Ground::new();
    ground.repository("main", &[]);
    ground.git("main", &["worktree", "add", "-q", "../linked"]);
    fs::write(ground.path.join("linked/.git"), "gitdir: ../main/.git/worktrees/linked\n").unwrap();
    ground.check("linked", "main", "linked");
}

#[test]
fn a_symlink_is_the_folder_it_points_to() {
    let ground = Ground::new();
    ground.repository("real", &[]);
    ground.folder("real/inner");
    symlink(ground.path.join("real/inner"), ground.path.join("link")).unwrap();
    ground.check("link", "real", "real");
}

#[test]
fn a_submodule_is_a_repository_of_its_own() {
    let ground = Ground::new();
    ground.repository("library", &[]);
    ground.repository("app", &[]);
    ground.git("app", &["submodule", "--quiet", "add", "../library", "deps/library"]);
    ground.folder("app/deps/library/src");
    ground.check("app/deps/library/src", "app/deps/library", "app/deps/library");
    // Its linked work trees find its main one by a setting, as there is no `.git` folder.
    ground.git("app/deps/library", &["worktree", "add", "-q", "../../../of-library"]);
    ground.check("of-library", "app/deps/library", "of-library");
}

#[test]
fn work_trees_of_a_bare_repository_share_one_root() {
    let ground = Ground::new();
    ground.repository("seed", &[]);
    ground.git(".", &["clone", "-q", "--bare", "seed", "store.git"]);
    ground.git("store.git", &["worktree", "add", "-q", "../one"]);
    ground.check("one", "store.git", "one");
    ground.check("store.git", "store.git", "store.git");

    ground.git("project", &["clone", "-q", "--bare", "../seed", ".bare"]);
    fs::write(ground.path.join("project/.git"), "gitdir: ./.bare\n").unwrap();
    ground.git("project", &["worktree", "add", "-q", "two"]);
    ground.check("project/two", "project", "project/two");
    ground.check("project", "project", "project");
}

#[test]
fn a_git_folder_elsewhere_does_not_move_the_root() {
    let ground = Ground::new();
    ground.repository("main", &["--separate-git-dir", "../elsewhere"]);
    ground.check("main", "main", "main");
}

#[test]
fn a_work_tree_without_its_repository_is_a_plain_folder() {
    let ground = Ground::new();
    ground.folder("copied/src");
    fs::write(ground.path.join("copied/.git"), "gitdir: /gone/.git/worktrees/copied\n").unwrap();
    assert_eq!(ground.check("copied/src", "copied", "copied").git, None);
    // Git passes over an empty `.git` folder, and so do we.
    ground.folder("empty/.git");
    assert_eq!(ground.check("empty", "empty", "empty").git, None);
}

#[test]
fn without_git_the_nearest_folder_with_records_or_settings_counts() {
    let ground = Ground::new();
    ground.folder("plain/deep");
    ground.check("plain/deep", "plain/deep", "plain/deep");
    ground.folder("plain/.runs");
    ground.check("plain/deep", "plain", "plain");
    ground.folder("plain/deep/.codex");
    fs::write(ground.path.join("plain/deep/.codex/orchestrator.toml"), "").unwrap();
    ground.check("plain/deep", "plain/deep", "plain/deep");
}

#[test]
fn the_users_own_settings_make_no_repository_of_the_home_folder() {
    let ground = Ground::new();
    let settings = ground.folder("home/.codex").join("orchestrator.toml");
    fs::write(&settings, "").unwrap();
    let scratch = ground.folder("home/scratch");
    assert_eq!(locate(&scratch, Some(&settings)).unwrap().root, scratch);
    assert_eq!(locate(&scratch, None).unwrap().root, ground.path.join("home"));
}

#[test]
fn what_somebody_else_put_into_a_shared_folder_does_not_count() {
    let ground = Ground::new();
    let shared = ground.folder("shared");
    let mine = ground.folder("shared/mine");
    ground.folder("shared/.runs");
    ground.repository("shared", &[]);
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o1777)).unwrap();
    let somebody_else = fs::metadata(&mine).unwrap().uid() + 1;
    if std::os::unix::fs::chown(&mine, Some(somebody_else), None).is_err() {
        return; // Only root can play two users.
    }
    ground.check("shared/mine", "shared/mine", "shared/mine");
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o755)).unwrap();
    ground.check("shared/mine", "shared", "shared");
}

#[test]
fn what_is_no_folder_is_an_error_that_names_it() {
    let ground = Ground::new();
    fs::write(ground.path.join("file"), "").unwrap();
    let error = locate(&ground.path.join("file"), None).unwrap_err();
    assert!(matches!(error, LocateError::NotAFolder(_)) && error.to_string().contains("/file`"));
    let error = locate(&ground.path.join("nothing"), None).unwrap_err();
    assert!(error.to_string().contains("/nothing` cannot be opened"), "{error}");
}

#[test]
fn a_branch_is_found_loose_packed_and_through_other_names() {
    let ground = Ground::new();
    let commit = ground.repository("r", &[]);
    ground.git("r", &["checkout", "-q", "-b", "feature/log-in"]);
    assert_eq!(ground.head("r"), branch("feature/log-in", &commit));
    ground.git("r", &["pack-refs", "--all"]);
    assert!(!ground.path.join("r/.git/refs/heads/feature/log-in").exists());
    assert_eq!(ground.head("r"), branch("feature/log-in", &commit));
    ground.git("r", &["symbolic-ref", "refs/heads/other", "refs/heads/feature/log-in"]);
    ground.git("r", &["symbolic-ref", "HEAD", "refs/heads/other"]);
    assert_eq!(ground.head("r"), branch("feature/log-in", &commit));
    ground.git("r", &["checkout", "-q", "--detach", "main"]);
    assert_eq!(ground.head("r"), Some(Head::Detached { commit }));
}

#[test]
fn an_unborn_branch_has_a_name_and_no_commit() {
    let ground = Ground::new();
    ground.git("r", &["init", "-q", "-b", "trunk"]);
    let head = ground.head("r").unwrap();
    assert_eq!((head.branch(), head.commit()), (Some("trunk"), None));
}

#[test]
fn sha_256_and_reftable_repositories_are_read_too() {
    let ground = Ground::new();
    let commit = ground.repository("wide", &["--object-format=sha256"]);
    assert_eq!(commit.len(), 64);
    assert_eq!(ground.head("wide"), branch("main", &commit));
    ground.git("wide", &["worktree", "add", "-q", "--detach", "../wide-linked"]);
    assert_eq!(ground.head("wide-linked"), Some(Head::Detached { commit }));

    // Older gits cannot make one, and then there is none to be read.
    let mut probe = Command::new("git");
    probe.args(["init", "-q", "--ref-format=reftable"]).arg(ground.path.join("probe"));
    let known = probe.output().unwrap().status.success();
    if !known {
        return;
    }
    ground.git("tables", &["init", "-q", "-b", "trunk", "--ref-format=reftable"]);
    assert_eq!(ground.head("tables"), Some(Head::Unborn { branch: "trunk".to_owned() }));
    ground.git("tables", &["commit", "-q", "--allow-empty", "-m", "first"]);
    let commit = ground.git("tables", &["rev-parse", "HEAD"]);
    assert_eq!(ground.head("tables"), branch("trunk", &commit));
    ground.git("tables", &["worktree", "add", "-q", "-b", "side", "../tables-linked"]);
    assert_eq!(ground.head("tables-linked"), branch("side", &commit));
}

#[test]
fn a_broken_head_is_nothing_rather_than_a_guess() {
    let ground = Ground::new();
    ground.repository("r", &[]);
    for text in ["", "garbage", "ref: ../../secret", "ref: HEAD", "ref: refs/../../x", "\u{0}"] {
        fs::write(ground.path.join("r/.git/HEAD"), text).unwrap();
        assert_eq!(ground.head("r"), None, "{text:?}");
    }
    fs::write(ground.path.join("r/.git/HEAD"), "ref: refs/heads/ring").unwrap();
    fs::write(ground.path.join("r/.git/refs/heads/ring"), "ref: refs/heads/ring").unwrap();
    assert_eq!(ground.head("r"), None);
}

fn dirty(folder: &Path) -> Option<bool> {
    git::dirty(folder).within(Duration::from_secs(30))
}

#[test]
fn changed_staged_and_untracked_files_make_a_tree_dirty_and_ignored_ones_do_not() {
    let ground = Ground::new();
    ground.git("r", &["init", "-q"]);
    let at = ground.path.join("r");
    assert_eq!(dirty(&at), Some(false));
    fs::write(at.join("file"), "1").unwrap();
    assert_eq!(dirty(&at), Some(true), "untracked");
    ground.git("r", &["add", "file"]);
    assert_eq!(dirty(&at), Some(true), "staged");
    ground.git("r", &["commit", "-q", "-m", "first"]);
    assert_eq!(dirty(&at), Some(false), "committed");
    fs::write(at.join("file"), "22").unwrap();
    assert_eq!(dirty(&at), Some(true), "changed");
    ground.git("r", &["checkout", "-q", "file"]);
    fs::create_dir(at.join(".runs")).unwrap();
    fs::write(at.join(".runs/.gitignore"), "*\n").unwrap();
    fs::write(at.join(".runs/x"), "").unwrap();
    assert_eq!(dirty(&at), Some(false), "ignored");
    assert_eq!(dirty(&ground.folder("no-git")), None, "no repository");
}

#[test]
fn asking_for_changes_runs_nothing_that_the_repository_names() {
    let ground = Ground::new();
    ground.repository("r", &[]);
    let at = ground.path.join("r");
    let trap = at.join(".git/trap");
    fs::write(&trap, "#!/bin/sh\ntouch \"$(dirname \"$0\")/sprung\"\n").unwrap();
    fs::set_permissions(&trap, fs::Permissions::from_mode(0o755)).unwrap();
    let hooks = ground.folder("r/.git/hooks");
    fs::copy(&trap, hooks.join("post-index-change")).unwrap();
    ground.git("r", &["config", "core.fsmonitor", trap.to_str().unwrap()]);
    assert_eq!(dirty(&at), Some(false));
    assert!(!at.join(".git/sprung").exists() && !hooks.join("sprung").exists());
    // Asked in the usual way, the trap does spring.
    ground.git("r", &["status"]);
    assert!(at.join(".git/sprung").exists());
}
