//! The system calls that need `unsafe`, each behind a function that does not.
#![expect(unsafe_code, reason = "system calls that nix has no safe function for")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::signal::{SigHandler, Signal};

use crate::report::Exit;

/// What a process is after a fork.
pub(crate) enum Fork {
    Child,
    Parent { child: i32 },
}

impl Fork {
    fn from_raw(raw: libc::c_long) -> io::Result<Fork> {
        match raw {
            -1 => Err(io::Error::last_os_error()),
            0 => Ok(Fork::Child),
            child => Ok(Fork::Parent { child: child as i32 }),
        }
    }
}

/// Forks. Only guards, shims and what they fork may call this: they have one thread.
pub(crate) fn fork() -> io::Result<Fork> {
    // SAFETY: the calling process has one thread, so the child finds no lock held.
    Fork::from_raw(libc::c_long::from(unsafe { libc::fork() }))
}

/// libc has this as a number that is too narrow for it.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Forks a child that is in the cgroup `dir` from its first instruction.
///
/// Moving a process into a cgroup takes a lock that every fork of the machine waits for;
/// being born there does not.
pub(crate) fn fork_into_cgroup(dir: BorrowedFd<'_>) -> io::Result<Fork> {
    // SAFETY: all-zero is the documented default of every field.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = CLONE_INTO_CGROUP;
    args.exit_signal = libc::SIGCHLD as u64;
    args.cgroup = dir.as_raw_fd() as u64;
    // SAFETY: without CLONE_VM and a stack this is a fork, and the caller has one thread.
    Fork::from_raw(unsafe {
        libc::syscall(libc::SYS_clone3, &raw const args, size_of::<libc::clone_args>())
    })
}

/// Forks a child into new namespaces.
pub(crate) fn fork_into_namespaces(flags: libc::c_int) -> io::Result<Fork> {
    let flags = libc::c_long::from(flags | libc::SIGCHLD);
    // SAFETY: without CLONE_VM and a stack this is a fork, and the caller has one thread.
    Fork::from_raw(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) })
}

/// Makes `command` start in a session of its own, so that no terminal's key reaches it.
pub(crate) fn in_own_session(command: &mut Command) -> &mut Command {
    // SAFETY: setsid is safe to call between fork and exec, and nothing else happens there.
    unsafe { command.pre_exec(|| nix::unistd::setsid().map(drop).map_err(io::Error::from)) }
}

/// Closes every descriptor from 3 up that is not in `keep`.
pub(crate) fn close_all_but(keep: &[RawFd]) {
    let mut keep: Vec<u32> = keep.iter().map(|fd| *fd as u32).filter(|fd| *fd > 2).collect();
    keep.sort_unstable();
    let mut from = 3;
    for fd in keep {
        if fd > from {
            close_range(from, fd - 1, 0);
        }
        from = fd + 1;
    }
    close_range(from, u32::MAX, 0);
}

/// Makes every descriptor from 3 up end with the next exec.
pub(crate) fn close_on_exec_from_3() {
    close_range(3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
}

fn close_range(first: u32, last: u32, flags: libc::c_uint) {
    // SAFETY: the caller is a process that has just been forked; what it still uses is outside
    // the range, and the owners of the rest are never dropped in it.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    if done == 0 {
        return;
    }
    // A kernel before 5.9 (5.11 for the flag).
    let open = std::fs::read_dir("/proc/self/fd").map(|entries| {
        let names = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        names.collect::<Vec<u32>>()
    });
    for fd in open.unwrap_or_default() {
        if fd < first || fd > last {
            continue;
        }
        // SAFETY: as above; a number that is no longer open is refused with EBADF.
        unsafe {
            if flags == 0 {
                libc::close(fd as RawFd);
            } else {
                libc::fcntl(fd as RawFd, libc::F_SETFD, libc::FD_CLOEXEC);
            }
        }
    }
}

/// Takes ownership of a descriptor that the kernel has just handed to this process.
pub(crate) fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: the caller has it from a control message or from its own start, and passes it once.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// A handle that keeps meaning this process, whoever gets its number later.
pub(crate) fn pidfd_open(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: no pointers; the result is a new descriptor or -1.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(own(fd as RawFd)) }
}

pub(crate) fn pidfd_signal(process: BorrowedFd<'_>, signal: Signal) -> io::Result<()> {
    // SAFETY: a null siginfo is allowed and means what kill(2) sends.
    let done = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            process.as_raw_fd(),
            signal as libc::c_int,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Makes this process deaf to what a terminal, a log-out or a shutdown sends to everybody:
/// the runner hears it and decides.
pub(crate) fn ignore_what_the_runner_handles() {
    for signal in [
        Signal::SIGHUP,
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGTERM,
        Signal::SIGTSTP,
        Signal::SIGTTIN,
        Signal::SIGTTOU,
        Signal::SIGPIPE,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGALRM,
    ] {
        // SAFETY: ignoring a signal installs no handler.
        let _ = unsafe { nix::sys::signal::signal(signal, SigHandler::SigIgn) };
    }
}

/// Gives every signal its default effect again, for a command about to start.
pub(crate) fn restore_default_signals() {
    // The kernel's own structure, all zero: the default effect, no flags, an empty mask. The C
    // library refuses to touch two signals that it uses itself, which its own posix_spawn may
    // have left ignored.
    let default = [0_u64; 4];
    for signal in 1..=64 {
        // SAFETY: a default disposition installs no handler. What cannot be set is refused.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                std::ptr::null_mut::<u64>(),
                8_usize,
            )
        };
    }
}

/// Any child, for [`reap`].
pub(crate) const ANY: i32 = -1;

/// Whether [`reap`] waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    None,
    UntilOneEnds,
}

/// What [`reap`] found.
#[derive(Debug)]
pub(crate) enum Reaped {
    Ended { pid: i32, exit: Exit },
    NoneYet,
    NoChild,
}

/// Takes leave of a dead child. (nix loses the child when a real-time signal ended it.)
pub(crate) fn reap(child: i32, patience: Patience) -> Reaped {
    let flags = libc::__WALL | if patience == Patience::None { libc::WNOHANG } else { 0 };
    let mut status = 0;
    loop {
        // SAFETY: `status` outlives the call.
        let pid = unsafe { libc::waitpid(child, &raw mut status, flags) };
        return match pid {
            -1 if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => continue,
            -1 => Reaped::NoChild,
            0 => Reaped::NoneYet,
            pid if libc::WIFSIGNALED(status) => {
                Reaped::Ended { pid, exit: Exit::Signal(libc::WTERMSIG(status)) }
            }
            pid => Reaped::Ended { pid, exit: Exit::Code(libc::WEXITSTATUS(status)) },
        };
    }
}

/// Ends this process at once, without running what its parent registered for its own end.
pub(crate) fn exit(code: i32) -> ! {
    // SAFETY: does not return.
    unsafe { libc::_exit(code) }
}
