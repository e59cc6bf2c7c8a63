//! Whoever works in a work tree plants what they can; no git of ours obeys.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::PathBuf,
};

use crate::ground::{Ground, RUN};
use worktree::{Discard, Repo, Worktree, WorktreeError, list, prune, restore};

/// Everything that looks at a work tree or writes from it, and takes it away and back.
fn everything(ground: &Ground, worktree: Worktree) {
    worktree.changes().unwrap();
    worktree.patch().unwrap();
    worktree.state().unwrap();
    worktree.commit("a turn").unwrap();
    if !worktree.apply().unwrap().files.is_empty() {
        worktree.unapply().unwrap();
    }
    let (repo, trees) = (ground.repo(), ground.path.join("state/trees"));
    assert!(!list(&repo, &trees).unwrap().is_empty());
    worktree.snapshot(&["**".to_owned()]).unwrap();
    let (run, folder) = (worktree.run().to_owned(), worktree.folder().to_owned());
    worktree.discard(&Discard { anyway: true, ..Discard::default() }).unwrap();
    for kept in list(&repo, &trees).unwrap() {
        let _ = prune(&repo, &kept, &[]);
    }
    restore(&repo, &run, &folder).unwrap();
}

/// Git's folder for the work tree of [`RUN`].
fn admin(ground: &Ground) -> PathBuf {
    PathBuf::from(ground.git(&ground.at(""), &["rev-parse", "--absolute-git-dir"]))
}

/// Settings that would each run a program.
fn settings(trap: &str) -> String {
    format!(
        "[core]\n\tfsmonitor = {trap}\n\thooksPath = {hooks}\n\tpager = {trap}\n\teditor = {trap}\n\
         \tsshCommand = {trap}\n\talternateRefsCommand = {trap}\n\tgitProxy = {trap}\n\
         [diff]\n\texternal = {trap}\n[diff \"x\"]\n\tcommand = {trap}\n\ttextconv = {trap}\n\
         [filter \"x\"]\n\tclean = {trap}\n\tsmudge = {trap}\n\tprocess = {trap}\n\trequired = true\n\
         [merge \"x\"]\n\tdriver = {trap}\n[gpg]\n\tprogram = {trap}\n[commit]\n\tgpgSign = true\n\
         [user]\n\tsigningKey = x\n[credential]\n\thelper = !{trap}\n[log]\n\tshowSignature = true\n\
         [alias]\n\tls-files = !{trap}\n\tworktree = !{trap}\n[interactive]\n\tdiffFilter = {trap}\n\
         [hook \"x\"]\n\tcommand = {trap}\n\tevent = reference-transaction\n\
         [submodule]\n\trecurse = true\n[status]\n\tsubmoduleSummary = true\n",
        hooks = PathBuf::from(trap).parent().unwrap().join("hooks").display(),
    )
}

/// Hooks of every kind.
fn hooks(ground: &Ground, folder: &str) {
    fs::create_dir_all(ground.path.join(folder)).unwrap();
    for name in [
        "pre-commit",
        "post-commit",
        "post-checkout",
        "reference-transaction",
        "post-index-change",
        "prepare-commit-msg",
        "commit-msg",
        "pre-auto-gc",
        "fsmonitor-watchman",
        "post-merge",
    ] {
        ground.trap(&format!("{folder}/{name}"));
    }
}

#[test]
fn settings_attributes_and_hooks_run_nothing() {
    let ground = Ground::new();
    let worktree = ground.made();
    let trap = ground.trap("trap").display().to_string();
    hooks(&ground, "hooks");
    hooks(&ground, "r/.git/hooks");
    let config = ground.read("r/.git/config");
    let more = config.clone() + &settings(&trap) + "[extensions]\n\tworktreeConfig = true\n";
    fs::write(ground.path.join("r/.git/config"), more).unwrap();
    fs::write(admin(&ground).join("config.worktree"), settings(&trap)).unwrap();
    ground.write(&ground.at(".gitattributes"), "* filter=x diff=x merge=x\n");
    ground.write("r/.git/info/attributes", "* filter=x diff=x merge=x\n");
    ground.write(
        &ground.at(".gitmodules"),
        &format!("[submodule \"x\"]\n\tpath = x\n\turl = ext::{trap}\n\tupdate = !{trap}\n"),
    );
    ground.write(&ground.at("a.txt"), "changed\n");
    ground.write("r/a.txt", "one\ntwo\nthree\nfour\nfive\n");
    everything(&ground, worktree);
    // A second one is made while all that is there.
    ground.write("r/a.txt", "changed\n");
    let folder = ground.tree("other");
    let wish =
        worktree::Wish { run: "other", task: "t", folder: &folder, with_changes: true, carry: &[] };
    let other = worktree::make(&ground.repo(), &wish).unwrap().worktree;
    assert_eq!(ground.read("state/trees/other/a.txt"), "changed\n");
    everything(&ground, other);
    ground.nothing_ran();

    // The traps are real: git itself would spring them.
    let _ = ground.git_would("state/trees/other", &["status"]);
    assert!(ground.exists("sprung"));
}

#[test]
fn repositories_within_run_nothing_and_are_told() {
    let ground = Ground::new();
    let worktree = ground.made();
    let trap = ground.trap("trap").display().to_string();
    let nested = ground.at("nested");
    ground.write(&ground.at("nested/file"), "x\n");
    ground.git(&nested, &["init", "-q"]);
    ground.git(&nested, &["add", "-A"]);
    ground.git(&nested, &["commit", "-qm", "x"]);
    let config = ground.read(&ground.at("nested/.git/config")) + &settings(&trap);
    fs::write(ground.path.join(ground.at("nested/.git/config")), config).unwrap();
    // One in a folder that is tracked, one that is a link, and one that is none.
    ground.write(&ground.at("src/.git"), "gitdir: ../nested/.git\n");
    symlink("nested", ground.tree(RUN).join("link")).unwrap();
    ground.write(&ground.at("src/more.rs"), "more\n");
    let changes = worktree.changes().unwrap();
    let names: Vec<_> = changes.files.iter().map(|change| change.path.to_str().unwrap()).collect();
    assert_eq!(names, ["link", "src/more.rs"]);
    let left_out: Vec<_> = changes.left_out.iter().map(|entry| entry.what.as_str()).collect();
    assert_eq!(left_out, ["`nested/`"]);
    everything(&ground, worktree);
    ground.nothing_ran();
    // What was held of them is their files.
    assert_eq!(ground.read(&ground.at("nested/file")), "x\n");
    let nested = ground.at("nested");
    ground.git(&nested, &["init", "-q"]);
    fs::write(ground.path.join(nested).join(".git/config"), settings(&trap)).unwrap();
    let _ = ground.git_would(&ground.at("nested"), &["status"]);
    assert!(ground.exists("sprung"));
}

#[test]
fn a_submodule_that_is_given_a_repository_runs_nothing() {
    let ground = Ground::new();
    ground.write("lib/lib.txt", "lib\n");
    ground.git("lib", &["init", "-q", "-b", "main"]);
    ground.git("lib", &["add", "-A"]);
    ground.git("lib", &["commit", "-qm", "lib"]);
    ground.git("r", &["submodule", "--quiet", "add", "../lib", "lib"]);
    ground.git("r", &["commit", "-qam", "lib"]);
    let worktree = ground.made();
    let trap = ground.trap("trap").display().to_string();
    let at = ground.at("lib");
    ground.git(&at, &["init", "-q"]);
    ground.git(&at, &["commit", "-q", "--allow-empty", "-m", "x"]);
    let config = ground.read(&ground.at("lib/.git/config")) + &settings(&trap);
    fs::write(ground.path.join(ground.at("lib/.git/config")), config).unwrap();
    assert_eq!(worktree.commit("x").unwrap().left_out[0].what, "`lib`");
    let branch = worktree.branch().to_owned();
    everything(&ground, worktree);
    ground.nothing_ran();
    let link = |at: &str| ground.git("r", &["ls-tree", at, "lib"]);
    assert_eq!(link(&branch), link("HEAD"));
}

#[test]
fn an_index_of_theirs_is_not_read_and_theirs_is_all_that_is_written() {
    let ground = Ground::new();
    let worktree = ground.made();
    let at = ground.at("");
    // It hides a change, speaks of what is not there, and is a link to elsewhere.
    ground.git(&at, &["update-index", "--assume-unchanged", "a.txt"]);
    ground.git(&at, &["update-index", "--skip-worktree", "src/lib.rs"]);
    ground.write(&ground.at("a.txt"), "hidden\n");
    ground.write(&ground.at("src/lib.rs"), "hidden\n");
    ground.write("elsewhere", "not ours\n");
    let index = admin(&ground).join("index");
    fs::remove_file(&index).unwrap();
    symlink(ground.path.join("elsewhere"), &index).unwrap();
    symlink(ground.path.join("elsewhere"), admin(&ground).join("index.lock")).unwrap();
    let commit = worktree.commit("x").unwrap().commit.unwrap();
    let names = ground.git("r", &["show", "--name-only", "--format=", &commit]);
    assert_eq!(names, "a.txt\nsrc/lib.rs");
    assert_eq!(ground.read("elsewhere"), "not ours\n");

    fs::remove_file(admin(&ground).join("index.lock")).unwrap();
    fs::remove_file(&index).unwrap();
    fs::write(&index, b"DIRC garbage").unwrap();
    worktree.commit("x").unwrap();
    assert_eq!(ground.git(&at, &["status", "--porcelain"]), "");
}

#[test]
fn a_work_tree_that_points_elsewhere_is_not_used() {
    type Plant = fn(&Ground);
    let plants: [(Plant, &str); 7] = [
        (|g| g.write(&g.at(".git"), &format!("gitdir: {}/evil/.git\n", g.path.display())), "says"),
        (
            |g| {
                fs::remove_file(g.tree(RUN).join(".git")).unwrap();
                symlink(g.path.join("evil/.git"), g.tree(RUN).join(".git")).unwrap();
            },
            "not the file",
        ),
        (
            |g| {
                fs::remove_file(g.tree(RUN).join(".git")).unwrap();
                fs::rename(g.path.join("evil/.git"), g.tree(RUN).join(".git")).unwrap();
            },
            "not the file",
        ),
        (|g| fs::remove_file(g.tree(RUN).join(".git")).unwrap(), "not the file"),
        (
            |g| {
                let admin = admin(g);
                fs::rename(&admin, g.path.join("moved")).unwrap();
                symlink(g.path.join("moved"), admin).unwrap();
            },
            "not its folder",
        ),
        (
            |g| fs::write(admin(g).join("gitdir"), "/somewhere/else/.git\n").unwrap(),
            "not its folder",
        ),
        (
            |g| {
                let tree = g.tree(RUN);
                fs::rename(&tree, g.path.join("moved")).unwrap();
                symlink(g.path.join("moved"), tree).unwrap();
            },
            "no folder",
        ),
    ];
    for (plant, why) in plants {
        let ground = Ground::new();
        let worktree = ground.made();
        let trap = ground.trap("trap").display().to_string();
        ground.write("evil/x", "x\n");
        ground.git("evil", &["init", "-q"]);
        let config = ground.read("evil/.git/config") + &settings(&trap);
        fs::write(ground.path.join("evil/.git/config"), config).unwrap();
        ground.write(&ground.at("a.txt"), "changed\n");
        plant(&ground);
        ground.undisturbed("r", || {
            let tries: [&dyn Fn() -> Result<(), WorktreeError>; 5] = [
                &|| worktree.commit("x").map(drop),
                &|| worktree.changes().map(drop),
                &|| worktree.patch().map(drop),
                &|| worktree.state().map(drop),
                &|| worktree.apply().map(drop),
            ];
            for attempt in tries {
                let error = attempt().unwrap_err();
                assert!(matches!(error, WorktreeError::Tampered { .. }), "{error}");
                assert!(error.to_string().contains(why), "{error}");
            }
        });
        ground.nothing_ran();
    }
}

#[test]
fn a_repository_that_says_its_work_tree_is_a_folder_above_is_not_used() {
    let ground = Ground::new();
    ground.git("r", &["config", "core.worktree", &ground.path.display().to_string()]);
    let error = Repo::at(&ground.path.join("r")).unwrap_err();
    assert!(error.to_string().contains("core.worktree"), "{error}");
    // Where both say so, it is.
    ground.git("r", &["config", "core.worktree", &ground.path.join("r").display().to_string()]);
    assert_eq!(ground.repo().work_tree(), ground.path.join("r"));
    ground.git("r", &["init", "-q", "--separate-git-dir", "../aside"]);
    assert_eq!(ground.repo().work_tree(), ground.path.join("r"));
}

#[test]
fn what_git_does_not_take_keeps_nothing_else_from_being_taken() {
    let ground = Ground::new();
    let worktree = ground.made();
    for name in [".GIT/config", "git~1/config", "x/.git./y", "deep/.Git/hooks/z"] {
        ground.write(&ground.at(name), "x\n");
    }
    symlink("a.txt", ground.tree(RUN).join(".gitmodules")).unwrap();
    for number in 0..20 {
        ground.write(&ground.at(&format!("good/{number}")), "x\n");
    }
    let committed = worktree.commit("x").unwrap();
    let names = ground.git("r", &["show", "--name-only", "--format=", &committed.commit.unwrap()]);
    assert_eq!(names.lines().count(), 20, "{names}");
    assert_eq!(committed.left_out.len(), 5, "{:?}", committed.left_out);
    // Which is no reason to lose it.
    let error = worktree.discard(&Discard::default()).unwrap_err();
    assert!(error.to_string().contains(".GIT/config"), "{error}");
    assert!(ground.exists(&ground.at(".GIT/config")));
}

#[test]
fn what_an_ordinary_user_may_not_read_is_left_out() {
    let ground = Ground::new();
    let worktree = ground.made();
    ground.write(&ground.at("secret"), "x\n");
    ground.write(&ground.at("fine"), "x\n");
    let secret = ground.tree(RUN).join("secret");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(&secret).is_ok() {
        // The superuser reads everything.
        assert_eq!(worktree.commit("x").unwrap().left_out, []);
        return;
    }
    let left_out = worktree.commit("x").unwrap().left_out;
    assert_eq!(left_out[0].what, "`secret`");
}

#[test]
fn a_pipe_in_the_place_of_a_file_that_git_reads_is_found() {
    let ground = Ground::new();
    let worktree = ground.made();
    let pipe = ground.tree(RUN).join("src/.gitignore");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let error = worktree.changes().unwrap_err();
    assert!(error.to_string().contains("src/.gitignore"), "{error}");
}
