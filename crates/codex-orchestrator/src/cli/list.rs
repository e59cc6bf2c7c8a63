//! `list`: the runs there are.

use model::{RunStatus, TaskId};
use serde::Serialize;
use store::Filter;

use super::{Common, Outcome};
use crate::{
    look::runs::{self, Entry},
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
        entries.extend(runs::list(engine, &filter)?);
    }
    if common.json() {
        return json::write(&Document { runs: entries });
    }
    let screen = Screen::out();
    if entries.is_empty() {
        screen.line("no runs; `codex-orch start` runs the first");
        return Ok(());
    }
    show(screen, &entries.iter().collect::<Vec<_>>(), args.all_repos, Last::Detail);
    Ok(())
}

/// What is in the last column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Last {
    /// How it stands, in words.
    Detail,
    /// What to type next.
    Next,
}

pub(crate) fn show(screen: Screen, entries: &[&Entry], with_repo: bool, last: Last) {
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
