//! `message`: one more instruction for a run's Codex thread.

use engine::{Engine, Hearer, Order, Undertaking};
use model::{Act, RunId, RunStatus, TaskId};
use serde::Serialize;

use super::{Common, Outcome};
use crate::{
    caller,
    failure::Failure,
    naming::RunArgs,
    render::{json, screen::Screen},
    surroundings,
};

/// Tell a run's Codex thread something more
///
/// It hears it after what it is at: within its turn, or with its next one. A run that is over is
/// gone on with by another one, with the same thread and in the same work tree.
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
    /// The run that is over and that this one goes on after.
    after: Option<RunId>,
}

pub(crate) fn run(args: &Args, common: &Common) -> Outcome {
    let text = args.text.join(" ");
    if text.trim().is_empty() {
        return Err(Failure::usage("the message is empty"));
    }
    let (mut engine, run) = super::status::find_ours(&RunArgs::word(&args.run), common)?;
    let confirm = common.here()?.config(&[])?.settings.confirm.cancel;
    let actor = caller::check(&engine, Act::Message, &run, confirm)?;
    let (run, after) = loop {
        let over = match engine.tell_last(&run, &text, actor)? {
            Hearer::Told(told) => break (told, None),
            Hearer::Over(over) => over,
        };
        // Where somebody else has just gone on after it, theirs is told.
        if let Some(next) = go_on(&mut engine, &over, &text)? {
            break (next, Some(over));
        }
    };
    let snapshot = engine.snapshot(&run)?;
    let waiting = snapshot.run.threads().map(|(_, thread)| thread.messages.len()).sum();
    let status = snapshot.run.status();
    if common.json() {
        let task_id = snapshot.spec.task_id;
        return json::write(&Document { run_id: run, task_id, status, waiting, after });
    }
    if let Some(after) = after {
        Screen::out().line(&format!("run {} goes on after {}", run.tail(), after.tail()));
        return Ok(());
    }
    let how = match (status, waiting) {
        (RunStatus::InProgress, 0) => "its thread has heard it",
        (RunStatus::InProgress, _) => "its thread hears it next",
        _ => "its thread hears it when it goes on",
    };
    Screen::out().line(&format!("run {} is {status}; {how}", run.tail()));
    Ok(())
}

/// Starts a run in the background that goes on after that one; nothing where there is one already.
fn go_on(engine: &mut Engine, after: &RunId, text: &str) -> Result<Option<RunId>, Failure> {
    let spec = engine.following(after, text)?;
    let order = Order {
        state: engine.state().to_owned(),
        root: engine.root().to_owned(),
        undertaking: Undertaking::Start(Box::new(spec)),
    };
    match engine::detach(surroundings::runner()?, &order, engine) {
        Err(error) if error.is_same() => Ok(None),
        started => Ok(started.map(|()| Some(order.run_id().clone()))?),
    }
}
