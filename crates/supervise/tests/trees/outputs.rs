//! What becomes of output.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::Command;
use std::time::Duration;

use libtest_mimic::Trial;
use supervise::{Echo, Exit, Output, RungChoice, TreeReport};

use crate::bench::{Bench, Watched, exit_in, launch_in, say, story};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        story("bytes_arrive_unchanged", || {
            let bench = Bench::new(RungChoice::Automatic);
            bench.run(&["printf", r"a\000b\377\r\n\033[31mred"]);
            assert_eq!(bench.log(), b"a\0b\xff\r\n\x1b[31mred");
        }),
        story("both_streams_keep_their_order", || {
            let bench = Bench::new(RungChoice::Automatic);
            bench.run(&["sh", "-c", "for n in 1 2 3; do echo out $n; echo err $n >&2; done"]);
            assert_eq!(bench.log(), b"out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n");
        }),
        story("a_hundred_megabytes_arrive", || {
            let bench = Bench::new(RungChoice::Automatic);
            let reports = bench.run(&["sh", "-c", "yes 0123456 | head -c 100000000"]);
            assert_eq!(told(&reports), 100_000_000);
            let log = bench.log();
            assert_eq!(log.len(), 100_000_000);
            assert!(log.chunks(8).all(|line| line == b"0123456\n"));
        }),
        story("a_log_is_continued_where_it_is", || {
            let bench = Bench::new(RungChoice::Automatic);
            std::fs::write(bench.path("log"), "first attempt\n").expect("a log");
            let log = File::options().append(true).open(bench.path("log")).expect("a log");
            run_into(&bench, log, None, &["echo", "second"]);
            assert_eq!(bench.log(), b"first attempt\nsecond\n");
        }),
        story("an_echo_keeps_the_streams_apart", || {
            let bench = Bench::new(RungChoice::Automatic);
            let echo =
                |name: &str| -> OwnedFd { File::create(bench.path(name)).expect("x").into() };
            let echo = Echo { stdout: echo("out"), stderr: echo("err") };
            let log = File::create(bench.path("log")).expect("a log");
            run_into(&bench, log, Some(echo), &["sh", "-c", "echo one; echo two >&2"]);
            assert_eq!(std::fs::read(bench.path("out")).expect("shown"), b"one\n");
            assert_eq!(std::fs::read(bench.path("err")).expect("shown"), b"two\n");
            assert_eq!(bench.log().len(), 8);
        }),
        story("an_echo_that_nobody_reads_does_not_keep_a_tree_alive", || {
            let bench = Bench::new(RungChoice::Automatic);
            let (unread, echo) = nix::unistd::pipe().expect("a pipe");
            let echo = Echo { stdout: echo.try_clone().expect("a copy"), stderr: echo };
            let log = File::create(bench.path("log")).expect("a log");
            let mut tree = launch_into(&bench, log, Some(echo), &["yes"]);
            tree.until(|report| matches!(report, TreeReport::Wrote { .. }));
            tree.control.stop(Duration::from_secs(1));
            assert_eq!(exit_in(&tree.end()), &Exit::Signal(15));
            drop(unread);
        }),
        story("a_command_learns_that_the_reader_of_its_echo_is_gone", || {
            let bench = Bench::new(RungChoice::Automatic);
            let (reader, echo) = nix::unistd::pipe().expect("a pipe");
            drop(reader);
            let echo = Echo { stdout: echo.try_clone().expect("a copy"), stderr: echo };
            let log = File::create(bench.path("log")).expect("a log");
            let reports = launch_into(&bench, log, Some(echo), &["yes"]).end();
            // As `yes | true` does, which would write for ever otherwise.
            assert_eq!(exit_in(&reports), &Exit::Signal(13));
            assert!(bench.log().starts_with(b"y\n"));
        }),
        story("a_slow_echo_loses_nothing", || {
            let bench = Bench::new(RungChoice::Automatic);
            let (reader, echo) = nix::unistd::pipe().expect("a pipe");
            let reading = std::thread::spawn(move || {
                let mut shown = Vec::new();
                File::from(reader).read_to_end(&mut shown).expect("readable");
                shown
            });
            let echo = Echo { stdout: echo.try_clone().expect("a copy"), stderr: echo };
            let log = File::create(bench.path("log")).expect("a log");
            run_into(&bench, log, Some(echo), &["sh", "-c", "seq 1 200000"]);
            assert!(reading.join().expect("it read") == bench.log());
        }),
        story("somebody_elsewhere_who_keeps_the_pipe_does_not_keep_the_stage", || {
            let bench = Bench::new(RungChoice::Automatic);
            let log = File::create(bench.path("log")).expect("a log");
            let (output, ends) = Output::to_log(log, None).expect("pipes");
            let kept = ends.stdout.try_clone().expect("a copy");
            let tree = bench.guard.launch(launch_in(bench.dir.path(), &["echo", "done"], ends));
            Watched::new(tree.expect("a tree"), output).end();
            assert_eq!(bench.log(), b"done\n");
            drop(kept);
        }),
        story("somebody_elsewhere_who_writes_for_ever_does_not_keep_the_stage", || {
            let bench = Bench::new(RungChoice::Automatic);
            let log = File::create(bench.path("log")).expect("a log");
            let (output, ends) = Output::to_log(log, None).expect("pipes");
            let kept = ends.stdout.try_clone().expect("a copy");
            let mut other = Command::new("yes").stdout(kept).spawn().expect("a writer");
            let tree = bench.guard.launch(launch_in(bench.dir.path(), &["true"], ends));
            let reports = Watched::new(tree.expect("a tree"), output).end();
            other.kill().expect("it writes");
            other.wait().expect("it is ours");
            assert_eq!(exit_in(&reports), &Exit::Code(0));
        }),
        story("a_grandchild_that_keeps_the_pipe_is_ended", || {
            let bench = Bench::new(RungChoice::Automatic);
            let reports = bench.run(&["sh", "-c", "sleep 1000 & echo done"]);
            let Some(TreeReport::Ended { exit: Exit::Code(0), leftovers_killed: 1 }) =
                reports.last()
            else {
                panic!("{reports:?}")
            };
            assert_eq!(bench.log(), b"done\n");
        }),
        story("a_full_disk_is_told_once_and_stops_nobody", || {
            let bench = Bench::new(RungChoice::Automatic);
            let full = File::options().write(true).open("/dev/full").expect("always there");
            let reports = run_into(&bench, full, None, &["sh", "-c", "yes | head -c 9000000"]);
            check_lost(&reports, 9_000_000);
        }),
        story("a_disk_that_fills_up_keeps_what_came_first", || {
            let bench = Bench::new(RungChoice::Automatic);
            let small = bench.path("small");
            std::fs::create_dir(&small).expect("a folder");
            let options = ["-t", "tmpfs", "-o", "size=1m", "tmpfs"];
            let mounted = Command::new("mount").args(options).arg(&small).output();
            if !mounted.as_ref().is_ok_and(|output| output.status.success()) {
                return say(&format!("skipped: no mounting here: {mounted:?}"));
            }
            let log = File::create(small.join("log")).expect("a log");
            let reports = run_into(&bench, log, None, &["sh", "-c", "yes | head -c 9000000"]);
            let kept = std::fs::read(small.join("log"));
            Command::new("umount").arg(&small).status().expect("unmounted");
            check_lost(&reports, 9_000_000);
            let kept = kept.expect("a log");
            assert!(kept.len() > 500_000 && kept.chunks(2).all(|line| line == b"y\n"));
        }),
        story("a_deleted_log_is_put_back", || {
            let bench = Bench::new(RungChoice::Automatic);
            let folder = bench.path("runs/stages");
            std::fs::create_dir_all(&folder).expect("a folder");
            let path = folder.join("01.log");
            let log = File::create(&path).expect("a log");
            let (output, ends) = Output::to_log(log, None).expect("pipes");
            let script = "echo before; rm -r runs; echo after";
            let launch = launch_in(bench.dir.path(), &["sh", "-c", script], ends);
            let tree = bench.guard.launch(launch).expect("a tree");
            let reports = Watched::new(tree, output.restoring(&path)).end();
            let restored = |report: &TreeReport| matches!(report, TreeReport::LogRestored { .. });
            assert!(reports.iter().any(restored), "{reports:?}");
            assert_eq!(std::fs::read(&path).expect("it is back"), b"before\nafter\n");
        }),
        story("a_log_that_is_where_it_was_is_left_alone", || {
            let bench = Bench::new(RungChoice::Automatic);
            let log = File::create(bench.path("log")).expect("a log");
            let (output, ends) = Output::to_log(log, None).expect("pipes");
            let launch = launch_in(bench.dir.path(), &["echo", "here"], ends);
            let tree = bench.guard.launch(launch).expect("a tree");
            let reports = Watched::new(tree, output.restoring(bench.path("log"))).end();
            let restored = |report: &TreeReport| matches!(report, TreeReport::LogRestored { .. });
            assert!(!reports.iter().any(restored), "{reports:?}");
        }),
        story("the_last_line_is_told_without_its_colours", || {
            let bench = Bench::new(RungChoice::Automatic);
            let mut tree =
                bench.launch(&["sh", "-c", r"printf 'one\n\033[1mtwo\033[0m\n'; read x"]);
            tree.until_it_says("two");
            tree.end();
        }),
    ]
}

fn launch_into(bench: &Bench, log: File, echo: Option<Echo>, argv: &[&str]) -> Watched {
    let (output, ends) = Output::to_log(log, echo).expect("pipes");
    let tree = bench.guard.launch(launch_in(bench.dir.path(), argv, ends)).expect("a tree");
    Watched::new(tree, output)
}

#[track_caller]
fn run_into(bench: &Bench, log: File, echo: Option<Echo>, argv: &[&str]) -> Vec<TreeReport> {
    let reports = launch_into(bench, log, echo, argv).end();
    assert_eq!(exit_in(&reports), &Exit::Code(0), "{reports:?}");
    reports
}

#[track_caller]
fn check_lost(reports: &[TreeReport], written: u64) {
    let lost = reports.iter().filter(|report| matches!(report, TreeReport::OutputLost { .. }));
    assert_eq!(lost.count(), 1, "{reports:?}");
    assert_eq!(told(reports), written);
}

/// How much the reports say was written.
fn told(reports: &[TreeReport]) -> u64 {
    let mut bytes = reports.iter().filter_map(|report| match report {
        TreeReport::Wrote { bytes, .. } => Some(*bytes),
        _ => None,
    });
    bytes.next_back().unwrap_or_default()
}
