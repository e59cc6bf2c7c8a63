//! What is told about a running tree.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

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
