//! Every attempt by name, and how one is made.
//!
//! An attempt gives what its decisive call gave. Whether that alone would be an escape is said
//! beside it; otherwise the world is looked at.
#![expect(unsafe_code, reason = "whoever wants out does not ask for safe functions")]

mod caches;
mod files;
mod machine;
mod network;
mod processes;
mod reading;
mod sockets;

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use supervise::Stdin;

use crate::world::Scene;

/// The argument that makes this program make an attempt.
pub(crate) const WORD: &str = "__attempt";
/// What an attempt says first.
pub(crate) const BEGAN: &str = "here goes";
/// What it says if it must not have been able to.
pub(crate) const ESCAPED: &str = "escaped, or so it seems";

/// Who tells that an attempt succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judge {
    /// The call itself: where it is not refused, something is open that must not be.
    Call,
    /// The call itself, in cages where nothing may build its own sandbox.
    CallIfStrict,
    /// Only the world outside.
    World,
}

use Judge::{Call, CallIfStrict, World};

/// One attempt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt {
    pub(crate) name: &'static str,
    judge: Judge,
    make: fn(&Scene) -> io::Result<()>,
}

const fn attempt(name: &'static str, judge: Judge, make: fn(&Scene) -> io::Result<()>) -> Attempt {
    Attempt { name, judge, make }
}

pub(crate) fn areas() -> [(&'static str, &'static [Attempt]); 7] {
    [
        ("network", network::ATTEMPTS),
        ("sockets", sockets::ATTEMPTS),
        ("files", files::ATTEMPTS),
        ("caches", caches::ATTEMPTS),
        ("reading", reading::ATTEMPTS),
        ("processes", processes::ATTEMPTS),
        ("the_machine", machine::ATTEMPTS),
    ]
}

/// Inside: makes the attempt.
pub(crate) fn become_attempt_if_asked() {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [word, name, scene] = arguments.as_slice() else { return };
    if word != OsStr::new(WORD) {
        return;
    }
    tell(BEGAN);
    let scene: Scene = serde_json::from_slice(scene.as_bytes()).expect("a scene");
    let mut all = areas().into_iter().flat_map(|(_, attempts)| attempts.iter());
    let attempt = all.find(|attempt| name == OsStr::new(attempt.name)).expect("an attempt");
    let made = (attempt.make)(&scene);
    let counts = match attempt.judge {
        Call => true,
        CallIfStrict => scene.strict,
        World => false,
    };
    match made {
        Ok(()) if counts => tell(ESCAPED),
        Ok(()) => tell("nobody said no"),
        Err(error) => tell(&format!("refused: {error}")),
    }
    std::process::exit(0);
}

/// Not by a macro that keeps it back until the end, which may never come.
fn tell(line: &str) {
    let _ = std::io::stdout().lock().write_all(format!("{line}\n").as_bytes());
    let _ = std::io::stdout().flush();
}

/// What an attempt reads from, and its other end if that is a terminal.
pub(crate) fn stdin_of(attempt: &Attempt) -> (Stdin, Option<Terminal>) {
    if !attempt.name.contains("terminal") {
        return (Stdin::Null, None);
    }
    let (mut ours, mut theirs) = (0, 0);
    let null = std::ptr::null_mut();
    // SAFETY: both numbers outlive the call, and the rest may be null.
    let opened =
        unsafe { libc::openpty(&raw mut ours, &raw mut theirs, null, null.cast(), null.cast()) };
    assert_eq!(opened, 0, "a terminal");
    // SAFETY: both have just been opened and nobody else has them.
    let (ours, theirs) = unsafe { (OwnedFd::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)) };
    let copy = theirs.try_clone().expect("a copy");
    (Stdin::Inherit(copy), Some(Terminal { _ours: ours, theirs: theirs.into() }))
}

/// A terminal whose other end nobody inside has.
pub(crate) struct Terminal {
    _ours: OwnedFd,
    theirs: File,
}

impl Terminal {
    /// Whether there is something to be read on it although nobody typed.
    pub(crate) fn was_typed_on(mut self) -> bool {
        // SAFETY: the flags of a descriptor of our own.
        unsafe { libc::fcntl(self.theirs.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
        self.theirs.read(&mut [0; 16]).is_ok_and(|length| length > 0)
    }
}

/// What a system call gave.
fn done(gave: impl Into<i64>) -> io::Result<i64> {
    let gave = gave.into();
    if gave < 0 { Err(io::Error::last_os_error()) } else { Ok(gave) }
}

/// The first of several ways that was not refused, or how the last one was.
fn first_of<T>(ways: impl Iterator<Item = io::Result<T>>) -> io::Result<T> {
    let mut last = Err(io::ErrorKind::NotFound.into());
    for way in ways {
        last = way;
        if last.is_ok() {
            break;
        }
    }
    last
}

fn text(path: impl AsRef<Path>) -> CString {
    CString::new(path.as_ref().as_os_str().as_bytes()).expect("no NUL in it")
}

/// A number for a new process, or what it gave: for attempts that a child has to make.
fn in_child(make: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    // SAFETY: this process has one thread.
    match unsafe { libc::fork() } {
        0 => {
            let made = make();
            if let Err(error) = &made {
                tell(&format!("refused below: {error}"));
            }
            std::process::exit(if made.is_ok() { 0 } else { 1 })
        }
        child => {
            let child = done(child)?;
            let mut status = 0;
            // SAFETY: the status outlives the call.
            done(unsafe { libc::waitpid(child as i32, &raw mut status, 0) })?;
            if status == 0 { Ok(()) } else { Err(io::Error::other("the child was refused")) }
        }
    }
}

/// Becomes the root of a user namespace of its own, with others besides, and does it there.
fn as_root_within(others: i32, make: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    in_child(|| {
        // SAFETY: no pointers.
        let (uid, gid) = unsafe { (libc::getuid(), libc::getgid()) };
        // SAFETY: no pointers.
        done(unsafe { libc::unshare(libc::CLONE_NEWUSER | others) })?;
        std::fs::write("/proc/self/setgroups", "deny")?;
        std::fs::write("/proc/self/uid_map", format!("0 {uid} 1"))?;
        std::fs::write("/proc/self/gid_map", format!("0 {gid} 1"))?;
        make()
    })
}

fn mount(source: &str, target: &Path, kind: &str, flags: libc::c_ulong) -> io::Result<()> {
    let (source, target, kind) = (text(source), text(target), text(kind));
    // SAFETY: all three are strings, and data may be null.
    let mounted = unsafe {
        libc::mount(source.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, std::ptr::null())
    };
    done(mounted).map(drop)
}

/// Memory that everybody with the key can have, with a secret in it. Gives the key, the first from
/// `first` on that nobody has: who was killed left theirs behind.
pub(crate) fn leave_shared_memory(first: i32, secret: &str) -> i32 {
    let flags = libc::IPC_CREAT | libc::IPC_EXCL | 0o600;
    // SAFETY: a new segment of our own, written within its length.
    unsafe {
        let mut key = first;
        let segment = loop {
            let segment = libc::shmget(key, 4096, flags);
            let error = io::Error::last_os_error();
            if segment >= 0 {
                break segment;
            }
            assert!(error.raw_os_error() == Some(libc::EEXIST), "shared memory: {error}");
            key += 1 << 16;
        };
        let place = libc::shmat(segment, std::ptr::null(), 0).cast::<u8>();
        std::ptr::copy_nonoverlapping(secret.as_ptr(), place, secret.len());
        libc::shmdt(place.cast());
        key
    }
}

pub(crate) fn remove_shared_memory(key: i32) {
    // SAFETY: no pointers but a null one, which this command ignores.
    unsafe {
        let segment = libc::shmget(key, 0, 0);
        libc::shmctl(segment, libc::IPC_RMID, std::ptr::null_mut());
    }
}
