//! `delegate.status`: one run, as it stands.

use model::{
    Act, Limits, MadeTree, Mode, RunId, RunStatus, Spent, StageStatus, TaskId, Timestamp, Waiting,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{ChildRun, CodexThread, CommandEntry, QuestionFilter};

use super::{
    Offer,
    shown::{QuestionShown, cut},
};
use crate::{desk::Call, fault::Fault};

pub(super) struct Status;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// The run: the path of its manifest, or its id. Without it: your own run, or the one you
    /// spawned last.
    manifest_path: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Output {
    run_id: RunId,
    task_id: TaskId,
    pipeline_id: String,
    status: RunStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_detail: Option<String>,
    /// What it waits for before it goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<Waiting>,
    /// Its runner is alive.
    live: bool,
    summary: Option<String>,
    started_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed_at: Option<Timestamp>,
    current_stages: Vec<String>,
    /// In order; of many, those that succeeded or have not begun are left out first.
    stages: Vec<StageShown>,
    #[serde(skip_serializing_if = "is_zero")]
    stages_left_out: usize,
    open_questions: Vec<QuestionShown>,
    child_runs: Vec<ChildRun>,
    /// What its threads have used up, and those of the runs below it.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Spent>,
    /// What they may use up.
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<Limits>,
    /// Its Codex thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    codex: Option<CodexThread>,
    /// The work tree that was made for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    worktree: Option<MadeTree>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_run_id: Option<RunId>,
    manifest_path: String,
    log_path: Option<String>,
    events_path: Option<String>,
    repo_root: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct StageShown {
    id: String,
    status: StageStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<String>,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// More stages than this are not shown one by one, nor more children.
const MOST: usize = 40;

impl Offer for Status {
    type Input = Input;
    type Output = Output;
    const NAME: &'static str = "delegate.status";
    const TITLE: &'static str = "Look at a run";
    const ABOUT: &'static str = "How one run stands now, from its record: status, stages, what it \
        waits for, its open questions. Answers at once, also while a delegate.wait is open. To be \
        told when something happens, call delegate.wait instead of calling this again and again.";
    const READ_ONLY: bool = true;
    const IDEMPOTENT: bool = true;
    const LEAST: Mode = Mode::StatusOnly;

    fn call(call: &Call<'_>, input: Input) -> Result<Output, Fault> {
        let target = call.target(input.manifest_path.as_deref())?;
        call.allowed(Act::Look, &target)?;
        call.at(&target.root, |engine| {
            let snapshot = engine.snapshot(&target.run)?;
            let open = QuestionFilter {
                open: true,
                run: Some(target.run.clone()),
                limit: Some(MOST),
                ..Default::default()
            };
            let open = match snapshot.manifest.questions.open {
                0 => Vec::new(),
                _ => engine.questions(&open)?,
            };
            let open = open.into_iter().map(|row| QuestionShown::of(row, call, engine)).collect();
            let manifest = snapshot.manifest;
            let shown = |relative: &str| call.shown(&target.root, relative);
            let running = |entry: &&CommandEntry| entry.status == StageStatus::Running;
            let current = manifest.commands.iter().filter(running);
            let current_stages = current.map(|entry| entry.id.clone()).collect();
            let all = manifest.commands.len();
            let stages: Vec<StageShown> = chosen(&manifest.commands).map(StageShown::of).collect();
            let mut children = manifest.child_runs;
            let surplus = children.len().saturating_sub(MOST);
            children.drain(..surplus);
            let spent = engine.journal().spent_by_tree(&target.run)?;
            let codex = manifest.codex.map(|mut thread| {
                thread.last_message = thread.last_message.map(|said| cut(&said, 2000));
                thread
            });
            Ok(Output {
                usage: (spent != Spent::default()).then_some(spent),
                limits: manifest.limits,
                codex,
                worktree: manifest.worktree,
                run_id: manifest.run_id,
                task_id: manifest.task_id,
                pipeline_id: manifest.pipeline_id,
                status: manifest.status,
                status_detail: manifest.status_detail,
                waiting: manifest.waiting,
                live: snapshot.live,
                summary: manifest.summary,
                started_at: manifest.started_at,
                completed_at: manifest.completed_at,
                current_stages,
                stages_left_out: all - stages.len(),
                stages,
                open_questions: open,
                child_runs: children,
                parent_run_id: manifest.parent_run_id,
                manifest_path: shown(&snapshot.paths.relative("manifest.json")),
                log_path: manifest.log_path.as_deref().map(shown),
                events_path: manifest.events_path.as_deref().map(shown),
                repo_root: snapshot.spec.repo.root,
            })
        })
    }
}

/// The stages that say most about how a run stands.
fn chosen(stages: &[CommandEntry]) -> impl Iterator<Item = &CommandEntry> {
    let few = stages.len() <= MOST;
    let telling = move |entry: &&CommandEntry| {
        few || matches!(
            entry.status,
            StageStatus::Running | StageStatus::Failed | StageStatus::Cancelled
        )
    };
    stages.iter().filter(telling).take(MOST)
}

impl StageShown {
    fn of(entry: &CommandEntry) -> Self {
        Self {
            id: entry.id.clone(),
            status: entry.status,
            exit_code: entry.exit_code,
            summary: entry.summary.as_deref().map(|summary| cut(summary, 300)),
        }
    }
}
