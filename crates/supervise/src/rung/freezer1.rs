//! The freezer of cgroup v1: freezing in one step, and killing what is frozen.

use std::io;

use nix::sys::signal::{Signal, kill as send};
use nix::unistd::Pid;

use super::Leaf;
use crate::sys::{self, Fork};

/// The line of `/proc/<pid>/cgroup` that is about this hierarchy.
pub(crate) fn is_line(line: &str) -> bool {
    let controllers = line.split(':').nth(1).unwrap_or_default();
    controllers.split(',').any(|controller| controller == "freezer")
}

/// Forks a child inside the leaf, and inside of new namespaces if `flags` name any. The child's
/// error is that of entering the leaf.
pub(crate) fn fork(leaf: &Leaf, flags: i32) -> io::Result<(Fork, io::Result<()>)> {
    let fork = sys::fork_into_namespaces(flags)?;
    let entered = match fork {
        Fork::Child => leaf.enter(),
        Fork::Parent { .. } => Ok(()),
    };
    Ok((fork, entered))
}

/// What is frozen cannot fork away from the list. It dies as it thaws.
pub(crate) fn kill(leaf: &Leaf) {
    let _ = freeze(leaf);
    for pid in leaf.members() {
        let _ = send(Pid::from_raw(pid), Signal::SIGKILL);
    }
    let _ = thaw(leaf);
}

pub(crate) fn freeze(leaf: &Leaf) -> io::Result<()> {
    leaf.write("freezer.state", "FROZEN")
}

pub(crate) fn thaw(leaf: &Leaf) -> io::Result<()> {
    leaf.write("freezer.state", "THAWED")
}

/// Asks again each time: a member that could not be frozen the first time is frozen now.
pub(crate) fn is_frozen(leaf: &Leaf) -> io::Result<bool> {
    if leaf.read("freezer.state")?.trim() == "FROZEN" {
        return Ok(true);
    }
    freeze(leaf)?;
    Ok(leaf.read("freezer.state")?.trim() == "FROZEN")
}
