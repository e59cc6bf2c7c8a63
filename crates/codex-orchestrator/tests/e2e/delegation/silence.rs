//! Runs that are at work and say nothing, and whoever waits for them.

use serde_json::{Value, json};

use super::mcp::{Server, text};
use crate::scratch::Scratch;

const CONFIG: &str = r#"
[limits]
stalled_after = "1s"
[pipelines.halts]
stages = [{ id = "halt", command = "until [ -e say ]; do sleep 0.01; done; echo said; until [ -e go ]; do sleep 0.01; done" }]
"#;

/// Waits from there on, and gives what was told of and the next cursor.
#[track_caller]
fn wait(server: &mut Server, cursor: &str, wait_ms: u64) -> (Vec<String>, String) {
    let said = server.call("wait", json!({ "cursor": cursor, "wait_ms": wait_ms })).given();
    let kinds = said["events"].as_array().expect("events").iter();
    (kinds.map(|event: &Value| text(event, "kind")).collect(), text(&said, "cursor"))
}

#[test]
fn a_run_that_falls_silent_is_told_of_each_time_once() {
    let scratch = Scratch::delegating(CONFIG);
    scratch.git();
    let mut server = Server::of(&scratch, "s");
    let run = server.call("spawn", json!({ "pipeline": "halts" })).given();
    let (kinds, cursor) = wait(&mut server, "", 60_000);
    assert_eq!(kinds, ["stalled"]);
    let (kinds, cursor) = wait(&mut server, &cursor, 0);
    assert!(kinds.is_empty(), "it was told before: {kinds:?}");
    // Somebody else, who has seen nothing, is told the same.
    let mut other = Server::of(&scratch, "other");
    let path = text(&run, "manifest_path");
    let told = other.call("wait", json!({ "manifest_paths": [path], "wait_ms": 0 })).given();
    assert_eq!(told["events"].as_array().map(Vec::len), Some(1), "{told:#}");

    std::fs::write(scratch.at("say"), "").expect("a file");
    let (kinds, cursor) = wait(&mut server, &cursor, 60_000);
    assert_eq!(kinds, ["stalled"], "it spoke, and fell silent again");
    std::fs::write(scratch.at("go"), "").expect("a file");
    let (kinds, _) = wait(&mut server, &cursor, 60_000);
    assert_eq!(kinds, ["ended"]);
}

#[test]
fn a_run_that_is_paused_has_not_stalled() {
    let scratch = Scratch::delegating(CONFIG);
    scratch.git();
    let mut server = Server::of(&scratch, "s");
    let run = server.call("spawn", json!({ "pipeline": "halts" })).given();
    let path = text(&run, "manifest_path");
    server.call("pause", json!({ "manifest_path": path, "paused": true })).given();
    let (kinds, cursor) = wait(&mut server, "", 2_500);
    assert!(kinds.is_empty(), "{kinds:?}");
    server.call("pause", json!({ "manifest_path": path, "paused": false })).given();
    let (kinds, cursor) = wait(&mut server, &cursor, 60_000);
    assert_eq!(kinds, ["stalled"], "it goes on, and says nothing");
    server.call("cancel", json!({ "manifest_path": path })).given();
    assert_eq!(wait(&mut server, &cursor, 60_000).0, ["ended"]);
}
