//! Stopping a run, for a while or for good.

use engine::{Asked, Engine, Patience};
use model::{Act, By, ConfirmCancel, Request, RunId, RunStatus, TaskId};
use serde::Serialize;

use crate::{caller, failure::Failure, render::human};

/// What `pause` and `cancel` print as JSON.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct Document {
    run_id: RunId,
    task_id: TaskId,
    /// How it stands now.
    status: RunStatus,
    outcome: Became,
    /// Runs below it that were asked for the same and did it.
    also: Vec<RunId>,
}

/// What became of what was asked.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Became {
    /// It is done.
    Done,
    /// It is being done, and takes longer than expected.
    Begun,
    /// It was so before.
    Already,
    /// The runner did not answer, and was killed with everything that it ran.
    Forced,
}

/// What is asked of a run, and by whom.
#[derive(Debug)]
pub(crate) struct Control<'a> {
    pub(crate) by: &'a By,
    pub(crate) act: Act,
    pub(crate) request: Request,
    /// The runs that it started are left alone.
    pub(crate) only: bool,
    pub(crate) confirm: ConfirmCancel,
}

/// Asks it, and those below it, and says what became of that, also in a sentence.
pub(crate) fn control(
    engine: &mut Engine,
    run: &RunId,
    control: &Control<'_>,
) -> Result<(Document, String), Failure> {
    let Control { by, act, request, only, confirm } = control;
    let actor = caller::check(engine, by, *act, run, *confirm)?;
    let patience = Patience::default();
    let (asked, also) = match only {
        true => (engine.ask(run, request, actor, patience)?, Vec::new()),
        false => engine.ask_family(run, request, actor, patience)?,
    };
    let snapshot = engine.snapshot(run)?;
    let status = snapshot.run.status();
    let how = match asked {
        Asked::Done => "",
        Asked::Already => " already",
        Asked::Begun if snapshot.run.mid_turn().next().is_some() => {
            ", and is paused at the end of its turn; `pause --freeze` does not wait for that"
        }
        Asked::Begun => "; it takes longer than expected, look with `codex-orch status`",
        Asked::Forced => "; its runner did not answer, so it was killed",
    };
    let below = match also.len() {
        0 => String::new(),
        count => format!(", with {} below it", human::count(count, "run")),
    };
    let said = format!("run {} is {status}{how}{below}", run.tail());
    let outcome = match asked {
        Asked::Done => Became::Done,
        Asked::Begun => Became::Begun,
        Asked::Already => Became::Already,
        Asked::Forced => Became::Forced,
    };
    let task_id = snapshot.spec.task_id;
    Ok((Document { run_id: run.clone(), task_id, status, outcome, also }, said))
}
