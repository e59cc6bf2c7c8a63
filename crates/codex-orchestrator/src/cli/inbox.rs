//! `inbox`: what waits for somebody's word.

use model::{Matter, TaskId, Urgency};
use serde::Serialize;
use store::QuestionFilter;

use super::{Common, Outcome, notify, standing};
use crate::{
    look::inbox::{Entry, open},
    render::{
        human, json,
        screen::{Screen, Tone, harmless, quoted},
    },
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
