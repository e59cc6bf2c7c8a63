//! `delegate-server`: the MCP server by which a Codex session delegates.

use std::{
    env,
    ffi::OsString,
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsFd, BorrowedFd},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use delegate::{Answers, Delegate, Greeting, News, Regrants, Setup, Station, Why};
use engine::{Told, Withheld};
use model::{Mode, RunId, StageIndex, caps::DelegateTools};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    net::RecvFlags,
};
use serde::{Deserialize, Serialize};
use supervise::TreeControl;

use self::server::Server;
use super::{Common, Outcome};
use crate::{
    caller,
    failure::{Failure, FailureKind},
    surroundings::{self, Surroundings},
};

mod server;

/// Serve a Codex session on standard input and output, as an MCP server
///
/// Codex starts it; `codex-orch setup` registers it. Without --repo it is for the repository of the
/// session's folder. Inside of a run it acts for that run, and asks its runner; what is said here can
/// then only narrow what the run was granted.
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

    /// The stage that the process at the other end is of, where the runner can tell
    #[arg(long)]
    stage: Option<u32>,
}

/// What stands in a thread's config in the place of an MCP server of the user's.
#[derive(Debug, clap::Args)]
pub(crate) struct AcrossArgs {
    /// The server
    server: String,
}

/// Passes on what comes to the server of that name, which is on the other side of the run's channel.
pub(crate) fn run_across(args: &AcrossArgs) -> Outcome {
    let Some(number) = caller::number_here() else {
        return Err(Failure::new(FailureKind::Conflict, "there is no run around this process"));
    };
    pass_on(number, &Wishes { server: Some(args.server.clone()), ..Wishes::default() })
}

pub(crate) fn run(args: &Args, common: &Common) -> Outcome {
    let here = caller::number_here();
    if let Some(number) = here {
        // Here it can be looked at; whoever serves the run takes it as text.
        let user_file = surroundings::user_file(surroundings::home().as_deref());
        let root = |repo: &PathBuf| match repo::locate::locate(repo, user_file.as_deref()) {
            Ok(place) => place.root,
            Err(_) => repo.clone(),
        };
        let repo = common.repo.as_ref().map(root);
        let (mode, config) = (args.mode, args.config.clone());
        return pass_on(number, &Wishes { mode, config, repo, ..Wishes::default() });
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
    let Wishes { mode, config, repo, server, typed } = heard(io::stdin().as_fd())?;
    if let Some(server) = server {
        return bridge(args, server);
    }
    if let Some(tool) = typed {
        return typed_in_vain(args, &tool);
    }
    let setup = setup(args.root.clone(), Station::Run(args.run.clone()))?;
    // The runner listens to what is told on standard output.
    let stage = args.stage.map(StageIndex);
    let handler =
        Delegate::new(Setup { mode, narrowing: config, passed_over: repo, stage, ..setup });
    let handler = handler.telling(|tool, count| {
        tell(&Told::Withheld(Withheld {
            what: tool.to_owned(),
            why: engine::NOT_GRANTED.to_owned(),
            count,
        }));
    });
    let served = delegate::serve(handler.clone(), io::stdin(), io::stdin());
    handler.tell_the_rest();
    served.map_err(|error| Failure::new(FailureKind::Internal, error))
}

/// What a thread is granted of a server, with what somebody has said meanwhile.
struct Granted(engine::Across, Arc<Mutex<engine::SaidOfTools>>);

impl delegate::Grants for Granted {
    fn tool(&self, name: &str) -> engine::ToolLeave {
        self.0.grants(name, &self.1.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_whole(&self) -> bool {
        self.0.is_whole()
    }

    fn may_widen(&self) -> bool {
        self.0.may_widen()
    }

    fn may_elicit(&self) -> bool {
        self.0.may_elicit()
    }

    fn limit(&self) -> Option<Duration> {
        self.0.limit()
    }
}

/// Starts a server of the user's for a thread of the run, and lets pass what is granted of it.
fn bridge(args: &ChannelArgs, name: String) -> Outcome {
    let stage = args.stage.ok_or_else(|| {
        Failure::new(FailureKind::Conflict, "nobody can tell which stage asks for the server")
    })?;
    let state = surroundings::state_folder(surroundings::home().as_deref())?;
    let engine = engine::Engine::open(&state, &args.root, engine::Access::Look)?;
    let across = engine.across(&args.run, StageIndex(stage), &name)?;
    let not_started = |reason: String| tell(&Told::NotStarted { server: name.clone(), reason });
    let server = Server::begun(&across).inspect_err(|error| not_started(error.to_string()))?;
    let (control, runner) = (server.control(), io::stdout().as_fd().try_clone_to_owned());
    let runner = File::from(runner.map_err(|error| Failure::new(FailureKind::Internal, error))?);
    let (said, regrants) = (Arc::<Mutex<_>>::default(), Regrants::default());
    let (theirs, told) = (said.clone(), regrants.clone());
    let (answers, answered) = Answers::new();
    // It reads from a runner that may never say anything, so that nobody waits for it.
    std::thread::spawn(move || {
        for bidding in engine::Bidding::heard(runner) {
            match bidding {
                // Of one that is somewhere else, nothing is here to stand still.
                engine::Bidding::Freeze => control.iter().for_each(TreeControl::freeze),
                engine::Bidding::Thaw => control.iter().for_each(TreeControl::thaw),
                engine::Bidding::Said(said) => {
                    *theirs.lock().unwrap_or_else(PoisonError::into_inner) = said;
                    told.tell();
                }
                engine::Bidding::Elicited { number, result } => answers.tell(number, result),
            }
        }
    });
    let grants = (Granted(across, said), regrants, answered);
    let news = |news: News<'_>| tell(&told_of(&name, news));
    let (to, from) = server.ends();
    let crossed = delegate::bridge(name.clone(), grants, io::stdin(), to, from, news);
    match &crossed {
        Ok(Greeting::Ended) => not_started(server.how()),
        Ok(Greeting::Refused(words)) => not_started(format!("it refused the greeting: {words}")),
        Ok(Greeting::Answered | Greeting::Unanswered) | Err(_) => {}
    }
    drop(server);
    crossed.map(drop).map_err(|error| Failure::new(FailureKind::Internal, error))
}

/// A process of the run says that it was refused that tool, for which it typed a command. That counts
/// where it is so.
fn typed_in_vain(args: &ChannelArgs, tool: &str) -> Outcome {
    let state = surroundings::state_folder(surroundings::home().as_deref())?;
    let engine = engine::Engine::open(&state, &args.root, engine::Access::Look)?;
    let spec = engine.journal().spec(&args.run).map_err(engine::EngineError::from)?;
    let tools = spec.delegate_tools(None);
    if DelegateTools::KNOWN.contains(&tool) && !tools.is_ok_and(|tools| tools.has(tool)) {
        let why = engine::NOT_GRANTED.to_owned();
        tell(&Told::Withheld(Withheld { what: format!("delegate.{tool}"), why, count: 1 }));
    }
    Ok(())
}

/// What a bridge to that server tells, as its runner hears it.
fn told_of(server: &str, news: News<'_>) -> Told {
    match news {
        News::Withheld { tool, why, count } => {
            let why = match why {
                Why::NotGranted => engine::NOT_GRANTED,
                Why::Asked => engine::ASKED,
                Why::Refused => engine::REFUSED,
            };
            let what = format!("{server}/{tool}");
            Told::Withheld(Withheld { what, why: why.to_owned(), count })
        }
        News::Asks { tool } => Told::Asks { server: server.to_owned(), tool: tool.to_owned() },
        News::Elicits { number, params } => {
            let asked = engine::Elicitation::read(params);
            Told::Elicits { server: server.to_owned(), number, asked }
        }
        News::ElicitsNoMore { number } => Told::ElicitsNoMore { number },
    }
}

/// Tells that the runner at the other end of standard output.
fn tell(told: &Told) {
    if let Ok(mut line) = serde_json::to_vec(told) {
        line.push(b'\n');
        // A runner that does not listen is gone, and this ends with it.
        let _ = io::stdout().lock().write_all(&line);
    }
}

/// What the command line of a server in a run said. It goes ahead of the client's words, in a line
/// that begins as no message does. Whoever leaves it out has what the run was granted.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Wishes {
    mode: Option<Mode>,
    config: Vec<String>,
    /// The repository that was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    repo: Option<PathBuf>,
    /// It is not our own server that is wanted, but that one of the user's.
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<String>,
    /// Nothing is wanted: a command was typed for a tool that is not granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    typed: Option<String>,
}

const BEFORE_WISHES: u8 = b'#';
/// Nobody has more to say on a command line.
const LONGEST_WISHES: usize = 256 * 1024;

impl Wishes {
    fn line(&self) -> Result<Vec<u8>, Failure> {
        let mut line = vec![BEFORE_WISHES];
        serde_json::to_writer(&mut line, self)
            .map_err(|error| Failure::new(FailureKind::Internal, error))?;
        line.push(b'\n');
        Ok(line)
    }
}

/// Takes the wishes from what comes, and leaves what follows where it is.
fn heard(from: BorrowedFd<'_>) -> Result<Wishes, Failure> {
    let mut first = [0];
    let (_, count) = rustix::net::recv(from, &mut first, RecvFlags::PEEK)
        .map_err(|error| Failure::new(FailureKind::Internal, error))?;
    if count == 0 || first[0] != BEFORE_WISHES {
        return Ok(Wishes::default());
    }
    let mut line = Vec::new();
    // One at a time: what is read too far would be lost to whoever reads on.
    while line.len() < LONGEST_WISHES {
        match rustix::io::read(from, &mut first) {
            Ok(0) => break,
            Ok(_) if first[0] == b'\n' => break,
            Ok(_) => line.push(first[0]),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Failure::new(FailureKind::Internal, error)),
        }
    }
    serde_json::from_slice(&line[1..]).map_err(Failure::usage)
}

/// How this program becomes the server at the other end of a channel.
pub(crate) fn for_channel() -> Result<Vec<OsString>, Failure> {
    Ok(vec![program()?.into(), "__serve".into()])
}

fn program() -> Result<PathBuf, Failure> {
    env::current_exe().map_err(|error| Failure::new(FailureKind::Internal, error))
}

/// What every server of ours knows of where it is.
pub(crate) fn setup(cwd: PathBuf, station: Station) -> Result<Setup, Failure> {
    let home = surroundings::home();
    Ok(Setup {
        state: surroundings::state_folder(home.as_deref())?,
        user_file: surroundings::user_file(home.as_deref()),
        home,
        repo: None,
        passed_over: None,
        cwd,
        mode: None,
        overrides: Vec::new(),
        narrowing: Vec::new(),
        environment: Surroundings::overrides(),
        path: env::var_os("PATH").unwrap_or_default(),
        task: env::var(surroundings::TASK_VARIABLE).ok(),
        program: program()?,
        station,
        stage: None,
    })
}

fn serve(setup: Setup) -> Outcome {
    delegate::serve(Delegate::new(setup), io::stdin(), io::stdout())
        .map_err(|error| Failure::new(FailureKind::Internal, error))
}

/// Inside of a run's tree there is nothing to decide: its runner is asked, and what it says is
/// passed on.
fn pass_on(number: u64, wishes: &Wishes) -> Outcome {
    let home = surroundings::home();
    let state = surroundings::state_folder(home.as_deref())?;
    let channel = engine::connect(&state, number).map(File::from).map_err(|error| {
        let text = format!("the runner of the run around this process cannot be reached: {error}");
        Failure::new(FailureKind::Conflict, text)
            .hint("`codex-orch status` shows whether the run has a runner")
    })?;
    let failed = |error: io::Error| Failure::new(FailureKind::Internal, error);
    let mut to_runner = channel.try_clone().map_err(failed)?;
    to_runner.write_all(&wishes.line()?).map_err(failed)?;
    let ended = channel.try_clone().map_err(failed)?;
    // It reads from a client that may never say any more, so that nobody waits for it.
    std::thread::Builder::new()
        .name("client".to_owned())
        .spawn(move || {
            let _ = copy(io::stdin().lock(), &mut to_runner);
            let _ = rustix::net::shutdown(&ended, rustix::net::Shutdown::Write);
        })
        .map_err(failed)?;
    copy(channel, &mut io::stdout().lock()).map_err(failed)
}

/// How long whoever types a command in vain waits until that is on record. The command is refused in
/// any case.
const RECORDING: Duration = Duration::from_secs(2);

/// Tells the runner of the run around this process that a command was typed for a tool that is not
/// granted, and waits until it has heard of it: what types may be at its end.
pub(crate) fn tell_of_typed(state: &Path, tool: &str) {
    let Some(number) = caller::number_here() else { return };
    let Ok(channel) = engine::connect(state, number).map(File::from) else { return };
    let wishes = Wishes { typed: Some(tool.to_owned()), ..Wishes::default() };
    if wishes.line().is_ok_and(|line| (&channel).write_all(&line).is_ok()) {
        let time = Timespec { tv_sec: RECORDING.as_secs().cast_signed(), tv_nsec: 0 };
        let _ = poll(&mut [PollFd::new(&channel, PollFlags::IN)], Some(&time));
    }
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
