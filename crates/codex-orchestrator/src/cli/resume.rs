//! `resume`: lets a paused run go on, and takes up one that is not finished.

use engine::{Access, Engine, EngineError, Undertaking};
use model::{Request, RunId, RunStatus};
use store::{Filter, HomeError, Sort};

use super::{Common, Outcome, pause::control, start};
use crate::{
    failure::{Failure, FailureKind},
    naming::RunArgs,
    render::{
        human, json,
        screen::{Screen, Tone},
    },
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
    let status = engine.status(&run)?;
    // One that has ended may have its runner for a moment longer: that one is waited for.
    if status.wants_runner() {
        let thawed = control(&RunArgs::word(run.as_str()), &Request::Thaw, common);
        // Its runner may die before it answers; then it is one to be taken up.
        if thawed.is_ok() || engine.status(&run)? != RunStatus::Interrupted {
            return thawed;
        }
    }
    let screen = if common.json() { Screen::error() } else { Screen::out() };
    let undertaking = Undertaking::Resume(run);
    match args.detach {
        true => start::in_background(&mut engine, undertaking, None, common, screen),
        false => start::in_foreground(&mut engine, undertaking, None, common, screen),
    }
}

/// What became of one run.
struct Resumed {
    run: RunId,
    error: Option<String>,
}

fn all(args: &Args, common: &Common) -> Outcome {
    let here = common.here()?;
    let mut engines = match args.all_repos {
        true => Engine::all(&here.state)?,
        false => match here.engine(Access::Look) {
            Ok(engine) => vec![engine],
            Err(EngineError::Home(HomeError::Unknown(_))) => Vec::new(),
            Err(error) => return Err(error.into()),
        },
    };
    let mut resumed = Vec::new();
    for engine in &mut engines {
        let filter = Filter {
            statuses: vec![RunStatus::Interrupted, RunStatus::Paused],
            sort: Sort::OldestFirst,
            ..Filter::default()
        };
        for row in engine.list(&filter)? {
            let outcome = match row.status {
                RunStatus::Paused => {
                    engine.ask(&row.run_id, &Request::Thaw, engine::Patience::default()).map(|_| ())
                }
                _ => take_up(engine, &row.run_id),
            };
            let error = outcome.err().map(|error| Failure::from(error).to_string());
            resumed.push(Resumed { run: row.run_id, error });
        }
    }
    tell(&resumed, common)
}

fn take_up(engine: &mut Engine, run: &RunId) -> Result<(), EngineError> {
    let program =
        std::env::current_exe().map_err(|error| EngineError::Detach(error.to_string()))?;
    let mut command = std::process::Command::new(program);
    command.arg("__run");
    let order = engine::Order {
        state: engine.state().to_owned(),
        root: engine.root().to_owned(),
        undertaking: Undertaking::Resume(run.clone()),
    };
    engine::detach(command, &order, engine)
}

fn tell(resumed: &[Resumed], common: &Common) -> Outcome {
    let failed = resumed.iter().filter(|resumed| resumed.error.is_some()).count();
    if common.json() {
        let runs: Vec<_> = resumed
            .iter()
            .map(|resumed| serde_json::json!({ "run_id": resumed.run, "error": resumed.error }))
            .collect();
        json::write(&serde_json::json!({ "runs": runs }))?;
    } else {
        let screen = Screen::out();
        for resumed in resumed {
            let tail = screen.paint(Tone::Strong, resumed.run.tail());
            match &resumed.error {
                None => screen.line(&format!("{tail} goes on")),
                Some(error) => screen.line(&format!("{tail} does not: {error}")),
            }
        }
        if resumed.is_empty() {
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
