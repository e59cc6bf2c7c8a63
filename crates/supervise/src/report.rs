//! What is told about trees.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::rung::Rung;

/// How a stage's command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// It exited by itself.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
    /// The process that watched it was killed first, so nobody knows.
    Lost,
    /// It never began.
    NotStarted {
        /// What a shell would have exited with: 127 not found, 126 not executable.
        code: i32,
        /// One sentence with the name of the program or folder.
        reason: String,
    },
}

/// Something that happened to a tree.
#[derive(Debug)]
pub enum TreeReport {
    /// It wrote. Told at most about twenty times a second.
    Wrote {
        /// The last line so far, without control characters.
        last_line: String,
        /// How much it has written in all.
        bytes: u64,
    },
    /// The log cannot be written any more. Told once; the stage goes on.
    OutputLost {
        /// Why, for instance that the disk is full.
        error: io::Error,
    },
    /// No process of the tree runs.
    Frozen,
    /// The tree runs again, or still.
    Thawed,
    /// The tree could not be frozen and runs on.
    FreezeFailed {
        /// Why not.
        reason: String,
    },
    /// The command ended. What it left behind is being stopped.
    Exited(Exit),
    /// Some processes could not be killed yet. Nothing is given up.
    Stuck {
        /// Their numbers.
        pids: Vec<i32>,
        /// Why not.
        reason: String,
    },
    /// The log had been deleted while the stage ran, and was put back.
    LogRestored {
        /// Where it is again.
        path: PathBuf,
    },
    /// The log had been deleted while the stage ran, and could not be put back.
    LogNotRestored {
        /// Where it should be.
        path: PathBuf,
        /// Why it is not.
        error: io::Error,
    },
    /// The tree is empty and its output is drained. Always the last.
    Ended {
        /// How the command ended.
        exit: Exit,
        /// How many processes the command left behind.
        leftovers_killed: u32,
    },
}

/// What a sweep came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// How many processes it killed.
    pub killed: u32,
    /// Processes that were still there at the deadline.
    pub left: Vec<i32>,
    /// Why some of them are still there, if that is known.
    pub reason: String,
    /// Records that say nothing about this system as it is now, by position.
    pub refused: Vec<(usize, Refusal)>,
}

/// Why a record was left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing of it can be left.
    #[error("the machine has been restarted since")]
    OtherBoot,
    /// Its numbers mean other processes here.
    #[error("it was started in another pid namespace")]
    OtherNamespace,
    /// Only that user may end them.
    #[error("it was started by another user")]
    OtherUser,
}

/// What came of trying one rung.
#[derive(Debug)]
pub struct RungTrial {
    /// The rung.
    pub rung: Rung,
    /// Whether it is among those that are tried when nobody chooses.
    pub automatic: bool,
    /// How quick it was, or why it does not work.
    pub result: Result<RungSpeed, String>,
}

/// How long a trivial tree took.
#[derive(Debug, Clone, Copy)]
pub struct RungSpeed {
    /// From asking for it to having it.
    pub launched: Duration,
    /// From asking to certainly frozen.
    pub frozen: Duration,
    /// From killing it to certainly empty.
    pub killed: Duration,
}
