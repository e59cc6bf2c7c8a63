//! A server of the user's at work for a thread: a program that is held here, or one that is somewhere
//! else and reached by HTTP.

use std::{
    env,
    io::{self, BufReader, PipeReader, PipeWriter},
    os::fd::{AsFd, BorrowedFd},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use afar::Remote;
use engine::{Across, EngineError, Held};
use supervise::TreeControl;

use crate::surroundings::Surroundings;

/// How long it may take to take leave of a server that is somewhere else.
const LEAVE: Duration = Duration::from_secs(3);

/// A server that can be spoken with. It ends with this.
pub(super) enum Server {
    Here(Box<Held>),
    Afar(Afar),
}

/// One that is somewhere else.
pub(super) struct Afar {
    /// What it hears; closed before anything else, so that whoever relays is at its end.
    to: Option<PipeWriter>,
    from: PipeReader,
    /// Nothing is sent; it is closed when whoever relays has taken leave.
    ended: Receiver<()>,
}

impl Server {
    pub(super) fn begun(across: &Across) -> Result<Self, EngineError> {
        let variable = |name: &str| env::var(name).ok();
        let Some((url, headers)) = across.remote(variable)? else {
            return Ok(Self::Here(Box::new(across.start(Surroundings::env())?)));
        };
        let failed = EngineError::Supervision;
        let (heard, to) = io::pipe().map_err(failed)?;
        let (from, told) = io::pipe().map_err(failed)?;
        let complain = across.complaints()?;
        let (over, ended) = mpsc::channel();
        thread::spawn(move || {
            afar::relay(Remote { url, headers }, BufReader::new(heard), told, complain);
            drop::<mpsc::Sender<()>>(over);
        });
        Ok(Self::Afar(Afar { to: Some(to), from, ended }))
    }

    /// What it reads, and where it writes.
    pub(super) fn ends(&self) -> (BorrowedFd<'_>, BorrowedFd<'_>) {
        match self {
            Self::Here(held) => (held.stdin.as_fd(), held.stdout.as_fd()),
            Self::Afar(Afar { to, from, .. }) => {
                (to.as_ref().expect("it is closed with this").as_fd(), from.as_fd())
            }
        }
    }

    /// What stops its processes where they are, of one that has some here.
    pub(super) fn control(&self) -> Option<TreeControl> {
        match self {
            Self::Here(held) => Some(held.tree.control()),
            Self::Afar(_) => None,
        }
    }

    /// How it ended before it answered, in words.
    pub(super) fn how(&self) -> String {
        match self {
            Self::Here(held) => held.tree.how(),
            Self::Afar(_) => "nobody could speak with it".to_owned(),
        }
    }
}

impl Drop for Afar {
    fn drop(&mut self) {
        self.to = None;
        let _ = self.ended.recv_timeout(LEAVE);
    }
}
