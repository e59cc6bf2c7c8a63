//! The runner's handle on its guard.

mod process;

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::prctl;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use crate::hold::Hold;
use crate::launch::{Launch, LaunchError, Stdin};
use crate::loopback;
use crate::plan::Plan;
use crate::proc;
use crate::record::{Mark, ProcessId, TreeRecord};
use crate::rung::{Rung, RungChoice};
use crate::sandbox::{Cage, Caged};
use crate::sys;
use crate::tree::Tree;
use crate::wire::{self, NotLaunched, Received, Start, Word};

pub use process::become_guard_if_asked;
pub(crate) use process::leaf_prefix;

/// How long a guard may take to bring up a shim before it counts as hung.
const LONGEST_START: Duration = Duration::from_secs(10);

/// How long a guard may take to end, in milliseconds, with what is left of its trees.
const LONGEST_END: u16 = 2000;

/// What lets this process hold process trees: one guard process beside it, which is started
/// again when it was killed.
///
/// Becoming this process's subreaper is part of it: what two simultaneous kills leave of a tree
/// comes to the runner, which ends it. The runner never waits for children that are not its own
/// trees'.
#[derive(Debug)]
pub struct Guard {
    shared: Arc<Shared>,
}

/// What a guard and its trees know together.
#[derive(Debug)]
pub(crate) struct Shared {
    trees: Hold,
    pub(crate) mark: Mark,
    rungs: Mutex<Vec<Rung>>,
    link: Mutex<Link>,
    /// Shims that are alive as far as anybody knows; what is below them is in good hands.
    pub(crate) shims: Mutex<HashSet<ProcessId>>,
    next_tree: AtomicU64,
    boot_id: String,
    pid_namespace: u64,
}

/// One guard process.
#[derive(Debug)]
struct Link {
    socket: OwnedFd,
    child: Child,
    id: ProcessId,
}

impl Guard {
    /// Starts the guard. `trees` is the lock that says that trees of this run live; guard and
    /// shims keep it until the last of them is gone.
    pub fn start(trees: Hold, mark: Mark, rungs: RungChoice) -> io::Result<Guard> {
        prctl::set_child_subreaper(true)?;
        let link = Link::start(&trees)?;
        let shared = Shared {
            trees,
            mark,
            rungs: Mutex::new(rungs.candidates()),
            link: Mutex::new(link),
            shims: Mutex::default(),
            next_tree: AtomicU64::new(1),
            boot_id: proc::boot_id()?,
            pid_namespace: proc::pid_namespace()?,
        };
        Ok(Guard { shared: Arc::new(shared) })
    }

    /// Whether whoever connected a UNIX socket is a process of this user's in one of the trees: one
    /// that descends from those who hold them, whatever it says of itself.
    pub fn peer_is_within(&self, socket: &impl AsFd) -> io::Result<bool> {
        let peer = getsockopt(socket, PeerCredentials)?;
        if peer.uid() != nix::unistd::geteuid().as_raw() || peer.pid() <= 0 {
            return Ok(false);
        }
        let shims = locked(&self.shared.shims).clone();
        let guard = self.shared.guard();
        let above = proc::line_of(peer.pid()).into_iter().filter_map(proc::identify);
        Ok(above.into_iter().any(|id| id == guard || shims.contains(&id)))
    }

    /// The process that holds the tree of whoever is at the other end of that socket; none where it
    /// is in no tree of this guard's.
    pub fn holder_of_peer(&self, socket: &impl AsFd) -> io::Result<Option<ProcessId>> {
        let peer = getsockopt(socket, PeerCredentials)?;
        if peer.uid() != nix::unistd::geteuid().as_raw() || peer.pid() <= 0 {
            return Ok(None);
        }
        let shims = locked(&self.shared.shims).clone();
        let mut above = proc::line_of(peer.pid()).into_iter().filter_map(proc::identify);
        Ok(above.find(|id| shims.contains(id)))
    }

    /// Whether whoever connected a socket of TCP is a process in one of the trees: one that
    /// descends from those who hold them has the other end.
    ///
    /// To be asked before anything is read, while the other end is still open.
    pub fn caller_is_within(&self, stream: &std::net::TcpStream) -> io::Result<bool> {
        let shims = locked(&self.shared.shims).clone();
        let found = proc::Snapshot::take()?;
        let within = shims.iter().flat_map(|shim| found.below(shim.pid, &[]));
        let within: Vec<i32> = within.map(|seen| seen.id.pid).collect();
        loopback::holds_other_end(stream, &within)
    }

    /// Starts a command as a tree of its own. It comes back when the command's process is held;
    /// whether it could become the command is told by [`Tree::watch`].
    pub fn launch(&self, launch: Launch) -> Result<Tree, LaunchError> {
        let shared = &self.shared;
        let plan = Plan::of(&launch, &shared.mark)?;
        let cage = launch.cage;
        let stdin = match launch.stdin {
            Stdin::Null => File::open("/dev/null")?.into(),
            Stdin::Inherit(stdin) => stdin,
        };
        let stdio = [stdin, launch.stdout, launch.stderr];
        let start = || Start {
            tree: shared.next_tree.fetch_add(1, Ordering::Relaxed),
            rungs: locked(&shared.rungs).clone(),
            brand: shared.mark.number(),
            grace_ms: launch.grace.as_millis() as u64,
        };
        let mut last = io::Error::from(io::ErrorKind::TimedOut);
        // A guard that was killed is replaced, and so is one that hangs. A command cannot begin
        // before its shim's first word is out, so nothing is started twice.
        for _ in 0..3 {
            match self.try_launch(&start(), &plan, &stdio, cage.as_ref()) {
                Ok(tree) => return Ok(tree),
                Err(LaunchError::System(error)) => last = error,
                Err(other) => return Err(other),
            }
        }
        Err(LaunchError::System(last))
    }

    fn try_launch(
        &self,
        start: &Start,
        plan: &Plan,
        stdio: &[OwnedFd; 3],
        cage: Option<&Cage>,
    ) -> Result<Tree, LaunchError> {
        let shared = &self.shared;
        let (to_shim, shims) = wire::pair()?;
        let (to_guard, guards) = wire::pair()?;
        let memory = plan.to_memory()?;
        let [stdin, stdout, stderr] = stdio;
        let fds = [
            shims.as_fd(),
            guards.as_fd(),
            memory.as_fd(),
            stdin.as_fd(),
            stdout.as_fd(),
            stderr.as_fd(),
        ];
        let guard = {
            let mut link = locked(&shared.link);
            if wire::send(&link.socket, start, &fds).is_err() {
                link.replace(&shared.trees)?;
                wire::send(&link.socket, start, &fds)?;
            }
            link.id
        };
        drop((shims, guards));
        let (word, listeners) = match first_word(&to_shim)? {
            Some(first) => first,
            None => {
                // Whether the guard died, or hangs, or only the shim was killed: a new guard
                // is right for all, and the trees of the old one live on.
                shared.replace_guard(guard)?;
                return Err(io::Error::from(io::ErrorKind::ConnectionAborted).into());
            }
        };
        match word {
            Word::Launched { shim, leader, rung, cgroup, cage: report } => {
                let caged = match (cage, report) {
                    (None, _) => None,
                    (Some(cage), Some(report)) => Caged::of(cage, report, listeners),
                    (Some(_), None) => None,
                };
                if cage.is_some() && caged.is_none() {
                    let why = "the process that holds the tree does not say what confines it";
                    return Err(io::Error::other(why).into());
                }
                // What did not work once is not tried again.
                let mut rungs = locked(&shared.rungs);
                let works = rungs.iter().position(|other| *other == rung).unwrap_or_default();
                rungs.drain(..works);
                drop(rungs);
                locked(&shared.shims).insert(shim);
                let record = TreeRecord {
                    guard,
                    shim,
                    leader,
                    rung,
                    cgroup,
                    boot_id: shared.boot_id.clone(),
                    pid_namespace: shared.pid_namespace,
                    uid: nix::unistd::geteuid().as_raw(),
                };
                Ok(Tree::new(record, caged, to_shim, to_guard, Arc::clone(shared))?)
            }
            Word::NotLaunched(why) => Err(match why {
                NotLaunched::NotHeld(why) => LaunchError::NotHeld(why),
                NotLaunched::NotCaged(refused) => LaunchError::NotCaged(refused),
                NotLaunched::BadCage(why) => LaunchError::BadCage(why),
            }),
            other => Err(io::Error::other(format!("unexpected word {other:?}")).into()),
        }
    }
}

/// The shim's first word, and what came with it. `None` if it will not come.
fn first_word(from: &OwnedFd) -> io::Result<Option<(Word, Vec<OwnedFd>)>> {
    let deadline = Instant::now() + LONGEST_START;
    loop {
        match wire::receive(from)? {
            Received::Frame(word, fds) => return Ok(Some((word, fds))),
            Received::Closed => return Ok(None),
            Received::Nothing => {}
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        let mut fds = [PollFd::new(from.as_fd(), PollFlags::POLLIN)];
        let _ = nix::poll::poll(&mut fds, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX));
    }
}

impl Shared {
    /// Ends the guard that is `old`, if it still is the current one, and starts another.
    pub(crate) fn replace_guard(&self, old: ProcessId) -> io::Result<()> {
        let mut link = locked(&self.link);
        if link.id == old { link.replace(&self.trees) } else { Ok(()) }
    }

    /// The current guard's process.
    pub(crate) fn guard(&self) -> ProcessId {
        locked(&self.link).id
    }
}

impl Link {
    fn start(trees: &Hold) -> io::Result<Link> {
        let (socket, theirs) = wire::pair()?;
        let mut command = Command::new("/proc/self/exe");
        command.arg(process::WORD).env_clear();
        command.stdin(theirs).stdout(trees.as_fd().try_clone_to_owned()?).stderr(Stdio::null());
        let child = sys::in_own_session(&mut command).spawn()?;
        let pid = child.id() as i32;
        let id = proc::identify(pid).unwrap_or(ProcessId { pid, start_time: 0 });
        Ok(Link { socket, child, id })
    }

    /// A killed guard's shims and their trees come to this process, and live on.
    fn replace(&mut self, trees: &Hold) -> io::Result<()> {
        let _ = self.child.kill();
        let _ = self.child.wait();
        *self = Link::start(trees)?;
        Ok(())
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let link = self.link.get_mut().unwrap_or_else(PoisonError::into_inner);
        // The guard ends when its link does, after the trees that are left, if any.
        let _ = nix::sys::socket::shutdown(
            std::os::fd::AsRawFd::as_raw_fd(&link.socket),
            nix::sys::socket::Shutdown::Both,
        );
        // Every short run ends here, so the kernel says when, rather than a look each millisecond.
        if let Ok(guard) = sys::pidfd_open(link.id.pid) {
            let mut ended = [PollFd::new(guard.as_fd(), PollFlags::POLLIN)];
            let _ = nix::poll::poll(&mut ended, PollTimeout::from(LONGEST_END));
        }
        if let Ok(None) = link.child.try_wait() {
            let _ = link.child.kill();
            let _ = link.child.wait();
        }
    }
}

/// What a thread that panicked left behind is still true: each of these is changed in one step.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
