//! Wishes and facts become events.

use super::{Phase, Run, RunOutcome};
use crate::{
    Attempt, Event, Exit, Failure, Fallback, Halt, PlannedBody, Question, QuestionId, Refusal,
    Report, Request, Resolution, Running, StageIndex, StageState, Step, Timestamp,
};

/// How many open questions a run may have. Nobody answers more, and each of them is held in memory.
const MOST_OPEN: usize = 1000;

impl Run {
    /// Grants a wish, as the events that follow from it, or says why not.
    ///
    /// # Errors
    ///
    /// A `Refusal`, when the run is not in a state in which the wish makes sense.
    pub fn decide(&self, request: &Request) -> Result<Vec<Event>, Refusal> {
        let event = match request {
            Request::Run { runner } => match &self.phase {
                Phase::Queued => Ok(Event::RunStarted { runner: runner.clone() }),
                Phase::Interrupted { .. }
                | Phase::Ended {
                    outcome: RunOutcome::Failed { .. } | RunOutcome::Cancelled { .. },
                    ..
                } => Ok(Event::RunResumed {
                    runner: Some(runner.clone()),
                    stage_id: self.first_unfinished(),
                }),
                Phase::Ended { outcome: RunOutcome::Succeeded, .. } => Err(Refusal::Succeeded),
                Phase::Live | Phase::Pausing { .. } | Phase::Paused { .. } => {
                    Err(Refusal::AlreadyRunning)
                }
                Phase::Cancelling { .. } => Err(Refusal::AlreadyCancelling),
                Phase::Failing { .. } => Err(Refusal::Failing),
            },
            Request::Pause { freeze } => match &self.phase {
                Phase::Live => Ok(Event::PauseRequested { freeze: *freeze }),
                // Whoever waits for the end of a turn may lose patience.
                Phase::Pausing { freeze: false } if *freeze => {
                    Ok(Event::PauseRequested { freeze: true })
                }
                Phase::Pausing { .. } | Phase::Paused { .. } => Err(Refusal::AlreadyPaused),
                Phase::Queued => Err(Refusal::NotStarted),
                Phase::Cancelling { .. } => Err(Refusal::AlreadyCancelling),
                Phase::Failing { .. } => Err(Refusal::Failing),
                Phase::Interrupted { .. } => Err(Refusal::Interrupted),
                Phase::Ended { .. } => Err(Refusal::Ended),
            },
            Request::Thaw => match &self.phase {
                Phase::Pausing { .. } | Phase::Paused { .. } => {
                    Ok(Event::RunResumed { runner: None, stage_id: None })
                }
                Phase::Queued => Err(Refusal::NotStarted),
                Phase::Live => Err(match self.held_by() {
                    Some(question) => Refusal::WaitsForAnswer(question.question_id.clone()),
                    None => Refusal::NotPaused,
                }),
                Phase::Cancelling { .. } => Err(Refusal::AlreadyCancelling),
                Phase::Failing { .. } => Err(Refusal::Failing),
                Phase::Interrupted { .. } => Err(Refusal::Interrupted),
                Phase::Ended { .. } => Err(Refusal::Ended),
            },
            Request::Cancel { reason } => match &self.phase {
                Phase::Queued
                | Phase::Live
                | Phase::Pausing { .. }
                | Phase::Paused { .. }
                | Phase::Interrupted { .. } => {
                    Ok(Event::CancelRequested { reason: reason.clone() })
                }
                Phase::Cancelling { .. } => Err(Refusal::AlreadyCancelling),
                Phase::Failing { .. } => Err(Refusal::Failing),
                Phase::Ended { .. } => Err(Refusal::Ended),
            },
            Request::Message { text } => self.message(text),
            Request::Ask { question } => self.ask(question),
            Request::Resolve { question_id, resolution } => {
                return self.resolve(question_id, resolution);
            }
        };
        event.map(|event| self.with_consequences(vec![event]))
    }

    /// Takes a fact, as the events that follow from it. One that comes too late, about a try that
    /// is over, gives none.
    #[must_use]
    pub fn note(&self, report: &Report) -> Vec<Event> {
        let event = match report {
            Report::Launching { stage, attempt } => self.launching(*stage, *attempt),
            Report::Launched { stage, attempt, tree } => self
                .running_try(*stage, *attempt)
                .map(|(step, _)| Event::StepLaunched { step, tree: tree.clone() }),
            Report::Overran { stage, attempt } => self.overran(*stage, *attempt),
            Report::OutputLost { stage, attempt, reason } => self
                .running_try(*stage, *attempt)
                .map(|(step, _)| Event::StepOutputLost { step, reason: reason.clone() }),
            Report::Exited { stage, attempt, exit, last_line, output } => {
                let tried = self.running_try(*stage, *attempt);
                tried.map(|(step, running)| match &self.plan.stages[stage.get()].body {
                    PlannedBody::Codex(codex) => {
                        self.part_exited(*stage, codex, step, running, exit, output.clone())
                    }
                    PlannedBody::Command(_) | PlannedBody::Pipeline(_) => {
                        self.exited(*stage, step, running, exit, last_line.clone())
                    }
                })
            }
            Report::Thread { stage, attempt, report } => {
                return match self.running_try(*stage, *attempt) {
                    Some((step, _)) => self.heard(step, report),
                    None => Vec::new(),
                };
            }
            Report::Confined { stage, attempt, cage } => self
                .running_try(*stage, *attempt)
                .map(|(step, _)| Event::StepConfined { step, cage: cage.clone() }),
            Report::Denied { stage, attempt, what, why, count } => {
                let (what, why, count) = (what.clone(), why.clone(), *count);
                self.running_try(*stage, *attempt).map(|(step, _)| Event::CapDenied {
                    step,
                    what,
                    why,
                    count,
                })
            }
            Report::ServerNotStarted { stage, attempt, server, reason } => {
                self.server_not_started(*stage, *attempt, server, reason)
            }
            Report::Widened { stage, attempt, what } => {
                self.running_try(*stage, *attempt).map(|(step, _)| Event::CapWidened {
                    what: what.clone(),
                    stage_id: Some(step.stage_id),
                    by: None,
                    question_id: None,
                })
            }
            Report::Stood { stage, attempt, standing } => self
                .running_try(*stage, *attempt)
                .map(|(step, _)| Event::ApprovalStood { step, standing: standing.clone() }),
            Report::Silent { stage, attempt } => self.silent(*stage, *attempt),
            Report::Spent { reached, of, then } => {
                return self.spent(*reached, of.as_ref(), *then);
            }
            Report::Limited { until, goes_on } => return self.account_limited(*until, *goes_on),
            Report::TreeMade { path, branch, base } => Some(Event::WorktreeMade {
                path: path.clone(),
                branch: branch.clone(),
                base: base.clone(),
            }),
            Report::Unprepared { error } => {
                matches!(self.phase, Phase::Live | Phase::Pausing { .. } | Phase::Paused { .. })
                    .then(|| Event::FailRequested { error: error.clone() })
            }
            Report::Time { now } => return self.overdue(*now),
            Report::Froze => {
                matches!(self.phase, Phase::Pausing { .. }).then_some(Event::RunPaused {})
            }
            Report::FreezeFailed { reason } => matches!(self.phase, Phase::Pausing { .. })
                .then(|| Event::PauseFailed { reason: reason.clone() }),
            Report::RunnerLost { reason } => self.runner_lost(reason),
        };
        event.map(|event| self.with_consequences(vec![event])).unwrap_or_default()
    }

    fn ask(&self, question: &Question) -> Result<Event, Refusal> {
        match self.phase {
            // What stands for a session does nothing, and is over from the start.
            Phase::Ended { .. } if self.plan.is_session() => {}
            Phase::Queued | Phase::Live | Phase::Pausing { .. } | Phase::Paused { .. } => {}
            Phase::Cancelling { .. } => return Err(Refusal::AlreadyCancelling),
            Phase::Failing { .. } => return Err(Refusal::Failing),
            Phase::Interrupted { .. } => return Err(Refusal::Interrupted),
            Phase::Ended { .. } => return Err(Refusal::Ended),
        }
        match self.open.len() {
            MOST_OPEN.. => Err(Refusal::TooManyQuestions(MOST_OPEN)),
            _ => Ok(Event::asked(question.clone())),
        }
    }

    fn resolve(&self, id: &QuestionId, resolution: &Resolution) -> Result<Vec<Event>, Refusal> {
        let asked = self.open.get(id).ok_or_else(|| Refusal::NotOpen(id.clone()))?;
        asked.1.fits(resolution)?;
        Ok(self.close(&asked.1, resolution.clone()))
    }

    /// What follows when a question is resolved.
    fn close(&self, question: &Question, resolution: Resolution) -> Vec<Event> {
        let falls_back = match &resolution {
            Resolution::Expired { fallback_action } => *fallback_action,
            _ => None,
        };
        let widened = Self::widening(question, &resolution);
        let mut events = vec![Event::resolved(question, resolution)];
        events.extend(widened);
        let failed = || Event::FailRequested {
            error: format!("question {} was not answered in time", question.question_id),
        };
        let also = match (falls_back, &self.phase) {
            (Some(Fallback::Pause), Phase::Live) => Some(Event::PauseRequested { freeze: false }),
            (
                Some(Fallback::Fail),
                Phase::Queued
                | Phase::Live
                | Phase::Pausing { .. }
                | Phase::Paused { .. }
                | Phase::Interrupted { .. },
            ) => Some(failed()),
            _ => None,
        };
        events.extend(also);
        self.with_consequences(events)
    }

    /// What follows from its being so late: one question that is overdue is closed. Whoever tells
    /// the time tells it again until nothing follows.
    fn overdue(&self, now: Timestamp) -> Vec<Event> {
        let overdue = self.open_questions().map(|(_, question)| question);
        match overdue.into_iter().find(|question| question.expired(now)) {
            Some(question) => self.close(question, question.when_expired()),
            None => self.lifted(now),
        }
    }

    fn launching(&self, stage: StageIndex, attempt: Attempt) -> Option<Event> {
        match self.stage(stage) {
            StageState::Waiting { next, .. } if *next == attempt => {
                Some(Event::StepStarted { step: Step::new(&self.plan, stage, attempt.0) })
            }
            _ => None,
        }
    }

    pub(super) fn running_try(
        &self,
        stage: StageIndex,
        attempt: Attempt,
    ) -> Option<(Step, &Running)> {
        match self.stage(stage) {
            StageState::Running(running) if running.attempt == attempt => {
                Some((Step::new(&self.plan, stage, attempt.0), running))
            }
            _ => None,
        }
    }

    fn overran(&self, stage: StageIndex, attempt: Attempt) -> Option<Event> {
        let (step, running) = self.running_try(stage, attempt)?;
        let timeout = match &self.plan.stages[stage.get()].body {
            PlannedBody::Command(command) => command.timeout?,
            PlannedBody::Codex(codex) => codex.timeout?,
            PlannedBody::Pipeline(_) => return None,
        };
        let limit_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        running.halt.is_none().then_some(Event::StepTimedOut { step, limit_ms })
    }

    fn exited(
        &self,
        stage: StageIndex,
        step: Step,
        running: &Running,
        exit: &Exit,
        summary: Option<String>,
    ) -> Event {
        let planned = &self.plan.stages[stage.get()];
        let failure = match running.halt {
            // A command that ended well just before the signal reached it did end well.
            _ if exit.succeeded() => {
                return Event::StepCompleted { step, exit_code: Some(0), summary };
            }
            Some(Halt::Cancelled) => return Event::StepCancelled { step, exit: exit.clone() },
            Some(Halt::Overran { limit_ms }) => Failure::TimedOut { limit_ms },
            // Only threads are stopped for these.
            Some(Halt::Silent { .. } | Halt::Spent) | None => Failure::Exited(exit.clone()),
        };
        let retries = match &planned.body {
            PlannedBody::Command(command) => command.retries,
            PlannedBody::Codex(_) | PlannedBody::Pipeline(_) => 0,
        };
        // A stage that was tried in an earlier life of the run has its tries again in this one.
        let retry = step.attempt < self.first_tries[stage.get()].0.saturating_add(retries)
            && *exit != Exit::Lost;
        Event::StepFailed {
            step,
            exit_code: exit.code(),
            exit: Some(exit.clone()),
            error: failure.to_string(),
            failure,
            summary,
            output: None,
            retry,
            allowed: planned.allow_failure,
        }
    }

    fn runner_lost(&self, reason: &str) -> Option<Event> {
        match &self.phase {
            Phase::Queued | Phase::Live | Phase::Pausing { .. } | Phase::Paused { .. } => {
                Some(Event::RunInterrupted { reason: reason.to_owned() })
            }
            // Its end was asked for and everything of it is gone: that is its end.
            Phase::Cancelling { reason } => Some(Event::RunCanceled { reason: reason.clone() }),
            Phase::Failing { error } => {
                Some(Event::RunFailed { stage_id: None, error: error.clone() })
            }
            Phase::Interrupted { .. } | Phase::Ended { .. } => None,
        }
    }

    /// The first stage that a resumed run has to run again.
    fn first_unfinished(&self) -> Option<crate::StageId> {
        let at = self
            .indexed()
            .map(|(index, _)| index)
            .find(|index| self.has_processes(*index) && !self.done(*index))?;
        Some(self.plan.stages[at.get()].id.clone())
    }
}
