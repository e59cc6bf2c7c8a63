//! A process that is talked with in lines, and that nobody waits for longer than there is time.

use std::{
    ffi::OsString,
    io::{self, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::process::CommandExt,
    },
    path::Path,
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid},
};

/// No message of anybody is as long as this.
const LONGEST_LINE: usize = 16 * 1024 * 1024;
/// What is kept of what it says on standard error.
const TAIL: usize = 16 * 1024;

/// A process in a group of its own.
#[derive(Debug)]
pub(crate) struct Talk {
    child: Child,
    input: Option<ChildStdin>,
    out: Stream<ChildStdout>,
    err: Stream<ChildStderr>,
}

#[derive(Debug)]
struct Stream<T> {
    /// Nothing once its end was reached.
    from: Option<T>,
    bytes: Vec<u8>,
}

/// What came of waiting for a line.
#[derive(Debug)]
pub(crate) enum Heard {
    Line(Vec<u8>),
    /// There will be no more lines.
    End,
    /// The time was up.
    Nothing,
    /// A line without an end.
    TooLong,
}

/// What it took to end it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needed {
    /// That it has nothing more to read.
    End,
    Terminate,
    Kill,
}

impl Talk {
    /// Starts it, with nothing but this environment.
    pub(crate) fn start(
        program: &Path,
        args: &[String],
        env: &[(OsString, OsString)],
        folder: &Path,
    ) -> io::Result<Self> {
        let mut command = Command::new(program);
        command.args(args).env_clear().envs(env.iter().cloned()).current_dir(folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.process_group(0).spawn()?;
        let input = child.stdin.take();
        let out = Stream { from: child.stdout.take(), bytes: Vec::new() };
        let err = Stream { from: child.stderr.take(), bytes: Vec::new() };
        let talk = Self { child, input, out, err };
        if let Some(input) = &talk.input {
            // One that does not read what it is told must not make us wait.
            let flags = fcntl_getfl(input)?;
            fcntl_setfl(input, flags | OFlags::NONBLOCK)?;
        }
        Ok(talk)
    }

    /// Says a line.
    pub(crate) fn say(&mut self, line: &str) -> io::Result<()> {
        let input = self.input.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        input.write_all(format!("{line}\n").as_bytes())
    }

    /// The next line that it says.
    pub(crate) fn hear(&mut self, deadline: Instant) -> Heard {
        let mut looked = 0;
        loop {
            let bytes = &mut self.out.bytes;
            if let Some(end) = bytes[looked..].iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = bytes.drain(..=looked + end).collect();
                line.pop();
                return Heard::Line(line);
            }
            looked = bytes.len();
            if looked > LONGEST_LINE {
                return Heard::TooLong;
            }
            if self.out.from.is_none() {
                return match std::mem::take(bytes) {
                    rest if rest.is_empty() => Heard::End,
                    rest => Heard::Line(rest),
                };
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Heard::Nothing;
            }
            self.listen(left);
        }
    }

    /// Takes in what it says, or waits until it says something, but no longer than that. Whether
    /// there was something.
    fn listen(&mut self, longest: Duration) -> bool {
        let ready = |fds: &mut [PollFd<'_>]| {
            let longest = Timespec::try_from(longest).ok();
            // Whatever is wrong with waiting is met again when reading.
            let _ = poll(fds, longest.as_ref());
            fds.iter().map(|fd| !fd.revents().is_empty()).collect::<Vec<bool>>()
        };
        let fds = [self.out.fd(), self.err.fd()];
        let mut polled: Vec<PollFd<'_>> =
            fds.iter().flatten().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
        let mut ready = ready(&mut polled).into_iter();
        let mut next = |open: bool| open && ready.next().unwrap_or(false);
        let (out, err) = (next(fds[0].is_some()), next(fds[1].is_some()));
        if out {
            self.out.take_in();
        }
        if err {
            self.err.take_in();
            let over = self.err.bytes.len().saturating_sub(TAIL);
            self.err.bytes.drain(..over);
        }
        out || err
    }

    /// The last line that it said on standard error.
    pub(crate) fn last_words(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.err.bytes);
        text.lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_owned)
    }

    /// How it ended, if it does within that time.
    pub(crate) fn ended(&mut self, within: Duration) -> Option<ExitStatus> {
        if !self.has_ended(within) {
            return None;
        }
        // What it said before is still to be heard; others of its group may go on for ever.
        let deadline = Instant::now() + within;
        while self.listen(Duration::ZERO) && Instant::now() < deadline {
            self.out.bytes.clear();
        }
        self.reap()
    }

    /// Ends it as Codex does, and waits for that: it has nothing more to read, then SIGTERM to its
    /// group; and where that is not enough, SIGKILL.
    pub(crate) fn end(mut self) -> Needed {
        const PATIENCE: Duration = Duration::from_secs(2);
        self.input = None;
        let needed = if self.has_ended(PATIENCE) {
            Needed::End
        } else {
            self.signal(Signal::TERM);
            if self.has_ended(PATIENCE) { Needed::Terminate } else { Needed::Kill }
        };
        self.reap();
        needed
    }

    /// Whether it has ended. Its number is still its own then, and that of its group.
    fn has_ended(&mut self, within: Duration) -> bool {
        const LOOK: Duration = Duration::from_millis(2);
        let deadline = Instant::now() + within;
        let Some(pid) = self.pid() else { return true };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        loop {
            // It may go on talking, and nobody listens any more.
            self.out.bytes.clear();
            match waitid(WaitId::Pid(pid), options) {
                Ok(None) if Instant::now() < deadline => drop(self.listen(LOOK)),
                Ok(None) => return false,
                Ok(Some(_)) | Err(_) => return true,
            }
        }
    }

    /// Ends what is left of its group, and then has its number given back.
    fn reap(&mut self) -> Option<ExitStatus> {
        self.signal(Signal::KILL);
        self.child.wait().ok()
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid() {
            let _ = kill_process_group(pid, signal);
        }
    }

    fn pid(&self) -> Option<Pid> {
        Pid::from_raw(self.child.id().cast_signed())
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        // Once it was waited for, its number may be another's.
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            self.reap();
        }
    }
}

impl<T: AsFd + Read> Stream<T> {
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.from.as_ref().map(AsFd::as_fd)
    }

    fn take_in(&mut self) {
        let mut piece = [0; 64 * 1024];
        let Some(from) = &mut self.from else { return };
        match from.read(&mut piece) {
            Ok(0) => self.from = None,
            Ok(read) => self.bytes.extend_from_slice(&piece[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => self.from = None,
        }
    }
}
