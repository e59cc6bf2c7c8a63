//! A run, and the only places where it moves.

mod converse;
mod decide;
mod servers;
mod settle;
#[cfg(test)]
mod stories;
mod widen;

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    Attempt, Effect, Ended, Event, Halt, Limited, Matter, Outcome, Part, Plan, Question,
    QuestionId, Recorded, RunId, RunStatus, Runner, Running, Seq, StageIndex, StageState, Step,
    Thread, Timestamp, Used,
};
pub use servers::NotStarted;
use servers::Servers;
use widen::Reach;
pub use widen::Widened;

/// A run as its journal tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    plan: Arc<Plan>,
    stages: Vec<StageState>,
    /// The number of each stage's first try in this life of the run.
    first_tries: Vec<Attempt>,
    phase: Phase,
    runner: Option<Runner>,
    head: Seq,
    queued_at: Option<Timestamp>,
    started_at: Option<Timestamp>,
    updated_at: Option<Timestamp>,
    restarts: Vec<Restart>,
    rung: Option<String>,
    /// What it asked and nobody has resolved, with when it asked. What is resolved is in the journal.
    open: BTreeMap<QuestionId, Arc<(Timestamp, Question)>>,
    asked: u32,
    /// The threads of its stages, from their first turn on.
    threads: BTreeMap<StageIndex, Thread>,
    /// Why it is not at work, though nobody paused it.
    limited: Option<Limited>,
    /// How often its budget was granted, over all its lives.
    grants: u32,
    /// How often that of a run above was granted for this one.
    grants_of_others: BTreeMap<RunId, u32>,
    /// The work tree that was made for it.
    tree: Option<MadeTree>,
    /// What confined the last try at each stage.
    cages: BTreeMap<StageIndex, serde_json::Value>,
    /// How often each stage reached for what it may not have.
    denied: BTreeMap<StageIndex, u64>,
    /// What it may reach beside what its caps list, and what not.
    reach: Reach,
    /// Servers that did not start for the last try at a stage.
    servers: Servers,
    /// Why what its threads did last is not committed, where it is not.
    uncommitted: Option<String>,
}

/// A work tree that was made for a run.
#[derive(
    Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
pub struct MadeTree {
    /// Where it is; an absolute path.
    pub path: String,
    /// The branch in it.
    pub branch: String,
    /// The commit that it began with.
    pub base: String,
}

/// What a run as a whole is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nobody has taken it up.
    Queued,
    /// Its stages are being run.
    Live,
    /// It is being frozen.
    Pausing {
        /// Its threads in the middle of their turns, too.
        freeze: bool,
    },
    /// All of it is frozen.
    Paused {
        /// Since then.
        since: Timestamp,
    },
    /// All of it is being stopped.
    Cancelling {
        /// Why, in the asker's words.
        reason: Option<String>,
    },
    /// All of it is being stopped, to end as failed.
    Failing {
        /// Why.
        error: String,
    },
    /// Its runner died; nothing of it runs.
    Interrupted {
        /// Found then.
        at: Timestamp,
        /// What became of the runner.
        reason: String,
    },
    /// It is over.
    Ended {
        /// Since then.
        at: Timestamp,
        /// How it came out.
        outcome: RunOutcome,
    },
}

/// How a run came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunOutcome {
    /// Every stage that had to succeed did.
    Succeeded,
    /// A stage that had to succeed did not, or the run was ended as failed.
    Failed {
        /// The first such stage; none where it was no stage's fault.
        stage: Option<StageIndex>,
        /// Why it failed.
        error: String,
    },
    /// It was cancelled.
    Cancelled {
        /// Why, in the asker's words.
        reason: Option<String>,
    },
}

/// A time that the run was taken up again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restart {
    /// When.
    pub at: Timestamp,
    /// Who runs it since; none when it was only thawed.
    pub runner: Option<Runner>,
    /// Where it began again; none when it was only thawed.
    pub stage: Option<String>,
}

/// What a run waits for before it goes on.
#[derive(
    Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
pub struct Waiting {
    /// What kind of thing.
    #[serde(rename = "for")]
    pub for_: WaitingFor,
    /// The question, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<QuestionId>,
    /// Since when.
    pub since: Timestamp,
    /// Until when, where it does not wait for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// What kind of thing a run waits for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum WaitingFor {
    /// The answer to a question.
    Answer,
    /// That a person confirms what it wants to do.
    Confirmation,
    /// That somebody allows what its thread wants to do.
    Approval,
    /// That the account that its threads use may be used again.
    UsageLimit,
    /// That somebody grants it more of what its budget limits.
    Budget,
    /// That one of its parent's other runs ends.
    Slot,
}

impl WaitingFor {
    /// The word itself.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Confirmation => "confirmation",
            Self::Approval => "approval",
            Self::UsageLimit => "usage_limit",
            Self::Budget => "budget",
            Self::Slot => "slot",
        }
    }
}

impl Run {
    /// A run of that plan to which nothing has happened.
    #[must_use]
    pub fn new(plan: Arc<Plan>) -> Self {
        let stages = vec![StageState::untouched(); plan.stages.len()];
        let first_tries = vec![Attempt::FIRST; plan.stages.len()];
        Self {
            plan,
            stages,
            first_tries,
            phase: Phase::Queued,
            runner: None,
            head: Seq::default(),
            queued_at: None,
            started_at: None,
            updated_at: None,
            restarts: Vec::new(),
            rung: None,
            open: BTreeMap::new(),
            asked: 0,
            threads: BTreeMap::new(),
            limited: None,
            grants: 1,
            grants_of_others: BTreeMap::new(),
            tree: None,
            cages: BTreeMap::new(),
            denied: BTreeMap::new(),
            reach: Reach::default(),
            servers: Servers::default(),
            uncommitted: None,
        }
    }

    /// The run to which all of this happened.
    #[must_use]
    pub fn replay<'a>(plan: Arc<Plan>, events: impl IntoIterator<Item = &'a Recorded>) -> Self {
        let mut run = Self::new(plan);
        for recorded in events {
            run.apply(recorded);
        }
        run
    }

    /// What it set out to do.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What it is doing.
    #[must_use]
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// Where its stages stand, in the order of the plan.
    #[must_use]
    pub fn stages(&self) -> &[StageState] {
        &self.stages
    }

    /// Where that stage stands.
    #[must_use]
    pub fn stage(&self, stage: StageIndex) -> &StageState {
        &self.stages[stage.get()]
    }

    /// Who ran it last.
    #[must_use]
    pub fn runner(&self) -> Option<&Runner> {
        self.runner.as_ref()
    }

    /// The number of the last event it has seen.
    #[must_use]
    pub fn head(&self) -> Seq {
        self.head
    }

    /// How the processes of its last launch are held: the `rung` of their traces.
    #[must_use]
    pub fn rung(&self) -> Option<&str> {
        self.rung.as_deref()
    }

    /// When it was written down.
    #[must_use]
    pub fn queued_at(&self) -> Option<Timestamp> {
        self.queued_at
    }

    /// When a runner first took it up.
    #[must_use]
    pub fn started_at(&self) -> Option<Timestamp> {
        self.started_at
    }

    /// When something last happened to it.
    #[must_use]
    pub fn updated_at(&self) -> Option<Timestamp> {
        self.updated_at
    }

    /// When it ended, if it has.
    #[must_use]
    pub fn ended_at(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::Ended { at, .. } => Some(at),
            _ => None,
        }
    }

    /// The times it was taken up again.
    #[must_use]
    pub fn restarts(&self) -> &[Restart] {
        &self.restarts
    }

    /// What it asked and nobody has resolved, with when it asked.
    pub fn open_questions(&self) -> impl Iterator<Item = (Timestamp, &Question)> {
        self.open.values().map(|asked| (asked.0, &asked.1))
    }

    /// How many questions it has asked, over all its lives.
    #[must_use]
    pub fn asked(&self) -> u32 {
        self.asked
    }

    /// The question for whose answer it starts nothing new.
    #[must_use]
    pub fn held_by(&self) -> Option<&Question> {
        self.open_questions().map(|(_, question)| question).find(|question| question.holds())
    }

    /// When something follows by itself: a question closes, or the account's limit is lifted.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Timestamp> {
        let closes = self.open_questions().filter_map(|(_, question)| question.expires_at);
        let lifted = match (&self.limited, &self.phase) {
            (Some(Limited::Usage { until, goes_on: true }), Phase::Paused { .. }) => *until,
            _ => None,
        };
        closes.chain(lifted).min()
    }

    /// The thread of that stage; none before its first turn.
    #[must_use]
    pub fn thread(&self, stage: StageIndex) -> Option<&Thread> {
        self.threads.get(&stage)
    }

    /// Its threads.
    pub fn threads(&self) -> impl Iterator<Item = (StageIndex, &Thread)> {
        self.threads.iter().map(|(stage, thread)| (*stage, thread))
    }

    /// What all of its threads have used up.
    #[must_use]
    pub fn used(&self) -> Used {
        self.threads.values().fold(Used::default(), |sum, thread| sum + thread.used)
    }

    /// How often its budget was granted.
    #[must_use]
    pub fn grants(&self) -> u32 {
        self.grants
    }

    /// How often the budget of that run above was granted for this one, beside what was granted to
    /// that one itself.
    #[must_use]
    pub fn grants_of(&self, above: &RunId) -> u32 {
        self.grants_of_others.get(above).copied().unwrap_or(0)
    }

    /// Why it is not at work, though nobody paused it.
    #[must_use]
    pub fn limited(&self) -> Option<&Limited> {
        self.limited.as_ref()
    }

    /// What confined the last try at that stage, and how often it reached for what it may not have.
    #[must_use]
    pub fn cage(&self, stage: StageIndex) -> (Option<&serde_json::Value>, u64) {
        let denied = self.denied.get(&stage).copied().unwrap_or(0);
        (self.cages.get(&stage), denied)
    }

    /// The work tree that was made for it.
    #[must_use]
    pub fn tree(&self) -> Option<&MadeTree> {
        self.tree.as_ref()
    }

    /// What it waits for; nothing once it is over. Of several things, the one that it asked first.
    #[must_use]
    pub fn waiting(&self) -> Option<Waiting> {
        if let (Phase::Queued, Some(since)) = (&self.phase, self.queued_at) {
            return Some(Waiting { for_: WaitingFor::Slot, id: None, since, until: None });
        }
        if let Phase::Ended { .. } = self.phase
            && !self.plan.is_session()
        {
            return None;
        }
        let waits = |question: &Question| match question.matter {
            Matter::Question { auto_pause, .. } => {
                (auto_pause || question.is_waited_for()).then_some(WaitingFor::Answer)
            }
            Matter::Confirmation { .. } => Some(WaitingFor::Confirmation),
            Matter::Approval { .. } => question.is_waited_for().then_some(WaitingFor::Approval),
        };
        if let (Phase::Paused { since }, Some(limited)) = (&self.phase, &self.limited) {
            let (for_, until) = match limited {
                Limited::Budget { .. } => (WaitingFor::Budget, None),
                Limited::Usage { until, .. } => (WaitingFor::UsageLimit, *until),
            };
            return Some(Waiting { for_, id: None, since: *since, until });
        }
        let waiting = self.open_questions().filter_map(|(since, question)| {
            Some(Waiting {
                for_: waits(question)?,
                id: Some(question.question_id.clone()),
                since,
                until: question.expires_at,
            })
        });
        waiting.min_by_key(|waiting| waiting.since)
    }

    /// What was in the way of committing what its threads did, where that is not committed.
    #[must_use]
    pub fn uncommitted(&self) -> Option<&str> {
        self.uncommitted.as_deref()
    }

    /// What the status does not say, in a few words.
    #[must_use]
    pub fn detail(&self) -> Option<String> {
        match &self.phase {
            Phase::Paused { .. } if self.limited.is_some() => match &self.limited {
                Some(Limited::Budget { reached, of: Some(run) }) => Some(format!(
                    "{reached}, which run {} and all below it share; `resume` grants it as much \
                     again for this one",
                    run.tail()
                )),
                Some(Limited::Budget { reached, of: None }) => {
                    Some(format!("{reached}; `resume` grants as much again"))
                }
                Some(Limited::Usage { until: Some(until), .. }) => {
                    Some(format!("the account's usage limit is reached, until {until}"))
                }
                _ => Some("the account's usage limit is reached".to_owned()),
            },
            Phase::Live => {
                let question = &self.held_by()?.question_id;
                Some(format!("waits for the answer to {question}"))
            }
            Phase::Failing { error } => Some(format!("failing: {error}")),
            Phase::Pausing { freeze: false } if self.mid_turn().next().is_some() => {
                Some("pausing at the end of its turn".to_owned())
            }
            Phase::Pausing { .. } => Some("pausing".to_owned()),
            Phase::Cancelling { .. } => Some("cancelling".to_owned()),
            Phase::Interrupted { reason, .. } => Some(reason.clone()),
            Phase::Ended { outcome: RunOutcome::Failed { stage: Some(stage), error }, .. } => {
                Some(format!("stage `{}` failed: {error}", self.plan.stages[stage.get()].id))
            }
            Phase::Ended { outcome: RunOutcome::Failed { stage: None, error }, .. } => {
                Some(error.clone())
            }
            Phase::Ended { outcome: RunOutcome::Cancelled { reason: Some(reason) }, .. } => {
                Some(reason.clone())
            }
            Phase::Ended { .. } => self.uncommitted().map(|error| {
                format!(
                    "its work is not committed: {error}; it lies in its work tree, and \
                     `codex-orch diff` and `codex-orch apply` take it from there"
                )
            }),
            _ => None,
        }
    }

    /// The word for what it is doing.
    #[must_use]
    pub fn status(&self) -> RunStatus {
        match &self.phase {
            Phase::Queued => RunStatus::Queued,
            // What it had begun is done, and nothing new begins before the answer.
            Phase::Live if self.held_by().is_some() && self.running().next().is_none() => {
                RunStatus::Paused
            }
            Phase::Live
            | Phase::Pausing { .. }
            | Phase::Cancelling { .. }
            | Phase::Failing { .. } => RunStatus::InProgress,
            Phase::Paused { .. } => RunStatus::Paused,
            Phase::Interrupted { .. } => RunStatus::Interrupted,
            Phase::Ended { outcome: RunOutcome::Succeeded, .. } => RunStatus::Succeeded,
            Phase::Ended { outcome: RunOutcome::Failed { .. }, .. } => RunStatus::Failed,
            Phase::Ended { outcome: RunOutcome::Cancelled { .. }, .. } => RunStatus::Cancelled,
        }
    }

    /// The stages that run a command and are running.
    pub fn running(&self) -> impl Iterator<Item = (StageIndex, &Running)> {
        self.indexed().filter_map(|(index, state)| match state {
            StageState::Running(running) if self.has_processes(index) => Some((index, running)),
            _ => None,
        })
    }

    /// What is to be done now. The same state always gives the same effects.
    #[must_use]
    pub fn due(&self) -> Vec<Effect> {
        let posture = |effect: fn(StageIndex) -> Effect| {
            self.running().map(move |(index, running)| match running.halt {
                Some(_) => Effect::Stop(index),
                None => effect(index),
            })
        };
        match self.phase {
            Phase::Live if self.held_by().is_some() => posture(Effect::Thaw).collect(),
            Phase::Live => {
                let free = self.plan.max_parallel.saturating_sub(self.running().count());
                posture(Effect::Thaw).chain(self.launches().take(free)).collect()
            }
            Phase::Pausing { freeze: false } => {
                let mid_turn: Vec<StageIndex> = self.mid_turn().collect();
                let effects = posture(Effect::Freeze).map(|effect| match effect {
                    Effect::Freeze(stage) if mid_turn.contains(&stage) => Effect::Thaw(stage),
                    effect => effect,
                });
                effects.collect()
            }
            Phase::Pausing { freeze: true } | Phase::Paused { .. } => {
                posture(Effect::Freeze).collect()
            }
            Phase::Cancelling { .. } | Phase::Failing { .. } => posture(Effect::Stop).collect(),
            Phase::Queued | Phase::Interrupted { .. } | Phase::Ended { .. } => Vec::new(),
        }
    }

    fn launches(&self) -> impl Iterator<Item = Effect> {
        self.indexed().filter_map(|(index, state)| match state {
            StageState::Waiting { next, .. } if self.has_processes(index) && self.ready(index) => {
                Some(Effect::Launch(index, *next, self.first_part(index)))
            }
            _ => None,
        })
    }

    /// Records in the run what the journal already holds. An event that does not fit, from a
    /// journal that somebody edited, changes nothing but the time.
    pub fn apply(&mut self, recorded: &Recorded) {
        let at = recorded.at;
        self.head = recorded.seq;
        self.updated_at = Some(at);
        match &recorded.event {
            Event::RunQueued { .. } => self.queued_at = Some(at),
            Event::RunStarted { runner } => {
                self.started_at = Some(at);
                self.runner = Some(runner.clone());
                self.phase = Phase::Live;
            }
            Event::StepStarted { step } => {
                self.servers.forget(&step.stage_id);
                let part = self.first_part(step.index());
                let running =
                    Running { attempt: step.attempt(), part, since: at, tree: None, halt: None };
                self.set(step, StageState::Running(running));
            }
            Event::StepLaunched { step, tree } => {
                let rung = tree.get("rung").and_then(serde_json::Value::as_str);
                self.rung = rung.map(ToOwned::to_owned).or_else(|| self.rung.take());
                if let Some(running) = self.running_mut(step) {
                    running.tree = Some(tree.clone());
                }
            }
            Event::StepConfined { step, cage } => {
                self.cages.insert(step.index(), cage.clone());
            }
            Event::CapDenied { step, count, .. } => {
                let denied = self.denied.entry(step.index()).or_default();
                *denied = denied.saturating_add(*count);
            }
            Event::CapWidened { .. } => self.widened_by(recorded),
            Event::ServerNotStarted { step, server, reason } => {
                self.servers.add(step, server, reason);
            }
            Event::StepTimedOut { step, limit_ms } => {
                if let Some(running) = self.running_mut(step) {
                    running.halt = Some(Halt::Overran { limit_ms: *limit_ms });
                }
            }
            Event::StepSilent { step, limit_ms } => {
                if let Some(running) = self.running_mut(step) {
                    running.halt = Some(Halt::Silent { limit_ms: *limit_ms });
                }
            }
            Event::StepOutputLost { .. } | Event::ApprovalStood { .. } => {}
            Event::PauseFailed { .. } => self.phase = Phase::Live,
            Event::StepCompleted { step, exit_code, summary } => {
                self.checked(step, crate::Check::Passed);
                let exit = exit_code.map(crate::Exit::Code);
                self.end(step, at, Outcome::Succeeded, exit, summary.clone());
            }
            Event::StepFailed { step, failure, output, .. } => {
                if let Some(failure) = failure.of_verify() {
                    let output = output.clone().unwrap_or_default();
                    self.checked(step, crate::Check::Failed { failure, output });
                }
                self.failed(at, recorded);
            }
            Event::StepSuspended { step } => {
                let next = step.attempt().next();
                self.set(step, StageState::Waiting { next, before: None });
            }
            Event::VerifyStarted { step } => {
                if let Some(running) = self.running_mut(step) {
                    running.part = Part::Verify;
                    running.tree = None;
                }
            }
            Event::WorktreeMade { path, branch, base } => {
                let (path, branch, base) = (path.clone(), branch.clone(), base.clone());
                self.tree = Some(MadeTree { path, branch, base });
            }
            Event::ThreadStarted { .. }
            | Event::TurnStarted { .. }
            | Event::TurnEnded { .. }
            | Event::AgentMessage { .. }
            | Event::ToolCalled { .. }
            | Event::CommandRun { .. }
            | Event::FilesChanged { .. }
            | Event::PlanUpdated { .. }
            | Event::TokensUsed { .. }
            | Event::TimeWorked { .. }
            | Event::WorkCommitted { .. }
            | Event::WorkNotCommitted { .. }
            | Event::MessageSent { .. }
            | Event::MessagesHeard { .. }
            | Event::BudgetReached { .. }
            | Event::UsageLimited { .. } => self.apply_of_thread(&recorded.event),
            Event::StepSkipped { step, reason } => {
                self.end(step, at, Outcome::Skipped(reason.clone()), None, None);
            }
            Event::StepCancelled { step, exit } => {
                self.end(step, at, Outcome::Cancelled, Some(exit.clone()), None);
            }
            Event::PauseRequested { freeze } => self.phase = Phase::Pausing { freeze: *freeze },
            Event::RunPaused {} => self.phase = Phase::Paused { since: at },
            Event::RunResumed { runner, stage_id } => self.resume(at, runner, stage_id),
            Event::CancelRequested { reason } => {
                self.phase = Phase::Cancelling { reason: reason.clone() };
                self.halt_running();
            }
            Event::FailRequested { error } => {
                self.phase = Phase::Failing { error: error.clone() };
                self.halt_running();
            }
            Event::QuestionQueued { question }
            | Event::ConfirmationRequired { question }
            | Event::ApprovalRequired { question } => {
                let id = question.question_id.clone();
                self.open.insert(id, Arc::new((at, question.clone())));
                self.asked += 1;
            }
            Event::QuestionAnswered { question_id, .. }
            | Event::QuestionClosed { question_id, .. }
            | Event::ConfirmationResolved { question_id, .. }
            | Event::ApprovalResolved { question_id, .. } => {
                let Some(asked) = self.open.remove(question_id) else { return };
                match &recorded.event {
                    Event::QuestionAnswered { .. } if asked.1.is_for_thread() => {
                        self.answered(&asked.1)
                    }
                    Event::ApprovalResolved { resolution, .. } => {
                        self.reach.resolved(&asked.1, resolution);
                    }
                    _ => {}
                }
            }
            Event::RunInterrupted { reason } => {
                self.lose_running();
                self.phase = Phase::Interrupted { at, reason: reason.clone() };
            }
            Event::RunCompleted {} => self.finish(at, RunOutcome::Succeeded),
            Event::RunFailed { stage_id, error } => {
                // What was stopped for another reason than a stage is not left looking as if it
                // were still to come.
                self.cancel_rest(at);
                let stage = stage_id.as_ref().and_then(|stage| self.plan.find(stage));
                self.finish(at, RunOutcome::Failed { stage, error: error.clone() });
            }
            Event::RunCanceled { reason } => {
                self.cancel_rest(at);
                self.finish(at, RunOutcome::Cancelled { reason: reason.clone() });
            }
        }
    }

    fn failed(&mut self, at: Timestamp, recorded: &Recorded) {
        let Event::StepFailed { step, failure, exit, summary, retry, .. } = &recorded.event else {
            return;
        };
        match retry {
            true => {
                let next = step.attempt().next();
                self.set(step, StageState::Waiting { next, before: Some(failure.clone()) });
            }
            false => {
                let outcome = Outcome::Failed(failure.clone());
                self.end(step, at, outcome, exit.clone(), summary.clone());
            }
        }
    }

    fn finish(&mut self, at: Timestamp, outcome: RunOutcome) {
        self.phase = Phase::Ended { at, outcome };
    }

    fn resume(&mut self, at: Timestamp, runner: &Option<Runner>, stage: &Option<crate::StageId>) {
        match self.limited.take() {
            Some(Limited::Budget { of: None, .. }) => self.grants = self.grants.saturating_add(1),
            Some(Limited::Budget { of: Some(run), .. }) => {
                let grants = self.grants_of_others.entry(run).or_default();
                *grants = grants.saturating_add(1);
            }
            Some(Limited::Usage { .. }) | None => {}
        }
        if let Some(runner) = runner {
            // No runner begins before it has committed what another one has left.
            self.uncommitted = None;
            self.threads.values_mut().for_each(|thread| thread.checks = 0);
            self.runner = Some(runner.clone());
            self.lose_running();
            let again: Vec<StageIndex> =
                self.indexed().map(|(index, _)| index).filter(|index| !self.done(*index)).collect();
            for index in again {
                let StageState::Ended(ended) = self.stage(index) else { continue };
                let before = match &ended.outcome {
                    Outcome::Failed(failure) => Some(failure.clone()),
                    Outcome::Succeeded | Outcome::Skipped(_) | Outcome::Cancelled => None,
                };
                let next = Attempt(ended.attempts).next();
                self.stages[index.get()] = StageState::Waiting { next, before };
            }
            for (first, state) in self.first_tries.iter_mut().zip(&self.stages) {
                *first = Attempt(state.attempts()).next();
            }
        }
        let stage = stage.as_ref().map(ToString::to_string);
        self.restarts.push(Restart { at, runner: runner.clone(), stage });
        self.phase = Phase::Live;
    }

    /// Tries whose runner died are over, and how they ended is not known.
    fn lose_running(&mut self) {
        for state in &mut self.stages {
            if let StageState::Running(running) = state {
                let before = Some(crate::Failure::Exited(crate::Exit::Lost));
                *state = StageState::Waiting { next: running.attempt.next(), before };
            }
        }
    }

    /// What runs is to be stopped, for no fault of its own.
    fn halt_running(&mut self) {
        for state in &mut self.stages {
            if let StageState::Running(running) = state {
                running.halt.get_or_insert(Halt::Cancelled);
            }
        }
    }

    fn cancel_rest(&mut self, at: Timestamp) {
        for state in &mut self.stages {
            let started_at = match state {
                StageState::Ended(_) => continue,
                StageState::Running(running) => Some(running.since),
                StageState::Waiting { .. } => None,
            };
            let attempts = state.attempts();
            let outcome = Outcome::Cancelled;
            let ended =
                Ended { outcome, exit: None, attempts, started_at, ended_at: at, last_line: None };
            *state = StageState::Ended(ended);
        }
    }

    fn end(
        &mut self,
        step: &Step,
        at: Timestamp,
        outcome: Outcome,
        exit: Option<crate::Exit>,
        last_line: Option<String>,
    ) {
        let started_at = self.running_mut(step).map(|running| running.since);
        let attempts = step.attempt;
        let ended = Ended { outcome, exit, attempts, started_at, ended_at: at, last_line };
        self.set(step, StageState::Ended(ended));
    }

    fn set(&mut self, step: &Step, state: StageState) {
        if let Some(slot) = self.stages.get_mut(step.index().get()) {
            *slot = state;
        }
    }

    fn running_mut(&mut self, step: &Step) -> Option<&mut Running> {
        match self.stages.get_mut(step.index().get()) {
            Some(StageState::Running(running)) if running.attempt == step.attempt() => {
                Some(running)
            }
            _ => None,
        }
    }

    /// Whether a run that is taken up again leaves the stage as it is: it succeeded, or failed
    /// where that is allowed.
    fn done(&self, stage: StageIndex) -> bool {
        let StageState::Ended(ended) = self.stage(stage) else { return false };
        match ended.outcome {
            Outcome::Succeeded => true,
            Outcome::Failed(_) => self.plan.excuses(stage),
            Outcome::Skipped(_) => {
                let group = self.plan.stages[stage.get()].within;
                group.is_some_and(|group| self.done(group))
            }
            Outcome::Cancelled => false,
        }
    }

    fn has_processes(&self, stage: StageIndex) -> bool {
        self.plan.stages[stage.get()].body.has_processes()
    }

    fn indexed(&self) -> impl Iterator<Item = (StageIndex, &StageState)> {
        (0..).map(StageIndex).zip(&self.stages)
    }
}
