//! What pipelines say about their stages, and what comes of it.

use std::fs;

use serde_json::{Value, json};

use crate::scratch::{Answer, Scratch, wait_for};

/// The entry of a stage in a manifest.
#[track_caller]
fn entry<'a>(manifest: &'a Value, id: &str) -> &'a Value {
    let commands = manifest["commands"].as_array().expect("stages");
    commands.iter().find(|entry| entry["id"] == id).unwrap_or_else(|| panic!("{id}: {manifest:#}"))
}

#[track_caller]
fn run(scratch: &Scratch, pipeline: &str) -> (Answer, Value) {
    let answer = scratch.json(&["start", pipeline, "--task", "demo"]);
    let manifest = scratch.manifest(&answer.text("run_id"));
    (answer, manifest)
}

/// How many stages were at work at once, told from the `+` and `-` that each wrote.
fn most_at_once(marks: &str) -> i32 {
    let mut now = 0;
    let steps = marks.chars().filter_map(|mark| match mark {
        '+' => Some(1),
        '-' => Some(-1),
        _ => None,
    });
    steps.map(|step| (now += step, now).1).max().unwrap_or_default()
}

#[test]
fn stages_that_need_nothing_run_side_by_side_and_no_more_of_them_than_may() {
    // `a` and `b` wait for each other, which only both at once can do.
    let scratch = Scratch::with(
        r#"
run.max_parallel = 2
[pipelines.wide]
stages = [
  { id = "a", command = "echo + >> marks; touch a; until [ -e b ]; do sleep 0.02; done; echo - >> marks", needs = [] },
  { id = "b", command = "echo + >> marks; touch b; until [ -e a ]; do sleep 0.02; done; echo - >> marks", needs = [] },
  { id = "c", command = "echo + >> marks; sleep 0.1; echo - >> marks", needs = [] },
  { id = "d", command = "echo + >> marks; sleep 0.1; echo - >> marks", needs = [] },
  { id = "e", command = "echo + >> marks; sleep 0.1; echo - >> marks", needs = [] },
  { id = "last", command = "cat marks", needs = ["a", "b", "c", "d", "e"] },
]
[pipelines.plain]
stages = [
  { id = "a", command = "echo + >> plain; sleep 0.1; echo - >> plain" },
  { id = "b", command = "echo + >> plain; sleep 0.1; echo - >> plain" },
]
"#,
    );
    let (answer, _) = run(&scratch, "wide");
    assert_eq!(answer.code, 0, "{answer:?}");
    assert_eq!(most_at_once(&scratch.text("marks")), 2, "{}", scratch.text("marks"));
    let last = scratch.run(&["logs", &answer.text("run_id"), "--stage", "last"]).stdout;
    assert_eq!(last.matches('-').count(), 5, "it came after all that it needs: {last}");
    assert_eq!(run(&scratch, "plain").0.code, 0);
    assert_eq!(most_at_once(&scratch.text("plain")), 1, "nobody said `needs`");
}

#[test]
fn a_stage_over_its_time_is_ended_with_all_it_started() {
    let scratch = Scratch::with(
        r#"
run.grace = "100ms"
[pipelines.late]
stages = [
  { id = "one", command = "(trap '' TERM; sleep 600) & echo began; sleep 600", timeout = "300ms" },
  { id = "two", command = "echo two" },
]
"#,
    );
    let (answer, manifest) = run(&scratch, "late");
    assert_eq!((answer.code, answer.text("status").as_str()), (1, "failed"), "{answer:?}");
    assert_eq!(scratch.processes(), Vec::<i32>::new());
    let one = entry(&manifest, "one");
    assert_eq!(one["status"], "failed");
    assert!(one["error"].as_str().unwrap().contains("300ms"), "{one}");
    assert_eq!(entry(&manifest, "two")["status"], "skipped");
}

#[test]
fn the_clock_of_a_time_limit_stands_still_while_a_run_is_paused() {
    let scratch = Scratch::with(
        r#"
[pipelines.limited]
stages = [{ id = "wait", command = "echo began >> began; until [ -e go ]; do sleep 0.02; done", timeout = "4s" }]
[pipelines.clock]
stages = [{ id = "tick", command = "while :; do echo x >> clock; sleep 0.02; done" }]
"#,
    );
    let clock = scratch.start("clock");
    let limited = scratch.start("limited");
    wait_for("the stage", || !scratch.text("began").is_empty());
    assert_eq!(scratch.run(&["pause", &limited]).code, 0);
    // Two hundred and fifty ticks of 20 ms are longer than the limit.
    let enough = scratch.text("clock").lines().count() + 250;
    wait_for("the limit to pass by", || scratch.text("clock").lines().count() > enough);
    assert_eq!(scratch.status(&limited), "paused");
    fs::write(scratch.at("go"), "").unwrap();
    assert_eq!(scratch.run(&["resume", &limited]).code, 0);
    assert_eq!(scratch.run(&["wait", &limited]).code, 0);
    assert_eq!(scratch.run(&["cancel", &clock]).code, 0);
}

#[test]
fn a_stage_is_tried_again_as_often_as_it_says_and_each_try_has_its_log() {
    let scratch = Scratch::with(
        r#"
[pipelines.flaky]
stages = [{ id = "try", command = "echo x >> tries; wc -l < tries; [ $(wc -l < tries) = 3 ]", retries = 2 }]
[pipelines.hopeless]
stages = [{ id = "try", command = "echo x >> more; exit 4", retries = 1 }]
"#,
    );
    let (answer, manifest) = run(&scratch, "flaky");
    assert_eq!(answer.code, 0, "{answer:?}");
    assert_eq!(entry(&manifest, "try")["attempts"], 3);
    let folder = scratch.record(&answer.text("run_id")).join("stages");
    let mut logs: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|log| fs::read_to_string(log.unwrap().path()).unwrap())
        .collect();
    logs.sort_unstable();
    assert_eq!(logs, ["1\n", "2\n", "3\n"]);
    let (answer, manifest) = run(&scratch, "hopeless");
    assert_eq!(answer.code, 1);
    assert_eq!(entry(&manifest, "try")["exit_code"], 4);
    assert_eq!(scratch.text("more"), "x\nx\n");
}

#[test]
fn the_older_form_runs_as_it_says() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.at("below")).unwrap();
    let config = json!({
        "defaultPipeline": "whole",
        "stageSets": { "common": [{
            "kind": "command", "id": "fmt", "title": "Format", "command": "pwd; echo $K",
            "cwd": "below", "env": { "K": "v" }, "summaryHint": "all formatted",
        }] },
        "pipelines": [
            { "id": "whole", "title": "Whole", "stages": [
                { "kind": "stage-set", "ref": "common" },
                { "kind": "subpipeline", "id": "may", "pipeline": "fails", "optional": true },
                { "kind": "pipeline", "id": "part", "pipeline": "says" },
                { "kind": "command", "id": "bad", "command": "exit 3", "allowFailure": true },
            ] },
            { "id": "says", "stages": [{ "kind": "command", "id": "x", "command": "echo x" }] },
            { "id": "fails", "stages": [{ "kind": "command", "id": "y", "command": "exit 1" }] },
        ],
    });
    fs::write(scratch.at("codex.orchestrator.json"), config.to_string()).unwrap();
    let answer = scratch.json(&["start", "--task", "demo"]);
    assert_eq!((answer.code, answer.text("status").as_str()), (0, "succeeded"), "{answer:?}");
    let run = answer.text("run_id");
    let manifest = scratch.manifest(&run);
    assert_eq!(manifest["pipeline_title"], "Whole");
    let rows = manifest["commands"].as_array().unwrap().iter();
    let rows: Vec<[&str; 4]> = rows
        .map(|row| ["id", "kind", "parent", "status"].map(|key| row[key].as_str().unwrap_or("-")))
        .collect();
    assert_eq!(
        rows,
        [
            ["fmt", "command", "-", "succeeded"],
            ["may", "pipeline", "-", "failed"],
            ["may/y", "command", "may", "failed"],
            ["part", "pipeline", "-", "succeeded"],
            ["part/x", "command", "part", "succeeded"],
            ["bad", "command", "-", "failed"],
        ]
    );
    assert_eq!(entry(&manifest, "fmt")["summary"], "all formatted");
    let below = scratch.at("below").display().to_string();
    assert_eq!(scratch.run(&["logs", &run, "-s", "fmt"]).stdout, format!("{below}\nv\n"));
}

#[test]
fn bytes_that_are_no_text_are_kept_once_and_as_they_are() {
    let scratch = Scratch::with(
        r#"
[pipelines.bytes]
stages = [{ id = "raw", command = "cat given; printf '\\0end'" }]
"#,
    );
    let given: Vec<u8> = (0..200_000_u32).map(|at| (at * 31 % 256) as u8).collect();
    fs::write(scratch.at("given"), &given).unwrap();
    let (answer, manifest) = run(&scratch, "bytes");
    assert_eq!(answer.code, 0, "{answer:?}");
    let log = scratch.at(entry(&manifest, "raw")["log_path"].as_str().unwrap());
    let kept = fs::read(log).unwrap();
    assert!(kept == [given.as_slice(), b"\0end"].concat(), "{} bytes", kept.len());
    let output = scratch.command(&["logs", "-s", "raw"]).output().expect("it runs");
    assert!(output.stdout == kept, "and so they are shown");
    // Neither the journal nor a view has a copy.
    let folder = scratch.record(&answer.text("run_id"));
    for file in ["manifest.json", "events.jsonl"].map(|name| folder.join(name)) {
        assert!(fs::metadata(&file).unwrap().len() < 20_000, "{file:?}");
    }
    assert!(fs::metadata(scratch.journal()).unwrap().len() < 150_000);
}

#[test]
fn what_was_not_checked_is_said_with_the_verdict() {
    let scratch = Scratch::new();
    fs::write(scratch.at("Makefile"), "test:\n\techo tested\n\nlint:\n\tgit push\n").unwrap();
    let (answer, manifest) = run(&scratch, "diagnostics");
    assert_eq!((answer.code, answer.text("status").as_str()), (0, "succeeded"), "{answer:?}");
    assert_eq!(answer.text("summary"), "1 of 1 stages succeeded, 1 left out");
    assert_eq!(answer.text("left_out/0/what"), "`make lint`");
    assert_eq!(answer.document["left_out"], manifest["left_out"]);
}

#[test]
fn a_link_that_a_stage_plants_where_the_next_one_logs_is_not_followed() {
    let scratch = Scratch::with(
        r#"
[pipelines.plants]
stages = [
  { id = "plant", command = "ln -s \"$PWD/precious\" \"$CODEX_ORCHESTRATOR_RUN_DIR/stages/02-next.log\"" },
  { id = "next", command = "echo said" },
]
"#,
    );
    fs::write(scratch.at("precious"), "mine").unwrap();
    let (answer, manifest) = run(&scratch, "plants");
    assert_eq!(answer.code, 0, "{answer:?}");
    assert_eq!(scratch.text("precious"), "mine");
    let log = scratch.at(entry(&manifest, "next")["log_path"].as_str().unwrap());
    assert!(fs::symlink_metadata(&log).unwrap().is_file());
    assert_eq!(fs::read_to_string(log).unwrap(), "said\n");
}
