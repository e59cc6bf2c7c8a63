//! Disks that are full, or cannot be written, under the repository and under the state folder.

use std::{fs, path::PathBuf, process::Stdio};

use crate::{
    mounts,
    scratch::{Answer, Running, Scratch, say, wait_for},
};

/// Three stages; the second waits for a file that is outside the repository.
fn config(go: &std::path::Path) -> String {
    format!(
        r#"
[pipelines.three]
stages = [
  {{ id = "one", command = "echo one >> $RAN" }},
  {{ id = "two", command = "echo two >> $RAN; until [ -e {go} ]; do sleep 0.02; done; seq 2000" }},
  {{ id = "three", command = "echo three >> $RAN; seq 2000" }},
]
"#,
        go = go.display()
    )
}

struct Bench {
    scratch: Scratch,
    outside: PathBuf,
}

impl Bench {
    fn new() -> Self {
        let scratch = Scratch::new();
        let outside = scratch.folder().join("outside");
        fs::create_dir(&outside).unwrap();
        Self { scratch, outside }
    }

    fn write_config(&self) {
        let ran = self.outside.join("ran");
        let text = config(&self.outside.join("go")).replace("$RAN", &ran.display().to_string());
        self.scratch.config(&text);
    }

    fn ran(&self) -> String {
        fs::read_to_string(self.outside.join("ran")).unwrap_or_default()
    }

    fn go(&self) {
        fs::write(self.outside.join("go"), "").unwrap();
    }

    /// Waits until the run goes no further, by what its processes do and not by what is written.
    fn await_end(&self) {
        wait_for("everybody's end", || self.scratch.processes().is_empty());
    }

    #[track_caller]
    fn assert_finished(&self, run: &str) {
        let status = self.scratch.json(&["status", run]);
        assert_eq!(status.text("status"), "succeeded", "{status:?}");
        let manifest = self.scratch.manifest(run);
        assert_eq!(manifest["status"], "succeeded", "{manifest}");
        let events = self.scratch.events(run);
        let numbers: Vec<u64> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
        assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>());
        assert_eq!(events.last().unwrap()["event"], "run_completed");
    }
}

/// An error that names what is wrong and what to do.
#[track_caller]
fn assert_says(answer: &Answer, message: &str, step: &str) {
    assert_eq!(answer.code, 9, "{answer:?}");
    assert!(answer.text("error/message").contains(message), "{answer:?}");
    assert!(answer.text("error/next_step").contains(step), "{answer:?}");
    assert!(answer.stderr.contains("hint: "), "{answer:?}");
}

#[test]
fn a_repository_that_fills_up_loses_nothing_but_output() {
    if !mounts::of_our_own() {
        return;
    }
    let bench = Bench::new();
    mounts::small_disk(bench.scratch.repo(), "1m");
    bench.write_config();
    let run = bench.scratch.start("three");
    wait_for("the second stage", || bench.ran().contains("two"));
    mounts::fill(&bench.scratch.at("filler"));
    bench.go();
    bench.await_end();
    // A stage whose log cannot be made does not run unseen.
    let full = bench.scratch.json(&["status", &run]);
    assert_eq!(full.code, 0, "{full:?}");
    assert_ne!(full.text("status"), "in_progress", "{full:?}");
    fs::remove_file(bench.scratch.at("filler")).unwrap();
    if full.text("status") != "succeeded" {
        let resumed = bench.scratch.json(&["resume", &run]);
        assert_eq!(resumed.code, 0, "{resumed:?}");
    }
    bench.assert_finished(&run);
}

#[test]
fn a_run_cannot_be_started_in_a_full_repository_and_says_why() {
    if !mounts::of_our_own() {
        return;
    }
    let bench = Bench::new();
    mounts::small_disk(bench.scratch.repo(), "1m");
    bench.write_config();
    bench.go();
    mounts::fill(&bench.scratch.at("filler"));
    let refused = bench.scratch.json(&["start", "three", "--task", "demo"]);
    assert_says(&refused, "", "room");
    assert_eq!(bench.ran(), "");
    fs::remove_file(bench.scratch.at("filler")).unwrap();
    assert_eq!(bench.scratch.json(&["start", "three", "--task", "demo"]).code, 0);
}

#[test]
fn a_state_folder_that_fills_up_interrupts_the_run_and_takes_it_up_when_there_is_room() {
    if !mounts::of_our_own() {
        return;
    }
    let bench = Bench::new();
    mounts::small_disk(&bench.scratch.state(), "2m");
    bench.write_config();
    let starting = bench.scratch.spawn(&["start", "three", "--task", "demo", "--json"]);
    wait_for("the second stage", || bench.ran().contains("two"));
    let filler = bench.scratch.state().join("filler");
    mounts::fill(&filler);
    bench.go();
    let ended = starting.done().answer();
    if ended.code != 0 {
        assert_says(&ended, "no space is left", "room");
    }
    bench.await_end();
    // Looking needs no room.
    let list = bench.scratch.json(&["list"]);
    assert_eq!(list.code, 0, "{list:?}");
    let run = list.document["runs"][0]["run_id"].as_str().unwrap().to_owned();
    let full = bench.scratch.json(&["status", &run]);
    assert_eq!(full.code, 0, "{full:?}");
    let expected = if ended.code == 0 { "succeeded" } else { "interrupted" };
    assert_eq!(full.text("status"), expected, "{full:?}");
    if expected == "interrupted" {
        let refused = bench.scratch.json(&["resume", &run]);
        assert_says(&refused, "no space", "room");
    }
    fs::remove_file(&filler).unwrap();
    assert_eq!(bench.scratch.status(&run), expected);
    if expected == "interrupted" {
        let resumed = bench.scratch.json(&["resume", &run]);
        assert_eq!(resumed.code, 0, "{resumed:?}");
        assert_eq!(bench.ran().matches("one").count(), 1, "{}", bench.ran());
    }
    bench.assert_finished(&run);
}

#[test]
fn a_runner_that_dies_while_the_state_folder_is_full_is_seen_all_the_same() {
    if !mounts::of_our_own() {
        return;
    }
    let bench = Bench::new();
    mounts::small_disk(&bench.scratch.state(), "2m");
    bench.write_config();
    let run = bench.scratch.start("three");
    wait_for("the second stage", || bench.ran().contains("two"));
    let filler = bench.scratch.state().join("filler");
    mounts::fill(&filler);
    bench.scratch.kill_runner(&run);
    bench.await_end();
    assert_eq!(bench.scratch.status(&run), "interrupted");
    fs::remove_file(&filler).unwrap();
    assert_eq!(bench.scratch.status(&run), "interrupted");
    bench.go();
    assert_eq!(bench.scratch.json(&["resume", &run]).code, 0);
    bench.assert_finished(&run);
}

#[test]
fn a_repository_that_cannot_be_written_can_be_looked_at() {
    if !mounts::of_our_own() {
        return;
    }
    let bench = Bench::new();
    bench.write_config();
    bench.go();
    let done = bench.scratch.json(&["start", "three", "--task", "demo"]);
    let run = done.text("run_id");
    mounts::read_only(bench.scratch.repo());
    assert_eq!(bench.scratch.status(&run), "succeeded");
    assert_eq!(bench.scratch.run(&["list"]).code, 0);
    assert_eq!(bench.scratch.run(&["logs", &run]).code, 0);
    assert_eq!(bench.scratch.run(&[] as &[&str]).code, 0);
    let refused = bench.scratch.json(&["start", "three", "--task", "demo"]);
    assert_ne!(refused.code, 0, "{refused:?}");
    assert!(refused.text("error/message").contains("ead-only"), "{refused:?}");
    assert_eq!(bench.ran().matches("one").count(), 1, "nothing ran");
    // Nor does a run begin whose record could not be kept.
    let list = bench.scratch.json(&["list"]);
    assert_eq!(list.document["runs"].as_array().unwrap().len(), 1, "{list:?}");
}

#[test]
fn a_state_folder_that_cannot_be_written_can_be_looked_at() {
    if !mounts::of_our_own() {
        return;
    }
    let bench = Bench::new();
    bench.write_config();
    bench.go();
    let done = bench.scratch.json(&["start", "three", "--task", "demo"]);
    let run = done.text("run_id");
    mounts::read_only(&bench.scratch.state());
    assert_eq!(bench.scratch.status(&run), "succeeded");
    assert_eq!(bench.scratch.run(&["list"]).code, 0);
    assert_eq!(bench.scratch.run(&["logs", &run]).code, 0);
    let refused = bench.scratch.json(&["start", "three", "--task", "demo"]);
    assert_says(&refused, "", "CODEX_ORCHESTRATOR_HOME");
    assert_eq!(bench.ran().matches("one").count(), 1, "nothing ran");
}

#[test]
fn an_interrupted_run_is_seen_where_the_state_folder_cannot_be_written() {
    if !mounts::of_our_own() {
        return;
    }
    let bench = Bench::new();
    bench.write_config();
    let run = bench.scratch.start("three");
    wait_for("the second stage", || bench.ran().contains("two"));
    bench.scratch.kill_runner(&run);
    bench.await_end();
    mounts::read_only(&bench.scratch.state());
    assert_eq!(bench.scratch.status(&run), "interrupted");
}

/// Makes the library that takes shared memory away, where there is a compiler.
fn without_shared_memory(folder: &std::path::Path) -> Option<PathBuf> {
    let (source, library) = (folder.join("unshared.c"), folder.join("unshared.so"));
    fs::write(&source, include_str!("unshared.c")).unwrap();
    let mut cc = std::process::Command::new("cc");
    cc.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).arg("-ldl");
    match cc.status() {
        Ok(status) if status.success() => Some(library),
        other => {
            say(&format!("skipped: no C compiler: {other:?}"));
            None
        }
    }
}

#[test]
fn a_state_folder_whose_file_system_shares_no_memory_will_do() {
    let bench = Bench::new();
    let Some(library) = without_shared_memory(bench.scratch.folder()) else { return };
    bench.write_config();
    let there = |words: &[&str]| {
        let mut command = bench.scratch.command(words);
        command.env("LD_PRELOAD", &library);
        command
    };
    let tell = |words: &[&str]| bench.scratch.run_json(&mut there(words));
    let begun = tell(&["start", "three", "--task", "demo", "--detach"]);
    assert_eq!(begun.code, 0, "{begun:?}");
    let run = begun.text("run_id");
    wait_for("the second stage", || bench.ran().contains("two"));
    assert!(!bench.scratch.journal().with_extension("db-shm").exists(), "it was taken away");
    bench.scratch.kill_runner(&run);
    assert_eq!(tell(&["status", &run]).text("status"), "interrupted");
    bench.go();
    let resumed = tell(&["resume", &run]);
    assert_eq!(resumed.code, 0, "{resumed:?}");
    let start = |_| {
        let mut command = there(&["start", "three", "--task", "demo", "--json"]);
        Running::new(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn())
    };
    for one in (0..8).map(start).collect::<Vec<_>>() {
        let answer = one.done().answer();
        assert_eq!(answer.code, 0, "{answer:?}");
    }
    let list = tell(&["list"]);
    assert_eq!(list.document["runs"].as_array().unwrap().len(), 9, "{list:?}");
    bench.assert_finished(&run);
}
