//! What is asked.

use engine::Engine;
use model::{Question, QuestionId, RunId, TaskId, Timestamp, Urgency};
use serde::Serialize;
use store::{FoundQuestion, QuestionFilter, QuestionRow};

use crate::{
    failure::Failure,
    render::{live::how_to_answer, screen::quoted},
    surroundings::Surroundings,
};

/// Something that is asked.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct Entry {
    #[serde(flatten)]
    pub(crate) question: Question,
    pub(crate) run_id: RunId,
    pub(crate) task_id: TaskId,
    parent_run_id: Option<RunId>,
    pub(crate) asked_at: Timestamp,
    /// `open`, `answered`, `approved`, `denied`, `dismissed`, `expired` or `closed`.
    status: &'static str,
    /// What became of it, by whom.
    pub(crate) resolution: Option<model::Resolution>,
    resolved_at: Option<Timestamp>,
    pub(crate) repo_root: String,
    /// What to type.
    pub(crate) next: Option<String>,
}

impl Entry {
    /// Where it stands among others: the more urgent first, and the older of those.
    pub(crate) fn place(&self) -> (std::cmp::Reverse<Urgency>, Timestamp) {
        (std::cmp::Reverse(self.question.urgency), self.asked_at)
    }
}

/// What is asked in that repository.
pub(crate) fn open(
    engine: &mut Engine,
    filter: &QuestionFilter,
    with_repo: bool,
) -> Result<Vec<Entry>, Failure> {
    let rows = engine.questions(filter)?;
    Ok(rows.into_iter().map(|row| entry(engine, row, with_repo)).collect())
}

pub(crate) fn entry(engine: &Engine, row: QuestionRow, with_repo: bool) -> Entry {
    let repo_root = engine.root().display().to_string();
    let repo = match with_repo {
        true => format!(" --repo {}", model::CommandLine::Argv(vec![repo_root.clone()]).as_typed()),
        false => String::new(),
    };
    let next = match row.resolved {
        None => Some(format!("{}{repo}", how_to_answer(&row.question))),
        Some(_) => None,
    };
    let (resolution, resolved_at) = row.resolved.unzip();
    Entry {
        run_id: row.run_id,
        task_id: row.task_id,
        parent_run_id: row.parent_run_id,
        asked_at: row.asked_at,
        status: resolution.as_ref().map_or("open", model::Resolution::as_str),
        resolution,
        resolved_at,
        question: row.question,
        repo_root,
        next,
    }
}

/// The question that a word names: of this repository, else of any.
pub(crate) fn find(here: &Surroundings, word: &str) -> Result<(Engine, QuestionId), Failure> {
    let near = here.engines(false)?;
    let mut found = Vec::new();
    for engine in near.into_iter().chain(Engine::all(&here.state)?) {
        match engine.find_question(word)? {
            FoundQuestion::None => {}
            FoundQuestion::One(row) => {
                let id = row.question.question_id;
                let known = found.iter().any(|(_, other)| *other == id);
                // What is of this repository is meant, also where another has one like it.
                if engine.root() == here.place.root {
                    return Ok((engine, id));
                }
                if !known {
                    found.push((engine, id));
                }
            }
            FoundQuestion::Many(ids) => {
                let shown: Vec<&str> = ids.iter().map(QuestionId::as_str).collect();
                let text = format!("{} may be any of {}", quoted(word), shown.join(", "));
                return Err(Failure::not_found(text).hint("give more of the id"));
            }
        }
    }
    if found.len() > 1 {
        let text = format!("{} may be a question of several repositories", quoted(word));
        return Err(Failure::not_found(text).hint("give more of the id, or --repo"));
    }
    found.pop().ok_or_else(|| {
        Failure::not_found(format!("there is no question {}", quoted(word)))
            .hint("`codex-orch inbox` shows what is asked; `--all-repos` of every repository")
    })
}
