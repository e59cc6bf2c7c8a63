//! What confined stages have downloaded, and how it goes.

use std::{fs, path::PathBuf, process::Command};

use serde_json::{Value, json};

use super::can_be_confined;
use crate::scratch::{Scratch, done, program, say, wait_for};

/// Stages that download something, one as go leaves it, and one that is at work until it is told.
const CONFIG: &str = r#"
[caps.fs]
write = ["@worktree"]
[pipelines.fetch]
stages = [{ id = "it", command = "mkdir -p $GOMODCACHE/mod && echo x > $GOMODCACHE/mod/file && chmod a-w $GOMODCACHE/mod" }]
[pipelines.works]
stages = [{ id = "it", command = "echo mine > $GOMODCACHE/mine && touch began && read line < gate && cat $GOMODCACHE/mine" }]
"#;

fn of_repository(scratch: &Scratch) -> Vec<PathBuf> {
    let all = fs::read_dir(scratch.state().join("caches")).into_iter().flatten();
    all.map(|entry| entry.expect("an entry").path()).collect()
}

#[track_caller]
fn prune(scratch: &Scratch, words: &[&str]) -> Value {
    let answer = scratch.json(&[&["prune"], words].concat());
    assert_eq!(answer.code, 0, "{answer:?}");
    answer.document
}

#[test]
fn caches_go_when_they_are_asked_for_and_nothing_of_a_living_stage_does() {
    if !can_be_confined() {
        return;
    }
    let scratch = Scratch::with(CONFIG);
    scratch.git();
    assert_eq!(scratch.run(&["start", "fetch", "--task", "demo"]).code, 0);
    let [own] = of_repository(&scratch).try_into().expect("one repository");
    let file = own.join("person/0/own/GOMODCACHE/mod/file");
    assert!(file.exists(), "{file:?}");

    assert_eq!(prune(&scratch, &["--yes"])["caches"], json!([]), "they are kept by default");
    let would = prune(&scratch, &["--caches"]);
    assert_eq!(would["removed"], json!(false));
    assert!(would["caches"][0]["bytes"].as_u64().expect("a number") > 0, "{would}");
    assert_eq!(would["bytes"], would["caches"][0]["bytes"]);
    assert!(file.exists());

    assert_eq!(done(Command::new("mkfifo").arg(scratch.at("gate"))).code, 0);
    let run = scratch.start("works");
    wait_for("a stage at work", || scratch.at("began").exists());
    let busy = prune(&scratch, &["--caches", "--yes"]);
    assert_eq!(
        busy["caches"][0],
        json!({
            "repo_root": scratch.repo(), "gone": false, "bytes": 0, "in_use": 1,
        })
    );
    let told = scratch.run(&["prune", "--caches"]).stdout;
    assert!(told.contains("what 1 stage at work may change stays"), "{told}");
    fs::write(scratch.at("gate"), "go\n").expect("somebody waits");
    scratch.await_end(&run);
    assert_eq!(scratch.status(&run), "succeeded", "{:?}", scratch.run(&["logs", &run]));

    let told = scratch.run(&["prune", "--caches", "--yes"]).stdout;
    assert!(told.contains("removed caches, "), "{told}");
    assert_eq!(of_repository(&scratch), Vec::<PathBuf>::new());
    assert_eq!(scratch.run(&["start", "fetch", "--task", "demo"]).code, 0, "they are made anew");
}

#[test]
fn the_caches_of_a_repository_that_is_gone_go_with_what_is_pruned() {
    if !can_be_confined() {
        return;
    }
    let scratch = Scratch::with(CONFIG);
    scratch.git();
    assert_eq!(scratch.run(&["start", "fetch", "--task", "demo"]).code, 0);
    let [own] = of_repository(&scratch).try_into().expect("one repository");
    let other = scratch.folder().join("other");
    let copied = done(Command::new("cp").arg("-r").args([scratch.repo(), &other]));
    assert_eq!(copied.code, 0, "{copied:?}");
    let mut there = scratch.command(&["start", "fetch", "--task", "demo"]);
    assert_eq!(done(there.current_dir(&other)).code, 0);
    assert_eq!(of_repository(&scratch).len(), 2);
    assert_eq!(prune(&scratch, &["--yes"])["caches"], json!([]));
    fs::remove_dir_all(&other).expect("it is ours");
    assert_eq!(prune(&scratch, &["--task", "demo", "--yes"])["caches"], json!([]));
    let would = prune(&scratch, &[]);
    assert_eq!(
        (&would["caches"][0]["repo_root"], &would["caches"][0]["gone"]),
        (&json!(other), &json!(true))
    );
    assert_eq!(of_repository(&scratch).len(), 2);
    let gone = scratch.run(&["prune", "--yes"]).stdout;
    assert!(gone.contains("other, which is gone") && gone.contains("removed caches"), "{gone}");
    assert_eq!(of_repository(&scratch), [own]);
}

/// Runs the program where its state folder is an overlay, over which no other can write.
fn on_an_overlay(scratch: &Scratch, words: &str) -> Option<crate::scratch::Done> {
    for folder in ["lower", "upper", "work", "state"] {
        fs::create_dir_all(scratch.folder().join(folder)).expect("a folder");
    }
    let (at, program) = (scratch.folder().display(), program());
    let mount = format!(
        "mount -t overlay overlay -o userxattr,lowerdir={at}/lower,upperdir={at}/upper,\
         workdir={at}/work {at}/state"
    );
    let script = format!("{mount} || exit 99; exec '{}' {words}", program.display());
    let words = ["--user", "--map-root-user", "--mount", "sh", "-c", &script];
    let told = done(&mut scratch.elsewhere("unshare", &words));
    if told.code == 99 {
        say("skipped: an ordinary user cannot mount overlays here");
        return None;
    }
    Some(told)
}

#[test]
fn where_nothing_can_be_laid_over_a_cache_it_begins_empty_and_the_manifest_says_so() {
    if !can_be_confined() {
        return;
    }
    let scratch = Scratch::with(
        r#"
[caps.fs]
write = ["@worktree"]
[pipelines.look]
stages = [{ id = "it", command = "ls -A ~/.npm >> seen; echo mine > ~/.npm/mine" }]
"#,
    );
    scratch.git();
    let cache = scratch.folder().join(".npm");
    fs::create_dir(&cache).expect("a folder");
    fs::write(cache.join("of-the-user"), "").expect("a file");
    for seen in ["", "mine\n"] {
        let Some(told) = on_an_overlay(&scratch, "start look --task demo --json") else { return };
        let run = told.answer().text("run_id");
        assert_eq!(scratch.text("seen"), seen);
        let manifest = scratch.manifest(&run);
        let told = &manifest["caps"]["enforced"]["it"]["caches"][0];
        assert_eq!(told["path"], json!(cache));
        let why = told["way"]["folders"].as_str().expect("why");
        assert!(why.contains("Invalid argument"), "{told}");
    }
    assert!(!cache.join("mine").exists());
}
