//! Which tree a process is in, told by what it inherited and cannot have by accident.

use std::io;
use std::os::fd::AsFd;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use crate::proc;
use crate::record::Mark;

/// The number of the tree that this process is in; `None` outside of every tree, and where the
/// tree could not be given one.
#[must_use]
pub fn tree_here() -> Option<u64> {
    proc::brand_of(proc::myself()).ok().flatten().filter(|number| Mark::is_brand(*number))
}

/// Whether whoever connected a UNIX socket is a process of this user's in the tree of that mark.
///
/// # Errors
///
/// When the socket or the process cannot be asked about.
pub fn peer_is_within(socket: &impl AsFd, mark: &Mark) -> io::Result<bool> {
    let peer = getsockopt(socket, PeerCredentials)?;
    if peer.uid() != nix::unistd::geteuid().as_raw() || peer.pid() <= 0 {
        return Ok(false);
    }
    // Somebody who pretends to be in the tree only has less to say outside of it.
    Ok(proc::brand_of(peer.pid())? == Some(mark.number())
        || proc::has_entry(peer.pid(), &mark.entry())?)
}

/// The names of the programs that this process descends from, the nearest first.
#[must_use]
pub fn programs_above() -> Vec<String> {
    let above = proc::my_line().into_iter().skip(1);
    let name = |pid| std::fs::read_to_string(format!("/proc/{pid}/comm")).ok();
    above.filter_map(name).map(|name| name.trim_end().to_owned()).collect()
}
