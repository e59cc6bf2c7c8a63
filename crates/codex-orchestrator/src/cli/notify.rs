//! Telling a person: what a notice says, and the process that brings it. Not for people.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use engine::{Engine, NoticeFacts, Try};
use model::{
    CommandLine, Matter, Notice, QuestionId, Resolution, RunId, RunStatus, TaskId, Timestamp,
    Urgency, Way,
};
use notify::{Parcel, Undelivered};
use repo::config::{self, NotifySettings};
use serde::Serialize;

use super::Outcome;
use crate::{
    failure::{Failure, FailureKind},
    render::{
        live::how_to_answer,
        screen::{Screen, harmless},
    },
    surroundings::Surroundings,
};

/// Where whoever starts it wants people to be told of things.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The state folder
    #[arg(long)]
    state: PathBuf,

    /// The repository
    #[arg(long)]
    root: PathBuf,
}

/// What a command reads and an address is sent.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct Document {
    /// The version of this form: 1.
    schema_version: u32,
    /// The same for the same notice, also when it is brought once more: the run and the number of
    /// the event.
    id: String,
    /// What kind of notice it is.
    kind: Notice,
    /// All of it in a sentence.
    text: String,
    /// When it happened.
    at: Timestamp,
    /// The run.
    run_id: RunId,
    /// Its task.
    task_id: TaskId,
    /// The run that started it.
    parent_run_id: Option<RunId>,
    /// Its pipeline.
    pipeline_id: String,
    /// What people read instead of the id.
    pipeline_title: String,
    /// What the run was doing then.
    status: RunStatus,
    /// How it stood then, in a sentence.
    summary: Option<String>,
    /// What is asked; none where the run has ended.
    question: Option<Asked>,
    /// The absolute path of the run's manifest.
    manifest: String,
    /// The repository.
    repo_root: String,
    /// The machine.
    hostname: String,
    /// What to type.
    next: String,
}

/// What somebody is asked.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct Asked {
    question_id: QuestionId,
    prompt: String,
    /// Answers to choose from; any text is an answer where there are none.
    options: Vec<String>,
    /// What is taken for granted where nobody answers.
    default: Option<String>,
    urgency: Urgency,
    expires_at: Option<Timestamp>,
    /// What has become of it by the time somebody is told: mostly `open`.
    status: &'static str,
}

/// How this program becomes what tells people.
pub(crate) fn program() -> Result<Vec<OsString>, Failure> {
    let program = std::env::current_exe();
    let program = program.map_err(|error| Failure::new(FailureKind::Internal, error))?;
    Ok(vec![program.into(), "__notify".into()])
}

pub(crate) fn run(args: &Args) -> Outcome {
    Ok(engine::tell_people(&args.state, &args.root, &ByConfig)?)
}

/// Tells people as the config says at that moment.
struct ByConfig;

impl engine::Teller for ByConfig {
    fn tell(&self, way: Way, notice: &NoticeFacts) -> Try {
        let Some(wish) = &notice.spec.notify else { return Try::NoWay };
        let ways = match config::ways(wish) {
            Ok(ways) => ways,
            Err(error) => return Try::Stuck { failure: harmless(&error.to_string()) },
        };
        let timeout = Duration::from_millis(wish.timeout_ms);
        let brought = match way {
            Way::Command => {
                ways.command.map(|command| notify::run(&command, &parcel(notice), timeout))
            }
            Way::Webhook => {
                ways.webhook.map(|webhook| notify::post(webhook.url(), &parcel(notice), timeout))
            }
        };
        match brought {
            None => Try::NoWay,
            Some(Ok(())) => Try::Told,
            Some(Err(Undelivered { said, not_before })) => {
                Try::Failed { failure: said, not_before }
            }
        }
    }
}

fn parcel(notice: &NoticeFacts) -> Parcel {
    let document = document(notice);
    let asked = document.question.as_ref();
    let variables = [
        ("KIND", document.kind.as_str()),
        ("ID", &document.id),
        ("TEXT", &document.text),
        ("RUN_ID", document.run_id.as_str()),
        ("TASK_ID", document.task_id.as_str()),
        ("PIPELINE_ID", &document.pipeline_id),
        ("STATUS", document.status.as_str()),
        ("SUMMARY", document.summary.as_deref().unwrap_or_default()),
        ("QUESTION_ID", asked.map_or("", |asked| asked.question_id.as_str())),
        ("PROMPT", asked.map_or("", |asked| &asked.prompt)),
        ("MANIFEST_PATH", &document.manifest),
        ("REPO_ROOT", &document.repo_root),
        ("NEXT", &document.next),
    ];
    let named = |(name, value): (&str, &str)| {
        (format!("CODEX_ORCHESTRATOR_NOTICE_{name}"), value.to_owned())
    };
    let mut text = serde_json::to_vec(&document).unwrap_or_default();
    // So that a command may append it to a file of lines.
    text.push(b'\n');
    Parcel { variables: variables.map(named).into(), document: text }
}

fn document(notice: &NoticeFacts) -> Document {
    let NoticeFacts { row, spec, run, manifest, paths, question } = notice;
    let status = run.status();
    let asked = question.as_ref().map(|(question, resolution)| {
        let (options, default) = match &question.matter {
            Matter::Question { options, default, .. } => (options.clone(), default.clone()),
            Matter::Confirmation { .. } | Matter::Approval { .. } => (Vec::new(), None),
        };
        Asked {
            question_id: question.question_id.clone(),
            prompt: question.prompt.clone(),
            options,
            default,
            urgency: question.urgency,
            expires_at: question.expires_at,
            status: resolution.as_ref().map_or("open", Resolution::as_str),
        }
    });
    let what = match (row.notice, &question) {
        (Notice::Question, Some((question, _))) => format!("asks: {}", question.prompt),
        (Notice::Approval, Some((question, _))) => {
            format!("waits for your consent: {}", question.prompt)
        }
        _ => {
            let summary = manifest.summary.as_deref().unwrap_or_default();
            match summary.starts_with(status.as_str()) {
                true => summary.to_owned(),
                false => format!("{status}: {summary}"),
            }
        }
    };
    let run_named = format!("run {} of task {}", spec.run_id.tail(), spec.task_id);
    let root = paths.root().to_string_lossy().into_owned();
    let root_typed = CommandLine::Argv(vec![root.clone()]).as_typed();
    let next = match question {
        Some((question, _)) => how_to_answer(question),
        None => format!("codex-orch status {} --repo {root_typed}", spec.run_id),
    };
    Document {
        schema_version: 1,
        id: format!("{}/{}", spec.run_id, row.seq.0),
        kind: row.notice,
        text: format!("{run_named} ({}) {what}", spec.plan.title),
        at: row.at,
        run_id: spec.run_id.clone(),
        task_id: spec.task_id.clone(),
        parent_run_id: spec.parent_run_id.clone(),
        pipeline_id: spec.plan.pipeline.clone(),
        pipeline_title: spec.plan.title.clone(),
        status,
        summary: manifest.summary.clone(),
        question: asked,
        manifest: paths.manifest().to_string_lossy().into_owned(),
        repo_root: root,
        hostname: engine::hostname(),
        next,
    }
}

/// What tells people one way, without its secrets.
pub(crate) fn shown(settings: &NotifySettings, way: Way) -> Option<String> {
    match way {
        Way::Command => settings.shown_command(),
        Way::Webhook => settings.webhook.as_ref().map(ToString::to_string),
    }
}

/// Says on standard error where somebody who may rely on being told of things is not.
pub(crate) fn warn(here: &Surroundings, engines: &[Engine]) {
    let failing = |engine: &Engine| {
        let rows = engine.journal().ways().unwrap_or_default().into_iter();
        let failing = rows.filter_map(|row| Some((row.way, row.failure?)));
        failing.map(|found| (engine.root().to_owned(), found)).collect::<Vec<_>>()
    };
    let failing: Vec<_> = engines.iter().flat_map(failing).collect();
    if failing.is_empty() {
        return;
    }
    let Ok(loaded) = here.config(&[]) else { return };
    for (root, (way, failure)) in failing {
        // What is not there any more need not work.
        if shown(&loaded.settings.notify, way).is_some() {
            Screen::error().line(&format!(
                "note: you are not told of what happens in {} (`notify.{}`): {}",
                root.display(),
                way.as_str(),
                harmless(&failure)
            ));
        }
    }
}
