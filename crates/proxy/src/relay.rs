//! Bytes both ways between two sockets, until both have said all, or neither says anything.

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, TcpStream},
    os::fd::AsFd as _,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags};

use crate::wire::{Stop, Woken};

/// How much is held of either way.
const BUFFER: usize = 64 * 1024;

/// What a relay may cost.
#[derive(Debug)]
pub(crate) struct Toll<'a> {
    /// Bytes that went to the other side so far, by all connections.
    pub(crate) sent: &'a AtomicU64,
    /// Bytes that came from there.
    pub(crate) received: &'a AtomicU64,
    /// How many bytes there may be in all.
    pub(crate) most: Option<u64>,
    /// How long nobody may say anything.
    pub(crate) idle: Duration,
}

/// How a relay came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// One side or both had said all.
    Over,
    /// Nobody said anything any more.
    Idle,
    /// There were as many bytes as there may be.
    Spent,
    /// It was stopped.
    Stopped,
}

/// One way.
struct Way<'a> {
    from: &'a TcpStream,
    to: &'a TcpStream,
    buffer: Vec<u8>,
    start: usize,
    /// How many bytes more are taken from where it begins.
    left: Option<u64>,
    /// Whether where it begins has said all.
    heard: bool,
    /// Whether where it leads to knows that.
    told: bool,
    counted: &'a AtomicU64,
}

impl Way<'_> {
    fn is_empty(&self) -> bool {
        self.start == self.buffer.len()
    }

    fn wants_more(&self) -> bool {
        !self.heard && self.is_empty() && self.left != Some(0)
    }

    /// Moves what can be moved; whether anything was.
    fn turn(&mut self) -> io::Result<bool> {
        let mut moved = false;
        loop {
            if self.wants_more() {
                let most = self.left.map_or(BUFFER, |left| usize::try_from(left).unwrap_or(BUFFER));
                self.buffer.resize(most.min(BUFFER), 0);
                self.start = 0;
                let mut from = self.from;
                let read = from.read(&mut self.buffer);
                self.buffer.truncate(*read.as_ref().unwrap_or(&0));
                match read {
                    Ok(0) => self.heard = true,
                    Ok(count) => {
                        let count = u64::try_from(count).unwrap_or_default();
                        self.left = self.left.map(|left| left - count);
                        self.counted.fetch_add(count, Ordering::Relaxed);
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(moved),
                    Err(error) => return Err(error),
                }
                moved = true;
            }
            if self.is_empty() {
                // What has no more than its number of bytes ends with them, without another word.
                if self.heard && !self.told {
                    self.told = true;
                    let _ = self.to.shutdown(Shutdown::Write);
                }
                return Ok(moved);
            }
            let mut to = self.to;
            match to.write(&self.buffer[self.start..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.start += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(moved),
                Err(error) => return Err(error),
            }
            moved = true;
        }
    }
}

/// Relays between a client and a server, neither of which blocks. From the client no more than `body`
/// bytes are taken, if that is said, and it is then over when the server has said all.
pub(crate) fn relay(
    client: &TcpStream,
    server: &TcpStream,
    body: Option<u64>,
    toll: &Toll<'_>,
    stop: &Stop,
) -> io::Result<End> {
    let way = |from, to, left, counted| Way {
        from,
        to,
        buffer: Vec::new(),
        start: 0,
        left,
        heard: false,
        told: false,
        counted,
    };
    let mut up = way(client, server, body, toll.sent);
    let mut down = way(server, client, None, toll.received);
    let mut until = Instant::now() + toll.idle;
    loop {
        let moved = up.turn()? | down.turn()?;
        let all = || toll.sent.load(Ordering::Relaxed) + toll.received.load(Ordering::Relaxed);
        if toll.most.is_some_and(|most| all() > most) {
            return Ok(End::Spent);
        }
        if down.told && (up.told || body.is_some()) {
            return Ok(End::Over);
        }
        if moved {
            until = Instant::now() + toll.idle;
        }
        let flags = |reading: &Way<'_>, writing: &Way<'_>| {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, reading.wants_more());
            flags.set(PollFlags::OUT, !writing.is_empty());
            flags
        };
        let at_server = flags(&down, &up);
        let mut fds = vec![PollFd::from_borrowed_fd(client.as_fd(), flags(&up, &down))];
        // Once it has closed it is always ready, also while nobody wants anything of it.
        if !at_server.is_empty() {
            fds.push(PollFd::from_borrowed_fd(server.as_fd(), at_server));
        }
        match stop.wait(&mut fds, Some(until))? {
            Woken::Stopped => return Ok(End::Stopped),
            Woken::Late => return Ok(End::Idle),
            Woken::Ready => {}
        }
        // Who hangs up reads nothing any more.
        let hung_up = fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP);
        if hung_up && !up.wants_more() {
            return Ok(End::Over);
        }
    }
}
