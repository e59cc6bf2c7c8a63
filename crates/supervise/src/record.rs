//! What a later process needs to know about a tree to end what is left of it.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::rung::Rung;

/// A process that cannot be mistaken for a later one with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProcessId {
    /// Its number, in the pid namespace of the runner.
    pub pid: i32,
    /// When it started, in the kernel's ticks since boot.
    pub start_time: u64,
}

/// What to write down as soon as a tree is launched, so that it can be swept after a crash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeRecord {
    /// The process that kept the shims of the run.
    pub guard: ProcessId,
    /// The process that held the tree.
    pub shim: ProcessId,
    /// The command's first process.
    pub leader: ProcessId,
    /// How the tree was held.
    pub rung: Rung,
    /// The leaf that the tree was in, on the rungs that have one.
    pub cgroup: Option<PathBuf>,
    /// Numbers of processes mean nothing after a reboot.
    pub boot_id: String,
    /// Nor in another pid namespace.
    pub pid_namespace: u64,
    /// Whose processes they are.
    pub uid: u32,
}

/// An environment entry that every process of a run is started with, unique to the run.
///
/// Environments can be emptied. So a tree also inherits a number made from the mark as its
/// limit on real-time CPU time without a system call, thousands of years long: a limit that
/// has no effect, passes through fork, exec and setuid, and that nobody clears by accident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    key: OsString,
    value: OsString,
}

impl Mark {
    /// A mark. The value must be unique to the run.
    pub fn new(key: impl Into<OsString>, value: impl Into<OsString>) -> Mark {
        Mark { key: key.into(), value: value.into() }
    }

    pub(crate) fn key(&self) -> &OsStr {
        &self.key
    }

    pub(crate) fn value(&self) -> &OsStr {
        &self.value
    }

    /// The entry as it stands in an environment.
    pub(crate) fn entry(&self) -> Vec<u8> {
        [self.key.as_encoded_bytes(), b"=", self.value.as_encoded_bytes()].concat()
    }

    /// The number that every process of the tree inherits: always between 2^61 and 2^62, so never
    /// one that somebody chose.
    #[must_use]
    pub fn number(&self) -> u64 {
        // FNV-1a, because it must be the same in every version of this program.
        let hash = self.entry().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        (1 << 61) | (hash >> 3)
    }

    /// Whether a number could be some run's brand.
    pub(crate) fn is_brand(number: u64) -> bool {
        number >> 61 == 1
    }
}
