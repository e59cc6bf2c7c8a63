//! A stage at work: its tree, and the time that it has had.

use std::time::{Duration, Instant};

use model::{Attempt, StageIndex};
use supervise::TreeControl;

/// How a tree should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Posture {
    Running,
    Frozen,
    Stopping,
}

/// A stage whose tree lives.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) stage: StageIndex,
    pub(crate) attempt: Attempt,
    pub(crate) control: TreeControl,
    /// What the tree was last told to be.
    told: Posture,
    /// The tree is frozen, as a fact.
    pub(crate) frozen: bool,
    /// The run waits for somebody, which is no time of the stage's.
    held: bool,
    /// Its command has ended; what that left behind is being stopped.
    pub(crate) exited: bool,
    pub(crate) last_line: Option<String>,
    limit: Option<Duration>,
    clock: Stopwatch,
}

impl Live {
    pub(crate) fn new(
        stage: StageIndex,
        attempt: Attempt,
        control: TreeControl,
        limit: Option<Duration>,
        now: Instant,
    ) -> Self {
        Self {
            stage,
            attempt,
            control,
            told: Posture::Running,
            frozen: false,
            held: false,
            exited: false,
            last_line: None,
            limit,
            clock: Stopwatch::started(now),
        }
    }

    /// Tells the tree how to be, unless it was told already.
    pub(crate) fn tell(&mut self, posture: Posture, grace: Duration) {
        if self.told == posture || self.told == Posture::Stopping {
            return;
        }
        self.told = posture;
        match posture {
            Posture::Running => self.control.thaw(),
            Posture::Frozen => self.control.freeze(),
            Posture::Stopping => self.control.stop(grace),
        }
    }

    pub(crate) fn froze(&mut self, now: Instant) {
        self.frozen = true;
        self.keep_time(now);
    }

    pub(crate) fn thawed(&mut self, now: Instant) {
        self.frozen = false;
        self.keep_time(now);
    }

    /// Stops the stage's time while its run waits for an answer.
    pub(crate) fn hold(&mut self, held: bool, now: Instant) {
        self.held = held;
        self.keep_time(now);
    }

    fn keep_time(&mut self, now: Instant) {
        match self.frozen || self.held {
            true => self.clock.stop(now),
            false => self.clock.start(now),
        }
    }

    /// A freeze that failed leaves the tree running, so it may be told again.
    pub(crate) fn not_frozen(&mut self) {
        self.told = Posture::Running;
    }

    /// When its time is up; never while it is frozen or being stopped.
    pub(crate) fn overruns_at(&self) -> Option<Instant> {
        let limit = self.limit.filter(|_| self.told != Posture::Stopping)?;
        self.clock.reaches(limit)
    }
}

/// Time that passes while it runs. The clock below it stands still while the machine sleeps.
#[derive(Clone, Copy, Debug)]
struct Stopwatch {
    had: Duration,
    since: Option<Instant>,
}

impl Stopwatch {
    fn started(now: Instant) -> Self {
        Self { had: Duration::ZERO, since: Some(now) }
    }

    fn stop(&mut self, now: Instant) {
        if let Some(since) = self.since.take() {
            self.had += now.saturating_duration_since(since);
        }
    }

    fn start(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    fn reaches(&self, limit: Duration) -> Option<Instant> {
        self.since.map(|since| since + limit.saturating_sub(self.had))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stopped_clock_reaches_nothing_and_goes_on_where_it_stood() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut clock = Stopwatch::started(start);
        assert_eq!(clock.reaches(Duration::from_secs(10)), Some(at(10)));
        clock.stop(at(4));
        assert_eq!(clock.reaches(Duration::from_secs(10)), None);
        clock.stop(at(5));
        clock.start(at(3600));
        assert_eq!(clock.reaches(Duration::from_secs(10)), Some(at(3606)));
    }
}
