//! Who types a command: a person, a Codex session by its shell, or a process of a run.

use std::{env, path::Path};

use engine::Engine;
use model::{Act, Actor, By, ConfirmCancel, Denied, Door, RunId, Tie, Verdict, may};

use crate::{
    cli::delegate_server,
    failure::{Failure, FailureKind},
    surroundings::RUN_VARIABLE,
};

/// The variables that Codex sets for the commands of a thread.
pub(crate) const THREAD_VARIABLE: &str = "CODEX_THREAD_ID";
const SESSION_VARIABLE: &str = "CODEX_SESSION_ID";
/// What Codex's program is called.
const CODEX: &str = "codex";

/// What a process of a run's tree has inherited; nothing outside of every tree.
pub(crate) fn number_here() -> Option<u64> {
    // Where the tree could not be given a number, its environment says which it is.
    supervise::tree_here().or_else(|| Some(engine::number_of(&run_by_environment()?)))
}

fn run_by_environment() -> Option<RunId> {
    env::var(RUN_VARIABLE).ok()?.parse().ok()
}

/// The run around this process, looked for in that repository and then in all others. What the
/// environment says counts only where it fits the tree.
pub(crate) fn run_here(engine: Option<&Engine>, state: &Path) -> Option<RunId> {
    let number = number_here()?;
    if let Some(run) = run_by_environment().filter(|run| engine::number_of(run) == number) {
        return Some(run);
    }
    let of = |engine: &Engine| engine.run_of_number(number);
    engine.and_then(of).or_else(|| Engine::all(state).ok()?.iter().find_map(of))
}

/// Who types the command, as records name them.
pub(crate) fn by(engine: &Engine) -> By {
    if let Some(run_id) = run_here(Some(engine), engine.state()) {
        return By::Run { run_id, door: Door::Cli };
    }
    match by_without_engine() {
        By::Session { thread_id, door, .. } => {
            let session = said(SESSION_VARIABLE).or_else(|| thread_id.clone());
            let run_id = session.and_then(|session| engine.session(&session).ok().flatten());
            By::Session { thread_id, run_id, door }
        }
        other => other,
    }
}

/// A person, or not: where no journal says which run this is, or which run stands for a session.
pub(crate) fn by_without_engine() -> By {
    let thread_id = said(THREAD_VARIABLE);
    // Somebody in a tree is nobody's person either.
    match thread_id.is_some()
        || number_here().is_some()
        || supervise::programs_above().iter().any(|name| is_codex(name))
    {
        true => By::Session { thread_id, run_id: None, door: Door::Cli },
        false => By::Person { door: Door::Cli },
    }
}

/// Whether a program that is called so is Codex, or what it runs commands in.
pub(crate) fn is_codex(name: &str) -> bool {
    name == CODEX || name.starts_with("codex-linux")
}

/// The session that types, as its client calls it; one of its own where that does not say.
pub(crate) fn session() -> Option<String> {
    said(SESSION_VARIABLE).or_else(|| said(THREAD_VARIABLE))
}

fn said(variable: &str) -> Option<String> {
    env::var(variable).ok().filter(|text| !text.is_empty())
}

/// Whether they may do that to that run.
pub(crate) fn check(
    engine: &Engine,
    by: &By,
    act: Act,
    run: &RunId,
    confirm: ConfirmCancel,
) -> Result<Actor, Failure> {
    let own = match by {
        By::Person { .. } => None,
        By::Session { run_id, .. } => run_id.as_ref(),
        By::Run { run_id, .. } => Some(run_id),
    };
    let tie = match own {
        Some(own) if own == run => Tie::Own,
        Some(own) if engine.is_below(run, own)? => Tie::Below,
        _ => Tie::Other,
    };
    let refused = |text: String| Err(Failure::new(FailureKind::Conflict, text));
    if let (By::Run { run_id, .. }, Some(tool)) = (by, act.tool())
        && !has_tool(engine, run_id, tool)
    {
        delegate_server::tell_of_typed(engine.state(), tool);
        return refused(Denied::NotGranted(tool).to_string());
    }
    match may(by, act, tie, confirm) {
        Verdict::Yes => Ok(Actor::from(by)),
        Verdict::No(denied) => refused(denied.to_string()),
        Verdict::Confirm => refused(
            "an agent's cancel has to be confirmed by a person here (`confirm.cancel`)".to_owned(),
        )
        .map_err(|failure: Failure| {
            failure.hint("call delegate.cancel, which puts it into the inbox")
        }),
    }
}

/// Whether the caps of the run around this process name that tool. Which of its stages types nobody
/// can tell, so that it is what all of them have.
fn has_tool(engine: &Engine, own: &RunId, tool: &str) -> bool {
    let of = |engine: &Engine| engine.journal().spec(own).ok();
    // It may be a run of another repository.
    let spec = of(engine).or_else(|| Engine::all(engine.state()).ok()?.iter().find_map(of));
    // One that another state folder knows has nothing of ours.
    spec.is_none_or(|spec| spec.delegate_tools(None).is_ok_and(|tools| tools.has(tool)))
}
