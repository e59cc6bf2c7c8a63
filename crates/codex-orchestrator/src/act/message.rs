//! One more instruction for a run's Codex thread.

use engine::{Engine, Hearer, Order, Undertaking};
use model::{Actor, RunId, RunStatus, TaskId};
use serde::Serialize;

use crate::{failure::Failure, surroundings};

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

impl Document {
    /// The run whose thread hears it.
    pub(crate) fn run(&self) -> &RunId {
        &self.run_id
    }

    /// What became of it.
    pub(crate) fn sentence(&self) -> String {
        let tail = self.run_id.tail();
        if let Some(after) = &self.after {
            return format!("run {tail} goes on after {}", after.tail());
        }
        let how = match (self.status, self.waiting) {
            (RunStatus::InProgress, 0) => "its thread has heard it",
            (RunStatus::InProgress, _) => "its thread hears it next",
            _ => "its thread hears it when it goes on",
        };
        format!("run {tail} is {}; {how}", self.status)
    }
}

/// Tells it, or the last that goes on after it; one that is over is gone on with by another run.
pub(crate) fn tell(
    engine: &mut Engine,
    run: &RunId,
    text: &str,
    actor: Actor,
) -> Result<Document, Failure> {
    if text.trim().is_empty() {
        return Err(Failure::usage("the message is empty"));
    }
    let (run, after) = loop {
        let over = match engine.tell_last(run, text, actor)? {
            Hearer::Told(told) => break (told, None),
            Hearer::Over(over) => over,
        };
        // Where somebody else has just gone on after it, theirs is told.
        if let Some(next) = go_on(engine, &over, text)? {
            break (next, Some(over));
        }
    };
    let snapshot = engine.snapshot(&run)?;
    let waiting = snapshot.run.threads().map(|(_, thread)| thread.messages.len()).sum();
    let (task_id, status) = (snapshot.spec.task_id.clone(), snapshot.run.status());
    Ok(Document { run_id: run, task_id, status, waiting, after })
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
