//! What was kept from the processes of tries, as it becomes events: not more often than is read, also
//! where whoever tries connects anew each time.

use std::{
    collections::HashMap,
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use model::{Attempt, Report, StageIndex};

use super::{Runner, remedy};
use crate::{EngineError, channel::Withheld};

/// How often one kind becomes an event.
const PERIOD: Duration = Duration::from_secs(5);

/// Kinds that are kept apart in a run. What is more is told in one sum for each stage.
const MOST_KINDS: usize = 256;

/// Those who may still tell what they kept from the processes of a try.
#[derive(Clone, Debug, Default)]
pub(crate) struct Speakers(Arc<(Mutex<usize>, Condvar)>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(super) struct Speaker(Speakers);

impl Speakers {
    pub(super) fn one_more(&self) -> Speaker {
        let (number, _) = &*self.0;
        *number.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Speaker(self.clone())
    }

    /// Waits until none is left, but no longer than it takes a server to see that its visitor is gone.
    pub(super) fn await_silence(&self) {
        let (number, changed) = &*self.0;
        let number = number.lock().unwrap_or_else(PoisonError::into_inner);
        let patience = Duration::from_secs(1);
        drop(changed.wait_timeout_while(number, patience, |number| *number > 0));
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        let (number, changed) = &*self.0.0;
        *number.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        changed.notify_all();
    }
}

/// What has become no event yet.
#[derive(Debug, Default)]
pub(super) struct Untold(HashMap<Kind, Count>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kind {
    stage: StageIndex,
    attempt: Attempt,
    what: String,
    why: String,
}

#[derive(Debug)]
struct Count {
    told: Instant,
    untold: u64,
}

impl Untold {
    /// What is to be an event now, if anything is.
    fn add(
        &mut self,
        stage: StageIndex,
        attempt: Attempt,
        withheld: Withheld,
        now: Instant,
    ) -> Option<Report> {
        let Withheld { what, why, count } = withheld;
        let mut kind = Kind { stage, attempt, what, why };
        if self.0.len() >= MOST_KINDS && !self.0.contains_key(&kind) {
            kind.what = "...".to_owned();
        }
        let is_new = !self.0.contains_key(&kind);
        let held = self.0.entry(kind.clone()).or_insert(Count { told: now, untold: 0 });
        held.untold = held.untold.saturating_add(count);
        if !is_new && now.duration_since(held.told) < PERIOD {
            return None;
        }
        held.told = now;
        Some(kind.report(std::mem::take(&mut held.untold)))
    }

    /// What is left of a try that is over.
    fn rest(&mut self, stage: StageIndex, attempt: Attempt) -> Vec<Report> {
        let of_it = |kind: &Kind| (kind.stage, kind.attempt) == (stage, attempt);
        let left = self.0.extract_if(|kind, _| of_it(kind)).filter(|(_, count)| count.untold > 0);
        left.map(|(kind, count)| kind.report(count.untold)).collect()
    }
}

impl Kind {
    fn report(self, count: u64) -> Report {
        let Self { stage, attempt, what, why } = self;
        Report::Denied { stage, attempt, what, why, count }
    }
}

impl Runner<'_, '_, '_> {
    pub(super) fn hear_withheld(
        &mut self,
        stage: StageIndex,
        attempt: Attempt,
        withheld: Withheld,
    ) -> Result<(), EngineError> {
        match self.untold.add(stage, attempt, withheld, Instant::now()) {
            Some(report) => self.denied(&report),
            None => Ok(()),
        }
    }

    /// Writes down that something was denied, and says so in the log of a thread.
    pub(super) fn denied(&mut self, report: &Report) -> Result<(), EngineError> {
        if let Report::Denied { stage, what, why, count, .. } = report
            && let Some(conversation) = self.conversation(*stage)
        {
            let often = if *count > 1 { format!(" {count} times") } else { String::new() };
            let remedy = remedy(what, why).map(|remedy| format!("; {remedy}")).unwrap_or_default();
            conversation.note(&format!("! was denied {what}{often} ({why}){remedy}"));
        }
        self.note(report)
    }

    /// A server outside of a thread did not start. What that said itself is for people alone: it may
    /// well have written its secrets there.
    pub(super) fn hear_not_started(
        &mut self,
        stage: StageIndex,
        attempt: Attempt,
        server: String,
        reason: String,
    ) -> Result<(), EngineError> {
        let log = self.engine.server_log(&self.spec.run_id, &server);
        let text = format!(
            "! the MCP server `{server}` did not start: {reason}; what it said is in {}",
            log.display()
        );
        let report = Report::ServerNotStarted { stage, attempt, server, reason };
        if self.run.note(&report).is_empty() {
            return Ok(());
        }
        if let Some(conversation) = self.conversation(stage) {
            conversation.note(&text);
        }
        self.note(&report)
    }

    /// Writes down what is left of a try that is about to be over.
    pub(super) fn tell_what_was_withheld(
        &mut self,
        stage: StageIndex,
        attempt: Attempt,
    ) -> Result<(), EngineError> {
        self.untold.rest(stage, attempt).iter().try_for_each(|report| self.denied(report))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts<'a>(reports: impl IntoIterator<Item = &'a Report>) -> Vec<(String, u64)> {
        let count = |report: &Report| match report {
            Report::Denied { what, count, .. } => (what.clone(), *count),
            other => panic!("{other:?}"),
        };
        reports.into_iter().map(count).collect()
    }

    #[test]
    fn a_kind_is_told_at_once_then_seldom_and_the_rest_at_the_end_of_its_try() {
        let mut untold = Untold::default();
        let begin = Instant::now();
        let withheld =
            |what: &str| Withheld { what: what.to_owned(), why: "x".to_owned(), count: 2 };
        let (stage, one, two) = (StageIndex(0), Attempt(1), Attempt(2));
        let mut add = |attempt, what: &str, after| {
            let report =
                untold.add(stage, attempt, withheld(what), begin + Duration::from_secs(after));
            counts(&report)
        };
        assert_eq!(add(one, "a", 0), [("a".to_owned(), 2)]);
        assert_eq!(add(one, "a", 1), []);
        assert_eq!(add(one, "a", 4), []);
        assert_eq!(add(two, "a", 4), [("a".to_owned(), 2)]);
        assert_eq!(add(one, "a", 5), [("a".to_owned(), 6)]);
        assert_eq!(add(one, "a", 6), []);
        assert_eq!(counts(&untold.rest(stage, two)), []);
        assert_eq!(counts(&untold.rest(stage, one)), [("a".to_owned(), 2)]);
        assert_eq!(counts(&untold.rest(stage, one)), []);
    }

    #[test]
    fn too_many_kinds_are_one() {
        let mut untold = Untold::default();
        let now = Instant::now();
        let told = (0..1000).filter_map(|number: u64| {
            let withheld = Withheld { what: number.to_string(), why: "x".to_owned(), count: 1 };
            untold.add(StageIndex(0), Attempt(1), withheld, now)
        });
        assert_eq!(told.count(), MOST_KINDS + 1);
        assert_eq!(
            counts(&untold.rest(StageIndex(0), Attempt(1))),
            [("...".to_owned(), 1000 - MOST_KINDS as u64 - 1)]
        );
    }
}
