//! Writing down: events first, then the views of them.

use std::time::Instant;

use model::{Actor, Effect, Event, Part, Phase, Recorded, Refusal, Report, Run, RunStatus, Seq};
use store::{Durability, RequestId};

use super::{MANIFEST_EVERY, Progress, Runner};
use crate::{EngineError, edge};

/// When the manifest is to be written next.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    due: Option<Instant>,
    written: Option<Instant>,
    status: Option<RunStatus>,
}

impl Schedule {
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether to write it now: at once for another status, otherwise not too often.
    fn now(&mut self, status: RunStatus) -> bool {
        let now = Instant::now();
        let next = self.written.map_or(now, |written| written + MANIFEST_EVERY);
        if self.status != Some(status) || next <= now {
            self.status = Some(status);
            self.written = Some(now);
            self.due = None;
            return true;
        }
        self.due = Some(next);
        false
    }
}

impl Runner<'_, '_, '_> {
    /// Writes events down and lets them take effect.
    pub(super) fn happen(&mut self, events: Vec<Event>, actor: Actor) -> Result<(), EngineError> {
        self.happen_answering(events, actor, &[])
    }

    pub(super) fn happen_answering(
        &mut self,
        events: Vec<Event>,
        actor: Actor,
        answers: &[(RequestId, Result<(), Refusal>)],
    ) -> Result<(), EngineError> {
        self.happen_together(vec![(actor, events)], answers)
    }

    /// The same for what several have wished for, in one commit.
    pub(super) fn happen_together(
        &mut self,
        wishes: Vec<(Actor, Vec<Event>)>,
        answers: &[(RequestId, Result<(), Refusal>)],
    ) -> Result<(), EngineError> {
        let durability = match wishes.iter().flat_map(|(_, events)| events).collect::<Vec<_>>()[..]
        {
            [] if answers.is_empty() => return Ok(()),
            ref events if answers.is_empty() && events.iter().all(|event| event.is_trace()) => {
                Durability::Trace
            }
            _ => Durability::Fact,
        };
        let mut next = self.run.clone();
        let mut fresh = Vec::with_capacity(wishes.len() + 1);
        for (actor, events) in wishes {
            add(&mut next, &mut fresh, events, actor);
        }
        let mut launches = Vec::new();
        // Tries that are due now are written down in the same commit: one a stage, not two.
        let prepared = self.spec.own_tree.is_none() || next.tree().is_some();
        if self.leaving.is_none() && prepared {
            for effect in next.due() {
                if let Effect::Launch(stage, attempt, part) = effect {
                    let events = next.note(&Report::Launching { stage, attempt });
                    add(&mut next, &mut fresh, events, Actor::Runner);
                    launches.push((stage, attempt, part));
                }
            }
            // The next part of a try that is at work.
            launches.extend(fresh.iter().filter_map(|recorded| match &recorded.event {
                Event::VerifyStarted { step } => Some((step.index(), step.attempt(), Part::Verify)),
                _ => None,
            }));
        }
        let run_id = &self.spec.run_id;
        let head = self.run.head();
        let journal = self.engine.journal_mut();
        // Its parent's room is asked for when the run begins, and its number when it is made.
        let begins = self.run.started_at().is_none() && next.started_at().is_some();
        let made = head == Seq::default();
        let admission = self.admission.as_ref().filter(|_| begins || made);
        match made {
            true => journal.create(&self.spec, &fresh, &next, admission, None)?,
            false => journal
                .append_admitted(run_id, head, &fresh, &next, answers, durability, admission)?,
        }
        self.run = next;
        self.todo.extend(launches);
        self.hold_clocks();
        self.widen(&fresh);
        self.write_views(&fresh);
        self.bell.ring();
        if !answers.is_empty() || fresh.iter().any(|recorded| recorded.event.is_awaited()) {
            self.news.ring();
            self.engine.see_to_notices();
        }
        self.saw(&Progress::Happened(&fresh));
        self.pass_on(&fresh)
    }

    /// The views follow the journal; where they cannot, the run goes on without them, and
    /// whoever looks later makes them.
    fn write_views(&mut self, fresh: &[Recorded]) {
        let journal = self.engine.journal();
        if let Err(error) = self.views.write_events(&self.spec, journal, fresh) {
            self.saw(&Progress::Trouble(format!("events.jsonl is behind: {error}")));
        }
        if self.manifest.now(self.run.status()) {
            self.write_manifest();
        }
    }

    pub(super) fn write_late_views(&mut self) {
        if self.manifest.due().is_some_and(|due| due <= Instant::now())
            && self.manifest.now(self.run.status())
        {
            self.write_manifest();
        }
    }

    /// Before the runner leaves, or stops: nothing may be left to be written later.
    pub(super) fn finish_views(&mut self) {
        let journal = self.engine.journal();
        let events = matches!(self.views.write_events(&self.spec, journal, &[]), Ok(true));
        let late = self.manifest.due.take().is_some();
        let over = matches!(self.run.phase(), Phase::Ended { .. } | Phase::Interrupted { .. });
        let manifest = !(late || over) || self.write_manifest();
        self.shown = events && manifest;
    }

    fn write_manifest(&mut self) -> bool {
        let children = self.engine.children(&self.spec.run_id).unwrap_or_default();
        let manifest = store::manifest_of(&self.spec, &self.run, &self.paths, children);
        match self.views.write_manifest(&manifest) {
            Ok(written) => written,
            Err(error) => {
                self.saw(&Progress::Trouble(format!("manifest.json is behind: {error}")));
                false
            }
        }
    }
}

pub(super) fn add(run: &mut Run, fresh: &mut Vec<Recorded>, events: Vec<Event>, actor: Actor) {
    for event in events {
        // Whoever started it wanted it; that it began is the runner's doing.
        let actor = if let Event::RunQueued { .. } = event { Actor::User } else { actor };
        let recorded = Recorded { seq: run.head().next(), at: edge::now(), actor, event };
        run.apply(&recorded);
        fresh.push(recorded);
    }
}
