//! Waits for bells to be rung.

use std::{
    io,
    os::fd::OwnedFd,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll},
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

/// Ends a wait from another thread, and every wait after it.
#[derive(Clone, Debug)]
pub struct Nudge(Arc<OwnedFd>);

impl Nudge {
    /// One that nobody has used.
    ///
    /// # Errors
    ///
    /// When the process has too many open files.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)))
    }

    /// Ends the waits of whoever listens to it.
    pub fn now(&self) {
        // One that is full has ended them already.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }
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
        wait_with(&[self], None, deadline);
    }
}

/// Waits with several ears at once, and for a nudge.
pub fn wait_with(ears: &[&Ear], nudge: Option<&Nudge>, deadline: Option<Instant>) {
    let all_hear = ears.iter().all(|ear| ear.hears());
    let longest = if all_hear { LOOK_ANYWAY } else { LOOK_OFTEN };
    let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
    let timeout = left.map_or(longest, |left| left.min(longest));
    let time = Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(timeout.subsec_nanos()),
    };
    let heard = || ears.iter().filter_map(|ear| ear.inotify.as_ref());
    let fds = heard().chain(nudge.map(|nudge| &*nudge.0));
    let mut fds: Vec<_> = fds.map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
    let _ = poll(&mut fds, Some(&time));
    for fd in heard() {
        let _ = empty(fd);
    }
}

/// Forgets what was heard, so that only a new ring wakes the next wait.
fn empty(fd: &OwnedFd) -> io::Result<()> {
    let mut buffer = [0; 4096];
    while rustix::io::read(fd, &mut buffer)? > 0 {}
    Ok(())
}

impl Default for Ear {
    fn default() -> Self {
        Self::new()
    }
}
