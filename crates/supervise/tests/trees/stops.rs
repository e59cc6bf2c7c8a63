//! Stopping and freezing trees that do not want to.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use libtest_mimic::Trial;
use supervise::{Exit, Output, Rung, RungChoice, TreeReport};

use crate::bench::{Bench, Watched, eventually, exit_in, launch_in, on_every_rung, say, story};
use crate::witness::Witness;

pub(crate) fn trials() -> Vec<Trial> {
    [
        on_every_rung("a_hostile_tree_is_dead_when_its_end_is_told", |rung| {
            let (bench, mut tree, mut witness) = hostile(rung);
            witness.hears_everybody();
            tree.control.stop(Duration::from_millis(50));
            tree.until(|report| matches!(report, TreeReport::Ended { .. }));
            assert!(witness.is_over());
            drop(bench);
        }),
        on_every_rung("a_tree_may_be_killed_as_soon_as_it_is_launched", |rung| {
            for _ in 0..10 {
                let (bench, mut tree, mut witness) = hostile(rung);
                tree.control.kill();
                tree.until(|report| matches!(report, TreeReport::Ended { .. }));
                assert!(witness.is_over());
                drop(bench);
            }
        }),
        on_every_rung("a_frozen_tree_does_not_tick", |rung| {
            let (_bench, mut tree, mut witness) = hostile(rung);
            for _ in 0..3 {
                witness.hears_everybody();
                tree.control.freeze();
                tree.until(|report| matches!(report, TreeReport::Frozen));
                witness.take();
                something_else_ticks(20);
                let heard = witness.take().expect("they live");
                assert_eq!(String::from_utf8_lossy(&heard), "");
                tree.control.thaw();
                tree.until(|report| matches!(report, TreeReport::Thawed));
            }
            witness.hears_everybody();
            tree.control.kill();
            tree.end();
        }),
        on_every_rung("a_chain_of_forks_that_never_stands_still_is_caught", |rung| {
            catches_a_chain(rung, "sh ./hop.sh &");
        }),
        // Who is told by way of their group does not hear of it.
        on_every_rung("a_chain_of_forks_is_caught_whose_every_link_leaves_its_group", |rung| {
            catches_a_chain(rung, "setsid sh ./hop.sh &");
        }),
        on_every_rung("a_frozen_tree_can_be_stopped", |rung| {
            let (_bench, mut tree, mut witness) = hostile(rung);
            witness.hears_everybody();
            tree.control.freeze();
            tree.until(|report| matches!(report, TreeReport::Frozen));
            tree.control.stop(Duration::from_millis(50));
            tree.until(|report| matches!(report, TreeReport::Ended { .. }));
            assert!(witness.is_over());
        }),
        on_every_rung("a_frozen_command_gets_to_act_on_being_stopped", |rung| {
            let bench = Bench::new(RungChoice::Only(rung));
            let script = "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.01; done";
            let mut tree = bench.launch(&["sh", "-c", script]);
            tree.until_it_says("up");
            tree.control.freeze();
            tree.until(|report| matches!(report, TreeReport::Frozen));
            tree.control.stop(Duration::from_secs(30));
            assert_eq!(exit_in(&tree.end()), &Exit::Code(3));
            // A shell may have told before that its sleep was terminated.
            assert!(bench.log().ends_with(b"bye\n"));
        }),
        on_every_rung("thawing_wakes_nobody_who_was_asleep_before", |rung| {
            let bench = Bench::new(RungChoice::Only(rung));
            // The child stops itself; its parent tells when it has, and what it is afterwards.
            let script = "sh -c 'kill -STOP $$; echo woken' & \
                until grep -q '^State:.T' /proc/$!/status; do sleep 0.01; done; echo asleep; \
                until [ -e asked ]; do sleep 0.01; done; \
                grep -q '^State:.T' /proc/$!/status && echo still";
            let mut tree = bench.launch(&["sh", "-c", script]);
            tree.until_it_says("asleep");
            tree.control.freeze();
            tree.until(|report| matches!(report, TreeReport::Frozen));
            tree.control.thaw();
            tree.until(|report| matches!(report, TreeReport::Thawed));
            std::fs::write(bench.path("asked"), "").expect("a file");
            tree.end();
            let log = String::from_utf8(bench.log()).expect("words");
            assert!(log.starts_with("asleep\nstill\n"), "{log}");
        }),
        on_every_rung("freezing_and_thawing_may_be_asked_for_twice", |rung| {
            let bench = Bench::new(RungChoice::Only(rung));
            let mut tree = bench.launch(&["sleep", "1000"]);
            for _ in 0..2 {
                tree.control.freeze();
                tree.until(|report| matches!(report, TreeReport::Frozen));
            }
            for _ in 0..2 {
                tree.control.thaw();
                tree.until(|report| matches!(report, TreeReport::Thawed));
            }
            tree.control.stop(Duration::from_secs(30));
            assert_eq!(exit_in(&tree.end()), &Exit::Signal(15));
        }),
        on_every_rung("a_process_that_is_between_vfork_and_exec_can_be_frozen", |rung| {
            let bench = Bench::new(RungChoice::Only(rung));
            if !there_is_python() {
                return say("skipped: there is no python3");
            }
            // posix_spawn is a vfork; a shell that does nothing but spawn is often within one.
            let script = "import os\nwhile True:\n os.waitpid(os.posix_spawn('/bin/true', \
                ['true'], os.environ), 0)\n";
            let mut tree = bench.launch(&["python3", "-c", script]);
            for _ in 0..10 {
                tree.control.freeze();
                tree.until(|report| matches!(report, TreeReport::Frozen));
                tree.control.thaw();
                tree.until(|report| matches!(report, TreeReport::Thawed));
            }
            tree.control.kill();
            tree.end();
        }),
        on_every_rung("a_process_whose_first_thread_has_ended_is_not_dead", |rung| {
            let bench = Bench::new(RungChoice::Only(rung));
            let mut witness = Witness::in_dir(bench.dir.path());
            if !there_is_python() {
                return say("skipped: there is no python3");
            }
            let script = "import ctypes, os, signal, threading, time\n\
                signal.signal(signal.SIGTERM, signal.SIG_IGN)\n\
                def tick():\n\
                \x20while True:\n\
                \x20 os.write(2, b'tick\\n')\n\
                \x20 time.sleep(0.005)\n\
                threading.Thread(target=tick).start()\n\
                ctypes.CDLL(None).syscall(60 if os.uname().machine == 'x86_64' else 93, 0)\n";
            let mut tree = launch_seen(&bench, &["python3", "-c", script]);
            witness.hears("tick");
            eventually("the first thread has ended", || {
                let state = std::fs::read_to_string(format!("/proc/{}/stat", tree.leader));
                state.is_ok_and(|state| state.contains(") Z "))
            });
            tree.control.freeze();
            tree.until(|report| matches!(report, TreeReport::Frozen));
            witness.take();
            something_else_ticks(5);
            assert_eq!(witness.take(), Some(Vec::new()));
            tree.control.stop(Duration::from_millis(20));
            tree.until(|report| matches!(report, TreeReport::Ended { .. }));
            assert!(witness.is_over());
        }),
        on_every_rung("leftovers_get_to_act_on_being_stopped", |rung| {
            let bench = Bench::new(RungChoice::Only(rung));
            let script = "(trap 'echo bye; exit' TERM; : > up; while :; do sleep 0.01; done) & \
                until [ -e up ]; do sleep 0.01; done";
            let reports = bench.run(&["sh", "-c", script]);
            assert_eq!(exit_in(&reports), &Exit::Code(0));
            assert!(bench.log().ends_with(b"bye\n"));
        }),
        on_every_rung("an_unwatched_tree_ends", |rung| {
            let bench = Bench::new(RungChoice::Only(rung));
            let mut witness = Witness::in_dir(bench.dir.path());
            let (_, mut ends) =
                Output::to_log(std::fs::File::create(bench.path("log")).expect("a log"), None)
                    .expect("pipes");
            ends.stderr = Witness::end_in(bench.dir.path());
            let launch = launch_in(bench.dir.path(), &["sleep", "1000"], ends);
            let tree = bench.guard.launch(launch).expect("a tree");
            let _control = tree.control();
            drop(tree);
            witness.hears_the_end();
        }),
        vec![story("what_may_not_be_killed_is_told_and_waited_for", || {
            // Only where a user's stage can become root; see the stories of ordinary users.
            let Some(python) = std::env::var_os(SETUID_PYTHON) else { return };
            let bench = Bench::new(RungChoice::Only(Rung::Subreaper));
            let script = "import os, time\n\
                os.setuid(0)\n\
                print('up', flush=True)\n\
                while not os.path.exists('asked'): time.sleep(0.005)\n";
            let mut tree = bench.launch(&[&python.to_string_lossy(), "-c", script]);
            tree.until_it_says("up");
            tree.control.freeze();
            tree.until(|report| matches!(report, TreeReport::FreezeFailed { .. }));
            tree.control.kill();
            let leader = tree.leader;
            tree.until(|report| match report {
                TreeReport::Stuck { pids, reason } => {
                    assert_eq!(
                        reason,
                        &format!("process {leader}: Operation not permitted (os error 1)")
                    );
                    pids == &[leader]
                }
                _ => false,
            });
            std::fs::write(bench.path("asked"), "").expect("a file");
            assert_eq!(exit_in(&tree.end()), &Exit::Code(0));
        })],
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Names a Python that runs as root, whoever starts it.
pub(crate) const SETUID_PYTHON: &str = "SUPERVISE_TEST_SETUID_PYTHON";

fn there_is_python() -> bool {
    Command::new("python3").args(["-c", ""]).status().is_ok_and(|status| status.success())
}

fn hostile(rung: Rung) -> (Bench, Watched, Witness) {
    let bench = Bench::new(RungChoice::Only(rung));
    std::fs::write(bench.path("hostile.sh"), include_str!("hostile.sh")).expect("a script");
    let witness = Witness::in_dir(bench.dir.path());
    let tree = launch_seen(&bench, &["sh", "hostile.sh"]);
    (bench, tree, witness)
}

/// Launches a command whose standard error is the witness.
pub(crate) fn launch_seen(bench: &Bench, argv: &[&str]) -> Watched {
    let log = std::fs::File::create(bench.path("log")).expect("a log");
    let (output, mut ends) = Output::to_log(log, None).expect("pipes");
    ends.stderr = Witness::end_in(bench.dir.path());
    let tree = bench.guard.launch(launch_in(bench.dir.path(), argv, ends)).expect("a tree");
    Watched::new(tree, output)
}

/// A chain of processes, each of which starts the next one and ends.
fn catches_a_chain(rung: Rung, next: &str) {
    let bench = Bench::new(RungChoice::Only(rung));
    let mut witness = Witness::in_dir(bench.dir.path());
    let hop = format!("trap '' TERM\necho hop >&2\n{next}\n");
    std::fs::write(bench.path("hop.sh"), hop).expect("a script");
    for frozen_first in [false, true] {
        let mut tree = launch_seen(&bench, &["sh", "-c", "sh ./hop.sh; sleep 1000"]);
        witness.hears("hop");
        if frozen_first {
            tree.control.freeze();
            tree.until(|report| matches!(report, TreeReport::Frozen));
            witness.take();
            something_else_ticks(5);
            assert_eq!(witness.take(), Some(Vec::new()));
        }
        tree.control.stop(Duration::from_millis(20));
        tree.until(|report| matches!(report, TreeReport::Ended { .. }));
        assert!(witness.is_over());
    }
}

/// Lets a ticker that nobody froze tick this often, so that those who do not tick had the time.
fn something_else_ticks(times: usize) {
    let mut ticker = Command::new("sh")
        .args(["-c", "while :; do echo tick; sleep 0.02; done"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("a ticker");
    let ticks = BufReader::new(ticker.stdout.take().expect("piped")).lines().take(times);
    assert_eq!(ticks.map_while(Result::ok).count(), times);
    ticker.kill().expect("it runs");
    ticker.wait().expect("it ends");
}
