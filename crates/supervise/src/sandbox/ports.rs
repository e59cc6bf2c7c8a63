//! The ways out of a network namespace: sockets that listen inside and are accepted from outside.
//!
//! A socket stays in the namespace that it was made in, whoever has it. So the first process binds
//! and hands the descriptors out, and nothing that could be attacked remains inside.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::snag::Snag;
use super::{Cage, CageReport};
use crate::sys;

/// More than anybody lists, and as many as go into one message.
const MOST_FORWARDS: usize = 64;

/// What a caged tree's runner is given. The descriptors keep the tree's network namespace alive:
/// close them when the tree has ended.
#[derive(Debug)]
pub struct Caged {
    /// What the cage holds to, and how.
    pub report: CageReport,
    /// Where the tree expects its proxy. Listens; `None` without a network of its own.
    pub proxy: Option<OwnedFd>,
    /// Where the tree expects the run's channel. Listens.
    pub channel: Option<OwnedFd>,
    /// Where it expects the endpoints that are forwarded. Each listens.
    pub forwards: Vec<(SocketAddr, OwnedFd)>,
}

impl Caged {
    /// Puts together again what [`open`] made.
    pub(crate) fn of(cage: &Cage, report: CageReport, fds: Vec<OwnedFd>) -> Option<Caged> {
        let mut caged = Caged { report, proxy: None, channel: None, forwards: Vec::new() };
        // Without namespaces there are none, and without a network of its own none are needed.
        if fds.is_empty() {
            return Some(caged);
        }
        let wanted = wanted(cage);
        if wanted.len() != fds.len() {
            return None;
        }
        for (address, fd) in wanted.into_iter().zip(fds) {
            match address {
                Cage::PROXY => caged.proxy = Some(fd),
                Cage::CHANNEL => caged.channel = Some(fd),
                other => caged.forwards.push((other, fd)),
            }
        }
        Some(caged)
    }
}

fn wanted(cage: &Cage) -> Vec<SocketAddr> {
    let channel = cage.channel.then_some(Cage::CHANNEL);
    let mut forward = cage.forward.clone();
    forward.sort_unstable();
    forward.dedup();
    [Cage::PROXY].into_iter().chain(channel).chain(forward).collect()
}

/// In a new network namespace: brings up its loopback and listens.
pub(super) fn open(cage: &Cage) -> Result<Vec<OwnedFd>, Snag> {
    let kind = (AddressFamily::Inet, SockType::Datagram);
    let any = socket(kind.0, kind.1, SockFlag::SOCK_CLOEXEC, None)
        .map_err(Snag::of("making a socket in the new network namespace"))?;
    sys::bring_up_loopback(any.as_fd()).map_err(Snag::io("bringing up the loopback device"))?;
    let wanted = wanted(cage);
    if wanted.len() > MOST_FORWARDS {
        return Err(Snag::Asked(format!(
            "no more than {MOST_FORWARDS} endpoints can be forwarded"
        )));
    }
    let listen = |address: SocketAddr| {
        let listener = TcpListener::bind(address);
        let listener = listener.map_err(Snag::io(format!("listening on {address} inside")))?;
        Ok(OwnedFd::from(listener))
    };
    wanted.into_iter().map(listen).collect()
}
