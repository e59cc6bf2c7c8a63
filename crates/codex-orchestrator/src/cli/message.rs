//! `message`: one more instruction for a run's Codex thread.

use engine::{Asked, Patience};
use model::{Act, Request, RunId, RunStatus, TaskId};
use serde::Serialize;

use super::{Common, Outcome};
use crate::{
    caller,
    failure::Failure,
    naming::RunArgs,
    render::{json, screen::Screen},
};

/// Tell a run's Codex thread something more
///
/// It hears it after what it is at: within its turn, or with its next one.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The run: its id, its tail, or its manifest
    run: String,

    /// What to tell it
    #[arg(required = true)]
    text: Vec<String>,
}

/// What `message` prints as JSON.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct Document {
    run_id: RunId,
    task_id: TaskId,
    status: RunStatus,
    /// How many messages its thread has not heard yet.
    waiting: usize,
}

pub(crate) fn run(args: &Args, common: &Common) -> Outcome {
    let text = args.text.join(" ");
    if text.trim().is_empty() {
        return Err(Failure::usage("the message is empty"));
    }
    let (mut engine, run) = super::status::find_ours(&RunArgs::word(&args.run), common)?;
    let confirm = common.here()?.config(&[])?.settings.confirm.cancel;
    let actor = caller::check(&engine, Act::Message, &run, confirm)?;
    let asked = engine.ask(&run, &Request::Message { text }, actor, Patience::default())?;
    debug_assert_eq!(asked, Asked::Done, "what is said is said");
    let snapshot = engine.snapshot(&run)?;
    let waiting = snapshot.run.threads().map(|(_, thread)| thread.messages.len()).sum();
    let status = snapshot.run.status();
    if common.json() {
        let task_id = snapshot.spec.task_id;
        return json::write(&Document { run_id: run, task_id, status, waiting });
    }
    let how = match (status, waiting) {
        (RunStatus::InProgress, 0) => "its thread has heard it",
        (RunStatus::InProgress, _) => "its thread hears it next",
        _ => "its thread hears it when it goes on",
    };
    Screen::out().line(&format!("run {} is {status}; {how}", run.tail()));
    Ok(())
}
