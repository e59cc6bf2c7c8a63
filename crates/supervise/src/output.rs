//! A stage's output on its way from pipes to its log, byte for byte and once.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout};

use crate::last_line::LastLine;
use crate::launch::{Echo, Ends};
use crate::report::TreeReport;

/// What a pipe is asked to hold; the kernel's usual limit for ordinary users.
const PIPE_SIZE: i32 = 1024 * 1024;
const READ_SIZE: usize = 256 * 1024;
/// Reads in a row before anything else is looked at.
const READS_AT_ONCE: usize = 16;
const BETWEEN_REPORTS: Duration = Duration::from_millis(50);
/// What a pipe or terminal that is ready to be written takes without waiting.
const TAKEN_WITHOUT_WAITING: usize = 4096;

/// Where a stage's output goes.
#[derive(Debug)]
pub struct Output {
    streams: Vec<Stream>,
    log: Option<Log>,
    bytes: u64,
    last_line: LastLine,
    buffer: Vec<u8>,
    told_bytes: u64,
    told_at: Option<Instant>,
}

#[derive(Debug)]
struct Log {
    file: File,
    /// Where it is put back if it is deleted meanwhile.
    path: Option<PathBuf>,
    lost: bool,
}

#[derive(Debug)]
struct Stream {
    pipe: Option<OwnedFd>,
    /// How much may still be read, once nothing new counts.
    left: usize,
    echo: Option<Shown>,
}

#[derive(Debug)]
struct Shown {
    file: File,
    at_once: usize,
    /// What has not been shown yet. While there is any, the pipe is not read, so that a slow
    /// reader slows the stage down as it would without us.
    owed: Vec<u8>,
}

impl Output {
    /// Pipes that end in `log`, from where the file is positioned, and are echoed if wanted.
    pub fn to_log(log: File, echo: Option<Echo>) -> io::Result<(Output, Ends)> {
        let (first, stdout) = pipe()?;
        let (streams, stderr) = match echo {
            // One pipe keeps the order in which the command wrote.
            None => (vec![Stream::new(first, None)], stdout.try_clone()?),
            Some(echo) => {
                let (second, stderr) = pipe()?;
                let shown = |pipe, to| io::Result::Ok(Stream::new(pipe, Some(Shown::new(to)?)));
                (vec![shown(first, echo.stdout)?, shown(second, echo.stderr)?], stderr)
            }
        };
        let log = Log { file: log, path: None, lost: false };
        Ok((Output { streams, log: Some(log), ..Output::none() }, Ends { stdout, stderr }))
    }

    /// No output of ours: the command's descriptors lead elsewhere.
    pub fn none() -> Output {
        Output {
            streams: Vec::new(),
            log: None,
            bytes: 0,
            last_line: LastLine::default(),
            buffer: Vec::new(),
            told_bytes: 0,
            told_at: None,
        }
    }

    /// If the log is deleted while the stage runs, puts it back at `path` when the tree has ended.
    #[must_use]
    pub fn restoring(mut self, path: impl Into<PathBuf>) -> Output {
        if let Some(log) = &mut self.log {
            log.path = Some(path.into());
        }
        self
    }

    /// What to wait for: output to read, or a place to show it that has room again.
    pub(crate) fn waits_for(&self) -> Vec<PollFd<'_>> {
        self.streams.iter().filter_map(Stream::waits_for).collect()
    }

    /// When something will have to be told.
    pub(crate) fn due(&self) -> Option<Instant> {
        let untold = self.bytes > self.told_bytes;
        untold.then(|| self.told_at.map_or_else(Instant::now, |at| at + BETWEEN_REPORTS))
    }

    /// Moves what has come, for a while at most, and tells about it when it is time.
    pub(crate) fn pump(&mut self, report: &mut impl FnMut(TreeReport)) {
        self.move_some(report);
        if self.due().is_some_and(|due| due <= Instant::now()) {
            self.tell(report);
        }
    }

    /// Moves everything that the pipes still hold, and sees to the log. The tree is empty, so
    /// whatever comes after that is not its, should somebody else keep a pipe open.
    pub(crate) fn finish(
        &mut self,
        hurried: impl Fn() -> bool,
        report: &mut impl FnMut(TreeReport),
    ) {
        let mut give_up: Option<Instant> = None;
        for stream in &mut self.streams {
            stream.left = stream.pipe.as_ref().map_or(0, capacity);
        }
        while self.move_some(report) || self.owes() {
            if self.owes() {
                // Whoever asked for the end does not wait for a reader that has gone to sleep.
                if hurried() && give_up.is_none() {
                    give_up = Some(Instant::now() + Duration::from_secs(1));
                }
                if give_up.is_some_and(|at| Instant::now() >= at) {
                    self.streams.iter_mut().for_each(|stream| stream.echo = None);
                    continue;
                }
                let _ = nix::poll::poll(&mut self.waits_for(), PollTimeout::from(100_u8));
            }
        }
        if self.bytes > self.told_bytes {
            self.tell(report);
        }
        if let Some(log) = &mut self.log {
            log.restore(report);
        }
    }

    fn owes(&self) -> bool {
        self.streams.iter().any(|stream| stream.echo.as_ref().is_some_and(|e| !e.owed.is_empty()))
    }

    fn tell(&mut self, report: &mut impl FnMut(TreeReport)) {
        self.told_bytes = self.bytes;
        self.told_at = Some(Instant::now());
        report(TreeReport::Wrote { last_line: self.last_line.shown(), bytes: self.bytes });
    }

    /// True if there is more at once.
    fn move_some(&mut self, report: &mut impl FnMut(TreeReport)) -> bool {
        for at in 0..self.streams.len() {
            // Not to the last byte, to be fair to the other stream and to orders.
            for _ in 0..READS_AT_ONCE {
                if !self.move_once(at, report) {
                    break;
                }
            }
        }
        self.streams.iter().any(Stream::has_more)
    }

    fn move_once(&mut self, at: usize, report: &mut impl FnMut(TreeReport)) -> bool {
        let stream = &mut self.streams[at];
        stream.show();
        if stream.echo.as_ref().is_some_and(|echo| !echo.owed.is_empty()) {
            return false;
        }
        let Some(pipe) = &stream.pipe else { return false };
        if self.buffer.is_empty() {
            self.buffer = vec![0; READ_SIZE];
        }
        let most = stream.left.min(READ_SIZE);
        let length = match nix::unistd::read(pipe, &mut self.buffer[..most]) {
            Ok(0) => {
                stream.pipe = None;
                return false;
            }
            Ok(length) => length,
            Err(Errno::EINTR) => return true,
            Err(Errno::EAGAIN) => return false,
            Err(_) => {
                stream.pipe = None;
                return false;
            }
        };
        stream.left -= length;
        let bytes = &self.buffer[..length];
        self.bytes += length as u64;
        self.last_line.feed(bytes);
        if let Some(log) = &mut self.log {
            log.write(bytes, report);
        }
        if let Some(echo) = &mut stream.echo {
            echo.owed.extend_from_slice(bytes);
        }
        stream.show();
        true
    }
}

impl Stream {
    fn new(pipe: OwnedFd, echo: Option<Shown>) -> Stream {
        Stream { pipe: Some(pipe), left: usize::MAX, echo }
    }

    fn waits_for(&self) -> Option<PollFd<'_>> {
        match (&self.echo, &self.pipe) {
            (Some(echo), _) if !echo.owed.is_empty() => {
                Some(PollFd::new(echo.file.as_fd(), PollFlags::POLLOUT))
            }
            (_, Some(pipe)) => Some(PollFd::new(pipe.as_fd(), PollFlags::POLLIN)),
            (_, None) => None,
        }
    }

    fn has_more(&self) -> bool {
        let Some(pipe) = &self.pipe else { return false };
        let mut fds = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
        let _ = nix::poll::poll(&mut fds, PollTimeout::ZERO);
        fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLIN))
    }

    /// Shows what is owed as far as that does not make anybody wait.
    fn show(&mut self) {
        let Some(echo) = &mut self.echo else { return };
        let mut shown = 0;
        while shown < echo.owed.len() {
            let mut fds = [PollFd::new(echo.file.as_fd(), PollFlags::POLLOUT)];
            if !matches!(nix::poll::poll(&mut fds, PollTimeout::ZERO), Ok(1..)) {
                break;
            }
            let until = (shown + echo.at_once).min(echo.owed.len());
            match echo.file.write(&echo.owed[shown..until]) {
                Ok(length) => shown += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    // Whoever read it is gone. The command learns of it as it would without us;
                    // `yes | head` is not to write until the disk is full.
                    if error.kind() == io::ErrorKind::BrokenPipe {
                        self.pipe = None;
                    }
                    self.echo = None;
                    return;
                }
            }
        }
        echo.owed.drain(..shown);
    }
}

impl Shown {
    fn new(to: OwnedFd) -> io::Result<Shown> {
        let file = File::from(to);
        let kind = file.metadata()?.file_type();
        let may_wait = kind.is_fifo() || kind.is_socket() || kind.is_char_device();
        let at_once = if may_wait { TAKEN_WITHOUT_WAITING } else { READ_SIZE };
        Ok(Shown { file, at_once, owed: Vec::new() })
    }
}

impl Log {
    fn write(&mut self, bytes: &[u8], report: &mut impl FnMut(TreeReport)) {
        if self.lost {
            return;
        }
        // A log with a hole in it would read as if it were whole, so after the first failure
        // nothing more is written.
        if let Err(error) = self.file.write_all(bytes) {
            self.lost = true;
            report(TreeReport::OutputLost { error });
        }
    }

    fn restore(&mut self, report: &mut impl FnMut(TreeReport)) {
        let Some(path) = self.path.clone() else { return };
        if self.file.metadata().is_ok_and(|metadata| metadata.nlink() > 0) {
            return;
        }
        match self.copy_to(&path) {
            Ok(()) => report(TreeReport::LogRestored { path }),
            Err(error) => report(TreeReport::LogNotRestored { path, error }),
        }
    }

    fn copy_to(&self, path: &Path) -> io::Result<()> {
        use std::os::fd::AsRawFd;
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        // Opened anew, because the log may be open for writing only, and reading moves its place.
        let mut from = File::open(format!("/proc/self/fd/{}", self.file.as_raw_fd()))?;
        let mode = from.metadata()?.mode() & 0o777;
        let mut to = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        io::copy(&mut from, &mut to)?;
        Ok(())
    }
}

/// The most that a pipe can hold.
fn capacity(pipe: &OwnedFd) -> usize {
    let size = fcntl(pipe, FcntlArg::F_GETPIPE_SZ).ok();
    size.and_then(|size| usize::try_from(size).ok()).unwrap_or(PIPE_SIZE as usize)
}

/// A pipe that we read without waiting and that the command writes as it likes.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    fcntl(&ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    // A user with very many pipes may not have more large ones; the usual size works as well.
    let _ = fcntl(&ours, FcntlArg::F_SETPIPE_SZ(PIPE_SIZE));
    Ok((ours, theirs))
}
