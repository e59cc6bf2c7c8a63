//! `delegate.pause`: freezes a run, or lets it go on.

use engine::{Asked, EngineError, Patience};
use model::{Act, Mode, Refusal, Request, RunId, RunStatus};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Offer;
use crate::{desk::Call, fault::Fault};

pub(super) struct Pause;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// The run: the path of its manifest, or its id. Without it: the one you spawned last.
    manifest_path: Option<String>,
    /// true freezes it, false lets it go on.
    paused: bool,
    /// Leave the runs below it alone.
    #[serde(default)]
    only: bool,
    /// Freeze Codex threads in the middle of their turns, too; a request may be sent again then.
    #[serde(default)]
    freeze: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Output {
    run_id: RunId,
    status: RunStatus,
    /// It was so before.
    already: bool,
    /// Runs below it that were asked for the same and did it.
    also: Vec<RunId>,
    manifest_path: String,
}

impl Offer for Pause {
    type Input = Input;
    type Output = Output;
    const NAME: &'static str = "delegate.pause";
    const TITLE: &'static str = "Pause a run, or let it go on";
    const ABOUT: &'static str = "With paused=true freezes every process of a run and of the runs \
        below it, and comes back when they are frozen; a Codex thread comes to the end of its turn \
        first. Their time limits stand still meanwhile. With \
        paused=false lets them go on, and takes up again a run that was interrupted.";
    const READ_ONLY: bool = false;
    const IDEMPOTENT: bool = true;
    const LEAST: Mode = Mode::Full;

    fn call(call: &Call<'_>, input: Input) -> Result<Output, Fault> {
        let target = call.target(input.manifest_path.as_deref())?;
        call.allowed(Act::Pause, &target)?;
        let request = match input.paused {
            true => Request::Pause { freeze: input.freeze },
            false => Request::Thaw,
        };
        call.at(&target.root, |engine| {
            let run = &target.run;
            let patience = Patience::default();
            let asked = match input.only {
                true => {
                    engine.ask(run, &request, call.actor(), patience).map(|asked| (asked, vec![]))
                }
                false => engine.ask_family(run, &request, call.actor(), patience),
            };
            let (asked, also) = match asked {
                Err(EngineError::Refused { refusal: Refusal::NotPaused, .. }) => {
                    (Asked::Already, Vec::new())
                }
                Err(EngineError::Refused { refusal: Refusal::Interrupted, .. })
                    if !input.paused =>
                {
                    engine.take_up_again(call.desk.runner(), run)?;
                    (Asked::Done, Vec::new())
                }
                asked => asked?,
            };
            let row = engine.journal().row(run)?;
            let relative = engine.paths(&row.task_id, run).relative("manifest.json");
            Ok(Output {
                run_id: row.run_id,
                status: row.status,
                already: asked == Asked::Already,
                also,
                manifest_path: call.shown(engine.root(), &relative),
            })
        })
    }
}
