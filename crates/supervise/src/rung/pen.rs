//! What one rung put around one tree, and what it can do with it.

use std::io;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;

use super::{Leaf, Rung, cgroup2, freezer1};
use crate::record::ProcessId;
use crate::signal;

/// What holds one tree.
#[derive(Debug)]
pub(crate) enum Pen {
    Cgroup2(Leaf),
    Freezer1(Leaf),
    PidNs { init: ProcessId },
    Subreaper,
}

impl Pen {
    /// What can be known of a pen from outside its shim.
    pub(crate) fn recorded(rung: Rung, cgroup: Option<&Path>) -> Pen {
        match (rung, cgroup) {
            (Rung::Cgroup2, Some(dir)) => Pen::Cgroup2(Leaf::found(dir)),
            (Rung::Freezer1, Some(dir)) => Pen::Freezer1(Leaf::found(dir)),
            // The kernel ends a namespace when its init dies, and its init dies with the shim.
            _ => Pen::Subreaper,
        }
    }

    pub(crate) fn rung(&self) -> Rung {
        match self {
            Pen::Cgroup2(_) => Rung::Cgroup2,
            Pen::Freezer1(_) => Rung::Freezer1,
            Pen::PidNs { .. } => Rung::PidNs,
            Pen::Subreaper => Rung::Subreaper,
        }
    }

    pub(crate) fn cgroup(&self) -> Option<PathBuf> {
        match self {
            Pen::Cgroup2(leaf) | Pen::Freezer1(leaf) => Some(leaf.dir().to_owned()),
            Pen::PidNs { .. } | Pen::Subreaper => None,
        }
    }

    /// Kills what is inside, as far as the rung can do that in one step.
    pub(crate) fn kill(&self) {
        match self {
            Pen::Cgroup2(leaf) => cgroup2::kill(leaf),
            Pen::Freezer1(leaf) => freezer1::kill(leaf),
            Pen::PidNs { init } => {
                let _ = signal::send(*init, Signal::SIGKILL);
            }
            Pen::Subreaper => {}
        }
    }

    /// Asks for everything inside to be frozen.
    pub(crate) fn freeze(&self) -> io::Result<()> {
        match self {
            Pen::Cgroup2(leaf) => cgroup2::freeze(leaf),
            Pen::Freezer1(leaf) => freezer1::freeze(leaf),
            Pen::PidNs { .. } | Pen::Subreaper => Ok(()),
        }
    }

    /// Whether everything inside is frozen. What has no freezer of its own has nothing to wait for.
    pub(crate) fn is_frozen(&self) -> io::Result<bool> {
        match self {
            Pen::Cgroup2(leaf) => cgroup2::is_frozen(leaf),
            Pen::Freezer1(leaf) => freezer1::is_frozen(leaf),
            Pen::PidNs { .. } | Pen::Subreaper => Ok(true),
        }
    }

    pub(crate) fn thaw(&self) -> io::Result<()> {
        match self {
            Pen::Cgroup2(leaf) => cgroup2::thaw(leaf),
            Pen::Freezer1(leaf) => freezer1::thaw(leaf),
            Pen::PidNs { .. } | Pen::Subreaper => Ok(()),
        }
    }

    /// Whether the pen's freezer reaches this process.
    pub(crate) fn reaches(&self, pid: i32) -> bool {
        match self {
            Pen::Cgroup2(leaf) => leaf.holds(pid, cgroup2::is_line),
            Pen::Freezer1(leaf) => leaf.holds(pid, freezer1::is_line),
            Pen::PidNs { .. } | Pen::Subreaper => false,
        }
    }

    /// Whether anybody is inside, whoever's child they are.
    pub(crate) fn is_populated(&self) -> bool {
        match self {
            Pen::Cgroup2(leaf) => cgroup2::is_populated(leaf),
            Pen::Freezer1(leaf) => !leaf.members().is_empty(),
            Pen::PidNs { .. } | Pen::Subreaper => false,
        }
    }

    /// Takes the empty pen away.
    pub(crate) fn remove(&self) {
        match self {
            Pen::Cgroup2(leaf) | Pen::Freezer1(leaf) => leaf.remove(),
            Pen::PidNs { .. } | Pen::Subreaper => {}
        }
    }
}
