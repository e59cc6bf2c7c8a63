//! `status`: one run, as it stands.

use std::time::{Duration, Instant};

use engine::{Ear, Engine, Snapshot};
use model::{RunId, RunStatus, StageStatus, Timestamp};
use store::{CommandEntry, Manifest};

use super::{Common, Outcome, within};
use crate::{
    failure::Failure,
    look,
    naming::{Named, RunArgs},
    render::{
        frame::Frame,
        human, json, live, marks,
        screen::{Screen, Tone, fit, harmless},
    },
};

/// Show how a run stands
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    run: RunArgs,

    /// Show it again and again until it has ended
    #[arg(long)]
    watch: bool,

    /// How often, at least, with --watch: `500ms`, `2s`, or seconds
    #[arg(long, value_name = "N", default_value = "1s", value_parser = model::parse_duration, requires = "watch")]
    interval: Duration,
}

pub(crate) fn run(args: &Args, common: &Common) -> Outcome {
    let here = common.here()?;
    let screen = Screen::out();
    let (mut engine, run) = match args.run.find(&here)? {
        Named::Ours(engine, run) => (*engine, run),
        Named::Foreign(manifest, path) => {
            let shown = within(&here.place.root, &path);
            if common.json() {
                return json::write(&look::run::foreign(*manifest, shown, &here.place.root));
            }
            screen.line(&format!("foreign record at {shown}: shown as it is"));
            let now = engine::now();
            let shape = Shape::of(&manifest);
            let stages = manifest.commands.iter();
            let stages = stages.map(|entry| stage_line(screen, entry, shape, now));
            let head = head(screen, &manifest, false, now);
            for line in head.into_iter().chain(stages).chain(foot(screen, &manifest)) {
                screen.line(&line);
            }
            return Ok(());
        }
    };
    if args.watch {
        return watch(&mut engine, &run, args.interval, common, screen);
    }
    let snapshot = engine.snapshot(&run)?;
    mend_views(&engine, &snapshot);
    if common.json() {
        return json::write(&look::run::document(&snapshot));
    }
    show(screen, &snapshot);
    Ok(())
}

/// Makes the files of a run that nobody runs again, where they were lost.
pub(crate) fn mend_views(engine: &Engine, snapshot: &Snapshot) {
    if engine.writable() && !snapshot.live && !snapshot.paths.manifest().exists() {
        // A repository that cannot be written keeps no record, and the journal has it all.
        let _ = engine.repair_views(snapshot);
    }
}

/// Shows the run each time that something happened to it, and at least as often as is wanted.
/// With JSON, once: when it has ended.
fn watch(
    engine: &mut Engine,
    run: &RunId,
    interval: Duration,
    common: &Common,
    screen: Screen,
) -> Outcome {
    let mut ear = Ear::new();
    ear.listen_to(&engine.bell(run));
    let mut frame = Frame::default();
    let mut said = Vec::new();
    loop {
        let snapshot = engine.snapshot(run)?;
        let over = !snapshot.run.status().wants_runner();
        if common.json() {
            if over {
                return json::write(&look::run::document(&snapshot));
            }
        } else {
            if screen.live {
                let lines = live_lines(screen, &snapshot);
                let erase = frame.erase(screen);
                let text = frame.draw(screen, &lines);
                screen.write(&format!("{erase}{text}"));
            } else {
                // In a pipe, what changed.
                let facts = plain_facts(&snapshot.manifest);
                for line in facts.iter().filter(|line| !said.contains(*line)) {
                    screen.line(line);
                }
                said = facts;
            }
        }
        if over {
            // Nothing is written over any more, so there is room for all of it.
            if screen.live {
                let erase = frame.erase(screen);
                screen.write(&erase);
                show(screen, &snapshot);
            }
            return Ok(());
        }
        // A run that says nothing is looked at all the same: its times go on.
        ear.wait(Some(Instant::now() + interval));
    }
}

fn plain_facts(manifest: &Manifest) -> Vec<String> {
    let stages = manifest
        .commands
        .iter()
        .filter(|entry| entry.status != StageStatus::Pending)
        .map(|entry| format!("{} {}", entry.id, entry.status.as_str()));
    let detail =
        manifest.status_detail.as_ref().map_or(String::new(), |detail| format!(": {detail}"));
    stages.chain([format!("run {}{detail}", manifest.status)]).collect()
}

fn show(screen: Screen, snapshot: &Snapshot) {
    for line in snapshot_lines(screen, snapshot) {
        screen.line(&line);
    }
}

fn snapshot_lines(screen: Screen, snapshot: &Snapshot) -> Vec<String> {
    lines_of(screen, snapshot, |_| true)
}

/// As many lines as can be written over: where there is no room for every stage, for those that
/// are running or have failed.
fn live_lines(screen: Screen, snapshot: &Snapshot) -> Vec<String> {
    let all = snapshot_lines(screen, snapshot);
    if all.len() < screen.height() {
        return all;
    }
    let now = |status| matches!(status, StageStatus::Running | StageStatus::Failed);
    lines_of(screen, snapshot, now)
}

fn lines_of(
    screen: Screen,
    snapshot: &Snapshot,
    wanted: impl Fn(StageStatus) -> bool,
) -> Vec<String> {
    let manifest = &snapshot.manifest;
    let now = engine::now();
    let mut lines = head(screen, manifest, snapshot.live, now);
    let shape = Shape::of(manifest);
    for entry in manifest.commands.iter().filter(|entry| wanted(entry.status)) {
        lines.push(stage_line(screen, entry, shape, now));
        let Some(log) = &entry.log_path else { continue };
        let log = snapshot.paths.root().join(log);
        if entry.status == StageStatus::Running
            && let Some(line) = live::tail(&log, 1).pop()
        {
            let text = format!("        {}", fit(&line, screen.width().saturating_sub(9)));
            lines.push(screen.paint(Tone::Faint, &text));
        }
        // That of a stage that has just begun is about to be made.
        if !log.exists() && entry.status != StageStatus::Running {
            lines.push(format!("        its output was deleted: {}", log.display()));
        }
    }
    let hidden = manifest.commands.iter().filter(|entry| !wanted(entry.status)).count();
    if hidden > 0 {
        lines
            .push(screen.paint(Tone::Faint, &format!("    and {}", human::count(hidden, "stage"))));
    }
    lines.extend(foot(screen, manifest));
    lines.extend(next_step(&snapshot.manifest).map(|next| format!("next     {next}")));
    lines
}

/// What a person may want to type next.
pub(crate) fn next_step(manifest: &Manifest) -> Option<String> {
    use model::RunStatus::{Cancelled, Failed, InProgress, Interrupted, Paused, Queued, Succeeded};
    let tail = manifest.run_id.tail();
    match manifest.status {
        Paused | Interrupted | Failed | Cancelled => Some(format!("codex-orch resume {tail}")),
        InProgress | Queued => Some(format!("codex-orch status {tail} --watch")),
        // What it did is somewhere else, and waits to be looked at.
        Succeeded => manifest.worktree.as_ref().map(|_| format!("codex-orch diff {tail}")),
    }
}

fn head(screen: Screen, manifest: &Manifest, live: bool, now: Timestamp) -> Vec<String> {
    let (mark, tone) = marks::run(manifest.status);
    let took = manifest
        .started_at
        .map(|started| human::length(manifest.completed_at.unwrap_or(now).since(started)));
    let since = manifest.updated_at.map(|updated| human::ago(updated, now)).unwrap_or_default();
    let mut lines = vec![
        format!(
            "run      {}  {}",
            screen.paint(Tone::Strong, manifest.run_id.tail()),
            screen.paint(Tone::Faint, manifest.run_id.as_str())
        ),
        format!("task     {}", manifest.task_id),
        format!("pipeline {}", harmless(&manifest.pipeline_title)),
        format!(
            "state    {}{}{}",
            screen.paint(tone, &format!("{mark} {}", manifest.status)),
            took.map_or(String::new(), |took| match manifest.completed_at {
                Some(_) => format!(" after {took}"),
                None => format!(" for {took}"),
            }),
            match live {
                true => String::new(),
                false => format!(", {since}"),
            }
        ),
    ];
    if let Some(detail) = &manifest.status_detail {
        lines.push(format!("         {}", harmless(detail)));
    }
    lines
}

fn foot(screen: Screen, manifest: &Manifest) -> Vec<String> {
    let child = |child: &store::ChildRun| {
        let (mark, tone) = marks::run(child.status);
        let status = screen.paint(tone, &format!("{mark} {}", child.status));
        format!("child    {}  {}  {status}", child.run_id.tail(), child.pipeline_id)
    };
    let mut lines: Vec<String> = manifest.child_runs.iter().map(child).collect();
    for (stage, count) in manifest.caps.iter().flat_map(|caps| &caps.denied) {
        if *count > 0 {
            let times = human::count(usize::try_from(*count).unwrap_or(usize::MAX), "time");
            let stage = harmless(stage);
            lines.push(format!("denied   {times}, {stage}: `cap_denied` in events.jsonl"));
        }
    }
    for one in manifest.caps.iter().flat_map(|caps| &caps.not_started) {
        let text = format!("{} of {} did not start: {}", one.server, one.stage_id, one.reason);
        lines.push(format!("server   {}; `logs` shows what it said", harmless(&text)));
    }
    for widened in manifest.caps.iter().flat_map(|caps| &caps.widened) {
        let what = widened.what.to_string();
        let text = live::widened(&what, widened.stage_id.as_ref(), widened.by.as_ref());
        lines.push(format!("widened  {}", harmless(&text)));
    }
    // What a thread waits for is not said above, as what holds the run is.
    let is_said = manifest.waiting.is_some() && manifest.status_detail.is_some();
    if manifest.questions.open > 0 && !is_said {
        let open = usize::try_from(manifest.questions.open).unwrap_or(usize::MAX);
        lines.push(format!("asks     {}: codex-orch inbox", human::count(open, "question")));
    }
    lines.push(format!("record   {}/manifest.json", manifest.artifact_root));
    lines
}

/// What the lines of all stages have in common.
#[derive(Clone, Copy)]
struct Shape {
    frozen: bool,
    /// Columns for their ids.
    ids: usize,
}

impl Shape {
    fn of(manifest: &Manifest) -> Self {
        const MOST: usize = 32;
        let widest = manifest.commands.iter().map(|entry| entry.id.len()).max();
        Self { frozen: manifest.status == RunStatus::Paused, ids: widest.unwrap_or(0).min(MOST) }
    }
}

fn stage_line(screen: Screen, entry: &CommandEntry, shape: Shape, now: Timestamp) -> String {
    let (mark, tone) = match (entry.status, shape.frozen) {
        (StageStatus::Running, true) => marks::run(RunStatus::Paused),
        (status, _) => marks::stage(status),
    };
    let took = entry
        .started_at
        .map(|started| human::length(entry.completed_at.unwrap_or(now).since(started)));
    let said = match (&entry.error, &entry.summary) {
        (_, Some(summary)) => summary.clone(),
        (Some(error), None) => error.clone(),
        (None, None) => String::new(),
    };
    let text = format!(
        "{:>3} {:ids$}  {:9}  {:>6}",
        entry.index,
        entry.id,
        entry.status.as_str(),
        took.unwrap_or_default(),
        ids = shape.ids,
    );
    let left = match screen.live {
        true => screen.width().saturating_sub(text.chars().count() + 8),
        false => usize::MAX,
    };
    let said = screen.paint(Tone::Faint, &fit(&harmless(&said), left));
    format!("  {} {text}  {said}", screen.paint(tone, mark)).trim_end().to_owned()
}

/// The run must be one of ours to be watched; the failure says why it is not.
pub(crate) fn find_ours(args: &RunArgs, common: &Common) -> Result<(Engine, RunId), Failure> {
    args.find_ours(&common.here()?)
}
