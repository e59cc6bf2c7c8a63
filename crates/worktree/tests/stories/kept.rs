//! Nothing is taken away before something holds it, and what is there is listed.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
};

use crate::ground::{Ground, RUN, listing};
use worktree::{Discard, Kept, What, WorktreeError, list, prune, restore};

/// Runs' things, and why each may not go.
fn kept(ground: &Ground) -> Vec<String> {
    let all = list(&ground.repo(), &ground.path.join("state/trees")).unwrap();
    let word = |kept: &Kept| match &kept.what {
        What::Worktree(_) => "work tree",
        What::Branch(..) => "branch",
        What::Snapshot(..) => "snapshot",
        What::BeforeApply(..) => "before",
    };
    all.iter().map(|kept| format!("{}: {}", word(kept), kept.held.unwrap_or("-"))).collect()
}

#[test]
fn what_was_discarded_comes_back_as_it_was() {
    let ground = Ground::new();
    ground.write("r/a.txt", "uncommitted\n");
    let worktree = ground.make(true, &[]).worktree;
    let tree = ground.tree(RUN);
    ground.write(&ground.at("committed"), "x\n");
    let tip = worktree.commit("half").unwrap().commit.unwrap();
    ground.write(&ground.at("untracked/x"), "x\n");
    ground.write(&ground.at(".env"), "SECRET=1\n");
    ground.write(&ground.at("target/big"), "not chosen\n");
    fs::remove_file(tree.join("src/lib.rs")).unwrap();
    symlink("a.txt", tree.join("link")).unwrap();
    fs::write(tree.join("binary"), [0, 255]).unwrap();
    fs::set_permissions(tree.join("binary"), fs::Permissions::from_mode(0o755)).unwrap();
    // Some tools make what nobody may remove.
    fs::set_permissions(tree.join("target"), fs::Permissions::from_mode(0o555)).unwrap();
    let mut before = listing(&tree);
    before.retain(|path, _| !path.starts_with("target"));
    let (branch, base) = (worktree.branch().to_owned(), worktree.base().to_owned());

    let error =
        worktree.clone().discard(&Discard { lives: true, ..Discard::default() }).unwrap_err();
    assert!(matches!(error, WorktreeError::Lives(_)), "{error}");
    assert!(ground.exists(&ground.at("a.txt")));
    let chosen = [".env".to_owned()];
    let discarded = ground
        .undisturbed("r", || worktree.discard(&Discard { ignored: &chosen, ..Discard::default() }))
        .unwrap();
    assert!(discarded.branch_gone);
    assert!(!ground.exists(&ground.at("")) && !ground.exists(&format!("state/trees/{RUN}.git")));
    assert_eq!(ground.git("r", &["worktree", "list"]).lines().count(), 1);
    assert_eq!(ground.git("r", &["branch", "--format=%(refname:short)"]), "main");
    let reference = format!("refs/codex-orch/snapshots/{RUN}");
    assert_eq!(ground.git("r", &["rev-parse", &reference]), discarded.snapshot.commit);

    let made = ground.undisturbed("r", || restore(&ground.repo(), RUN, &tree)).unwrap();
    let mut after = listing(&tree);
    for text in before.values_mut().chain(after.values_mut()) {
        // Times are not held.
        *text = text.replace(|c: char| c.is_ascii_digit(), "").replace(' ', "");
    }
    assert_eq!(after, before);
    assert_eq!((made.worktree.branch(), made.worktree.base()), (branch.as_str(), base.as_str()));
    assert_eq!(ground.git("r", &["rev-parse", &branch]), tip);
    let status = ground.git(&ground.at(""), &["status", "--porcelain"]);
    assert_eq!(status, " D src/lib.rs\n?? binary\n?? link\n?? untracked/");
}

#[test]
fn a_second_snapshot_holds_the_first() {
    let ground = Ground::new();
    let worktree = ground.made();
    ground.write(&ground.at("x"), "one\n");
    let one = worktree.snapshot(&[]).unwrap();
    assert_eq!(worktree.snapshot(&[]).unwrap(), one);
    ground.write(&ground.at("x"), "two\n");
    let two = worktree.snapshot(&[]).unwrap();
    assert!(ground.git_would("r", &["merge-base", "--is-ancestor", &one.commit, &two.commit]));
}

#[test]
fn work_within_repositories_and_submodules_is_held_as_files() {
    let ground = Ground::new();
    ground.write("lib/lib.txt", "lib\n");
    ground.git("lib", &["init", "-q", "-b", "main"]);
    ground.git("lib", &["add", "-A"]);
    ground.git("lib", &["commit", "-qm", "lib"]);
    ground.git("r", &["submodule", "--quiet", "add", "../lib", "lib"]);
    ground.git("r", &["commit", "-qam", "lib"]);
    let worktree = ground.made();
    ground.write(&ground.at("lib/more.txt"), "more\n");
    ground.write(&ground.at("nested/deep/x"), "x\n");
    ground.git(&ground.at("nested/deep"), &["init", "-q"]);
    ground.write(&ground.at("nested/y"), "y\n");
    ground.git(&ground.at("nested"), &["init", "-q"]);
    let snapshot = worktree.snapshot(&[]).unwrap();
    let names = ground.git("r", &["ls-tree", "-r", "--name-only", &snapshot.commit]);
    for name in ["lib/lib.txt", "lib/more.txt", "nested/deep/x", "nested/y"] {
        assert!(names.lines().any(|line| line == name), "{name} of {names}");
    }
    // Their histories are not, and that is told before they are lost.
    assert_eq!(snapshot.left_out.len(), 2, "{:?}", snapshot.left_out);
    let error = worktree.clone().discard(&Discard::default()).unwrap_err();
    assert!(matches!(error, WorktreeError::NotHeld { .. }), "{error}");
    assert!(ground.exists(&ground.at("nested/.git")));
    worktree.discard(&Discard { anyway: true, ..Discard::default() }).unwrap();
    // All that it holds is in this repository alone.
    fs::remove_dir_all(ground.path.join("r/.git/modules")).unwrap();
    ground.git("r", &["rev-list", "--objects", "--no-walk", &snapshot.commit]);
    ground.git("r", &["archive", "-o", "../all.tar", &snapshot.commit]);
}

#[test]
fn a_submodule_that_became_a_link_is_not_filled_elsewhere() {
    let ground = Ground::new();
    ground.write("lib/lib.txt", "lib\n");
    ground.git("lib", &["init", "-q", "-b", "main"]);
    ground.git("lib", &["add", "-A"]);
    ground.git("lib", &["commit", "-qm", "lib"]);
    ground.git("r", &["submodule", "--quiet", "add", "../lib", "lib"]);
    ground.git("r", &["commit", "-qam", "lib"]);
    let worktree = ground.made();
    fs::create_dir(ground.path.join("elsewhere")).unwrap();
    fs::remove_dir_all(ground.tree(RUN).join("lib")).unwrap();
    symlink(ground.path.join("elsewhere"), ground.tree(RUN).join("lib")).unwrap();
    worktree.discard(&Discard::default()).unwrap();
    restore(&ground.repo(), RUN, &ground.tree(RUN)).unwrap();
    assert!(fs::symlink_metadata(ground.tree(RUN).join("lib")).unwrap().is_symlink());
    assert_eq!(fs::read_dir(ground.path.join("elsewhere")).unwrap().count(), 0);
}

#[test]
fn one_that_was_tampered_with_or_removed_can_be_discarded() {
    let ground = Ground::new();
    let worktree = ground.made();
    ground.write(&ground.at("x"), "x\n");
    ground.write(&ground.at(".git"), "gitdir: elsewhere\n");
    let discarded = worktree.discard(&Discard::default()).unwrap();
    assert_eq!(ground.git("r", &["show", &format!("{}:x", discarded.snapshot.commit)]), "x");

    let worktree = ground.made();
    ground.write(&ground.at("y"), "y\n");
    worktree.commit("y").unwrap();
    fs::remove_dir_all(ground.tree(RUN)).unwrap();
    let discarded = worktree.discard(&Discard::default()).unwrap();
    assert_eq!(ground.git("r", &["show", &format!("{}:y", discarded.snapshot.commit)]), "y");
    assert!(!ground.exists(&format!("state/trees/{RUN}.git")));
    assert_eq!(ground.git("r", &["worktree", "list"]).lines().count(), 1);
}

#[test]
fn a_branch_that_somebody_has_checked_out_stays() {
    let ground = Ground::new();
    let worktree = ground.made();
    ground.write(&ground.at("x"), "x\n");
    worktree.commit("x").unwrap();
    let branch = worktree.branch().to_owned();
    ground.git("r", &["checkout", "-q", "--ignore-other-worktrees", &branch]);
    let discarded = ground.undisturbed("r", || worktree.discard(&Discard::default())).unwrap();
    assert!(!discarded.branch_gone);
    assert_eq!(ground.git("r", &["branch", "--show-current"]), branch);
}

#[test]
fn what_is_in_no_other_place_is_held() {
    let ground = Ground::new();
    let worktree = ground.made();
    assert_eq!(kept(&ground), ["work tree: -", "branch: its work tree is there"]);
    ground.write(&ground.at("x"), "x\n");
    assert_eq!(kept(&ground)[0], "work tree: it has work that is not committed");
    worktree.commit("x").unwrap();
    assert_eq!(kept(&ground)[0], "work tree: its work is in no other branch");

    let all = list(&ground.repo(), &ground.path.join("state/trees")).unwrap();
    assert!(all.iter().all(|kept| kept.run == RUN && kept.size > 0), "{all:?}");
    assert!(all.iter().all(|kept| kept.at.elapsed().unwrap().as_secs() < 3600));
    let error = prune(&ground.repo(), &all[0], &[]).unwrap_err();
    assert!(matches!(error, WorktreeError::Held { .. }), "{error}");

    worktree.snapshot(&[]).unwrap();
    let branch = worktree.branch().to_owned();
    assert_eq!(
        kept(&ground),
        [
            "work tree: -",
            "snapshot: its work is in no other branch",
            "branch: its work tree is there"
        ]
    );
    ground.git("r", &["merge", "-q", "--squash", &branch]);
    ground.git("r", &["commit", "-qm", "squashed"]);
    assert_eq!(kept(&ground)[1], "snapshot: -");

    let all = list(&ground.repo(), &ground.path.join("state/trees")).unwrap();
    ground.undisturbed("r", || {
        for kept in all.iter().filter(|kept| kept.held.is_none()) {
            prune(&ground.repo(), kept, &[]).unwrap();
        }
    });
    assert_eq!(kept(&ground), [] as [&str; 0]);
    assert_eq!(ground.git("r", &["for-each-ref", "--format=%(refname)"]), "refs/heads/main");
}

#[test]
fn a_snapshot_with_more_than_was_committed_is_held_forever() {
    let ground = Ground::new();
    let worktree = ground.made();
    ground.write(&ground.at(".env"), "SECRET\n");
    ground.write(&ground.at("x"), "x\n");
    worktree.discard(&Discard { ignored: &[".env".to_owned()], ..Discard::default() }).unwrap();
    assert_eq!(kept(&ground), ["snapshot: it has work that is in no other commit"]);
}

#[test]
fn what_was_before_is_held_while_it_can_be_taken_back() {
    let ground = Ground::new();
    let worktree = ground.made();
    ground.write(&ground.at("x"), "x\n");
    worktree.apply().unwrap();
    assert!(kept(&ground).contains(&"before: what was applied can be taken back by it".to_owned()));
    worktree.unapply().unwrap();
    assert!(kept(&ground).contains(&"before: -".to_owned()));
    // Nor is it when nobody is there who would.
    worktree.apply().unwrap();
    worktree.discard(&Discard::default()).unwrap();
    let all = list(&ground.repo(), &ground.path.join("state/trees")).unwrap();
    let before = all.iter().find(|kept| matches!(kept.what, What::BeforeApply(..))).unwrap();
    prune(&ground.repo(), before, &[]).unwrap();
    let names = ground.git("r", &["for-each-ref", "--format=%(refname)", "refs/codex-orch"]);
    assert_eq!(names, format!("refs/codex-orch/snapshots/{RUN}"));
}
