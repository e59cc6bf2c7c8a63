//! A run as it goes: lines that stay for what has happened, and below them, on a terminal, lines
//! that are written over for what is happening.

use std::{
    collections::BTreeMap,
    io::{Read, Seek, SeekFrom},
    path::Path,
    time::{Duration, Instant},
};

use engine::{Progress, Watcher};
use model::{Event, Phase, PlannedBody, Recorded, Run, RunSpec, StageIndex, Step, Timestamp};
use store::RunPaths;

use super::{
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
    drawn: usize,
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
            drawn: 0,
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
            Event::StepFailed { step, error, retry, allowed, .. } => {
                let took = self.took(step);
                let then = match (retry, allowed) {
                    (true, _) => "; trying again",
                    (false, true) => " (it may fail)",
                    (false, false) => "",
                };
                let text = format!("{took}  {error}{then}");
                self.stage_line(spec, step, "✗", Tone::Bad, &text);
                self.last_words(spec, step);
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
            Event::PauseRequested {} => self.stay(Tone::Warning, "‖ pausing"),
            Event::RunPaused {} => {
                let how = format!("‖ paused; `codex-orch resume {}` goes on", spec.run_id.tail());
                self.stay(Tone::Warning, &how);
            }
            Event::PauseFailed { reason } => {
                self.stay(Tone::Bad, &format!("! could not be paused: {reason}"));
            }
            Event::CancelRequested { reason } => {
                let why = reason.as_ref().map_or(String::new(), |why| format!(" ({why})"));
                let again = if self.screen.live { "; Ctrl-C again kills at once" } else { "" };
                self.stay(Tone::Warning, &format!("■ cancelling{why}{again}"));
            }
            Event::RunQueued { .. }
            | Event::StepLaunched { .. }
            | Event::RunInterrupted { .. }
            | Event::RunCompleted {}
            | Event::RunFailed { .. }
            | Event::RunCanceled { .. } => {}
        }
    }

    fn header(&mut self, spec: &RunSpec, verb: &str) {
        let from = self.task_from.map_or(String::new(), |from| format!(" (from {from})"));
        let stages =
            spec.plan.stages.iter().filter(|stage| matches!(stage.body, PlannedBody::Command(_)));
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
        let PlannedBody::Command(command) = &planned.body else { return };
        self.busy.insert(step.index(), Busy { since: Instant::now(), line: String::new() });
        if !self.screen.live {
            let line = harmless(&command.command.as_typed());
            self.stage_line(spec, step, "▸", Tone::Busy, &fit(&line, 100));
        }
    }

    fn took(&mut self, step: &Step) -> String {
        let busy = self.busy.remove(&step.index());
        busy.map_or(String::new(), |busy| human::length(busy.since.elapsed()))
    }

    fn stage_line(&self, spec: &RunSpec, step: &Step, mark: &str, tone: Tone, text: &str) {
        let name = name(spec, step.index());
        let tries =
            if step.attempt > 1 { format!(" (try {})", step.attempt) } else { String::new() };
        let line = format!("{} {name}{tries}  {text}", self.screen.paint(tone, mark));
        self.screen.line(line.trim_end());
    }

    fn stay(&self, tone: Tone, text: &str) {
        self.screen.line(&self.screen.paint(tone, &harmless(text)));
    }

    /// The end of a failed stage's output, and where the rest is.
    fn last_words(&self, spec: &RunSpec, step: &Step) {
        let Some(planned) = spec.plan.stages.get(step.index().get()) else { return };
        let PlannedBody::Command(_) = planned.body else { return };
        let paths = RunPaths::new(Path::new(&spec.repo.root), &spec.task_id, &spec.run_id);
        let name = paths.stage_log_name(&spec.plan, step.index(), step.attempt());
        for line in tail(&paths.absolute(&name), LAST_LINES) {
            let width = if self.screen.live { self.screen.width() } else { usize::MAX };
            self.screen.line(&format!("    {}", fit(&line, width.saturating_sub(5))));
        }
        self.stay(Tone::Faint, &format!("    log: {}", paths.relative(&name)));
    }

    fn clear(&mut self) {
        if self.drawn > 0 {
            // Up over the live lines, and away with everything below.
            self.screen.write(&format!("\x1b[{}A\r\x1b[J", self.drawn));
            self.drawn = 0;
        }
    }

    fn draw(&mut self, spec: &RunSpec, run: &Run) {
        if !self.screen.live || matches!(run.phase(), Phase::Ended { .. }) {
            return;
        }
        self.last_frame = Some(Instant::now());
        let width = self.screen.width();
        // More lines than the terminal has could not be written over.
        let most = self.screen.height().saturating_sub(2).max(1);
        let frozen = matches!(run.phase(), Phase::Paused { .. });
        let (mark, tone) = match frozen {
            true => ("‖", Tone::Warning),
            false => marks::stage(model::StageStatus::Running),
        };
        let mut text = String::new();
        for (stage, busy) in self.busy.iter().take(most) {
            let head = format!("{}  {}", name(spec, *stage), human::length(busy.since.elapsed()));
            let left = width.saturating_sub(columns(&head) + 5);
            let line = self.screen.paint(Tone::Faint, &fit(&busy.line, left));
            let mark = self.screen.paint(tone, mark);
            text.push_str(&format!("{mark} {}  {line}\n", fit(&head, width.saturating_sub(3))));
        }
        self.drawn = self.busy.len().min(most);
        self.screen.write(&text);
    }

    fn redraw(&mut self, spec: &RunSpec, run: &Run) {
        if self.screen.live {
            self.clear();
            self.draw(spec, run);
        }
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
            Progress::Redraw => {
                // Whoever wrote to the terminal meanwhile moved our lines away.
                self.drawn = 0;
                self.draw(spec, run);
            }
            Progress::Tick => self.redraw(spec, run),
        }
    }
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
