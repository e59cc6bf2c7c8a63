//! `list`: the runs there are.

use engine::Engine;
use model::{RunStatus, TaskId};
use serde::Serialize;
use store::{Filter, RunRow};

use super::{Common, Outcome};
use crate::{
    failure::Failure,
    render::{
        human, json, marks,
        screen::{Screen, Tone, fit, harmless},
        table,
    },
};

/// List runs, the newest first
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only of that task
    #[arg(long, value_name = "ID")]
    task: Option<TaskId>,

    /// Only in that state; may be repeated
    #[arg(long, value_name = "STATUS")]
    status: Vec<RunStatus>,

    /// Only those that this run started
    #[arg(long, value_name = "RUN")]
    parent: Option<String>,

    /// Also those that stand for a Codex session
    #[arg(long)]
    sessions: bool,

    /// At most so many
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
    limit: usize,

    /// Of every repository that has runs
    #[arg(long)]
    all_repos: bool,
}

/// What `list` prints as JSON.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct Document {
    runs: Vec<Entry>,
}

/// One run of a list.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct Entry {
    run_id: model::RunId,
    task_id: TaskId,
    parent_run_id: Option<model::RunId>,
    pipeline_id: String,
    pipeline_title: String,
    status: RunStatus,
    status_detail: Option<String>,
    pub(crate) created_at: model::Timestamp,
    started_at: Option<model::Timestamp>,
    updated_at: model::Timestamp,
    completed_at: Option<model::Timestamp>,
    /// What it waits for.
    waiting: Option<model::Waiting>,
    /// What its threads have used up.
    usage: model::Spent,
    repo_root: String,
    manifest: String,
}

pub(crate) fn run(args: &Args, common: &Common) -> Outcome {
    let here = common.here()?;
    let mut engines = here.engines(args.all_repos)?;
    let parent = match &args.parent {
        None => None,
        Some(word) => Some(crate::naming::RunArgs::word(word).find_ours(&here)?.1),
    };
    let filter = Filter {
        task: args.task.clone(),
        statuses: args.status.clone(),
        parent,
        sessions: args.sessions,
        limit: Some(args.limit),
        ..Filter::default()
    };
    let mut entries = Vec::new();
    for engine in &mut engines {
        entries.extend(list(engine, &filter)?);
    }
    if common.json() {
        return json::write(&Document { runs: entries });
    }
    let screen = Screen::out();
    if entries.is_empty() {
        screen.line("no runs; `codex-orch start` runs the first");
        return Ok(());
    }
    show(screen, &entries, args.all_repos, Last::Detail);
    Ok(())
}

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

/// What is in the last column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Last {
    /// How it stands, in words.
    Detail,
    /// What to type next.
    Next,
}

pub(crate) fn show(screen: Screen, entries: &[Entry], with_repo: bool, last: Last) {
    /// Columns of a title: whoever wants all of it looks at the run.
    const TITLE: usize = 32;
    let now = engine::now();
    let rows: Vec<Vec<table::Cell>> = entries
        .iter()
        .map(|entry| {
            let (mark, tone) = marks::run(entry.status);
            let took = entry.started_at.map_or(String::new(), |started| {
                human::length(entry.completed_at.unwrap_or(now).since(started))
            });
            let said = match last {
                Last::Detail => entry.status_detail.as_deref().map(harmless).unwrap_or_default(),
                Last::Next => entry.next_step(with_repo),
            };
            let mut row = vec![
                (entry.run_id.tail().to_owned(), Some(Tone::Strong)),
                (format!("{mark} {}", entry.status), Some(tone)),
                (entry.task_id.to_string(), None),
                (fit(&harmless(&entry.pipeline_title), TITLE), None),
                (human::ago(entry.created_at, now), None),
                (took, None),
            ];
            if with_repo {
                row.push((entry.repo_root.clone(), Some(Tone::Faint)));
            }
            row.push((said, Some(Tone::Faint)));
            row
        })
        .collect();
    let mut head = vec!["run", "state", "task", "pipeline", "started", "took"];
    if with_repo {
        head.push("repository");
    }
    head.push(match last {
        Last::Detail => "",
        Last::Next => "next",
    });
    table::write(screen, &head, &rows);
}
