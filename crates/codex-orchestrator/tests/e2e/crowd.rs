//! Many at once: on one task, and with some of them stopped in the middle of a write.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::MetadataExt,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    processes::Seen,
    scratch::{Scratch, say, until, wait_for},
};

const SHORT: &str = r#"
[pipelines.short]
stages = [{ id = "one", command = "true" }, { id = "two", command = "echo two >> ran" }]
"#;

#[test]
fn fifty_runs_at_once_on_one_task_all_succeed() {
    let scratch = Scratch::with(SHORT);
    scratch.git();
    let start = |_| scratch.spawn(&["start", "short", "--task", "demo", "--json"]);
    let running: Vec<_> = (0..50).map(start).collect();
    let mut ids = BTreeSet::new();
    for one in running {
        let answer = one.done().answer();
        assert_eq!((answer.code, answer.text("status").as_str()), (0, "succeeded"), "{answer:?}");
        ids.insert(answer.text("run_id"));
    }
    assert_eq!(ids.len(), 50);
    assert_eq!(scratch.text("ran").lines().count(), 50);
    let list = scratch.json(&["list", "--task", "demo", "--limit", "100"]);
    let rows = list.document["runs"].as_array().unwrap();
    let listed: BTreeSet<_> =
        rows.iter().map(|row| row["run_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(listed, ids);
    assert!(rows.iter().all(|row| row["status"] == "succeeded"), "{rows:?}");
    for run in &ids {
        assert_eq!(scratch.manifest(run)["status"], "succeeded");
        let events = scratch.events(run);
        assert_eq!(events.last().unwrap()["event"], "run_completed");
    }
    assert!(scratch.journal().exists(), "and there is one journal");
}

/// A writer is caught with the lock in its hands and stopped there, again and again. Whoever
/// comes next waits until the stopped one is woken for as long as its write takes.
#[test]
fn a_client_that_is_stopped_in_the_middle_of_a_write_does_not_hold_up_the_others() {
    let scratch = Scratch::with(SHORT);
    assert_eq!(scratch.run(&["start", "short", "--task", "demo"]).code, 0);
    let memory = scratch.journal().with_extension("db-shm");
    let mut caught = 0;
    let mut longest = Duration::ZERO;
    // The lock is held for milliseconds at a time, so that most attempts catch nobody.
    while caught < 3 {
        // Somebody who stays keeps the shared memory where it is.
        let stopped = until("somebody with the lock", || {
            let writer = scratch.spawn(&["start", "short", "--task", "demo", "--json"]);
            let inode = fs::metadata(&memory).ok()?.ino();
            loop {
                if writers(inode).contains(&writer.pid()) {
                    writer.signal(Signal::SIGSTOP);
                    if is_stopped_with_lock(&writer, inode) {
                        return Some(writer);
                    }
                    writer.signal(Signal::SIGCONT);
                }
                Seen::at(writer.pid())?;
            }
        });
        caught += 1;
        let begun = Instant::now();
        let other = scratch.json(&["start", "short", "--task", "demo"]);
        longest = longest.max(begun.elapsed());
        assert_eq!(other.code, 0, "{other:?}");
        // The signal has been sent by now; on a busy machine it is heard later, and may come when all
        // is done.
        wait_for("who was stopped on purpose is stopped again", || {
            is_stopped(stopped.pid()) || Seen::at(stopped.pid()).is_none()
        });
        kill(Pid::from_raw(stopped.pid()), Signal::SIGCONT).unwrap();
        let answer = stopped.done().answer();
        assert_eq!((answer.code, answer.text("status").as_str()), (0, "succeeded"), "{answer:?}");
    }
    say(&format!("a whole run beside a stopped writer took at most {longest:?}"));
}

/// Whether it is stopped by now, and still has the lock.
fn is_stopped_with_lock(writer: &crate::scratch::Running, inode: u64) -> bool {
    until("it is stopped", || is_stopped(writer.pid()).then_some(()));
    writers(inode).contains(&writer.pid())
}

pub(crate) fn is_stopped(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
}

/// Who holds the lock that SQLite's writers take: byte 120 of the memory beside the database.
fn writers(inode: u64) -> Vec<i32> {
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    let holder = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, "POSIX", _, "WRITE", pid, file, from, _] = words.as_slice() else { return None };
        let ours = file.ends_with(&format!(":{inode}")) && *from == "120";
        ours.then(|| pid.parse().ok())?
    };
    locks.lines().filter_map(holder).collect()
}

#[test]
fn the_first_runs_of_a_repository_share_one_journal_also_when_they_start_at_once() {
    for _ in 0..10 {
        let scratch = Scratch::with(SHORT);
        let start = |_| scratch.spawn(&["start", "short", "--task", "demo", "--json"]);
        let running: Vec<_> = (0..6).map(start).collect();
        for one in running {
            let answer = one.done().answer();
            assert_eq!(answer.code, 0, "{answer:?}");
        }
        assert!(scratch.journal().exists());
        let list = scratch.json(&["list"]);
        assert_eq!(list.document["runs"].as_array().unwrap().len(), 6, "{list:?}");
    }
}

#[test]
fn a_run_that_ends_well_is_never_seen_as_anything_else() {
    let scratch = Scratch::with(SHORT);
    for _ in 0..10 {
        let run = scratch.start("short");
        until("its end", || {
            let status = scratch.status(&run);
            let list = scratch.json(&["list", "--limit", "1"]);
            let listed = list.document["runs"][0]["status"].as_str().unwrap();
            for seen in [status.as_str(), listed] {
                assert!(["queued", "in_progress", "succeeded"].contains(&seen), "{seen}");
            }
            (status == "succeeded").then_some(())
        });
    }
}
