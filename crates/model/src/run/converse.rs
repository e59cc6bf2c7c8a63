//! Runs that hold a conversation: what a thread tells, what it is told, and what its turns lead to.

use super::{Phase, Run};
use crate::{
    Check, CodexStage, Event, Exit, Failure, Halt, Limited, Owed, Part, PlannedBody, Question,
    Reached, Refusal, Resolution, RunId, Running, StageIndex, StageState, Step, Thread,
    ThreadReport, Timestamp, Turn, TurnEnd, TurnFault, WhenReached,
};

/// How many messages may wait for a thread.
const MOST_MESSAGES: usize = 100;

impl Run {
    /// With which part a try at that stage begins.
    pub(super) fn first_part(&self, stage: StageIndex) -> Part {
        let PlannedBody::Codex(codex) = &self.plan.stages[stage.get()].body else {
            return Part::Work;
        };
        match self.threads.get(&stage).map(|thread| thread.owed(codex.verify.is_some())) {
            None | Some(Owed::Turn(_)) => Part::Work,
            Some(Owed::Check) => Part::Verify,
            Some(Owed::Nothing) => Part::Nothing,
        }
    }

    /// The stages whose thread is at work.
    pub fn mid_turn(&self) -> impl Iterator<Item = StageIndex> {
        self.running()
            .filter(|(stage, running)| running.part == Part::Work && self.is_codex(*stage))
            .map(|(stage, _)| stage)
    }

    /// The stage whose thread hears what is said to the run: one at work, else the next one.
    #[must_use]
    pub fn addressee(&self) -> Option<StageIndex> {
        let open = |stage: &StageIndex| {
            self.is_codex(*stage) && !matches!(self.stage(*stage), StageState::Ended(_))
        };
        let next = || self.indexed().map(|(stage, _)| stage).find(open);
        self.mid_turn().next().or_else(next)
    }

    fn is_codex(&self, stage: StageIndex) -> bool {
        matches!(self.plan.stages[stage.get()].body, PlannedBody::Codex(_))
    }

    pub(super) fn message(&self, text: &str) -> Result<Event, Refusal> {
        match self.phase {
            Phase::Ended { .. } => return Err(Refusal::Ended),
            Phase::Cancelling { .. } => return Err(Refusal::AlreadyCancelling),
            Phase::Failing { .. } => return Err(Refusal::Failing),
            Phase::Queued
            | Phase::Live
            | Phase::Pausing { .. }
            | Phase::Paused { .. }
            | Phase::Interrupted { .. } => {}
        }
        let stage = self.addressee().ok_or(Refusal::NoThread)?;
        match self.threads.get(&stage).map_or(0, |thread| thread.messages.len()) {
            MOST_MESSAGES.. => Err(Refusal::TooManyMessages(MOST_MESSAGES)),
            _ => Ok(Event::MessageSent { text: text.to_owned() }),
        }
    }

    /// What follows from something that came from a thread.
    pub(super) fn heard(&self, step: Step, report: &ThreadReport) -> Vec<Event> {
        let mut events = Vec::new();
        events.push(match report.clone() {
            ThreadReport::Ready { thread_id, model } => {
                Event::ThreadStarted { step, thread_id, model }
            }
            ThreadReport::TurnBegan { turn_id } => Event::TurnStarted { step, turn_id },
            ThreadReport::Heard { count } => Event::MessagesHeard { step, count },
            ThreadReport::Said { text } => Event::AgentMessage { step, text },
            ThreadReport::Called { server, tool, ok } => {
                Event::ToolCalled { step, server, tool, ok }
            }
            ThreadReport::Ran { command, exit_code } => {
                Event::CommandRun { step, command, exit_code }
            }
            ThreadReport::Changed { paths } => Event::FilesChanged { step, paths },
            ThreadReport::Planned { steps } => Event::PlanUpdated { step, steps },
            ThreadReport::Used { tokens } => Event::TokensUsed { step, tokens },
            ThreadReport::Worked { ms } => Event::TimeWorked { step, ms },
            ThreadReport::Committed { commit } => Event::WorkCommitted { step, commit },
            ThreadReport::NotCommitted { error } => Event::WorkNotCommitted { step, error },
            ThreadReport::TurnOver { end, until, goes_on } => {
                let limited = matches!(&end, TurnEnd::Failed { class: TurnFault::UsageLimit, .. });
                events.push(Event::TurnEnded { step, end });
                if limited {
                    events.push(Event::UsageLimited { until, goes_on });
                    events.extend(self.pause_at_edge());
                }
                return self.with_consequences(events);
            }
        });
        self.with_consequences(events)
    }

    fn pause_at_edge(&self) -> Option<Event> {
        (self.phase == Phase::Live).then_some(Event::PauseRequested { freeze: false })
    }

    /// What follows when a part of a try at a thread's stage has ended.
    pub(super) fn part_exited(
        &self,
        stage: StageIndex,
        codex: &CodexStage,
        step: Step,
        running: &Running,
        exit: &Exit,
        output: Option<String>,
    ) -> Event {
        let failed = |failure: Failure, output: Option<String>, retry: bool| Event::StepFailed {
            step: step.clone(),
            exit_code: exit.code(),
            exit: Some(exit.clone()),
            error: failure.to_string(),
            failure,
            summary: None,
            output,
            retry,
            allowed: self.plan.stages[stage.get()].allow_failure,
        };
        match running.halt {
            Some(Halt::Overran { limit_ms }) if running.part != Part::Verify => {
                return failed(Failure::TimedOut { limit_ms }, None, false);
            }
            Some(Halt::Silent { limit_ms }) => {
                return failed(Failure::Silent { limit_ms }, None, false);
            }
            Some(Halt::Cancelled | Halt::Spent) if self.is_stopping() => {
                return Event::StepCancelled { step, exit: exit.clone() };
            }
            // What it said with the last of it may have been all that it had to say.
            Some(Halt::Spent) if self.first_part(stage) == Part::Nothing => {
                return self.thread_done(stage, step);
            }
            Some(Halt::Spent) => return Event::StepSuspended { step },
            Some(Halt::Cancelled | Halt::Overran { .. }) | None => {}
        }
        // Nothing was launched: there was nothing left to launch it with.
        if self.limited.is_some() && running.tree.is_none() && running.part == Part::Work {
            return Event::StepSuspended { step };
        }
        let thread = self.threads.get(&stage).cloned().unwrap_or_default();
        if running.part == Part::Verify {
            let retry = thread.checks.saturating_add(1) < codex.max_attempts.unwrap_or(1);
            let failure = match running.halt {
                // What hangs is as little done as what fails, and the thread's to mend.
                Some(Halt::Overran { limit_ms }) => Failure::VerifyTimedOut { limit_ms },
                _ => Failure::Unverified(exit.clone()),
            };
            return match exit.succeeded() {
                true => self.thread_done(stage, step),
                false => failed(failure, output, retry),
            };
        }
        match &thread.turn {
            Turn::Over(TurnEnd::Completed) => match thread.owed(codex.verify.is_some()) {
                Owed::Nothing => self.thread_done(stage, step),
                Owed::Check if self.phase == Phase::Live => Event::VerifyStarted { step },
                Owed::Check | Owed::Turn(_) => Event::StepSuspended { step },
            },
            Turn::Over(TurnEnd::Failed { class: TurnFault::UsageLimit, .. })
                if self.limited.is_some() =>
            {
                Event::StepSuspended { step }
            }
            Turn::Over(TurnEnd::Failed { class, message }) => {
                failed(Failure::Turn { class: *class, message: message.clone() }, None, false)
            }
            Turn::Over(TurnEnd::Interrupted) => {
                let message = "its turn was interrupted".to_owned();
                failed(Failure::Turn { class: TurnFault::Other, message }, None, false)
            }
            Turn::None | Turn::Open { .. } => failed(Failure::Exited(exit.clone()), output, false),
        }
    }

    fn is_stopping(&self) -> bool {
        matches!(self.phase, Phase::Cancelling { .. } | Phase::Failing { .. })
    }

    /// The good end of a thread's stage.
    pub(super) fn thread_done(&self, stage: StageIndex, step: Step) -> Event {
        let said = self.threads.get(&stage).and_then(|thread| thread.said.as_deref());
        let line = said.and_then(|said| said.lines().map(str::trim).find(|line| !line.is_empty()));
        let summary = line.map(|line| line.chars().take(LONGEST_SUMMARY).collect());
        Event::StepCompleted { step, exit_code: Some(0), summary }
    }

    pub(super) fn silent(&self, stage: StageIndex, attempt: crate::Attempt) -> Option<Event> {
        let PlannedBody::Codex(codex) = &self.plan.stages[stage.get()].body else { return None };
        let StageState::Running(running) = self.stage(stage) else { return None };
        let limit_ms = u64::try_from(codex.idle?.as_millis()).unwrap_or(u64::MAX);
        let step = Step::new(&self.plan, stage, attempt.0);
        (running.attempt == attempt && running.halt.is_none())
            .then_some(Event::StepSilent { step, limit_ms })
    }

    pub(super) fn account_limited(&self, until: Timestamp, goes_on: bool) -> Vec<Event> {
        if self.limited.is_some() || !matches!(self.phase, Phase::Live | Phase::Pausing { .. }) {
            return Vec::new();
        }
        let mut events = vec![Event::UsageLimited { until: Some(until), goes_on }];
        events.extend(self.pause_at_edge());
        self.with_consequences(events)
    }

    /// A budget is used up: threads stop where they are.
    pub(super) fn spent(
        &self,
        reached: Reached,
        of: Option<&RunId>,
        then: WhenReached,
    ) -> Vec<Event> {
        if self.limited.is_some() || !matches!(self.phase, Phase::Live | Phase::Pausing { .. }) {
            return Vec::new();
        }
        let mut events = vec![Event::BudgetReached { reached, of: of.cloned() }];
        match then {
            WhenReached::Pause => events.extend(self.pause_at_edge()),
            WhenReached::Fail => events
                .push(Event::FailRequested { error: format!("its budget is used up: {reached}") }),
        }
        self.with_consequences(events)
    }

    /// What follows from its being so late for a run whose account was limited until then.
    pub(super) fn lifted(&self, now: Timestamp) -> Vec<Event> {
        match (&self.limited, &self.phase) {
            (Some(Limited::Usage { until: Some(until), goes_on: true }), Phase::Paused { .. })
                if *until <= now =>
            {
                self.with_consequences(vec![Event::RunResumed { runner: None, stage_id: None }])
            }
            _ => Vec::new(),
        }
    }

    /// Whether what the stage is there for runs: its command, or a turn of its thread.
    fn is_at_work(&self, stage: StageIndex) -> bool {
        self.running().any(|(at, running)| at == stage && running.part == Part::Work)
    }

    /// What is asked by a thread, or of a stage, that is not there any more to hear of it.
    pub(super) fn withdrawn(&self) -> Option<Event> {
        let mut open = self.open_questions();
        let orphan = open.find(|(_, asked)| {
            let stage = asked.stage_id.as_ref().and_then(|stage| self.plan.find(stage));
            let over = |stage| matches!(self.stage(stage), StageState::Ended(_));
            match asked.beyond() {
                Some(_) => stage.is_none_or(over),
                None if !asked.is_waited_for() => false,
                None => !stage.is_some_and(|stage| self.is_at_work(stage)),
            }
        });
        orphan.map(|(_, asked)| Event::resolved(asked, Resolution::Withdrawn))
    }

    pub(super) fn checked(&mut self, step: &Step, check: Check) {
        let verified = matches!(
            self.stage(step.index()),
            StageState::Running(running) if running.part == Part::Verify
        );
        if let Some(thread) = self.threads.get_mut(&step.index()).filter(|_| verified) {
            thread.check = check;
            thread.checks = thread.checks.saturating_add(1);
        }
    }

    pub(super) fn apply_of_thread(&mut self, event: &Event) {
        let addressee = self.addressee();
        match event.clone() {
            Event::ThreadStarted { step, thread_id, model } => {
                let thread = self.thread_of(&step);
                thread.id = Some(thread_id);
                thread.model = model.or(thread.model.take());
            }
            Event::TurnStarted { step, turn_id } => self.thread_of(&step).begin_turn(turn_id),
            Event::TurnEnded { step, end } => self.thread_of(&step).end_turn(end),
            Event::AgentMessage { step, text } => self.thread_of(&step).said = Some(text),
            Event::TokensUsed { step, tokens } => {
                let thread = self.thread_of(&step);
                thread.used.tokens = thread.used.tokens + tokens;
            }
            Event::TimeWorked { step, ms } => {
                let thread = self.thread_of(&step);
                thread.used.work_ms = thread.used.work_ms.saturating_add(ms);
            }
            Event::WorkCommitted { step, commit } => {
                self.thread_of(&step).commit = Some(commit);
                // What was left by threads before is among it.
                self.uncommitted = None;
            }
            Event::WorkNotCommitted { error, .. } => self.uncommitted = Some(error),
            Event::MessageSent { text } => {
                if let Some(stage) = addressee {
                    self.threads.entry(stage).or_default().messages.push(text);
                }
            }
            Event::MessagesHeard { step, count } => {
                let thread = self.thread_of(&step);
                thread.messages.drain(..count.min(thread.messages.len()));
            }
            Event::BudgetReached { reached, of } => {
                self.limited = Some(Limited::Budget { reached, of });
                let mid_turn: Vec<StageIndex> = self.mid_turn().collect();
                for stage in mid_turn {
                    if let StageState::Running(running) = &mut self.stages[stage.get()] {
                        running.halt.get_or_insert(Halt::Spent);
                    }
                }
            }
            Event::UsageLimited { until, goes_on } => {
                self.limited = Some(Limited::Usage { until, goes_on });
            }
            _ => {}
        }
    }

    /// The thread that has asked that is to hear of the answer; all of them, where that is not known.
    pub(super) fn answered(&mut self, question: &Question) {
        let asked_by = question.stage_id.as_ref().and_then(|stage| self.plan.find(stage));
        let threads = self.threads.iter_mut();
        for (_, thread) in threads.filter(|(stage, _)| asked_by.is_none_or(|by| by == **stage)) {
            thread.answered.push(question.question_id.clone());
        }
    }

    fn thread_of(&mut self, step: &Step) -> &mut Thread {
        self.threads.entry(step.index()).or_default()
    }
}

/// The most characters of a summary.
const LONGEST_SUMMARY: usize = 400;
