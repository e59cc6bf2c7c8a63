//! A delegation server in a stage that is held to caps.

use serde_json::{Value, json};

use super::{
    inside::{Pipes, Talker},
    mcp::{Server, text},
};
use crate::{
    caps::can_be_confined,
    scratch::{Scratch, program},
};

#[test]
fn a_confined_stage_speaks_with_its_run() {
    if !can_be_confined() {
        return;
    }
    let scratch = Scratch::with(&format!(
        r#"
[caps.network]
mode = "none"
[pipelines.talks]
stages = [{{ id = "it", command = "'{}' delegate-server < ask.a > told.a" }}]
"#,
        program().display()
    ));
    scratch.git();
    let pipes = Pipes::of(&scratch, "a");
    let run = scratch.start("talks");
    let mut server = pipes.connect();
    let asked = server.call(
        "question.enqueue",
        json!({ "prompt": "Well?", "auto_pause": false, "expires_in_ms": 60_000 }),
    );
    let question = asked.given();
    assert_eq!(scratch.json(&["inbox"]).document["questions"][0]["prompt"], "Well?", "{question}");
    let status = server.call("status", json!({})).given();
    assert_eq!(status["run_id"].as_str().unwrap_or_default(), run, "{status:#}");
    server.hang_up();
    drop(server);
    scratch.await_end(&run);
    assert_eq!(scratch.status(&run), "succeeded");
    assert!(scratch.manifest(&run)["caps"]["enforced"]["it"].is_object());
}

/// A repository of which two hosts are said, with a stage of which one is.
fn narrow() -> Scratch {
    let scratch = Scratch::with(&format!(
        r#"
[caps.network]
mode = "list"
allow = ["a.example", "b.example"]
[caps.fs]
tmp = "shared" # This program may lie there.
[pipelines.quick]
stages = [{{ id = "done", command = "echo done" }}]
[[pipelines.talks.stages]]
id = "it"
command = "'{}' delegate-server < ask.$CODEX_ORCHESTRATOR_GOAL > told.$CODEX_ORCHESTRATOR_GOAL"
caps = {{ network = {{ allow = ["a.example"] }} }}
"#,
        program().display()
    ));
    scratch.git();
    scratch
}

fn hosts(scratch: &Scratch, run: &str) -> Value {
    scratch.await_end(run);
    scratch.manifest(run)["caps"]["effective"]["done"]["network"]["allow"].clone()
}

#[test]
fn what_a_confined_stage_starts_is_held_to_what_it_is_held_to() {
    if !can_be_confined() {
        return;
    }
    let scratch = narrow();
    let mut session = Server::of(&scratch, "one");
    let parent = Talker::spawn(&scratch, &mut session, "a", json!({ "delegate_mode": "full" }));
    let mut inside = parent.pipes.connect();
    let child = text(&inside.call("spawn", json!({ "pipeline": "quick" })).given(), "run_id");
    inside.hang_up();
    drop(inside);
    assert_eq!(hosts(&scratch, &child), json!(["a.example"]));
    let manifest = scratch.manifest(&child);
    let requested = manifest["caps"]["requested"].as_array().expect("a list");
    let above = requested.iter().find(|layer| layer["origin"]["from"] == "parent").expect("one");
    let place = above["origin"]["place"].as_str().expect("a text");
    assert!(parent.run.ends_with(place.trim_start_matches("run ")), "{place}");
    // A session has no caps of ours; what it starts in its own name is held to what is written.
    let wish = json!({ "pipeline": "quick", "task_id": "demo" });
    let own = text(&session.call("spawn", wish).given(), "run_id");
    assert_eq!(hosts(&scratch, &own), json!(["a.example", "b.example"]));
    let wish = json!({ "pipeline": "quick", "parent_manifest_path": parent.run });
    let named = text(&session.call("spawn", wish).given(), "run_id");
    assert_eq!(hosts(&scratch, &named), json!(["a.example"]));
}
