//! Everything dies just after any one of a run's events was written down: a whole run is played
//! once, and then its journal is cut after each of its events in turn. Each time the run is found
//! interrupted, and finished without doing again what was done.

use std::fs;

use rusqlite::Connection;
use serde_json::Value;

use crate::scratch::{Scratch, wait_for};

/// With a try that fails, a stage that may fail, and a pause.
const STORY: &str = r#"
[pipelines.story]
stages = [
  { id = "one", command = "echo one >> ran" },
  { id = "again", command = "echo again >> ran; [ -e seen ] || { touch seen; exit 1; }", retries = 1 },
  { id = "may", command = "echo may >> ran; exit 3", allow_failure = true },
  { id = "held", command = "echo held >> ran; until [ -e go ]; do sleep 0.01; done" },
  { id = "last", command = "echo last >> ran" },
]
"#;

#[test]
fn a_run_whose_journal_ends_after_any_event_is_finished_from_there() {
    let scratch = Scratch::with(STORY);
    let run = scratch.start("story");
    wait_for("the stage that waits", || scratch.text("ran").contains("held"));
    assert_eq!(scratch.run(&["pause", &run]).code, 0);
    assert_eq!(scratch.run(&["resume", &run]).code, 0);
    fs::write(scratch.at("go"), "").unwrap();
    assert_eq!(scratch.await_end(&run).code, 0);
    let whole = scratch.events(&run);
    let journal = scratch.journal();
    let kept = scratch.folder().join("kept.db");
    Connection::open(&journal).unwrap().execute("VACUUM INTO ?1", [kept.to_str()]).unwrap();
    for survived in 1..whole.len() {
        restore(&scratch, &kept);
        cut(&journal, &whole[..survived]);
        // What the file has beyond the journal, as after a loss of power, must not stay.
        let text: Vec<String> = whole.iter().map(Value::to_string).collect();
        fs::write(scratch.record(&run).join("events.jsonl"), text.join("\n") + "\n").unwrap();
        let before = scratch.text("ran").lines().count();
        assert_eq!(
            scratch.status(&run),
            "interrupted",
            "after {survived}: {}",
            whole[survived - 1]
        );
        let resumed = scratch.json(&["resume", &run]);
        assert_eq!(resumed.code, 0, "after {survived}: {resumed:?}");
        let done = ended(&whole[..survived]);
        let stages = ["one", "again", "may", "held", "last"];
        let left: Vec<&str> = stages.into_iter().filter(|stage| !done.contains(stage)).collect();
        let ran = scratch.text("ran");
        let again: Vec<&str> = ran.lines().skip(before).collect();
        assert_eq!(again, left, "after {survived}: {}", whole[survived - 1]);
        assert_eq!(scratch.manifest(&run)["status"], "succeeded");
        let events = scratch.events(&run);
        let numbers: Vec<u64> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
        assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>());
        assert_eq!(names(&events[..survived]), names(&whole[..survived]), "the past stays");
        assert_eq!(events[survived]["event"], "run_interrupted");
        assert_eq!(events.last().unwrap()["event"], "run_completed");
    }
}

fn names(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["event"].as_str().unwrap()).collect()
}

/// The stages that need not run again.
fn ended(events: &[Value]) -> Vec<&str> {
    let ended = events.iter().filter(|event| {
        event["event"] == "step_completed"
            || event["event"] == "step_failed" && event["payload"]["allowed"] == true
    });
    ended.map(|event| event["payload"]["stage_id"].as_str().unwrap()).collect()
}

fn restore(scratch: &Scratch, kept: &std::path::Path) {
    let journal = scratch.journal();
    for name in ["db-wal", "db-shm"] {
        let _ = fs::remove_file(journal.with_extension(name));
    }
    fs::copy(kept, &journal).unwrap();
}

/// Leaves the journal as it was when only these events had happened.
fn cut(journal: &std::path::Path, events: &[Value]) {
    let status = match events.last().unwrap()["event"].as_str().unwrap() {
        "run_queued" => "queued",
        "run_paused" => "paused",
        _ => "in_progress",
    };
    let head = i64::try_from(events.len()).unwrap();
    let journal = Connection::open(journal).unwrap();
    journal.execute("DELETE FROM events WHERE seq > ?1", [head]).unwrap();
    journal.execute("DELETE FROM requests", []).unwrap();
    let row = "UPDATE runs SET status = ?1, head = ?2, detail = NULL, ended_at = NULL";
    journal.execute(row, (status, head)).unwrap();
}
