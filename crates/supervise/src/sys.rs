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

/// Forks a child that is in the cgroup `dir` from its first instruction, and in new namespaces if
/// `flags` say so.
///
/// Moving a process into a cgroup takes a lock that every fork of the machine waits for;
/// being born there does not.
pub(crate) fn fork_into_cgroup(dir: BorrowedFd<'_>, flags: libc::c_int) -> io::Result<Fork> {
    // SAFETY: all-zero is the documented default of every field.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = CLONE_INTO_CGROUP | flags as u64;
    args.exit_signal = libc::SIGCHLD as u64;
    args.cgroup = dir.as_raw_fd() as u64;
    // SAFETY: without CLONE_VM and a stack this is a fork, and the caller has one thread.
    Fork::from_raw(unsafe {
        libc::syscall(libc::SYS_clone3, &raw const args, size_of::<libc::clone_args>())
    })
}

/// Forks a child into new namespaces, if `flags` name any.
pub(crate) fn fork_into_namespaces(flags: libc::c_int) -> io::Result<Fork> {
    if flags == 0 {
        return fork();
    }
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

/// What [`set_mount`] turns on; the kernel's own bits.
pub(crate) const READ_ONLY: u64 = 1;
pub(crate) const NO_SUID: u64 = 2;
pub(crate) const NO_DEVICES: u64 = 4;
pub(crate) const NO_EXEC: u64 = 8;

const OPEN_TREE_CLONE: libc::c_int = 1;
const MOVE_MOUNT_FROM_FD: libc::c_int = 0x04;
const MOVE_MOUNT_TO_FD: libc::c_int = 0x40;

/// A copy of what is mounted at and below `place`, not yet anywhere.
pub(crate) fn copy_mounts(place: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = OPEN_TREE_CLONE | libc::AT_RECURSIVE | libc::AT_EMPTY_PATH | libc::O_CLOEXEC;
    // SAFETY: the path is a string; the result is a new descriptor or -1.
    let fd = unsafe { libc::syscall(libc::SYS_open_tree, place.as_raw_fd(), c"".as_ptr(), flags) };
    if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(own(fd as RawFd)) }
}

/// Mounts such a copy on `place`.
pub(crate) fn put_mounts(copy: BorrowedFd<'_>, place: BorrowedFd<'_>) -> io::Result<()> {
    let empty = c"".as_ptr();
    let flags = MOVE_MOUNT_FROM_FD | MOVE_MOUNT_TO_FD;
    // SAFETY: both paths are strings.
    let done = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            copy.as_raw_fd(),
            empty,
            place.as_raw_fd(),
            empty,
            flags,
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Turns attributes on for the mount at `place` and all below it.
pub(crate) fn set_mount(place: BorrowedFd<'_>, attributes: u64) -> io::Result<()> {
    // The kernel's `struct mount_attr`: to set, to clear, propagation, user namespace.
    let wanted = [attributes, 0, 0, 0_u64];
    // SAFETY: the path is a string and the structure as large as is said.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            place.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | libc::AT_RECURSIVE,
            wanted.as_ptr(),
            size_of_val(&wanted),
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Where what is written to an overlay goes.
pub(crate) struct Written<'a> {
    pub(crate) upper: BorrowedFd<'a>,
    pub(crate) work: BorrowedFd<'a>,
}

/// An overlay of these folders, the first on top, that nobody but the mounts' own user namespace needs
/// to trust; not yet anywhere.
pub(crate) fn overlay(
    lower: &[BorrowedFd<'_>],
    written: Option<Written<'_>>,
    attributes: u64,
) -> io::Result<OwnedFd> {
    const CLOSE_ON_EXEC: libc::c_int = 1;
    const SET_FLAG: libc::c_int = 0;
    const SET_STRING: libc::c_int = 1;
    const CREATE: libc::c_int = 6;
    let made = |number: libc::c_long| {
        if number < 0 { Err(io::Error::last_os_error()) } else { Ok(number as RawFd) }
    };
    let nothing = std::ptr::null::<libc::c_char>();
    // SAFETY: the name is a string; the result is a new descriptor or -1.
    let context = unsafe { libc::syscall(libc::SYS_fsopen, c"overlay".as_ptr(), CLOSE_ON_EXEC) };
    let context = own(made(context)?);
    let configure = |what: libc::c_int, key: *const libc::c_char, value: *const libc::c_char| {
        let context = context.as_raw_fd();
        // SAFETY: key and value are strings that outlive the call, or null where there is none.
        made(unsafe { libc::syscall(libc::SYS_fsconfig, context, what, key, value, 0) })
    };
    configure(SET_FLAG, c"userxattr".as_ptr(), nothing)?;
    // By descriptors, since some bytes of a path would mean something else there.
    let at = |fd: &BorrowedFd<'_>| format!("/proc/self/fd/{}", fd.as_raw_fd());
    let lower = lower.iter().map(at).collect::<Vec<_>>().join(":");
    let mut places = vec![(c"lowerdir", lower)];
    if let Some(Written { upper, work }) = written {
        places.extend([(c"upperdir", at(&upper)), (c"workdir", at(&work))]);
    }
    for (key, value) in places {
        let value = std::ffi::CString::new(value)?;
        configure(SET_STRING, key.as_ptr(), value.as_ptr())?;
    }
    configure(CREATE, nothing, nothing)?;
    // SAFETY: no pointers; the result is a new descriptor or -1.
    let mount =
        unsafe { libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), CLOSE_ON_EXEC, attributes) };
    made(mount).map(own)
}

/// Gives up every capability, now and for whatever is executed later.
pub(crate) fn drop_capabilities() -> io::Result<()> {
    for capability in 0..64 {
        // SAFETY: no pointers.
        let dropped = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
        if dropped != 0 {
            // The kernel knows no more of them; or this process may not, and could gain none.
            break;
        }
    }
    // SAFETY: no pointers.
    unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) };
    // The third version of `struct __user_cap_header_struct`, about this process, and two of
    // `struct __user_cap_data_struct`: nothing effective, permitted or inheritable.
    let header = [0x2008_0522_u32, 0];
    let nothing = [0_u32; 6];
    // SAFETY: both outlive the call and are as large as this version says.
    let done = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), nothing.as_ptr()) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Brings up the loopback device of this process's network namespace; `socket` is any of it.
pub(crate) fn bring_up_loopback(socket: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: all-zero is a valid value of this structure of numbers.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the request outlives the call.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The version of Landlock that this kernel has and uses.
pub(crate) fn landlock_version() -> Option<u32> {
    const CREATE_RULESET_VERSION: libc::c_uint = 1;
    let nothing = std::ptr::null::<u8>();
    // SAFETY: with this flag and no attributes the call only answers with a number.
    let version = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0, CREATE_RULESET_VERSION)
    };
    u32::try_from(version).ok().filter(|version| *version > 0)
}
