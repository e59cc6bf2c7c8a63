//! A word for what waits in the inbox.

use delegate::Action;
use engine::Engine;
use model::{
    Act, By, ConfirmCancel, Denied, Matter, Question, QuestionId, Resolution, RunId, RunStatus,
    Scope,
};
use serde::Serialize;
use store::QuestionRow;

use crate::{
    caller,
    failure::{Failure, FailureKind},
    surroundings,
};

/// What `answer`, `dismiss`, `approve` and `deny` print as JSON.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct Document {
    pub(crate) question_id: QuestionId,
    /// What it is now: `answered`, `dismissed`, `approved` or `denied`.
    pub(crate) status: &'static str,
    /// The run that asked.
    pub(crate) run_id: RunId,
    pub(crate) run_status: RunStatus,
    /// It had been interrupted and goes on now.
    pub(crate) resumed: bool,
    /// The run that was started or ended because it was approved.
    pub(crate) done_run_id: Option<RunId>,
}

/// Gives it: what was approved is done, and a run that was interrupted is taken up again.
pub(crate) fn give(
    engine: &mut Engine,
    row: &QuestionRow,
    (by, act, confirm): (By, Act, ConfirmCancel),
    resolution: impl FnOnce(By, &Question) -> Resolution,
) -> Result<(Document, QuestionRow), Failure> {
    let thread = match &by {
        By::Session { thread_id, .. } => thread_id.as_ref(),
        By::Person { .. } | By::Run { .. } => None,
    };
    if act == Act::Answer && thread.is_some() && thread == row.question.thread_id.as_ref() {
        return Err(Failure::new(FailureKind::Conflict, Denied::OwnQuestion));
    }
    caller::check(engine, &by, act, &row.run_id, confirm)?;
    let resolution = resolution(by, &row.question);
    let approved = match &resolution {
        Resolution::Approved { scope, .. } => Some(*scope),
        _ => None,
    };
    let id = &row.question.question_id;
    let row = match engine.resolve(id, resolution).map_err(Failure::from) {
        // What was approved and then not done, because of a crash say, is done now.
        Err(failure) if approved.is_some() => {
            let row = engine.question(id)?;
            match row.resolved {
                Some((Resolution::Approved { scope, .. }, _)) if Some(scope) == approved => row,
                _ => return Err(failure),
            }
        }
        resolved => resolved?,
    };
    let done_run_id = if approved.is_some() { perform(engine, &row)? } else { None };
    let resumed = engine.take_up_again(surroundings::runner()?, &row.run_id)?;
    let document = Document {
        question_id: id.clone(),
        status: row.resolved.as_ref().map_or("open", |(resolution, _)| resolution.as_str()),
        run_status: engine.status(&row.run_id)?,
        run_id: row.run_id.clone(),
        resumed,
        done_run_id,
    };
    Ok((document, row))
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

/// Approved for so far, or as little as there is.
pub(crate) fn approved(scope: Option<Scope>) -> impl FnOnce(By, &Question) -> Resolution {
    move |by, question| Resolution::Approved {
        by,
        scope: scope.unwrap_or_else(|| question.least_scope()),
    }
}

/// Takes back what a person has allowed for all runs of a repository.
pub(crate) fn revoke(engine: &mut Engine, id: &QuestionId, by: &By) -> Result<(), Failure> {
    if !matches!(by, By::Person { .. }) {
        return Err(Failure::new(FailureKind::Conflict, Denied::ForPeople));
    }
    if !engine.revoke(id, by)? {
        let text = format!("{id} is taken back already");
        return Err(Failure::new(FailureKind::Conflict, text)
            .hint("`codex-orch inbox --standing` shows what stands"));
    }
    Ok(())
}
