//! `pause`: freezes a run.

use engine::{Asked, Patience};
use model::Request;

use super::{Common, Outcome};
use crate::{
    naming::RunArgs,
    render::{json, screen::Screen},
};

/// Freeze every process of a run, and come back when it is frozen
///
/// Time limits stand still meanwhile. `resume` lets it go on.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    run: RunArgs,
}

pub(crate) fn run(args: &Args, common: &Common) -> Outcome {
    control(&args.run, &Request::Pause, common)
}

/// Asks a run for something, and says what became of it.
pub(crate) fn control(run: &RunArgs, request: &Request, common: &Common) -> Outcome {
    let (mut engine, run) = super::status::find_ours(run, common)?;
    let asked = engine.ask(&run, request, Patience::default())?;
    let snapshot = engine.snapshot(&run)?;
    let status = snapshot.run.status();
    if common.json() {
        return json::write(&serde_json::json!({
            "run_id": run,
            "task_id": snapshot.spec.task_id,
            "status": status,
            "outcome": match asked {
                Asked::Done => "done",
                Asked::Begun => "begun",
                Asked::Already => "already",
                Asked::Forced => "forced",
            },
        }));
    }
    let how = match asked {
        Asked::Done => "",
        Asked::Already => " already",
        Asked::Begun => "; it takes longer than expected, look with `codex-orch status`",
        Asked::Forced => "; its runner did not answer, so it was killed",
    };
    Screen::out().line(&format!("run {} is {status}{how}", run.tail()));
    Ok(())
}
