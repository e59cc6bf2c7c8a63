//! Processes that do not die but do not answer either.

use std::time::Instant;

use libtest_mimic::Trial;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use supervise::{Exit, RungChoice, sweep, wait_until_free};

use crate::bench::{Bench, LONG, exit_in, mark_of, on_every_rung, story};
use crate::kills::Victim::{Guard, Runner, Shim};
use crate::kills::{Moment, at, send, slay};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = on_every_rung("a_runner_can_end_a_tree_whose_shim_hangs", |rung| {
        let (_dir, mut runner, mut witness) = at(rung, Moment::WhenAllAreUp);
        send(&runner, &[Shim], Signal::SIGSTOP);
        runner.order("freeze");
        runner.reports("FreezeFailed");
        runner.order("stop");
        runner.reports("Ended");
        assert!(witness.is_over());
    });
    trials.extend(on_every_rung("a_runner_can_end_a_tree_whose_shim_and_guard_hang", |rung| {
        let (_dir, mut runner, mut witness) = at(rung, Moment::WhenAllAreUp);
        send(&runner, &[Guard, Shim], Signal::SIGSTOP);
        runner.order("stop");
        runner.reports("Ended");
        assert!(witness.is_over());
    }));
    trials.extend(on_every_rung(
        "a_guard_ends_a_tree_whose_shim_hangs_when_the_runner_dies",
        |rung| {
            let (dir, mut runner, mut witness) = at(rung, Moment::WhenAllAreUp);
            send(&runner, &[Shim], Signal::SIGSTOP);
            slay(&mut runner, &[Runner]);
            let free = wait_until_free(&dir.path().join("trees.lock"), Instant::now() + LONG);
            assert!(free.expect("a lock"));
            assert!(witness.is_over());
        },
    ));
    trials.extend(on_every_rung("a_sweep_ends_a_tree_whose_shim_and_guard_hang", |rung| {
        let (dir, mut runner, mut witness) = at(rung, Moment::WhenAllAreUp);
        send(&runner, &[Guard, Shim], Signal::SIGSTOP);
        slay(&mut runner, &[Runner]);
        let swept = sweep(&[runner.record.clone()], &mark_of(dir.path()), Instant::now() + LONG);
        assert!(swept.left.is_empty(), "{swept:?}");
        assert!(witness.is_over());
        let free = wait_until_free(&dir.path().join("trees.lock"), Instant::now() + LONG);
        assert!(free.expect("a lock"));
    }));
    trials.push(story("a_guard_that_hangs_is_replaced", || {
        let bench = Bench::new(RungChoice::Automatic);
        let (tree, output) = bench.try_launch(&["true"]).expect("a tree");
        let guard = Pid::from_raw(tree.record().guard.pid);
        crate::bench::Watched::new(tree, output).end();
        kill(guard, Signal::SIGSTOP).expect("it lives");
        assert_eq!(exit_in(&bench.run(&["sh", "-c", "exit 7"])), &Exit::Code(7));
    }));
    trials.push(story("what_a_terminal_or_a_shutdown_sends_is_left_to_the_runner", || {
        let bench = Bench::new(RungChoice::Automatic);
        let (tree, output) = bench
            .try_launch(&["sh", "-c", "until [ -e asked ]; do sleep 0.01; done; exit 7"])
            .expect("a tree");
        for pid in [tree.record().guard.pid, tree.record().shim.pid] {
            for signal in
                [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGTSTP]
            {
                kill(Pid::from_raw(pid), signal).expect("it lives");
            }
        }
        std::fs::write(bench.path("asked"), "").expect("a file");
        assert_eq!(exit_in(&crate::bench::Watched::new(tree, output).end()), &Exit::Code(7));
    }));
    trials
}
