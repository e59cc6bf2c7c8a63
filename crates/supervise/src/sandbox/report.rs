//! What is told about cages.

use std::fmt;
use std::time::Duration;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::Profile;

/// Something that a cage holds its tree to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Guarantee {
    /// It reaches no network.
    #[serde(rename = "net.deny")]
    NetDeny,
    /// It reaches only what the proxy lets through.
    #[serde(rename = "net.listed")]
    NetListed,
    /// It writes only where it may.
    #[serde(rename = "fs.write")]
    FsWrite,
    /// It does not change what is protected within that.
    #[serde(rename = "fs.protect")]
    FsProtect,
    /// It does not see what is hidden, nor temporary files of others.
    #[serde(rename = "fs.hide")]
    FsHide,
    /// It does not see, signal or trace processes outside.
    #[serde(rename = "proc.isolate")]
    ProcIsolate,
    /// It reaches no UNIX socket of others.
    #[serde(rename = "unix.deny")]
    UnixDeny,
    /// None of it outlives its end.
    #[serde(rename = "kill_tree")]
    KillTree,
}

impl fmt::Display for Guarantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Guarantee::NetDeny => "net.deny",
            Guarantee::NetListed => "net.listed",
            Guarantee::FsWrite => "fs.write",
            Guarantee::FsProtect => "fs.protect",
            Guarantee::FsHide => "fs.hide",
            Guarantee::ProcIsolate => "proc.isolate",
            Guarantee::UnixDeny => "unix.deny",
            Guarantee::KillTree => "kill_tree",
        })
    }
}

/// What a cage is made of, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Walls {
    /// Namespaces, with a `/proc` of their own.
    #[serde(rename = "ns")]
    Namespaces,
    /// Namespaces that still see the machine's `/proc`, because a new one may not be mounted.
    /// A program inside cannot build a sandbox of its own there.
    #[serde(rename = "ns-noproc")]
    NamespacesWithoutProc,
    /// Landlock and seccomp alone.
    #[serde(rename = "landlock+seccomp")]
    LandlockAndSeccomp,
}

impl fmt::Display for Walls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Walls::Namespaces => "ns",
            Walls::NamespacesWithoutProc => "ns-noproc",
            Walls::LandlockAndSeccomp => "landlock+seccomp",
        })
    }
}

/// What a tree that was launched is held to, and by what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CageReport {
    /// What the cage is made of.
    pub walls: Walls,
    /// How tight it is.
    pub profile: Profile,
    /// The version of Landlock that was used, if any.
    pub landlock: Option<u32>,
    /// A number that is the same for the same system call filters.
    pub filters: u64,
    /// Who the tree is outside, and who it takes itself for.
    pub user: (u32, u32),
    /// The namespaces that are the tree's own, by kind and number.
    pub namespaces: Vec<(String, u64)>,
    /// Each guarantee that was asked for.
    pub standings: Vec<Standing>,
    /// Each cache that is the tree's to change.
    #[serde(default)]
    pub caches: Vec<CacheReport>,
}

/// How one cache was made the tree's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheReport {
    /// The folder.
    pub path: String,
    /// By what.
    pub way: CacheWay,
}

/// By what a cache is the tree's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheWay {
    /// An overlay: all that the user has is there.
    Overlay,
    /// Folders of its own, without what the user has, because an overlay was refused like this.
    Folders(String),
}

/// How one guarantee stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// What is guaranteed.
    pub guarantee: Guarantee,
    /// What enforces it.
    pub by: Vec<String>,
    /// Whether the command's own process tried it, just before it became the command.
    pub proof: Proof,
    /// What it does not cover, if anything.
    pub gap: Option<String>,
}

/// Whether something was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proof {
    /// It was, and was refused like this.
    Proven(String),
    /// It was not, for this reason.
    Unproven(String),
}

/// Why a cage could not be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// What could not be guaranteed.
    pub missing: Vec<Guarantee>,
    /// What the kernel refused.
    pub call: String,
    /// With which error; zero if it was not the kernel that refused.
    pub errno: i32,
    /// What can be done about it.
    pub way_out: String,
}

impl Refused {
    /// Everything was in place and something does not hold: nobody may rely on any of it.
    pub(super) fn by_leak(missing: Vec<Guarantee>, call: String) -> Refused {
        let way_out = "this is a fault of codex-orchestrator or of the kernel: please report it";
        Refused { missing, call, errno: 0, way_out: way_out.to_owned() }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let missing: Vec<String> = self.missing.iter().map(|one| format!("`{one}`")).collect();
        write!(f, "{} cannot be guaranteed here: {}", missing.join(", "), self.call)?;
        if self.errno != 0 {
            let errno = Errno::from_raw(self.errno);
            write!(f, ": {} ({errno:?})", errno.desc())?;
        }
        write!(f, "; {}", self.way_out)
    }
}

/// What came of trying a cage here.
#[derive(Debug)]
pub struct CageTrial {
    /// Which one.
    pub profile: Profile,
    /// How the guarantees stood and how long the launch took, or why it was refused.
    pub result: Result<(CageReport, Duration), String>,
}
