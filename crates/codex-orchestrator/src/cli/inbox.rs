//! `inbox`: what waits for somebody's word.

use engine::Engine;
use model::{Matter, Question, QuestionId, RunId, TaskId, Timestamp, Urgency};
use serde::Serialize;
use store::{FoundQuestion, QuestionFilter, QuestionRow};

use super::{Common, Outcome, notify, standing};
use crate::{
    failure::Failure,
    render::{
        human, json,
        live::how_to_answer,
        screen::{Screen, Tone, harmless, quoted},
    },
    surroundings::Surroundings,
};

/// Show what waits for an answer: questions of runs and sessions, and what a person has to confirm
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only of runs of that task
    #[arg(long, value_name = "ID")]
    task: Option<TaskId>,

    /// Also what is answered or closed
    #[arg(long)]
    all: bool,

    /// Of every repository that has runs
    #[arg(long)]
    all_repos: bool,

    /// Instead, what you have allowed for all runs of this repository; `dismiss` takes it back
    #[arg(long, conflicts_with_all = ["task", "all"])]
    standing: bool,

    /// At most so many, the newest
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
}

/// What `inbox` prints as JSON.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct Document {
    /// The most urgent first, and the oldest of those.
    questions: Vec<Entry>,
}

/// Something that is asked.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct Entry {
    #[serde(flatten)]
    question: Question,
    run_id: RunId,
    task_id: TaskId,
    parent_run_id: Option<RunId>,
    asked_at: Timestamp,
    /// `open`, `answered`, `approved`, `denied`, `dismissed`, `expired` or `closed`.
    status: &'static str,
    /// What became of it, by whom.
    resolution: Option<model::Resolution>,
    resolved_at: Option<Timestamp>,
    repo_root: String,
    /// What to type.
    next: Option<String>,
}

impl Entry {
    /// Where it stands among others: the more urgent first, and the older of those.
    pub(crate) fn place(&self) -> (std::cmp::Reverse<Urgency>, Timestamp) {
        (std::cmp::Reverse(self.question.urgency), self.asked_at)
    }
}

pub(crate) fn run(args: &Args, common: &Common) -> Outcome {
    if args.standing {
        return standing::show(common, args.all_repos);
    }
    let here = common.here()?;
    let mut engines = here.engines(args.all_repos)?;
    let filter = QuestionFilter {
        open: !args.all,
        task: args.task.clone(),
        limit: Some(args.limit),
        ..QuestionFilter::default()
    };
    let mut entries = Vec::new();
    for engine in &mut engines {
        entries.extend(open(engine, &filter, args.all_repos)?);
    }
    entries.sort_by_key(Entry::place);
    if common.json() {
        return json::write(&Document { questions: entries });
    }
    notify::warn(&here, &engines);
    let screen = Screen::out();
    if entries.is_empty() {
        screen.line("nothing waits for you");
        return Ok(());
    }
    for entry in &entries {
        show(screen, entry, args.all_repos);
    }
    Ok(())
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

/// A question with its head, its text, and what to type.
pub(crate) fn show(screen: Screen, entry: &Entry, with_repo: bool) {
    let now = engine::now();
    let question = &entry.question;
    let kind = match question.matter {
        Matter::Question { .. } => "question",
        Matter::Confirmation { .. } => "confirmation",
        Matter::Approval { .. } => "approval",
    };
    let urgent = match question.urgency {
        Urgency::High => screen.paint(Tone::Warning, "  urgent"),
        Urgency::Normal | Urgency::Low => String::new(),
    };
    let place = if with_repo { format!("  {}", entry.repo_root) } else { String::new() };
    screen.line(&format!(
        "{} {}  {kind} of run {} (task {}), {}{urgent}{}",
        screen.paint(Tone::Warning, "?"),
        screen.paint(Tone::Strong, question.question_id.as_str()),
        entry.run_id.tail(),
        entry.task_id,
        human::ago(entry.asked_at, now),
        screen.paint(Tone::Faint, &place),
    ));
    for line in question.prompt.lines() {
        screen.line(&format!("    {}", harmless(line)));
    }
    if let Matter::Question { options, default, .. } = &question.matter {
        if !options.is_empty() {
            let options: Vec<String> = options.iter().map(|option| quoted(option)).collect();
            screen.line(&format!("  options: {}", options.join(", ")));
        }
        if let Some(default) = default {
            screen.line(&format!("  it would take {} for granted", quoted(default)));
        }
    }
    if let Matter::Approval { standing: Some(subject), .. } = &question.matter {
        let what = harmless(&subject.to_string());
        screen.line(&format!("  for this repository it would be: {what}"));
    }
    if let Some(at) = question.expires_at.filter(|_| entry.resolution.is_none()) {
        screen.line(&format!("  until {at}, in {}", human::length(at.since(now))));
    }
    if let Some(resolution) = &entry.resolution {
        let by = resolution.by().map_or(String::new(), |by| format!(" by a {}", by.as_str()));
        let answer = match resolution {
            model::Resolution::Answered { answer, .. } => format!(": {}", harmless(answer)),
            _ => String::new(),
        };
        screen.line(&format!("  {}{by}{answer}", resolution.as_str()));
    }
    if let Some(next) = &entry.next {
        screen.line(&screen.paint(Tone::Faint, &format!("  {next}")));
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
