//! `delegate.result`: what came of a run.

use std::path::Path;

use model::{Act, MadeTree, Mode, RunId, RunStatus, StageStatus, TaskId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use worktree::{Repo, Worktree};

use super::{Offer, log::tail, shown::cut};
use crate::{desk::Call, fault::Fault};

pub(super) struct Ended;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// The run: the path of its manifest, or its id. Without it: the one you spawned last.
    manifest_path: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Output {
    run_id: RunId,
    task_id: TaskId,
    status: RunStatus,
    /// Nothing more happens to it unless somebody asks.
    over: bool,
    summary: Option<String>,
    /// What its Codex thread said last, in full up to 12000 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// The work tree and branch that hold what it changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    worktree: Option<MadeTree>,
    /// The files that it changed there, with the lines that came and went; at most 50.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changes: Vec<ChangeShown>,
    started_at: Option<Timestamp>,
    completed_at: Option<Timestamp>,
    /// The stages that failed, each with its last lines.
    failed_stages: Vec<FailedStage>,
    /// What could have been checked and was not, with the remedy.
    left_out: Vec<String>,
    manifest_path: String,
    /// The folder of its record, with the output of every stage.
    artifact_root: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct ChangeShown {
    path: String,
    /// None where it has no lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    added: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted: Option<u64>,
}

/// What lies in a work tree; nothing where that is gone, or where git does not tell.
fn changes(root: &Path, made: &MadeTree) -> Vec<ChangeShown> {
    const MOST: usize = 50;
    let found = || {
        let repo = Repo::at(root)?;
        Worktree::open(&repo, Path::new(&made.path))?.changes()
    };
    let files = found().map(|changes| changes.files).unwrap_or_default();
    let shown = files.into_iter().take(MOST).map(|change| ChangeShown {
        path: change.path.display().to_string(),
        added: change.lines.map(|(added, _)| added),
        deleted: change.lines.map(|(_, deleted)| deleted),
    });
    shown.collect()
}

#[derive(Debug, Serialize, JsonSchema)]
struct FailedStage {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// It may fail.
    allowed: bool,
    last_lines: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_path: Option<String>,
}

/// As many failed stages are told with their output.
const MOST: usize = 5;
const LINES: usize = 15;

impl Offer for Ended {
    type Input = Input;
    type Output = Output;
    const NAME: &'static str = "delegate.result";
    const TITLE: &'static str = "See what came of a run";
    const ABOUT: &'static str = "What came of a run: its summary, what its Codex thread said last and changed, the stages that failed with their \
        last lines, what was left out, and where its record lies. Of a run that is not over, how far \
        it is.";
    const READ_ONLY: bool = true;
    const IDEMPOTENT: bool = true;
    const LEAST: Mode = Mode::Full;

    fn call(call: &Call<'_>, input: Input) -> Result<Output, Fault> {
        let target = call.target(input.manifest_path.as_deref())?;
        call.allowed(Act::Look, &target)?;
        let manifest =
            call.at(&target.root, |engine| Ok(engine.snapshot(&target.run)?.manifest))?;
        let shown = |relative: &str| call.shown(&target.root, relative);
        let failed = manifest.commands.iter().filter(|entry| entry.status == StageStatus::Failed);
        let failed = failed.filter(|entry| entry.kind != "pipeline").take(MOST);
        let failed_stages = failed.map(|entry| FailedStage {
            id: entry.id.clone(),
            exit_code: entry.exit_code,
            error: entry.error.clone(),
            allowed: entry.allow_failure,
            last_lines: match &entry.log_path {
                Some(path) => cut(&tail(&target.root.join(path), LINES).0, 3000),
                None => String::new(),
            },
            log_path: entry.log_path.as_deref().map(shown),
        });
        // Of several threads, the report of the last.
        let last = manifest.commands.iter().rev().find_map(|entry| entry.codex.as_ref());
        let left_out = manifest.left_out.iter();
        Ok(Output {
            failed_stages: failed_stages.collect(),
            left_out: left_out
                .map(|left| format!("{}: {}; {}", left.what, left.why, left.remedy))
                .collect(),
            run_id: manifest.run_id,
            task_id: manifest.task_id,
            status: manifest.status,
            over: !manifest.status.wants_runner(),
            summary: manifest.summary,
            message: last.and_then(|thread| Some(cut(thread.last_message.as_deref()?, 12_000))),
            changes: manifest
                .worktree
                .as_ref()
                .map(|made| changes(&target.root, made))
                .unwrap_or_default(),
            worktree: manifest.worktree,
            started_at: manifest.started_at,
            completed_at: manifest.completed_at,
            manifest_path: shown(&format!("{}/manifest.json", manifest.artifact_root)),
            artifact_root: shown(&manifest.artifact_root),
        })
    }
}
