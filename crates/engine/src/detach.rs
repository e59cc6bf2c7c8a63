//! A runner in the background: another process of this program, in a session of its own.

use std::{
    ffi::OsString,
    fs::OpenOptions,
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use model::{Refusal, Run, RunId, RunSpec};
use serde::{Deserialize, Serialize};
use store::StoreError;

use crate::{
    Access, Engine, EngineError, Progress, RunnerSetup, Undertaking, Watcher, runner::run,
};

/// All that it takes to wait.
const LEAVE_STACK: usize = 64 * 1024;

/// What a background runner is told on its standard input.
#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    /// The state folder.
    pub state: PathBuf,
    /// The repository.
    pub root: PathBuf,
    /// What to run.
    pub undertaking: Undertaking,
}

/// What it says on its standard output, once.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reply {
    Started,
    Refused {
        refusal: Refusal,
    },
    Alive,
    /// The same was spawned before.
    Same {
        run: RunId,
    },
    TooMany {
        parent: RunId,
        limit: u32,
    },
    TooManyAtOnce {
        parent: RunId,
        limit: u32,
    },
    Failed {
        reason: String,
    },
}

impl Reply {
    fn of(error: &EngineError) -> Self {
        match error {
            EngineError::Refused { refusal, .. } => Self::Refused { refusal: refusal.clone() },
            EngineError::Alive { .. } => Self::Alive,
            EngineError::Store(StoreError::KeyTaken { run }) => Self::Same { run: run.clone() },
            EngineError::Store(StoreError::TooMany { parent, limit }) => {
                Self::TooMany { parent: parent.clone(), limit: *limit }
            }
            EngineError::Store(StoreError::TooManyAtOnce { parent, limit }) => {
                Self::TooManyAtOnce { parent: parent.clone(), limit: *limit }
            }
            error => Self::Failed { reason: error.to_string() },
        }
    }

    fn into_result(self, run: &RunId) -> Result<(), EngineError> {
        Err(match self {
            Self::Started => return Ok(()),
            Self::Refused { refusal } => EngineError::Refused { run: run.clone(), refusal },
            Self::Alive => EngineError::Alive { run: run.clone() },
            Self::Same { run } => StoreError::KeyTaken { run }.into(),
            Self::TooMany { parent, limit } => StoreError::TooMany { parent, limit }.into(),
            Self::TooManyAtOnce { parent, limit } => {
                StoreError::TooManyAtOnce { parent, limit }.into()
            }
            Self::Failed { reason } => EngineError::Detach(reason),
        })
    }
}

/// Starts `program ARGS..` as the runner of the order, and comes back when the run is started
/// and its manifest is there. The runner outlives this process and its terminal.
///
/// # Errors
///
/// What kept the run from starting, as if it had been started here.
pub fn detach(mut program: Command, order: &Order, engine: &Engine) -> Result<(), EngineError> {
    let run = order.run_id();
    let log = engine.make_run_dir(run)?.join("runner.log");
    let failed = |error: io::Error| EngineError::Detach(error.to_string());
    let complaints = OpenOptions::new().create(true).append(true).open(&log).map_err(failed)?;
    let mut child = program
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(complaints)
        .spawn()
        .map_err(failed)?;
    let text = serde_json::to_vec(order).map_err(|error| failed(error.into()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A runner that is gone already says why by its silence, below.
        let _ = stdin.write_all(&text);
    }
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        let _ = BufReader::new(stdout).read_line(&mut line);
    }
    let Ok(reply) = serde_json::from_str::<Reply>(&line) else {
        let _ = child.wait();
        return Err(EngineError::Detach(last_words(&log)));
    };
    // Whoever stays, as a server does, takes leave of it when it ends: it would keep its number until then.
    let leave = thread::Builder::new().name("leave".to_owned()).stack_size(LEAVE_STACK);
    let _ = leave.spawn(move || child.wait());
    reply.into_result(run)
}

/// The end of a runner's log, for an error.
fn last_words(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    match text.lines().last() {
        Some(line) => format!("{line} (see {})", log.display()),
        None => "it ended without a word".to_owned(),
    }
}

/// Becomes the runner that standard input orders, and runs the run to its end. `server` serves the
/// run's own processes; see [`RunnerSetup`].
///
/// # Errors
///
/// When the order is none; what goes wrong with the run itself is told to whoever ordered it.
pub fn take_order(server: Vec<OsString>) -> Result<(), EngineError> {
    let failed = |error: io::Error| EngineError::Detach(error.to_string());
    // Whoever started it may leave, and its terminal may close.
    rustix::process::setsid().map_err(|error| failed(error.into()))?;
    let mut text = Vec::new();
    io::stdin().lock().read_to_end(&mut text).map_err(failed)?;
    let order: Order = serde_json::from_slice(&text).map_err(|error| failed(error.into()))?;
    let setup = RunnerSetup {
        env: std::env::vars_os().collect(),
        stdin: None,
        echo: None,
        detached: true,
        tick: None,
        server,
    };
    let mut herald = Herald { told: false };
    let outcome = Engine::open(&order.state, &order.root, Access::Run)
        .and_then(|mut engine| run(&mut engine, order.undertaking, setup, &mut herald));
    if let Err(error) = outcome {
        herald.tell(&Reply::of(&error));
        return Err(error);
    }
    Ok(())
}

/// Says once that the run is started.
struct Herald {
    told: bool,
}

impl Herald {
    fn tell(&mut self, reply: &Reply) {
        if std::mem::replace(&mut self.told, true) {
            return;
        }
        let mut line = serde_json::to_vec(reply).unwrap_or_default();
        line.push(b'\n');
        let mut out = io::stdout().lock();
        let _ = out.write_all(&line).and_then(|()| out.flush());
    }
}

impl Watcher for Herald {
    fn saw(&mut self, _: &RunSpec, run: &Run, progress: &Progress<'_>) {
        // It is on record then, also where it waits for its turn.
        if let Progress::Happened(_) = progress
            && run.queued_at().is_some()
        {
            self.tell(&Reply::Started);
        }
    }
}

impl Order {
    /// Which run it is about.
    #[must_use]
    pub fn run_id(&self) -> &RunId {
        self.undertaking.run_id()
    }
}
