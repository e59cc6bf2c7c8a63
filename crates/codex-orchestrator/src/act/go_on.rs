//! Letting a run go on.

use engine::{Engine, EngineError, Order, Patience, Undertaking};
use model::{Act, Actor, By, ConfirmCancel, Refusal, Request, RunId, RunStatus};

use crate::{
    caller,
    failure::{Failure, FailureKind},
    surroundings,
};

/// Who lets it go on, if they may: who may pause a run may do that.
pub(crate) fn allowed(engine: &Engine, by: &By, run: &RunId) -> Result<Actor, Failure> {
    caller::check(engine, by, Act::Pause, run, ConfirmCancel::Owned)
}

/// Lets a run that has a runner go on; says whether it has one. Without one it is to be taken up again.
pub(crate) fn thawed(engine: &mut Engine, run: &RunId, actor: Actor) -> Result<bool, Failure> {
    // One that has ended may have its runner for a moment longer: that one is waited for.
    if !engine.status(run)?.wants_runner() {
        return Ok(false);
    }
    let asked = match engine.ask(run, &Request::Thaw, actor, Patience::default()) {
        Err(EngineError::Refused { refusal: Refusal::NotPaused, .. }) => {
            let tail = run.tail();
            let text = format!("run {tail} is running: there is nothing to resume");
            Err(Failure::new(FailureKind::Conflict, text)
                .hint(format!("watch it with `codex-orch status {tail} --watch`")))
        }
        asked => asked.map_err(Failure::from),
    };
    match asked {
        Ok(_) => Ok(true),
        // Its runner may die before it answers.
        Err(_) if engine.status(run)? == RunStatus::Interrupted => Ok(false),
        Err(failure) => Err(failure),
    }
}
/// Lets a run go on, whatever kept it: one without a runner is taken up in the background.
pub(crate) fn in_background(engine: &mut Engine, run: &RunId, by: &By) -> Result<(), Failure> {
    let actor = allowed(engine, by, run)?;
    if thawed(engine, run, actor)? {
        return Ok(());
    }
    let order = Order {
        state: engine.state().to_owned(),
        root: engine.root().to_owned(),
        undertaking: Undertaking::Resume(run.clone()),
    };
    Ok(engine::detach(surroundings::runner()?, &order, engine)?)
}
