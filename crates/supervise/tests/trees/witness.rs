//! A pipe whose other end every process of a tree holds: what comes out of it says who ticks,
//! and its end says that all of them are dead, whoever they are.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::stat::Mode;

use crate::bench::LONG;

/// What each process of the hostile tree says.
pub(crate) const KINDS: [&str; 6] = ["child", "daemon", "forker", "leader", "scrubbed", "session"];

pub(crate) struct Witness {
    pipe: File,
    line: Vec<u8>,
}

impl Witness {
    /// A pipe with a name in `dir`, so that a runner elsewhere can open it for its stage.
    pub(crate) fn in_dir(dir: &Path) -> Witness {
        let path = dir.join("witness");
        nix::unistd::mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).expect("a named pipe");
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let pipe = nix::fcntl::open(&path, flags, Mode::empty()).expect("a reader");
        Witness { pipe: pipe.into(), line: Vec::new() }
    }

    /// The end for the stage.
    pub(crate) fn end_in(dir: &Path) -> OwnedFd {
        File::options().write(true).open(dir.join("witness")).expect("a writer").into()
    }

    /// Waits until every kind of process has been heard.
    #[track_caller]
    pub(crate) fn hears_everybody(&mut self) {
        self.hears_all(BTreeSet::from(KINDS));
    }

    #[track_caller]
    pub(crate) fn hears(&mut self, name: &str) {
        self.hears_all(BTreeSet::from([name]));
    }

    #[track_caller]
    fn hears_all(&mut self, mut missing: BTreeSet<&str>) {
        while !missing.is_empty() {
            assert!(self.waits(LONG), "still missing: {missing:?}");
            let heard = self.take().expect("they live");
            for name in String::from_utf8_lossy(&heard).lines() {
                missing.remove(name);
            }
        }
    }

    /// What has been said since the last time, in whole lines. `None` when all are dead.
    pub(crate) fn take(&mut self) -> Option<Vec<u8>> {
        let mut bytes = [0; 65536];
        loop {
            match self.pipe.read(&mut bytes) {
                Ok(0) => return None,
                Ok(length) => self.line.extend_from_slice(&bytes[..length]),
                Err(_) => break,
            }
        }
        let whole = self.line.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        Some(self.line.drain(..whole).collect())
    }

    /// Waits until nobody is left.
    #[track_caller]
    pub(crate) fn hears_the_end(&mut self) {
        while self.take().is_some() {
            assert!(self.waits(LONG), "somebody lives and says nothing");
        }
    }

    pub(crate) fn is_over(&mut self) -> bool {
        self.take().is_none()
    }

    fn waits(&self, patience: std::time::Duration) -> bool {
        let mut fds = [PollFd::new(self.pipe.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(patience).expect("short enough");
        matches!(nix::poll::poll(&mut fds, timeout), Ok(1..))
    }
}
