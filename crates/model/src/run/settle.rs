//! What follows from the state of a run alone: sub-pipelines begin and end, stages whose needs
//! have failed are skipped, and the run comes to its end.

use super::{Phase, Run};
use crate::{
    Ended, Event, Failure, Outcome, PlannedBody, Recorded, Resolution, Seq, StageIndex, StageState,
    Step, Timestamp,
};

/// How a stage looks to the ones that need it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Open,
    Good,
    Bad,
}

impl Run {
    /// The events, and those that follow from them without anything else happening.
    pub(super) fn with_consequences(&self, mut events: Vec<Event>) -> Vec<Event> {
        let mut next = self.clone();
        let mut seen = 0;
        loop {
            for event in &events[seen..] {
                next.foresee(event);
            }
            seen = events.len();
            match next.follows() {
                Some(event) => events.push(event),
                None => return events,
            }
        }
    }

    /// Applies an event that is not written down yet, to see what follows from it. Its time and
    /// number do not matter: nothing here decides by them.
    fn foresee(&mut self, event: &Event) {
        self.apply(&Recorded {
            seq: Seq(self.head.0 + 1),
            at: Timestamp::from_millis(0),
            actor: crate::Actor::Runner,
            event: event.clone(),
        });
    }

    /// The one next thing that follows by itself, if there is one.
    fn follows(&self) -> Option<Event> {
        if let Some(withdrawn) = self.withdrawn() {
            return Some(withdrawn);
        }
        match &self.phase {
            Phase::Live | Phase::Pausing { .. } => self
                .indexed()
                .find_map(|(index, state)| self.stage_follows(index, state))
                .or_else(|| self.end_follows())
                .or_else(|| self.pause_follows()),
            Phase::Cancelling { reason } => self
                .running()
                .next()
                .is_none()
                .then(|| Event::RunCanceled { reason: reason.clone() }),
            Phase::Failing { error } => self
                .running()
                .next()
                .is_none()
                .then(|| Event::RunFailed { stage_id: None, error: error.clone() }),
            // What a run asked concerns nobody once it is over. Sessions go on all the same.
            Phase::Ended { .. } if !self.plan.is_session() => {
                let (_, question) = self.open_questions().next()?;
                Some(Event::resolved(question, Resolution::RunEnded))
            }
            Phase::Queued
            | Phase::Paused { .. }
            | Phase::Interrupted { .. }
            | Phase::Ended { .. } => None,
        }
    }

    fn stage_follows(&self, index: StageIndex, state: &StageState) -> Option<Event> {
        match state {
            StageState::Waiting { next, .. } => {
                if let Some(reason) = self.hopeless(index) {
                    let step = Step::new(&self.plan, index, state.attempts());
                    return Some(Event::StepSkipped { step, reason });
                }
                let launches =
                    self.has_processes(index) && self.first_part(index) != crate::Part::Nothing;
                let begins = !launches && self.ready(index);
                begins.then(|| Event::StepStarted { step: Step::new(&self.plan, index, next.0) })
            }
            StageState::Running(running) if !self.has_processes(index) => {
                self.group_end(index, Step::new(&self.plan, index, running.attempt.0))
            }
            StageState::Running(running) if running.part == crate::Part::Nothing => {
                let step = Step::new(&self.plan, index, running.attempt.0);
                Some(self.thread_done(index, step))
            }
            StageState::Running(_) | StageState::Ended(_) => None,
        }
    }

    /// Whether a waiting stage may begin: what it is within has begun, and what it needs is done.
    pub(super) fn ready(&self, stage: StageIndex) -> bool {
        let planned = &self.plan.stages[stage.get()];
        let inside =
            planned.within.is_none_or(|group| matches!(self.stage(group), StageState::Running(_)));
        inside && planned.needs.iter().all(|&need| self.standing(need) == Standing::Good)
    }

    /// Why a waiting stage can never begin, if so.
    fn hopeless(&self, stage: StageIndex) -> Option<String> {
        let planned = &self.plan.stages[stage.get()];
        if let Some(group) = planned.within
            && let StageState::Ended(_) = self.stage(group)
        {
            return Some(format!("`{}` was not run", self.plan.stages[group.get()].id));
        }
        let bad = planned.needs.iter().find(|&&need| self.standing(need) == Standing::Bad)?;
        let id = &self.plan.stages[bad.get()].id;
        Some(match self.stage(*bad).status() {
            crate::StageStatus::Skipped => format!("`{id}` was skipped"),
            _ => format!("`{id}` failed"),
        })
    }

    fn standing(&self, stage: StageIndex) -> Standing {
        match self.stage(stage) {
            StageState::Waiting { .. } | StageState::Running(_) => Standing::Open,
            StageState::Ended(ended) => match ended.outcome {
                Outcome::Succeeded => Standing::Good,
                Outcome::Failed(_) if self.plan.stages[stage.get()].allow_failure => Standing::Good,
                Outcome::Failed(_) | Outcome::Skipped(_) | Outcome::Cancelled => Standing::Bad,
            },
        }
    }

    /// The end of a sub-pipeline all of whose stages have ended.
    fn group_end(&self, group: StageIndex, step: Step) -> Option<Event> {
        let mut failed = 0;
        for (index, state) in self.indexed() {
            let planned = &self.plan.stages[index.get()];
            if planned.within != Some(group) {
                continue;
            }
            match state {
                StageState::Ended(ended) => {
                    failed += u32::from(fails_others(ended) && !planned.allow_failure);
                }
                StageState::Waiting { .. } | StageState::Running(_) => return None,
            }
        }
        if failed == 0 {
            return Some(Event::StepCompleted { step, exit_code: None, summary: None });
        }
        let failure = Failure::Stages(failed);
        Some(Event::StepFailed {
            step,
            exit_code: None,
            exit: None,
            error: failure.to_string(),
            failure,
            summary: None,
            output: None,
            retry: false,
            allowed: self.plan.stages[group.get()].allow_failure,
        })
    }

    /// The run's end, when all of its stages have ended.
    fn end_follows(&self) -> Option<Event> {
        let mut first_bad = None;
        for (index, state) in self.indexed() {
            let planned = &self.plan.stages[index.get()];
            let StageState::Ended(ended) = state else { return None };
            // A failed stage of a sub-pipeline counts by way of the sub-pipeline, which may be
            // allowed to fail; but the one that people want to hear of is the stage itself.
            if let Outcome::Failed(failure) = &ended.outcome
                && first_bad.is_none()
                && !self.plan.excuses(index)
                && !matches!(planned.body, PlannedBody::Pipeline(_))
            {
                first_bad = Some((planned.id.clone(), failure.to_string()));
            }
        }
        Some(match first_bad {
            None => Event::RunCompleted {},
            Some((stage_id, error)) => Event::RunFailed { stage_id: Some(stage_id), error },
        })
    }

    /// A run of which nothing is running is frozen as soon as that is asked.
    fn pause_follows(&self) -> Option<Event> {
        let still = matches!(self.phase, Phase::Pausing { .. }) && self.running().next().is_none();
        still.then_some(Event::RunPaused {})
    }
}

fn fails_others(ended: &Ended) -> bool {
    match ended.outcome {
        Outcome::Failed(_) => true,
        Outcome::Succeeded | Outcome::Skipped(_) | Outcome::Cancelled => false,
    }
}
