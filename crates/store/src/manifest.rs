//! `manifest.json`: a run at a glance, for people, agents and scripts.

use std::{collections::BTreeMap, sync::Arc};

use model::{
    Attempt, Check, Ended, Exit, Failure, Grant, LeftOut, Limits, MadeTree, NotStarted, Origin,
    Outcome, Part, Phase, PlannedBody, RepoFacts, Run, RunId, RunOutcome, RunSpec, RunStatus,
    StageIndex, StageState, StageStatus, TaskId, Timestamp, Used, Waiting, Widened,
    caps::{Caps, WrittenCaps},
};
use serde::{Deserialize, Serialize};

use crate::RunPaths;

/// A run at a glance. Paths are relative to the repository.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Manifest {
    /// The version of this form: 1.
    pub version: u32,
    /// The task it belongs to.
    pub task_id: TaskId,
    /// The run.
    pub run_id: RunId,
    /// The run that started it.
    pub parent_run_id: Option<RunId>,
    /// The pipeline it runs.
    pub pipeline_id: String,
    /// What people read instead of the id.
    #[serde(default)]
    pub pipeline_title: String,
    /// The program that runs it.
    #[serde(default)]
    pub runner: String,
    /// What it is doing.
    pub status: RunStatus,
    /// What the status does not say.
    #[serde(default)]
    pub status_detail: Option<String>,
    /// What it waits for before it goes on.
    #[serde(default)]
    pub waiting: Option<Waiting>,
    /// When it was written down.
    #[serde(default)]
    pub created_at: Option<Timestamp>,
    /// When a runner first took it up.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default)]
    pub completed_at: Option<Timestamp>,
    /// When something last happened to it.
    #[serde(default)]
    pub updated_at: Option<Timestamp>,
    /// Its folder.
    #[serde(default)]
    pub artifact_root: String,
    /// The folder of its stages' output.
    #[serde(default)]
    pub log_path: Option<String>,
    /// Its events.
    #[serde(default)]
    pub events_path: Option<String>,
    /// How it stands, in a sentence.
    #[serde(default)]
    pub summary: Option<String>,
    /// How it was asked for.
    #[serde(default)]
    pub origin: Option<Origin>,
    /// What it is to achieve.
    #[serde(default)]
    pub goal: Option<String>,
    /// Its stages, in order; those of a sub-pipeline follow the stage that runs it.
    #[serde(default)]
    pub commands: Vec<CommandEntry>,
    /// What could have been checked and was not.
    #[serde(default)]
    pub left_out: Vec<LeftOut>,
    /// The runs that it started.
    #[serde(default)]
    pub child_runs: Vec<ChildRun>,
    /// What it has asked.
    #[serde(default)]
    pub questions: Questions,
    /// Who delegated it, and what it may do by itself; none where a person started it.
    #[serde(default)]
    pub grant: Option<Grant>,
    /// The times it was taken up again.
    #[serde(default)]
    pub resume_events: Vec<ResumeEvent>,
    /// The approval policy of its agents; none where it has no agent.
    #[serde(default)]
    pub approval_policy: Option<String>,
    /// What its threads have used up; none where it has none.
    #[serde(default)]
    pub usage: Option<Used>,
    /// What they and those of the runs below it may use up.
    #[serde(default)]
    pub limits: Option<Limits>,
    /// The first of its threads that has begun.
    #[serde(default)]
    pub codex: Option<CodexThread>,
    /// The work tree that was made for it.
    #[serde(default)]
    pub worktree: Option<MadeTree>,
    /// Where it was run last.
    #[serde(default)]
    pub host: Option<Host>,
    /// The repository as it was.
    #[serde(default)]
    pub repo: Option<RepoFacts>,
    /// The settings as they were.
    #[serde(default)]
    pub config: Option<Config>,
    /// How its processes are held.
    #[serde(default)]
    pub supervision: Option<Supervision>,
    /// What its stages may do; none where nobody has written anything of that.
    #[serde(default)]
    pub caps: Option<CapsRecord>,
}

/// What the stages of a run may do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CapsRecord {
    /// All that was written of it, and by whom.
    pub requested: Vec<WrittenCaps>,
    /// What that comes to, by stage; those that are not here may do what the user may, and have every
    /// tool.
    pub effective: BTreeMap<String, Caps>,
    /// What keeps its last try to that, and whether it was proven to, by stage; `null` where nothing
    /// does, because whoever wrote it wants it to run all the same.
    pub enforced: BTreeMap<String, serde_json::Value>,
    /// What keeps its last try to the tools that it is given, by stage, where any are kept from it:
    /// for each guarantee what enforces it, whether that was tried, and what it leaves open.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tools: BTreeMap<String, serde_json::Value>,
    /// How often something was denied, by stage.
    pub denied: BTreeMap<String, u64>,
    /// What may be reached beside that, and who said so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub widened: Vec<Widened>,
    /// MCP servers of which something is granted, and that did not start for the last try at a stage.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_started: Vec<NotStarted>,
}

/// One stage of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CommandEntry {
    /// From 1.
    pub index: u32,
    /// Its name.
    pub id: String,
    /// What people read instead of the id.
    #[serde(default)]
    pub title: String,
    /// The command, or the first line of the prompt; none for a sub-pipeline.
    #[serde(default)]
    pub command: Option<String>,
    /// `command`, `codex` or `pipeline`.
    #[serde(default)]
    pub kind: String,
    /// The sub-pipeline it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
    /// The stage that runs the sub-pipeline it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Where it stands.
    pub status: StageStatus,
    /// When its last try began.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default)]
    pub completed_at: Option<Timestamp>,
    /// As a shell gives it.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    #[serde(default)]
    pub signal: Option<i32>,
    /// How often it was tried.
    #[serde(default)]
    pub attempts: u32,
    /// How it came out, in a line.
    #[serde(default)]
    pub summary: Option<String>,
    /// The output of its last try; none where that could not be started.
    #[serde(default)]
    pub log_path: Option<String>,
    /// Why it failed, or why its last try did.
    #[serde(default)]
    pub error: Option<String>,
    /// It may fail.
    #[serde(default)]
    pub allow_failure: bool,
    /// Its thread, once it has begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codex: Option<CodexThread>,
}

/// A Codex thread.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CodexThread {
    /// Its stage.
    pub stage_id: String,
    /// Its name, for `codex resume` in its own CODEX_HOME.
    #[serde(default)]
    pub thread_id: Option<String>,
    /// The model that it runs on.
    #[serde(default)]
    pub model: Option<String>,
    /// What it used up.
    #[serde(default)]
    pub usage: Used,
    /// What it said last.
    #[serde(default)]
    pub last_message: Option<String>,
    /// What it is to be told and was not yet.
    #[serde(default)]
    pub messages_waiting: u32,
    /// What the command that verifies says: `due`, `failed` or `passed`; none where there is none.
    #[serde(default)]
    pub verify: Option<String>,
    /// The last commit of its work.
    #[serde(default)]
    pub commit: Option<String>,
}

/// How many questions and confirmations a run has asked for.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct Questions {
    /// Those that nobody has resolved.
    pub open: u32,
    /// All of them.
    pub total: u32,
}

/// A run that this run started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ChildRun {
    /// The run.
    pub run_id: RunId,
    /// Its pipeline.
    pub pipeline_id: String,
    /// What it was doing when this was written.
    pub status: RunStatus,
    /// Its manifest.
    pub manifest: String,
}

/// A time that a run was taken up again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ResumeEvent {
    /// When.
    pub timestamp: Timestamp,
    /// Where it began again; none when it was only thawed.
    #[serde(default)]
    pub stage_id: Option<String>,
    /// The process that has run it since; none when it was only thawed.
    #[serde(default)]
    pub pid: Option<u32>,
}

/// Where a run was run last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Host {
    /// The runner's process id.
    pub pid: u32,
    /// The boot it lived in.
    pub boot_id: String,
    /// The machine.
    pub hostname: String,
}

/// The settings of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Config {
    /// Every setting in effect.
    pub effective: Arc<serde_json::Value>,
    /// Where each of them came from.
    pub origins: Arc<serde_json::Value>,
    /// A hash of what was in effect.
    pub hash: String,
}

/// How the processes of a run are held.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Supervision {
    /// `cgroup2`, `freezer1`, `pidns` or `subreaper`; none before the first launch.
    pub rung: Option<String>,
    /// What was asked for.
    pub requested: String,
}

/// The manifest of a run, as it stands.
#[must_use]
pub fn manifest_of(
    spec: &RunSpec,
    run: &Run,
    paths: &RunPaths,
    children: Vec<ChildRun>,
) -> Manifest {
    let host = run.runner().map(|runner| Host {
        pid: runner.pid,
        boot_id: runner.boot_id.clone(),
        hostname: runner.hostname.clone(),
    });
    let resume_events = run.restarts().iter().map(|restart| ResumeEvent {
        timestamp: restart.at,
        stage_id: restart.stage.clone(),
        pid: restart.runner.as_ref().map(|runner| runner.pid),
    });
    let commands = (0..).map(StageIndex).take(run.stages().len());
    Manifest {
        version: 1,
        task_id: spec.task_id.clone(),
        run_id: spec.run_id.clone(),
        parent_run_id: spec.parent_run_id.clone(),
        pipeline_id: spec.plan.pipeline.clone(),
        pipeline_title: spec.plan.title.clone(),
        runner: "codex-orchestrator".to_owned(),
        status: run.status(),
        status_detail: run.detail(),
        waiting: run.waiting(),
        created_at: run.queued_at(),
        started_at: run.started_at(),
        completed_at: run.ended_at(),
        updated_at: run.updated_at(),
        artifact_root: paths.relative(""),
        log_path: Some(paths.relative("stages")),
        events_path: Some(paths.relative("events.jsonl")),
        summary: Some(summary(run)),
        origin: Some(spec.origin),
        goal: spec.goal.clone(),
        commands: commands.map(|index| command(spec, run, paths, index)).collect(),
        left_out: spec.plan.left_out.clone(),
        child_runs: children,
        questions: Questions {
            open: u32::try_from(run.open_questions().count()).unwrap_or(u32::MAX),
            total: run.asked(),
        },
        grant: spec.grant.clone(),
        resume_events: resume_events.collect(),
        approval_policy: spec
            .plan
            .stages
            .iter()
            .any(|stage| matches!(stage.body, PlannedBody::Codex(_)))
            .then(|| "on-request".to_owned()),
        usage: run.threads().next().map(|_| run.used()),
        limits: (!spec.limits.budget.is_unlimited()).then_some(spec.limits),
        codex: run.threads().find_map(|(stage, _)| thread(spec, run, stage)),
        worktree: run.tree().cloned(),
        host,
        repo: Some(spec.repo.clone()),
        config: Some(Config {
            effective: spec.config.effective.clone(),
            origins: spec.config.origins.clone(),
            hash: spec.config.hash.clone(),
        }),
        supervision: Some(Supervision {
            rung: run.rung().map(ToOwned::to_owned),
            requested: spec.supervision.clone(),
        }),
        caps: caps(spec, run),
    }
}

/// What is written of some stages, and what that comes to. Of most the same is written, and it costs
/// something to find out.
struct Known {
    written: Vec<WrittenCaps>,
    caps: Option<Caps>,
    is_free: bool,
}

fn caps(spec: &RunSpec, run: &Run) -> Option<CapsRecord> {
    let mut requested = spec.config.caps.clone();
    let mut record = CapsRecord {
        requested: Vec::new(),
        effective: BTreeMap::new(),
        enforced: BTreeMap::new(),
        tools: BTreeMap::new(),
        denied: BTreeMap::new(),
        widened: run.widened().to_vec(),
        not_started: run.servers_not_started().to_vec(),
    };
    let mut known: Vec<Known> = Vec::new();
    for (at, stage) in (0..).map(StageIndex).zip(&spec.plan.stages) {
        let written = spec.plan.caps_of(at);
        for written in &written {
            if !requested.contains(written) {
                requested.push(written.clone());
            }
        }
        if !stage.body.has_processes() {
            continue;
        }
        let id = stage.id.to_string();
        let found = known.iter().position(|known| known.written == written);
        let found = found.unwrap_or_else(|| {
            let caps = spec.caps_of(at).ok().map(|effective| effective.caps);
            let is_free = caps.as_ref().is_some_and(Caps::is_free);
            known.push(Known { written, caps, is_free });
            known.len() - 1
        });
        let Known { caps, is_free, .. } = &known[found];
        if let Some(caps) = caps
            && (!is_free || spec.are_narrow(at, &caps.tools))
        {
            record.effective.insert(id.clone(), caps.clone());
        }
        let (cage, denied) = run.cage(at);
        if let Some(cage) = cage {
            if let Some(enforced) = cage.get("enforced") {
                record.enforced.insert(id.clone(), enforced.clone());
            }
            if let Some(tools) = cage.get("tools") {
                record.tools.insert(id.clone(), tools.clone());
            }
        }
        if cage.is_some() || denied > 0 {
            record.denied.insert(id, denied);
        }
    }
    record.requested = requested;
    (!record.effective.is_empty() || !record.denied.is_empty()).then_some(record)
}

fn command(spec: &RunSpec, run: &Run, paths: &RunPaths, index: StageIndex) -> CommandEntry {
    let planned = &spec.plan.stages[index.get()];
    let state = run.stage(index);
    let (line, kind, pipeline) = match &planned.body {
        body @ PlannedBody::Command(_) => (body.line(), "command", None),
        body @ PlannedBody::Codex(_) => (body.line(), "codex", None),
        PlannedBody::Pipeline(pipeline) => (None, "pipeline", Some(pipeline.clone())),
    };
    let attempts = state.attempts();
    let began = |ended: &Ended| !matches!(ended.exit, Some(Exit::NotStarted { .. }));
    let has_output = match state {
        StageState::Ended(ended) => began(ended),
        _ => true,
    };
    let log = (attempts > 0 && line.is_some() && has_output).then(|| {
        paths.relative(&paths.stage_log_name(&spec.plan, index, Attempt(attempts), Part::Work))
    });
    let mut entry = CommandEntry {
        index: index.number(),
        id: planned.id.to_string(),
        title: planned.title.clone(),
        command: line,
        kind: kind.to_owned(),
        pipeline,
        parent: planned.within.map(|group| spec.plan.stages[group.get()].id.to_string()),
        status: state.status(),
        started_at: None,
        completed_at: None,
        exit_code: None,
        signal: None,
        attempts,
        summary: None,
        log_path: log,
        error: None,
        allow_failure: planned.allow_failure,
        codex: thread(spec, run, index),
    };
    match state {
        StageState::Waiting { before, .. } => {
            entry.error = before.as_ref().map(|failure| format!("last try: {failure}"));
        }
        StageState::Running(running) => entry.started_at = Some(running.since),
        StageState::Ended(ended) => {
            entry.started_at = ended.started_at;
            entry.completed_at = Some(ended.ended_at);
            entry.exit_code = ended.exit.as_ref().and_then(model::Exit::code);
            if let Some(model::Exit::Signal(signal)) = ended.exit {
                entry.signal = Some(signal);
            }
            match &ended.outcome {
                Outcome::Succeeded => {
                    let hint = planned.summary_hint.clone();
                    entry.summary = hint.or_else(|| ended.last_line.clone());
                }
                Outcome::Failed(failure) => {
                    entry.error = Some(failure.to_string());
                    entry.summary = Some(failed_summary(failure, ended.last_line.as_deref()));
                }
                Outcome::Skipped(reason) => entry.summary = Some(format!("skipped: {reason}")),
                Outcome::Cancelled => entry.summary = Some("cancelled".to_owned()),
            }
        }
    }
    entry
}

fn thread(spec: &RunSpec, run: &Run, index: StageIndex) -> Option<CodexThread> {
    let thread = run.thread(index)?;
    let planned = &spec.plan.stages[index.get()];
    let PlannedBody::Codex(codex) = &planned.body else { return None };
    let verify = match thread.check {
        Check::Due => "due",
        Check::Failed { .. } => "failed",
        Check::Passed => "passed",
    };
    Some(CodexThread {
        stage_id: planned.id.to_string(),
        thread_id: thread.id.clone(),
        model: thread.model.clone(),
        usage: thread.used,
        last_message: thread.said.clone(),
        messages_waiting: u32::try_from(thread.messages.len()).unwrap_or(u32::MAX),
        verify: codex.verify.as_ref().map(|_| verify.to_owned()),
        commit: thread.commit.clone(),
    })
}

fn failed_summary(failure: &Failure, last_line: Option<&str>) -> String {
    match last_line {
        Some(line) if !line.is_empty() => format!("{failure}: {line}"),
        _ => failure.to_string(),
    }
}

/// How a run stands, in a sentence.
fn summary(run: &Run) -> String {
    let (mut good, mut bad, mut excused, mut skipped, mut total) = (0, 0, 0, 0, 0);
    for (index, state) in (0..).map(StageIndex).zip(run.stages()) {
        if let PlannedBody::Pipeline(_) = run.plan().stages[index.get()].body {
            continue;
        }
        total += 1;
        match state.status() {
            StageStatus::Succeeded => good += 1,
            StageStatus::Failed if run.plan().excuses(index) => excused += 1,
            StageStatus::Failed => bad += 1,
            StageStatus::Skipped => skipped += 1,
            StageStatus::Pending | StageStatus::Running | StageStatus::Cancelled => {}
        }
    }
    let mut parts = vec![format!("{good} of {total} stages succeeded")];
    let mut also = |count: u32, what: &str| {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    };
    also(bad, "failed");
    also(excused, "failed as they may");
    also(skipped, "skipped");
    also(u32::try_from(run.plan().left_out.len()).unwrap_or(u32::MAX), "left out");
    if run.uncommitted().is_some() {
        parts.push("its work is not committed".to_owned());
    }
    let counts = parts.join(", ");
    match run.phase() {
        _ if run.plan().is_session() => "a Codex session; its runs are its children".to_owned(),
        Phase::Ended { outcome: RunOutcome::Failed { stage: Some(stage), error }, .. } => {
            format!("`{}` failed ({error}); {counts}", run.plan().stages[stage.get()].id)
        }
        Phase::Ended { outcome: RunOutcome::Failed { stage: None, error }, .. } => {
            format!("failed ({error}); {counts}")
        }
        Phase::Ended { outcome: RunOutcome::Cancelled { reason: Some(reason) }, .. } => {
            format!("cancelled ({reason}); {counts}")
        }
        Phase::Ended { outcome: RunOutcome::Cancelled { .. }, .. } => {
            format!("cancelled; {counts}")
        }
        Phase::Interrupted { .. } => format!("interrupted; {counts}"),
        Phase::Paused { .. } => format!("paused; {counts}"),
        _ => counts,
    }
}
