//! A running tree, as its runner sees it.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::Signal;
use nix::sys::socket::{Shutdown, shutdown};

use crate::guard::{Shared, locked};
use crate::hunt::hunt;
use crate::output::Output;
use crate::proc::{self, Seen, Snapshot};
use crate::record::TreeRecord;
use crate::report::{Exit, TreeReport};
use crate::rung::Pen;
use crate::sandbox::Caged;
use crate::signal;
use crate::sys::{self, Patience};
use crate::wire::{self, Cleared, Order, Received, Word};

/// How long a shim may take beyond what it was asked for before it counts as hung.
const PATIENCE_WITH_SHIM: Duration = Duration::from_secs(3);
/// How long a guard may take to end the tree of a shim that was killed.
const PATIENCE_WITH_GUARD: Duration = Duration::from_secs(2);

/// A process tree that was launched. Dropping it unwatched ends it.
#[derive(Debug)]
pub struct Tree {
    record: TreeRecord,
    caged: Option<Caged>,
    line: Arc<Line>,
    to_guard: OwnedFd,
    shared: Arc<Shared>,
}

/// Orders for a tree, from any thread.
#[derive(Debug, Clone)]
pub struct TreeControl {
    line: Arc<Line>,
}

#[derive(Debug)]
struct Line {
    to_shim: OwnedFd,
    /// Tells the watching thread to look at `asked`.
    wake: EventFd,
    asked: Mutex<Asked>,
}

/// What was asked of the shim, and when it should have answered.
#[derive(Debug, Default)]
struct Asked {
    freeze_by: Option<Instant>,
    stop_by: Option<Instant>,
    stopping: bool,
}

impl TreeControl {
    /// Stops every process of the tree where it is. Answered by [`TreeReport::Frozen`].
    pub fn freeze(&self) {
        locked(&self.line.asked).freeze_by = Some(Instant::now() + PATIENCE_WITH_SHIM);
        self.line.order(Order::Freeze);
    }

    /// Lets them go on. Answered by [`TreeReport::Thawed`].
    pub fn thaw(&self) {
        self.line.order(Order::Thaw);
    }

    /// SIGTERM to everybody, frozen or not, and SIGKILL after `grace`.
    pub fn stop(&self, grace: Duration) {
        {
            let mut asked = locked(&self.line.asked);
            let by = Instant::now() + grace + PATIENCE_WITH_SHIM;
            asked.stop_by = Some(asked.stop_by.map_or(by, |other| other.min(by)));
            asked.stopping = true;
        }
        let order = match grace {
            Duration::ZERO => Order::Kill,
            grace => Order::Stop { grace_ms: grace.as_millis() as u64 },
        };
        self.line.order(order);
    }

    /// SIGKILL to everybody.
    pub fn kill(&self) {
        self.stop(Duration::ZERO);
    }
}

impl Line {
    fn order(&self, order: Order) {
        // A shim that is gone is noticed by the watching thread, and its tree is ended then.
        let _ = wire::send(&self.to_shim, &order, &[]);
        let _ = self.wake.write(1);
    }
}

/// Who has the tree now.
enum Holder {
    Shim,
    Guard { until: Instant },
}

/// What the watching thread knows so far.
struct Watch {
    holder: Holder,
    exit: Option<Exit>,
    leftovers: u32,
    /// The shim has said why it cannot be quicker.
    stuck: bool,
}

impl Tree {
    pub(crate) fn new(
        record: TreeRecord,
        caged: Option<Caged>,
        to_shim: OwnedFd,
        to_guard: OwnedFd,
        shared: Arc<Shared>,
    ) -> io::Result<Tree> {
        let wake = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let line = Line { to_shim, wake, asked: Mutex::default() };
        Ok(Tree { record, caged, line: Arc::new(line), to_guard, shared })
    }

    /// What to write down at once, for [`crate::sweep()`].
    pub fn record(&self) -> &TreeRecord {
        &self.record
    }

    /// What confines it, and where it listens inside; once, and only of a tree in a cage.
    pub fn take_caged(&mut self) -> Option<Caged> {
        self.caged.take()
    }

    /// A handle for giving orders.
    pub fn control(&self) -> TreeControl {
        TreeControl { line: Arc::clone(&self.line) }
    }

    /// Runs in the calling thread until the tree is certainly empty: drains its output and
    /// reports what happens. [`TreeReport::Ended`] is the last report.
    pub fn watch(self, mut output: Output, mut report: impl FnMut(TreeReport)) {
        let mut watch = Watch { holder: Holder::Shim, exit: None, leftovers: 0, stuck: false };
        while !self.look(&mut watch, &mut report) {
            self.wait(&watch, &output);
            let _ = self.line.wake.read();
            output.pump(&mut report);
            self.insist(&mut watch, &mut report);
        }
        output.finish(|| locked(&self.line.asked).stopping, &mut report);
        let exit = watch.exit.unwrap_or(Exit::Lost);
        report(TreeReport::Ended { exit, leftovers_killed: watch.leftovers });
        self.reap_shim();
    }

    fn wait(&self, watch: &Watch, output: &Output) {
        let holder = match watch.holder {
            Holder::Shim => self.line.to_shim.as_fd(),
            Holder::Guard { .. } => self.to_guard.as_fd(),
        };
        let mut fds = output.waits_for();
        fds.push(PollFd::new(holder, PollFlags::POLLIN));
        fds.push(PollFd::new(self.line.wake.as_fd(), PollFlags::POLLIN));
        let until = match watch.holder {
            Holder::Shim => None,
            Holder::Guard { until } => Some(until),
        };
        let asked = locked(&self.line.asked);
        let stop_by = asked.stop_by.filter(|_| !watch.stuck);
        let next = [output.due(), until, asked.freeze_by, stop_by].into_iter().flatten().min();
        drop(asked);
        let timeout = next.map_or(PollTimeout::NONE, |at| {
            let left = at.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        });
        let _ = nix::poll::poll(&mut fds, timeout);
    }

    /// Hears what has been said. True when the tree is empty.
    fn look(&self, watch: &mut Watch, report: &mut impl FnMut(TreeReport)) -> bool {
        loop {
            match watch.holder {
                Holder::Shim => match wire::receive::<Word>(&self.line.to_shim) {
                    Ok(Received::Frame(Word::Ended { leftovers_killed }, _)) => {
                        watch.leftovers = leftovers_killed;
                        return true;
                    }
                    Ok(Received::Frame(word, _)) => self.note(watch, word, report),
                    Ok(Received::Nothing) => return false,
                    Ok(Received::Closed) | Err(_) => {
                        locked(&self.shared.shims).remove(&self.record.shim);
                        let until = Instant::now() + PATIENCE_WITH_GUARD;
                        watch.holder = Holder::Guard { until };
                        if watch.exit.is_none() {
                            watch.exit = Some(Exit::Lost);
                            report(TreeReport::Exited(Exit::Lost));
                        }
                    }
                },
                Holder::Guard { .. } => match wire::receive::<Cleared>(&self.to_guard) {
                    Ok(Received::Frame(Cleared { killed }, _)) => {
                        watch.leftovers = killed;
                        return true;
                    }
                    Ok(Received::Nothing) => return false,
                    Ok(Received::Closed) | Err(_) => {
                        watch.leftovers = self.take_over(report);
                        return true;
                    }
                },
            }
        }
    }

    fn note(&self, watch: &mut Watch, word: Word, report: &mut impl FnMut(TreeReport)) {
        match word {
            Word::Frozen => {
                locked(&self.line.asked).freeze_by = None;
                report(TreeReport::Frozen);
            }
            Word::FreezeFailed { reason } => {
                locked(&self.line.asked).freeze_by = None;
                report(TreeReport::FreezeFailed { reason });
            }
            Word::Thawed => report(TreeReport::Thawed),
            Word::Exited(exit) => {
                watch.exit = Some(exit.clone());
                report(TreeReport::Exited(exit));
            }
            Word::Stuck { pids, reason } => {
                watch.stuck = true;
                report(TreeReport::Stuck { pids, reason });
            }
            Word::Launched { .. } | Word::NotLaunched(_) | Word::Ended { .. } => {}
        }
    }

    /// Sees to deadlines that have passed.
    fn insist(&self, watch: &mut Watch, report: &mut impl FnMut(TreeReport)) {
        let now = Instant::now();
        let passed = |by: Option<Instant>| by.is_some_and(|by| by <= now);
        let mut asked = locked(&self.line.asked);
        let freeze_passed = passed(asked.freeze_by);
        if freeze_passed {
            asked.freeze_by = None;
        }
        let stop_passed = passed(asked.stop_by) && !watch.stuck;
        if stop_passed {
            asked.stop_by = None;
        }
        drop(asked);
        if freeze_passed {
            let reason = "the process that holds the tree does not answer".to_owned();
            report(TreeReport::FreezeFailed { reason });
        }
        match watch.holder {
            // The guard, or this process, does the rest.
            Holder::Shim if stop_passed => {
                let _ = signal::send(self.record.shim, Signal::SIGKILL);
            }
            Holder::Guard { until } if until <= now => {
                let _ = self.shared.replace_guard(self.record.guard);
                watch.holder = Holder::Guard { until: now + PATIENCE_WITH_GUARD };
            }
            Holder::Shim | Holder::Guard { .. } => {}
        }
    }

    /// Shim and guard were both killed. What they held is this process's child now.
    fn take_over(&self, report: &mut impl FnMut(TreeReport)) -> u32 {
        // Links close a little before what a dying process held passes to its next of kin.
        let deadline = Instant::now() + PATIENCE_WITH_GUARD;
        for id in [self.record.shim, self.record.guard] {
            let _ = signal::send(id, Signal::SIGKILL);
            while Instant::now() < deadline && proc::lives(id) {
                std::thread::sleep(Duration::from_micros(200));
            }
        }
        let me = proc::myself();
        let pen = Pen::recorded(self.record.rung, self.record.cgroup.as_deref());
        let find = || {
            let snapshot = Snapshot::take()?;
            let mut safe: Vec<i32> = locked(&self.shared.shims).iter().map(|id| id.pid).collect();
            safe.push(self.shared.guard().pid);
            let mut found = Vec::new();
            for child in snapshot.all.iter().filter(|seen| seen.parent == me) {
                if !safe.contains(&child.id.pid) && self.bore(child)? {
                    found.push(*child);
                    found.extend(snapshot.below(child.id.pid, &safe));
                }
            }
            Ok(found)
        };
        let mut reap = |found: &[Seen]| {
            for seen in found.iter().filter(|seen| seen.parent == me) {
                sys::reap(seen.id.pid, Patience::None);
            }
        };
        let mut killed = 0;
        let mut told = false;
        loop {
            let deadline = Instant::now() + Duration::from_secs(1);
            let bag = hunt(&[&pen], find, |_| true, &mut reap, deadline);
            killed += bag.killed;
            if bag.cleared {
                pen.remove();
                return killed;
            }
            if !told {
                told = true;
                report(TreeReport::Stuck { pids: bag.left, reason: bag.reason });
            }
        }
    }

    /// Whether a child of this process came from a tree and not from elsewhere in the program.
    fn bore(&self, child: &Seen) -> io::Result<bool> {
        let mark = &self.shared.mark;
        Ok(child.id == self.record.shim
            || child.session == self.record.leader.pid
            || proc::brand_of(child.id.pid)? == Some(mark.number())
            || proc::has_entry(child.id.pid, &mark.entry())?)
    }

    /// A shim that outlived its guard is this process's own child.
    fn reap_shim(&self) {
        let deadline = Instant::now() + Duration::from_millis(500);
        // Any other child with this number is somebody else's to wait for.
        while Instant::now() < deadline
            && proc::look(self.record.shim.pid)
                .is_some_and(|seen| seen.id == self.record.shim && seen.parent == proc::myself())
        {
            sys::reap(self.record.shim.pid, Patience::None);
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        locked(&self.shared.shims).remove(&self.record.shim);
        // Handles for giving orders may live on; the lifeline must not.
        let _ = shutdown(self.line.to_shim.as_raw_fd(), Shutdown::Both);
    }
}
