//! `delegate-server`: the MCP server by which a Codex session delegates.

use std::{
    env,
    ffi::OsString,
    io::{self, Read, Write},
    net::Shutdown,
    path::PathBuf,
};

use delegate::{Delegate, Setup, Station};
use model::{Mode, RunId};

use super::{Common, Outcome};
use crate::{
    caller,
    failure::{Failure, FailureKind},
    surroundings::{self, Surroundings},
};

/// Serve a Codex session on standard input and output, as an MCP server
///
/// Codex starts it; `codex-orch setup` registers it. Without --repo it is for the repository of the
/// session's folder. Inside of a run it acts for that run, and asks its runner.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to offer at most: `full`, `question_only` or `status_only`
    #[arg(long, value_name = "MODE")]
    mode: Option<Mode>,

    /// A setting for this server only, such as limits.at_once=4
    #[arg(long = "config", value_name = "K=V")]
    config: Vec<String>,
}

/// What a runner tells the server that it puts at the other end of its run's channel.
#[derive(Debug, clap::Args)]
pub(crate) struct ChannelArgs {
    /// The run's repository
    #[arg(long)]
    root: PathBuf,

    /// The run
    #[arg(long)]
    run: RunId,
}

pub(crate) fn run(args: &Args, common: &Common) -> Outcome {
    let here = caller::number_here();
    if let Some(number) = here {
        return pass_on(number);
    }
    let cwd = env::current_dir().map_err(|error| {
        Failure::not_found(format!("the current folder cannot be found: {error}"))
    })?;
    let setup = Setup {
        repo: common.repo.clone(),
        mode: args.mode,
        overrides: args.config.clone(),
        ..setup(cwd, Station::Session)?
    };
    serve(setup)
}

/// The same at the other end of a run's channel.
pub(crate) fn run_for_channel(args: &ChannelArgs) -> Outcome {
    serve(setup(args.root.clone(), Station::Run(args.run.clone()))?)
}

/// How this program becomes the server at the other end of a channel.
pub(crate) fn for_channel() -> Result<Vec<OsString>, Failure> {
    Ok(vec![program()?.into(), "__serve".into()])
}

fn program() -> Result<PathBuf, Failure> {
    env::current_exe().map_err(|error| Failure::new(FailureKind::Internal, error))
}

fn setup(cwd: PathBuf, station: Station) -> Result<Setup, Failure> {
    let home = surroundings::home();
    Ok(Setup {
        state: surroundings::state_folder(home.as_deref())?,
        user_file: surroundings::user_file(home.as_deref()),
        home,
        repo: None,
        cwd,
        mode: None,
        overrides: Vec::new(),
        environment: Surroundings::overrides(),
        path: env::var_os("PATH").unwrap_or_default(),
        task: env::var(surroundings::TASK_VARIABLE).ok(),
        program: program()?,
        station,
    })
}

fn serve(setup: Setup) -> Outcome {
    delegate::serve(Delegate::new(setup), io::stdin(), io::stdout())
        .map_err(|error| Failure::new(FailureKind::Internal, error))
}

/// Inside of a run's tree there is nothing to decide: its runner is asked, and what it says is
/// passed on.
fn pass_on(number: u64) -> Outcome {
    let home = surroundings::home();
    let state = surroundings::state_folder(home.as_deref())?;
    let channel = engine::connect(&state, number).map_err(|error| {
        let text = format!("the runner of the run around this process cannot be reached: {error}");
        Failure::new(FailureKind::Conflict, text)
            .hint("`codex-orch status` shows whether the run has a runner")
    })?;
    let failed = |error: io::Error| Failure::new(FailureKind::Internal, error);
    let mut to_runner = channel.try_clone().map_err(failed)?;
    let ended = channel.try_clone().map_err(failed)?;
    // It reads from a client that may never say any more, so that nobody waits for it.
    std::thread::Builder::new()
        .name("client".to_owned())
        .spawn(move || {
            let _ = copy(io::stdin().lock(), &mut to_runner);
            let _ = ended.shutdown(Shutdown::Write);
        })
        .map_err(failed)?;
    copy(channel, &mut io::stdout().lock()).map_err(failed)
}

/// Passes on what comes as it comes.
fn copy(mut from: impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut piece = vec![0; 64 * 1024];
    loop {
        let count = match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        to.write_all(&piece[..count])?;
        to.flush()?;
    }
}
