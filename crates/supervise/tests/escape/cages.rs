//! What is told of a cage, what is refused, and what is left when it is gone.

use std::ffi::OsString;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use supervise::{
    CacheWay, Caches, Cage, Exit, Guarantee, LaunchError, Profile, Proof, Stdin, TreeReport,
    UnixSockets, probe_cages,
};

use crate::controls::succeeds;
use crate::suite::{story, why_not};
use crate::world::{SECRET, World, git, place, say};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        story("everything_that_is_asked_for_is_proven", || {
            with(Profile::Strict, |world| proven(world, &world.cage()))?;
            with(Profile::Wrap, |world| proven(world, &world.cage()))
        }),
        story("a_cage_that_contradicts_itself_is_refused", || {
            with(Profile::Strict, contradictions)
        }),
        story("caches_are_the_trees_own_and_last", check_caches),
        story("what_cannot_be_protected_is_refused", || with(Profile::Strict, unprotectable)),
        story("a_placeholder_lasts_as_long_as_its_last_tree", || {
            with(Profile::Strict, placeholders)
        }),
        story("an_empty_folder_of_the_users_stays", || {
            with(Profile::Strict, |world| {
                let path = world.scene.in_work(".codex");
                fs::create_dir(&path)?;
                succeeds(world, world.cage(), "nothing", "! mkdir .codex/x")?;
                assert!(path.is_dir());
                Ok(())
            })
        }),
        story("a_pointer_of_a_work_tree_is_protected", || with(Profile::Strict, pointer)),
        story("what_is_hidden_stays_so_whatever_is_put_in_its_place", || {
            with(Profile::Strict, replaced)?;
            with(Profile::Wrap, replaced)
        }),
        story("a_writable_tree_within_what_is_hidden_is_seen", || {
            with(Profile::Wrap, |world| {
                let inner = world.scene.base.join("state/trees/one");
                fs::create_dir_all(&inner)?;
                let cage = Cage { write: vec![inner.clone()], ..world.cage() };
                let script = format!(
                    "cd {0} && echo x > x && ! ls {0}/../.. && ! cat {0}/../../secret",
                    inner.display()
                );
                succeeds(world, cage, "a tree within", &script)
            })
        }),
        story("what_is_to_be_read_is_seen_within_what_is_hidden_and_nothing_else_of_it", || {
            with(Profile::Strict, read_within)
        }),
        story("what_is_hidden_in_a_tree_in_tmp_is_not_seen", || {
            with(Profile::Strict, hidden_in_tmp)
        }),
        story("a_command_in_tmp_does_not_see_the_tmp_of_others", || {
            with(Profile::Strict, |world| {
                let cage = Cage { write: vec![world.scene.work.clone()], ..world.cage() };
                let (tree, output) =
                    world.launch_in(Path::new("/tmp"), cage, "test -z \"$(ls)\"")?;
                let mut code = None;
                tree.watch(output, |report| {
                    if let supervise::TreeReport::Exited(exit) = report {
                        code = Some(exit);
                    }
                });
                assert_eq!(code, Some(supervise::Exit::Code(0)), "{}", world.said());
                Ok(())
            })
        }),
        story("a_bound_socket_is_covered_where_own_ones_are_allowed", || {
            with(Profile::Strict, private_sockets)
        }),
        story("no_namespace_is_left_of_a_killed_tree", || with(Profile::Strict, killed)),
        story("a_trial_tells_what_this_machine_gives", || {
            let place = place();
            let trials = probe_cages(place.path());
            assert_eq!(trials.len(), 2);
            for trial in trials {
                match trial.result {
                    Ok((report, _)) => assert_eq!(report.profile, trial.profile),
                    Err(why) => say(&format!("{:?}: {why}", trial.profile)),
                }
            }
            assert_eq!(fs::read_dir(place.path())?.count(), 0);
            Ok(())
        }),
    ]
}

fn with(profile: Profile, tell: impl FnOnce(&World) -> Result<(), Failed>) -> Result<(), Failed> {
    let world = World::new(profile);
    match why_not(&world, &world.cage()) {
        None => tell(&world),
        Some(why) => {
            say(&format!("skipped: {why}"));
            Ok(())
        }
    }
}

/// Places a script that answers `here`.
fn tool(folder: &Path) -> std::io::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let tool = folder.join("tool-of-a-test");
    fs::write(&tool, "#!/bin/sh\necho here\n")?;
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755))?;
    Ok(tool)
}

fn read_within(world: &World) -> Result<(), Failed> {
    let kept = world.scene.base.join("state/tools");
    let tool = tool(&kept)?;
    let in_tmp = tempfile::tempdir_in("/tmp")?;
    let file = in_tmp.path().join("of it");
    fs::write(&file, "seen")?;
    fs::write(in_tmp.path().join("beside"), "")?;
    let read = vec![kept.clone(), file.clone(), kept.join("not-there")];
    let cage = Cage { read, ..world.cage() };
    let script = format!(
        "test $({}) = here && ! touch {}/x && ! cat {1}/../secret && ! ls {1}/.. && \
         test \"$(cat '{}')\" = seen && test \"$(ls {})\" = 'of it'",
        tool.display(),
        kept.display(),
        file.display(),
        in_tmp.path().display(),
    );
    succeeds(world, cage, "what is to be read", &script)?;
    assert_eq!(fs::read_dir(&kept)?.count(), 1);
    Ok(())
}

/// What its owner does with what is hidden while a tree lives: writes it anew, makes what was not there.
fn replaced(world: &World) -> Result<(), Failed> {
    let home = world.scene.base.join("home");
    let later = ["later", "not/yet", "cache/later"].map(|name| home.join(name));
    let mut cage = world.cage();
    // What lies where it may write cannot be kept from being replaced.
    cage.hide.retain(|path| !path.starts_with(&world.scene.work));
    cage.hide.extend(later.clone());
    let script = "echo > began; until test -e go; do sleep 0.01; done; cd ../home && ls -aR . >&2; \
                  cat token .ssh/id cache/token later not/yet cache/later; echo free | cat - beside";
    let argv = ["sh", "-c", script].map(OsString::from);
    let (mut tree, output) = world.launch(cage, &argv, Stdin::Null)?;
    let deadline = Instant::now() + Duration::from_secs(20);
    while !world.scene.in_work("began").exists() {
        assert!(Instant::now() < deadline, "{}", world.said());
        std::thread::sleep(Duration::from_millis(2));
    }
    let secret = home.join("secret");
    for path in ["token", "cache/token"].map(|name| home.join(name)).iter().chain(&later) {
        fs::create_dir_all(path.parent().expect("a folder"))?;
        fs::write(&secret, SECRET)?;
        fs::rename(&secret, path)?;
    }
    fs::remove_dir_all(home.join(".ssh"))?;
    fs::create_dir(home.join(".ssh"))?;
    fs::write(home.join(".ssh/id"), SECRET)?;
    fs::write(home.join("beside"), "to be seen")?;
    fs::write(world.scene.in_work("go"), "")?;
    let report = tree.take_caged().expect("a cage").report;
    let mut exit = None;
    tree.watch(output, |report| {
        if let TreeReport::Ended { exit: ended, .. } = report {
            exit = Some(ended);
        }
    });
    let said = world.said();
    assert_eq!(exit, Some(Exit::Code(0)), "{said}");
    assert!(!said.contains(SECRET) && said.contains("free\nto be seen"), "{said}");
    let hidden = report.standings.iter().find(|it| it.guarantee == Guarantee::FsHide);
    assert_eq!(hidden.and_then(|standing| standing.gap.as_deref()), None);
    Ok(())
}

fn hidden_in_tmp(world: &World) -> Result<(), Failed> {
    let place = tempfile::tempdir_in("/tmp")?;
    let (tree, beside) = (place.path().join("tree"), place.path().join("beside"));
    for folder in [tree.join("keys"), beside.clone()] {
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("key"), "secret")?;
    }
    fs::write(tree.join("token"), "secret")?;
    let hide = vec![tree.join("keys"), tree.join("keys/key"), tree.join("token"), beside];
    let cage = Cage { write: vec![tree.clone()], hide, ..world.cage() };
    let script = format!(
        "cd {} && ! ls keys && ! cat keys/key && test -e token && test -z \"$(cat token)\" && \
         ! ls ../beside && echo > x",
        tree.display()
    );
    succeeds(world, cage, "what is hidden in a tree in /tmp", &script)
}

/// Every guarantee is told, and each was tried by the command's own process.
pub(crate) fn proven(world: &World, cage: &Cage) -> Result<(), Failed> {
    let (_, caged) = world.run(cage.clone(), &["true".into()]);
    let report = caged.expect("a cage").report;
    let told: Vec<Guarantee> = report.standings.iter().map(|one| one.guarantee).collect();
    for asked in [
        Guarantee::NetDeny,
        Guarantee::FsWrite,
        Guarantee::FsProtect,
        Guarantee::FsHide,
        Guarantee::ProcIsolate,
        Guarantee::UnixDeny,
        Guarantee::KillTree,
    ] {
        assert!(told.contains(&asked), "{asked}: {told:?}");
    }
    for standing in &report.standings {
        assert!(matches!(standing.proof, Proof::Proven(_)), "{standing:?}");
        assert!(!standing.by.is_empty(), "{standing:?}");
    }
    assert_ne!(report.user.1, 0);
    assert_eq!(report.namespaces.len(), 6);
    Ok(())
}

/// Launching it is refused, with these words.
fn refused(world: &World, cage: Cage, words: &str) {
    match world.launch(cage, &["true".into()], Stdin::Null) {
        Err(LaunchError::BadCage(why)) => assert!(why.contains(words), "{why}"),
        other => panic!("{words}: {other:?}"),
    }
}

fn contradictions(world: &World) -> Result<(), Failed> {
    let scene = &world.scene;
    let write = |path: PathBuf| Cage { write: vec![path], ..world.cage() };
    refused(world, write(scene.in_work("not-there")), "is to be writable: No such file");
    refused(world, write(PathBuf::from("work")), "is to be writable");
    std::os::unix::fs::symlink("free", scene.in_work("link"))?;
    refused(world, write(scene.in_work("link")), "leads through a symbolic link");
    let within =
        Cage { write: vec![scene.work.clone(), scene.in_work(".git/info")], ..world.cage() };
    refused(world, within, "is to be writable, and within");
    for address in ["10.0.0.1:80", "0.0.0.0:80", "127.0.0.1:1000"] {
        let forward = vec![address.parse::<SocketAddr>()?];
        refused(world, Cage { forward, ..world.cage() }, "cannot be forwarded");
    }
    refused(world, write(scene.in_work("free/..")), "write it without `..`");
    let protect = vec![scene.in_work(".codex"), scene.in_work("free/../.git")];
    refused(world, Cage { protect, ..world.cage() }, "write it without `..`");
    // Nothing of what was prepared before is left.
    assert!(!scene.in_work(".codex").exists());
    Ok(())
}

fn unprotectable(world: &World) -> Result<(), Failed> {
    let scene = &world.scene;
    std::os::unix::fs::symlink("free", scene.in_work(".agents"))?;
    refused(world, world.cage(), "is a symbolic link");
    fs::remove_file(scene.in_work(".agents"))?;
    fs::hard_link(scene.in_work("codex-orchestrator.toml"), scene.in_work("free/other"))?;
    refused(world, world.cage(), "has another name");
    Ok(())
}

fn placeholders(world: &World) -> Result<(), Failed> {
    let path = world.scene.in_work(".codex");
    let stay =
        ["sh", "-c", "echo up; while ! test -e free/go; do sleep 0.01; done; mkdir .codex/x"];
    let (one, one_output) = world.launch(world.cage(), &stay.map(Into::into), Stdin::Null)?;
    assert!(path.is_dir());
    succeeds(world, world.cage(), "another tree", "! mkdir .codex/x && ! rmdir .codex")?;
    assert!(path.is_dir(), "the other tree took it away");
    fs::write(world.scene.in_work("free/go"), "")?;
    let mut code = None;
    one.watch(one_output, |report| {
        if let supervise::TreeReport::Exited(exit) = report {
            code = Some(exit);
        }
    });
    assert_eq!(code, Some(supervise::Exit::Code(1)));
    assert!(!path.exists(), "it is left");
    assert!(!world.scene.in_work("free/not").exists(), "it is left");
    Ok(())
}

/// A linked work tree's `.git` is a file that says where the rest is.
fn pointer(world: &World) -> Result<(), Failed> {
    let scene = &world.scene;
    let name = ["-c", "user.name=a", "-c", "user.email=a@b"];
    git(&scene.work, &[&name[..], &["commit", "-q", "--allow-empty", "-m", "x"]].concat());
    let tree = scene.base.join("tree");
    git(&scene.work, &["worktree", "add", "-q", &tree.display().to_string()]);
    let protect = vec![tree.join(".git"), scene.in_work(".git")];
    let cage = Cage { write: vec![tree.clone()], protect, ..world.cage() };
    let before = fs::read(tree.join(".git"))?;
    let script = format!(
        "cd {} && git status > s; echo evil > .git; mv .git g; rm -f .git; echo x > ../work/.git/x; \
         test -e g && exit 1; git status",
        tree.display()
    );
    succeeds(world, cage, "a linked work tree", &script)?;
    assert_eq!(fs::read(tree.join(".git"))?, before);
    Ok(())
}

fn private_sockets(world: &World) -> Result<(), Failed> {
    let cage = Cage { unix_sockets: UnixSockets::Private, ..world.cage() };
    let script = "python3 -c 'import socket, sys\n\
        a = socket.socket(socket.AF_UNIX); a.bind(\"free/own\"); a.listen()\n\
        socket.socket(socket.AF_UNIX).connect(\"free/own\")\n\
        try: socket.socket(socket.AF_UNIX).connect(sys.argv[1])\n\
        except OSError as error: print(error); sys.exit(0)\n\
        sys.exit(1)' ";
    let sock = world.scene.outside("sock");
    succeeds(world, cage, "a private socket", &format!("{script}{}", sock.display()))
}

fn killed(world: &World) -> Result<(), Failed> {
    for _ in 0..5 {
        let argv = ["sh", "-c", "setsid sleep 1000 & sleep 1000"].map(Into::into);
        let (mut tree, output) = world.launch(world.cage(), &argv, Stdin::Null)?;
        let caged = tree.take_caged().expect("a cage");
        kill(Pid::from_raw(tree.record().shim.pid), Signal::SIGKILL)?;
        tree.watch(output, |_| {});
        let own = caged.report.namespaces.clone();
        // These keep the network alive, and nothing else does.
        drop(caged);
        let deadline = Instant::now() + Duration::from_secs(10);
        while anybody_in(&own) {
            assert!(Instant::now() < deadline, "somebody is left in {own:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    Ok(())
}

fn anybody_in(namespaces: &[(String, u64)]) -> bool {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.filter(|entry| entry.path().join("ns").exists()).any(|entry| {
        namespaces.iter().any(|(kind, number)| {
            let link = fs::read_link(entry.path().join("ns").join(kind)).unwrap_or_default();
            link == Path::new(&format!("{kind}:[{number}]"))
        })
    })
}

/// What a tree does to a cache is there for the next, and the user's own stays as it was.
fn check_caches() -> Result<(), Failed> {
    let mut world = World::new(Profile::Strict);
    if let Some(why) = why_not(&world, &world.cage()) {
        say(&format!("skipped: {why}"));
        return Ok(());
    }
    let script = |script: &str| ["sh", "-c", script].map(OsString::from);
    let write = "cd ../home/cache && grep -q was crate && echo new > crate && echo new > more \
                 && rm index/file && echo own > ../../slots/own/x";
    let (first, caged) = world.run(world.cage(), &script(write));
    assert_eq!(first.exit, Exit::Code(0), "{}", first.said);
    let ways: Vec<CacheWay> =
        caged.expect("a cage").report.caches.into_iter().map(|cache| cache.way).collect();
    // Where the kernel lays nothing over it, only what is covered could have been written.
    assert_eq!(ways, [CacheWay::Overlay]);
    let read = "cd ../home/cache && grep -q new crate more && ! test -e index/file \
                && grep -q own ../../slots/own/x";
    let (second, _) = world.run(world.cage(), &script(read));
    assert_eq!(second.exit, Exit::Code(0), "{}", second.said);
    // Somebody who has the slot keeps it to himself.
    let lock = File::open(world.scene.base.join("slots/0").join(Caches::LOCK))?;
    let held = Flock::lock(lock, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| errno)?;
    let (third, _) = world.run(world.cage(), &script("cd ../home/cache && grep -q was crate"));
    assert_eq!(third.exit, Exit::Code(0), "{}", third.said);
    drop(held);
    assert_eq!(world.disturbed(), Vec::<String>::new());
    Ok(())
}
