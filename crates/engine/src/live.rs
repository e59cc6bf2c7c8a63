//! A stage at work: its tree, and the time that it has had.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use codex::Elicitation;
use model::{Attempt, Exit, Part, StageIndex};
use supervise::{ProcessId, TreeControl};

use crate::{
    asked::{Asked, Asker},
    conversation::Conversation,
    gate::Gate,
    runner::Speakers,
};

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
    pub(crate) part: Part,
    /// What is said with its thread, if it is one.
    pub(crate) conversation: Option<Conversation>,
    /// What it waits for somebody to say.
    pub(crate) asked: Asked,
    /// What of that servers across bridges want, by who asks.
    pub(crate) elicited: BTreeMap<Asker, Elicitation>,
    /// How it ended, once all of its processes are gone.
    pub(crate) ended: Option<Exit>,
    /// Nothing more comes from its thread.
    pub(crate) lines_over: bool,
    /// What it changed in a work tree of its own is committed, or cannot be.
    pub(crate) committed: bool,
    pub(crate) control: TreeControl,
    /// By which rules it is let out, where it is confined.
    pub(crate) gate: Option<Gate>,
    /// Who tells what is kept from it.
    pub(crate) speakers: Speakers,
    /// The process that holds its tree.
    pub(crate) holder: Option<ProcessId>,
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
    /// How much of that is written down as work, in milliseconds.
    counted: u64,
}

impl Live {
    pub(crate) fn new(
        stage: StageIndex,
        attempt: Attempt,
        part: Part,
        conversation: Option<Conversation>,
        control: TreeControl,
        limit: Option<Duration>,
        now: Instant,
    ) -> Self {
        Self {
            stage,
            attempt,
            part,
            conversation,
            asked: Asked::default(),
            elicited: BTreeMap::new(),
            ended: None,
            lines_over: false,
            committed: false,
            control,
            gate: None,
            speakers: Speakers::default(),
            holder: None,
            told: Posture::Running,
            frozen: false,
            held: false,
            exited: false,
            last_line: None,
            limit,
            clock: Stopwatch::started(now),
            counted: 0,
        }
    }

    /// Tells the tree how to be, unless it was told already.
    pub(crate) fn tell(&mut self, posture: Posture, grace: Duration) {
        if self.told == posture || self.told == Posture::Stopping {
            return;
        }
        // A thread is asked to end its turn first, so that what it has is kept.
        if let (Posture::Stopping, Some(conversation)) = (posture, &mut self.conversation)
            && !conversation.over
            && !self.frozen
        {
            return conversation.interrupt(Instant::now());
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
        match (self.frozen || self.held, self.clock.runs()) {
            (true, _) => self.clock.stop(now),
            (false, true) => {}
            (false, false) => {
                self.clock.start(now);
                if let Some(conversation) = &mut self.conversation {
                    conversation.forgive(now);
                }
            }
        }
    }

    /// Whether its thread waits for somebody, or a server that it called does.
    pub(crate) fn waits(&self) -> bool {
        !self.asked.is_empty()
    }

    /// When its thread has been silent for too long; never while it stands still.
    pub(crate) fn silent_at(&self) -> Option<Instant> {
        let still = self.frozen || self.held || self.told != Posture::Running;
        self.conversation.as_ref().filter(|_| !still)?.silent_at()
    }

    /// When its thread is ended by force.
    pub(crate) fn forced_at(&self) -> Option<Instant> {
        self.conversation.as_ref()?.forced_at()
    }

    /// Ends by force a thread that had its time to end by itself.
    pub(crate) fn force(&mut self, now: Instant, grace: Duration) {
        let Some(conversation) = &mut self.conversation else { return };
        if conversation.forced_at().is_some_and(|at| at <= now) {
            conversation.force();
            self.tell(Posture::Stopping, grace);
        }
    }

    /// Whether its thread is at work, and waits for nobody.
    pub(crate) fn is_at_work(&self) -> bool {
        self.conversation.is_some() && self.clock.runs()
    }

    /// How long its thread was at work since that was asked last, in milliseconds.
    pub(crate) fn count_work(&mut self, now: Instant) -> u64 {
        let all = u64::try_from(self.clock.had(now).as_millis()).unwrap_or(u64::MAX);
        let before = std::mem::replace(&mut self.counted, all);
        if self.conversation.is_some() { all.saturating_sub(before) } else { 0 }
    }

    /// A freeze that failed leaves the tree running, so it may be told again.
    pub(crate) fn not_frozen(&mut self) {
        self.told = Posture::Running;
    }

    /// When its time is up; never while it is frozen or being stopped, or when it has done what
    /// that is the time for.
    pub(crate) fn overruns_at(&self) -> Option<Instant> {
        let done = self.conversation.as_ref().is_some_and(|conversation| conversation.over);
        let limit = self.limit.filter(|_| self.told != Posture::Stopping && !done)?;
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

    fn runs(&self) -> bool {
        self.since.is_some()
    }

    fn start(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    fn had(&self, now: Instant) -> Duration {
        self.had + self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
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
