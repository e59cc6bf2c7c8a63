//! Runs that are resumed, in whatever state they are.

use std::fs;

use nix::sys::signal::Signal;

use crate::scratch::{Scratch, wait_for};

/// Three stages that count how often they ran; the second waits for a file named `go`.
const COUNTING: &str = r#"
[pipelines.count]
stages = [
  { id = "one", command = "echo one >> ran" },
  { id = "two", command = "echo two >> ran; until [ -e go ]; do sleep 0.02; done" },
  { id = "three", command = "echo three >> ran" },
]
"#;

fn at_the_second_stage() -> (Scratch, String) {
    let scratch = Scratch::with(COUNTING);
    let run = scratch.start("count");
    wait_for("the second stage", || scratch.text("ran").contains("two"));
    (scratch, run)
}

#[test]
fn a_run_that_is_alive_is_not_resumed() {
    let (scratch, run) = at_the_second_stage();
    let refused = scratch.json(&["resume", &run]);
    assert_eq!(refused.code, 4, "{refused:?}");
    assert_eq!(scratch.text("ran"), "one\ntwo\n");
    fs::write(scratch.at("go"), "").unwrap();
    assert_eq!(scratch.run(&["wait", &run]).code, 0);
    assert_eq!(scratch.text("ran"), "one\ntwo\nthree\n");
}

#[test]
fn a_run_that_was_cancelled_begins_again_at_the_stage_that_was_not_done() {
    let (scratch, run) = at_the_second_stage();
    assert_eq!(scratch.run(&["cancel", &run]).code, 0);
    assert_eq!(scratch.status(&run), "cancelled");
    fs::write(scratch.at("go"), "").unwrap();
    let resumed = scratch.json(&["resume", &run]);
    assert_eq!(resumed.code, 0, "{resumed:?}");
    assert_eq!(scratch.text("ran"), "one\ntwo\ntwo\nthree\n");
}

#[test]
fn a_run_that_is_stopped_by_ctrl_c_is_cancelled() {
    let scratch = Scratch::with(COUNTING);
    let running = scratch.spawn(&["start", "count", "--task", "demo", "--json"]);
    wait_for("the second stage", || scratch.text("ran").contains("two"));
    running.signal(Signal::SIGINT);
    let answer = running.done().answer();
    assert_eq!(answer.code, 5, "{answer:?}");
    assert_eq!(answer.text("status"), "cancelled");
    assert_eq!(scratch.processes(), Vec::<i32>::new());
}
