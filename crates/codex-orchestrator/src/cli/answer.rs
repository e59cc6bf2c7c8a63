//! `answer`, `dismiss`, `approve` and `deny`: a word for what waits in the inbox.

use std::io::{IsTerminal, Read};

use model::{Act, By, Matter, Question, Resolution, Scope};

use super::{Common, Outcome, standing};
use crate::{
    act::word,
    caller,
    failure::{Failure, FailureKind},
    look,
    render::{
        json,
        screen::{Screen, harmless},
    },
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
    let scope = match (args.run, args.standing) {
        (true, _) => Some(Scope::Run),
        (false, true) => Some(Scope::Repo),
        (false, false) => None,
    };
    resolve(&args.id, Act::Approve, common, word::approved(scope))
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
    let (mut engine, id) = look::inbox::find(&here, word)?;
    let row = engine.question(&id)?;
    if act == Act::Approve && !std::io::stdin().is_terminal() {
        // A program that types for somebody is not that somebody.
        return Err(Failure::new(
            FailureKind::Conflict,
            "this is decided by a person, at a terminal or in the page",
        )
        .hint(format!(
            "type `codex-orch approve {id}` yourself, or deny; `codex-orch ui` shows the page"
        )));
    }
    let by = caller::by(&engine);
    let confirm = here.config(&[])?.settings.confirm.cancel;
    let (document, row) = word::give(&mut engine, &row, (by, act, confirm), resolution)?;
    if common.json() {
        return json::write(&document);
    }
    let run = document.run_id.tail();
    let and = match (&document.done_run_id, document.resumed) {
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
