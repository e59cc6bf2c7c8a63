//! `wait`: waits for runs to end.

use std::time::{Duration, Instant};

use engine::{Engine, EngineError, WaitFor};
use model::{RunId, RunStatus};
use serde::Serialize;

use super::{Common, Outcome};
use crate::{
    failure::{Failure, FailureKind},
    naming::RunArgs,
    render::{json, marks, screen::Screen},
};

/// Wait until runs have ended
///
/// Exits with the code of the run; of several, with the code of the first that did not succeed.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The runs; without one, the latest
    #[arg(value_name = "RUN")]
    runs: Vec<String>,

    /// The latest run of that task
    #[arg(long, value_name = "ID", conflicts_with = "runs")]
    task: Option<String>,

    /// Until the first of them has ended
    #[arg(long)]
    any: bool,

    /// At most so long: `90s`, `10m`, or seconds
    #[arg(long, value_name = "T", value_parser = model::parse_duration)]
    timeout: Option<Duration>,
}

const EXAMPLES: &str = "\
Examples:
  codex-orch wait                          the latest run
  codex-orch wait 4f9a2c1b 77e0d1aa --any  whichever ends first
  codex-orch wait 4f9a2c1b --timeout 10m   ends with code 8 when it takes longer";

/// What `wait` prints as JSON.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct Document {
    /// In the order in which they were named.
    runs: Vec<Entry>,
    /// The time was up before what was waited for.
    timed_out: bool,
}

/// How a run stands after the wait.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct Entry {
    run_id: RunId,
    status: RunStatus,
}

pub(crate) fn run(args: &Args, common: &Common) -> Outcome {
    let here = common.here()?;
    let named: Vec<RunArgs> = match args.runs.as_slice() {
        [] => vec![RunArgs::latest_of(args.task.as_deref())],
        words => words.iter().map(|word| RunArgs::word(word)).collect(),
    };
    let mut engine: Option<Engine> = None;
    let mut runs = Vec::new();
    for name in &named {
        let (found, run) = name.find_ours(&here)?;
        let other = engine.as_ref().is_some_and(|engine| engine.root() != found.root());
        if other {
            return Err(Failure::usage("these runs are of several repositories")
                .hint("wait for those of each repository with a command of its own"));
        }
        engine.get_or_insert(found);
        runs.push(run);
    }
    let Some(mut engine) = engine else { return Ok(()) };
    let wanted = if args.any { WaitFor::Any } else { WaitFor::All };
    let deadline = args.timeout.map(|timeout| Instant::now() + timeout);
    let waited = engine.wait(&runs, wanted, deadline)?;
    let statuses = runs
        .iter()
        .map(|run| Ok((run.clone(), engine.journal().row(run)?.status)))
        .collect::<Result<Vec<_>, store::StoreError>>()
        .map_err(EngineError::from)?;
    tell(&statuses, waited.done, common)?;
    if !waited.done {
        return Err(Failure::said(FailureKind::TimedOut));
    }
    match waited.over.iter().find_map(|(_, status)| verdict(*status)) {
        None => Ok(()),
        Some(kind) => Err(Failure::said(kind)),
    }
}

fn tell(statuses: &[(RunId, RunStatus)], done: bool, common: &Common) -> Outcome {
    if common.json() {
        let entry =
            |(run, status): &(RunId, RunStatus)| Entry { run_id: run.clone(), status: *status };
        let runs = statuses.iter().map(entry).collect();
        return json::write(&Document { runs, timed_out: !done });
    }
    let screen = Screen::out();
    for (run, status) in statuses {
        let (mark, tone) = marks::run(*status);
        screen.line(&format!("{} {} {status}", screen.paint(tone, mark), run.tail()));
    }
    if !done {
        Screen::error().line("the time was up before that");
    }
    Ok(())
}

fn verdict(status: RunStatus) -> Option<FailureKind> {
    match status {
        RunStatus::Failed => Some(FailureKind::RunFailed),
        RunStatus::Cancelled => Some(FailureKind::Cancelled),
        RunStatus::Interrupted => Some(FailureKind::Interrupted),
        RunStatus::Queued | RunStatus::InProgress | RunStatus::Paused | RunStatus::Succeeded => {
            None
        }
    }
}
