//! `start`: runs a pipeline.

use std::time::Duration;

use engine::{Access, Engine, Order, RunnerSetup, Undertaking};
use model::{ConfigFacts, LeftOut, Origin, Plan, Run, RunId, RunSpec, TaskId};
use repo::{
    config::{Loaded, NoPlan},
    git,
    prepare::{self, Facts},
};
use serde::Serialize;
use store::{RunPaths, Tie};

use super::{Common, Outcome, delegate_server};
use crate::{
    caller,
    failure::{Failure, FailureKind},
    leave::{self, Above},
    render::{
        human, json, live::Live, live::took, marks, screen::Screen, screen::Tone, screen::quoted,
    },
    surroundings::{self, Surroundings},
};

/// Run a pipeline, and leave a record of it
///
/// Without a pipeline, `diagnostics`: in a repository that has none of that name, the program
/// recognises what the repository is, and builds, lints and tests it with what is installed.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The pipeline to run
    pipeline: Option<String>,

    #[command(flatten)]
    what: What,

    /// Run it in the background, and come back as soon as it is started
    #[arg(long)]
    detach: bool,
}

const EXAMPLES: &str = "\
Examples:
  codex-orch start                                    check what is here
  codex-orch start diagnostics --format json --task 1203
  codex-orch start deploy --detach                    in the background
  codex-orch start --config run.max_parallel=1        with a setting for this run";

/// What a new run belongs to.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct What {
    /// The task it belongs to [default: $MCP_RUNNER_TASK_ID, or the branch name]
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    pub(crate) task: Option<String>,

    /// The run that starts it
    #[arg(long, value_name = "RUN")]
    pub(crate) parent_run: Option<String>,

    /// What it is to achieve; stages see it as $CODEX_ORCHESTRATOR_GOAL
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) goal: Option<String>,

    /// A setting for this run only, such as run.grace=30s
    #[arg(long = "config", value_name = "K=V")]
    pub(crate) config: Vec<String>,

    /// Wait for nobody: what is asked takes its fallback at once [the default when $CI is set]
    #[arg(long)]
    pub(crate) no_input: bool,
}

/// What `start` prints as JSON.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct Document {
    /// The run.
    pub(crate) run_id: RunId,
    /// Its task.
    pub(crate) task_id: TaskId,
    /// Where the task came from, when it was not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) task_from: Option<String>,
    /// What it is doing.
    pub(crate) status: model::RunStatus,
    /// Its manifest, relative to the repository.
    pub(crate) manifest: String,
    /// The repository.
    pub(crate) repo_root: String,
    /// The run's folder.
    pub(crate) artifact_root: String,
    /// The folder of its stages' output.
    pub(crate) log_path: String,
    /// Its events.
    pub(crate) events_path: String,
    /// How it stands, in a sentence.
    pub(crate) summary: Option<String>,
    /// What could have been checked and was not, and what to do about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) left_out: Vec<LeftOut>,
    /// The exit code of this command; none while the run goes on.
    pub(crate) exit_code: Option<u8>,
}

pub(crate) fn run(args: &Args, common: &Common) -> Outcome {
    let here = common.here()?;
    let dirty = git_state(&here);
    let loaded = here.config(&args.what.config)?;
    let (task, from) = here.task(args.what.task.as_deref())?;
    let name = args.pipeline.as_deref().unwrap_or(&loaded.settings.run.default_pipeline);
    let plan = plan_of(&here, &loaded, name)?;
    let screen = if common.json() { Screen::error() } else { Screen::out() };
    for note in &loaded.notes {
        Screen::error().line(&format!("note: {}: {}", note.place, note.text));
    }
    // Whoever names a parent that is not there starts nothing, and makes no journal either.
    let above = leave::above(&here, &loaded, &args.what, Some(&plan))?;
    // Git is asked meanwhile, and its answer is waited for last.
    let mut engine = open(&here)?;
    let kin = Kin { task, above: &above };
    let spec = spec(&here, &loaded, plan, Origin::Start, kin, &args.what, dirty)?;
    above.note(&engine, &spec.run_id)?;
    // What the user said needs no saying.
    let from = (args.what.task.is_none()).then_some(from);
    let undertaking = above.undertaking(spec);
    match args.detach {
        true => in_background(&mut engine, undertaking, from, common, screen),
        false => in_foreground(&mut engine, undertaking, from, common, screen),
    }
}

/// Starts to find out whether there is uncommitted work; it takes as long as git takes.
pub(crate) fn git_state(here: &Surroundings) -> Option<git::Dirty> {
    prepare::ask_git(&here.place)
}

/// The journal of the repository, to run in it; says when it is not the one that was there.
pub(crate) fn open(here: &Surroundings) -> Result<Engine, Failure> {
    let engine = here.engine(Access::Run)?;
    let said = match engine.tie() {
        Tie::Known | Tie::New => None,
        Tie::Moved(from) => Some(format!("this repository was at {} before", from.display())),
        Tie::Copied(from) => Some(format!(
            "the records here are a copy of those of {}: they can be looked at, and new runs are recorded apart",
            from.display()
        )),
    };
    if let Some(said) = said {
        Screen::error().line(&format!("note: {said}"));
    }
    Ok(engine)
}

/// The plan of a pipeline: one that is written, or the diagnostics of a repository that has none.
pub(crate) fn plan_of(here: &Surroundings, loaded: &Loaded, name: &str) -> Result<Plan, Failure> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    prepare::plan(&here.place, loaded, name, &path).map_err(|none| match none {
        NoPlan::Unknown(unknown) => {
            let text = format!("there is no pipeline {}", quoted(&unknown.name));
            Failure::not_found(text).hint_if(unknown.hint())
        }
        NoPlan::NothingRecognised { advice } => Failure::usage(advice),
        NoPlan::Unplannable(fault) => Failure::usage(fault),
        NoPlan::BadPrompt(fault) => Failure::usage(fault),
    })
}

/// What a new run belongs to, as it was found.
pub(crate) struct Kin<'a> {
    pub(crate) task: TaskId,
    pub(crate) above: &'a Above,
}

/// Everything that a new run is started with.
pub(crate) fn spec(
    here: &Surroundings,
    loaded: &Loaded,
    plan: Plan,
    origin: Origin,
    kin: Kin<'_>,
    what: &What,
    dirty: Option<git::Dirty>,
) -> Result<RunSpec, Failure> {
    let facts = prepare::facts(&here.place, loaded, dirty, prepare::GIT_PATIENCE);
    let Facts { repo, config, notify, limits, grace_ms, supervision } =
        facts.map_err(Failure::usage)?;
    let codex = prepare::codex_facts(&plan, loaded).map_err(Failure::usage)?;
    let leave = kin.above.leave.as_ref();
    let silent_above = leave.is_some_and(|leave| leave.no_input);
    let config = match leave {
        Some(leave) => {
            let approvals = config.approvals.within(&leave.approvals);
            ConfigFacts { approvals, ..config.wished() }
        }
        None => config,
    };
    let spec = RunSpec {
        run_id: engine::new_run_id(),
        task_id: kin.task,
        parent_run_id: kin.above.parent.clone(),
        origin,
        key: None,
        grant: leave.map(|leave| leave.grant.clone()),
        no_input: silent_above || what.no_input || surroundings::is_automatic(),
        plan,
        goal: what.goal.clone(),
        repo,
        config,
        notify,
        limits,
        own_tree: None,
        codex,
        follows: None,
        grace_ms,
        supervision,
    };
    spec.held_to(leave.and_then(|leave| leave.caps.clone())).map_err(Failure::usage)
}

/// Runs here, and shows how it goes.
pub(crate) fn in_foreground(
    engine: &mut Engine,
    undertaking: Undertaking,
    task_from: Option<&'static str>,
    common: &Common,
    screen: Screen,
) -> Outcome {
    let setup = RunnerSetup {
        env: Surroundings::env(),
        stdin: None,
        echo: None,
        detached: false,
        tick: screen.live.then_some(Duration::from_millis(200)),
        server: delegate_server::for_channel()?,
    };
    let mut live = Live::new(screen, task_from);
    let (spec, run) = engine::run(engine, undertaking, setup, &mut live)?;
    let paths = engine.paths(&spec.task_id, &spec.run_id);
    if common.json() {
        json::write(&document(&spec, &run, &paths, task_from))?;
    } else {
        epilogue(screen, &spec, &run, &paths);
    }
    match FailureKind::of(&run) {
        None => Ok(()),
        Some(kind) => Err(Failure::said(kind)),
    }
}

/// Runs in the background, and says what was started.
pub(crate) fn in_background(
    engine: &mut Engine,
    undertaking: Undertaking,
    task_from: Option<&'static str>,
    common: &Common,
    screen: Screen,
) -> Outcome {
    if caller::number_here().is_some() {
        let text = "a stage of a run cannot start a run that outlives it";
        return Err(Failure::new(FailureKind::Conflict, text)
            .hint("start it without `--detach`, or from outside the run"));
    }
    let order =
        Order { state: engine.state().to_owned(), root: engine.root().to_owned(), undertaking };
    engine::detach(surroundings::runner()?, &order, engine)?;
    let snapshot = engine.snapshot(order.run_id())?;
    if common.json() {
        return json::write(&document(&snapshot.spec, &snapshot.run, &snapshot.paths, task_from));
    }
    let tail = snapshot.spec.run_id.tail();
    let from = task_from.map_or(String::new(), |from| format!(" (from {from})"));
    screen.line(&format!(
        "run {} of task {}{from}: {} in the background",
        screen.paint(Tone::Strong, tail),
        snapshot.spec.task_id,
        snapshot.run.status(),
    ));
    screen.line(&format!("  record: {}", snapshot.paths.relative("manifest.json")));
    screen.line(&format!("  look:   codex-orch status {tail} --watch"));
    screen.line(&format!("  wait:   codex-orch wait {tail}"));
    Ok(())
}

pub(crate) fn document(
    spec: &RunSpec,
    run: &Run,
    paths: &RunPaths,
    task_from: Option<&'static str>,
) -> Document {
    let manifest = store::manifest_of(spec, run, paths, Vec::new());
    Document {
        run_id: spec.run_id.clone(),
        task_id: spec.task_id.clone(),
        task_from: task_from.map(ToOwned::to_owned),
        status: run.status(),
        manifest: paths.relative("manifest.json"),
        repo_root: spec.repo.root.clone(),
        artifact_root: paths.relative(""),
        log_path: paths.relative("stages"),
        events_path: paths.relative("events.jsonl"),
        summary: manifest.summary,
        left_out: manifest.left_out,
        exit_code: match run.status().wants_runner() {
            true => None,
            false => Some(FailureKind::of(run).map_or(0, FailureKind::code)),
        },
    }
}

fn epilogue(screen: Screen, spec: &RunSpec, run: &Run, paths: &RunPaths) {
    let (mark, tone) = marks::run(run.status());
    let took = took(run, engine::now()).map_or(String::new(), human::length);
    let summary = store::manifest_of(spec, run, paths, Vec::new()).summary.unwrap_or_default();
    // The status stands before it.
    let summary = match summary.strip_prefix(run.status().as_str()) {
        Some(rest) => rest.to_owned(),
        None => format!(": {summary}"),
    };
    screen.line(&format!(
        "{} {} in {took}{summary}",
        screen.paint(tone, mark),
        screen.paint(tone, run.status().as_str()),
    ));
    screen.line(
        &screen.paint(Tone::Faint, &format!("  record: {}", paths.relative("manifest.json"))),
    );
    if FailureKind::of(run).is_some() {
        screen.line(&format!("  again:  codex-orch resume {}", spec.run_id.tail()));
    }
}
