//! A work tree is made, and what changes in it is committed.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
};

use crate::ground::{Ground, RUN};
use worktree::{Repo, Wish, Worktree, WorktreeError, make};

#[test]
fn a_work_tree_begins_with_what_is_committed_on_a_branch_of_its_own() {
    let ground = Ground::new();
    ground.write("r/a.txt", "changed\n");
    let worktree = ground.undisturbed("r", || ground.made());
    assert_eq!(ground.read(&ground.at("a.txt")), "one\ntwo\nthree\nfour\nfive\n");
    assert_eq!(worktree.branch(), format!("codex-orch/fix/{RUN}"));
    assert_eq!(worktree.base(), ground.git("r", &["rev-parse", "HEAD"]));
    let at = ground.at("");
    assert_eq!(ground.git(&at, &["status", "--porcelain"]), "");
    assert_eq!(ground.git(&at, &["branch", "--show-current"]), worktree.branch());
}

#[test]
fn with_changes_it_begins_with_what_lies_there() {
    let ground = Ground::new();
    let files = ["gone", "moved", "mode", "staged", "both", "link", "dir/in", "file"];
    for name in files {
        ground.write(&format!("r/{name}"), &format!("{name}\n").repeat(9));
    }
    ground.write("r/binary", "\0\u{1}");
    ground.git("r", &["add", "-A"]);
    ground.git("r", &["commit", "-q", "-m", "second"]);

    let at = |name: &str| ground.path.join("r").join(name);
    fs::remove_file(at("gone")).unwrap();
    ground.git("r", &["mv", "moved", "moved to"]);
    fs::set_permissions(at("mode"), fs::Permissions::from_mode(0o755)).unwrap();
    ground.write("r/staged", "staged\n");
    ground.git("r", &["add", "staged"]);
    ground.write("r/both", "in the index\n");
    ground.git("r", &["add", "both"]);
    ground.write("r/both", "in the work tree\n");
    fs::write(at("binary"), [0, 255, 254, 13, 10, 0]).unwrap();
    fs::remove_file(at("link")).unwrap();
    symlink("../nowhere", at("link")).unwrap();
    fs::remove_dir_all(at("dir")).unwrap();
    ground.write("r/dir", "a file now\n");
    fs::remove_file(at("file")).unwrap();
    ground.write("r/file/in", "a folder now\n");
    ground.write("r/new äö\n\"x\"", "untracked\n");
    ground.write("r/.env", "SECRET=1\n");
    ground.write("r/target/x", "built\n");
    ground.git("r", &["add", "-N", "file/in"]);

    let made = ground.undisturbed("r", || ground.make(true, &[]));
    let mut mine = crate::ground::listing(&ground.path.join("r"));
    let mut theirs = crate::ground::listing(&ground.tree(RUN));
    mine.retain(|path, _| !path.starts_with("target") && !path.ends_with(".env"));
    // Times are not carried.
    for text in mine.values_mut().chain(theirs.values_mut()) {
        *text = text
            .split(' ')
            .enumerate()
            .filter(|(at, _)| *at != 1 || text.starts_with("link"))
            .map(|(_, word)| word)
            .collect::<Vec<_>>()
            .join(" ");
    }
    assert_eq!(theirs, mine);
    assert_eq!(made.left_out, []);

    // What the run begins with is one commit above the user's, and shows nothing of its own.
    let base = made.worktree.base();
    assert_eq!(
        ground.git("r", &["rev-parse", &format!("{base}^")]),
        ground.git("r", &["rev-parse", "HEAD"])
    );
    let said = ground.git(
        "r",
        &["log", "-1", "--format=%s|%an|%(trailers:key=Codex-Orchestrator-Base,valueonly)", base],
    );
    assert_eq!(said, format!("Uncommitted work of main|Ada|{RUN}"));
    assert_eq!(made.worktree.commit("nothing").unwrap().commit, None);
    assert_eq!(ground.git(&ground.at(""), &["status", "--porcelain"]), "");
}

#[test]
fn what_lies_there_is_seen_as_git_sees_it_whatever_was_done_to_it() {
    // The same tree as `git add -A` makes, over many random changes.
    let mut seed = 7_u64;
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let ground = Ground::new();
    let names = ["a", "b", "a/x", "b/y", "a/x/z", "c.local", "d", "d/e"];
    for round in 0..25 {
        for _ in 0..6 {
            let path = ground.path.join("r").join(names[random(8) as usize]);
            if fs::symlink_metadata(&path).is_ok_and(|about| about.is_dir()) {
                fs::remove_dir_all(&path).unwrap();
            } else {
                let _ = fs::remove_file(&path);
            }
            // Something above it may be a file.
            if path.parent().is_some_and(|above| fs::create_dir_all(above).is_ok()) {
                let _ = match random(4) {
                    0 => Ok(()),
                    1 => symlink("b", &path),
                    2 => fs::create_dir_all(&path),
                    _ => fs::write(&path, format!("{round} {}\n", random(3))),
                };
            }
            match random(6) {
                0 => {
                    ground.git("r", &["add", "-A"]);
                }
                1 => {
                    ground.git("r", &["add", "-A"]);
                    ground.git("r", &["commit", "-qm", "x", "--allow-empty"]);
                }
                _ => {}
            }
        }
        let run = format!("run-{round}");
        let folder = ground.tree(&run);
        let wish = Wish { run: &run, task: "t", folder: &folder, with_changes: true, carry: &[] };
        let made = ground.undisturbed("r", || make(&ground.repo(), &wish)).unwrap();
        let tree = ground.git("r", &["rev-parse", &format!("{}^{{tree}}", made.worktree.base())]);
        ground.git("r", &["add", "-A"]);
        assert_eq!(tree, ground.git("r", &["write-tree"]), "round {round}");
        assert_eq!(ground.git(&format!("state/trees/{run}"), &["status", "--porcelain"]), "");
    }
}

#[test]
fn a_linked_work_tree_a_detached_head_and_a_folder_within_will_do() {
    let ground = Ground::new();
    ground.git("r", &["worktree", "add", "-q", "--detach", "../linked"]);
    ground.write("linked/a.txt", "of the linked one\n");
    let folder = ground.tree(RUN);
    let wish = Wish { run: RUN, task: "t", folder: &folder, with_changes: true, carry: &[] };
    let repo = ground.repo_at("linked/src");
    ground.undisturbed("r", || ground.undisturbed("linked", || make(&repo, &wish))).unwrap();
    assert_eq!(ground.read(&ground.at("a.txt")), "of the linked one\n");
}

#[test]
fn where_there_is_nothing_to_begin_with_the_remedy_is_told() {
    let ground = Ground::bare();
    fs::create_dir(ground.path.join("r")).unwrap();
    let error = Repo::at(&ground.path.join("r")).unwrap_err();
    assert!(matches!(error, WorktreeError::NoGit { .. }), "{error}");
    assert!(error.hint().unwrap().contains("--here"));

    ground.git("r", &["init", "-q"]);
    let folder = ground.tree(RUN);
    let wish = Wish { run: RUN, task: "t", folder: &folder, with_changes: true, carry: &[] };
    let error = ground.undisturbed("r", || make(&ground.repo(), &wish).unwrap_err());
    assert!(matches!(error, WorktreeError::Unborn(_)), "{error}");
    assert!(error.hint().unwrap().contains("first commit"));
    assert!(!ground.exists(&ground.at("")));
}

#[test]
fn a_place_or_a_branch_that_is_somebody_elses_is_left_alone() {
    let ground = Ground::new();
    let wish = |folder| Wish { run: RUN, task: "t", folder, with_changes: false, carry: &[] };
    let inside = ground.path.join("r/trees/x");
    let error = make(&ground.repo(), &wish(&inside)).unwrap_err();
    assert!(matches!(error, WorktreeError::Inside { .. }), "{error}");

    ground.write(&ground.at("mine"), "x");
    let folder = ground.tree(RUN);
    let error = make(&ground.repo(), &wish(&folder)).unwrap_err();
    assert!(matches!(error, WorktreeError::Taken(_)), "{error}");
    assert_eq!(ground.read(&ground.at("mine")), "x");
    fs::remove_dir_all(&folder).unwrap();

    ground.git("r", &["branch", "codex-orch"]);
    let error = make(&ground.repo(), &wish(&folder)).unwrap_err();
    assert_eq!(error.hint().unwrap(), "rename or remove `branch codex-orch`");
}

#[test]
fn twenty_at_once_all_get_one() {
    let ground = Ground::new();
    ground.write("r/a.txt", "mine\n");
    ground.undisturbed("r", || {
        std::thread::scope(|scope| {
            let makers: Vec<_> = (0..20)
                .map(|number| {
                    let ground = &ground;
                    scope.spawn(move || {
                        let (run, repo) = (format!("run-{number}"), ground.repo());
                        // In folders of their own, so that only git itself keeps them apart.
                        let folder = ground.path.join(format!("state/{}/{run}", number % 4));
                        let wish = Wish {
                            run: &run,
                            task: "t",
                            folder: &folder,
                            with_changes: true,
                            carry: &[],
                        };
                        let worktree = make(&repo, &wish).unwrap().worktree;
                        fs::write(folder.join("mine"), &run).unwrap();
                        worktree.commit("its own").unwrap().commit.unwrap()
                    })
                })
                .collect();
            let commits: std::collections::BTreeSet<_> =
                makers.into_iter().map(|maker| maker.join().unwrap()).collect();
            assert_eq!(commits.len(), 20);
        });
    });
    assert_eq!(ground.git("r", &["worktree", "list"]).lines().count(), 21);
}

#[test]
fn chosen_ignored_files_come_along_and_into_no_commit() {
    let ground = Ground::new();
    ground.write("r/.env", "SECRET=1\n");
    fs::set_permissions(ground.path.join("r/.env"), fs::Permissions::from_mode(0o600)).unwrap();
    ground.write("r/config/deep/x.local", "x\n");
    ground.write("r/target/debug/big", "x\n");
    ground.write("secret", "outside\n");
    symlink("../secret", ground.path.join("r/out.local")).unwrap();
    symlink("x.local", ground.path.join("r/config/deep/in.local")).unwrap();
    // Ignored by a line that is not committed.
    ground.write("r/.gitignore", "target/\n.env\n*.local\nkey?\n");
    ground.write("r/key1", "KEY\n");

    let patterns = [".env", "**/*.local", "key*", "../secret", "/etc/passwd"];
    let made = ground.undisturbed("r", || ground.make(false, &patterns));
    let mut carried: Vec<_> = made.carried.iter().map(|path| path.to_str().unwrap()).collect();
    carried.sort_unstable();
    assert_eq!(carried, [".env", "config/deep/in.local", "config/deep/x.local", "key1"]);
    let left_out: Vec<_> = made.left_out.iter().map(|entry| entry.what.as_str()).collect();
    assert_eq!(left_out, ["`../secret`", "`/etc/passwd`", "`out.local`"]);
    assert_eq!(
        fs::metadata(ground.tree(RUN).join(".env")).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(made.worktree.commit("x").unwrap().commit, None);
}

#[test]
fn a_commit_has_all_that_changed_and_says_whose_it_is() {
    let ground = Ground::new();
    let worktree = ground.made();
    ground.write(&ground.at("new/file"), "new\n");
    ground.write(&ground.at("a.txt"), "changed\n");
    ground.write(&ground.at(".env"), "SECRET=1\n");
    fs::remove_file(ground.tree(RUN).join("src/lib.rs")).unwrap();
    let commit = ground.undisturbed("r", || worktree.commit("Say it\n\nAt length.")).unwrap();
    let commit = commit.commit.unwrap();
    assert_eq!(ground.git("r", &["rev-parse", worktree.branch()]), commit);
    let about = ground.git("r", &["log", "-1", "--format=%an <%ae>|%cn|%B", &commit]);
    assert_eq!(
        about,
        format!("Ada <ada@example.org>|Ada|Say it\n\nAt length.\n\nCodex-Orchestrator-Run: {RUN}")
    );
    let names = ground.git("r", &["show", "--name-status", "--format=", &commit]);
    assert_eq!(names, "M\ta.txt\nA\tnew/file\nD\tsrc/lib.rs");
    assert_eq!(ground.git(&ground.at(""), &["status", "--porcelain"]), "");
    assert_eq!(worktree.commit("again").unwrap().commit, None);
    ground.git("r", &["merge", "-q", worktree.branch()]);
}

#[test]
fn a_branch_that_somebody_removed_is_there_again_with_the_next_commit() {
    let ground = Ground::new();
    let worktree = ground.made();
    let at = ground.at("");
    ground.git(&at, &["checkout", "-q", "--detach"]);
    ground.git("r", &["branch", "-D", worktree.branch()]);
    ground.write(&ground.at("x"), "x\n");
    let commit = worktree.commit("x").unwrap().commit.unwrap();
    assert_eq!(ground.git("r", &["rev-parse", worktree.branch()]), commit);
}

#[test]
fn line_ends_are_what_the_repository_says_and_the_users_are_understood() {
    let ground = Ground::new();
    ground.write("r/.gitattributes", "*.bat eol=crlf\n");
    ground.write("r/x.bat", "a\r\nb\r\n");
    ground.git("r", &["add", "-A"]);
    ground.git("r", &["commit", "-qm", "ends"]);
    ground.git("r", &["config", "core.autocrlf", "true"]);
    ground.write("r/a.txt", "one\r\ntwo\r\nthree\r\nfour\r\nsix\r\n");
    let made = ground.undisturbed("r", || ground.make(true, &[]));
    assert_eq!(ground.read(&ground.at("x.bat")), "a\r\nb\r\n");
    let shown = ground.git(
        "r",
        &["diff", "--numstat", &format!("{}^", made.worktree.base()), made.worktree.base()],
    );
    assert_eq!(shown, "1\t1\ta.txt");
    assert_eq!(made.worktree.commit("x").unwrap().commit, None);
}

#[test]
fn submodules_come_from_the_repositorys_own_copies() {
    let ground = Ground::new();
    ground.write("inner/deep.txt", "deep\n");
    ground.git("inner", &["init", "-q", "-b", "main"]);
    ground.git("inner", &["add", "-A"]);
    ground.git("inner", &["commit", "-qm", "inner"]);
    ground.write("lib/lib.txt", "lib\n");
    ground.git("lib", &["init", "-q", "-b", "main"]);
    ground.git("lib", &["submodule", "--quiet", "add", "../inner", "inner"]);
    ground.git("lib", &["add", "-A"]);
    ground.git("lib", &["commit", "-qm", "lib"]);
    ground.git("r", &["submodule", "--quiet", "add", "--name", "the lib", "../lib", "vendor/lib"]);
    ground.git("r", &["submodule", "--quiet", "add", "../inner", "absent"]);
    ground.git("r", &["submodule", "--quiet", "update", "--init", "--recursive"]);
    ground.git("r", &["commit", "-qam", "submodules"]);
    ground.git("r", &["submodule", "--quiet", "deinit", "-f", "absent"]);
    fs::remove_dir_all(ground.path.join("r/.git/modules/absent")).unwrap();
    // The places that they came from are not needed.
    fs::remove_dir_all(ground.path.join("inner")).unwrap();
    fs::remove_dir_all(ground.path.join("lib")).unwrap();

    let made = ground.undisturbed("r", || ground.make(false, &[]));
    assert_eq!(ground.read(&ground.at("vendor/lib/lib.txt")), "lib\n");
    assert_eq!(ground.read(&ground.at("vendor/lib/inner/deep.txt")), "deep\n");
    assert_eq!(made.left_out.len(), 1, "{:?}", made.left_out);
    assert_eq!(made.left_out[0].what, "`absent`");
    assert_eq!(made.worktree.commit("x").unwrap().commit, None);
    assert_eq!(ground.git(&ground.at(""), &["status", "--porcelain"]), "");

    ground.write(&ground.at("vendor/lib/lib.txt"), "changed\n");
    let committed = made.worktree.commit("x").unwrap();
    assert_eq!(committed.commit, None);
    let left_out: Vec<_> = committed.left_out.iter().map(|entry| entry.what.as_str()).collect();
    assert_eq!(left_out, ["`vendor/lib`"]);

    // What the user has in theirs is carried as far as it is committed there.
    ground.write("r/vendor/lib/inner/deep.txt", "deeper\n");
    ground.git("r/vendor/lib/inner", &["commit", "-qam", "deeper"]);
    ground.git("r/vendor/lib", &["commit", "-qam", "deeper"]);
    ground.write("r/vendor/lib/lib.txt", "not committed\n");
    let folder = ground.tree("other");
    let wish = Wish { run: "other", task: "t", folder: &folder, with_changes: true, carry: &[] };
    let made = ground.undisturbed("r", || make(&ground.repo(), &wish)).unwrap();
    assert_eq!(ground.read("state/trees/other/vendor/lib/inner/deep.txt"), "deeper\n");
    assert_eq!(ground.read("state/trees/other/vendor/lib/lib.txt"), "lib\n");
    let left_out: Vec<_> = made.left_out.iter().map(|entry| entry.what.as_str()).collect();
    assert_eq!(left_out, ["`absent`", "`vendor/lib`"]);
}

#[test]
fn a_part_that_is_checked_out_stays_a_part() {
    let ground = Ground::new();
    ground.write("r/big/x", "big\n");
    ground.git("r", &["add", "-A"]);
    ground.git("r", &["commit", "-qm", "big"]);
    ground.git("r", &["sparse-checkout", "set", "--sparse-index", "src"]);
    assert!(!ground.exists("r/big/x"));
    ground.write("r/src/lib.rs", "changed\n");
    let made = ground.undisturbed("r", || ground.make(true, &[]));
    assert!(!ground.exists(&ground.at("big/x")));
    assert_eq!(ground.read(&ground.at("src/lib.rs")), "changed\n");
    assert_eq!(made.worktree.commit("x").unwrap().commit, None);
    ground.write(&ground.at("src/lib.rs"), "again\n");
    let commit = made.worktree.commit("x").unwrap().commit.unwrap();
    assert_eq!(ground.git("r", &["show", &format!("{commit}:big/x")]), "big");
}

#[test]
fn what_a_user_ignores_everywhere_is_no_work() {
    let ground = Ground::new();
    ground.write("ignored \"by\" me", "*.swp\n");
    let file = ground.path.join("ignored \"by\" me").display().to_string();
    ground.git("r", &["config", "core.excludesFile", &file]);
    let worktree = ground.made();
    ground.write(&ground.at(".a.swp"), "x");
    assert_eq!(worktree.commit("x").unwrap().commit, None);
    // Whoever works in it hides nothing by another file.
    ground.write("all", "*\n");
    let all = ground.path.join("all").display().to_string();
    ground.git("r", &["config", "core.excludesFile", &all]);
    ground.write("r/.git/info/exclude", "*\n");
    ground.write(&ground.at("work"), "x");
    let worktree = Worktree::open(&ground.repo(), worktree.folder()).unwrap();
    assert!(worktree.commit("x").unwrap().commit.is_some());
}

#[test]
fn a_repository_that_is_moved_keeps_its_work_trees() {
    let ground = Ground::new();
    let worktree = ground.made();
    ground.write(&ground.at("x"), "x\n");
    fs::rename(ground.path.join("r"), ground.path.join("moved")).unwrap();
    let repo = ground.repo_at("moved");
    let worktree = Worktree::open(&repo, worktree.folder()).unwrap();
    let commit = worktree.commit("x").unwrap().commit.unwrap();
    assert_eq!(ground.git("moved", &["rev-parse", worktree.branch()]), commit);
    assert_eq!(ground.git(&ground.at(""), &["status", "--porcelain"]), "");
}

#[test]
fn other_hashes_and_other_ways_to_keep_references_will_do() {
    for options in [&["--object-format=sha256"][..], &["--ref-format=reftable"]] {
        let ground = Ground::new();
        fs::remove_dir_all(ground.path.join("r/.git")).unwrap();
        ground.git("r", &[&["init", "-q", "-b", "main"], options].concat());
        ground.git("r", &["add", "-A"]);
        ground.git("r", &["commit", "-qm", "first"]);
        let worktree = ground.undisturbed("r", || ground.made());
        ground.write(&ground.at("x"), "x\n");
        let commit = worktree.commit("x").unwrap().commit.unwrap();
        assert_eq!(ground.git("r", &["rev-parse", worktree.branch()]), commit);
    }
}
