//! A run as it goes: lines that stay for what has happened, and below them, on a terminal, lines
//! that are written over for what is happening.

use std::{
    collections::BTreeMap,
    io::{Read, Seek, SeekFrom},
    path::Path,
    time::{Duration, Instant},
};

use engine::{Progress, Watcher};
use model::{
    By, Event, Failure, Matter, Part, Phase, Question, Recorded, Run, RunSpec, Scope, StageId,
    StageIndex, Step, Timestamp,
};
use store::RunPaths;

use super::{
    frame::Frame,
    human, marks,
    screen::{Screen, Tone, columns, fit, harmless},
};

/// How much of a failed stage's output is shown.
const LAST_LINES: usize = 15;
/// The live lines are not drawn more often than this.
const FRAME: Duration = Duration::from_millis(80);

/// Shows a run while it is run here.
#[derive(Debug)]
pub(crate) struct Live {
    screen: Screen,
    /// How the task was found, said once.
    task_from: Option<&'static str>,
    /// What the running stages said last, and since when they run.
    busy: BTreeMap<StageIndex, Busy>,
    frame: Frame,
    last_frame: Option<Instant>,
    troubles: Vec<String>,
}

#[derive(Debug)]
struct Busy {
    since: Instant,
    line: String,
}

impl Live {
    pub(crate) fn new(screen: Screen, task_from: Option<&'static str>) -> Self {
        Self {
            screen,
            task_from,
            busy: BTreeMap::new(),
            frame: Frame::default(),
            last_frame: None,
            troubles: Vec::new(),
        }
    }

    fn happened(&mut self, spec: &RunSpec, recorded: &Recorded) {
        match &recorded.event {
            Event::RunStarted { .. } => self.header(spec, "run"),
            Event::RunResumed { runner: Some(_), stage_id } => {
                self.header(spec, "resuming run");
                if let Some(stage) = stage_id {
                    self.stay(Tone::Faint, &format!("  at stage {stage}"));
                }
            }
            Event::RunResumed { runner: None, .. } => self.stay(Tone::Busy, "▸ resumed"),
            Event::StepStarted { step } => self.stage_started(spec, step),
            Event::StepCompleted { step, .. } => {
                let took = self.took(step);
                self.stage_line(spec, step, "✓", Tone::Good, &took);
            }
            Event::StepFailed { step, error, retry, allowed, failure, .. } => {
                let took = self.took(step);
                let then = match (retry, allowed) {
                    (true, _) => "; trying again",
                    (false, true) => " (it may fail)",
                    (false, false) => "",
                };
                let text = format!("{took}  {error}{then}");
                self.stage_line(spec, step, "✗", Tone::Bad, &text);
                let part = match failure {
                    Failure::Unverified(_) | Failure::VerifyTimedOut { .. } => Part::Verify,
                    _ => Part::Work,
                };
                self.last_words(spec, step, part);
            }
            Event::StepSkipped { step, reason } => {
                self.stage_line(spec, step, "-", Tone::Faint, &format!("skipped: {reason}"));
            }
            Event::StepCancelled { step, .. } => {
                let took = self.took(step);
                self.stage_line(spec, step, "■", Tone::Warning, &format!("{took}  cancelled"));
            }
            Event::StepTimedOut { step, limit_ms } => {
                let limit = human::length(Duration::from_millis(*limit_ms));
                let text = format!("over its time limit of {limit}; stopping it");
                self.stage_line(spec, step, "!", Tone::Warning, &text);
            }
            Event::StepOutputLost { step, reason } => {
                let text = format!("some of its output could not be kept: {reason}");
                self.stage_line(spec, step, "!", Tone::Warning, &text);
            }
            Event::CapDenied { step, what, why, count } => {
                let often = if *count > 1 { format!(" {count} times") } else { String::new() };
                let text = format!("was denied {what}{often} ({why})");
                self.stage_line(spec, step, "!", Tone::Warning, &text);
            }
            Event::ServerNotStarted { step, server, reason } => {
                let text = format!("the MCP server `{server}` did not start: {reason}");
                self.stage_line(spec, step, "!", Tone::Warning, &text);
            }
            Event::CapWidened { what, stage_id, by, .. } => {
                let text = widened(&what.to_string(), stage_id.as_ref(), by.as_ref());
                self.stay(Tone::Warning, &format!("! {text}"));
            }
            Event::ApprovalStood { step, standing } => {
                let text = format!("{}: {}", standing.subject, standing.in_words());
                self.stage_line(spec, step, "!", Tone::Warning, &harmless(&text));
            }
            Event::StepSilent { step, limit_ms } => {
                let limit = human::length(Duration::from_millis(*limit_ms));
                let text = format!("nothing came from it for {limit}; stopping it");
                self.stage_line(spec, step, "!", Tone::Warning, &text);
            }
            Event::StepSuspended { step } => {
                let took = self.took(step);
                self.stage_line(spec, step, "‖", Tone::Warning, &format!("{took}  left off"));
            }
            Event::VerifyStarted { step } => {
                self.stage_line(spec, step, "▸", Tone::Busy, "verifying its work");
            }
            Event::WorkNotCommitted { step, error } => {
                let text = format!("its work is not committed: {error}");
                self.stage_line(spec, step, "!", Tone::Warning, &text);
            }
            Event::WorktreeMade { path, branch, .. } => {
                self.stay(Tone::Faint, &format!("  work tree: {path} (branch {branch})"));
            }
            Event::BudgetReached { reached, .. } => {
                self.stay(Tone::Warning, &format!("! its budget is used up: {reached}"));
            }
            Event::UsageLimited { until, .. } => {
                let until = until.map_or(String::new(), |until| format!(" until {until}"));
                self.stay(Tone::Warning, &format!("! the account's usage limit is reached{until}"));
            }
            Event::MessageSent { text } => {
                self.stay(Tone::Busy, &format!("▸ told: {}", fit(&harmless(text), 100)));
            }
            Event::PauseRequested { .. } => self.stay(Tone::Warning, "‖ pausing"),
            // On a terminal the live lines say how it goes on.
            Event::RunPaused {} if self.screen.live => self.stay(Tone::Warning, "‖ paused"),
            Event::RunPaused {} => self.stay(Tone::Warning, &how_to_go_on(spec)),
            Event::PauseFailed { reason } => {
                self.stay(Tone::Bad, &format!("! could not be paused: {reason}"));
            }
            Event::CancelRequested { reason } => {
                let why = reason.as_ref().map_or(String::new(), |why| format!(" ({why})"));
                let again = if self.screen.live { "; Ctrl-C again kills at once" } else { "" };
                self.stay(Tone::Warning, &format!("■ cancelling{why}{again}"));
            }
            Event::FailRequested { error } => {
                self.stay(Tone::Bad, &format!("■ failing: {error}"));
            }
            Event::QuestionQueued { question }
            | Event::ConfirmationRequired { question }
            | Event::ApprovalRequired { question } => {
                let id = &question.question_id;
                self.stay(Tone::Warning, &format!("? {id}: {}", question.prompt));
                self.stay(Tone::Faint, &format!("    {}", how_to_answer(question)));
            }
            Event::QuestionAnswered { question_id, resolution }
            | Event::QuestionClosed { question_id, resolution }
            | Event::ConfirmationResolved { question_id, resolution }
            | Event::ApprovalResolved { question_id, resolution } => {
                self.stay(Tone::Busy, &format!("▸ {question_id} {}", resolution.as_str()));
            }
            Event::RunQueued { .. }
            | Event::StepLaunched { .. }
            | Event::StepConfined { .. }
            | Event::ThreadStarted { .. }
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
            | Event::MessagesHeard { .. }
            | Event::RunInterrupted { .. }
            | Event::RunCompleted {}
            | Event::RunFailed { .. }
            | Event::RunCanceled { .. } => {}
        }
    }

    fn header(&mut self, spec: &RunSpec, verb: &str) {
        let from = self.task_from.map_or(String::new(), |from| format!(" (from {from})"));
        let stages = spec.plan.stages.iter().filter(|stage| stage.body.has_processes());
        let stages = human::count(stages.count(), "stage");
        let text = format!(
            "{verb} {} of task {}{from}: {}, {stages}",
            self.screen.paint(Tone::Strong, spec.run_id.tail()),
            spec.task_id,
            spec.plan.title,
        );
        self.screen.line(&text);
        for left in &spec.plan.left_out {
            let text = format!("  left out {}: {}; {}", left.what, left.why, left.remedy);
            self.stay(Tone::Faint, &text);
        }
    }

    fn stage_started(&mut self, spec: &RunSpec, step: &Step) {
        let Some(planned) = spec.plan.stages.get(step.index().get()) else { return };
        let Some(line) = planned.body.line() else { return };
        self.busy.insert(step.index(), Busy { since: Instant::now(), line: String::new() });
        if !self.screen.live {
            let line = harmless(&line);
            self.stage_line(spec, step, "▸", Tone::Busy, &fit(&line, 100));
        }
    }

    fn took(&mut self, step: &Step) -> String {
        let busy = self.busy.remove(&step.index());
        busy.map_or(String::new(), |busy| human::length(busy.since.elapsed()))
    }

    fn stage_line(&self, spec: &RunSpec, step: &Step, mark: &str, tone: Tone, text: &str) {
        let name = padded(&name(spec, step.index()), names(spec));
        let tries =
            if step.attempt > 1 { format!(" (try {})", step.attempt) } else { String::new() };
        let line = format!("{} {name}{tries}  {text}", self.screen.paint(tone, mark));
        self.screen.line(line.trim_end());
    }

    fn stay(&self, tone: Tone, text: &str) {
        self.screen.line(&self.screen.paint(tone, &harmless(text)));
    }

    /// The end of a failed stage's output, and where the rest is.
    fn last_words(&self, spec: &RunSpec, step: &Step, part: Part) {
        let Some(planned) = spec.plan.stages.get(step.index().get()) else { return };
        if !planned.body.has_processes() {
            return;
        }
        let paths = RunPaths::new(Path::new(&spec.repo.root), &spec.task_id, &spec.run_id);
        let name = paths.stage_log_name(&spec.plan, step.index(), step.attempt(), part);
        for line in tail(&paths.absolute(&name), LAST_LINES) {
            let width = if self.screen.live { self.screen.width() } else { usize::MAX };
            self.screen.line(&format!("    {}", fit(&line, width.saturating_sub(5))));
        }
        self.stay(Tone::Faint, &format!("    log: {}", paths.relative(&name)));
    }

    fn clear(&mut self) {
        let erase = self.frame.erase(self.screen);
        self.screen.write(&erase);
    }

    fn draw(&mut self, spec: &RunSpec, run: &Run) {
        let text = self.next_frame(spec, run);
        self.screen.write(&text);
    }

    /// In one piece, so that nothing flickers.
    fn redraw(&mut self, spec: &RunSpec, run: &Run) {
        let erase = self.frame.erase(self.screen);
        let text = self.next_frame(spec, run);
        self.screen.write(&format!("{erase}{text}"));
    }

    fn next_frame(&mut self, spec: &RunSpec, run: &Run) -> String {
        if !self.screen.live || matches!(run.phase(), Phase::Ended { .. }) {
            return String::new();
        }
        self.last_frame = Some(Instant::now());
        let lines = self.live_lines(spec, run);
        self.frame.draw(self.screen, &lines)
    }

    fn live_lines(&self, spec: &RunSpec, run: &Run) -> Vec<String> {
        let width = self.screen.width();
        let frozen = matches!(run.phase(), Phase::Paused { .. });
        let (mark, tone) = match frozen {
            true => ("‖", Tone::Warning),
            false => marks::stage(model::StageStatus::Running),
        };
        let state = state_line(spec, run, self.busy.len());
        // One row is for the state, one for what stands above, and one for the cursor.
        let most = self.screen.height().saturating_sub(3).max(1);
        let hidden = self.busy.len().saturating_sub(most);
        let shown = self.busy.iter().take(if hidden == 0 { most } else { most - 1 });
        let mut lines: Vec<String> = shown
            .map(|(stage, busy)| {
                let name = padded(&name(spec, *stage), names(spec));
                let head = format!("{name}  {}", human::length(busy.since.elapsed()));
                let left = width.saturating_sub(columns(&head) + 5);
                let line = match left {
                    // Less than that says nothing.
                    0..4 => String::new(),
                    left => self.screen.paint(Tone::Faint, &fit(&busy.line, left)),
                };
                let mark = self.screen.paint(tone, mark);
                format!("{mark} {}  {line}", fit(&head, width.saturating_sub(3)))
            })
            .collect();
        if hidden > 0 {
            lines.push(fit(&format!("  and {} more", hidden + 1), width.saturating_sub(1)));
        }
        let tone = if frozen { Tone::Warning } else { Tone::Faint };
        lines.extend(
            state.map(|state| self.screen.paint(tone, &fit(&state, width.saturating_sub(1)))),
        );
        lines
    }
}

impl Watcher for Live {
    fn saw(&mut self, spec: &RunSpec, run: &Run, progress: &Progress<'_>) {
        match progress {
            Progress::Happened(events) => {
                self.clear();
                for recorded in *events {
                    self.happened(spec, recorded);
                }
                self.draw(spec, run);
            }
            Progress::Wrote { stage, line } => {
                if let Some(busy) = self.busy.get_mut(stage) {
                    busy.line = harmless(line);
                }
                if self.last_frame.is_none_or(|frame| frame.elapsed() >= FRAME) {
                    self.redraw(spec, run);
                }
            }
            Progress::Trouble(text) => {
                if !self.troubles.contains(text) {
                    self.clear();
                    self.stay(Tone::Warning, &format!("! {text}"));
                    self.troubles.push(text.clone());
                    self.draw(spec, run);
                }
            }
            Progress::Stopping => {
                self.clear();
                self.stay(Tone::Warning, "‖ stopped, and its stages with it; `fg` goes on");
            }
            Progress::Continued => {
                // The shell has written meanwhile, and perhaps others.
                self.frame.leave();
                self.draw(spec, run);
            }
            Progress::Resized | Progress::Tick => self.redraw(spec, run),
        }
    }
}

/// How far the run is; nothing where the lines of its stages say it all.
fn state_line(spec: &RunSpec, run: &Run, busy: usize) -> Option<String> {
    if matches!(run.phase(), Phase::Paused { .. }) {
        return Some(how_to_go_on(spec));
    }
    let commands = |stage: &&(StageIndex, &model::PlannedStage)| stage.1.body.has_processes();
    let stages: Vec<_> = (0_u32..).map(StageIndex).zip(&spec.plan.stages).collect();
    let all = stages.iter().filter(commands).count();
    let over = stages
        .iter()
        .filter(commands)
        .filter(|(at, _)| matches!(run.stage(*at), model::StageState::Ended(_)))
        .count();
    let took = human::length(took(run, engine::now())?);
    (all > 1).then(|| format!("  {over} of {all} done, {busy} running, {took}"))
}

fn how_to_go_on(spec: &RunSpec) -> String {
    format!("‖ paused; `codex-orch resume {}` goes on", spec.run_id.tail())
}

/// Columns for the names of the run's stages, so that what follows stands below each other.
fn names(spec: &RunSpec) -> usize {
    const MOST: usize = 24;
    let widths = spec.plan.stages.iter().map(|stage| columns(stage.id.as_str()));
    widths.filter(|width| *width <= MOST).max().unwrap_or(0)
}

fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(columns(text))))
}

/// The name of a stage as people read it, the stages of a sub-pipeline below it.
fn name(spec: &RunSpec, stage: StageIndex) -> String {
    spec.plan.stages.get(stage.get()).map_or(String::new(), |stage| stage.id.to_string())
}

/// The last lines of a file, with nothing in them that a terminal would act on.
pub(crate) fn tail(path: &Path, lines: usize) -> Vec<String> {
    const ENOUGH: u64 = 32 * 1024;
    let read = || {
        let mut file = std::fs::File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(ENOUGH)))?;
        let mut bytes = Vec::new();
        file.take(ENOUGH).read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].iter().map(|line| plain(line)).collect()
}

/// A line without escape sequences and control characters; tabs become spaces.
fn plain(line: &str) -> String {
    let mut out = String::new();
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' => {
                // CSI sequences end with a letter; others are two characters long.
                if chars.next() == Some('[') {
                    while chars.next().is_some_and(|c| !c.is_ascii_alphabetic()) {}
                }
            }
            '\t' => out.push_str("    "),
            '\r' => out.clear(),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// How long a run took, or has taken so far.
pub(crate) fn took(run: &Run, now: Timestamp) -> Option<Duration> {
    let started = run.started_at()?;
    Some(run.ended_at().unwrap_or(now).since(started))
}

/// That a host may be reached which is not listed.
pub(crate) fn widened(what: &str, stage: Option<&StageId>, by: Option<&By>) -> String {
    let who = stage.map_or("all of the run".to_owned(), |stage| format!("stage {stage}"));
    let by = by.map_or("the settings".to_owned(), |by| format!("a {}", by.as_str()));
    format!("{who} may reach {what}, by leave of {by}")
}

/// The command by which a person answers what is asked.
pub(crate) fn how_to_answer(question: &Question) -> String {
    let id = &question.question_id;
    match &question.matter {
        Matter::Question { .. } => format!("codex-orch answer {id} TEXT"),
        Matter::Confirmation { .. } => format!("codex-orch approve {id}, or deny {id}"),
        Matter::Approval { scopes, .. } => {
            let words = scopes.iter().map(|scope| match scope {
                Scope::Once => format!("approve {id} (this once)"),
                Scope::Stage => format!("approve {id} (for its stage)"),
                Scope::Run => format!("approve {id} --run (for all of the run)"),
                Scope::Repo => format!("approve {id} --standing (for this repository)"),
            });
            let words: Vec<String> = words.collect();
            format!("codex-orch {}, or deny {id}", words.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_line_has_nothing_that_a_terminal_acts_on() {
        assert_eq!(plain("\x1b[31mred\x1b[0m\tx\x07"), "red    x");
        assert_eq!(plain("10%\r20%\rdone"), "done");
        assert_eq!(plain("\x1b]"), "");
    }
}
