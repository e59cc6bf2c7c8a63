//! What wants to be looked at.

use engine::{Engine, EngineError};
use model::RunStatus;
use serde::Serialize;
use store::{Filter, QuestionFilter};

use super::{inbox, runs};
use crate::failure::Failure;

/// What the bare command prints as JSON.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct Document {
    /// What waits for an answer, the most urgent first.
    pub(crate) inbox: Vec<inbox::Entry>,
    pub(crate) groups: Vec<Group>,
}

/// Runs that want the same of whoever looks.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct Group {
    pub(crate) group: &'static str,
    /// The newest of them.
    pub(crate) runs: Vec<Entry>,
    /// How many there are.
    pub(crate) total: u64,
}

/// A run, and what to type next about it.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct Entry {
    #[serde(flatten)]
    pub(crate) run: runs::Entry,
    pub(crate) next: String,
}

/// How much of it is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    /// Of every repository, so that each thing says of which it is.
    pub(crate) all_repos: bool,
    /// At most so many things that are asked.
    pub(crate) questions: usize,
    /// At most so many runs of each group.
    pub(crate) runs: usize,
}

/// What is to be looked at, the most pressing first.
const GROUPS: &[(&str, &[RunStatus])] = &[
    ("interrupted", &[RunStatus::Interrupted]),
    ("paused", &[RunStatus::Paused]),
    ("running", &[RunStatus::InProgress, RunStatus::Queued]),
    ("ready to be looked at", &[RunStatus::Succeeded, RunStatus::Failed, RunStatus::Cancelled]),
];

/// What wants to be looked at in those repositories.
pub(crate) fn of(engines: &mut [Engine], extent: Extent) -> Result<Document, Failure> {
    let mut asked = Vec::new();
    for engine in &mut *engines {
        let limit = Some(extent.questions);
        let open = QuestionFilter { open: true, limit, ..QuestionFilter::default() };
        asked.extend(inbox::open(engine, &open, extent.all_repos)?);
    }
    asked.sort_by_key(inbox::Entry::place);
    asked.truncate(extent.questions);
    let mut groups = Vec::new();
    for (group, statuses) in GROUPS {
        let mut found = Vec::new();
        let mut total = 0;
        for engine in &mut *engines {
            let limit = Some(extent.runs);
            let filter = Filter { statuses: statuses.to_vec(), limit, ..Filter::default() };
            found.extend(runs::list(engine, &filter)?);
            for status in *statuses {
                total += engine.journal().count(*status).map_err(EngineError::from)?;
            }
        }
        // The newest of all repositories, and not the newest of each.
        found.sort_by_key(|run| std::cmp::Reverse(run.created_at));
        found.truncate(extent.runs);
        let entry = |run: runs::Entry| Entry { next: run.next_step(extent.all_repos), run };
        groups.push(Group { group, runs: found.into_iter().map(entry).collect(), total });
    }
    Ok(Document { inbox: asked, groups })
}
