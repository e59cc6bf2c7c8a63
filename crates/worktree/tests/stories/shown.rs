//! What a run has changed is shown, and brought into its user's checkout.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
};

use crate::ground::{Ground, RUN};
use worktree::{ChangeKind, Conflict, Worktree, WorktreeError};

fn names(files: &[std::path::PathBuf]) -> Vec<&str> {
    files.iter().map(|path| path.to_str().unwrap()).collect()
}

/// The files that stood in the way, and why.
#[track_caller]
fn conflicts(worktree: &Worktree) -> Vec<String> {
    match worktree.apply() {
        Err(WorktreeError::Conflicts { files, branch }) => {
            assert_eq!(branch, worktree.branch());
            files.iter().map(|Conflict { path, why }| format!("{} {why}", path.display())).collect()
        }
        other => panic!("{other:?}"),
    }
}

/// The index, and all that a person never sees change.
fn kept(ground: &Ground) -> impl PartialEq + std::fmt::Debug {
    let all = ground.belongings("r");
    (all.index, all.stash, all.reflog, all.head)
}

#[test]
fn all_that_changed_is_shown_whether_committed_or_not() {
    let ground = Ground::new();
    ground.write("r/long", &"line\n".repeat(50));
    ground.git("r", &["add", "-A"]);
    ground.git("r", &["commit", "-qm", "long"]);
    ground.write("r/a.txt", "the user's own\n");
    let worktree = ground.make(true, &[]).worktree;
    let tree = ground.tree(RUN);
    fs::write(tree.join("bin"), [0, 1, 2]).unwrap();
    fs::rename(tree.join("long"), tree.join("longer")).unwrap();
    worktree.commit("half").unwrap();
    ground.write(&ground.at("a.txt"), "the user's own\nand more\n");
    fs::remove_file(tree.join("src/lib.rs")).unwrap();
    symlink("a.txt", tree.join("src/lib.rs")).unwrap();

    let shown = ground.undisturbed("r", || worktree.changes()).unwrap();
    let shown: Vec<_> =
        shown.files.iter().map(|c| (c.path.to_str().unwrap(), &c.kind, c.lines)).collect();
    let renamed = ChangeKind::Renamed { from: "long".into() };
    let expected = [
        ("a.txt", &ChangeKind::Modified, Some((1, 0))),
        ("bin", &ChangeKind::Added, None),
        ("longer", &renamed, Some((0, 0))),
        ("src/lib.rs", &ChangeKind::Retyped, Some((1, 1))),
    ];
    assert_eq!(shown, expected);

    let state = worktree.state().unwrap();
    assert_eq!((state.ahead, state.changed, state.uncommitted), (1, 4, 2));
    assert!(state.size > 4096, "{}", state.size);

    // The patch makes of the base what lies there.
    fs::write(ground.path.join("patch"), worktree.patch().unwrap()).unwrap();
    ground.git("r", &["worktree", "add", "-q", "--detach", "../other", worktree.base()]);
    ground.git("other", &["apply", "--index", "../patch"]);
    let (mine, other) =
        (crate::ground::listing(&tree), crate::ground::listing(&ground.path.join("other")));
    assert_eq!(mine.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
    assert_eq!(fs::read(ground.path.join("other/bin")).unwrap(), [0, 1, 2]);
}

#[test]
fn many_look_while_one_commits() {
    let ground = Ground::new();
    let worktree = ground.made();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5 {
                    worktree.state().unwrap();
                    worktree.changes().unwrap();
                }
            });
        }
        for number in 0..10 {
            ground.write(&ground.at(&format!("new-{number}")), "x\n");
            assert!(worktree.commit("x").unwrap().commit.is_some());
        }
    });
    assert_eq!(worktree.state().unwrap().ahead, 10);
}

#[test]
fn a_run_hides_nothing_by_attributes() {
    let ground = Ground::new();
    let worktree = ground.made();
    ground.write(&ground.at(".gitattributes"), "* -diff -text diff=x\n");
    ground.write(&ground.at("a.txt"), "evil\n");
    let patch = String::from_utf8(worktree.patch().unwrap()).unwrap();
    assert!(patch.contains("+evil"), "{patch}");
}

#[test]
fn what_is_applied_is_work_that_is_not_committed() {
    let ground = Ground::new();
    let worktree = ground.made();
    // The user goes on, in the index and beside it.
    ground.write("r/staged", "staged\n");
    ground.git("r", &["add", "staged"]);
    ground.write("r/a.txt", "ONE\ntwo\nthree\nfour\nfive\n");
    ground.write("r/untracked", "mine\n");

    ground.write(&ground.at("a.txt"), "one\ntwo\nthree\nfour\nFIVE\n");
    ground.write(&ground.at("new/file"), "new\n");
    fs::set_permissions(ground.tree(RUN).join("new/file"), fs::Permissions::from_mode(0o755))
        .unwrap();
    worktree.commit("committed").unwrap();
    fs::remove_file(ground.tree(RUN).join("src/lib.rs")).unwrap();

    let before = kept(&ground);
    let applied = worktree.apply().unwrap();
    assert_eq!(kept(&ground), before);
    assert_eq!(names(&applied.files), ["a.txt", "new/file", "src/lib.rs"]);
    assert_eq!(ground.read("r/a.txt"), "ONE\ntwo\nthree\nfour\nFIVE\n");
    let status = ground.git("r", &["status", "--porcelain"]);
    assert_eq!(status, " M a.txt\n D src/lib.rs\nA  staged\n?? new/\n?? untracked");
    assert_eq!(
        fs::metadata(ground.path.join("r/new/file")).unwrap().permissions().mode() & 0o111,
        0o111
    );

    // A second time there is nothing to do, and what was before is kept.
    let again = ground.undisturbed("r", || worktree.apply()).unwrap();
    assert_eq!((again.files.len(), again.before), (0, applied.before.clone()));
    let kept = format!("refs/codex-orch/before-apply/{RUN}");
    assert_eq!(Some(ground.git("r", &["rev-parse", &kept])), applied.before);
    assert_eq!(ground.git("r", &["show", &format!("{kept}:a.txt")]), "ONE\ntwo\nthree\nfour\nfive");
    assert_eq!(ground.git("r", &["show", &format!("{kept}:untracked")]), "mine");
}

#[test]
fn what_was_applied_is_taken_back_and_the_users_own_stays() {
    let ground = Ground::new();
    let worktree = ground.made();
    assert!(matches!(worktree.unapply(), Err(WorktreeError::Missing { .. })));
    ground.write(&ground.at("a.txt"), "one\ntwo\nthree\nfour\nFIVE\n");
    ground.write(&ground.at("new/file"), "new\n");
    fs::remove_file(ground.tree(RUN).join("src/lib.rs")).unwrap();
    worktree.apply().unwrap();
    ground.write("r/a.txt", "ONE\ntwo\nthree\nfour\nFIVE\n");
    let before = kept(&ground);
    worktree.unapply().unwrap();
    assert_eq!(kept(&ground), before);
    assert_eq!(ground.git("r", &["status", "--porcelain"]), " M a.txt");
    assert_eq!(ground.read("r/a.txt"), "ONE\ntwo\nthree\nfour\nfive\n");
    assert!(!ground.exists("r/new"));
    // And once more.
    assert_eq!(names(&worktree.apply().unwrap().files), ["a.txt", "new/file", "src/lib.rs"]);
}

#[test]
fn a_run_that_goes_on_is_applied_again() {
    let ground = Ground::new();
    let worktree = ground.made();
    ground.write(&ground.at("a.txt"), "one\ntwo\nthree\nfour\nFIVE\n");
    worktree.apply().unwrap();
    ground.write(&ground.at("a.txt"), "one\ntwo\nthree\nfour\nfive and six\n");
    assert_eq!(names(&worktree.apply().unwrap().files), ["a.txt"]);
    assert_eq!(ground.read("r/a.txt"), "one\ntwo\nthree\nfour\nfive and six\n");
    // What the user has thrown away is brought again.
    ground.git("r", &["checkout", "-q", "."]);
    assert_eq!(names(&worktree.apply().unwrap().files), ["a.txt"]);
    assert_eq!(ground.read("r/a.txt"), "one\ntwo\nthree\nfour\nfive and six\n");
}

#[test]
fn what_was_cut_short_in_the_middle_of_writing_is_finished() {
    let ground = Ground::new();
    let worktree = ground.made();
    ground.write("r/a.txt", "ONE\ntwo\nthree\nfour\nfive\n");
    ground.write(&ground.at("a.txt"), "one\ntwo\nthree\nfour\nFIVE\n");
    ground.write(&ground.at("b.txt"), "b\n");
    ground.write(&ground.at("src/lib.rs"), "changed\n");
    worktree.apply().unwrap();
    let (applied, applying) =
        (format!("refs/codex-orch/applied/{RUN}"), format!("refs/codex-orch/applying/{RUN}"));
    // As it was when one of three files was written, but for one that the user went on with.
    ground.git("r", &["update-ref", &applying, &applied]);
    ground.git("r", &["update-ref", "-d", &applied]);
    fs::remove_file(ground.path.join("r/b.txt")).unwrap();
    ground.write("r/a.txt", "ONE\ntwo\nthree\nfour\nFIVE\nsix\n");
    ground.git("r", &["checkout", "-q", "src/lib.rs"]);
    let before = kept(&ground);
    worktree.apply().unwrap();
    assert_eq!(kept(&ground), before);
    assert_eq!(ground.read("r/a.txt"), "ONE\ntwo\nthree\nfour\nFIVE\nsix\n");
    assert_eq!(ground.read("r/src/lib.rs"), "changed\n");
    assert_eq!(ground.read("r/b.txt"), "b\n");
    assert!(!ground.git_would("r", &["rev-parse", "-q", "--verify", &applying]));
}

#[test]
fn what_does_not_go_together_is_told_by_file_and_nothing_is_written() {
    let ground = Ground::new();
    ground.write("r/.gitignore", "target/\n.env\n*.local\nignored-by-me\n");
    ground.git("r", &["commit", "-qam", "ignore"]);
    let worktree = ground.made();
    ground.write(&ground.at("fine"), "fine\n");
    ground.write(&ground.at("a.txt"), "the run's\n");
    ground.write("r/a.txt", "the user's\n");
    let told = ground.undisturbed("r", || conflicts(&worktree));
    assert_eq!(told, ["a.txt was changed on both sides"]);

    ground.git("r", &["checkout", "-q", "a.txt"]);
    ground.write(&ground.at(".gitignore"), "target/\n");
    ground.write(&ground.at("ignored-by-me"), "the run's\n");
    ground.write("r/ignored-by-me", "the user's\n");
    let told = ground.undisturbed("r", || conflicts(&worktree));
    assert_eq!(told, ["ignored-by-me is there, and git does not keep it"]);

    // The same text is no conflict, but it is not ours to say that it is the same file.
    fs::remove_file(ground.path.join("r/ignored-by-me")).unwrap();
    fs::create_dir(ground.path.join("elsewhere")).unwrap();
    symlink("../elsewhere", ground.path.join("r/x.local")).unwrap();
    fs::remove_file(ground.tree(RUN).join("ignored-by-me")).unwrap();
    ground.write(&ground.at("x.local/y"), "through a link\n");
    let told = ground.undisturbed("r", || conflicts(&worktree));
    assert_eq!(told, ["x.local/y lies behind something that is no folder"]);
    assert!(!ground.exists("elsewhere/y"));

    let error = worktree.apply().unwrap_err();
    assert!(error.hint().unwrap().contains(&format!("git merge {}", worktree.branch())));
}

#[test]
fn files_become_folders_and_folders_files() {
    let ground = Ground::new();
    let worktree = ground.made();
    let tree = ground.tree(RUN);
    fs::remove_file(tree.join("a.txt")).unwrap();
    ground.write(&ground.at("a.txt/in"), "in\n");
    fs::remove_dir_all(tree.join("src")).unwrap();
    ground.write(&ground.at("src"), "src\n");
    ground.write("r/src/x.local", "ignored\n");
    let told = ground.undisturbed("r", || conflicts(&worktree));
    assert_eq!(told, ["src is a folder with other files"]);
    fs::remove_file(ground.path.join("r/src/x.local")).unwrap();
    worktree.apply().unwrap();
    assert_eq!((ground.read("r/a.txt/in"), ground.read("r/src")), ("in\n".into(), "src\n".into()));
    worktree.unapply().unwrap();
    assert_eq!(ground.git("r", &["status", "--porcelain"]), "");
}

#[test]
fn files_that_git_was_told_not_to_look_at_are_not_overwritten() {
    for flag in ["--assume-unchanged", "--skip-worktree"] {
        let ground = Ground::new();
        let worktree = ground.made();
        ground.write(&ground.at("a.txt"), "the run's\n");
        ground.write("r/a.txt", "the user's secret change\n");
        ground.git("r", &["update-index", flag, "a.txt"]);
        let told = ground.undisturbed("r", || conflicts(&worktree));
        assert_eq!(told, ["a.txt was changed on both sides"]);
    }
}

#[test]
fn what_is_not_checked_out_stays_so() {
    let ground = Ground::new();
    ground.write("r/big/x", "big\n");
    ground.git("r", &["add", "-A"]);
    ground.git("r", &["commit", "-qm", "big"]);
    let worktree = ground.made();
    ground.git("r", &["sparse-checkout", "set", "src"]);
    ground.write(&ground.at("src/lib.rs"), "changed\n");
    let before = kept(&ground);
    worktree.apply().unwrap();
    assert_eq!(kept(&ground), before);
    assert_eq!(ground.git("r", &["status", "--porcelain"]), " M src/lib.rs");
    assert!(!ground.exists("r/big"));
    ground.write(&ground.at("big/x"), "bigger\n");
    let told = ground.undisturbed("r", || conflicts(&worktree));
    assert_eq!(told, ["big/x is no part of what is checked out"]);
}

#[test]
fn an_index_in_two_halves_and_one_in_the_middle_of_a_merge_will_do() {
    let ground = Ground::new();
    ground.git("r", &["update-index", "--split-index"]);
    ground.write("r/b.txt", "b\n");
    ground.git("r", &["add", "b.txt"]);
    let worktree = ground.undisturbed("r", || ground.make(true, &[])).worktree;
    ground.write(&ground.at("new"), "new\n");
    worktree.apply().unwrap();
    assert_eq!(ground.git("r", &["status", "--porcelain"]), "A  b.txt\n?? new");

    ground.git("r", &["commit", "-qam", "mine"]);
    ground.git("r", &["checkout", "-q", "-b", "side", "HEAD^"]);
    ground.write("r/a.txt", "side\n");
    ground.git("r", &["commit", "-qam", "side"]);
    ground.git("r", &["checkout", "-q", "main"]);
    ground.write("r/a.txt", "main\n");
    ground.git("r", &["commit", "-qam", "main"]);
    assert!(!ground.git_would("r", &["merge", "-q", "side"]));
    ground.write(&ground.at("newer"), "newer\n");
    let before = kept(&ground);
    worktree.apply().unwrap();
    assert_eq!(kept(&ground), before);
    let status = ground.git("r", &["status", "--porcelain"]);
    assert_eq!(status, "UU a.txt\n?? new\n?? newer");
}

#[test]
fn the_users_line_ends_are_kept() {
    let ground = Ground::new();
    ground.git("r", &["config", "core.autocrlf", "true"]);
    ground.write("r/a.txt", "ONE\r\ntwo\r\nthree\r\nfour\r\nfive\r\n");
    let worktree = ground.made();
    ground.write(&ground.at("a.txt"), "one\ntwo\nthree\nfour\nFIVE\n");
    worktree.apply().unwrap();
    assert_eq!(ground.read("r/a.txt"), "ONE\r\ntwo\r\nthree\r\nfour\r\nFIVE\r\n");
}
