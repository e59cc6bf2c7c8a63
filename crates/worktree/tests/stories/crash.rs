//! Whoever works with a work tree is killed before each of its calls of git in turn; the next call
//! of the same kind finishes or takes away what is there.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::Command,
};

use worktree::{Discard, Repo, Wish, Worktree, make, restore};

use crate::ground::{Ground, RUN};

const ACT: &str = "STORY_OF_CRASHES";
const KILL: i32 = 9;

/// What is done once before all is well, and what is cut short.
fn act(what: &str, ground: &Path) {
    let repo = Repo::at(&ground.join("r")).unwrap();
    let folder = ground.join("state/trees").join(RUN);
    let carry = [".env".to_owned()];
    match what {
        "make" => {
            let wish =
                Wish { run: RUN, task: "fix", folder: &folder, with_changes: true, carry: &carry };
            make(&repo, &wish).unwrap();
        }
        "commit" => drop(Worktree::open(&repo, &folder).unwrap().commit("a turn").unwrap()),
        "apply" => drop(Worktree::open(&repo, &folder).unwrap().apply().unwrap()),
        "unapply" => match Worktree::open(&repo, &folder).unwrap().unapply() {
            // It was taken back to the end before the kill.
            Err(worktree::WorktreeError::Missing { .. }) => {}
            other => drop(other.unwrap()),
        },
        "discard" => match Worktree::open(&repo, &folder) {
            Ok(worktree) => {
                drop(worktree.discard(&Discard { ignored: &carry, ..Discard::default() }).unwrap())
            }
            Err(_) => assert!(!folder.exists()),
        },
        "restore" => drop(restore(&repo, RUN, &folder).unwrap()),
        other => panic!("{other}"),
    }
}

#[test]
#[ignore = "the part of other stories that is killed"]
fn the_one_that_is_killed() {
    if let Ok(story) = std::env::var(ACT) {
        let (what, ground) = story.split_once(' ').unwrap();
        act(what, Path::new(ground));
    }
}

/// A git that kills whoever calls it for the time after `calls`.
fn deadly_git(ground: &Ground, calls: usize) -> PathBuf {
    let real = std::env::split_paths(&std::env::var_os("PATH").unwrap())
        .map(|folder| folder.join("git"))
        .find(|program| program.is_file())
        .unwrap();
    let (folder, count) = (ground.path.join("deadly"), ground.path.join("deadly/count"));
    fs::create_dir_all(&folder).unwrap();
    fs::write(&count, "").unwrap();
    let script = format!(
        "#!/bin/sh\necho >> '{count}'\nif [ $(wc -l < '{count}') -gt {calls} ]; then\n\
         kill -9 $PPID; exit 1\nfi\nexec '{real}' \"$@\"\n",
        count = count.display(),
        real = real.display(),
    );
    fs::write(folder.join("git"), script).unwrap();
    fs::set_permissions(folder.join("git"), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// Whether it came to its end with that many calls of git.
fn cut_short(ground: &Ground, what: &str, calls: usize) -> bool {
    let path =
        format!("{}:{}", deadly_git(ground, calls).display(), std::env::var("PATH").unwrap());
    let story = format!("{what} {}", ground.path.display());
    let done = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::the_one_that_is_killed", "--ignored"])
        .env("PATH", path)
        .env(ACT, story)
        .output()
        .unwrap();
    let killed = done.status.signal() == Some(KILL);
    assert!(killed || done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    !killed
}

/// A checkout with work in it, and what comes before `what`.
fn before(what: &str) -> Ground {
    let ground = Ground::new();
    ground.write("r/a.txt", "one\ntwo\nthree\nfour\nmy five\n");
    ground.write("r/.env", "SECRET=1\n");
    ground.write("r/untracked", "x\n");
    if what == "make" {
        return ground;
    }
    act("make", &ground.path);
    ground.write(&ground.at("a.txt"), "THEIR one\ntwo\nthree\nfour\nmy five\n");
    ground.write(&ground.at("new/file"), "new\n");
    fs::remove_file(ground.tree(RUN).join("src/lib.rs")).unwrap();
    match what {
        "unapply" => act("apply", &ground.path),
        "discard" => {
            act("commit", &ground.path);
            ground.write(&ground.at("more"), "more\n");
        }
        "restore" => {
            act("commit", &ground.path);
            ground.write(&ground.at("more"), "more\n");
            act("discard", &ground.path);
        }
        _ => {}
    }
    ground
}

/// All that can be seen in the end, but for times, hashes of commits and hidden remains.
fn seen(ground: &Ground) -> Vec<String> {
    let tree = |name: &str| ground.git("r", &["rev-parse", &format!("{name}^{{tree}}")]);
    let names = ground.git("r", &["for-each-ref", "--format=%(refname)"]);
    // What was before is another thing when a part was written already.
    let names =
        names.lines().filter(|name| !name.contains("-apply/") && !name.contains("/applied/"));
    let mut seen: Vec<String> = names.map(|name| format!("{name} {}", tree(name))).collect();
    let count = |name: &str| ground.git("r", &["rev-list", "--count", name]);
    let branch = format!("codex-orch/fix/{RUN}");
    if ground.git_would("r", &["rev-parse", "-q", "--verify", &branch]) {
        seen.push(format!("commits: {}", count(&branch)));
        seen.push(ground.git(&ground.at(""), &["status", "--porcelain"]));
    }
    let trees = fs::read_dir(ground.path.join("state/trees")).unwrap();
    let mut names: Vec<_> =
        trees.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    seen.push(names.join(" "));
    seen.push(format!("{}", ground.git("r", &["worktree", "list"]).lines().count()));
    for folder in ["r", &ground.at("")] {
        let path = ground.path.join(folder);
        if path.exists() {
            let files = crate::ground::listing(&path);
            seen.extend(files.into_keys().map(|path| {
                let text = fs::read(ground.path.join(folder).join(&path)).unwrap_or_default();
                format!("{folder} {} {}", path.display(), String::from_utf8_lossy(&text))
            }));
        }
    }
    let mine = ground.belongings("r");
    seen.push(format!(
        "{}\n{}{}",
        mine.status.replace(|c: char| c.is_ascii_hexdigit(), ""),
        mine.stash,
        mine.head
    ));
    seen
}

#[track_caller]
fn check(what: &str) {
    let undisturbed = before(what);
    act(what, &undisturbed.path);
    let expected = seen(&undisturbed);
    for calls in 0.. {
        let ground = before(what);
        let index = fs::read(ground.path.join("r/.git/index")).unwrap();
        let finished = cut_short(&ground, what, calls);
        act(what, &ground.path);
        assert_eq!(seen(&ground), expected, "killed at call {calls} of git");
        assert_eq!(fs::read(ground.path.join("r/.git/index")).unwrap(), index);
        if finished {
            assert!(calls > 5, "git was called {calls} times");
            break;
        }
    }
}

#[test]
fn making_is_begun_again() {
    check("make");
}

#[test]
fn committing_is_done_once() {
    check("commit");
}

#[test]
fn applying_is_finished() {
    check("apply");
}

#[test]
fn taking_back_is_finished() {
    check("unapply");
}

#[test]
fn discarding_is_finished_and_loses_nothing() {
    check("discard");
}

#[test]
fn restoring_is_begun_again() {
    check("restore");
}
