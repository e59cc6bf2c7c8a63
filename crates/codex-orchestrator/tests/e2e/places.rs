//! Repositories in odd places, and records that are deleted, copied, moved or somebody else's.

use std::{fs, process::Command};

use crate::scratch::{Scratch, wait_for};

const TWO: &str = r#"
[pipelines.two]
stages = [
  { id = "one", command = "echo one >> ran; echo out of one" },
  { id = "two", command = "echo two >> ran; until [ -e go ]; do sleep 0.02; done; echo out of two" },
]
"#;

fn started() -> (Scratch, String) {
    let scratch = Scratch::with(TWO);
    let run = scratch.start("two");
    wait_for("the second stage", || scratch.text("ran").contains("two"));
    (scratch, run)
}

fn finished() -> (Scratch, String) {
    let scratch = Scratch::with(TWO);
    fs::write(scratch.at("go"), "").unwrap();
    let run = scratch.start("two");
    assert_eq!(scratch.await_end(&run).code, 0);
    (scratch, run)
}

#[track_caller]
fn assert_whole(scratch: &Scratch, run: &str, status: &str) {
    assert_eq!(scratch.manifest(run)["status"], status);
    let events = scratch.events(run);
    let numbers: Vec<u64> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>(), "{events:#?}");
}

#[test]
fn a_repository_may_be_anywhere() {
    for name in [
        "with space",
        "it's \"quoted\" and $(touch x) `touch y`; touch z",
        "größe-日本語-🦀",
        "-leading",
        "%s%n",
        "new\nline",
        "tab\tand\\backslash",
        &"long".repeat(50),
    ] {
        let scratch = Scratch::named(name);
        scratch.config(TWO);
        fs::write(scratch.at("go"), "").unwrap();
        let answer = scratch.json(&["start", "two", "--task", "demo"]);
        assert_eq!(answer.code, 0, "{name}: {answer:?}");
        let run = answer.text("run_id");
        assert_eq!(answer.text("repo_root"), scratch.repo().to_str().unwrap());
        assert_eq!(scratch.text("ran"), "one\ntwo\n", "{name}");
        assert_eq!(scratch.status(&run), "succeeded", "{name}");
        assert_whole(&scratch, &run, "succeeded");
        for words in [&["list"][..], &["status"], &["logs"], &[]] {
            assert_eq!(scratch.run(words).code, 0, "{name}: {words:?}");
        }
        let path = scratch.record(&run).join("manifest.json");
        let by_path = scratch.json(&["status", path.to_str().unwrap()]);
        assert_eq!(by_path.document["foreign"], false, "{name}: {by_path:?}");
        for touched in ["x", "y", "z"] {
            assert!(!scratch.at(touched).exists(), "{name}");
        }
    }
}

#[test]
fn a_path_that_is_no_text_is_refused_before_anything_is_made() {
    use std::os::unix::ffi::OsStrExt;
    let scratch = Scratch::new();
    let odd = scratch.folder().join(std::ffi::OsStr::from_bytes(b"odd-\xff"));
    fs::create_dir_all(odd.join(".codex")).unwrap();
    fs::write(odd.join(".codex/orchestrator.toml"), TWO).unwrap();
    let mut command: Command = scratch.command(&["start", "two", "--task", "demo"]);
    let answer = scratch.run_json(command.current_dir(&odd));
    assert_eq!(answer.code, 2, "{answer:?}");
    assert!(answer.text("error/message").contains("UTF-8"), "{answer:?}");
    assert!(!odd.join(".runs").exists());
}

#[test]
fn git_clean_under_a_live_run_loses_output_and_nothing_else() {
    let scratch = Scratch::with(TWO);
    scratch.git();
    let run = scratch.start("two");
    wait_for("the second stage", || scratch.text("ran").contains("two"));
    assert_eq!(scratch.tell_git(&["status", "--porcelain"]).stdout, "?? ran\n");
    scratch.tell_git(&["clean", "-xdf", "--quiet"]);
    assert!(!scratch.at(".runs").exists());
    assert_eq!(scratch.status(&run), "in_progress");
    fs::write(scratch.at("go"), "").unwrap();
    assert_eq!(scratch.await_end(&run).code, 0);
    assert_eq!(scratch.status(&run), "succeeded");
    assert_whole(&scratch, &run, "succeeded");
    assert_eq!(fs::read_to_string(scratch.at(".runs/.gitignore")).unwrap(), "*\n");
    let shown = scratch.run(&["status", &run]);
    assert!(shown.stdout.contains("deleted"), "{shown:?}");
}

#[test]
fn a_record_that_was_deleted_after_the_run_is_made_again_by_looking() {
    let (scratch, run) = finished();
    let before = (scratch.manifest(&run), scratch.events(&run));
    fs::remove_dir_all(scratch.at(".runs")).unwrap();
    assert_eq!(scratch.status(&run), "succeeded");
    assert_eq!((scratch.manifest(&run), scratch.events(&run)), before);
}

#[test]
fn a_manifest_that_was_overwritten_under_a_live_run_is_made_again() {
    let (scratch, run) = started();
    fs::write(scratch.record(&run).join("manifest.json"), "{\"torn\": ").unwrap();
    fs::write(scratch.record(&run).join("events.jsonl"), "{\"seq\":").unwrap();
    fs::write(scratch.at("go"), "").unwrap();
    assert_eq!(scratch.run(&["wait", &run]).code, 0);
    // What is on disk cannot say who its runner is.
    wait_for("its runner's end", || scratch.json(&["status", &run]).document["live"] == false);
    assert_whole(&scratch, &run, "succeeded");
}

#[test]
fn a_copied_repository_has_runs_of_its_own_and_leaves_the_others_alone() {
    let (scratch, run) = started();
    let copy = scratch.folder().join("copy");
    let copied = Command::new("cp").arg("-a").arg(scratch.repo()).arg(&copy).status().unwrap();
    assert!(copied.success());
    let here = |words: &[&str]| {
        let mut command = scratch.command(words);
        command.current_dir(&copy);
        scratch.run_json(&mut command)
    };
    let path = format!(".runs/demo/cli/{run}/manifest.json");
    let foreign = here(&["status", &path]);
    assert_eq!(foreign.document["foreign"], true, "{foreign:?}");
    for words in [["cancel", &path], ["pause", &path], ["resume", &path]] {
        assert_eq!(here(&words).code, 4, "{words:?}");
    }
    fs::write(copy.join("go"), "").unwrap();
    let own = here(&["start", "two", "--task", "demo"]);
    assert_eq!(own.code, 0, "{own:?}");
    assert_eq!(own.text("repo_root"), copy.to_str().unwrap());
    assert_eq!(scratch.status(&run), "in_progress", "the first one goes on");
    let list = scratch.json(&["list"]);
    assert_eq!(list.document["runs"].as_array().unwrap().len(), 1, "{list:?}");
    fs::write(scratch.at("go"), "").unwrap();
    assert_eq!(scratch.run(&["wait", &run]).code, 0);
}

#[test]
fn a_moved_repository_keeps_its_runs() {
    let (scratch, run) = finished();
    let moved = scratch.folder().join("moved");
    fs::rename(scratch.repo(), &moved).unwrap();
    let here = |words: &[&str]| {
        let mut command = scratch.command(words);
        command.current_dir(&moved);
        scratch.run_json(&mut command)
    };
    assert_eq!(here(&["status", &run]).text("status"), "succeeded");
    let again = here(&["start", "two", "--task", "demo"]);
    assert_eq!(again.code, 0, "{again:?}");
    let list = here(&["list"]);
    assert_eq!(list.document["runs"].as_array().unwrap().len(), 2, "{list:?}");
}

#[test]
fn somebody_elses_records_are_shown_and_never_touched() {
    let (theirs, run) = finished();
    let ours = Scratch::with(TWO);
    // The records came with the repository; their journal is on another machine.
    let mut copy = Command::new("cp");
    copy.arg("-a").arg(theirs.at(".runs")).arg(ours.at(".runs"));
    assert!(copy.status().unwrap().success());
    let path = format!(".runs/demo/cli/{run}/manifest.json");
    let mut manifest = ours.manifest(&run);
    manifest["status"] = "in_progress".into();
    fs::write(ours.at(&path), manifest.to_string()).unwrap();
    let shown = ours.json(&["status", &path]);
    assert_eq!(shown.document["foreign"], true, "{shown:?}");
    assert_eq!(shown.text("status"), "in_progress", "shown as it is");
    for words in [["cancel", &path], ["resume", &path], ["pause", &path]] {
        assert_eq!(ours.json(&words).code, 4, "{words:?}");
    }
    assert_eq!(ours.manifest(&run), manifest, "and left as it is");
    fs::write(ours.at("go"), "").unwrap();
    let own = ours.json(&["start", "two", "--task", "demo"]);
    assert_eq!(own.code, 0, "{own:?}");
    assert_eq!(ours.manifest(&run), manifest, "and left as it is");
}
