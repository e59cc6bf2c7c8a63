//! The guard's own process: forks shims, and takes over the tree of one that was killed.
//!
//! It has one thread, no runtime and no memory of what stages are, so that a fork of it is
//! cheap and may do anything.

use std::io;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::prctl;
use nix::sys::signalfd::SignalFd;

use crate::hunt::{Bag, hunt};
use crate::proc::{self, Snapshot};
use crate::report::Exit;
use crate::rung::{Leaf, Pen, Places};
use crate::shim::{self, Task};
use crate::sys::{self, Fork, Patience, Reaped};
use crate::wire::{self, Cleared, NotLaunched, Received, START_FDS, Start, Word};

/// The argument that makes this program a guard.
pub(super) const WORD: &str = "__guard";

/// How long shims may take to end their trees when the runner is gone.
const PATIENCE_WITH_SHIMS: Duration = Duration::from_millis(500);

/// To be called first in `main`: if this process was started to be a guard, it becomes one and
/// does not come back.
pub fn become_guard_if_asked() {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|word| word == WORD) && args.next().is_none() {
        let code = i32::from(run().is_err());
        sys::exit(code);
    }
}

fn run() -> io::Result<()> {
    // The runner passes its link as standard input and the trees' lock as standard output.
    let link = move_up(0)?;
    let trees = move_up(1)?;
    let null: OwnedFd = std::fs::File::options().read(true).write(true).open("/dev/null")?.into();
    nix::unistd::dup2_stdin(&null)?;
    nix::unistd::dup2_stdout(&null)?;
    nix::unistd::dup2_stderr(&null)?;
    sys::close_all_but(&[link.as_raw_fd(), trees.as_raw_fd()]);
    // Numbers only: the descriptor itself has just been closed.
    let _ = null.into_raw_fd();
    prctl::set_child_subreaper(true)?;
    let _ = prctl::set_name(c"orch-guard");
    let _ = nix::unistd::chdir("/");
    sys::ignore_what_the_runner_handles();
    let children = shim::children_signal()?;
    let mut guard =
        GuardProcess { link, trees, places: Places::find(), shims: Vec::new(), lost: Vec::new() };
    guard.watch(&children);
    Ok(())
}

fn move_up(number: i32) -> io::Result<OwnedFd> {
    let low = sys::own(number);
    let high = fcntl(&low, FcntlArg::F_DUPFD_CLOEXEC(3))?;
    // The number is used again at once, for /dev/null.
    let _ = low.into_raw_fd();
    Ok(sys::own(high))
}

struct GuardProcess {
    link: OwnedFd,
    trees: OwnedFd,
    places: Places,
    shims: Vec<Shim>,
    /// Shims that were killed, whose trees are not yet gone.
    lost: Vec<Shim>,
}

struct Shim {
    pid: i32,
    /// To the runner, about this tree alone. Closes when the guard has nothing more to say.
    link: OwnedFd,
    name: String,
}

impl GuardProcess {
    fn watch(&mut self, children: &SignalFd) {
        loop {
            self.reap();
            self.clear();
            if !self.obey() {
                return self.outlive_the_runner();
            }
            let mut fds = [
                PollFd::new(self.link.as_fd(), PollFlags::POLLIN),
                PollFd::new(children.as_fd(), PollFlags::POLLIN),
            ];
            let timeout = if self.lost.is_empty() { PollTimeout::NONE } else { 50_u8.into() };
            let _ = nix::poll::poll(&mut fds, timeout);
            while let Ok(Some(_)) = children.read_signal() {}
        }
    }

    /// False when the runner is gone.
    fn obey(&mut self) -> bool {
        loop {
            match wire::receive::<Start>(&self.link) {
                // A shim that could not be forked is a closed link to the runner.
                Ok(Received::Frame(start, fds)) => drop(self.fork_shim(start, fds)),
                Ok(Received::Nothing) => return true,
                Ok(Received::Closed) => return false,
                // One frame that nobody can read is not the end of the others.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
                Err(_) => return false,
            }
        }
    }

    fn fork_shim(&mut self, start: Start, fds: Vec<OwnedFd>) -> io::Result<()> {
        let fds: [OwnedFd; START_FDS] =
            fds.try_into().map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        let [to_shim, to_guard, plan, stdin, stdout, stderr] = fds;
        let name = leaf_name(start.brand, proc::myself(), start.tree);
        // The copy is the same open file, so the lock lasts as long as it.
        let trees = self.trees.try_clone()?;
        match sys::fork() {
            Ok(Fork::Child) => {
                let stdio = [stdin, stdout, stderr];
                shim::run(Task { start, link: to_shim, plan, stdio, trees }, &self.places, &name)
            }
            Ok(Fork::Parent { child }) => {
                self.shims.push(Shim { pid: child, link: to_guard, name });
                Ok(())
            }
            Err(error) => {
                let why = start.rungs.iter().map(|rung| (*rung, format!("cannot fork: {error}")));
                wire::send(&to_shim, &Word::NotLaunched(NotLaunched::NotHeld(why.collect())), &[])
            }
        }
    }

    fn reap(&mut self) {
        while let Reaped::Ended { pid, exit } = sys::reap(sys::ANY, Patience::None) {
            let Some(at) = self.shims.iter().position(|shim| shim.pid == pid) else { continue };
            let shim = self.shims.swap_remove(at);
            // A shim exits only when its tree is empty.
            if exit != Exit::Code(0) {
                self.lost.push(shim);
            }
        }
    }

    /// Ends the trees of shims that were killed, and says so when nothing of them is left.
    fn clear(&mut self) {
        if self.lost.is_empty() {
            return;
        }
        let living: Vec<i32> = self.shims.iter().map(|shim| shim.pid).collect();
        let bag = self.hunt(&living);
        if bag.cleared {
            for shim in self.lost.drain(..) {
                let _ = wire::send(&shim.link, &Cleared { killed: bag.killed }, &[]);
            }
        }
    }

    /// Kills everybody below the guard, except the shims `spared` and what is below them.
    fn hunt(&mut self, spared: &[i32]) -> Bag {
        let me = proc::myself();
        let gone = |shim: &&Shim| !spared.contains(&shim.pid);
        let hunted = self.lost.iter().chain(self.shims.iter().filter(gone));
        let pens: Vec<Pen> = hunted.flat_map(|shim| pens(&self.places, &shim.name)).collect();
        let pens: Vec<&Pen> = pens.iter().collect();
        let find = || Ok(Snapshot::take()?.below(me, spared));
        let reap = |found: &[proc::Seen]| {
            for seen in found.iter().filter(|seen| seen.parent == me) {
                sys::reap(seen.id.pid, Patience::None);
            }
        };
        let bag = hunt(&pens, find, |_| true, reap, Instant::now() + Duration::from_secs(1));
        if bag.cleared {
            pens.iter().for_each(|pen| pen.remove());
        }
        bag
    }

    fn outlive_the_runner(&mut self) {
        let deadline = Instant::now() + PATIENCE_WITH_SHIMS;
        while !self.shims.is_empty() && Instant::now() < deadline {
            self.reap();
            self.clear();
            std::thread::sleep(Duration::from_millis(2));
        }
        // Mostly every tree has ended before its runner: then there is nothing below to look for.
        let nothing_below = matches!(sys::reap(sys::ANY, Patience::None), Reaped::NoChild);
        if nothing_below && self.shims.is_empty() && self.lost.is_empty() {
            return;
        }
        while !self.hunt(&[]).cleared {}
    }
}

/// Unique wherever it appears, and found again by whoever knows the run's mark.
pub(crate) fn leaf_name(brand: u64, guard: i32, tree: u64) -> String {
    format!("{}{guard}-{tree}", leaf_prefix(brand))
}

pub(crate) fn leaf_prefix(brand: u64) -> String {
    format!("codex-orch-{brand:016x}-")
}

/// The leaves of a tree whose shim can no longer say where it is.
fn pens(places: &Places, name: &str) -> Vec<Pen> {
    let there = |dirs: &[std::path::PathBuf]| {
        let dir = dirs.iter().map(|dir| dir.join(name)).find(|dir| dir.exists())?;
        Some(Leaf::found(&dir))
    };
    let cgroup2 = there(&places.cgroup2).map(Pen::Cgroup2);
    cgroup2.into_iter().chain(there(&places.freezer1).map(Pen::Freezer1)).collect()
}
