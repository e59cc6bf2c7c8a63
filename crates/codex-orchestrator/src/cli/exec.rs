//! `exec`: runs one command as a recorded run.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    os::fd::AsFd,
    path::{Path, PathBuf},
};

use engine::{RunnerSetup, Watcher};
use model::{
    CommandLine, CommandStage, Exit, Failure as StageFailure, Grant, Origin,
    Outcome as StageOutcome, Pipeline, Run, RunSpec, Source, Stage, StageBody, StageIndex,
    StageState,
};
use repo::config::Loaded;

use super::{Common, Outcome, start};
use crate::{
    failure::{Failure, FailureKind},
    leave,
    render::{
        json,
        screen::{Screen, quoted},
    },
    surroundings::Surroundings,
};

/// Run one command as a recorded run
///
/// Its input and output pass through, and its exit code is the exit code. The record is the same
/// as of any run.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    what: start::What,

    /// The command and its arguments; after `--`, so that its flags are not taken for ours
    #[arg(trailing_var_arg = true, required = true, value_name = "CMD")]
    command: Vec<String>,
}

const EXAMPLES: &str = "\
Examples:
  codex-orch exec -- cargo test --workspace
  codex-orch exec --task fix-login -- sh -c 'make 2>&1 | tail'
  git diff | codex-orch exec --json -- wc -l";

pub(crate) fn run(args: &Args, common: &Common) -> Outcome {
    let here = common.here()?;
    let loaded = here.config(&args.what.config)?;
    let ran = carry_out(&here, &loaded, &args.what, &args.command, common, None, &mut Silent)?;
    if common.json() {
        json::write(&ran.document)?;
        return ran.ended.map_err(|failure| Failure::said(failure.kind));
    }
    ran.ended
}

/// A command that was run and recorded.
pub(super) struct Ran {
    pub(super) spec: RunSpec,
    pub(super) run: Run,
    pub(super) document: start::Document,
    /// What it came to, as a shell would have it.
    pub(super) ended: Outcome,
}

/// Runs a command and records it; its input and output pass through. With a grant it stands as a run that
/// somebody has delegated.
pub(super) fn carry_out(
    here: &Surroundings,
    loaded: &Loaded,
    what: &start::What,
    command: &[String],
    common: &Common,
    grant: Option<Grant>,
    watcher: &mut dyn Watcher,
) -> Result<Ran, Failure> {
    let dirty = start::git_state(here);
    let (task, _) = here.task(what.task.as_deref())?;
    let cwd = cwd_within(here);
    let stands = here.place.work_tree.join(cwd.as_deref().unwrap_or(""));
    let path = std::env::var_os("PATH").unwrap_or_default();
    startable(command, &stands, &path)?;
    let plan = loaded.plan_of(&pipeline(command, cwd)?).map_err(Failure::usage)?;
    // What is typed is nothing that anybody wrote into the repository.
    let above = leave::above(here, loaded, what, None)?;
    let mut engine = start::open(here)?;
    let kin = start::Kin { task, above: &above };
    let spec = start::spec(here, loaded, plan, Origin::Exec, kin, what, dirty)?;
    let spec = RunSpec { grant: spec.grant.or(grant), ..spec };
    above.note(&engine, &spec.run_id)?;
    let setup = RunnerSetup {
        env: Surroundings::env(),
        stdin: std::io::stdin().as_fd().try_clone_to_owned().ok(),
        // With --json standard output is for the document alone.
        echo: match common.json() {
            false => both(&std::io::stdout(), &std::io::stderr()),
            true => both(&std::io::stderr(), &std::io::stderr()),
        },
        detached: false,
        tick: None,
        server: super::delegate_server::for_channel()?,
    };
    let undertaking = above.undertaking(spec);
    let (spec, run) = engine::run(&mut engine, undertaking, setup, watcher)?;
    let paths = engine.paths(&spec.task_id, &spec.run_id);
    let ended = ended(&run, command);
    let mut document = start::document(&spec, &run, &paths, None);
    document.exit_code = Some(ended.as_ref().err().map_or(0, |failure| failure.kind.code()));
    Ok(Ran { spec, run, document, ended })
}

/// Nothing of ours stands between the command and whoever reads its output.
struct Silent;

impl Watcher for Silent {
    fn saw(&mut self, _: &model::RunSpec, _: &Run, progress: &engine::Progress<'_>) {
        if let engine::Progress::Trouble(text) = progress {
            Screen::error().line(&format!("codex-orch: {text}"));
        }
    }
}

fn both(out: &impl AsFd, err: &impl AsFd) -> Option<(std::os::fd::OwnedFd, std::os::fd::OwnedFd)> {
    Some((out.as_fd().try_clone_to_owned().ok()?, err.as_fd().try_clone_to_owned().ok()?))
}

/// A command runs where it was typed, if that is inside the work tree.
pub(super) fn cwd_within(here: &Surroundings) -> Option<String> {
    let current = std::env::current_dir().ok()?.canonicalize().ok()?;
    let inside = current.strip_prefix(&here.place.work_tree).ok()?;
    (inside != Path::new("")).then(|| inside.to_str().map(ToOwned::to_owned))?
}

fn pipeline(command: &[String], cwd: Option<String>) -> Result<Pipeline, Failure> {
    let body = CommandStage {
        command: CommandLine::Argv(command.to_vec()),
        cwd,
        env: BTreeMap::new(),
        timeout: None,
        retries: 0,
    };
    let stage = Stage {
        id: "command".parse().map_err(Failure::usage)?,
        title: Some(body.command.as_typed()),
        needs: None,
        allow_failure: false,
        summary_hint: None,
        body: StageBody::Command(body),
        caps: None,
        source: Source::CommandLine,
    };
    Ok(Pipeline {
        id: "exec".to_owned(),
        title: stage.title.clone(),
        description: None,
        stages: vec![stage],
        max_parallel: None,
        caps: None,
        source: Source::CommandLine,
    })
}

/// What cannot be started is no run: it is mostly a slip of whoever typed it.
fn startable(command: &[String], folder: &Path, path: &OsStr) -> Outcome {
    let Some(program) = command.first().filter(|program| !program.trim().is_empty()) else {
        return Err(Failure::usage("the command is empty").hint("as in `exec -- cargo test`"));
    };
    let candidates: Vec<PathBuf> = match program.contains('/') {
        true => vec![folder.join(program)],
        false => std::env::split_paths(path).map(|dir| folder.join(dir).join(program)).collect(),
    };
    let runs = |file: &PathBuf| {
        file.is_file() && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
    };
    if candidates.iter().any(runs) {
        return Ok(());
    }
    let program = quoted(program);
    let (code, text) = match candidates.iter().find(|file| file.exists()) {
        Some(file) if file.is_dir() => (126, format!("{program} is a folder")),
        Some(_) => (126, format!("{program} is not executable")),
        None => (127, format!("{program} was not found")),
    };
    Err(Failure::new(FailureKind::Command(code), text).hint_if(hint_for(command)))
}

/// What the command came to, as a shell would have it.
fn ended(run: &Run, command: &[String]) -> Outcome {
    let StageState::Ended(ended) = run.stage(StageIndex(0)) else {
        return Err(Failure::said(FailureKind::of(run).unwrap_or(FailureKind::Internal)));
    };
    let code = |code: i32| FailureKind::Command(u8::try_from(code).unwrap_or(1));
    match (&ended.outcome, &ended.exit) {
        (StageOutcome::Succeeded, _) => Ok(()),
        (
            StageOutcome::Failed(StageFailure::Exited(Exit::NotStarted { code: number, reason })),
            _,
        ) => Err(Failure::new(code(*number), reason.clone()).hint_if(hint_for(command))),
        (StageOutcome::Failed(_), Some(exit)) => {
            let number = exit.code().unwrap_or(1);
            Err(Failure::said(code(number)))
        }
        (_, Some(Exit::Signal(signal))) => Err(Failure::said(code(128 + signal))),
        _ => Err(Failure::said(FailureKind::of(run).unwrap_or(FailureKind::RunFailed))),
    }
}

/// What somebody meant who gave a sentence, or a line for a shell.
fn hint_for(command: &[String]) -> Option<String> {
    let whole = command.join(" ");
    let one = command.len() == 1 && whole.contains(' ');
    let shell = whole.contains(['|', '>', '<', ';', '&', '$', '*']);
    if shell && one {
        return Some("a line for a shell goes to a shell: `exec -- sh -c '…'`".to_owned());
    }
    if one || command.len() > 3 {
        return Some(format!(
            "`exec` runs a command as it is: the program, then its arguments, as in \
             `exec -- cargo test`; work described in words is for `codex exec {}`",
            CommandLine::Argv(vec![whole]).as_typed()
        ));
    }
    None
}
