//! Bringing the command's first process to life: in its pen, and waiting for the word.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::unistd::{Gid, Pid, Uid};
use serde::{Deserialize, Serialize};

use crate::plan::Plan;
use crate::proc;
use crate::record::ProcessId;
use crate::report::Exit;
use crate::rung::{Leaf, Pen, Places, Rung, cgroup2, freezer1, pidns};
use crate::sandbox::{self, CageReport, Inside, Outside, Snag};
use crate::sys::{self, Fork};
use crate::wire::{self, Received};

/// What the new process says to the shim.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Step {
    /// It is in its pen, and in its cage if it was to be in one.
    Ready(Option<CageReport>),
    /// It could not get into the pen.
    NotHeld(String),
    /// It could not get into the cage.
    NotCaged(Snag),
    /// It could not become the command.
    NotStarted(Exit),
}

/// The shim's answer to [`Step::Ready`].
#[derive(Debug, Serialize, Deserialize)]
struct Go;

/// What the command is given.
pub(crate) struct Outfit {
    pub(crate) plan: Plan,
    /// Standard input, output and error.
    pub(crate) stdio: [OwnedFd; 3],
    pub(crate) uid: Uid,
    pub(crate) gid: Gid,
    /// What confines it, if anything.
    pub(crate) outside: Option<Outside>,
}

/// Whether a cage is made of namespaces, or of what a process can put itself under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CageKind {
    Namespaces,
    OwnProcess,
}

/// Why a process was not raised.
#[derive(Debug)]
pub(crate) enum NotRaised {
    /// The rung does not work.
    NotHeld(String),
    /// The cage does not.
    NotCaged(Snag),
}

impl From<String> for NotRaised {
    fn from(why: String) -> NotRaised {
        NotRaised::NotHeld(why)
    }
}

impl From<&str> for NotRaised {
    fn from(why: &str) -> NotRaised {
        NotRaised::NotHeld(why.to_owned())
    }
}

/// A process that is held and ready to become the command.
pub(crate) struct Leader {
    pub(crate) id: ProcessId,
    pub(crate) pen: Pen,
    /// Closes when the process has become the command; says so if it could not.
    pub(crate) setup: OwnedFd,
    /// A namespace's first process, which is part of the machinery and not of the tree, and where
    /// it tells how the command ended.
    pub(crate) init: Option<(ProcessId, OwnedFd)>,
    /// What confines it, and where it listens inside.
    pub(crate) caged: Option<(CageReport, Vec<OwnedFd>)>,
}

impl Leader {
    /// Ends it before it has become anything.
    pub(crate) fn discard(self) {
        discard(self.init.as_ref().map_or(self.id.pid, |(init, _)| init.pid));
        self.pen.remove();
    }

    /// Lets the process become the command.
    pub(crate) fn go(&self) -> io::Result<()> {
        wire::send(&self.setup, &Go, &[])
    }
}

/// Tries one rung by making the process there.
pub(crate) fn raise(
    rung: Rung,
    places: &Places,
    name: &str,
    outfit: &Outfit,
    kind: CageKind,
    lifeline: &OwnedFd,
) -> Result<Leader, NotRaised> {
    let pen = match rung {
        Rung::Cgroup2 => Pen::Cgroup2(Leaf::make(&places.cgroup2, name)?),
        Rung::Freezer1 => Pen::Freezer1(Leaf::make(&places.freezer1, name)?),
        Rung::PidNs | Rung::Subreaper => Pen::Subreaper,
    };
    let caged = outfit.outside.as_ref().filter(|_| kind == CageKind::Namespaces);
    let flags = caged.map_or(0, sandbox::namespaces);
    let fork = || match (&pen, rung) {
        (Pen::Cgroup2(leaf), _) => cgroup2::fork(leaf, flags),
        (Pen::Freezer1(leaf), _) => freezer1::fork(leaf, flags),
        (_, Rung::PidNs) if caged.is_none() => Ok((pidns::fork()?, Ok(()))),
        _ => Ok((sys::fork_into_namespaces(flags)?, Ok(()))),
    };
    let raised = match (caged, rung) {
        (Some(_), _) | (None, Rung::PidNs) => in_namespace(fork, caged, outfit, lifeline),
        (None, _) => beside(fork, outfit, lifeline),
    };
    let leader = raised.and_then(|Raised { pid, setup, init, caged }| {
        let id = proc::identify(pid).ok_or("the new process died at once")?;
        Ok((id, setup, init, caged))
    });
    match leader {
        Ok((id, setup, init, caged)) => {
            let pen = match (&init, rung) {
                (Some((init, _)), Rung::PidNs) => Pen::PidNs { init: *init },
                _ => pen,
            };
            Ok(Leader { id, pen, setup, init, caged })
        }
        Err(why) => {
            pen.remove();
            Err(why)
        }
    }
}

struct Raised {
    pid: i32,
    setup: OwnedFd,
    init: Option<(ProcessId, OwnedFd)>,
    caged: Option<(CageReport, Vec<OwnedFd>)>,
}

/// Forks the process as the shim's own child.
fn beside(
    fork: impl FnOnce() -> io::Result<(Fork, io::Result<()>)>,
    outfit: &Outfit,
    lifeline: &OwnedFd,
) -> Result<Raised, NotRaised> {
    let (setup, theirs) = wire::pair().map_err(|error| error.to_string())?;
    let shim = proc::myself();
    let (fork, entered) = fork().map_err(|error| format!("cannot fork there: {error}"))?;
    let pid = match fork {
        Fork::Child => {
            drop(setup);
            follow(&theirs, entered, outfit, &Inside::nothing(), shim)
        }
        Fork::Parent { child } => child,
    };
    drop(theirs);
    match await_ready(&setup, lifeline) {
        Ok(caged) => Ok(Raised { pid, setup, init: None, caged }),
        Err(why) => {
            discard(pid);
            Err(why)
        }
    }
}

/// Forks a namespace's first process, and the command's process as its child.
fn in_namespace(
    fork: impl FnOnce() -> io::Result<(Fork, io::Result<()>)>,
    caged: Option<&Outside>,
    outfit: &Outfit,
    lifeline: &OwnedFd,
) -> Result<Raised, NotRaised> {
    let whole = |error: io::Error| error.to_string();
    let (setup, theirs) = wire::pair().map_err(whole)?;
    let (link, inits) = wire::pair().map_err(whole)?;
    let shim = proc::myself();
    let (fork, entered) = fork().map_err(|error| match caged {
        Some(_) => NotRaised::NotCaged(Snag::no_namespaces(&error)),
        None => NotRaised::NotHeld(format!("cannot make the namespace: {error}")),
    })?;
    let init = match fork {
        Fork::Child => {
            drop((setup, link));
            be_init(&inits, theirs, entered, outfit, caged, shim)
        }
        Fork::Parent { child } => child,
    };
    drop((theirs, inits));
    let raised = await_ready(&setup, lifeline).and_then(|caged| {
        let init = proc::identify(init).ok_or("the namespace died at once")?;
        let leader = proc::first_child(init.pid).map_err(whole)?;
        let leader = leader.ok_or("the new process died at once")?;
        Ok((leader, init, caged))
    });
    match raised {
        Ok((pid, init, caged)) => Ok(Raised { pid, setup, init: Some((init, link)), caged }),
        Err(why) => {
            discard(init);
            Err(why)
        }
    }
}

/// Kills and reaps a child that came to nothing.
fn discard(child: i32) {
    let _ = nix::sys::signal::kill(Pid::from_raw(child), Signal::SIGKILL);
    sys::reap(child, sys::Patience::UntilOneEnds);
}

fn await_ready(
    setup: &OwnedFd,
    lifeline: &OwnedFd,
) -> Result<Option<(CageReport, Vec<OwnedFd>)>, NotRaised> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match wire::receive::<Step>(setup) {
            Ok(Received::Frame(Step::Ready(report), fds)) => {
                return Ok(report.map(|report| (report, fds)));
            }
            Ok(Received::Frame(Step::NotHeld(why), _)) => return Err(why.into()),
            Ok(Received::Frame(Step::NotCaged(snag), _)) => return Err(NotRaised::NotCaged(snag)),
            Ok(Received::Frame(Step::NotStarted(_), _) | Received::Closed) => {
                return Err("the new process died at once".into());
            }
            Ok(Received::Nothing) => {}
            Err(error) => return Err(error.to_string().into()),
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err("the new process did not get ready in ten seconds".into());
        }
        let mut fds = [
            PollFd::new(setup.as_fd(), PollFlags::POLLIN),
            // Only its end counts: orders wait until there is something to order.
            PollFd::new(lifeline.as_fd(), PollFlags::empty()),
        ];
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let _ = nix::poll::poll(&mut fds, timeout);
        if fds[1].revents().is_some_and(|events| events.contains(PollFlags::POLLHUP)) {
            return Err("the runner is gone".into());
        }
    }
}

/// In the new process: gets ready, waits for the word, becomes the command.
fn follow(
    setup: &OwnedFd,
    entered: io::Result<()>,
    outfit: &Outfit,
    inside: &Inside,
    shim: i32,
) -> ! {
    let _ = nix::unistd::setsid();
    let ready = entered.and_then(|()| {
        let [stdin, stdout, stderr] = &outfit.stdio;
        nix::unistd::dup2_stdin(stdin)?;
        nix::unistd::dup2_stdout(stdout)?;
        nix::unistd::dup2_stderr(stderr)?;
        Ok(())
    });
    if let Err(error) = ready {
        let _ = wire::send(setup, &Step::NotHeld(format!("cannot enter: {error}")), &[]);
        sys::exit(1);
    }
    let lock_up = |outside| sandbox::lock_up(outside, inside, outfit.uid, shim);
    let caged = match outfit.outside.as_ref().map(lock_up).transpose() {
        Ok(caged) => caged,
        Err(snag) => {
            let _ = wire::send(setup, &Step::NotCaged(snag), &[]);
            sys::exit(1);
        }
    };
    let listeners: Vec<BorrowedFd<'_>> = inside.listeners.iter().map(AsFd::as_fd).collect();
    if wire::send(setup, &Step::Ready(caged), &listeners).is_err() {
        sys::exit(1);
    }
    let mut fds = [PollFd::new(setup.as_fd(), PollFlags::POLLIN)];
    loop {
        match wire::receive::<Go>(setup) {
            Ok(Received::Frame(Go, _)) => break,
            Ok(Received::Nothing) => {
                let _ = nix::poll::poll(&mut fds, PollTimeout::NONE);
            }
            // The shim died before it gave the word, so nobody will know of this process.
            Ok(Received::Closed) | Err(_) => sys::exit(1),
        }
    }
    sys::close_on_exec_from_3();
    sys::restore_default_signals();
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
    let exit = outfit.plan.exec();
    let code = if let Exit::NotStarted { code, .. } = &exit { *code } else { 127 };
    let _ = wire::send(setup, &Step::NotStarted(exit), &[]);
    sys::exit(code)
}

/// In a namespace's first process: forks the command's, reaps what is re-parented to it, and
/// tells how the command ended. It ends when nobody is left.
fn be_init(
    link: &OwnedFd,
    setup: OwnedFd,
    entered: io::Result<()>,
    outfit: &Outfit,
    caged: Option<&Outside>,
    shim: i32,
) -> ! {
    let settled = (|| {
        let unsettled = |error: io::Error| format!("cannot settle in the namespace: {error}");
        entered.map_err(|error| format!("cannot enter: {error}"))?;
        nix::unistd::setsid().map_err(io::Error::from).map_err(unsettled)?;
        let inside = match caged {
            Some(outside) => {
                sandbox::settle(outside, outfit.uid, outfit.gid).map_err(NotRaised::NotCaged)?
            }
            None => {
                pidns::settle(outfit.uid, outfit.gid).map_err(unsettled)?;
                Inside::nothing()
            }
        };
        // Last, because giving up anything takes it back.
        prctl::set_pdeathsig(Signal::SIGKILL).map_err(io::Error::from).map_err(unsettled)?;
        // A shim that died before that line sends no signal any more.
        if let Received::Closed = wire::receive::<Step>(link).map_err(unsettled)? {
            sys::exit(1);
        }
        Ok((sys::fork().map_err(unsettled)?, inside))
    })();
    let leader = match settled {
        Ok((Fork::Child, inside)) => follow(&setup, Ok(()), outfit, &inside, shim),
        Ok((Fork::Parent { child }, _)) => child,
        Err(why) => {
            let step = match why {
                NotRaised::NotHeld(why) => Step::NotHeld(why),
                NotRaised::NotCaged(snag) => Step::NotCaged(snag),
            };
            let _ = wire::send(&setup, &step, &[]);
            sys::exit(1);
        }
    };
    drop(setup);
    sys::close_all_but(&[link.as_raw_fd()]);
    loop {
        match sys::reap(sys::ANY, sys::Patience::UntilOneEnds) {
            sys::Reaped::Ended { pid, exit } if pid == leader => {
                let _ = wire::send(link, &exit, &[]);
            }
            sys::Reaped::Ended { .. } | sys::Reaped::NoneYet => {}
            sys::Reaped::NoChild => sys::exit(0),
        }
    }
}
