//! What the program writes is what its schemas say.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::scratch::{Scratch, wait_for};

/// A stage of each kind, and one that fails; one that waits for a file named `go`.
const CONFIG: &str = r#"
[pipelines.all]
title = "Of every kind"
stages = [
  { id = "inner", pipeline = "inner" },
  { id = "may-fail", command = "exit 3", allow_failure = true, timeout = "10m", retries = 1 },
  { id = "fails", command = ["sh", "-c", "echo why >&2; exit 4"], env = { A = "b" }, cwd = "." },
  { id = "skipped", command = "true" },
]
[pipelines.inner]
stages = [{ id = "says", command = "echo said" }]
[pipelines.waits]
stages = [{ id = "wait", command = "until [ -e go ]; do sleep 0.02; done" }]
"#;

/// A schema that the program prints.
fn schema(scratch: &Scratch, name: &str) -> Value {
    let done = scratch.run(&["schema", name]);
    assert_eq!(done.code, 0, "{done:?}");
    serde_json::from_str(&done.stdout).expect("a schema is JSON")
}

#[track_caller]
fn fits(schema: &Value, document: &Value, what: &str) {
    let validator = jsonschema::validator_for(schema).expect("a schema");
    let faults: Vec<String> = validator
        .iter_errors(document)
        .map(|fault| format!("{}: {fault}", fault.instance_path()))
        .collect();
    assert_eq!(faults, Vec::<String>::new(), "{what}: {document:#}");
}

/// Checks what a command prints, and that it says no more than the schema knows.
#[track_caller]
fn check(scratch: &Scratch, name: &str, words: &[&str], code: i32) -> Value {
    let answer = scratch.json(words);
    assert_eq!(answer.code, code, "{words:?}: {answer:?}");
    let schema = schema(scratch, name);
    fits(&schema, &answer.document, &format!("{words:?}"));
    let known: BTreeSet<&str> = properties(&schema).collect();
    let said = answer.document.as_object().expect("an object").keys();
    let unknown: Vec<&String> = said.filter(|key| !known.contains(key.as_str())).collect();
    assert!(unknown.is_empty(), "{words:?} says {unknown:?}, which `schema {name}` does not know");
    answer.document
}

fn properties(schema: &Value) -> impl Iterator<Item = &str> {
    schema["properties"].as_object().expect("properties").keys().map(String::as_str)
}

#[test]
fn what_a_try_of_caps_prints_fits_its_schema() {
    let scratch = Scratch::new();
    for settings in [&[][..], &["--config", "caps.network.mode=none"]] {
        let words = [&["caps", "check", "--json"], settings, &["--", "true"]].concat();
        let answer = scratch.run(&words).answer();
        fits(&schema(&scratch, "caps-check"), &answer.document, &format!("{words:?}"));
    }
}

#[test]
fn every_document_fits_its_schema() {
    let scratch = Scratch::with(CONFIG);
    scratch.git();
    check(&scratch, "overview", &[], 0);
    check(&scratch, "list", &["list"], 0);
    check(&scratch, "pipelines", &["plan", "--list"], 0);
    check(&scratch, "plan", &["plan", "all"], 0);
    check(&scratch, "settings", &["config", "--config", "run.grace=3s"], 0);
    check(&scratch, "caps", &["caps", "all"], 0);
    check(&scratch, "config-check", &["config", "check"], 0);
    check(&scratch, "doctor", &["self-check"], 0);
    check(&scratch, "version", &["version"], 0);
    check(&scratch, "setup", &["setup"], 0);
    check(&scratch, "setup", &["setup", "--yes"], 0);
    check(&scratch, "setup", &["setup"], 0);
    check(&scratch, "setup", &["setup", "--undo", "--yes"], 0);
    check(&scratch, "setup", &["init"], 0);
    check(&scratch, "error", &["status"], 3);
    check(&scratch, "error", &["strat"], 2);
    check(&scratch, "resume-all", &["resume", "--all"], 0);
    check(&scratch, "start", &["start", "all", "--task", "demo", "--goal", "a goal"], 1);
    check(&scratch, "start", &["exec", "--task", "demo", "--json", "--", "true"], 0);
    let run = scratch.json(&["list"]).document["runs"][1]["run_id"].as_str().unwrap().to_owned();
    check(&scratch, "status", &["status", &run], 0);
    check(&scratch, "logs", &["logs", &run], 0);
    check(&scratch, "logs", &["logs", &run, "--follow"], 0);
    check(&scratch, "wait", &["wait", &run], 1);
    check(&scratch, "start", &["resume", &run], 1);
    let waiting = check(&scratch, "start", &["start", "waits", "--task", "demo", "--detach"], 0);
    let waiting = waiting["run_id"].as_str().unwrap();
    check(&scratch, "wait", &["wait", waiting, "--timeout", "1ms"], 8);
    check(&scratch, "control", &["pause", waiting], 0);
    check(&scratch, "status", &["status", waiting], 0);
    check(&scratch, "overview", &[], 0);
    check(&scratch, "start", &["resume", waiting], 0);
    check(&scratch, "control", &["pause", waiting], 0);
    check(&scratch, "resume-all", &["resume", "--all"], 0);
    check(&scratch, "control", &["cancel", waiting, "--reason", "enough"], 0);
    check(&scratch, "list", &["list"], 0);
    check(&scratch, "prune", &["prune", "--older-than", "0s"], 0);
    check(&scratch, "prune", &["prune", "--older-than", "0s", "--yes"], 0);
}

#[test]
fn the_files_of_a_run_fit_their_schemas_while_it_runs_and_after() {
    let scratch = Scratch::with(CONFIG);
    let (manifest, events) = (schema(&scratch, "manifest"), schema(&scratch, "events"));
    let check = |run: &str, when: &str| {
        fits(&manifest, &scratch.manifest(run), &format!("the manifest {when}"));
        let lines = scratch.events(run);
        for line in &lines {
            fits(&events, line, &format!("an event {when}"));
        }
        let seqs: Vec<u64> = lines.iter().filter_map(|line| line["seq"].as_u64()).collect();
        assert_eq!(seqs, (1..=lines.len() as u64).collect::<Vec<_>>(), "{when}");
    };
    let run = scratch.start("waits");
    check(&run, "as soon as it is started");
    wait_for("the stage", || scratch.events(&run).len() > 3);
    assert_eq!(scratch.run(&["pause", &run]).code, 0);
    check(&run, "while it is paused");
    assert_eq!(scratch.run(&["cancel", &run]).code, 0);
    check(&run, "when it was cancelled");
    let failed = scratch.json(&["start", "all", "--task", "demo"]).text("run_id");
    check(&failed, "when it has failed");
    assert_eq!(scratch.json(&["resume", &failed]).code, 1);
    check(&failed, "when it has failed again");
}
