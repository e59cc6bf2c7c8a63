//! Places where not everything can be had: there is another way, or a refusal that says why.
//!
//! Each place is a process of its own that has given something up for good, and tells its story
//! there.
#![expect(unsafe_code, reason = "a place is made by what nobody does who wants to be caged well")]

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::process::Command;

use libtest_mimic::{Failed, Trial};
use seccompiler::{SeccompAction, SeccompFilter};
use supervise::{CacheWay, Cage, Guarantee, LaunchError, Net, Profile, Refused, Stdin, Walls};

use crate::attempts;
use crate::controls::succeeds;
use crate::suite::{make, story, why_not};
use crate::world::{World, say};

const WORD: &str = "__place";
/// What a place says that cannot be made here.
const NOT_HERE: i32 = 77;

/// How a place is made, and what is so in it.
struct Place {
    name: &'static str,
    /// Whether namespaces have to be had before anything is given up.
    in_namespaces: bool,
    enter: fn() -> io::Result<()>,
    tell: fn() -> Result<(), Failed>,
}

const PLACES: &[Place] = &[
    Place {
        name: "without_user_namespaces_the_missing_is_named",
        in_namespaces: false,
        enter: forbid_namespaces,
        tell: || {
            let world = World::new(Profile::Strict);
            let refused = refusal(&world, world.cage());
            let missing = [Guarantee::NetDeny, Guarantee::FsProtect, Guarantee::FsHide];
            assert_eq!(refused.missing, missing);
            assert_eq!(refused.errno, libc::ENOSPC);
            let text = refused.to_string();
            for words in ["`net.deny`, `fs.protect`, `fs.hide`", "(ENOSPC)", "max_user_namespaces"]
            {
                assert!(text.contains(words), "{text}");
            }
            Ok(())
        },
    },
    Place {
        name: "without_user_namespaces_the_simple_is_had",
        in_namespaces: false,
        enter: forbid_namespaces,
        tell: || {
            let mut world = World::new(Profile::Strict);
            let (_, caged) = world.run(simple(&world), &["true".into()]);
            let report = caged.expect("a cage").report;
            assert_eq!(report.walls, Walls::LandlockAndSeccomp);
            succeeds(&world, simple(&world), "writing", "echo x > free/x && ! echo x > ../x")?;
            make_all(&mut world, simple, NOT_WITHOUT_NAMESPACES)
        },
    },
    Place {
        name: "without_user_namespaces_nothing_is_wrapped",
        in_namespaces: false,
        enter: forbid_namespaces,
        tell: || {
            let world = World::new(Profile::Wrap);
            let refused = refusal(&world, simple(&world));
            assert_eq!(refused.missing, [Guarantee::FsWrite]);
            Ok(())
        },
    },
    Place {
        name: "without_user_namespaces_and_landlock_nothing_is_had",
        in_namespaces: false,
        enter: || {
            forbid_namespaces()?;
            refuse(&[libc::SYS_landlock_create_ruleset], libc::ENOSYS)
        },
        tell: || {
            let world = World::new(Profile::Strict);
            let refused = refusal(&world, simple(&world));
            assert_eq!(refused.missing, [Guarantee::FsWrite, Guarantee::ProcIsolate]);
            Ok(())
        },
    },
    Place {
        name: "without_landlock_namespaces_are_enough",
        in_namespaces: true,
        enter: || refuse(&[libc::SYS_landlock_create_ruleset], libc::ENOSYS),
        tell: || {
            let mut world = World::new(Profile::Strict);
            let (_, caged) = world.run(world.cage(), &["true".into()]);
            let report = caged.expect("a cage").report;
            assert_eq!((report.walls, report.landlock), (Walls::Namespaces, None));
            // What only Landlock sees, among all that a mount does not make read-only.
            make_all(&mut world, World::cage, &["a_pipe_that_others_read"])
        },
    },
    Place {
        name: "a_covered_proc_is_told_and_nobody_gets_out",
        in_namespaces: false,
        enter: cover_proc,
        tell: || {
            let mut world = World::new(Profile::Strict);
            let (_, caged) = world.run(world.cage(), &["true".into()]);
            let report = caged.expect("a cage").report;
            assert_eq!(report.walls, Walls::NamespacesWithoutProc);
            let told = |one: &&supervise::Standing| one.guarantee == Guarantee::ProcIsolate;
            let standing = report.standings.iter().find(told).expect("told");
            assert!(standing.gap.as_ref().is_some_and(|gap| gap.contains("can be listed")));
            make_all(&mut world, World::cage, &["seeing_it"])
        },
    },
    Place {
        name: "a_covered_proc_in_wrap_lets_nobody_out",
        in_namespaces: false,
        enter: cover_proc,
        tell: || {
            let mut world = World::new(Profile::Wrap);
            make_all(&mut world, World::cage, &["seeing_it"])
        },
    },
    Place {
        name: "where_nothing_can_be_laid_over_a_cache_it_has_folders_of_its_own",
        in_namespaces: true,
        enter: || refuse(&[libc::SYS_fsopen], libc::EPERM),
        tell: || {
            let mut world = World::new(Profile::Strict);
            let (_, caged) = world.run(world.cage(), &["true".into()]);
            let report = caged.expect("a cage").report;
            let [cache] = report.caches.as_slice() else { panic!("{:?}", report.caches) };
            assert_eq!(cache.path, world.scene.base.join("home/cache").display().to_string());
            assert!(matches!(&cache.way, CacheWay::Folders(why) if why.contains("not permitted")));
            let index = world.scene.base.join("home/cache/index").display().to_string();
            // What the user has is not there, and the next tree finds what this one writes.
            let write = format!("test ! -e {index}/file && echo mine > {index}/new");
            succeeds(&world, world.cage(), "writing", &write)?;
            succeeds(&world, world.cage(), "reading", &format!("grep mine {index}/new"))?;
            succeeds(&world, world.cage(), "the rest", &format!("! touch {index}/../crate"))?;
            assert!(!world.scene.base.join("home/cache/index/new").exists());
            make_all(&mut world, World::cage, &[])
        },
    },
    Place {
        name: "root_without_its_greatest_powers_cages_as_well",
        in_namespaces: true,
        enter: || {
            // The numbers of CAP_NET_ADMIN, CAP_SYS_PTRACE and CAP_SYS_ADMIN.
            give_up(&[12, 19, 21])
        },
        tell: || {
            let mut world = World::new(Profile::Strict);
            let (_, caged) = world.run(world.cage(), &["true".into()]);
            assert_eq!(caged.expect("a cage").report.walls, Walls::Namespaces);
            make_all(&mut world, World::cage, &[])
        },
    },
    Place {
        name: "root_that_cannot_map_itself_is_told_so",
        in_namespaces: true,
        // The number of CAP_SETFCAP.
        enter: || give_up(&[31]),
        tell: || {
            let world = World::new(Profile::Strict);
            let refused = refusal(&world, world.cage());
            assert_eq!(refused.errno, libc::EPERM);
            assert!(refused.way_out.contains("CAP_SETFCAP"), "{refused}");
            Ok(())
        },
    },
    Place {
        name: "where_namespaces_may_not_be_made_that_is_said",
        in_namespaces: false,
        enter: || refuse_namespaces(),
        tell: || {
            let world = World::new(Profile::Strict);
            let refused = refusal(&world, world.cage());
            assert_eq!(refused.errno, libc::EPERM);
            assert!(refused.way_out.contains("unprivileged_userns_clone"), "{refused}");
            let (_, caged) = world.run(simple(&world), &["true".into()]);
            assert_eq!(caged.expect("a cage").report.walls, Walls::LandlockAndSeccomp);
            Ok(())
        },
    },
    Place {
        name: "where_namespaces_are_of_no_use_that_is_said",
        in_namespaces: true,
        enter: || refuse(&[libc::SYS_mount], libc::EACCES),
        tell: || {
            let world = World::new(Profile::Strict);
            let refused = refusal(&world, world.cage());
            assert_eq!(refused.errno, libc::EACCES);
            assert!(refused.call.contains("mounts private"), "{refused}");
            assert!(refused.way_out.contains("apparmor"), "{refused}");
            Ok(())
        },
    },
];

/// What needs a mount: other files of the same user can have their modes changed, and what runs
/// outside can be listed.
const NOT_WITHOUT_NAMESPACES: &[&str] = &[
    "deep_below_what_is_not_there",
    "changing_the_mode",
    "changing_the_mode_of_what_is_open",
    "changing_the_owner",
    "changing_the_times",
    "changing_an_attribute",
    "changing_a_flag",
    "seeing_it",
    "its_rank",
    "the_rank_of_all_of_the_users",
    "its_limits",
    "its_processors",
    "memory_that_is_shared_by_a_key",
    "a_message_queue",
    "a_file_in_tmp",
    "a_file_in_shared_memory",
    "a_token_in_a_cache",
    "another_slot",
    "the_slots",
    "the_mode_of_what_a_cache_has",
    "the_state",
    "the_journal",
    "a_key",
    "a_token",
    "a_token_in_a_folder_of_ones_own",
    "what_is_in_the_state",
    "a_lock_on_the_journal",
    "the_state_by_any_process",
    "tmp_by_the_first_process",
    "the_state_by_the_first_process",
    "namespaces_at_birth",
];

/// What can be had without namespaces.
fn simple(world: &World) -> Cage {
    let full = world.cage();
    Cage {
        network: Net::None,
        protect: Vec::new(),
        hide: Vec::new(),
        caches: None,
        private_tmp: false,
        forward: Vec::new(),
        channel: false,
        write: vec![world.scene.in_work("free")],
        ..full
    }
}

/// Every attempt but these, in such cages.
fn make_all(world: &mut World, cage: fn(&World) -> Cage, but: &[&str]) -> Result<(), Failed> {
    for (_, attempts) in attempts::areas() {
        let made = attempts.iter().filter(|attempt| !but.contains(&attempt.name));
        let made: Vec<_> = made.copied().collect();
        make(world, &made, |world| Some(cage(world)))?;
    }
    Ok(())
}

fn refusal(world: &World, cage: Cage) -> Refused {
    match world.launch(cage, &["true".into()], Stdin::Null) {
        Err(LaunchError::NotCaged(refused)) => refused,
        other => panic!("it is not refused: {other:?}"),
    }
}

/// Why there are none here, before anything is given up.
fn no_cages() -> Option<String> {
    let world = World::new(Profile::Strict);
    why_not(&world, &world.cage())
}

pub(crate) fn trials() -> Vec<Trial> {
    let for_root =
        |place: &&Place| nix::unistd::geteuid().is_root() || !place.name.contains("root");
    let trial = |place: &Place| {
        let (name, in_namespaces) = (place.name, place.in_namespaces);
        story(name, move || {
            if in_namespaces && let Some(why) = no_cages() {
                say(&format!("skipped: {why}"));
                return Ok(());
            }
            let program = std::env::current_exe()?;
            let status = Command::new(program).args([WORD, name]).status()?;
            match status.code() {
                Some(0) => Ok(()),
                Some(NOT_HERE) => {
                    say("skipped: there can be no such place here");
                    Ok(())
                }
                _ => Err(format!("there: {status}").into()),
            }
        })
    };
    PLACES.iter().filter(for_root).map(trial).collect()
}

pub(crate) fn become_place_if_asked() {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let [word, name] = arguments.as_slice() else { return };
    if word != OsStr::new(WORD) {
        return;
    }
    let place = PLACES.iter().find(|place| name == OsStr::new(place.name)).expect("a place");
    if let Err(error) = (place.enter)() {
        say(&format!("it cannot be made: {error}"));
        std::process::exit(NOT_HERE);
    }
    if let Err(failed) = (place.tell)() {
        say(&format!("{failed:?}"));
        std::process::exit(1);
    }
    std::process::exit(0);
}

fn done(gave: impl Into<i64>) -> io::Result<()> {
    if gave.into() < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A user namespace in which no further one can be made.
fn forbid_namespaces() -> io::Result<()> {
    into_namespaces(0)?;
    fs::write("/proc/sys/user/max_user_namespaces", "0")?;
    // What would let the limit be lifted again is kept by root, who does not.
    Ok(())
}

/// The same user in a user namespace, and in others.
fn into_namespaces(others: i32) -> io::Result<()> {
    // SAFETY: no pointers.
    let (uid, gid) = unsafe { (libc::getuid(), libc::getgid()) };
    // SAFETY: no pointers.
    done(unsafe { libc::unshare(libc::CLONE_NEWUSER | others) })?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
    fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"))
}

/// Covers a file of `/proc`, as containers do, for all namespaces below.
fn cover_proc() -> io::Result<()> {
    into_namespaces(libc::CLONE_NEWNS)?;
    let (null, file) = (c"/dev/null".as_ptr(), c"/proc/version".as_ptr());
    let nothing = std::ptr::null();
    // SAFETY: all are strings or null.
    unsafe {
        let private = libc::MS_REC | libc::MS_PRIVATE;
        done(libc::mount(nothing, c"/".as_ptr(), nothing, private, nothing.cast()))?;
        done(libc::mount(null, file, nothing, libc::MS_BIND, nothing.cast()))
    }
}

/// Gives up capabilities for good.
fn give_up(capabilities: &[u32]) -> io::Result<()> {
    let header = [0x2008_0522_u32, 0];
    let mut sets = [0_u32; 6];
    // SAFETY: both are as large as this version of the call says.
    unsafe {
        done(libc::syscall(libc::SYS_capget, header.as_ptr(), sets.as_mut_ptr()))?;
        for capability in capabilities {
            done(libc::prctl(libc::PR_CAPBSET_DROP, *capability, 0, 0, 0))?;
            let (half, bit) = (*capability as usize / 32 * 3, 1 << (capability % 32));
            for set in &mut sets[half..half + 3] {
                *set &= !bit;
            }
        }
        done(libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()))
    }
}

/// Has the kernel refuse these calls with that error, here and below.
fn refuse(calls: &[i64], errno: i32) -> io::Result<()> {
    install(calls.iter().map(|call| (*call, Vec::new())).collect(), errno)
}

fn refuse_namespaces() -> io::Result<()> {
    use seccompiler::{SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule};
    refuse(&[libc::SYS_clone3], libc::ENOSYS)?;
    let user = libc::CLONE_NEWUSER as u64;
    let compare = SeccompCmpOp::MaskedEq(user);
    let new = SeccompCondition::new(0, SeccompCmpArgLen::Dword, compare, user);
    let rule = new.and_then(|new| SeccompRule::new(vec![new])).map_err(io::Error::other)?;
    install([(libc::SYS_clone, vec![rule])].into(), libc::EPERM)
}

fn install(
    rules: std::collections::BTreeMap<i64, Vec<seccompiler::SeccompRule>>,
    errno: i32,
) -> io::Result<()> {
    let arch = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
    let refuse = SeccompAction::Errno(errno as u32);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch);
    let program: seccompiler::BpfProgram =
        filter.and_then(TryInto::try_into).map_err(io::Error::other)?;
    seccompiler::apply_filter(&program).map_err(io::Error::other)
}
