//! Systems whose way to hold a process tree is not written yet. Nothing here pretends: what
//! cannot be had is an error that says so.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::launch::{Echo, Ends, Launch, LaunchError};
use crate::record::{Mark, ProcessId, TreeRecord};
use crate::report::{RungTrial, Swept, TreeReport};
use crate::rung::{Rung, RungChoice};
use crate::sandbox::{CageReport, CageTrial, Profile};

const NOT_HERE: &str = "process trees are held on Linux only so far";

fn not_here<T>() -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::Unsupported, NOT_HERE))
}

/// No process is asked to be a guard here.
pub fn become_guard_if_asked() {}

/// A lock that lasts as long as its holder. There is none here.
#[derive(Debug)]
pub struct Hold(std::convert::Infallible);

impl Hold {
    /// Is not supported here.
    pub fn take(_path: &Path) -> io::Result<Option<Hold>> {
        not_here()
    }

    /// Is not supported here.
    pub fn share(_path: &Path) -> io::Result<Option<Hold>> {
        not_here()
    }
}

impl AsFd for Hold {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self.0 {}
    }
}

/// Is not supported here.
pub fn held(_path: &Path) -> io::Result<bool> {
    not_here()
}

/// Is not supported here.
pub fn wait_until_free(_path: &Path, _deadline: Instant) -> io::Result<bool> {
    not_here()
}

/// What lets a process hold trees. There is none here.
#[derive(Debug)]
pub struct Guard(std::convert::Infallible);

impl Guard {
    /// Is not supported here.
    pub fn start(_trees: Hold, _mark: Mark, _rungs: RungChoice) -> io::Result<Guard> {
        not_here()
    }

    /// Never happens: there is no guard to ask.
    pub fn peer_is_within(&self, _socket: &impl std::os::fd::AsFd) -> io::Result<bool> {
        match self.0 {}
    }

    /// Never happens: there is no guard to ask.
    pub fn holder_of_peer(
        &self,
        _socket: &impl std::os::fd::AsFd,
    ) -> io::Result<Option<ProcessId>> {
        match self.0 {}
    }

    /// Never happens: there is no guard to ask.
    pub fn caller_is_within(&self, _stream: &std::net::TcpStream) -> io::Result<bool> {
        match self.0 {}
    }

    /// Never happens: there is no guard to ask.
    pub fn launch(&self, _launch: Launch) -> Result<Tree, LaunchError> {
        match self.0 {}
    }
}

/// A process tree that was launched. There is none here.
#[derive(Debug)]
pub struct Tree(std::convert::Infallible);

impl Tree {
    /// Never happens: there is no tree.
    pub fn record(&self) -> &TreeRecord {
        match self.0 {}
    }

    /// Never happens: there is no tree.
    pub fn take_caged(&mut self) -> Option<Caged> {
        match self.0 {}
    }

    /// Never happens: there is no tree.
    pub fn control(&self) -> TreeControl {
        match self.0 {}
    }

    /// Never happens: there is no tree.
    pub fn watch(self, _output: Output, _report: impl FnMut(TreeReport)) {
        match self.0 {}
    }
}

/// Orders for a tree. There is none here.
#[derive(Debug, Clone)]
pub struct TreeControl(std::convert::Infallible);

impl TreeControl {
    /// Never happens: there is no tree.
    pub fn freeze(&self) {
        match self.0 {}
    }

    /// Never happens: there is no tree.
    pub fn thaw(&self) {
        match self.0 {}
    }

    /// Never happens: there is no tree.
    pub fn stop(&self, _grace: Duration) {
        match self.0 {}
    }

    /// Never happens: there is no tree.
    pub fn kill(&self) {
        match self.0 {}
    }
}

/// Where a stage's output goes.
#[derive(Debug)]
pub struct Output(());

impl Output {
    /// Is not supported here.
    pub fn to_log(_log: File, _echo: Option<Echo>) -> io::Result<(Output, Ends)> {
        not_here()
    }

    /// No output.
    pub fn none() -> Output {
        Output(())
    }

    /// Changes nothing: there is no output.
    #[must_use]
    pub fn restoring(self, _path: impl Into<PathBuf>) -> Output {
        self
    }
}

/// No rung works here.
pub fn probe() -> Vec<RungTrial> {
    let trial = |rung| RungTrial { rung, automatic: false, result: Err(NOT_HERE.to_owned()) };
    Rung::ALL.into_iter().map(trial).collect()
}

/// What a caged tree's runner is given. There is none here.
#[derive(Debug)]
pub struct Caged {
    /// What the cage holds to, and how.
    pub report: CageReport,
    /// Where the tree expects its proxy.
    pub proxy: Option<OwnedFd>,
    /// Where the tree expects the run's channel.
    pub channel: Option<OwnedFd>,
    /// Where it expects the endpoints that are forwarded.
    pub forwards: Vec<(SocketAddr, OwnedFd)>,
}

/// No cage can be had here.
pub fn probe_cages(_scratch: &Path) -> Vec<CageTrial> {
    let trial = |profile| CageTrial { profile, result: Err(NOT_HERE.to_owned()) };
    [Profile::Strict, Profile::Wrap].map(trial).into()
}

/// Finds nothing: no tree is ever held here.
pub fn sweep(_records: &[TreeRecord], _mark: &Mark, _deadline: Instant) -> Swept {
    Swept::default()
}

/// Is not supported here.
pub fn boot_id() -> io::Result<String> {
    not_here()
}

/// Nobody can tell here.
#[must_use]
pub fn is_stopped(_pid: u32) -> bool {
    false
}

/// Is not supported here.
pub fn kill_holder(_path: &Path, _pid: u32) -> io::Result<bool> {
    not_here()
}

/// Does nothing here: who holds a lock cannot be asked.
pub fn wake_stopped_writer(_path: &Path) {}

/// Does nothing here: whether a process was stopped cannot be asked.
pub fn wake_stopped_holder(_path: &Path, _holder: u32) {}

/// There is no tree to be in.
#[must_use]
pub fn tree_here() -> Option<u64> {
    None
}

/// Nobody can tell here.
///
/// # Errors
///
/// Always: `Unsupported`.
pub fn loopback_caller(
    _theirs: std::net::SocketAddr,
    _ours: std::net::SocketAddr,
    _variables: &[&str],
) -> io::Result<Option<crate::Caller>> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Nobody can tell here.
#[must_use]
pub fn programs_above() -> Vec<String> {
    Vec::new()
}
