//! A machine that was restarted, numbers of processes that were given to others, and clocks that
//! jumped: what the journal says is then edited in ways that no program of ours would.

use std::process::{Command, Stdio};

use rusqlite::Connection;
use serde_json::Value;

use crate::{
    processes::Seen,
    scratch::{Running, Scratch, wait_for},
};

const TWO: &str = r#"
[pipelines.two]
stages = [
  { id = "one", command = "echo one >> ran" },
  { id = "two", command = "echo two >> ran; [ -e go ] || sleep 600" },
]
"#;

/// A run whose processes are all dead and that nobody has looked at since.
fn unseen_death() -> (Scratch, String) {
    let scratch = Scratch::with(TWO);
    let run = scratch.start("two");
    wait_for("the second stage", || scratch.text("ran").contains("two"));
    wait_for("its launch is written down", || {
        scratch.events(&run).iter().filter(|event| event["event"] == "step_launched").count() == 2
    });
    scratch.kill_runner(&run);
    wait_for("everybody's end", || scratch.processes().is_empty());
    (scratch, run)
}

/// Somebody who has nothing to do with it.
fn bystander(scratch: &Scratch) -> Running {
    let mut command: Command = scratch.elsewhere("sleep", &["600"]);
    // It must not be taken for a process of the test by the test itself.
    command.env_remove("CODEX_ORCHESTRATOR_HOME");
    Running::new(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn())
}

/// Changes every event of the journal.
fn edit(scratch: &Scratch, change: impl Fn(&mut Value)) {
    let journal = Connection::open(scratch.journal()).unwrap();
    let mut read = journal.prepare("SELECT seq, body FROM events").unwrap();
    let rows = read.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)));
    let rows: Vec<(i64, String)> = rows.unwrap().map(Result::unwrap).collect();
    // There is one run, so that a number is an event.
    for (seq, body) in rows {
        let mut body = serde_json::from_str(&body).unwrap();
        change(&mut body);
        journal
            .execute("UPDATE events SET body = ?2 WHERE seq = ?1", (seq, body.to_string()))
            .unwrap();
    }
}

/// Puts something in place of a value wherever it stands under that name.
fn put(body: &mut Value, name: &str, value: &Value) {
    match body {
        Value::Object(fields) => {
            for (field, found) in fields.iter_mut() {
                if field == name {
                    *found = value.clone();
                } else {
                    put(found, name, value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| put(item, name, value)),
        _ => {}
    }
}

#[test]
fn a_run_from_before_a_restart_is_interrupted_and_its_numbers_are_left_alone() {
    let (scratch, run) = unseen_death();
    let other = bystander(&scratch);
    edit(&scratch, |body| {
        put(body, "boot_id", &"00000000-0000-4000-8000-000000000000".into());
        put(body, "pid", &other.pid().into());
        put(body, "start_time", &begun(other.pid()).into());
    });
    let status = scratch.json(&["status", &run]);
    assert_eq!(status.text("status"), "interrupted");
    assert_eq!(status.text("status_detail"), "the machine was restarted");
    assert!(Seen::at(other.pid()).is_some(), "a bystander got a signal");
    std::fs::write(scratch.at("go"), "").unwrap();
    assert_eq!(scratch.json(&["resume", &run]).code, 0);
    assert_eq!(scratch.text("ran"), "one\ntwo\ntwo\n");
    assert!(Seen::at(other.pid()).is_some(), "a bystander got a signal");
}

#[test]
fn a_number_that_was_given_to_another_process_gets_no_signal() {
    let (scratch, run) = unseen_death();
    let other = bystander(&scratch);
    // The numbers now mean somebody else; the start times are those of the dead.
    edit(&scratch, |body| put(body, "pid", &other.pid().into()));
    assert_eq!(scratch.status(&run), "interrupted");
    assert!(Seen::at(other.pid()).is_some(), "a bystander got a signal");
    // A cancel has nothing to kill either.
    assert_eq!(scratch.run(&["cancel", &run]).code, 0);
    assert!(Seen::at(other.pid()).is_some(), "a bystander got a signal");
}

/// When the process began, in the kernel's ticks.
fn begun(pid: i32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let rest = stat.rsplit_once(')').unwrap().1;
    rest.split_whitespace().nth(19).unwrap().parse().unwrap()
}

#[test]
fn a_clock_that_was_years_ahead_or_behind_breaks_nothing() {
    let ten_years = 10 * 365 * 24 * 3600 * 1000_i64;
    for jump in [ten_years, -ten_years, 60 * ten_years, -60 * ten_years] {
        let (scratch, run) = unseen_death();
        let journal = Connection::open(scratch.journal()).unwrap();
        journal.execute("UPDATE events SET at = at + ?1", [jump]).unwrap();
        journal
            .execute(
                "UPDATE runs SET created_at = created_at + ?1, started_at = started_at + ?1,
                     updated_at = updated_at + ?1",
                [jump],
            )
            .unwrap();
        drop(journal);
        std::fs::remove_file(scratch.record(&run).join("events.jsonl")).unwrap();
        assert_eq!(scratch.status(&run), "interrupted");
        let shown = scratch.run(&["status", &run]);
        assert_eq!(shown.code, 0, "{shown:?}");
        assert_eq!(scratch.run(&[] as &[&str]).code, 0);
        assert_eq!(scratch.run(&["list"]).code, 0);
        std::fs::write(scratch.at("go"), "").unwrap();
        let resumed = scratch.json(&["resume", &run]);
        assert_eq!(resumed.code, 0, "{resumed:?}");
        assert_eq!(scratch.text("ran"), "one\ntwo\ntwo\n");
        let events = scratch.events(&run);
        let numbers: Vec<u64> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
        assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>());
        assert_eq!(scratch.manifest(&run)["status"], "succeeded");
    }
}

/// What a machine's clocks are like after a suspend: the time of day and the time since boot have
/// gone on, and the one that stands still meanwhile has stood still.
const CLOCKS: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, time);
    const char *slept = getenv("SUSPENDED");
    if (result == 0 && slept && access(slept, F_OK) == 0
        && (clock == CLOCK_REALTIME || clock == CLOCK_BOOTTIME))
        time->tv_sec += 8 * 3600;
    return result;
}
"#;

#[test]
fn a_suspend_of_eight_hours_is_no_time_of_a_stage() {
    let scratch = Scratch::with(
        "[pipelines.one]\nstages = [{ id = 'one', timeout = '5m', \
         command = 'touch begun; until [ -e go ]; do sleep 0.02; done' }]",
    );
    let (source, library) = (scratch.at("clocks.c"), scratch.at("clocks.so"));
    std::fs::write(&source, CLOCKS).unwrap();
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source);
    assert!(cc.status().unwrap().success(), "a C compiler is needed to build this at all");
    let slept = scratch.at("slept");
    let mut start = scratch.command(&["start", "one", "--json", "--task", "demo"]);
    start.env("LD_PRELOAD", &library).env("SUSPENDED", &slept).stdout(Stdio::piped());
    let mut running = start.spawn().unwrap();
    wait_for("the stage", || scratch.at("begun").exists());
    std::fs::write(&slept, "").unwrap();
    // It is woken up, and has every reason to look at its clocks.
    let listed = scratch.json(&["list"]);
    let run = listed.document["runs"][0]["run_id"].as_str().unwrap().to_owned();
    for _ in 0..2 {
        assert_eq!(scratch.run(&["pause", &run]).code, 0);
        assert_eq!(scratch.run(&["resume", &run]).code, 0);
    }
    assert_eq!(scratch.status(&run), "in_progress");
    std::fs::write(scratch.at("go"), "").unwrap();
    assert!(running.wait().unwrap().success());
    let events = scratch.events(&run);
    assert!(events.iter().all(|event| event["event"] != "step_timed_out"), "{events:#?}");
    // The clocks did jump for it.
    let at = |event: &Value| event["timestamp"].as_str().unwrap().to_owned();
    let first = at(&events[0]);
    assert!(events.iter().any(|event| at(event)[..13] != first[..13]), "{events:#?}");
}
