//! Waits for bells to be rung.

use std::{
    io::{self, PipeReader, PipeWriter, Write},
    os::fd::AsFd,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use watch::Watch;

#[cfg(target_os = "linux")]
mod watch;

/// Where the kernel tells nobody of changes in the way that is known here.
#[cfg(not(target_os = "linux"))]
#[path = "ear/elsewhere.rs"]
mod watch;

/// A bell that was rung just between a commit and a crash is heard at the next look after this.
const LOOK_ANYWAY: Duration = Duration::from_secs(1);
/// How often to look where the kernel does not tell of changes.
const LOOK_OFTEN: Duration = Duration::from_millis(20);

/// Listens to bells.
#[derive(Debug)]
pub struct Ear {
    watch: Option<Watch>,
}

/// Ends a wait from another thread, and every wait after it.
#[derive(Clone, Debug)]
pub struct Nudge(Arc<Nudged>);

#[derive(Debug)]
struct Nudged {
    heard: PipeReader,
    said: PipeWriter,
    done: AtomicBool,
}

impl Nudge {
    /// One that nobody has used.
    ///
    /// # Errors
    ///
    /// When the process has too many open files.
    pub fn new() -> io::Result<Self> {
        let (heard, said) = io::pipe()?;
        Ok(Self(Arc::new(Nudged { heard, said, done: AtomicBool::new(false) })))
    }

    /// Ends the waits of whoever listens to it.
    pub fn now(&self) {
        if !self.0.done.swap(true, Ordering::Relaxed) {
            // Nobody reads it, so that it ends the waits to come as well.
            let _ = (&self.0.said).write_all(b"\n");
        }
    }
}

impl Ear {
    /// Listens to nothing yet.
    #[must_use]
    pub fn new() -> Self {
        // Every user may have only so many; without one we look more often.
        Self { watch: Watch::new().ok() }
    }

    /// Listens to that bell too, which is made when it is not there.
    pub fn listen_to(&mut self, bell: &Path) {
        drop(store::Bell::at(bell));
        self.listen_to_file(bell);
    }

    /// Whether the kernel tells of changes; otherwise we look often.
    #[must_use]
    pub fn hears(&self) -> bool {
        self.watch.is_some()
    }

    /// Listens to changes of a file as to a bell. One that is not there is looked for by
    /// looking often.
    pub fn listen_to_file(&mut self, bell: &Path) {
        let added = self.watch.as_ref().map(|watch| watch.add(bell));
        if !matches!(added, Some(Ok(()))) {
            self.watch = None;
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
    let heard = || ears.iter().filter_map(|ear| ear.watch.as_ref());
    let fds = heard().map(AsFd::as_fd).chain(nudge.map(|nudge| nudge.0.heard.as_fd()));
    let mut fds: Vec<_> = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
    let _ = poll(&mut fds, Some(&time));
    heard().for_each(Watch::forget);
}

impl Default for Ear {
    fn default() -> Self {
        Self::new()
    }
}
