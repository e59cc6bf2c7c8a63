//! A pid namespace: the kernel kills everybody in it when its first process dies, and that one
//! dies with the shim.

use std::io;

use nix::mount::{MsFlags, mount};
use nix::unistd::{Gid, Uid, geteuid};

use crate::sys::{self, Fork};

/// Forks the first process of a new pid namespace.
pub(crate) fn fork() -> io::Result<Fork> {
    let mut flags = libc::CLONE_NEWPID | libc::CLONE_NEWNS;
    if !geteuid().is_root() {
        flags |= libc::CLONE_NEWUSER;
    }
    sys::fork_into_namespaces(flags)
}

/// Inside the new namespace, before anything else: keeps the user who they were, and shows a
/// `/proc` that is about the new namespace.
pub(crate) fn settle(uid: Uid, gid: Gid) -> io::Result<()> {
    if !uid.is_root() {
        std::fs::write("/proc/self/setgroups", "deny")?;
        std::fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
        std::fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"))?;
    }
    // Mounts made outside still appear inside, but not the other way round.
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_SLAVE, None::<&str>)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), flags, None::<&str>)?;
    Ok(())
}
