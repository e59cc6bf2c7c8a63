//! Ending one tree harms no other, nor anything else that the runner started.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use supervise::{Exit, RungChoice, TreeReport, sweep};
use tempfile::TempDir;

use crate::bench::{Bench, LONG, Watched, eventually, exit_in, mark_of, on_every_rung, story};
use crate::kills::{Victim, slay};
use crate::runner::Runner;
use crate::stops::launch_seen;
use crate::witness::Witness;

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = on_every_rung("a_tree_outlives_its_guard_and_its_neighbour", |rung| {
        let bench = Bench::new(RungChoice::Only(rung));
        let script = "until [ -e asked ]; do sleep 0.01; done; exit 7";
        let survivor = bench.launch(&["sh", "-c", script]);
        let (tree, output) = bench.try_launch(&["sleep", "1000"]).expect("a tree");
        // Somebody else's children: one of this process, and one that was left to it.
        let mut child =
            Command::new("sleep").arg("1000").process_group(0).spawn().expect("a child");
        let orphan = orphan();
        for pid in [tree.record().guard.pid, tree.record().shim.pid] {
            kill(Pid::from_raw(pid), Signal::SIGKILL).expect("it lives");
        }
        assert_eq!(exit_in(&Watched::new(tree, output).end()), &Exit::Lost);
        assert_eq!(child.try_wait().expect("it is ours"), None);
        assert!(kill(orphan, None).is_ok());
        // A new guard, beside a tree of the old one.
        assert_eq!(exit_in(&bench.run(&["sh", "-c", "exit 3"])), &Exit::Code(3));
        std::fs::write(bench.path("asked"), "").expect("a file");
        assert_eq!(exit_in(&survivor.end()), &Exit::Code(7));
        child.kill().expect("it is ours");
        child.wait().expect("it is ours");
        kill(orphan, Signal::SIGKILL).expect("it lives");
    });
    trials.extend(on_every_rung("a_guard_that_ends_one_tree_spares_the_others", |rung| {
        let bench = Bench::new(RungChoice::Only(rung));
        let script = "until [ -e asked ]; do sleep 0.01; done; exit 7";
        let survivor = bench.launch(&["sh", "-c", script]);
        for _ in 0..5 {
            let (tree, output) = bench.try_launch(&["sleep", "1000"]).expect("a tree");
            kill(Pid::from_raw(tree.record().shim.pid), Signal::SIGKILL).expect("it lives");
            assert_eq!(exit_in(&Watched::new(tree, output).end()), &Exit::Lost);
        }
        std::fs::write(bench.path("asked"), "").expect("a file");
        assert_eq!(exit_in(&survivor.end()), &Exit::Code(7));
    }));
    trials.extend(on_every_rung("a_run_inside_a_tree_stops_with_it", |rung| {
        let dir = TempDir::new().expect("a folder");
        let mut witness = Witness::in_dir(dir.path());
        let mut runner = Runner::start_nested(dir.path(), rung);
        witness.hears_everybody();
        runner.order("freeze");
        runner.reports("Frozen");
        witness.take();
        runner.order("stop");
        runner.reports("Ended");
        assert!(witness.is_over());
        check_removed(&runner);
    }));
    trials.extend(on_every_rung("a_run_inside_a_tree_is_swept_with_it", |rung| {
        let dir = TempDir::new().expect("a folder");
        let mut witness = Witness::in_dir(dir.path());
        let mut runner = Runner::start_nested(dir.path(), rung);
        witness.hears_everybody();
        slay(&mut runner, &[Victim::Runner, Victim::Guard, Victim::Shim]);
        let records = [runner.record.clone()];
        let swept = sweep(&records, &mark_of(dir.path()), Instant::now() + LONG);
        assert!(swept.left.is_empty(), "{swept:?}");
        witness.hears_the_end();
        check_removed(&runner);
    }));
    trials.push(story("a_sweep_of_one_run_spares_the_others", || {
        let bench = Bench::new(RungChoice::Automatic);
        let mut witness = Witness::in_dir(bench.dir.path());
        let tick = "while :; do echo tick >&2; sleep 0.01; done";
        let mut tree = launch_seen(&bench, &["sh", "-c", tick]);
        let other = mark_of(&bench.path("another"));
        sweep(&[], &other, Instant::now() + LONG);
        witness.take();
        witness.hears("tick");
        tree.control.stop(Duration::from_secs(30));
        tree.until(|report| matches!(report, TreeReport::Ended { exit: Exit::Signal(15), .. }));
    }));
    trials.push(story("a_dead_guards_other_trees_leave_no_zombies", || {
        let bench = Bench::new(RungChoice::Automatic);
        let (tree, output) = bench.try_launch(&["sleep", "0.1"]).expect("a tree");
        let record = tree.record().clone();
        kill(Pid::from_raw(record.guard.pid), Signal::SIGKILL).expect("it lives");
        assert_eq!(exit_in(&Watched::new(tree, output).end()), &Exit::Code(0));
        eventually("the shim is gone", || kill(Pid::from_raw(record.shim.pid), None).is_err());
    }));
    trials
}

fn check_removed(runner: &Runner) {
    if let Some(cgroup) = &runner.record.cgroup {
        assert!(!cgroup.exists(), "{} is left", cgroup.display());
    }
}

/// A process whose parent has ended, in a session of its own.
fn orphan() -> Pid {
    let script = "setsid sleep 1000 >/dev/null 2>&1 & echo $!";
    let output = Command::new("sh").args(["-c", script]).stderr(Stdio::null()).output();
    let text = String::from_utf8(output.expect("a shell").stdout).expect("a number");
    Pid::from_raw(text.trim().parse().expect("a number"))
}
