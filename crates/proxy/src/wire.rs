//! Sockets that are waited for no longer than until a time, or until whoever owns them stops.

use std::{
    io::{self, Read as _, Write as _},
    net::TcpStream,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    sync::Arc,
    time::Instant,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The end of a socket pair that is closed to stop everybody who waits.
#[derive(Clone, Debug)]
pub(crate) struct Stop(Arc<UnixStream>);

/// What closes it.
#[derive(Debug)]
pub(crate) struct Stopper {
    _ours: UnixStream,
}

/// A way to stop, and what is told.
pub(crate) fn stopping() -> io::Result<(Stopper, Stop)> {
    let (ours, theirs) = UnixStream::pair()?;
    Ok((Stopper { _ours: ours }, Stop(Arc::new(theirs))))
}

/// Why nobody waits any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    Ready,
    Late,
    Stopped,
}

impl Stop {
    /// To be waited for beside others.
    pub(crate) fn to_poll(&self) -> PollFd<'_> {
        PollFd::from_borrowed_fd(self.0.as_fd(), PollFlags::IN)
    }

    /// Waits for any of some sockets; what they are ready for stands in them then.
    pub(crate) fn wait<'a>(
        &'a self,
        fds: &mut Vec<PollFd<'a>>,
        until: Option<Instant>,
    ) -> io::Result<Woken> {
        let own = self.0.as_fd();
        loop {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            let left = left.and_then(|left| Timespec::try_from(left).ok());
            fds.push(PollFd::from_borrowed_fd(own, PollFlags::IN));
            let polled = poll(fds, left.as_ref());
            let stopped = fds.pop().is_some_and(|stop| !stop.revents().is_empty());
            match polled {
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
                Ok(_) if stopped => return Ok(Woken::Stopped),
                Ok(0) => return Ok(Woken::Late),
                Ok(_) => return Ok(Woken::Ready),
            }
        }
    }

    /// Waits for one socket to be ready for that.
    pub(crate) fn wait_for<'a>(
        &'a self,
        fd: BorrowedFd<'a>,
        what: PollFlags,
        until: Option<Instant>,
    ) -> io::Result<()> {
        let mut fds = vec![PollFd::from_borrowed_fd(fd, what)];
        match self.wait(&mut fds, until)? {
            Woken::Ready => Ok(()),
            Woken::Late => Err(io::ErrorKind::TimedOut.into()),
            Woken::Stopped => Err(io::ErrorKind::Interrupted.into()),
        }
    }
}

/// A socket that does not block, with those who make its reader stop.
#[derive(Debug)]
pub(crate) struct Wire<'a> {
    pub(crate) stream: &'a TcpStream,
    pub(crate) stop: &'a Stop,
}

impl Wire<'_> {
    /// Reads what there is, but at least something. Nothing is the other end's end.
    pub(crate) fn read(&self, buffer: &mut [u8], until: Instant) -> io::Result<usize> {
        let mut stream = self.stream;
        loop {
            match stream.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.stop.wait_for(stream.as_fd(), PollFlags::IN, Some(until))?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }

    /// Writes all of it.
    pub(crate) fn write(&self, mut bytes: &[u8], until: Instant) -> io::Result<()> {
        let mut stream = self.stream;
        while !bytes.is_empty() {
            match stream.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.stop.wait_for(stream.as_fd(), PollFlags::OUT, Some(until))?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
