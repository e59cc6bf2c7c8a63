//! `answer`, `dismiss`, `approve` and `deny`: a word for what waits in the inbox.

use std::io::{IsTerminal, Read};

use delegate::Action;
use engine::Engine;
use model::{Act, By, Matter, Question, QuestionId, Resolution, RunId, RunStatus, Scope};
use serde::Serialize;
use store::QuestionRow;

use super::{Common, Outcome, inbox, standing};
use crate::{
    caller,
    failure::{Failure, FailureKind},
    render::{
        json,
        screen::{Screen, harmless},
    },
    surroundings,
};

/// Answer a question; the run goes on with the answer
///
/// A run that was interrupted is taken up again. The first answer counts.
#[derive(Debug, clap::Args)]
pub(crate) struct AnswerArgs {
    /// The question, or the beginning of its id
    id: String,

    /// The answer; `-` reads it from standard input
    #[arg(required = true, allow_negative_numbers = true)]
    text: Vec<String>,
}

/// Close a question without an answer, and the run goes on; or take back what was allowed for the repository
#[derive(Debug, clap::Args)]
pub(crate) struct DismissArgs {
    /// The question, or what `inbox --standing` shows, or the beginning of its id
    id: String,

    /// Why, for whoever asked
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Allow what an agent may do only if a person says so; it is done at once
#[derive(Debug, clap::Args)]
pub(crate) struct ApproveArgs {
    /// The confirmation or approval, or the beginning of its id
    id: String,

    /// Not only this once, or for one stage, but for as long as the run is at it
    #[arg(long)]
    run: bool,

    /// For all runs of this repository, also those to come, until `dismiss` takes it back
    #[arg(long, conflicts_with = "run")]
    standing: bool,
}

/// Refuse what an agent may do only if a person says so
#[derive(Debug, clap::Args)]
pub(crate) struct DenyArgs {
    /// The confirmation or approval, or the beginning of its id
    id: String,

    /// Why, for whoever asked
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// What `answer`, `dismiss`, `approve` and `deny` print as JSON.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct Document {
    question_id: QuestionId,
    /// What it is now: `answered`, `dismissed`, `approved` or `denied`.
    status: &'static str,
    /// The run that asked.
    run_id: RunId,
    run_status: RunStatus,
    /// It had been interrupted and goes on now.
    resumed: bool,
    /// The run that was started or ended because it was approved.
    done_run_id: Option<RunId>,
}

pub(crate) fn answer(args: &AnswerArgs, common: &Common) -> Outcome {
    let text = match args.text.as_slice() {
        [dash] if dash == "-" => {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .map_err(|error| Failure::usage(format!("standard input: {error}")))?;
            text.trim_end_matches('\n').to_owned()
        }
        words => words.join(" "),
    };
    if text.trim().is_empty() {
        return Err(Failure::usage("the answer is empty")
            .hint("`codex-orch dismiss` closes a question without an answer"));
    }
    resolve(&args.id, Act::Answer, common, |by, _| Resolution::Answered { answer: text, by })
}

pub(crate) fn dismiss(args: &DismissArgs, common: &Common) -> Outcome {
    if let Some(found) = standing::find(&common.here()?, &args.id)? {
        return standing::revoke(found, common);
    }
    let reason = args.reason.clone();
    resolve(&args.id, Act::Dismiss, common, |by, _| Resolution::Dismissed { by, reason })
}

pub(crate) fn approve(args: &ApproveArgs, common: &Common) -> Outcome {
    resolve(&args.id, Act::Approve, common, |by, question| {
        let scope = match (args.run, args.standing) {
            (true, _) => Scope::Run,
            (false, true) => Scope::Repo,
            (false, false) => question.least_scope(),
        };
        Resolution::Approved { by, scope }
    })
}

pub(crate) fn deny(args: &DenyArgs, common: &Common) -> Outcome {
    let reason = args.reason.clone();
    resolve(&args.id, Act::Approve, common, |by, _| Resolution::Denied { by, reason })
}

fn resolve(
    word: &str,
    act: Act,
    common: &Common,
    resolution: impl FnOnce(By, &Question) -> Resolution,
) -> Outcome {
    let here = common.here()?;
    let (mut engine, id) = inbox::find(&here, word)?;
    let row = engine.question(&id)?;
    if act == Act::Approve && !std::io::stdin().is_terminal() {
        // A program that types for somebody is not that somebody.
        return Err(Failure::new(
            FailureKind::Conflict,
            "this is decided by a person at a terminal",
        )
        .hint(format!("type `codex-orch approve {id}` yourself, or deny")));
    }
    let by = caller::by(&engine);
    let thread = match &by {
        By::Session { thread_id, .. } => thread_id.as_ref(),
        By::Person { .. } | By::Run { .. } => None,
    };
    if act == Act::Answer && thread.is_some() && thread == row.question.thread_id.as_ref() {
        return Err(Failure::new(FailureKind::Conflict, model::Denied::OwnQuestion));
    }
    let confirm = here.config(&[])?.settings.confirm.cancel;
    caller::check(&engine, act, &row.run_id, confirm)?;
    let resolution = resolution(by, &row.question);
    let approved = match &resolution {
        Resolution::Approved { scope, .. } => Some(*scope),
        _ => None,
    };
    let row = match resolve_once(&mut engine, &id, resolution) {
        // What was approved and then not done, because of a crash say, is done now.
        Err(failure) if approved.is_some() => {
            let row = engine.question(&id)?;
            match row.resolved {
                Some((Resolution::Approved { scope, .. }, _)) if Some(scope) == approved => row,
                _ => return Err(failure),
            }
        }
        resolved => resolved?,
    };
    let done_run_id = if approved.is_some() { perform(&engine, &row)? } else { None };
    let resumed = engine.take_up_again(surroundings::runner()?, &row.run_id)?;
    let document = Document {
        question_id: id,
        status: row.resolved.as_ref().map_or("open", |(resolution, _)| resolution.as_str()),
        run_status: engine.status(&row.run_id)?,
        run_id: row.run_id.clone(),
        resumed,
        done_run_id,
    };
    if common.json() {
        return json::write(&document);
    }
    let run = document.run_id.tail();
    let and = match (&document.done_run_id, resumed) {
        (Some(done), _) => format!("; done, look with `codex-orch status {}`", done.tail()),
        (None, true) => format!("; run {run} was interrupted and goes on now"),
        (None, false) => format!("; run {run} is {}", document.run_status),
    };
    let (screen, id) = (Screen::out(), &document.question_id);
    screen.line(&format!("{id} is {}{and}", document.status));
    if let Some((Resolution::Approved { scope: Scope::Repo, .. }, _)) = &row.resolved
        && let Matter::Approval { standing: Some(subject), .. } = &row.question.matter
    {
        let what = harmless(&subject.to_string());
        screen.line(&format!("from now on this repository is allowed {what}"));
        screen.line(&format!("`codex-orch dismiss {id}` takes that back"));
    }
    Ok(())
}

fn resolve_once(
    engine: &mut Engine,
    id: &QuestionId,
    resolution: Resolution,
) -> Result<QuestionRow, Failure> {
    Ok(engine.resolve(id, resolution)?)
}

/// Does what was approved, exactly as it was put down.
fn perform(engine: &Engine, row: &QuestionRow) -> Result<Option<RunId>, Failure> {
    let Matter::Confirmation { action, digest } = &row.question.matter else { return Ok(None) };
    let action: Action = serde_json::from_value(action.clone())
        .map_err(|error| Failure::new(FailureKind::Internal, error))?;
    if action.digest() != *digest {
        let text = format!("what {} asks for is not what it was", row.question.question_id);
        return Err(Failure::new(FailureKind::Internal, text));
    }
    Ok(Some(action.perform(engine.state(), surroundings::runner()?)?))
}
