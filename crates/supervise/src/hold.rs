//! Locks that the kernel lets go of when their last holder dies, however it dies.
//!
//! A lock belongs to the open file, not to the process: it passes to whoever is given the
//! descriptor, and lasts until the last copy is closed.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc::{self, flock};

/// A lock on a file. Taken alone, it ends with this value; shared, with the last descriptor that
/// was made from it.
#[derive(Debug)]
pub struct Hold {
    file: File,
    shared: bool,
}

impl Hold {
    /// Takes the lock for oneself, unless anybody holds it.
    ///
    /// The file is made if need be and is never removed: a lock on a removed file is held
    /// against nobody.
    pub fn take(path: &Path) -> io::Result<Option<Hold>> {
        Hold::of_kind(path, libc::F_WRLCK)
    }

    /// Takes the lock together with others who take it this way, unless somebody has it alone.
    pub fn share(path: &Path) -> io::Result<Option<Hold>> {
        Hold::of_kind(path, libc::F_RDLCK)
    }

    fn of_kind(path: &Path, kind: i32) -> io::Result<Option<Hold>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(path)?;
        match fcntl(&file, FcntlArg::F_OFD_SETLK(&whole_file(kind))) {
            Ok(_) => Ok(Some(Hold { file, shared: kind == libc::F_RDLCK })),
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn anonymous() -> io::Result<Hold> {
        let flags = nix::sys::memfd::MFdFlags::MFD_CLOEXEC;
        Ok(Hold { file: nix::sys::memfd::memfd_create(c"hold", flags)?.into(), shared: true })
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // Any thread may just be starting a program, whose process has copies of all our
        // descriptors until it executes. The lock must not last as long as those.
        if !self.shared {
            let _ = fcntl(&self.file, FcntlArg::F_OFD_SETLK(&whole_file(libc::F_UNLCK)));
        }
    }
}

impl AsFd for Hold {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Whether anybody holds the lock on `path`, alone or together. Asks without taking it, so
/// that asking never gets in anybody's way. A file that does not exist is not held.
pub fn held(path: &Path) -> io::Result<bool> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let mut asked = whole_file(libc::F_WRLCK);
    fcntl(&file, FcntlArg::F_OFD_GETLK(&mut asked))?;
    Ok(i32::from(asked.l_type) != libc::F_UNLCK)
}

/// Waits until nobody holds the lock on `path`. False if somebody still did at the deadline.
pub fn wait_until_free(path: &Path, deadline: Instant) -> io::Result<bool> {
    loop {
        if !held(path)? {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        // The kernel tells nobody when a lock is let go, except those who queue to take it,
        // and asking must not take.
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn whole_file(kind: i32) -> flock {
    flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}
