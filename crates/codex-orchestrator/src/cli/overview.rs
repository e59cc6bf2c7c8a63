//! The bare command: what wants to be looked at, and what to type next.

use engine::EngineError;
use model::RunStatus;
use serde::Serialize;
use store::{Filter, QuestionFilter};

use super::{Common, Outcome, inbox, list, notify};
use crate::render::{
    json,
    screen::{Screen, Tone},
};

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Of every repository that has runs
    #[arg(long)]
    all_repos: bool,
}

/// What the bare command prints as JSON.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct Document {
    /// What waits for an answer, the most urgent first.
    inbox: Vec<inbox::Entry>,
    groups: Vec<Group>,
}

/// Runs that want the same of whoever looks.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct Group {
    group: &'static str,
    /// The newest of them.
    runs: Vec<Entry>,
    /// How many there are.
    total: u64,
}

/// A run, and what to type next about it.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct Entry {
    #[serde(flatten)]
    run: list::Entry,
    next: String,
}

/// How many runs of each kind are shown.
const EACH: usize = 8;

/// What is to be looked at, the most pressing first.
const GROUPS: &[(&str, &[RunStatus])] = &[
    ("interrupted", &[RunStatus::Interrupted]),
    ("paused", &[RunStatus::Paused]),
    ("running", &[RunStatus::InProgress, RunStatus::Queued]),
    ("ready to be looked at", &[RunStatus::Succeeded, RunStatus::Failed, RunStatus::Cancelled]),
];

pub(crate) fn run(args: &Args, common: &Common) -> Outcome {
    let here = common.here()?;
    let mut engines = here.engines(args.all_repos)?;
    let mut asked = Vec::new();
    for engine in &mut engines {
        let open = QuestionFilter { open: true, limit: Some(EACH), ..QuestionFilter::default() };
        asked.extend(inbox::open(engine, &open, args.all_repos)?);
    }
    asked.sort_by_key(|entry| entry.place());
    asked.truncate(EACH);
    let mut groups = Vec::new();
    for (group, statuses) in GROUPS {
        let mut runs = Vec::new();
        let mut total = 0;
        for engine in &mut engines {
            let filter =
                Filter { statuses: statuses.to_vec(), limit: Some(EACH), ..Filter::default() };
            runs.extend(list::list(engine, &filter)?);
            for status in *statuses {
                total += engine.journal().count(*status).map_err(EngineError::from)?;
            }
        }
        // The newest of all repositories, and not the newest of each.
        runs.sort_by_key(|run| std::cmp::Reverse(run.created_at));
        runs.truncate(EACH);
        groups.push((*group, runs, total));
    }
    if common.json() {
        return json::write(&document(asked, groups, args.all_repos));
    }
    notify::warn(&here, &engines);
    let screen = Screen::out();
    if asked.is_empty() && groups.iter().all(|(_, runs, _)| runs.is_empty()) {
        screen.line(&format!("nothing has been run in {} yet", here.place.root.display()));
        screen.line("  codex-orch start             build, lint and test what is here");
        screen.line("  codex-orch plan              show what that would run");
        screen.line("  codex-orch exec -- CMD       run one command and keep a record of it");
        screen.line("  codex-orch --help            everything else");
        return Ok(());
    }
    let mut gap = !asked.is_empty();
    if gap {
        screen.line(&screen.paint(Tone::Strong, "waiting for you"));
    }
    for entry in &asked {
        inbox::show(screen, entry, args.all_repos);
    }
    for (group, runs, total) in groups.iter().filter(|(_, runs, _)| !runs.is_empty()) {
        if std::mem::replace(&mut gap, true) {
            screen.line("");
        }
        let total = usize::try_from(*total).unwrap_or(usize::MAX);
        let more = match total > runs.len() {
            true => format!(" (the newest {} of {total})", runs.len()),
            false => String::new(),
        };
        screen.line(&screen.paint(Tone::Strong, &format!("{group}{more}")));
        list::show(screen, runs, args.all_repos, list::Last::Next);
    }
    Ok(())
}

fn document(
    inbox: Vec<inbox::Entry>,
    groups: Vec<(&'static str, Vec<list::Entry>, u64)>,
    all_repos: bool,
) -> Document {
    let entry = |run: list::Entry| Entry { next: run.next_step(all_repos), run };
    let group = |(group, runs, total): (&'static str, Vec<list::Entry>, u64)| Group {
        group,
        runs: runs.into_iter().map(entry).collect(),
        total,
    };
    Document { inbox, groups: groups.into_iter().map(group).collect() }
}
