//! `delegate.cancel`: ends a run.

use engine::{Asked, Patience};
use model::{Act, Mode, Request, RunId, RunStatus, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Offer, shown::cut};
use crate::{confirm, desk::Call, fault::Fault};

pub(super) struct Cancel;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// The run: the path of its manifest, or its id. Without it: the one you spawned last.
    manifest_path: Option<String>,
    /// Why, for the record.
    reason: Option<String>,
    /// Leave the runs below it alone.
    #[serde(default)]
    only: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Output {
    run_id: RunId,
    status: RunStatus,
    /// It was so before.
    already: bool,
    /// Runs below it that were cancelled as well.
    also: Vec<RunId>,
    manifest_path: String,
}

impl Offer for Cancel {
    type Input = Input;
    type Output = Output;
    const NAME: &'static str = "delegate.cancel";
    const TITLE: &'static str = "Cancel a run";
    const ABOUT: &'static str = "Stops every process of a run and of the runs below it, and comes \
        back when nothing of them is left. Record, output and work tree stay, and a person can take \
        the run up again with `codex-orch resume`.";
    const READ_ONLY: bool = false;
    const IDEMPOTENT: bool = true;
    const LEAST: Mode = Mode::Full;

    fn call(call: &Call<'_>, input: Input) -> Result<Output, Fault> {
        let target = call.target(input.manifest_path.as_deref())?;
        let reason = input.reason.map(|reason| cut(&reason, 1000));
        match call.verdict(Act::Cancel, &target)? {
            Verdict::Yes => {}
            Verdict::No(denied) => return Err(Fault::denied(denied)),
            Verdict::Confirm => {
                let action = confirm::Action::Cancel {
                    root: target.root.clone(),
                    run_id: target.run.clone(),
                    only: input.only,
                    reason,
                };
                return Err(confirm::require(call, &action)?);
            }
        }
        call.at(&target.root, |engine| {
            let run = &target.run;
            let request = Request::Cancel { reason };
            let patience = Patience::default();
            let (asked, also) = match input.only {
                true => (engine.ask(run, &request, call.actor(), patience)?, Vec::new()),
                false => engine.ask_family(run, &request, call.actor(), patience)?,
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
