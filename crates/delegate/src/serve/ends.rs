//! The two ends of a client's stream, as a runtime wants them.

use std::{
    fs::{File, FileType},
    future::pending,
    io,
    os::{
        fd::{AsRawFd, BorrowedFd, OwnedFd},
        unix::{fs::FileTypeExt, net},
    },
};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest},
    net::{
        UnixStream,
        unix::pipe::{OpenOptions, Sender},
    },
};

pub(crate) type Reader = Box<dyn AsyncRead + Send + Unpin>;
pub(crate) type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// Where the client's words come from. Pipes and sockets are polled; whatever else there is (a
/// file, a terminal, `/dev/null`) is read by a thread.
pub(crate) fn reader(input: BorrowedFd<'_>) -> io::Result<Reader> {
    let kind = kind(input)?;
    if kind.is_fifo()
        && let Ok(pipe) = OpenOptions::new().open_receiver(path(input))
    {
        return Ok(Box::new(pipe));
    }
    if kind.is_socket() {
        return Ok(Box::new(socket(input)?));
    }
    Ok(Box::new(tokio::fs::File::from_std(input.try_clone_to_owned()?.into())))
}

/// Where answers go to.
pub(crate) fn writer(output: BorrowedFd<'_>) -> io::Result<Writer> {
    let kind = kind(output)?;
    if kind.is_fifo()
        && let Ok(pipe) = OpenOptions::new().open_sender(path(output))
    {
        return Ok(Box::new(pipe));
    }
    if kind.is_socket() {
        return Ok(Box::new(socket(output)?));
    }
    Ok(Box::new(tokio::fs::File::from_std(output.try_clone_to_owned()?.into())))
}

/// Comes back when nobody can read the answers any more. Only a pipe tells before something is
/// written; who closes a socket mostly closes the input with it.
pub(crate) async fn unread(output: BorrowedFd<'_>) {
    let sender: Option<Sender> = OpenOptions::new().open_sender(path(output)).ok();
    match sender {
        Some(sender) => drop(sender.ready(Interest::ERROR).await),
        None => pending().await,
    }
}

fn kind(end: BorrowedFd<'_>) -> io::Result<FileType> {
    Ok(File::from(end.try_clone_to_owned()?).metadata()?.file_type())
}

/// Opening a pipe once more makes it ours alone: that we do not want to be blocked by it is
/// nothing to those who share it.
fn path(pipe: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", pipe.as_raw_fd())
}

/// A socket cannot be opened once more; see [`AsFound`].
fn socket(end: BorrowedFd<'_>) -> io::Result<UnixStream> {
    let socket = net::UnixStream::from(end.try_clone_to_owned()?);
    socket.set_nonblocking(true)?;
    UnixStream::from_std(socket)
}

/// Leaves a descriptor's mode as it was found, for those who share it.
pub(crate) struct AsFound {
    end: OwnedFd,
    mode: OFlags,
}

impl AsFound {
    pub(crate) fn of(end: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Self { end: end.try_clone_to_owned()?, mode: fcntl_getfl(end)? })
    }
}

impl Drop for AsFound {
    fn drop(&mut self) {
        let _ = fcntl_setfl(&self.end, self.mode);
    }
}
