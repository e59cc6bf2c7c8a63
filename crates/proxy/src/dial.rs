//! Connecting to one of some addresses, and to nothing else.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpStream},
    os::fd::{AsFd as _, OwnedFd},
    time::Instant,
};

use rustix::{
    event::PollFlags,
    io::Errno,
    net::{AddressFamily, SocketType, connect, sockopt},
};

use crate::wire::Stop;

/// Connects to the first of the addresses that answers.
pub(crate) fn dial(
    addresses: &[IpAddr],
    port: u16,
    until: Instant,
    stop: &Stop,
) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for (at, address) in addresses.iter().enumerate() {
        // Each of those that are left gets its share, so that a silent one does not take all of it.
        let left = until.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - at).unwrap_or(1);
        match dial_one(SocketAddr::new(*address, port), Instant::now() + share, stop) {
            Ok(stream) => return Ok(stream),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Connects to one address; the socket does not block.
pub(crate) fn dial_one(address: SocketAddr, until: Instant, stop: &Stop) -> io::Result<TcpStream> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let socket = socket(family)?;
    match connect(&socket, &address) {
        Ok(()) => {}
        Err(Errno::INPROGRESS) => {
            stop.wait_for(socket.as_fd(), PollFlags::OUT, Some(until))?;
            sockopt::socket_error(&socket)??;
        }
        Err(error) => return Err(error.into()),
    }
    let stream = TcpStream::from(socket);
    // What is relayed was gathered by somebody else already.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// A socket that does not block, and that no program of ours hands on.
#[cfg(target_os = "linux")]
fn socket(family: AddressFamily) -> io::Result<OwnedFd> {
    use rustix::net::{SocketFlags, socket_with};
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(family, SocketType::STREAM, flags, None)?)
}

/// The same in two steps, where it cannot be had in one.
#[cfg(not(target_os = "linux"))]
fn socket(family: AddressFamily) -> io::Result<OwnedFd> {
    let socket = rustix::net::socket(family, SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    Ok(socket)
}
