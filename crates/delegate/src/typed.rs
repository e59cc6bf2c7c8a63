//! Runs that an agent starts by typing a command: what holds for a spawn holds for them.
//!
//! Such a run is in the tree and in the sandbox of whoever types it, so that it may do nothing that
//! they may not. But it is on record like any other, and is counted like any other.

use model::{Act, Denied, Mode, Plan, RunId};
use repo::{
    config::{Inputs, LimitSettings, Loaded, PipelineTrust, WhenFull},
    locate::Place,
};

use crate::{
    caller::Caller,
    calls::Stop,
    confirm::{Changed, Difference},
    desk::{Call, Desk, Setup, Target},
    fault::{Code, Fault},
    mode::Offered,
    tools::{Leave, leave, untrusted},
};

/// Who types.
#[derive(Clone, Debug)]
pub struct Typist {
    /// The session, where the station is one and its client says which; otherwise it is one of its own.
    pub session: Option<String>,
    /// Its thread.
    pub thread: Option<String>,
}

/// What is to be started.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// Where.
    pub place: &'a Place,
    /// What the plan was made from.
    pub inputs: &'a Inputs<'a>,
    /// The config with that.
    pub loaded: &'a Loaded,
    /// The pipeline; none for a command that is typed itself, which is nothing that anybody wrote.
    pub plan: Option<&'a Plan>,
    /// The parent that was named.
    pub parent: Option<&'a RunId>,
}

/// Why it may not be started.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct NoLeave {
    text: String,
    /// What to do instead.
    pub next_step: String,
    /// The tool that caps keep from whoever types, where it is that.
    pub not_granted: Option<&'static str>,
}

impl From<Fault> for NoLeave {
    fn from(fault: Fault) -> Self {
        Self { text: fault.message, next_step: fault.next_step, not_granted: None }
    }
}

/// The leave to start that, in the name of the run that is around whoever types, or of the session
/// that they are. `setup` has nothing in it that whoever types could have chosen: neither a variable
/// nor a word of the command widens what they may.
///
/// # Errors
///
/// When it is over a limit, or differs from what is committed and nobody trusts it.
pub fn leave_to_start(
    setup: Setup,
    typist: Typist,
    wish: Wish<'_>,
) -> Result<(Leave, RunId), NoLeave> {
    let station = setup.station.clone();
    let desk = Desk::new(setup);
    let session = typist.session.unwrap_or_else(|| desk.connection().to_owned());
    let by_command = true;
    let caller = Caller { station, session, thread: typist.thread, sandbox: None, by_command };
    let stop = Stop::default();
    let call = Call { desk: &desk, caller, forms: None, stop: &stop };
    judged(&call, wish)
}

fn judged(call: &Call<'_>, wish: Wish<'_>) -> Result<(Leave, RunId), NoLeave> {
    let place = wish.place;
    let own = call.desk.place()?;
    if place.root != own.root && !call.allows(&place.root)? {
        let text = format!("runs may not be started in {}", place.root.display());
        let fault = Fault::new(Code::Refused, text, "a person adds it to delegate.allowed_repos");
        return Err(fault.into());
    }
    let mut safe = call.desk.config(&place.root)?;
    narrow(&mut safe.settings.limits, &wish.loaded.settings.limits);
    if safe.settings.delegate.pipelines != PipelineTrust::Any
        && let Some(plan) = wish.plan
        && let Some(difference) = untrusted(call, place, wish.inputs, wish.loaded, plan)
    {
        let pipeline = &plan.pipeline;
        let (what, trust) = match difference.of {
            Changed::Pipeline => {
                let what = format!("pipeline `{}` is not", pipeline.escape_debug());
                (what, format!("have a person type `codex-orch trust {pipeline}`, "))
            }
            Changed::PipelineAndSettings => {
                let what =
                    format!("pipeline `{}` and the settings are not", pipeline.escape_debug());
                (what, String::new())
            }
            // That somebody trusts a pipeline says nothing of what is to hold it.
            Changed::Settings | Changed::Verify | Changed::VerifyAndSettings => {
                ("the settings are not".to_owned(), String::new())
            }
        };
        let Difference { text: shown, .. } = difference;
        let text = format!("{what} what is committed, and who asks is no person:\n{shown}");
        let next = format!("commit it, {trust}or call delegate.spawn, which asks one");
        return Err(Fault::new(Code::Refused, text, next).into());
    }
    let parent = match wish.parent {
        Some(run) => Target { root: place.root.clone(), run: run.clone() },
        None => Target { root: own.root.clone(), run: call.own_or_new(None)? },
    };
    call.allowed(Act::Spawn, &parent)?;
    const TOOL: &str = "spawn";
    let offered = Offered::now(call.desk);
    if !offered.grants(TOOL) {
        let fault = Fault::denied(Denied::NotGranted(TOOL));
        return Err(NoLeave { not_granted: Some(TOOL), ..fault.into() });
    }
    if let Some(mode) = offered.kept_by_mode(Mode::Full) {
        return Err(Fault::denied(Denied::NotInMode(mode)).into());
    }
    let leave = leave(call, place, &safe, &parent, None)?;
    Ok((leave, parent.run))
}

/// The narrower of both in each.
pub(crate) fn narrow(limits: &mut LimitSettings, other: &LimitSettings) {
    limits.depth = limits.depth.min(other.depth);
    limits.children = limits.children.min(other.children);
    limits.at_once = limits.at_once.min(other.at_once);
    if other.when_full == WhenFull::Refuse {
        limits.when_full = WhenFull::Refuse;
    }
}
