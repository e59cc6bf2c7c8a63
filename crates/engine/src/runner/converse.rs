//! Stages that are a Codex thread: what is said to it, and what comes from it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use codex::{AccountTokens, Approvals, CommandState, ErrorClass, Opening, Outcome, PatchStatus};
use codex::{Said, StepStatus, Talk, ToolStatus};
use model::{
    Attempt, Budget, CodexStage, Limits, Owed, Part, PlannedBody, QuestionId, Reached, Report,
    Resolution, Run, RunId, Sandbox, Say, Spent, StageIndex, ThreadReport, Timestamp, Tokens,
    TurnEnd, TurnFault,
};

use super::{Progress, Runner, input};
use crate::{EngineError, account, asked::Asker, conversation::Conversation, door, edge};

impl Runner<'_, '_, '_> {
    /// The talk with the thread of that stage, about to begin, with how many of the messages that
    /// wait for it are said at once.
    pub(super) fn talk(
        &mut self,
        stage: StageIndex,
        codex: &CodexStage,
        cwd: &Path,
        tokens: Option<AccountTokens>,
    ) -> Result<(Talk, usize), String> {
        let thread = self.run.thread(stage).cloned().unwrap_or_default();
        let Owed::Turn(say) = thread.owed(codex.verify.is_some()) else {
            return Err("its thread has nothing left to do".to_owned());
        };
        let follows = self.spec.follows.as_ref().map(|follows| follows.thread_id.clone());
        let first = match &say {
            Say::Prompt => input::prompt(&self.spec, &self.run, codex)?,
            Say::GoOn => input::GO_ON.to_owned(),
            Say::Failing { failure, output } => input::failing(codex, failure, output),
            Say::Messages => String::new(),
        };
        let answered = input::answered(&self.answers(&thread.answered));
        let more = [&[answered], thread.messages.as_slice()].concat();
        let talk = Talk::new(Opening {
            thread: thread.id.clone().filter(|_| thread.has_begun()).or(follows),
            cwd: cwd.to_owned(),
            input: input::with_messages(first, &more),
            model: codex.model.clone(),
            effort: codex.effort.clone(),
            sandbox: match codex.sandbox.unwrap_or_default() {
                Sandbox::ReadOnly => codex::Sandbox::ReadOnly { network: false },
                Sandbox::WorkspaceWrite => {
                    let writable_roots = self.cache_folders(stage);
                    codex::Sandbox::WorkspaceWrite { network: false, writable_roots }
                }
                Sandbox::DangerFullAccess => codex::Sandbox::DangerFullAccess,
            },
            approvals: Approvals::OnRequest,
            developer_instructions: Some(self.instructions()),
            config: serde_json::Map::new(),
            output_schema: codex.output_schema.clone(),
            tokens,
        });
        Ok((talk, thread.messages.len()))
    }

    fn instructions(&self) -> String {
        let parent = self.spec.parent_run_id.as_ref().and_then(|parent| {
            let row = self.engine.journal().row(parent).ok()?;
            Some(self.engine.paths(&row.task_id, parent).relative("manifest.json"))
        });
        input::instructions(&self.spec, &self.run, &self.paths, parent.as_deref())
    }

    /// What somebody answered to those questions of this run.
    fn answers(&self, questions: &[QuestionId]) -> Vec<(String, String)> {
        if questions.is_empty() {
            return Vec::new();
        }
        let filter = store::QuestionFilter {
            run: Some(self.spec.run_id.clone()),
            ..store::QuestionFilter::default()
        };
        let asked = self.engine.journal().questions(&filter).unwrap_or_default();
        let wanted = asked.into_iter().filter(|row| questions.contains(&row.question.question_id));
        let answered = wanted.filter_map(|row| match row.resolved {
            Some((Resolution::Answered { answer, .. }, _)) => Some((row.question.prompt, answer)),
            _ => None,
        });
        answered.collect()
    }

    /// A line of a thread, or the end of all of them.
    pub(super) fn hear_line(
        &mut self,
        stage: StageIndex,
        attempt: Attempt,
        line: Option<Vec<u8>>,
    ) -> Result<(), EngineError> {
        let Some(at) = self.live_at(stage, attempt) else { return Ok(()) };
        let Some(line) = line else {
            self.live[at].lines_over = true;
            return self.part_over(at);
        };
        let told = match &mut self.live[at].conversation {
            Some(conversation) => conversation.hear(&line),
            None => Vec::new(),
        };
        for said in told {
            self.hear_said(stage, attempt, said)?;
        }
        Ok(())
    }

    fn hear_said(
        &mut self,
        stage: StageIndex,
        attempt: Attempt,
        said: Said,
    ) -> Result<(), EngineError> {
        let report = match said {
            Said::ThreadReady { thread_id, model } => {
                ThreadReport::Ready { thread_id, model: Some(model).filter(|it| !it.is_empty()) }
            }
            // Codex begins turns by itself, too: one that begins when we have left is none of ours.
            Said::TurnBegan { .. } | Said::TurnOver { .. }
                if self.conversation(stage).is_none_or(|it| it.over) =>
            {
                return Ok(());
            }
            Said::TurnBegan { turn_id } => {
                self.tell_thread(stage, attempt, ThreadReport::TurnBegan { turn_id })?;
                let began_with = self.conversation(stage).map_or(0, |it| it.began_with);
                if began_with > 0 {
                    let heard = ThreadReport::Heard { count: began_with };
                    self.tell_thread(stage, attempt, heard)?;
                }
                return self.check_budgets();
            }
            Said::Message { text, .. } => ThreadReport::Said { text },
            Said::Command { command, state: CommandState::Ended { exit_code, .. }, .. } => {
                let exit_code = exit_code.and_then(|code| i32::try_from(code).ok());
                ThreadReport::Ran { command, exit_code }
            }
            Said::Patch { paths, status: PatchStatus::Applied, .. } => {
                ThreadReport::Changed { paths: self.within_tree(paths) }
            }
            Said::ToolCall { status: ToolStatus::Begun, .. } => return Ok(()),
            Said::ToolCall { server, tool, status, .. } => {
                ThreadReport::Called { server, tool, ok: status == ToolStatus::Completed }
            }
            Said::Plan { steps } => {
                let far = |status| match status {
                    StepStatus::Pending => "pending",
                    StepStatus::Begun => "in_progress",
                    StepStatus::Completed => "completed",
                };
                let steps = steps.into_iter().map(|step| (step.step, far(step.status).to_owned()));
                ThreadReport::Planned { steps: steps.collect() }
            }
            Said::Usage { last, .. } => {
                let tokens = Tokens {
                    input: last.input,
                    cached_input: last.cached,
                    output: last.output,
                    reasoning_output: last.reasoning,
                };
                self.tell_thread(stage, attempt, ThreadReport::Used { tokens })?;
                return self.check_budgets();
            }
            Said::Steered { .. } => ThreadReport::Heard { count: 1 },
            Said::Asks { id, wants } => return self.hear_wish(stage, id, wants),
            Said::AskWithdrawn { id } => return self.withdraw(stage, &Asker::Thread(id)),
            Said::TurnOver { outcome, .. } => return self.turn_over(stage, attempt, outcome),
            Said::Unfit { reason, over } => {
                if over {
                    let fault = (TurnFault::Other, reason, None);
                    return self.turn_failed(stage, attempt, fault);
                }
                self.saw(&Progress::Trouble(reason));
                return Ok(());
            }
            Said::WantsTokens { id } => {
                self.renew(stage, attempt, id);
                return Ok(());
            }
            // The log has it.
            Said::Reasoning { .. }
            | Said::Command { .. }
            | Said::Patch { .. }
            | Said::Diff { .. }
            | Said::RateLimits { .. }
            | Said::NotSteered { .. }
            | Said::Trouble { .. }
            | Said::Warning { .. }
            | Said::Deed { .. } => return Ok(()),
        };
        self.tell_thread(stage, attempt, report)
    }

    fn tell_thread(
        &mut self,
        stage: StageIndex,
        attempt: Attempt,
        report: ThreadReport,
    ) -> Result<(), EngineError> {
        self.note(&Report::Thread { stage, attempt, report })
    }

    pub(super) fn conversation(&mut self, stage: StageIndex) -> Option<&mut Conversation> {
        self.live.iter_mut().find(|live| live.stage == stage)?.conversation.as_mut()
    }

    pub(super) fn within_tree(&self, paths: Vec<String>) -> Vec<String> {
        let tree = self.work_tree();
        let shown = |path: String| match Path::new(&path).strip_prefix(&tree) {
            Ok(inside) => inside.to_string_lossy().into_owned(),
            Err(_) => path,
        };
        paths.into_iter().map(shown).collect()
    }

    fn turn_over(
        &mut self,
        stage: StageIndex,
        attempt: Attempt,
        outcome: Outcome,
    ) -> Result<(), EngineError> {
        match outcome {
            Outcome::Completed { .. } => self.turn_ended(stage, attempt, TurnEnd::Completed, None),
            // What was used up with its last word keeps it from nothing.
            Outcome::Interrupted
                if self.conversation(stage).is_some_and(|it| it.had_said_all()) =>
            {
                self.turn_ended(stage, attempt, TurnEnd::Completed, None)
            }
            Outcome::Interrupted => self.turn_ended(stage, attempt, TurnEnd::Interrupted, None),
            Outcome::Failed { message, class, resets_at } => {
                let class = match class {
                    ErrorClass::UsageLimit => TurnFault::UsageLimit,
                    ErrorClass::RateLimit => TurnFault::RateLimit,
                    ErrorClass::ContextWindow => TurnFault::ContextWindow,
                    ErrorClass::Unauthorized => TurnFault::Unauthorized,
                    ErrorClass::Network => TurnFault::Network,
                    ErrorClass::Server | ErrorClass::Overloaded => TurnFault::Server,
                    ErrorClass::BadRequest => TurnFault::BadRequest,
                    ErrorClass::Sandbox => TurnFault::Sandbox,
                    ErrorClass::Other => TurnFault::Other,
                };
                let until = resets_at.map(|at| Timestamp::from_millis(at.saturating_mul(1000)));
                self.turn_failed(stage, attempt, (class, message, until))
            }
        }
    }

    fn turn_failed(
        &mut self,
        stage: StageIndex,
        attempt: Attempt,
        (class, message, until): (TurnFault, String, Option<Timestamp>),
    ) -> Result<(), EngineError> {
        if let (TurnFault::UsageLimit, Some(until)) = (class, until) {
            account::note_limit(self.engine.state(), &self.users_home(), until);
        }
        self.turn_ended(stage, attempt, TurnEnd::Failed { class, message }, until)
    }

    fn turn_ended(
        &mut self,
        stage: StageIndex,
        attempt: Attempt,
        end: TurnEnd,
        until: Option<Timestamp>,
    ) -> Result<(), EngineError> {
        let goes_on = !self.spec.limits.stays_limited;
        self.tell_thread(stage, attempt, ThreadReport::TurnOver { end, until, goes_on })?;
        if let Some(conversation) = self.conversation(stage) {
            conversation.leave(Instant::now());
        }
        Ok(())
    }

    fn users_home(&self) -> String {
        self.spec.codex.as_ref().map_or_else(String::new, |codex| codex.users_home.clone())
    }

    /// Stops the clocks of what waits for somebody.
    pub(super) fn hold_clocks(&mut self) {
        let (held, now) = (self.run.held_by().is_some(), Instant::now());
        self.live.iter_mut().for_each(|live| live.hold(held || live.waits(), now));
    }

    /// Stops threads that have been silent for too long, and ends those by force that do not end.
    pub(super) fn check_threads(&mut self) -> Result<(), EngineError> {
        let now = Instant::now();
        let silent = self.live.iter().filter(|live| live.silent_at().is_some_and(|at| at <= now));
        let silent: Vec<_> = silent.map(|live| (live.stage, live.attempt)).collect();
        for (stage, attempt) in silent {
            self.note(&Report::Silent { stage, attempt })?;
        }
        let grace = self.grace;
        self.live.iter_mut().for_each(|live| live.force(now, grace));
        Ok(())
    }

    /// Whether the stage may take a turn now: nothing that it needs is used up. Where something is,
    /// that is written down.
    pub(super) fn may_begin(&mut self) -> Result<bool, EngineError> {
        self.check_budgets_by(Budget::reached)?;
        let now = edge::now();
        let limit = account::limited_until(self.engine.state(), &self.users_home(), now);
        if let (Some(until), None) = (limit, self.run.limited()) {
            let goes_on = !self.spec.limits.stays_limited;
            self.note(&Report::Limited { until, goes_on })?;
        }
        Ok(self.run.limited().is_none())
    }

    /// Writes down what is used up in the middle of a turn.
    pub(super) fn check_budgets(&mut self) -> Result<(), EngineError> {
        self.check_budgets_by(Budget::reached_in_turn)
    }

    /// Writes down what is used up: of the stage, of the run, or of a run above it.
    fn check_budgets_by(
        &mut self,
        is_reached: fn(&Budget, &Spent, u32) -> Option<Reached>,
    ) -> Result<(), EngineError> {
        if self.run.limited().is_some() {
            return Ok(());
        }
        let (then, grants) = (self.spec.limits.then, self.run.grants());
        let stages = self.run.mid_turn().collect::<Vec<_>>().into_iter().filter_map(|stage| {
            let PlannedBody::Codex(codex) = &self.spec.plan.stages[stage.get()].body else {
                return None;
            };
            let used = self.run.thread(stage).map(|thread| thread.used.spent());
            is_reached(&codex.limits, &used.unwrap_or_default(), grants)
        });
        let mut reached = stages.map(|reached| (reached, None, then)).next();
        for (run, limits) in self.budgets() {
            if reached.is_some() || limits.budget.is_unlimited() {
                continue;
            }
            let spent = self.engine.journal().spent_by_tree(run)?;
            let grants =
                self.granted(run, |grants| is_reached(&limits.budget, &spent, grants).is_some())?;
            let of = Some(run.clone()).filter(|run| *run != self.spec.run_id);
            reached = is_reached(&limits.budget, &spent, grants).map(|it| (it, of, limits.then));
        }
        let Some((reached, of, then)) = reached else { return Ok(()) };
        let shared_by = of.clone().unwrap_or_else(|| self.spec.run_id.clone());
        self.note(&Report::Spent { reached, of, then })?;
        self.wake_those_who_share(&shared_by)
    }

    /// Has the runners of all that share the budget of that run look at it as well. A thread that
    /// waits for a command or a tool says nothing, and would find out only with its next request.
    fn wake_those_who_share(&self, run: &RunId) -> Result<(), EngineError> {
        let others = self.engine.journal().at_work_in_tree(run)?;
        for other in others.iter().filter(|other| **other != self.spec.run_id) {
            door::knock(&self.engine.locks(other).door);
        }
        Ok(())
    }

    /// Looks at budgets because somebody else may have used them up.
    pub(super) fn check_shared_budgets(&mut self) -> Result<(), EngineError> {
        let at_work = self.run.mid_turn().next().is_some();
        if at_work { self.check_budgets() } else { Ok(()) }
    }

    /// The budgets of the run and of those above it.
    fn budgets(&self) -> impl Iterator<Item = (&RunId, &Limits)> {
        let own = std::iter::once((&self.spec.run_id, &self.spec.limits));
        own.chain(self.above.iter().map(|(run, limits)| (run, limits)))
    }

    /// How often the budget of that run was granted. What was granted to one above is looked up
    /// only where it does not do without.
    fn granted(&self, run: &RunId, is_reached: impl Fn(u32) -> bool) -> Result<u32, EngineError> {
        if *run == self.spec.run_id {
            return Ok(self.run.grants());
        }
        let here = self.run.grants_of(run);
        if !is_reached(here.saturating_add(1)) {
            return Ok(here.saturating_add(1));
        }
        let (spec, events) = self.engine.journal().load(run)?;
        let above = Run::replay(Arc::new(spec.plan), &events);
        Ok(here.saturating_add(above.grants()))
    }

    /// Counts the time that threads were at work, while they are: what is used up is not found
    /// out only when a turn has ended.
    pub(super) fn check_work(&mut self) -> Result<(), EngineError> {
        let now = Instant::now();
        if self.work_due.is_none_or(|due| now < due) {
            return Ok(());
        }
        self.work_due = None;
        let worked =
            self.live.iter_mut().map(|live| (live.stage, live.attempt, live.count_work(now)));
        for (stage, attempt, ms) in worked.collect::<Vec<_>>() {
            if ms > 0 {
                self.tell_thread(stage, attempt, ThreadReport::Worked { ms })?;
            }
        }
        self.check_budgets()?;
        if self.run.limited().is_none() {
            let threads = self.live.iter().filter(|live| live.is_at_work()).count();
            self.work_due = self.work_left()?.map(|left| now + count_again_in(left, threads));
        }
        Ok(())
    }

    /// How many milliseconds of work are left before anything is used up; nothing where no limit is.
    fn work_left(&self) -> Result<Option<u64>, EngineError> {
        let left = |limit: u64, used: u64, grants: u32| {
            limit.saturating_mul(u64::from(grants)).saturating_sub(used)
        };
        let of_stages = self.live.iter().filter_map(|live| {
            let PlannedBody::Codex(codex) = &self.spec.plan.stages[live.stage.get()].body else {
                return None;
            };
            let used = self.run.thread(live.stage).map_or(0, |thread| thread.used.work_ms);
            Some(left(codex.limits.work_ms?, used, self.run.grants()))
        });
        let mut least = of_stages.min();
        for (run, limits) in self.budgets() {
            let Some(limit) = limits.budget.work_ms else { continue };
            let used = self.engine.journal().spent_by_tree(run)?.work_ms;
            let grants = self.granted(run, |grants| left(limit, used, grants) == 0)?;
            least = least.into_iter().chain([left(limit, used, grants)]).min();
        }
        Ok(least)
    }

    /// The work tree that its stages work in.
    pub(super) fn work_tree(&self) -> PathBuf {
        let own = self.run.tree().map(|tree| tree.path.clone());
        PathBuf::from(own.unwrap_or_else(|| self.spec.repo.worktree.clone()))
    }

    /// A part of a try is over as soon as its processes are gone and all that they said is heard.
    pub(super) fn part_over(&mut self, at: usize) -> Result<(), EngineError> {
        let live = &self.live[at];
        let Some(exit) = live.ended.clone() else { return Ok(()) };
        if live.conversation.is_some() && !live.lines_over {
            return Ok(());
        }
        let (stage, attempt, part) = (live.stage, live.attempt, live.part);
        if live.conversation.is_some() && !live.committed && self.begin_commit(stage, attempt) {
            return Ok(());
        }
        self.tell_what_was_withheld(stage, attempt)?;
        let mut live = self.live.swap_remove(at);
        let worked = live.count_work(Instant::now());
        if worked > 0 {
            self.tell_thread(stage, attempt, ThreadReport::Worked { ms: worked })?;
        }
        if self.leaving.is_some() {
            return self.leave();
        }
        let mut output = match part {
            Part::Verify => input::tail(&self.log_path(stage, attempt, part)),
            Part::Work | Part::Nothing => None,
        };
        let mut last_line = live.last_line.filter(|line| !line.is_empty());
        let command = live.conversation.is_none() && !exit.succeeded();
        if let Some(hint) = command.then(|| self.astray(stage, attempt, part)).flatten() {
            let id = &self.spec.plan.stages[stage.get()].id;
            self.saw(&Progress::Trouble(format!("`{id}`: {hint}")));
            last_line = last_line.map(|line| format!("{line} ({hint})"));
            output.iter_mut().for_each(|text| *text = format!("{text}\n({hint})\n"));
        }
        self.note(&Report::Exited { stage, attempt, exit, last_line, output })?;
        self.note_if_all_frozen()
    }
}

/// When so many milliseconds are left for so many threads, and for those of other runs, which count
/// for themselves.
fn count_again_in(left: u64, threads: usize) -> Duration {
    const SELDOM: u64 = 15_000;
    const OFTEN: u64 = 1000;
    let left = left / u64::try_from(threads.max(1)).unwrap_or(1);
    Duration::from_millis(match left {
        ..OFTEN => left.max(1),
        _ => (left / 2).clamp(OFTEN, SELDOM),
    })
}
