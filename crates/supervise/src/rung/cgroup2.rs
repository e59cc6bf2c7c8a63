//! cgroup v2: killing and freezing in one step, by the kernel.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::sys::signal::{Signal, kill as send};
use nix::unistd::Pid;

use super::Leaf;
use crate::sys::{self, Fork};

/// The line of `/proc/<pid>/cgroup` that is about this hierarchy.
pub(crate) fn is_line(line: &str) -> bool {
    line.starts_with("0::")
}

/// Forks a child inside the leaf, and inside of new namespaces if `flags` name any. The child's
/// error is that of entering the leaf.
pub(crate) fn fork(leaf: &Leaf, flags: i32) -> io::Result<(Fork, io::Result<()>)> {
    let dir: OwnedFd = File::open(leaf.dir())?.into();
    match sys::fork_into_cgroup(dir.as_fd(), flags) {
        Ok(fork) => Ok((fork, Ok(()))),
        // Older kernels, and filters that do not know clone3.
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::ENOSYS | libc::EINVAL | libc::E2BIG | libc::EPERM)
            ) =>
        {
            let fork = sys::fork_into_namespaces(flags)?;
            let entered = match fork {
                Fork::Child => leaf.enter(),
                Fork::Parent { .. } => Ok(()),
            };
            Ok((fork, entered))
        }
        Err(error) => Err(error),
    }
}

pub(crate) fn kill(leaf: &Leaf) {
    if leaf.write("cgroup.kill", "1").is_err() {
        // A kernel before 5.14.
        for pid in leaf.members() {
            let _ = send(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

pub(crate) fn freeze(leaf: &Leaf) -> io::Result<()> {
    leaf.write("cgroup.freeze", "1")
}

pub(crate) fn thaw(leaf: &Leaf) -> io::Result<()> {
    leaf.write("cgroup.freeze", "0")
}

pub(crate) fn is_frozen(leaf: &Leaf) -> io::Result<bool> {
    Ok(leaf.read("cgroup.events")?.lines().any(|line| line == "frozen 1"))
}

pub(crate) fn is_populated(leaf: &Leaf) -> bool {
    let events = leaf.read("cgroup.events").unwrap_or_default();
    events.lines().any(|line| line == "populated 1")
}
