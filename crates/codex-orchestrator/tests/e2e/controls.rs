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

#[test]
fn a_run_that_failed_begins_again_at_the_stage_that_failed() {
    let scratch = Scratch::with(
        r#"
[pipelines.fail]
stages = [
  { id = "one", command = "echo one >> ran" },
  { id = "two", command = "echo two >> ran; [ -e go ]" },
  { id = "three", command = "echo three >> ran" },
]
"#,
    );
    let failed = scratch.json(&["start", "fail", "--task", "demo"]);
    assert_eq!((failed.code, failed.text("status").as_str()), (1, "failed"), "{failed:?}");
    let run = failed.text("run_id");
    fs::write(scratch.at("go"), "").unwrap();
    assert_eq!(scratch.json(&["resume", &run]).code, 0);
    assert_eq!(scratch.text("ran"), "one\ntwo\ntwo\nthree\n");
    let again = scratch.json(&["resume", &run]);
    assert_eq!(again.code, 4, "what succeeded is not run again: {again:?}");
    assert_eq!(scratch.text("ran"), "one\ntwo\ntwo\nthree\n");
}

#[test]
fn of_two_that_resume_a_run_at_once_one_wins() {
    for _ in 0..5 {
        let (scratch, run) = at_the_second_stage();
        scratch.kill_runner(&run);
        let both = [(); 2].map(|()| scratch.spawn(&["resume", &run, "--json"]));
        wait_for("the second stage", || scratch.text("ran").matches("two").count() == 2);
        fs::write(scratch.at("go"), "").unwrap();
        let answers = both.map(|one| one.done().answer());
        let mut codes = answers.each_ref().map(|answer| answer.code);
        codes.sort_unstable();
        assert_eq!(codes, [0, 4], "{answers:?}");
        assert_eq!(scratch.text("ran"), "one\ntwo\ntwo\nthree\n");
        assert_eq!(scratch.status(&run), "succeeded");
    }
}

#[test]
fn an_interrupted_run_can_be_cancelled_and_taken_up_after_that() {
    let (scratch, run) = at_the_second_stage();
    scratch.kill_runner(&run);
    assert_eq!(scratch.status(&run), "interrupted");
    assert_eq!(scratch.run(&["cancel", &run]).code, 0);
    assert_eq!(scratch.status(&run), "cancelled");
    fs::write(scratch.at("go"), "").unwrap();
    assert_eq!(scratch.json(&["resume", &run]).code, 0);
    assert_eq!(scratch.text("ran"), "one\ntwo\ntwo\nthree\n");
}

#[test]
fn all_that_was_interrupted_is_taken_up_with_one_word() {
    let (scratch, first) = at_the_second_stage();
    let second = scratch.start("count");
    wait_for("both", || scratch.text("ran").matches("two").count() == 2);
    scratch.kill_runner(&first);
    scratch.kill_runner(&second);
    fs::write(scratch.at("go"), "").unwrap();
    let resumed = scratch.json(&["resume", "--all"]);
    assert_eq!(resumed.code, 0, "{resumed:?}");
    let waited = scratch.run(&["wait", &first, &second]);
    assert_eq!(waited.code, 0, "{waited:?} {resumed:?} {:?}", scratch.events(&second));
    assert_eq!(scratch.text("ran").matches("three").count(), 2);
}

#[test]
fn a_pause_waits_for_what_a_stage_that_has_ended_left_behind() {
    let scratch = Scratch::with(
        r#"
[run]
grace = "700ms"
[pipelines.left]
stages = [
  { id = "one", command = "(trap '' TERM; sleep 600) & sleep 0.2; echo one >> ran" },
  { id = "two", command = "echo two >> ran" },
]
"#,
    );
    let run = scratch.start("left");
    wait_for("the first stage", || scratch.text("ran").contains("one"));
    let paused = scratch.json(&["pause", &run]);
    assert_eq!(paused.code, 0, "{paused:?}");
    assert_eq!(scratch.status(&run), "paused");
    assert_eq!(scratch.text("ran"), "one\n");
    assert_eq!(scratch.json(&["resume", &run]).code, 0);
    assert_eq!(scratch.run(&["wait", &run]).code, 0);
    assert_eq!(scratch.text("ran"), "one\ntwo\n");
}
