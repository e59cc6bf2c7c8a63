//! What every tool says, and that no call waits for another.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{
    mcp::{Server, text},
    scratch,
};
use crate::scratch::{until, wait_for};

/// Each tool gives what its schema says (the client checks that of every answer), on the way of a
/// session that uses all of them.
#[test]
fn every_tool_gives_what_its_schema_says() {
    let scratch = scratch("");
    let mut server = Server::of(&scratch, "one");
    assert_eq!(server.offered().len(), 13, "every tool is called below");
    let empty = server.call("list", json!({})).given();
    assert_eq!(empty["runs"], json!([]));
    assert_eq!(server.call("question.list", json!({})).given()["questions"], json!([]));
    let slow = server.call("spawn", json!({ "pipeline": "slow", "key": "a" })).given();
    let path = text(&slow, "manifest_path");
    let run = json!({ "manifest_path": path });
    assert_eq!(server.call("status", run.clone()).given()["live"], true);
    assert_eq!(server.call("result", run.clone()).given()["over"], false);
    wait_for("the stage that waits", || {
        server.call("status", run.clone()).given()["current_stages"] == json!(["hold"])
    });
    let paused = |paused| json!({ "manifest_path": path, "paused": paused });
    let told = json!({ "manifest_path": path, "text": "hurry" });
    assert_eq!(server.call("message", told).code(), "conflict", "nobody hears it");
    assert_eq!(server.call("pause", paused(true)).given()["status"], "paused");
    assert_eq!(server.call("pause", paused(true)).given()["already"], true);
    assert_eq!(server.call("pause", paused(false)).given()["status"], "in_progress");
    assert_eq!(server.call("cancel", run.clone()).given()["status"], "cancelled");
    assert_eq!(server.call("cancel", run.clone()).given()["already"], true);
    let fails = server.call("spawn", json!({ "pipeline": "fails", "task_id": "other" })).given();
    let waited = server.call("wait", json!({ "cursor": null })).given();
    assert_eq!(waited["events"][0]["kind"], "ended");
    let failed = json!({ "manifest_path": fails["manifest_path"] });
    // It may have ended before the cursor of that wait.
    let again = json!({ "manifest_paths": [fails["manifest_path"]] });
    until("its end", || {
        let told = server.call("wait", again.clone()).given();
        (told["events"][0]["status"] == "failed").then_some(())
    });
    let result = server.call("result", failed.clone()).given();
    assert_eq!(result["failed_stages"][0]["last_lines"], "last words", "{result:#}");
    assert_eq!(server.call("log", failed).given()["text"], "last words");
    assert_eq!(
        server.call("list", json!({ "all": true, "limit": 1 })).given()["runs"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let asked = server.call("question.enqueue", json!({
        "prompt": "which?", "options": ["a", "b"], "default": "a", "urgency": "high",
        "expires_in_ms": 3_600_000, "expiry_fallback": "resume", "auto_pause": false, "key": "k",
    }));
    let id = text(&asked.given(), "question_id");
    assert_eq!(
        server.call("question.poll", json!({ "question_id": id })).given()["status"],
        "queued"
    );
    let mut other = Server::of(&scratch, "two");
    let listed = other.call("question.list", json!({})).given();
    assert_eq!(listed["questions"][0]["question_id"], json!(id), "{listed:#}");
    let answer = json!({ "question_id": id, "answer": "b" });
    assert_eq!(other.call("question.answer", answer).given()["status"], "answered");
    let poll = server.call("question.poll", json!({ "question_id": id })).given();
    assert_eq!((&poll["status"], &poll["answer"]), (&json!("answered"), &json!("b")));
}

/// What is wrong is said with a code, in words, with a next step (the client checks that of every
/// error), and nothing is changed by it.
#[test]
fn what_makes_no_sense_is_said_and_changes_nothing() {
    let scratch = scratch("[limits]\ndepth = 8");
    let mut server = Server::of(&scratch, "one");
    let run = text(&server.call("spawn", json!({ "pipeline": "slow" })).given(), "run_id");
    let asked = json!({ "prompt": "which?", "options": ["a", "b"] });
    let own = text(&server.call("question.enqueue", asked).given(), "question_id");
    wait_for("the stage that waits", || scratch.at("begun").exists());
    let picture = || {
        let events = scratch.json(&["list"]).document;
        (
            events,
            scratch.json(&["inbox", "--all"]).document,
            fs::read_dir(scratch.at(".runs")).unwrap().count(),
        )
    };
    let before = picture();
    let long = "x".repeat(30_000);
    let bad = [
        ("spawn", json!({}), "invalid"),
        ("spawn", json!({ "pipeline": "" }), "invalid"),
        ("spawn", json!({ "pipeline": "slwo" }), "not_found"),
        ("spawn", json!({ "pipeline": "slow", "goal": long }), "invalid"),
        ("spawn", json!({ "pipeline": "slow", "key": "" }), "invalid"),
        ("spawn", json!({ "pipeline": "slow", "task_id": "../x" }), "invalid"),
        ("spawn", json!({ "pipeline": "slow", "env": { "PATH": "/tmp" } }), "invalid"),
        ("spawn", json!({ "pipeline": "slow", "delegate_mode": "fuller" }), "invalid"),
        ("spawn", json!({ "pipeline": "slow", "repo": "/" }), "refused"),
        ("spawn", json!({ "pipeline": "slow", "repo": "/nowhere/at/all" }), "not_found"),
        ("spawn", json!({ "pipeline": "slow", "parent_manifest_path": "4f9a2c1b" }), "not_found"),
        ("status", json!({ "manifest_path": "4f9a2c1b" }), "not_found"),
        ("status", json!({ "manifest_path": 7 }), "invalid"),
        ("log", json!({ "manifest_path": run, "stage": "none" }), "invalid"),
        ("pause", json!({ "manifest_path": run }), "invalid"),
        ("wait", json!({ "cursor": "bad" }), "invalid"),
        ("wait", json!({ "question_ids": ["q0000000000"] }), "not_found"),
        ("question.enqueue", json!({ "prompt": " " }), "invalid"),
        ("question.enqueue", json!({ "prompt": "x", "options": ["a"], "default": "b" }), "invalid"),
        ("question.enqueue", json!({ "prompt": long }), "invalid"),
        ("question.poll", json!({ "question_id": "q0000000000" }), "not_found"),
        ("question.poll", json!({ "question_id": "" }), "not_found"),
        ("question.answer", json!({ "question_id": own, "answer": "a" }), "refused"),
        ("question.answer", json!({ "question_id": own, "answer": "" }), "invalid"),
    ];
    for (tool, arguments, code) in bad {
        let said = server.call(tool, arguments);
        assert_eq!(said.code(), code, "{said:?}");
    }
    // Somebody else may answer, but not with what is no option.
    let mut other = Server::of(&scratch, "two");
    let said = other.call("question.answer", json!({ "question_id": own, "answer": "c" }));
    assert_eq!(said.code(), "conflict", "{said:?}");
    assert_eq!(picture(), before);
    // A tool that is not there is a fault of the protocol.
    let id = server.ask("tools/call", json!({ "name": "delegate.approve", "arguments": {} }));
    assert_eq!(server.await_answer(id).unwrap()["error"]["code"], -32602);
}

#[test]
fn a_call_waits_for_no_other() {
    let scratch = scratch("");
    let mut server = Server::of(&scratch, "one");
    let run = text(&server.call("spawn", json!({ "pipeline": "slow" })).given(), "run_id");
    let wait = json!({ "manifest_paths": [run], "wait_ms": 240_000 });
    let waits: Vec<u64> = (0..50).map(|_| server.begin("wait", wait.clone())).collect();
    let status = json!({ "manifest_path": run });
    assert_eq!(server.call("status", status.clone()).given()["live"], true);
    let open = |server: &Server| waits.iter().filter(|id| server.answer_of(**id).is_none()).count();
    assert_eq!(open(&server), 50);
    // What is cancelled is never answered, and holds up nothing.
    waits[..10].iter().for_each(|id| server.cancel(*id));
    assert_eq!(server.call("status", status).given()["status"], "in_progress");
    fs::write(scratch.at("go"), "").unwrap();
    for id in &waits[10..] {
        let told = server.said("wait", *id).unwrap().given();
        assert_eq!(told["events"][0]["kind"], "ended", "{told:#}");
    }
    assert_eq!(open(&server), 10);
}

/// How many threads a process has.
fn threads(pid: i32) -> usize {
    fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count)
}

#[test]
fn a_wait_that_is_cancelled_ends_at_once() {
    let scratch = scratch("");
    let mut server = Server::of(&scratch, "one");
    let run = text(&server.call("spawn", json!({ "pipeline": "slow" })).given(), "run_id");
    let asked = server.call("question.enqueue", json!({ "prompt": "who waits?" })).given();
    let wait = json!({ "manifest_paths": [run], "wait_ms": 240_000 });
    let poll = json!({ "question_id": asked["question_id"], "wait_ms": 240_000 });
    let waits: Vec<u64> = (0..20).map(|_| server.begin("wait", wait.clone())).collect();
    let polls: Vec<u64> = (0..20).map(|_| server.begin("question.poll", poll.clone())).collect();
    // Each blocks a thread, which goes on to the next piece of work only when it is done.
    wait_for("all of them to be at it", || inotifies(server.pid()) >= 40);
    waits.iter().chain(&polls).for_each(|id| server.cancel(*id));
    // A few ears are kept for the next to wait.
    wait_for("the end of all of them", || inotifies(server.pid()) <= 4);
    assert!(threads(server.pid()) > 0);
    assert!(waits.iter().chain(&polls).all(|id| server.answer_of(*id).is_none()));
    assert_eq!(server.call("list", json!({})).given()["runs"].as_array().unwrap().len(), 1);
}

/// How many of its descriptors listen to bells.
fn inotifies(pid: i32) -> usize {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return 0 };
    let to = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    to.filter(|to| to.to_string_lossy().contains("inotify")).count()
}

#[test]
fn a_server_whose_client_is_gone_ends_at_once_and_its_runs_go_on() {
    for signal in [None, Some(Signal::SIGTERM), Some(Signal::SIGKILL)] {
        let scratch = scratch("");
        let mut server = Server::of(&scratch, "one");
        let spawned =
            server.call("spawn", json!({ "pipeline": "slow", "task_id": "demo" })).given();
        let run = text(&spawned, "run_id");
        let wait = json!({ "wait_ms": 240_000 });
        let waits: Vec<u64> = (0..30).map(|_| server.begin("wait", wait.clone())).collect();
        wait_for("all of them to be at it", || inotifies(server.pid()) >= 30);
        match signal {
            None => server.hang_up(),
            Some(signal) => server.signal(signal),
        }
        server.gone();
        drop(waits);
        assert_eq!(scratch.status(&run), "in_progress", "{signal:?}");
        fs::write(scratch.at("go"), "").unwrap();
        assert_eq!(scratch.await_end(&run).code, 0);
    }
}

/// The modes are told by what is offered; and what is not offered is refused.
#[test]
fn a_mode_only_narrows() {
    let look = ["status"];
    let ask = ["status", "wait", "question.enqueue", "question.poll"];
    let offered = |settings: &str, words: &[&str]| {
        let scratch = scratch(settings);
        let words = [&["delegate-server"], words].concat();
        let mut server = Server::start(scratch.command(&words), super::mcp::session("one"));
        let offered = server.offered();
        if !offered.iter().any(|name| name == "spawn") {
            let params = json!({ "name": "delegate.spawn", "arguments": { "pipeline": "quick" } });
            let id = server.ask("tools/call", params);
            assert_eq!(server.await_answer(id).unwrap()["error"]["code"], -32602);
            assert_eq!(scratch.json(&["list"]).document["runs"], json!([]));
        }
        offered
    };
    let narrow = "[delegate]\nmode = 'question_only'";
    assert_eq!(offered("", &["--mode", "status_only"]), look);
    assert_eq!(offered("", &["--mode", "question_only"]), ask);
    assert_eq!(offered(narrow, &["--mode", "full"]), ask);
    assert_eq!(offered(narrow, &["--config", "delegate.mode=full"]), ask);
    assert_eq!(offered("", &["--config", "delegate.mode=status_only"]), look);
    assert_eq!(offered("", &[]).len(), 13);
}

/// Lines that are none, ids that come twice, and what follows them.
#[test]
fn a_server_survives_what_is_no_message() {
    let scratch = scratch("");
    let mut server = Server::of(&scratch, "one");
    for bad in [json!([]), json!({ "jsonrpc": "2.0", "id": 900, "method": "no/such" }), json!(7)] {
        server.ask("ping", json!({ "deep": bad }));
    }
    let id = server.ask("no/such", json!({}));
    assert!(server.await_answer(id).unwrap()["error"]["code"].is_i64());
    let given: Value = server.call("list", json!({})).given();
    assert_eq!(given["runs"], json!([]));
}
