//! The ways to hold a process tree, best first.
//!
//! On every rung the shim is also a subreaper, so that whatever a rung lets slip is still found
//! below the shim. A rung adds what scanning cannot have: killing or freezing in one step.

#[cfg(target_os = "linux")]
mod cgroup;
#[cfg(target_os = "linux")]
pub(crate) mod cgroup2;
#[cfg(target_os = "linux")]
pub(crate) mod freezer1;
#[cfg(target_os = "linux")]
mod pen;
#[cfg(target_os = "linux")]
pub(crate) mod pidns;

use std::fmt;

use serde::{Deserialize, Serialize};

#[cfg(target_os = "linux")]
pub(crate) use self::{
    cgroup::{Leaf, Places},
    pen::Pen,
};

/// How a tree is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rung {
    /// A leaf of its own in a cgroup v2 hierarchy.
    Cgroup2,
    /// A leaf of its own in the freezer of a cgroup v1 hierarchy.
    Freezer1,
    /// A pid namespace of its own.
    PidNs,
    /// Nothing but being a subreaper, and looking through `/proc`.
    Subreaper,
}

impl Rung {
    /// All of them, best first.
    pub const ALL: [Rung; 4] = [Rung::Cgroup2, Rung::Freezer1, Rung::PidNs, Rung::Subreaper];
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rung::Cgroup2 => "cgroup2",
            Rung::Freezer1 => "freezer1",
            Rung::PidNs => "pidns",
            Rung::Subreaper => "subreaper",
        })
    }
}

/// Which rungs may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RungChoice {
    /// The best that works.
    #[default]
    Automatic,
    /// This one or none.
    Only(Rung),
}

impl RungChoice {
    pub(crate) fn candidates(self) -> Vec<Rung> {
        // For an ordinary user a pid namespace comes with a user namespace, in which sudo and
        // other setuid programs of the user's own stages no longer work.
        let costs_nothing = |rung: &Rung| *rung != Rung::PidNs || nix::unistd::geteuid().is_root();
        match self {
            RungChoice::Automatic => Rung::ALL.into_iter().filter(costs_nothing).collect(),
            RungChoice::Only(rung) => vec![rung],
        }
    }
}
