//! Which tools of our own server a run has, where its caps name some.

use std::fs;

use serde_json::{Value, json};

use super::{
    inside::Talker,
    mcp::{Server, text},
};
use crate::{
    caps::can_be_confined,
    scratch::{Scratch, program},
};

/// A repository that says this of caps, whose delegated runs have every tool but for that.
fn scratch(settings: &str) -> Scratch {
    let scratch = Scratch::delegating(&format!(
        r#"
{settings}
[pipelines.quick]
stages = [{{ id = "done", command = "echo done" }}]
[[pipelines.talks.stages]]
id = "it"
command = "'{0}' delegate-server < ask.$CODEX_ORCHESTRATOR_GOAL > told.$CODEX_ORCHESTRATOR_GOAL"
[[pipelines.narrow.stages]]
id = "it"
command = "'{0}' delegate-server < ask.$CODEX_ORCHESTRATOR_GOAL > told.$CODEX_ORCHESTRATOR_GOAL"
caps = {{ tools = {{ delegate = ["delegate.status"] }} }}
[[pipelines.narrow.stages]]
id = "other"
command = "true"
[pipelines.scripted]
stages = [{{ id = "deed", command = "sh deed 2>&1" }}]
"#,
        program().display()
    ));
    scratch.git();
    scratch
}

/// What the server says to a call of a tool that it does not offer.
#[track_caller]
fn refused(server: &mut Server, tool: &str) -> String {
    let id = server.begin(tool, json!({}));
    let answer = server.await_answer(id).expect("an answer");
    assert_eq!(answer["error"]["code"], -32602, "{answer:#}");
    text(&answer["error"], "message")
}

fn granted(tool: &str) -> String {
    format!(
        "the tool `delegate.{tool}` is not granted to this run; `caps.tools.delegate` says which are"
    )
}

fn full(more: &Value) -> Value {
    let mut wish = json!({ "delegate_mode": "full" });
    wish.as_object_mut().expect("one").extend(more.as_object().expect("one").clone());
    wish
}

#[test]
fn a_run_is_offered_what_its_caps_name_and_may_call_no_other() {
    if !can_be_confined() {
        return;
    }
    let scratch = scratch("[caps.tools]\ndelegate = ['delegate.spawn', 'status', 'question.poll']");
    let mut session = Server::of(&scratch, "one");
    assert_eq!(session.offered().len(), 13, "a session is held to its mode alone");
    let run = Talker::spawn(&scratch, &mut session, "a", full(&json!({})));
    let mut inside = run.pipes.connect();
    assert_eq!(inside.offered(), ["spawn", "status", "question.poll"]);
    for tool in ["list", "cancel", "question.enqueue"] {
        assert_eq!(refused(&mut inside, tool), granted(tool));
    }
    assert_eq!(refused(&mut inside, "approve"), "there is no tool `delegate.approve` here");
    for _ in 0..20 {
        refused(&mut inside, "list");
    }
    // What it starts has no more than that, whatever is wished for it.
    let pipes = super::inside::Pipes::of(&scratch, "b");
    let wish = json!({ "pipeline": "talks", "goal": "b", "delegate_mode": "full" });
    inside.call("spawn", wish).given();
    let mut below = pipes.connect();
    assert_eq!(below.offered(), ["spawn", "status", "question.poll"]);
    below.hang_up();
    inside.hang_up();
    scratch.await_end(&run.run);
    let caps = &scratch.manifest(&run.run)["caps"];
    assert_eq!(caps["denied"]["it"], 23, "{caps:#}");
    let standing = &caps["tools"]["it"][0];
    assert_eq!(
        (&standing["guarantee"], &standing["by"]),
        (&json!("tools.delegate"), &json!(["channel"]))
    );
    assert!(standing["proof"]["unproven"].is_string() && standing["gap"].is_null(), "{standing:#}");
    let denied =
        scratch.events(&run.run).into_iter().filter(|event| event["event"] == "cap_denied");
    let of_list = denied.filter(|event| event["payload"]["what"] == "delegate.list").count();
    assert!((1..5).contains(&of_list), "not one by one: {of_list}");
}

#[test]
fn what_is_named_is_never_more_than_the_mode_has() {
    if !can_be_confined() {
        return;
    }
    let scratch = scratch("[caps.tools]\ndelegate = ['spawn', 'status', 'question.poll']");
    let mut session = Server::of(&scratch, "one");
    let run = Talker::spawn(&scratch, &mut session, "a", json!({}));
    let mut inside = run.pipes.connect();
    assert_eq!(inside.offered(), ["status", "question.poll"]);
    assert_eq!(refused(&mut inside, "spawn"), "there is no tool `delegate.spawn` here");
}

#[test]
fn a_stage_that_names_fewer_has_fewer() {
    if !can_be_confined() {
        return;
    }
    let scratch = scratch("");
    let mut session = Server::of(&scratch, "one");
    let run = Talker::spawn(&scratch, &mut session, "a", full(&json!({ "pipeline": "narrow" })));
    let mut inside = run.pipes.connect();
    assert_eq!(inside.offered(), ["status"]);
    assert_eq!(refused(&mut inside, "spawn"), granted("spawn"));
}

#[test]
fn a_wish_takes_tools_away_and_names_none_that_is_not_there() {
    if !can_be_confined() {
        return;
    }
    let scratch = scratch("");
    let mut session = Server::of(&scratch, "one");
    let wish = |tools: Value| json!({ "caps": { "tools": { "delegate": tools } } });
    let run = Talker::spawn(&scratch, &mut session, "a", full(&wish(json!(["delegate.wait"]))));
    let mut inside = run.pipes.connect();
    assert_eq!(inside.offered(), ["wait"]);
    let mut odd = wish(json!(["delegate.ask"]));
    odd["pipeline"] = json!("quick");
    let error = session.call("spawn", odd).value["error"].clone();
    assert_eq!(error["code"], "invalid", "{error:#}");
    assert!(text(&error, "message").contains("`question.enqueue`"), "{error:#}");
}

#[test]
fn who_is_not_given_a_tool_does_not_type_the_command_either() {
    let scratch = scratch("[caps.tools]\ndelegate = ['status', 'pause']");
    let orch = program().display().to_string();
    let script = format!(
        "orch='{orch}'\n\
         for what in 'start quick' 'exec -- true' 'cancel other' 'message other hello' 'pause other' 'resume other'; do\n\
         echo \"$what:\" $($orch $what 2>&1; echo code $?)\n\
         done\n"
    );
    let other = scratch.start("quick");
    fs::write(scratch.at("deed"), script.replace("other", &other)).expect("a script");
    let run = scratch.json(&["start", "scripted", "--task", "demo"]).text("run_id");
    let said = scratch.run(&["logs", &run]).stdout;
    let of = |what: &str| said.lines().find(|line| line.starts_with(what)).unwrap_or_default();
    for (what, tool) in
        [("start", "spawn"), ("exec", "spawn"), ("cancel", "cancel"), ("message", "message")]
    {
        let line = of(what);
        assert!(line.contains(&granted(tool)) && line.ends_with("code 4"), "{said}");
    }
    // What is typed in vain is counted as what is called in vain.
    let denied = scratch.events(&run).into_iter().filter(|event| event["event"] == "cap_denied");
    let mut denied: Vec<String> = denied
        .map(|event| {
            assert_eq!(event["payload"]["why"], "not_granted", "{event:#}");
            format!("{} {}", text(&event["payload"], "what"), event["payload"]["count"])
        })
        .collect();
    denied.sort();
    denied.dedup_by_key(|told| told.split(' ').next().map(str::to_owned));
    assert_eq!(denied, ["delegate.cancel 1", "delegate.message 1", "delegate.spawn 1"]);
    assert_eq!(scratch.manifest(&run)["caps"]["denied"], json!({ "deed": 4 }));
    // That is granted, and refused for what it is.
    for what in ["pause", "resume"] {
        assert!(of(what).contains("neither yours nor one that you started"), "{said}");
    }
}
