//! `delegate.message`: one more instruction for a run's Codex thread.

use engine::{Hearer, Spawned};
use model::{Act, Mode, RunId, RunSpec, RunStatus};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Offer,
    spawn::{asks_for_more, leave, start},
};
use crate::{
    desk::{Call, Target},
    fault::Fault,
};

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
    /// The run that was over and that this one goes on after.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<RunId>,
    manifest_path: String,
}

const LONGEST: usize = 100_000;

impl Offer for Message {
    type Input = Input;
    type Output = Output;
    const NAME: &'static str = "delegate.message";
    const TITLE: &'static str = "Tell a run's thread something";
    const ABOUT: &'static str = "Gives the Codex thread of a run one more instruction: it \
        hears it after what it is at, within its turn or with its next one. A run that is over is gone \
        on with by a new run, in the same work tree, whose manifest path this gives. At most 100000 \
        bytes. Runs of commands alone hear nothing.";
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
        let (target, after) = loop {
            let heard = call.at(&target.root, |engine| {
                Ok(engine.tell_last(&target.run, &input.text, call.actor())?)
            })?;
            let of = |run| Target { root: target.root.clone(), run };
            let over = match heard {
                Hearer::Told(told) => break (of(told), None),
                Hearer::Over(over) => of(over),
            };
            // Where somebody else has just gone on after it, theirs is told.
            if let Some(next) = go_on(call, &over, &input.text)? {
                break (next, Some(over.run));
            }
        };
        call.at(&target.root, |engine| {
            let snapshot = engine.snapshot(&target.run)?;
            Ok(Output {
                status: snapshot.run.status(),
                waiting: snapshot.run.threads().map(|(_, thread)| thread.messages.len()).sum(),
                manifest_path: call.shown(&target.root, &snapshot.paths.relative("manifest.json")),
                run_id: target.run,
                after,
            })
        })
    }
}

/// Starts a run that goes on after that one, for whoever calls; nothing where there is one already.
fn go_on(call: &Call<'_>, after: &Target, text: &str) -> Result<Option<Target>, Fault> {
    let place = call.desk.locate(&after.root)?;
    let loaded = call.desk.config(&after.root)?;
    let parent = Target { root: call.root()?.to_owned(), run: call.own_or_new(None)? };
    let leave = leave(call, &place, &loaded, &parent, None)?;
    let spec = call.at(&after.root, |engine| Ok(engine.following(&after.run, text)?))?;
    let spec = RunSpec {
        parent_run_id: Some(parent.run.clone()),
        grant: Some(leave.grant),
        no_input: leave.no_input,
        ..spec
    };
    let spec = spec.held_to(leave.caps).map_err(|more| asks_for_more(&more))?;
    let spawned = start(call, &after.root, &parent, spec, leave.admission, leave.queue)?;
    Ok(match spawned {
        Spawned::New(run) => Some(Target { root: after.root.clone(), run }),
        Spawned::Same(_) => None,
    })
}
