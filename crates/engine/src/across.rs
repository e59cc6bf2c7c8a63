//! An MCP server of the user's, for a thread that is granted some of its tools.
//!
//! It runs as the user would have it, outside of all that holds the thread: with the network and the
//! secrets that it needs and the thread must not have. It is held as stages are, so that nothing of it
//! is left when whoever holds it is gone.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::fd::OwnedFd,
    path::PathBuf,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        mpsc::{self, Receiver},
    },
    time::Duration,
};

use codex::{Place, TheirServer, UsersHome};
use model::{
    RunId, RunSpec, StageIndex,
    caps::{Names, Table},
};
use supervise::{Exit, Guard, Hold, Launch, Output, RungChoice, Stdin, TreeControl, TreeReport};

use crate::{
    Engine, EngineError,
    channel::{self, SaidOfTools},
    runner::OURS,
};
use log::ServerLog;

mod log;

/// A server, and what of it is granted.
#[derive(Debug)]
pub struct Across {
    name: String,
    theirs: TheirServer,
    tools: Names,
    /// Those that somebody may be asked for besides.
    may_ask: Names,
    /// A person may be asked what it wants to be told.
    may_elicit: bool,
    run: RunId,
    trees: PathBuf,
    folder: PathBuf,
    log: PathBuf,
}

impl Engine {
    /// The server of that name, as it is granted to a thread.
    ///
    /// # Errors
    ///
    /// When it is not granted to that stage, or is none that can be started.
    pub fn across(
        &self,
        run: &RunId,
        stage: StageIndex,
        name: &str,
    ) -> Result<Across, EngineError> {
        let (spec, _) = self.journal().load(run)?;
        let unfit = |why: String| EngineError::Unfit(why);
        if spec.plan.stages.len() <= stage.get() {
            return Err(unfit("the run has no such stage".to_owned()));
        }
        let caps = spec.caps_of(stage).map_err(|error| unfit(error.to_string()))?.caps;
        let tools = match &caps.tools.mcp {
            Table::Only(table) => table.get(name).cloned().unwrap_or(Names::NONE),
            // Whoever has all servers has them where it runs.
            Table::All => Names::NONE,
        };
        let asks = caps.ask && !spec.no_input;
        let may_ask = if asks { caps.tools.may_be_asked_for(name) } else { Names::NONE };
        let facts = spec.codex.as_ref().filter(|_| !tools.is_empty());
        let facts =
            facts.ok_or_else(|| unfit(format!("the MCP server `{name}` is not granted")))?;
        let users = UsersHome::at(Some(facts.users_home.as_ref()), "/".as_ref());
        let mut servers = users.servers(None).map_err(|error| unfit(error.to_string()))?;
        // Ours is not the user's, also where the user has registered it.
        let theirs = servers.remove(name).filter(|theirs| theirs.is_on && name != OURS);
        let theirs = theirs.ok_or_else(|| unfit(format!("the user has no MCP server `{name}`")))?;
        let folder = folder(&spec);
        let log = self.server_log(run, name);
        let trees = self.locks(run).trees;
        let (name, run) = (name.to_owned(), run.clone());
        let may_elicit = !spec.no_input;
        Ok(Across { name, theirs, tools, may_ask, may_elicit, run, trees, folder, log })
    }
}

impl Engine {
    /// Where it is kept what a server of that name says on its standard error in a run, if it says
    /// anything. Only people are to see that.
    #[must_use]
    pub fn server_log(&self, run: &RunId, name: &str) -> PathBuf {
        log::path(&self.run_dir(run), name)
    }

    /// The last line of that, cut and without what a terminal would obey.
    #[must_use]
    pub fn server_said_last(&self, run: &RunId, name: &str) -> Option<String> {
        log::last_line(&self.server_log(run, name))
    }
}

/// Whether a thread has a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToolLeave {
    /// It has.
    Given,
    /// Somebody may be asked for it, or is.
    Asks,
    /// Somebody may be asked for it, but enough is asked at the moment.
    Enough,
    /// Whoever was asked did not say yes.
    Refused,
    /// It has not.
    Withheld,
}

/// Where the thread works.
fn folder(spec: &RunSpec) -> PathBuf {
    let own = spec.own_tree.as_ref().map(|tree| &tree.path);
    PathBuf::from(own.unwrap_or(&spec.repo.worktree))
}

impl Across {
    /// Whether that tool may be seen and called, with what somebody has said meanwhile.
    #[must_use]
    pub fn grants(&self, tool: &str, said: &SaidOfTools) -> ToolLeave {
        let named = format!("{}/{tool}", self.name);
        if !self.theirs.offers(tool) {
            return ToolLeave::Withheld;
        }
        if self.tools.has(tool) || said.widened.contains(&named) {
            return ToolLeave::Given;
        }
        match self.may_ask.has(tool) {
            true if said.refused.contains(&named) => ToolLeave::Refused,
            true if said.full && !said.asked.contains(&named) => ToolLeave::Enough,
            true => ToolLeave::Asks,
            false => ToolLeave::Withheld,
        }
    }

    /// Whether somebody may be asked for more of its tools.
    #[must_use]
    pub fn may_widen(&self) -> bool {
        !self.may_ask.is_empty()
    }

    /// Whether it may ask a person for something.
    #[must_use]
    pub fn may_elicit(&self) -> bool {
        self.may_elicit
    }

    /// How long it may take for a request, where the thread's Codex does not see to that since a person
    /// may be asked meanwhile.
    #[must_use]
    pub fn limit(&self) -> Option<Duration> {
        self.may_elicit.then_some(self.theirs.tool_timeout)
    }

    /// Whether all that the server has is granted: also what is no tool.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.tools == Names::All
    }

    /// Where it is reached by HTTP, with the headers that it is sent, some of which `variable` says;
    /// nothing of a program.
    ///
    /// # Errors
    ///
    /// When such a variable is not there.
    pub fn remote(
        &self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<RemoteServer>, EngineError> {
        let Place::Url { url, .. } = &self.theirs.place else { return Ok(None) };
        let headers = self.theirs.place.headers(variable);
        let headers = headers.map_err(|name| {
            EngineError::Unfit(format!("the variable `{name}` is not set, which its headers need"))
        })?;
        Ok(Some((url.clone(), headers)))
    }

    /// What keeps the words of a server that has no standard error, or of whoever speaks with it.
    ///
    /// # Errors
    ///
    /// When that cannot be made.
    pub fn complaints(&self) -> Result<impl Fn(&str) + Send + Sync + 'static, EngineError> {
        let log = Mutex::new(ServerLog::open(&self.log).map_err(EngineError::Supervision)?);
        Ok(move |words: &str| {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.add(format!("[{words}]\n").as_bytes());
        })
    }

    /// Starts it, with what the user's config gives it of `env`. What it says on its standard error is
    /// kept in the folder of the run (`servers/NAME.log`), up to 1 MiB.
    ///
    /// # Errors
    ///
    /// When it cannot be started, or cannot be held.
    pub fn start(
        &self,
        env: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Held, EngineError> {
        let unfit = |why: &dyn std::error::Error| EngineError::Unfit(why.to_string());
        let Place::Program { command, args, env: own, cwd, .. } = &self.theirs.place else {
            return Err(EngineError::Unfit("the MCP server is no program".to_owned()));
        };
        let passed = |name: &OsStr| {
            let is = |name: &str| self.theirs.place.is_passed(name) && !own.contains_key(name);
            name.to_str().is_some_and(is)
        };
        let env = env.into_iter().filter(|(name, _)| passed(name));
        let own = own.iter().map(|(name, value)| (name.into(), value.into()));
        let words = std::iter::once(command).chain(args);
        let failed = EngineError::Supervision;
        let (reads, stdin) = io::pipe().map_err(failed)?;
        let (stdout, writes) = io::pipe().map_err(failed)?;
        let (complaints, stderr) = io::pipe().map_err(failed)?;
        let mut log = ServerLog::open(&self.log).map_err(failed)?;
        let launch = Launch {
            argv: words.map(Into::into).collect(),
            cwd: cwd.clone().unwrap_or_else(|| self.folder.clone()),
            env: env.chain(own).collect(),
            stdin: Stdin::Inherit(reads.into()),
            stdout: writes.into(),
            stderr: stderr.into(),
            grace: GRACE,
            cage: None,
        };
        let trees = Hold::share(&self.trees).map_err(EngineError::Supervision)?;
        let trees = trees.ok_or_else(|| EngineError::Unfit("its run is being swept".to_owned()))?;
        let mark = channel::mark_of(&self.run);
        let guard = Guard::start(trees, mark, RungChoice::Automatic);
        let guard = guard.map_err(EngineError::Supervision)?;
        let tree = guard.launch(launch).map_err(|error| unfit(&error))?;
        let control = tree.control();
        let (over, ended) = mpsc::channel();
        let (kept, its_end) = (log.try_clone().map_err(failed)?, over.clone());
        std::thread::spawn(move || {
            kept.keep(complaints);
            drop(its_end);
        });
        let exit = Arc::<OnceLock<Exit>>::default();
        let its_exit = exit.clone();
        std::thread::spawn(move || {
            tree.watch(Output::none(), |report| {
                let TreeReport::Ended { exit, .. } = report else { return };
                if let Exit::NotStarted { reason, .. } = &exit {
                    log.add(format!("[it could not be started: {reason}]\n").as_bytes());
                }
                let _ = its_exit.set(exit);
            });
            drop(over);
        });
        Ok(Held {
            stdin: stdin.into(),
            stdout: stdout.into(),
            tree: Ends { control, ended, exit, _guard: guard },
        })
    }
}

/// Where a server is that is reached by HTTP, and the names and values of its headers.
pub type RemoteServer = (String, Vec<(String, String)>);

/// How long a server that is told to end may take.
const GRACE: Duration = Duration::from_millis(500);

/// How long its end is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// A server at work. It ends with this, and all that it has started.
#[derive(Debug)]
pub struct Held {
    /// What it reads.
    pub stdin: OwnedFd,
    /// Where it writes.
    pub stdout: OwnedFd,
    /// Its processes, until that is dropped.
    pub tree: Ends,
}

/// Ends a tree when it is dropped, and comes back when nothing of it is left. Of a process that the
/// kernel does not let go of it comes back all the same, in time: its guard goes on trying.
#[derive(Debug)]
pub struct Ends {
    control: TreeControl,
    /// Nothing is sent; it is closed when nothing is left.
    ended: Receiver<()>,
    exit: Arc<OnceLock<Exit>>,
    _guard: Guard,
}

impl Ends {
    /// What stops its processes where they are, and lets them go on.
    #[must_use]
    pub fn control(&self) -> TreeControl {
        self.control.clone()
    }

    /// How a server ended that says no more, in words. One that is still there a moment later has
    /// just closed its output.
    #[must_use]
    pub fn how(&self) -> String {
        let _ = self.ended.recv_timeout(GRACE);
        match self.exit.get() {
            Some(Exit::Code(code)) => format!("it ended with code {code} before it answered"),
            Some(Exit::Signal(signal)) => {
                format!("signal {signal} ended it before it answered")
            }
            Some(Exit::NotStarted { reason, .. }) => reason.clone(),
            Some(Exit::Lost) | None => "it closed its output before it answered".to_owned(),
        }
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.control.stop(GRACE);
        let _ = self.ended.recv_timeout(PATIENCE);
    }
}
