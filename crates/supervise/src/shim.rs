//! The process that holds one tree: brings its command to life, carries out orders, and does not
//! end before the tree is certainly empty.
//!
//! It is a subreaper, so every process of the tree descends from it whatever they do. Having no
//! children left is therefore the proof that the tree is empty; no list is needed for that.

use std::collections::HashSet;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::prctl;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::hunt::hunt;
use crate::leader::{self, CageKind, Leader, NotRaised, Outfit, Step};
use crate::plan::Plan;
use crate::proc::{self, Seen, Snapshot};
use crate::record::{Mark, ProcessId};
use crate::report::Exit;
use crate::rung::{Pen, Places, Rung};
use crate::sandbox::{Cage, Outside, Snag};
use crate::signal;
use crate::sys::{self, Patience, Reaped};
use crate::wire::{self, NotLaunched, Order, Received, Start, Word};

/// What a shim is called among processes.
pub(crate) const NAME: &CStr = c"orch-shim";

/// How long a tree may take to end by itself when its runner is gone.
const GRACE_OF_ORPHANS: Duration = Duration::from_millis(200);
/// How long a command's leftovers may take, whatever grace the command itself has.
const LONGEST_GRACE_OF_LEFTOVERS: Duration = Duration::from_secs(2);
const LONGEST_FREEZE: Duration = Duration::from_secs(2);

/// What the guard hands to a new shim.
pub(crate) struct Task {
    pub(crate) start: Start,
    /// To the runner.
    pub(crate) link: OwnedFd,
    pub(crate) plan: OwnedFd,
    pub(crate) stdio: [OwnedFd; 3],
    /// The lock that says that a tree lives; never used, only kept.
    pub(crate) trees: OwnedFd,
}

/// Becomes the shim. The process was forked from the guard and has not done anything yet.
pub(crate) fn run(task: Task, places: &Places, name: &str) -> ! {
    let Task { start, link, plan, stdio, trees } = task;
    let mut keep = vec![link.as_raw_fd(), plan.as_raw_fd(), trees.as_raw_fd()];
    keep.extend(stdio.iter().map(AsRawFd::as_raw_fd));
    sys::close_all_but(&keep);
    let _ = nix::unistd::setsid();
    let _ = prctl::set_child_subreaper(true);
    let _ = prctl::set_name(NAME);
    brand(start.brand);
    match raise(&start, plan, stdio, places, name, &link) {
        Ok((leader, children, outside)) => {
            let grace = Duration::from_millis(start.grace_ms);
            hold(leader, children, outside, link, grace)
        }
        Err(why) => {
            let _ = wire::send(&link, &Word::NotLaunched(why), &[]);
            sys::exit(0);
        }
    }
}

/// Gives the tree its inherited number; see [`crate::Mark`].
fn brand(number: u64) {
    // Where somebody has limited it for real, the limit stands and the tree has no number. A
    // tree inside a tree has its own.
    if let Ok((soft, RLIM_INFINITY)) = getrlimit(Resource::RLIMIT_RTTIME)
        && (soft == RLIM_INFINITY || Mark::is_brand(soft))
    {
        let _ = setrlimit(Resource::RLIMIT_RTTIME, number, RLIM_INFINITY);
    }
}

/// Tries the rungs in turn, each by launching on it.
fn raise(
    start: &Start,
    plan: OwnedFd,
    stdio: [OwnedFd; 3],
    places: &Places,
    name: &str,
    link: &OwnedFd,
) -> Result<(Leader, SignalFd, Option<Outside>), NotLaunched> {
    let uid = nix::unistd::geteuid();
    let gid = nix::unistd::getegid();
    let first = start.rungs.first().copied().unwrap_or(Rung::Subreaper);
    let whole = |error: io::Error| NotLaunched::NotHeld(vec![(first, error.to_string())]);
    let plan = Plan::from_memory(plan.into()).map_err(whole)?;
    let cage = plan.cage().map_err(whole)?;
    let (cwd, program) = plan.place();
    let outside = cage.clone().map(|cage| Outside::make(cage, cwd, &program)).transpose();
    let outside = match (outside, &cage) {
        (Ok(outside), _) => outside,
        (Err(snag), Some(cage)) => return Err(not_caged(snag, cage)),
        (Err(_), None) => None,
    };
    let children = children_signal().map_err(whole)?;
    let mut outfit = Outfit { plan, stdio, uid, gid, outside };
    let raised = on_some_rung(start, places, name, &outfit, link);
    match raised {
        Ok(leader) => {
            if let Some(outside) = &mut outfit.outside {
                outside.put_canaries_away();
            }
            Ok((leader, children, outfit.outside))
        }
        Err(why) => {
            if let Some(outside) = outfit.outside {
                outside.clear();
            }
            Err(why)
        }
    }
}

fn on_some_rung(
    start: &Start,
    places: &Places,
    name: &str,
    outfit: &Outfit,
    link: &OwnedFd,
) -> Result<Leader, NotLaunched> {
    let mut why = Vec::new();
    for rung in &start.rungs {
        let raise = |kind| leader::raise(*rung, places, name, outfit, kind, link);
        let mut raised = raise(CageKind::Namespaces);
        if let (Err(NotRaised::NotCaged(snag)), Some(outside)) = (&raised, &outfit.outside)
            && let Some(refused) = outside.lacks_without_namespaces(snag)
        {
            match refused {
                Ok(()) => raised = raise(CageKind::OwnProcess),
                Err(refused) => return Err(NotLaunched::NotCaged(refused)),
            }
        }
        match (raised, &outfit.outside) {
            (Ok(leader), Some(outside)) if !outside.is_untouched() => {
                leader.discard();
                return Err(NotLaunched::NotCaged(outside.touched()));
            }
            (Ok(leader), _) => return Ok(leader),
            (Err(NotRaised::NotHeld(reason)), _) => why.push((*rung, reason)),
            // Another rung would be held otherwise, and confined no better.
            (Err(NotRaised::NotCaged(snag)), Some(outside)) => {
                return Err(not_caged(snag, outside.cage()));
            }
            (Err(NotRaised::NotCaged(_)), None) => {}
        }
    }
    Err(NotLaunched::NotHeld(why))
}

fn not_caged(snag: Snag, cage: &Cage) -> NotLaunched {
    match snag.refusal(cage) {
        Ok(refused) => NotLaunched::NotCaged(refused),
        Err(why) => NotLaunched::BadCage(why),
    }
}

/// A descriptor that is readable when a child has ended.
pub(crate) fn children_signal() -> io::Result<SignalFd> {
    let mut set = SigSet::empty();
    set.add(Signal::SIGCHLD);
    set.thread_block()?;
    Ok(SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?)
}

fn hold(
    leader: Leader,
    children: SignalFd,
    outside: Option<Outside>,
    link: OwnedFd,
    grace: Duration,
) -> ! {
    let (cage, listeners) = leader
        .caged
        .as_ref()
        .map_or((None, &[][..]), |(report, fds)| (Some(report.clone()), fds.as_slice()));
    let word = Word::Launched {
        shim: proc::identify(proc::myself()).unwrap_or(ProcessId { pid: 0, start_time: 0 }),
        leader: leader.id,
        rung: leader.pen.rung(),
        cgroup: leader.pen.cgroup(),
        cage,
    };
    let listeners: Vec<BorrowedFd<'_>> = listeners.iter().map(AsFd::as_fd).collect();
    // The word is out before the command begins, so a runner that has not heard it may be sure
    // that the command never began.
    if wire::send(&link, &word, &listeners).is_ok() {
        let _ = leader.go();
    }
    let Leader { id, pen, setup, init, caged } = leader;
    // The runner has them now; this copy would keep the tree's network alive.
    drop(caged);
    let (keeper, init) = init.unzip();
    let mut shim = Shim {
        link,
        pen,
        leader: id,
        setup: Some(setup),
        keeper,
        init,
        outside,
        exit: None,
        not_started: None,
        childless: false,
        motion: Motion::Running,
        already_stopped: HashSet::new(),
        stop_by: None,
        leftovers: 0,
        grace,
    };
    shim.watch(&children)
}

enum Motion {
    Running,
    /// Counts the looks in a row that found everybody at rest.
    Freezing {
        by: Instant,
        quiet: u8,
    },
    Frozen,
}

struct Shim {
    link: OwnedFd,
    pen: Pen,
    leader: ProcessId,
    setup: Option<OwnedFd>,
    /// A namespace's first process: part of the machinery, not of the tree.
    keeper: Option<ProcessId>,
    /// Where it tells how the command ended.
    init: Option<OwnedFd>,
    /// What the tree's cage needs outside of it.
    outside: Option<Outside>,
    exit: Option<Exit>,
    not_started: Option<Exit>,
    childless: bool,
    motion: Motion,
    /// Processes that somebody else had stopped before we froze the tree.
    already_stopped: HashSet<ProcessId>,
    /// When what still lives is killed.
    stop_by: Option<Instant>,
    leftovers: u32,
    grace: Duration,
}

impl Shim {
    fn watch(&mut self, children: &SignalFd) -> ! {
        loop {
            self.reap();
            if self.childless && !self.pen.is_populated() {
                self.end();
            }
            if self.stop_by.is_some_and(|by| Instant::now() >= by) {
                self.kill();
                self.end();
            }
            self.go_on_freezing();
            self.wait(children);
            self.obey();
        }
    }

    fn say(&self, word: &Word) {
        // A runner that is gone is noticed as the end of the lifeline.
        let _ = wire::send(&self.link, word, &[]);
    }

    fn reap(&mut self) {
        self.read_setup();
        loop {
            match sys::reap(sys::ANY, Patience::None) {
                Reaped::Ended { pid, exit } if pid == self.leader.pid => self.leader_ended(exit),
                Reaped::Ended { pid, .. } if self.is_keeper(pid) => {
                    self.read_init();
                    // Somebody killed the namespace, and everybody in it.
                    self.leader_ended(Exit::Signal(Signal::SIGKILL as i32));
                }
                Reaped::Ended { .. } => {}
                Reaped::NoneYet => break,
                Reaped::NoChild => {
                    self.childless = true;
                    break;
                }
            }
        }
        self.read_init();
        let inhabited = || match self.keeper {
            // A namespace's first process has inherited whoever is left in it, or is about to end.
            Some(init) if !self.childless => !proc::is_without_children(init.pid),
            _ => !self.childless || self.pen.is_populated(),
        };
        if self.exit.is_some() && self.stop_by.is_none() && inhabited() {
            let members = self.members().unwrap_or_default();
            self.leftovers = members.iter().filter(|seen| !seen.is_zombie()).count() as u32;
            // A namespace's first process needs a moment to see that it is alone.
            if self.leftovers > 0 || self.keeper.is_none() {
                self.stop(self.grace.min(LONGEST_GRACE_OF_LEFTOVERS));
            }
        }
    }

    fn leader_ended(&mut self, exit: Exit) {
        if self.exit.is_some() {
            return;
        }
        self.read_setup();
        let exit = self.not_started.take().unwrap_or(exit);
        self.say(&Word::Exited(exit.clone()));
        self.exit = Some(exit);
    }

    /// Hears whether the leader became the command.
    fn read_setup(&mut self) {
        let Some(setup) = &self.setup else { return };
        match wire::receive::<Step>(setup) {
            Ok(Received::Nothing) => {}
            Ok(Received::Frame(Step::NotStarted(exit), _)) => self.not_started = Some(exit),
            Ok(Received::Frame(..) | Received::Closed) | Err(_) => self.setup = None,
        }
    }

    /// Hears from a namespace's first process how the command ended.
    fn read_init(&mut self) {
        let Some(init) = &self.init else { return };
        match wire::receive::<Exit>(init) {
            Ok(Received::Nothing) => {}
            Ok(Received::Frame(exit, _)) => self.leader_ended(exit),
            Ok(Received::Closed) | Err(_) => self.init = None,
        }
    }

    fn wait(&self, children: &SignalFd) {
        let now = Instant::now();
        let look_again = match self.motion {
            Motion::Freezing { .. } => Some(Duration::from_millis(1)),
            // The command has ended and whoever is left is about to: a namespace's first process,
            // or somebody who joined the cgroup from outside.
            _ if self.childless || self.exit.is_some() => Some(Duration::from_millis(2)),
            _ => None,
        };
        let stop = self.stop_by.map(|by| by.saturating_duration_since(now));
        let timeout = look_again.into_iter().chain(stop).min();
        let timeout = timeout.map_or(PollTimeout::NONE, |left| {
            // Rounded up: waking early would only be to wait again.
            PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
        });
        let lines = [Some(children.as_fd()), Some(self.link.as_fd())];
        let optional = [self.setup.as_ref().map(AsFd::as_fd), self.init.as_ref().map(AsFd::as_fd)];
        let mut fds: Vec<PollFd<'_>> = lines
            .into_iter()
            .chain(optional)
            .flatten()
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
            .collect();
        let _ = nix::poll::poll(&mut fds, timeout);
        while let Ok(Some(_)) = children.read_signal() {}
    }

    fn obey(&mut self) {
        loop {
            match wire::receive::<Order>(&self.link) {
                Ok(Received::Frame(Order::Freeze, _)) => self.freeze(),
                Ok(Received::Frame(Order::Thaw, _)) => {
                    self.thaw();
                    self.say(&Word::Thawed);
                }
                Ok(Received::Frame(Order::Stop { grace_ms }, _)) => {
                    self.stop(Duration::from_millis(grace_ms));
                }
                Ok(Received::Frame(Order::Kill, _)) => self.stop_by = Some(Instant::now()),
                Ok(Received::Nothing) => return,
                Ok(Received::Closed) | Err(_) => {
                    self.stop(GRACE_OF_ORPHANS);
                    self.outlive_the_runner();
                }
            }
        }
    }

    /// The runner is gone: ends the tree without anybody to tell.
    fn outlive_the_runner(&mut self) -> ! {
        while !self.childless || self.pen.is_populated() {
            self.reap();
            if self.stop_by.is_none_or(|by| Instant::now() >= by) {
                self.kill();
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        self.end();
    }

    /// Everybody below the shim but the machinery, parents first.
    fn members(&self) -> io::Result<Vec<Seen>> {
        Ok(self.members_of(&Snapshot::take()?))
    }

    fn members_of(&self, all: &Snapshot) -> Vec<Seen> {
        let mut below = all.below(proc::myself(), &[]);
        below.retain(|seen| !self.is_keeper(seen.id.pid));
        below
    }

    fn is_keeper(&self, pid: i32) -> bool {
        self.keeper.is_some_and(|keeper| keeper.pid == pid)
    }

    /// SIGTERM to everybody, and the kill after `grace`. What is frozen gets to act on it.
    fn stop(&mut self, grace: Duration) {
        let by = Instant::now() + grace;
        self.stop_by = Some(self.stop_by.map_or(by, |other| other.min(by)));
        if grace.is_zero() {
            return;
        }
        let members = self.members().unwrap_or_default();
        for seen in &members {
            let _ = signal::send(seen.id, Signal::SIGTERM);
        }
        // Also to those that were stopped before: who sleeps cannot end.
        self.already_stopped.clear();
        self.thaw();
        for seen in members.iter().rev().filter(|seen| seen.state == b'T') {
            let _ = signal::send(seen.id, Signal::SIGCONT);
        }
    }

    fn freeze(&mut self) {
        match self.motion {
            Motion::Frozen => self.say(&Word::Frozen),
            Motion::Freezing { .. } => {}
            Motion::Running if self.stop_by.is_some() => {
                self.say(&Word::FreezeFailed { reason: "the tree is being stopped".to_owned() });
            }
            Motion::Running => {
                let members = self.members().unwrap_or_default();
                let stopped = members.into_iter().filter(|seen| seen.state == b'T');
                self.already_stopped = stopped.map(|seen| seen.id).collect();
                self.motion = Motion::Freezing { by: Instant::now() + LONGEST_FREEZE, quiet: 0 };
                if let Err(error) = self.pen.freeze() {
                    self.freeze_failed(error.to_string());
                }
            }
        }
    }

    fn freeze_failed(&mut self, reason: String) {
        self.thaw();
        self.say(&Word::FreezeFailed { reason });
    }

    fn go_on_freezing(&mut self) {
        while let Motion::Freezing { by, quiet } = self.motion {
            // Twice, because a look is not one instant: the first may have missed the child of
            // a process that it found at rest.
            if quiet >= 2 {
                self.motion = Motion::Frozen;
                self.say(&Word::Frozen);
                return;
            }
            match self.is_at_rest() {
                Ok(true) => self.motion = Motion::Freezing { by, quiet: quiet + 1 },
                Ok(false) if Instant::now() < by => {
                    self.motion = Motion::Freezing { by, quiet: 0 };
                    return;
                }
                Ok(false) => self.freeze_failed("some processes did not come to rest".to_owned()),
                Err(error) => self.freeze_failed(error.to_string()),
            }
        }
    }

    /// Whether nobody runs; stops those that the pen's freezer does not reach.
    fn is_at_rest(&self) -> io::Result<bool> {
        if !self.pen.is_frozen()? {
            return Ok(false);
        }
        let mut running = self.members_of(&Snapshot::take_to_the_last()?);
        running.retain(|seen| !seen.is_zombie() && !self.pen.reaches(seen.id.pid));
        running.retain(|seen| !proc::is_stopped(seen));
        for seen in &running {
            signal::send(seen.id, Signal::SIGSTOP).map_err(|error| {
                io::Error::new(error.kind(), format!("process {}: {error}", seen.id.pid))
            })?;
        }
        signal::send_to_groups(&running, Signal::SIGSTOP);
        Ok(running.is_empty())
    }

    fn thaw(&mut self) {
        if let Motion::Running = self.motion {
            return;
        }
        self.motion = Motion::Running;
        let _ = self.pen.thaw();
        // Children before parents: a parent that ran first would see its child as stopped.
        for seen in self.members().unwrap_or_default().iter().rev() {
            if !self.already_stopped.contains(&seen.id) && !self.pen.reaches(seen.id.pid) {
                let _ = signal::send(seen.id, Signal::SIGCONT);
            }
        }
    }

    /// Kills until nobody is left, however long it takes.
    fn kill(&mut self) {
        let mut told = false;
        loop {
            let me = proc::myself();
            // Also a cage on another rung is a namespace that dies with its first process.
            let namespace = self.keeper.map(|init| Pen::PidNs { init });
            let pens: Vec<&Pen> = [&self.pen].into_iter().chain(&namespace).collect();
            let keeper = self.keeper.map(|keeper| keeper.pid);
            let find = || {
                let mut below = Snapshot::take()?.below(me, &[]);
                below.retain(|seen| keeper != Some(seen.id.pid) || seen.is_zombie());
                Ok(below)
            };
            let leader = self.leader.pid;
            let mut ended = None;
            let mut childless = false;
            let reap = |_: &[Seen]| loop {
                match sys::reap(sys::ANY, Patience::None) {
                    Reaped::Ended { pid, exit } if pid == leader => ended = Some(exit),
                    Reaped::Ended { .. } => {}
                    Reaped::NoneYet => break,
                    Reaped::NoChild => {
                        childless = true;
                        break;
                    }
                }
            };
            let bag = hunt(&pens, find, |_| true, reap, Instant::now() + Duration::from_secs(2));
            if let Some(exit) = ended {
                self.leader_ended(exit);
            }
            self.childless = childless;
            self.read_init();
            if self.childless && !self.pen.is_populated() {
                return;
            }
            if !told && !bag.left.is_empty() {
                told = true;
                let reason = if bag.reason.is_empty() { "they do not die" } else { &bag.reason };
                self.say(&Word::Stuck { pids: bag.left, reason: reason.to_owned() });
            }
        }
    }

    fn end(&mut self) -> ! {
        // A namespace that was killed with the command in it told nothing.
        self.leader_ended(Exit::Signal(Signal::SIGKILL as i32));
        self.pen.remove();
        if let Some(outside) = self.outside.take() {
            outside.clear();
        }
        self.say(&Word::Ended { leftovers_killed: self.leftovers });
        sys::exit(0)
    }
}
