//! How a runner hears that somebody asks something of it: a FIFO beside its locks.
//!
//! A bell would do, but for its end: closing an inotify instance waits until the kernel has
//! cleared its watches away, 10 to 20 ms at the end of every run; and a runner would hear itself
//! ring it after each of its own commits.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    os::{
        fd::AsFd,
        unix::{fs::OpenOptionsExt, net::UnixStream},
    },
    path::Path,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::OFlags,
};

use crate::channel::Channel;

/// A knock that was lost, between a commit and a crash, is made up for by looking after this.
const LOOK_ANYWAY: Duration = Duration::from_secs(1);

/// A runner's own side of its door.
#[derive(Debug)]
pub(crate) struct Door {
    fifo: Option<File>,
}

impl Door {
    /// The door at that path, made when it is not there. Where none can be had, the runner looks
    /// by itself.
    pub(crate) fn at(path: &Path) -> Self {
        make(path);
        // Open for both, so that it never ends; and without waiting for anybody (fifo(7)).
        Self { fifo: open(path, true) }
    }

    /// Comes back when somebody knocks, and at least once a second; with a channel, also when one
    /// of the run's own processes is there.
    pub(crate) fn wait(&self, channel: Option<&Channel>) -> Option<UnixStream> {
        let channel_fd = channel.map(AsFd::as_fd);
        let fds = self.fifo.iter().map(AsFd::as_fd).chain(channel_fd);
        let mut fds: Vec<_> = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        let time = Timespec { tv_sec: LOOK_ANYWAY.as_secs().cast_signed(), tv_nsec: 0 };
        let _ = poll(&mut fds, Some(&time));
        let mut knocks = [0; 64];
        if let Some(mut fifo) = self.fifo.as_ref() {
            while fifo.read(&mut knocks).is_ok_and(|count| count > 0) {}
        }
        channel.and_then(Channel::accept)
    }

    /// Another handle of the same door, to end its wait.
    pub(crate) fn handle(&self) -> Self {
        Self { fifo: self.fifo.as_ref().and_then(|fifo| fifo.try_clone().ok()) }
    }

    /// Ends the wait.
    pub(crate) fn knock(&mut self) {
        if let Some(fifo) = &mut self.fifo {
            // Full of knocks is as good as knocked.
            let _ = fifo.write(b"\n");
        }
    }
}

/// Tells the runner behind the door to look. Nobody there is nobody to tell.
pub(crate) fn knock(path: &Path) {
    if let Some(mut fifo) = open(path, false) {
        let _ = fifo.write(b"\n");
    }
}

#[cfg(target_os = "linux")]
fn make(path: &Path) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let _ = mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0);
}

/// Runs are not run elsewhere yet.
#[cfg(not(target_os = "linux"))]
fn make(_path: &Path) {}

fn open(path: &Path, read: bool) -> Option<File> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).ok()?;
    OpenOptions::new().read(read).write(true).custom_flags(flags).open(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_knock_ends_the_wait_and_is_gone_then() {
        let folder = std::env::temp_dir().join(format!("door-{}", std::process::id()));
        knock(&folder);
        let mut door = Door::at(&folder);
        assert!(door.fifo.is_some());
        knock(&folder);
        door.handle().knock();
        assert!(door.wait(None).is_none());
        let mut rest = [0; 8];
        let empty = door.fifo.as_mut().unwrap().read(&mut rest).unwrap_err();
        assert_eq!(empty.kind(), std::io::ErrorKind::WouldBlock);
        std::fs::remove_file(folder).unwrap();
    }
}
