//! The runs there are.

use engine::Engine;
use model::{RunStatus, TaskId};
use serde::Serialize;
use store::{Filter, RunRow};

use crate::failure::Failure;

/// One run of a list.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct Entry {
    pub(crate) run_id: model::RunId,
    pub(crate) task_id: TaskId,
    parent_run_id: Option<model::RunId>,
    pipeline_id: String,
    pub(crate) pipeline_title: String,
    pub(crate) status: RunStatus,
    pub(crate) status_detail: Option<String>,
    pub(crate) created_at: model::Timestamp,
    pub(crate) started_at: Option<model::Timestamp>,
    updated_at: model::Timestamp,
    pub(crate) completed_at: Option<model::Timestamp>,
    /// What it waits for.
    waiting: Option<model::Waiting>,
    /// What its threads have used up.
    usage: model::Spent,
    pub(crate) repo_root: String,
    manifest: String,
}

/// The runs of that repository that fit, the newest first.
pub(crate) fn list(engine: &mut Engine, filter: &Filter) -> Result<Vec<Entry>, Failure> {
    let rows = engine.list(filter)?;
    Ok(rows.into_iter().map(|row| entry(engine, row)).collect())
}

fn entry(engine: &Engine, row: RunRow) -> Entry {
    Entry {
        manifest: engine.paths(&row.task_id, &row.run_id).relative("manifest.json"),
        repo_root: engine.root().display().to_string(),
        run_id: row.run_id,
        task_id: row.task_id,
        parent_run_id: row.parent_run_id,
        pipeline_id: row.pipeline_id,
        pipeline_title: row.pipeline_title,
        status: row.status,
        status_detail: row.detail,
        created_at: row.created_at,
        started_at: row.started_at,
        updated_at: row.updated_at,
        completed_at: row.ended_at,
        waiting: row.waiting,
        usage: row.spent,
    }
}

impl Entry {
    /// What somebody may want to type next about it.
    pub(crate) fn next_step(&self, with_repo: bool) -> String {
        let tail = self.run_id.tail();
        let waits_for = self.waiting.as_ref().and_then(|waiting| waiting.id.as_ref());
        let words = match self.status {
            RunStatus::Paused if waits_for.is_some() => "inbox".to_owned(),
            RunStatus::Interrupted | RunStatus::Paused | RunStatus::Cancelled => {
                format!("resume {tail}")
            }
            RunStatus::Queued | RunStatus::InProgress => format!("status {tail} --watch"),
            RunStatus::Failed => format!("logs {tail}"),
            RunStatus::Succeeded => format!("status {tail}"),
        };
        match with_repo {
            true => {
                let repo = model::CommandLine::Argv(vec![self.repo_root.clone()]).as_typed();
                format!("codex-orch {words} --repo {repo}")
            }
            false => format!("codex-orch {words}"),
        }
    }
}
