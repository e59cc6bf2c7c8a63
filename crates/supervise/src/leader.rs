//! Bringing the command's first process to life: in its pen, and waiting for the word.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::unistd::{Gid, Pid, Uid};
use serde::{Deserialize, Serialize};

use crate::plan::Plan;
use crate::proc::{self, Snapshot};
use crate::record::ProcessId;
use crate::report::Exit;
use crate::rung::{Leaf, Pen, Places, Rung, cgroup2, freezer1, pidns};
use crate::sys::{self, Fork};
use crate::wire::{self, Received};

/// What the new process says to the shim.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Step {
    /// It is in its pen.
    Ready,
    /// It could not get there.
    NotHeld(String),
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
}

/// A process that is held and ready to become the command.
pub(crate) struct Leader {
    pub(crate) id: ProcessId,
    pub(crate) pen: Pen,
    /// Closes when the process has become the command; says so if it could not.
    pub(crate) setup: OwnedFd,
    /// Where a namespace's first process tells how the command ended.
    pub(crate) init: Option<OwnedFd>,
}

impl Leader {
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
    lifeline: &OwnedFd,
) -> Result<Leader, String> {
    let pen = match rung {
        Rung::Cgroup2 => Pen::Cgroup2(Leaf::make(&places.cgroup2, name)?),
        Rung::Freezer1 => Pen::Freezer1(Leaf::make(&places.freezer1, name)?),
        Rung::PidNs | Rung::Subreaper => Pen::Subreaper,
    };
    let raised = match (&pen, rung) {
        (_, Rung::PidNs) => in_namespace(outfit, lifeline),
        (Pen::Cgroup2(leaf), _) => beside(|| cgroup2::fork(leaf), outfit, lifeline),
        (Pen::Freezer1(leaf), _) => beside(|| freezer1::fork(leaf), outfit, lifeline),
        _ => beside(|| Ok((sys::fork()?, Ok(()))), outfit, lifeline),
    };
    match raised {
        Ok(Raised { pid, setup, init }) => {
            let id = proc::identify(pid).ok_or("the new process died at once")?;
            let pen = match &init {
                Some((init, _)) => Pen::PidNs { init: *init },
                None => pen,
            };
            Ok(Leader { id, pen, setup, init: init.map(|(_, link)| link) })
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
}

/// Forks the process as the shim's own child.
fn beside(
    fork: impl FnOnce() -> io::Result<(Fork, io::Result<()>)>,
    outfit: &Outfit,
    lifeline: &OwnedFd,
) -> Result<Raised, String> {
    let (setup, theirs) = wire::pair().map_err(|error| error.to_string())?;
    let (fork, entered) = fork().map_err(|error| format!("cannot fork there: {error}"))?;
    let pid = match fork {
        Fork::Child => {
            drop(setup);
            follow(&theirs, entered, outfit)
        }
        Fork::Parent { child } => child,
    };
    drop(theirs);
    match await_ready(&setup, lifeline) {
        Ok(()) => Ok(Raised { pid, setup, init: None }),
        Err(why) => {
            discard(pid);
            Err(why)
        }
    }
}

/// Forks a namespace's first process, and the command's process as its child.
fn in_namespace(outfit: &Outfit, lifeline: &OwnedFd) -> Result<Raised, String> {
    let whole = |error: io::Error| error.to_string();
    let (setup, theirs) = wire::pair().map_err(whole)?;
    let (link, inits) = wire::pair().map_err(whole)?;
    let fork = pidns::fork().map_err(|error| format!("cannot make the namespace: {error}"))?;
    let init = match fork {
        Fork::Child => {
            drop((setup, link));
            be_init(&inits, theirs, outfit)
        }
        Fork::Parent { child } => child,
    };
    drop((theirs, inits));
    let raised = await_ready(&setup, lifeline).and_then(|()| {
        let init = proc::identify(init).ok_or("the namespace died at once")?;
        let below = Snapshot::take().map_err(whole)?.below(init.pid, &[]);
        let leader = below.first().ok_or("the new process died at once")?;
        Ok((leader.id.pid, init))
    });
    match raised {
        Ok((pid, init)) => Ok(Raised { pid, setup, init: Some((init, link)) }),
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

fn await_ready(setup: &OwnedFd, lifeline: &OwnedFd) -> Result<(), String> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match wire::receive::<Step>(setup) {
            Ok(Received::Frame(Step::Ready, _)) => return Ok(()),
            Ok(Received::Frame(Step::NotHeld(why), _)) => return Err(why),
            Ok(Received::Frame(Step::NotStarted(_), _) | Received::Closed) => {
                return Err("the new process died at once".to_owned());
            }
            Ok(Received::Nothing) => {}
            Err(error) => return Err(error.to_string()),
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err("the new process did not get ready in ten seconds".to_owned());
        }
        let mut fds = [
            PollFd::new(setup.as_fd(), PollFlags::POLLIN),
            // Only its end counts: orders wait until there is something to order.
            PollFd::new(lifeline.as_fd(), PollFlags::empty()),
        ];
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let _ = nix::poll::poll(&mut fds, timeout);
        if fds[1].revents().is_some_and(|events| events.contains(PollFlags::POLLHUP)) {
            return Err("the runner is gone".to_owned());
        }
    }
}

/// In the new process: gets ready, waits for the word, becomes the command.
fn follow(setup: &OwnedFd, entered: io::Result<()>, outfit: &Outfit) -> ! {
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
    if wire::send(setup, &Step::Ready, &[]).is_err() {
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
fn be_init(link: &OwnedFd, setup: OwnedFd, outfit: &Outfit) -> ! {
    let settled = (|| {
        nix::unistd::setsid()?;
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        // A shim that died before that line sends no signal any more.
        if let Received::Closed = wire::receive::<Step>(link)? {
            sys::exit(1);
        }
        pidns::settle(outfit.uid, outfit.gid)?;
        sys::fork()
    })();
    let leader = match settled {
        Ok(Fork::Child) => follow(&setup, Ok(()), outfit),
        Ok(Fork::Parent { child }) => child,
        Err(error) => {
            let why = format!("cannot settle in the namespace: {error}");
            let _ = wire::send(&setup, &Step::NotHeld(why), &[]);
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
