//! `pause`: freezes a run.

use engine::{Asked, Patience};
use model::{Act, Request, RunId, RunStatus, TaskId};
use serde::Serialize;

use super::{Common, Outcome};
use crate::{
    caller,
    naming::RunArgs,
    render::{human, json, screen::Screen},
};

/// Freeze every process of a run, and come back when it is frozen
///
/// A Codex thread comes to the end of its turn first, since a stream that is frozen is cut off.
/// Time limits stand still meanwhile. `resume` lets it go on.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    run: RunArgs,

    /// Leave the runs alone that it started
    #[arg(long)]
    only: bool,

    /// Freeze Codex threads in the middle of their turns, too; a request may be sent again then
    #[arg(long)]
    freeze: bool,
}

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

pub(crate) fn run(args: &Args, common: &Common) -> Outcome {
    control(&args.run, args.only, Act::Pause, &Request::Pause { freeze: args.freeze }, common)
}

/// Asks a run for something, and those below it, and says what became of it.
pub(crate) fn control(
    run: &RunArgs,
    only: bool,
    act: Act,
    request: &Request,
    common: &Common,
) -> Outcome {
    let (mut engine, run) = super::status::find_ours(run, common)?;
    let confirm = common.here()?.config(&[])?.settings.confirm.cancel;
    let actor = caller::check(&engine, act, &run, confirm)?;
    let patience = Patience::default();
    let (asked, also) = match only {
        true => (engine.ask(&run, request, actor, patience)?, Vec::new()),
        false => engine.ask_family(&run, request, actor, patience)?,
    };
    let snapshot = engine.snapshot(&run)?;
    let status = snapshot.run.status();
    if common.json() {
        let outcome = match asked {
            Asked::Done => Became::Done,
            Asked::Begun => Became::Begun,
            Asked::Already => Became::Already,
            Asked::Forced => Became::Forced,
        };
        let task_id = snapshot.spec.task_id;
        return json::write(&Document { run_id: run, task_id, status, outcome, also });
    }
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
    Screen::out().line(&format!("run {} is {status}{how}{below}", run.tail()));
    Ok(())
}
