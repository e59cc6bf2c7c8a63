//! Signals that reach the process they are meant for, or nobody.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::proc::{self, Seen};
use crate::record::ProcessId;
use crate::sys;

/// Sends to exactly this process. A process that is gone is no error.
pub(crate) fn send(to: ProcessId, signal: Signal) -> io::Result<()> {
    let sent = match sys::pidfd_open(to.pid) {
        // The number may have passed to another process before the handle was open; from here
        // on it cannot.
        Ok(handle) if proc::identify(to.pid) == Some(to) => {
            sys::pidfd_signal(handle.as_fd(), signal)
        }
        Ok(_) => return Ok(()),
        // A kernel before 5.3, or a filter that does not know pidfds.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
            match proc::identify(to.pid) {
                Some(id) if id == to => {
                    kill(Pid::from_raw(to.pid), signal).map_err(io::Error::from)
                }
                _ => return Ok(()),
            }
        }
        Err(error) => Err(error),
    };
    match sent {
        Err(error) if error.raw_os_error() == Some(Errno::ESRCH as i32) => Ok(()),
        other => other,
    }
}

/// Sends to every process group that one of `members` is in.
///
/// The kernel does this in one step that no fork can slip through, so it reaches what was
/// forked since `members` were looked at. Only for processes whose sessions began inside their
/// tree: then nobody else can be in their groups.
pub(crate) fn send_to_groups<'a>(members: impl IntoIterator<Item = &'a Seen>, signal: Signal) {
    // A child that has not yet left its parent's group would lead back to this process.
    let mine = nix::unistd::getpgrp().as_raw();
    let groups = members.into_iter().map(|seen| seen.group).filter(|id| *id > 1 && *id != mine);
    let groups: BTreeSet<i32> = groups.collect();
    for group in groups {
        let _ = killpg(Pid::from_raw(group), signal);
    }
}
