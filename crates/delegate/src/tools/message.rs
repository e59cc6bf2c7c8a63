//! `delegate.message`: one more instruction for a run's Codex thread.

use engine::Patience;
use model::{Act, Mode, Request, RunId, RunStatus};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Offer;
use crate::{desk::Call, fault::Fault};

pub(super) struct Message;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// The run: the path of its manifest, or its id. Without it: the one you spawned last.
    manifest_path: Option<String>,
    /// What to tell it.
    text: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Output {
    run_id: RunId,
    status: RunStatus,
    /// How many messages its thread has not heard yet.
    waiting: usize,
    manifest_path: String,
}

const LONGEST: usize = 100_000;

impl Offer for Message {
    type Input = Input;
    type Output = Output;
    const NAME: &'static str = "delegate.message";
    const TITLE: &'static str = "Tell a run's thread something";
    const ABOUT: &'static str = "Gives the Codex thread of a run that is not over one more \
        instruction: it hears it after what it is at, within its turn or with its next one. At most \
        100000 bytes. Runs of commands alone hear nothing.";
    const READ_ONLY: bool = false;
    const IDEMPOTENT: bool = false;
    const LEAST: Mode = Mode::Full;

    fn call(call: &Call<'_>, input: Input) -> Result<Output, Fault> {
        if input.text.trim().is_empty() || input.text.len() > LONGEST {
            let text = "the message is empty, or has more than 100000 bytes";
            return Err(Fault::invalid(text, "call it again, shorter or better"));
        }
        let target = call.target(input.manifest_path.as_deref())?;
        call.allowed(Act::Message, &target)?;
        call.at(&target.root, |engine| {
            let request = Request::Message { text: input.text };
            engine.ask(&target.run, &request, call.actor(), Patience::default())?;
            let snapshot = engine.snapshot(&target.run)?;
            Ok(Output {
                status: snapshot.run.status(),
                waiting: snapshot.run.threads().map(|(_, thread)| thread.messages.len()).sum(),
                manifest_path: call.shown(&target.root, &snapshot.paths.relative("manifest.json")),
                run_id: target.run,
            })
        })
    }
}
