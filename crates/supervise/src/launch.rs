//! What to start, and why it may not start.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use crate::rung::Rung;
use crate::sandbox::{Cage, Refused};

/// A command to be started as a process tree of its own.
#[derive(Debug)]
pub struct Launch {
    /// The program and its arguments. A name without a slash is looked up in the `PATH` of `env`.
    pub argv: Vec<OsString>,
    /// Where it runs.
    pub cwd: PathBuf,
    /// Its whole environment; the run's mark is added.
    pub env: Vec<(OsString, OsString)>,
    /// What it reads.
    pub stdin: Stdin,
    /// Where it writes. See [`crate::Output`] for pipes that end in a log.
    pub stdout: OwnedFd,
    /// Where it complains.
    pub stderr: OwnedFd,
    /// How long what the command leaves behind may take to end after SIGTERM; two seconds at most.
    pub grace: Duration,
    /// What it is confined to, if to anything.
    pub cage: Option<Cage>,
}

/// What a command reads.
#[derive(Debug)]
pub enum Stdin {
    /// Nothing.
    Null,
    /// What this descriptor gives.
    Inherit(OwnedFd),
}

/// The ends that the command writes to.
#[derive(Debug)]
pub struct Ends {
    /// For [`Launch::stdout`].
    pub stdout: OwnedFd,
    /// For [`Launch::stderr`].
    pub stderr: OwnedFd,
}

/// Where output is shown while it is logged.
#[derive(Debug)]
pub struct Echo {
    /// What the command writes to its standard output.
    pub stdout: OwnedFd,
    /// What it writes to its standard error.
    pub stderr: OwnedFd,
}

/// Why nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// No allowed rung works here.
    #[error("no way to hold a process tree works here: {}", because(.0))]
    NotHeld(Vec<(Rung, String)>),
    /// The command cannot be passed to the kernel.
    #[error("{0}")]
    BadCommand(String),
    /// What the command is to be confined to contradicts itself, or names what is not there.
    #[error("{0}")]
    BadCage(String),
    /// What was asked for cannot be enforced here.
    #[error("{0}")]
    NotCaged(Refused),
    /// The system is out of something.
    #[error("the process tree could not be started: {0}")]
    System(#[from] io::Error),
}

fn because(tried: &[(Rung, String)]) -> String {
    let reasons: Vec<String> = tried.iter().map(|(rung, why)| format!("{rung}: {why}")).collect();
    reasons.join("; ")
}
