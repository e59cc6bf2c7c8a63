//! Waits for bells to be rung.

use std::{
    io,
    os::fd::OwnedFd,
    path::Path,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::inotify,
};

/// A bell that was rung just between a commit and a crash is heard at the next look after this.
const LOOK_ANYWAY: Duration = Duration::from_secs(1);
/// How often to look where the kernel does not tell of changes.
const LOOK_OFTEN: Duration = Duration::from_millis(20);

/// Listens to bells.
#[derive(Debug)]
pub struct Ear {
    inotify: Option<OwnedFd>,
}

impl Ear {
    /// Listens to nothing yet.
    #[must_use]
    pub fn new() -> Self {
        let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
        // Every user may have only so many; without one we look more often.
        Self { inotify: inotify::init(flags).ok() }
    }

    /// Listens to that bell too, which is made when it is not there.
    pub fn listen_to(&mut self, bell: &Path) {
        drop(store::Bell::at(bell));
        self.listen_to_file(bell);
    }

    /// Whether the kernel tells of changes; otherwise we look often.
    #[must_use]
    pub fn hears(&self) -> bool {
        self.inotify.is_some()
    }

    /// Listens to changes of a file as to a bell. One that is not there is looked for by
    /// looking often.
    pub fn listen_to_file(&mut self, bell: &Path) {
        let flags = inotify::WatchFlags::MODIFY | inotify::WatchFlags::DELETE_SELF;
        let added = self.inotify.as_ref().map(|fd| inotify::add_watch(fd, bell, flags));
        if !matches!(added, Some(Ok(_))) {
            self.inotify = None;
        }
    }

    /// Comes back when a bell was rung, at `deadline`, or after a second: whoever listens looks
    /// again each time.
    pub fn wait(&self, deadline: Option<Instant>) {
        let longest = if self.inotify.is_some() { LOOK_ANYWAY } else { LOOK_OFTEN };
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        let timeout = left.map_or(longest, |left| left.min(longest));
        let Some(fd) = &self.inotify else {
            std::thread::sleep(timeout);
            return;
        };
        let time = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        let _ = poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&time));
        let _ = self.empty(fd);
    }

    /// Forgets what was heard, so that only a new ring wakes the next wait.
    fn empty(&self, fd: &OwnedFd) -> io::Result<()> {
        let mut buffer = [0; 4096];
        while rustix::io::read(fd, &mut buffer)? > 0 {}
        Ok(())
    }
}

impl Default for Ear {
    fn default() -> Self {
        Self::new()
    }
}
