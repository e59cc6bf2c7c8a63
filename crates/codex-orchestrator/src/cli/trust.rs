//! `trust`: lets sandboxed sessions start a pipeline that is not what is committed.

use repo::committed::{Committed, committed, plan_digest};
use serde::Serialize;

use super::{Common, Outcome, start};
use crate::{
    caller,
    failure::{Failure, FailureKind},
    render::{
        json,
        screen::{Screen, Tone, harmless},
    },
};

/// Let sessions start a pipeline as it is now, though it is not what is committed
///
/// A session in a sandbox can write a pipeline that does what the session itself may not. So it may
/// only start pipelines as they are committed; this says that you have looked at this one.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The pipeline
    pipeline: String,

    /// Trust it no longer
    #[arg(long)]
    undo: bool,

    /// Without showing the difference and asking for --yes
    #[arg(long)]
    yes: bool,
}

/// What `trust` prints as JSON.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct Document {
    pipeline_id: String,
    /// SHA-256 of all that the pipeline does.
    digest: String,
    /// Sessions may start it as it is.
    trusted: bool,
    /// Why it need not be trusted: it is `committed`, `built_in` or the `user`'s own.
    needless: Option<&'static str>,
    /// How it differs from what is committed.
    difference: Option<String>,
}

pub(crate) fn run(args: &Args, common: &Common) -> Outcome {
    let here = common.here()?;
    let loaded = here.config(&[])?;
    let plan = start::plan_of(&here, &loaded, &args.pipeline)?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let overrides = crate::surroundings::Surroundings::overrides();
    let inputs = here.inputs(&overrides, &[]);
    let (needless, difference) = match committed(&here.place, &inputs, &loaded, &plan, &path) {
        Committed::Same => (Some("committed"), None),
        Committed::BuiltIn => (Some("built_in"), None),
        Committed::FromUser => (Some("user"), None),
        Committed::Differs { diff } => (None, Some(diff)),
        Committed::NoHead { why } => (None, Some(format!("nothing to compare it with: {why}"))),
    };
    let digest = plan_digest(&plan);
    let (state, root) = (&here.state, &here.place.root);
    let failed = |error| Failure::from(engine::EngineError::from(error));
    if args.undo {
        let was = store::distrust(state, root, &digest).map_err(failed)?;
        let text = if was { "is trusted no longer" } else { "was not trusted" };
        let trusted = false;
        let document =
            Document { pipeline_id: plan.pipeline, digest, trusted, needless, difference };
        return tell(common, document, text);
    }
    if needless.is_none() && args.yes {
        let looker = caller::by_without_engine();
        if !matches!(looker, model::By::Person { .. }) {
            return Err(Failure::new(FailureKind::Conflict, model::Denied::ForPeople)
                .hint(format!("type `codex-orch trust {}` yourself", args.pipeline)));
        }
        let about = format!("pipeline {}, trusted at {}", plan.pipeline, engine::now());
        store::trust(state, root, &digest, &about).map_err(failed)?;
    }
    let trusted = needless.is_some() || store::is_trusted(state, root, &digest);
    let text = match (needless, trusted) {
        (Some("committed"), _) => "need not be trusted: it is what is committed",
        (Some("built_in"), _) => "need not be trusted: it is built in",
        (Some(_), _) => "need not be trusted: it is your own",
        (None, true) => "is trusted as it is now",
        (None, false) => "is not trusted; look at the difference, then add --yes",
    };
    let document = Document { pipeline_id: plan.pipeline, digest, trusted, needless, difference };
    tell(common, document, text)
}

fn tell(common: &Common, document: Document, text: &str) -> Outcome {
    if common.json() {
        return json::write(&document);
    }
    let screen = Screen::out();
    for line in document.difference.iter().flat_map(|difference| difference.lines()) {
        let tone = match line.as_bytes().first() {
            Some(b'+') => Tone::Good,
            Some(b'-') => Tone::Bad,
            _ => Tone::Faint,
        };
        screen.line(&screen.paint(tone, &harmless(line)));
    }
    screen.line(&format!("pipeline {} {text}", document.pipeline_id));
    Ok(())
}
