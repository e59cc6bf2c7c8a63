//! At processes outside, and at outliving the tree.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::{Attempt, Call, CallIfStrict, World, as_root_within, attempt, done, in_child, text};

pub(super) const ATTEMPTS: &[Attempt] = &[
    attempt("a_signal", World, |scene| signal(scene.victim)),
    attempt("a_signal_to_its_group", World, |scene| signal(-scene.victim)),
    attempt("a_signal_to_a_thread", World, |scene| {
        let (pid, kill) = (scene.victim, libc::SIGKILL);
        // SAFETY: no pointers.
        done(unsafe { libc::syscall(libc::SYS_tgkill, pid, pid, kill) }).map(drop)
    }),
    attempt("a_signal_with_a_value", World, |scene| {
        // SAFETY: zero is valid for this structure.
        let mut information: libc::siginfo_t = unsafe { std::mem::zeroed() };
        information.si_code = libc::SI_QUEUE;
        let (pid, kill) = (scene.victim, libc::SIGKILL);
        // SAFETY: the information outlives the call.
        done(unsafe { libc::syscall(libc::SYS_rt_sigqueueinfo, pid, kill, &raw const information) })
            .map(drop)
    }),
    attempt("a_signal_to_everybody", World, |_| in_child(|| signal(-1))),
    attempt("a_signal_to_every_number", World, |_| {
        let me = std::process::id() as i32;
        for pid in (2..70_000).filter(|pid| *pid != me) {
            let _ = signal(pid);
        }
        Ok(())
    }),
    attempt("a_signal_by_a_handle", World, |scene| {
        // SAFETY: no pointers.
        let handle = done(unsafe { libc::syscall(libc::SYS_pidfd_open, scene.victim, 0) })?;
        let (null, kill) = (std::ptr::null::<u8>(), libc::SIGKILL);
        // SAFETY: no information is allowed.
        done(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, handle, kill, null, 0) }).map(drop)
    }),
    attempt("a_signal_when_something_can_be_read", World, |scene| {
        let mut ends = [0; 2];
        // SAFETY: there is room for both.
        done(unsafe { libc::pipe(ends.as_mut_ptr()) })?;
        // SAFETY: numbers only.
        unsafe {
            libc::fcntl(ends[0], F_SETSIG, libc::SIGKILL);
            done(libc::fcntl(ends[0], libc::F_SETOWN, scene.victim))?;
            libc::fcntl(ends[0], libc::F_SETFL, libc::O_ASYNC);
            libc::write(ends[1], b"x".as_ptr().cast(), 1);
        }
        Ok(())
    }),
    attempt("a_signal_as_root_below", World, |scene| as_root_within(0, || signal(scene.victim))),
    attempt("a_signal_to_the_first_process", World, |_| {
        signal(1)?;
        // Who is alive after that was not killed with the namespace.
        Ok(())
    }),
    attempt("tracing", Call, |scene| trace(libc::PTRACE_ATTACH, scene.victim)),
    attempt("tracing_by_seizing", Call, |scene| trace(libc::PTRACE_SEIZE, scene.victim)),
    attempt("tracing_the_first_process", Call, |_| trace(libc::PTRACE_ATTACH, 1)),
    attempt("tracing_the_first_process_as_root_below", Call, |_| {
        as_root_within(0, || trace(libc::PTRACE_ATTACH, 1))
    }),
    attempt("tracing_its_own_child", CallIfStrict, |_| in_child(|| trace(libc::PTRACE_TRACEME, 0))),
    attempt("reading_its_memory", Call, |scene| memory(libc::SYS_process_vm_readv, scene.victim)),
    attempt("writing_its_memory", Call, |scene| memory(libc::SYS_process_vm_writev, scene.victim)),
    attempt("reading_the_first_process_memory", Call, |_| memory(libc::SYS_process_vm_readv, 1)),
    attempt("its_rank", World, |scene| {
        // SAFETY: no pointers.
        done(unsafe { libc::setpriority(libc::PRIO_PROCESS, scene.victim as u32, 19) }).map(drop)
    }),
    attempt("the_rank_of_all_of_the_users", World, |_| {
        // SAFETY: no pointers.
        done(unsafe { libc::setpriority(libc::PRIO_USER, 0, 19) }).map(drop)
    }),
    attempt("its_limits", World, |scene| {
        let limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
        let (pid, null) = (scene.victim, std::ptr::null::<u8>());
        // SAFETY: the limit outlives the call, and the old one is not asked for.
        done(unsafe {
            libc::syscall(libc::SYS_prlimit64, pid, libc::RLIMIT_NOFILE, &raw const limit, null)
        })
        .map(drop)
    }),
    attempt("its_processors", Call, |scene| {
        let set = [1_u64; 16];
        let (pid, length) = (scene.victim, size_of_val(&set));
        // SAFETY: the set outlives the call and is as long as is said.
        done(unsafe { libc::syscall(libc::SYS_sched_setaffinity, pid, length, set.as_ptr()) })
            .map(drop)
    }),
    attempt("its_being_killed_first", World, |scene| {
        fs::write(format!("/proc/{}/oom_score_adj", scene.victim), "1000")
    }),
    attempt("seeing_it", Call, |scene| {
        let name = fs::read_to_string(format!("/proc/{}/comm", scene.victim))?;
        if name.trim() == "cat" { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }),
    attempt("a_message_queue", Call, |scene| {
        // SAFETY: no pointers.
        done(unsafe { libc::shmget(scene.sysv_key, 0, 0) }).map(drop)
    }),
    attempt("becoming_root", Call, |_| {
        // Without namespaces root stays root, by name.
        // SAFETY: no pointers.
        if unsafe { libc::getuid() } == 0 {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        // SAFETY: no pointers.
        done(unsafe { libc::setuid(0) }).map(drop)
    }),
    attempt("becoming_somebody_else", Call, |_| {
        // SAFETY: no pointers.
        done(unsafe { libc::setresuid(1, 1, 1) }).map(drop)
    }),
    attempt("other_groups", Call, |_| {
        let groups = [0_u32];
        // SAFETY: one number is there to be read.
        done(unsafe { libc::setgroups(1, groups.as_ptr()) }).map(drop)
    }),
    attempt("a_program_that_makes_root", Call, |_| {
        let program = ["/usr/bin/su", "/bin/su", "/usr/bin/passwd", "/usr/bin/mount"];
        let program = program.iter().find(|path| fs::metadata(path).is_ok());
        let program = program.ok_or(io::ErrorKind::NotFound)?;
        // Whether it would be root: the kernel tells a program so, and that is what it does.
        let mut command = Command::new(program);
        let child = command.arg("--help").stdout(std::process::Stdio::piped()).spawn()?;
        let status = fs::read_to_string(format!("/proc/{}/status", child.id()))?;
        let uid = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
        let numbers: Vec<&str> = uid.split_whitespace().collect();
        if numbers.get(1) == numbers.first() {
            Err(io::ErrorKind::PermissionDenied.into())
        } else {
            Ok(())
        }
    }),
    attempt("powers_that_were_given_up", Call, |_| {
        let status = fs::read_to_string("/proc/self/status")?;
        // What it could be given by programs that give powers is no power: none does any more.
        let powers =
            status.lines().filter(|line| line.starts_with("Cap") && !line.starts_with("CapBnd"));
        let mut left = powers.filter(|line| !line.ends_with("0000000000000000"));
        left.next().map(drop).ok_or_else(|| io::ErrorKind::PermissionDenied.into())
    }),
    attempt("new_privileges", Call, |_| {
        // SAFETY: no pointers.
        done(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0) })?;
        // SAFETY: no pointers.
        let left = unsafe { libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) };
        if left == 0 { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
    }),
    attempt("namespaces_of_its_own", CallIfStrict, |_| in_child(|| unshare(libc::CLONE_NEWUSER))),
    attempt("mounts_of_its_own", Call, |_| in_child(|| unshare(libc::CLONE_NEWNS))),
    attempt("a_time_of_its_own", Call, |_| in_child(|| unshare(0x80))),
    attempt("namespaces_at_birth", CallIfStrict, |_| {
        let flags = i64::from(libc::CLONE_NEWUSER | libc::SIGCHLD);
        // SAFETY: without a stack this is a fork, and this process has one thread.
        match unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) } {
            0 => std::process::exit(0),
            child => done(child).map(drop),
        }
    }),
    attempt("namespaces_at_birth_by_the_newer_call", CallIfStrict, |_| {
        let mut arguments = [0_u64; 11];
        arguments[0] = libc::CLONE_NEWUSER as u64;
        arguments[4] = libc::SIGCHLD as u64;
        let length = size_of_val(&arguments);
        // SAFETY: as above.
        match unsafe { libc::syscall(libc::SYS_clone3, arguments.as_ptr(), length) } {
            0 => std::process::exit(0),
            child => done(child).map(drop),
        }
    }),
    attempt("the_namespaces_of_any_process", CallIfStrict, |_| {
        // SAFETY: no pointers; the descriptor is new.
        let process = unsafe {
            OwnedFd::from_raw_fd(done(libc::syscall(libc::SYS_pidfd_open, 1, 0))? as i32)
        };
        // SAFETY: no pointers.
        done(unsafe { libc::setns(process.as_raw_fd(), libc::CLONE_NEWNS | libc::CLONE_NEWPID) })
            .map(drop)
    }),
    attempt("outliving_the_tree", World, |scene| {
        // Whether it does is seen by its lock, which lasts as long as it.
        let lock = fs::File::create(scene.in_work("free/alive"))?;
        // SAFETY: no pointers; this process has one thread.
        unsafe {
            libc::flock(lock.as_raw_fd(), libc::LOCK_EX);
            if libc::fork() == 0 {
                libc::setsid();
                if libc::fork() == 0 {
                    libc::signal(libc::SIGTERM, libc::SIG_IGN);
                    let _ = Command::new("sleep")
                        .arg("1000")
                        .env_clear()
                        .env("PATH", "/usr/bin:/bin")
                        .exec();
                }
                libc::_exit(0);
            }
        }
        Ok(())
    }),
    attempt("leaving_its_group_of_processes", World, |_| {
        for root in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/freezer"] {
            let _ = fs::write(format!("{root}/cgroup.procs"), "0");
            let _ = fs::create_dir(format!("{root}/escape-of-supervise"));
        }
        let made = fs::metadata("/sys/fs/cgroup/unified/escape-of-supervise");
        made.or_else(|_| fs::metadata("/sys/fs/cgroup/escape-of-supervise")).map(drop)
    }),
    attempt("thawing_by_a_view_of_groups", World, |scene| {
        as_root_within(libc::CLONE_NEWNS | libc::CLONE_NEWCGROUP, || {
            super::mount("cgroup2", &scene.in_work("free"), "cgroup2", 0)?;
            let above = scene.in_work("free/../cgroup.procs");
            fs::write(above, "0")
        })
    }),
    attempt("a_name_for_the_machine", World, |_| {
        let name = text("escaped");
        // SAFETY: the name is as long as is said.
        done(unsafe { libc::sethostname(name.as_ptr(), 7) }).map(drop)
    }),
    attempt("a_name_for_the_machine_as_root_below", World, |_| {
        as_root_within(0, || {
            let name = text("escaped");
            // SAFETY: the name is as long as is said.
            done(unsafe { libc::sethostname(name.as_ptr(), 7) }).map(drop)
        })
    }),
];

fn signal(pid: i32) -> io::Result<()> {
    // SAFETY: no pointers.
    done(unsafe { libc::kill(pid, libc::SIGKILL) }).map(drop)
}

fn trace(request: u32, pid: i32) -> io::Result<()> {
    // SAFETY: these requests take no pointers.
    done(unsafe { libc::ptrace(request, pid, 0, 0) }).map(drop)
}

fn unshare(what: i32) -> io::Result<()> {
    // SAFETY: no pointers.
    done(unsafe { libc::unshare(what) }).map(drop)
}

fn memory(call: libc::c_long, pid: i32) -> io::Result<()> {
    let mut bytes = [0_u8; 8];
    let here = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: 8 };
    // An address that is mapped in every process of this program; in others it need not be.
    let there = libc::iovec { iov_base: (&raw const ANYTHING).cast_mut().cast(), iov_len: 8 };
    // SAFETY: both lists have one entry, and eight bytes are there.
    let moved = unsafe { libc::syscall(call, pid, &raw const here, 1, &raw const there, 1, 0) };
    match done(moved) {
        // The address is wrong, but the process could be looked into.
        Err(error) if error.raw_os_error() == Some(libc::EFAULT) => Ok(()),
        other => other.map(drop),
    }
}

static ANYTHING: u64 = 7;

/// What the kernel calls choosing the signal, and libc has no name for.
const F_SETSIG: i32 = 10;
