//! `resume`: lets a paused run go on, and takes up one that is not finished.

use engine::{Engine, Snapshot, Undertaking};
use model::{Request, RunId, RunStatus};
use serde::Serialize;
use store::{Filter, RunRow, Sort};

use super::{Common, Outcome, start};
use crate::{
    act::go_on,
    caller,
    failure::{Failure, FailureKind},
    naming::RunArgs,
    render::{
        human, json,
        screen::{Screen, Tone},
    },
    surroundings,
};

/// Let a paused run go on, or take up again one that was interrupted, failed or cancelled
///
/// A run that is taken up begins at its first unfinished stage; what had succeeded is not run
/// again.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    run: RunArgs,

    /// Run it in the background
    #[arg(long)]
    detach: bool,

    /// Take up every interrupted run of the repository, in the background, and let every paused
    /// one go on
    #[arg(long, conflicts_with_all = ["run", "run_flag", "detach"])]
    all: bool,

    /// With --all, of every repository
    #[arg(long, requires = "all")]
    all_repos: bool,
}

pub(crate) fn run(args: &Args, common: &Common) -> Outcome {
    if args.all {
        return all(args, common);
    }
    let (mut engine, run) = super::status::find_ours(&args.run, common)?;
    let by = caller::by(&engine);
    let actor = go_on::allowed(&engine, &by, &run)?;
    if go_on::thawed(&mut engine, &run, actor)? {
        let snapshot = engine.snapshot(&run)?;
        if common.json() {
            let Snapshot { spec, run, paths, .. } = &snapshot;
            return json::write(&start::document(spec, run, paths, None));
        }
        Screen::out().line(&format!("run {} goes on", run.tail()));
        return Ok(());
    }
    let screen = if common.json() { Screen::error() } else { Screen::out() };
    let undertaking = Undertaking::Resume(run);
    match args.detach {
        true => start::in_background(&mut engine, undertaking, None, common, screen),
        false => start::in_foreground(&mut engine, undertaking, None, common, screen),
    }
}

/// What `resume --all` prints as JSON.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct Document {
    runs: Vec<Resumed>,
}

/// What became of one run.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct Resumed {
    run_id: RunId,
    /// Why it does not go on; none when it does.
    error: Option<String>,
}

fn all(args: &Args, common: &Common) -> Outcome {
    let here = common.here()?;
    let mut engines = here.engines(args.all_repos)?;
    let mut resumed = Vec::new();
    for engine in &mut engines {
        let filter = Filter {
            statuses: vec![RunStatus::Interrupted, RunStatus::Paused],
            sort: Sort::OldestFirst,
            ..Filter::default()
        };
        for row in engine.list(&filter)? {
            let error = one(engine, &row).err().map(|failure| failure.to_string());
            resumed.push(Resumed { run_id: row.run_id, error });
        }
    }
    tell(Document { runs: resumed }, common)
}

fn one(engine: &mut Engine, row: &RunRow) -> Result<(), Failure> {
    let actor = go_on::allowed(engine, &caller::by(engine), &row.run_id)?;
    match row.status {
        RunStatus::Paused => {
            engine.ask(&row.run_id, &Request::Thaw, actor, engine::Patience::default())?;
        }
        _ => {
            engine.take_up_again(surroundings::runner()?, &row.run_id)?;
        }
    }
    Ok(())
}

fn tell(document: Document, common: &Common) -> Outcome {
    let failed = document.runs.iter().filter(|resumed| resumed.error.is_some()).count();
    if common.json() {
        json::write(&document)?;
    } else {
        let screen = Screen::out();
        for resumed in &document.runs {
            let tail = screen.paint(Tone::Strong, resumed.run_id.tail());
            match &resumed.error {
                None => screen.line(&format!("{tail} goes on")),
                Some(error) => screen.line(&format!("{tail} does not: {error}")),
            }
        }
        if document.runs.is_empty() {
            screen.line("nothing is interrupted or paused");
        }
    }
    if failed > 0 {
        if !common.json() {
            Screen::error().line(&format!("{} could not be resumed", human::count(failed, "run")));
        }
        return Err(Failure::said(FailureKind::Conflict));
    }
    Ok(())
}
