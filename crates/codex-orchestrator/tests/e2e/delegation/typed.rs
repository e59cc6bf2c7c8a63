//! Runs that an agent starts by typing a command in a stage or in a session's shell, and servers that
//! a stage starts with words of its own: nothing of that is a way around what a spawn has to keep to.

use std::fs;

use serde_json::json;

use super::{
    authority::free,
    mcp::{Server, text},
    scratch,
};
use crate::scratch::{Scratch, done, program};

/// A run whose only stage is this script, started by a session, and what the script said.
#[track_caller]
fn said(scratch: &Scratch, script: &str) -> String {
    let orch = program().display().to_string();
    fs::write(scratch.at("deed"), format!("orch='{orch}'\n{script}")).expect("a script");
    let run = scratch.json(&["start", "scripted", "--task", "demo"]);
    let run = run.text("run_id");
    scratch.run(&["logs", &run]).stdout
}

const SCRIPTED: &str = "[pipelines.scripted]\nstages = [{ id = 'deed', command = 'sh deed 2>&1' }]";

fn with(limits: &str) -> Scratch {
    scratch(&format!("[limits]\n{limits}\n{SCRIPTED}"))
}

#[test]
fn a_stage_starts_no_more_than_it_may_have_children_and_no_deeper() {
    let scratch = with("children = 2");
    let said = said(
        &scratch,
        "for i in 1 2 3; do $orch start quick > /dev/null; echo code $?; done\n\
         $orch exec -- echo typed; echo code $?\n\
         # What is said here widens nothing.\n\
         $orch start quick --config limits.children=9 > /dev/null; echo code $?\n\
         CODEX_CONFIG_OVERRIDES=limits.children=9 $orch start quick > /dev/null; echo code $?\n",
    );
    let codes: Vec<&str> = said.lines().filter(|line| line.starts_with("code")).collect();
    assert_eq!(codes, ["code 0", "code 0", "code 4", "code 4", "code 4", "code 4"], "{said}");
    assert!(said.contains("limits.children") && !said.contains("typed\n"), "{said}");

    let scratch = with("depth = 0");
    let said = self::said(&scratch, "$orch start quick; echo code $?");
    assert!(said.contains("limits.depth") && said.contains("code 4"), "{said}");
}

#[test]
fn a_delegated_run_starts_nothing_by_commands_where_its_mode_keeps_it_from_spawning() {
    let scratch = free(SCRIPTED);
    let script = "$orch start quick; echo code $?; $orch exec -- echo typed";
    fs::write(scratch.at("deed"), format!("orch='{}'\n{script}", program().display()))
        .expect("a script");
    let mut server = Server::of(&scratch, "one");
    let mut said = |mode: &str| {
        let wish = json!({ "pipeline": "scripted", "delegate_mode": mode });
        let run = text(&server.call("spawn", wish).given(), "run_id");
        scratch.run(&["wait", &run]);
        scratch.run(&["logs", &run]).stdout
    };
    let asks = said("question_only");
    assert!(asks.contains("mode `question_only`") && asks.contains("code 4"), "{asks}");
    assert!(asks.contains("`delegate_mode` `full`") && !asks.contains("\ntyped"), "{asks}");
    let starts = said("full");
    assert!(starts.contains("code 0") && starts.contains("\ntyped"), "{starts}");
}

#[test]
fn a_stage_starts_what_is_committed_or_trusted() {
    let scratch = with("children = 9");
    let text = scratch.text(".codex/orchestrator.toml");
    scratch.config(&text.replace("echo done", "echo changed"));
    let script = "$orch start quick; echo code $?; $orch exec -- echo typed";
    let said = self::said(&scratch, script);
    assert!(said.contains("+") && said.contains("echo changed"), "it shows how: {said}");
    assert!(said.contains("codex-orch trust quick") && said.contains("code 4"), "{said}");
    assert!(said.contains("\ntyped"), "what is typed is what it could do itself: {said}");
    assert_eq!(scratch.run(&["trust", "quick", "--yes"]).code, 0);
    assert!(self::said(&scratch, script).contains("code 0"));
}

#[test]
fn a_session_that_types_is_held_to_the_same() {
    let scratch = with("children = 2");
    let start = |session: &str| {
        let mut command = scratch.command(&["start", "quick", "--json"]);
        command.env("CODEX_THREAD_ID", session).env("CODEX_SESSION_ID", session);
        done(&mut command)
    };
    // What it started by its server counts as well.
    let mut server = Server::of(&scratch, "one");
    server.call("spawn", json!({ "pipeline": "quick" })).given();
    let started = start("one");
    assert_eq!(started.code, 0, "{started:?}");
    assert_eq!(start("one").code, 4);
    assert_eq!(start("another").code, 0);
    let listed = server.call("list", json!({})).given();
    assert_eq!(listed["runs"].as_array().map(Vec::len), Some(2), "{listed:#}");
}

#[test]
fn a_stage_starts_nothing_in_a_repository_that_nobody_allowed() {
    let scratch = with("children = 9");
    let other = scratch.folder().join("other");
    fs::create_dir(&other).expect("a folder");
    fs::write(other.join("Makefile"), "test:\n\techo there\n").expect("a file");
    let script = "cd ../other && $orch start diagnostics; echo code $?";
    let said = self::said(&scratch, script);
    assert!(said.contains("delegate.allowed_repos") && said.contains("code 4"), "{said}");
    scratch.own_config(&format!("[delegate]\nallowed_repos = ['{}']\n", other.display()));
    let said = self::said(&scratch, script);
    assert!(said.contains("code 0"), "{said}");
    let parent = scratch.json(&["status"]).document;
    assert_eq!(parent["child_runs"].as_array().map(Vec::len), Some(1), "{parent:#}");
}

#[test]
fn a_server_in_a_stage_is_narrowed_by_what_it_is_told_and_never_widened() {
    let scratch = scratch(SCRIPTED);
    // Only a person gives a run more than to ask.
    let grant = |mode: &str| {
        scratch.own_config(&format!("[delegate]\nchild_mode = '{mode}'\n"));
    };
    grant("full");
    let words = [
        json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-06-18", "capabilities": {},
            "clientInfo": { "name": "e2e", "version": "0" } } }),
        json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
        json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" }),
        json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {
            "name": "delegate.spawn", "arguments": { "pipeline": "quick" } } }),
    ];
    let words: Vec<String> = words.iter().map(ToString::to_string).collect();
    fs::write(scratch.at("words"), words.join("\n") + "\n").expect("what is said");
    let heard = |options: &str| {
        // It speaks until it has heard the last answer: the end of input would end the server.
        let script = format!(
            ": > heard\n(cat words; until grep -q '\"id\":3' heard; do sleep 0.01; done) \
             | $orch delegate-server {options} > heard\n"
        );
        said(&scratch, &script);
        scratch.text("heard")
    };
    let (wait, spawn) = ("\"delegate.wait\"", "\"delegate.spawn\"");
    let spawned = "\"existing\":false";
    let plain = heard("");
    assert!(plain.contains(spawn) && plain.contains(spawned), "{plain}");
    let note = "--repo /nowhere is passed over";
    assert!(!plain.contains(note) && !heard("--repo .").contains("passed over"), "{plain}");
    let elsewhere = heard("--repo /nowhere");
    assert!(elsewhere.contains(spawned) && elsewhere.contains(note), "{elsewhere}");
    let narrowed = heard("--mode status_only");
    assert!(narrowed.contains("\"delegate.status\"") && !narrowed.contains(wait), "{narrowed}");
    assert!(!narrowed.contains(spawned), "{narrowed}");
    let narrowed = heard("--config delegate.mode=question_only");
    assert!(narrowed.contains(wait) && !narrowed.contains(spawn), "{narrowed}");
    let limited = heard("--config limits.children=0");
    assert!(limited.contains("limits.children") && !limited.contains(spawned), "{limited}");

    grant("question_only");
    let widened =
        heard("--mode full --config delegate.child_mode=full --config delegate.mode=full");
    assert!(widened.contains(wait) && !widened.contains(spawn), "{widened}");
}
