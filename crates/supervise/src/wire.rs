//! Frames between runner, guard and shim: one JSON document a packet, with descriptors beside it.
//!
//! Every link is also a lifeline: it reads as closed when the process at its other end is gone,
//! however it went.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::sys::socket::{
    self, AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::record::ProcessId;
use crate::report::Exit;
use crate::rung::Rung;
use crate::sandbox::{CageReport, Refused};

/// Runner to guard: fork a shim. [`START_FDS`] descriptors travel with it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Start {
    /// Counts the trees of one guard; part of the names of cgroups.
    pub(crate) tree: u64,
    pub(crate) rungs: Vec<Rung>,
    pub(crate) brand: u64,
    pub(crate) grace_ms: u64,
}

/// How many descriptors travel with any frame at most.
const MOST_FDS: usize = 80;

/// How many descriptors travel with a [`Start`]: the shim's link and the guard's, what is to be
/// run, and its standard input, output and error.
pub(crate) const START_FDS: usize = 6;

/// Guard to runner, about one tree, and only after its shim died: nothing of it is left.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Cleared {
    pub(crate) killed: u32,
}

/// Runner to shim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Order {
    Freeze,
    Thaw,
    Stop { grace_ms: u64 },
    Kill,
}

/// Shim to runner.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Word {
    /// The command's process exists and is held; it has not begun yet.
    Launched {
        shim: ProcessId,
        leader: ProcessId,
        rung: Rung,
        cgroup: Option<PathBuf>,
        /// What confines it. The sockets that listen inside travel with the frame.
        cage: Option<CageReport>,
    },
    /// Nothing was started.
    NotLaunched(NotLaunched),
    Frozen,
    Thawed,
    FreezeFailed {
        reason: String,
    },
    Exited(Exit),
    /// Some processes do not die; the shim goes on trying.
    Stuck {
        pids: Vec<i32>,
        reason: String,
    },
    /// The tree is certainly empty. The last word.
    Ended {
        leftovers_killed: u32,
    },
}

/// Why nothing was started.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum NotLaunched {
    /// No rung would hold it.
    NotHeld(Vec<(Rung, String)>),
    /// It would not be confined as it was to be.
    NotCaged(Refused),
    /// What it was to be confined to makes no sense.
    BadCage(String),
}

/// What one look at a link found.
pub(crate) enum Received<T> {
    Frame(T, Vec<OwnedFd>),
    Nothing,
    Closed,
}

const LARGEST_FRAME: usize = 32 * 1024;

pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let pair =
        socket::socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
    Ok(pair)
}

/// Sends without ever waiting: a peer that does not read must not hold up its sender.
pub(crate) fn send(
    to: impl AsFd,
    frame: &impl Serialize,
    fds: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let bytes = serde_json::to_vec(frame)?;
    let raw: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
    let beside: &[ControlMessage<'_>] = if raw.is_empty() { &[] } else { &rights };
    loop {
        let sent = socket::sendmsg::<()>(
            to.as_fd().as_raw_fd(),
            &[IoSlice::new(&bytes)],
            beside,
            flags,
            None,
        );
        match sent {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Takes the next frame if there is one, without waiting.
pub(crate) fn receive<T: DeserializeOwned>(from: impl AsFd) -> io::Result<Received<T>> {
    let mut bytes = vec![0; LARGEST_FRAME];
    let mut beside = nix::cmsg_space!([RawFd; MOST_FDS]);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT;
    loop {
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let got =
            socket::recvmsg::<()>(from.as_fd().as_raw_fd(), &mut parts, Some(&mut beside), flags);
        let (length, fds) = match got {
            Ok(message) => {
                let fds: Vec<OwnedFd> = message
                    .cmsgs()?
                    .filter_map(|control| match control {
                        ControlMessageOwned::ScmRights(raw) => Some(raw),
                        _ => None,
                    })
                    .flatten()
                    .map(crate::sys::own)
                    .collect();
                (message.bytes, fds)
            }
            // Told once when the peer died with frames of ours unread. Its own last frames are
            // still there to be read.
            Err(Errno::EINTR | Errno::ECONNRESET) => continue,
            Err(Errno::EAGAIN) => return Ok(Received::Nothing),
            Err(error) => return Err(error.into()),
        };
        if length == 0 {
            return Ok(Received::Closed);
        }
        return Ok(Received::Frame(serde_json::from_slice(&bytes[..length])?, fds));
    }
}
