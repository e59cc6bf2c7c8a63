//! What we print and write down of runs that are threads is what our schemas say.

use serde_json::{Value, json};

use crate::{
    desk::Desk,
    model::{function, say},
    patience::{until, wait_for},
};

#[track_caller]
fn fits(desk: &Desk, name: &str, document: &Value) {
    let schema = desk.run("codex-orch", &["schema", name]).stdout;
    let schema: Value = serde_json::from_slice(&schema).expect("a schema is JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let faults: Vec<String> = validator
        .iter_errors(document)
        .map(|fault| format!("{}: {fault}", fault.instance_path()))
        .collect();
    assert_eq!(faults, Vec::<String>::new(), "{name}: {document:#}");
    let known = |key: &&String| schema.pointer(&format!("/properties/{key}")).is_some();
    let said = document.as_object().expect("an object").keys();
    // An event is one of many, and each of those says what it has.
    let unknown: Vec<&String> = said.filter(|key| name != "events" && !known(key)).collect();
    assert!(unknown.is_empty(), "{unknown:?} is said, which `schema {name}` does not know");
}

/// Checks what a command prints.
#[track_caller]
fn check(desk: &Desk, name: &str, words: &[&str]) -> Value {
    let document = desk.orch(words);
    fits(desk, name, &document);
    document
}

#[track_caller]
fn record_fits(desk: &Desk, run: &Value) -> Value {
    let read = |name: &str| desk.text(run[name].as_str().expect("a path"));
    let manifest = serde_json::from_str(&read("manifest")).expect("a manifest");
    fits(desk, "manifest", &manifest);
    for line in read("events_path").lines() {
        fits(desk, "events", &serde_json::from_str(line).expect("an event"));
    }
    manifest
}

#[test]
fn every_document_of_a_thread_fits_its_schema() {
    let Some(desk) = Desk::registered() else { return };
    let runs = |command: &str| function("", "exec_command", &json!({ "cmd": command }));
    desk.model.play("write it down", move |seen| match seen.outputs() {
        [] => runs("touch begun; until [ -e go ]; do sleep 0.05; done; echo new > made"),
        _ => say("It is written down."),
    });
    desk.model.play("and be quick", |_| say("It is written down, quickly."));
    let words = ["delegate", "--detach", "--verify", "test -e made", "write it down"];
    let run = check(&desk, "start", &words);
    let id = run["run_id"].as_str().expect("an id");
    let tree = until(
        "its work tree",
        || record_fits(&desk, &run).to_string(),
        || record_fits(&desk, &run)["worktree"]["path"].as_str().map(std::path::PathBuf::from),
    );
    wait_for("its command", || tree.join("begun").exists());
    check(&desk, "message", &["message", id, "and be quick"]);
    check(&desk, "status", &["status", id]);
    check(&desk, "control", &["pause", id]);
    check(&desk, "open", &["open", id]);
    std::fs::write(tree.join("go"), "").expect("a file");
    wait_for("the pause", || desk.orch(&["status", id])["status"] == "paused");
    record_fits(&desk, &run);
    check(&desk, "overview", &[]);
    check(&desk, "start", &["resume", id]);
    wait_for("its end", || desk.orch(&["status", id])["status"] == "succeeded");
    let manifest = record_fits(&desk, &run);
    assert_eq!(manifest["codex"]["verify"], "passed", "{manifest:#}");
    check(&desk, "status", &["status", id]);
    check(&desk, "open", &["open", id]);
    check(&desk, "diff", &["diff", id]);
    check(&desk, "diff", &["diff", id, "--stat"]);
    check(&desk, "apply", &["apply", id]);
    check(&desk, "apply", &["apply", id, "--undo"]);
    check(&desk, "discard", &["discard", id]);
    check(&desk, "discard", &["discard", id, "--yes"]);
    check(&desk, "error", &["diff", id]);
    check(&desk, "discard", &["discard", id, "--undo"]);
}
