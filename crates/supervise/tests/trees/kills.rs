//! Any one or two of runner, guard and shim are killed, at any moment: nothing is left.

use std::time::Instant;

use libtest_mimic::Trial;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use supervise::{Rung, held, wait_until_free};
use tempfile::TempDir;

use crate::bench::{LONG, on_every_rung, say};
use crate::runner::Runner;
use crate::witness::Witness;

/// Whom to kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Victim {
    Runner,
    Guard,
    Shim,
}

use Victim::{Guard, Runner as TheRunner, Shim};

/// When to kill them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Moment {
    AsSoonAsLaunched,
    WhenAllAreUp,
    WhenFrozen,
    WhileFreezing,
    WhileStopping,
}

use Moment::{AsSoonAsLaunched, WhenAllAreUp, WhenFrozen, WhileFreezing, WhileStopping};

pub(crate) const MOMENTS: [Moment; 5] =
    [AsSoonAsLaunched, WhenAllAreUp, WhenFrozen, WhileFreezing, WhileStopping];

pub(crate) fn trials() -> Vec<Trial> {
    [
        on_every_rung("a_killed_runner_leaves_nothing", |rung| check(rung, &[TheRunner])),
        on_every_rung("a_killed_shim_leaves_nothing", |rung| check(rung, &[Shim])),
        on_every_rung("a_killed_runner_and_guard_leave_nothing", |rung| {
            check(rung, &[TheRunner, Guard]);
            check(rung, &[Guard, TheRunner]);
        }),
        on_every_rung("a_killed_runner_and_shim_leave_nothing", |rung| {
            check(rung, &[TheRunner, Shim]);
            check(rung, &[Shim, TheRunner]);
        }),
        on_every_rung("a_killed_guard_and_shim_leave_nothing", |rung| {
            check(rung, &[Guard, Shim]);
            check(rung, &[Shim, Guard]);
        }),
        on_every_rung("a_killed_guard_is_not_missed", |rung| {
            let (_dir, mut runner, mut witness) = at(rung, WhenAllAreUp);
            slay(&mut runner, &[Guard]);
            witness.hears_everybody();
            runner.order("stop");
            runner.reports("Ended");
            assert!(witness.is_over());
        }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Kills `victims` at every moment, and waits for the end of everybody else.
#[track_caller]
fn check(rung: Rung, victims: &[Victim]) {
    for moment in MOMENTS {
        let (dir, mut runner, mut witness) = at(rung, moment);
        let begun = Instant::now();
        slay(&mut runner, victims);
        if victims.contains(&TheRunner) {
            // Whoever finds the lock free may rely on nothing being left.
            let free = wait_until_free(&dir.path().join("trees.lock"), Instant::now() + LONG);
            assert!(free.expect("a lock"), "{victims:?} {moment:?}: the lock is never free");
            assert!(witness.is_over(), "{victims:?} {moment:?}: the lock is free too soon");
        } else {
            witness.hears_the_end();
            assert!(held(&dir.path().join("trees.lock")).expect("a lock"));
            runner.reports("Ended");
        }
        if std::env::var_os("SUPERVISE_TEST_TIMES").is_some() {
            say(&format!("{rung} {victims:?} {moment:?}: {:?}", begun.elapsed()));
        }
    }
}

/// A runner with a hostile tree, at a certain moment.
pub(crate) fn at(rung: Rung, moment: Moment) -> (TempDir, Runner, Witness) {
    let dir = TempDir::new().expect("a folder");
    let mut witness = Witness::in_dir(dir.path());
    let mut runner = Runner::start(dir.path(), rung);
    match moment {
        AsSoonAsLaunched => {}
        WhenAllAreUp => witness.hears_everybody(),
        WhenFrozen => {
            witness.hears_everybody();
            runner.order("freeze");
            runner.reports("Frozen");
        }
        WhileFreezing => {
            witness.hears_everybody();
            runner.order("freeze");
        }
        WhileStopping => {
            witness.hears_everybody();
            runner.order("stop");
        }
    }
    (dir, runner, witness)
}

pub(crate) fn slay(runner: &mut Runner, victims: &[Victim]) {
    send(runner, victims, Signal::SIGKILL);
}

pub(crate) fn send(runner: &Runner, victims: &[Victim], signal: Signal) {
    for victim in victims {
        let pid = match victim {
            TheRunner => runner.child.id() as i32,
            Guard => runner.record.guard.pid,
            Shim => runner.record.shim.pid,
        };
        // It may have died of the kill before.
        let _ = kill(Pid::from_raw(pid), signal);
    }
}
