//! `caps`: what stages may do, and who says so.

mod check;

use std::collections::BTreeMap;

use model::{
    Plan, StageIndex,
    caps::{AsksForMore, CAPS, Caps, CapsFrom, CapsOrigin, Effective, LOGINS, Standing},
};
use serde::Serialize;

use super::{Common, Outcome, start};
use crate::{
    failure::Failure,
    render::{
        json,
        screen::{Screen, Tone, harmless},
    },
};

pub(crate) use check::Tried;

/// Show what the stages of a pipeline may do, and where each part of that is written
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,

    /// The pipeline; without one, what is written for all of them
    pipeline: Option<String>,

    /// Only this stage
    stage: Option<String>,

    /// As it would be in a run that an agent has delegated
    #[arg(long)]
    delegated: bool,

    /// A setting, as for `start`
    #[arg(long = "config", value_name = "K=V")]
    config: Vec<String>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Check(check::Args),
}

/// What `caps` prints as JSON.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct Document {
    /// The pipeline, if one was named.
    pipeline: Option<String>,
    /// Whether they are those of a delegated run.
    delegated: bool,
    /// Each with the stages that it holds for.
    sets: Vec<SetEntry>,
    /// What `@logins` stands for.
    logins: Vec<String>,
}

/// What some stages may do.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct SetEntry {
    /// The full ids; none where no pipeline was named.
    stages: Vec<String>,
    /// The same for just these caps, wherever they are written.
    hash: String,
    caps: Caps,
    /// By the name of each cap, who made it what it is.
    origins: BTreeMap<String, Vec<CapsOrigin>>,
    /// What is asked for and not given.
    warnings: Vec<AsksForMore>,
}

pub(crate) fn run(args: &Args, common: &Common) -> Outcome {
    if let Some(Command::Check(args)) = &args.command {
        return check::run(args, common);
    }
    let here = common.here()?;
    let loaded = here.config(&args.config)?;
    let standing = if args.delegated { Standing::Delegated } else { Standing::Free };
    let sets = match &args.pipeline {
        None => {
            let of_all = Effective::of(standing, &loaded.caps).map_err(Failure::usage)?;
            vec![entry(vec![], of_all)]
        }
        Some(name) => {
            let plan = start::plan_of(&here, &loaded, name)?;
            sets(&plan, args.stage.as_deref(), |stage| loaded.caps_of(&plan, stage, standing))?
        }
    };
    if common.json() {
        let pipeline = args.pipeline.clone();
        let logins = logins();
        return json::write(&Document { pipeline, delegated: args.delegated, sets, logins });
    }
    let screen = Screen::out();
    for set in &sets {
        show(screen, set);
    }
    if sets.iter().any(|set| set.caps.fs.hide.iter().any(|path| path.to_string() == "@logins")) {
        screen.line(&screen.paint(Tone::Faint, &format!("# @logins: {}", logins().join(", "))));
    }
    Ok(())
}

fn logins() -> Vec<String> {
    LOGINS.iter().map(|login| format!("~/{login}")).collect()
}

/// Stages that may do the same for the same reasons are shown once.
fn sets(
    plan: &Plan,
    only: Option<&str>,
    of: impl Fn(StageIndex) -> Result<Effective, Box<AsksForMore>>,
) -> Result<Vec<SetEntry>, Failure> {
    let mut sets: Vec<SetEntry> = vec![];
    for (at, stage) in (0..).map(StageIndex).zip(&plan.stages) {
        let id = stage.id.to_string();
        if only.is_some_and(|only| only != id) {
            continue;
        }
        let next = entry(vec![id], of(at).map_err(Failure::usage)?);
        match sets.iter_mut().find(|set| set.caps == next.caps && set.origins == next.origins) {
            Some(set) => set.stages.extend(next.stages),
            None => sets.push(next),
        }
    }
    match (sets.is_empty(), only) {
        (true, Some(only)) => Err(no_stage(plan, only)),
        _ => Ok(sets),
    }
}

fn no_stage(plan: &Plan, name: &str) -> Failure {
    let text = format!("pipeline `{}` has no stage `{}`", plan.pipeline, harmless(name));
    let hint = format!("`codex-orch plan {}` shows its stages", plan.pipeline);
    Failure::not_found(text).hint(hint)
}

fn entry(stages: Vec<String>, effective: Effective) -> SetEntry {
    let hash = effective.caps.hash();
    let Effective { caps, origins, warnings } = effective;
    SetEntry { stages, hash, caps, origins, warnings }
}

fn show(screen: Screen, set: &SetEntry) {
    if !set.stages.is_empty() {
        screen.line(&screen.paint(Tone::Strong, &set.stages.join(", ")));
    }
    let all = serde_json::to_value(&set.caps).unwrap_or_default();
    for cap in CAPS {
        let value = cap.split('.').fold(&all, |value, key| &value[key]);
        let from = set.origins.get(*cap).into_iter().flatten().map(place);
        let from = format!("# {}", from.collect::<Vec<_>>().join(", "));
        let line = format!("{cap} = {}", harmless(&value.to_string()));
        screen.line(&format!("{line}  {}", screen.paint(Tone::Faint, &from)));
    }
    for warning in &set.warnings {
        screen.line(&format!("note: {warning}"));
    }
}

/// Where it is written; the place says who wrote it.
fn place(origin: &CapsOrigin) -> String {
    match origin.from {
        CapsFrom::BuiltIn => "built in".to_owned(),
        _ => harmless(&origin.place),
    }
}
