//! Sub-agents of a session, which are threads of the same client.

use serde_json::json;

use crate::{
    desk::Desk,
    model::{call, function, say},
    workflow::{PIPELINES, of, tells, told, wait},
};

#[test]
fn a_sub_agent_has_a_server_of_its_own() {
    let Some(desk) = Desk::registered() else { return };
    desk.model.play("ask an agent", |seen| match seen.outputs() {
        [] => call("delegate.list", json!({})),
        [_] => {
            function("multi_agent_v1", "spawn_agent", &json!({ "message": "look for yourself" }))
        }
        [_, spawned] => {
            let targets = json!({ "targets": [spawned["agent_id"]], "timeout_ms": 30_000 });
            function("multi_agent_v1", "wait_agent", &targets)
        }
        [.., waited] => say(waited.to_string()),
    });
    desk.model.play("look for yourself", |seen| match seen.outputs() {
        [] => call("delegate.list", json!({})),
        [.., listed] => say(format!("the agent saw {listed}")),
    });
    let ended = desk.delegate("ask an agent").succeed();
    assert!(ended.last().contains("the agent saw"), "{ended}");
    let callers: Vec<_> = desk
        .served()
        .iter()
        .map(|served| {
            let heard = served.heard();
            let call = heard.iter().find(|message| message["method"] == "tools/call");
            call.unwrap_or_else(|| panic!("{served:?}"))["params"]["_meta"].clone()
        })
        .collect();
    let [parent, agent] = callers.as_slice() else { panic!("two servers: {callers:#?}") };
    assert_ne!(parent["threadId"], agent["threadId"]);
    assert_eq!(parent["sessionId"], agent["sessionId"], "of one session");
    let told = &agent["x-codex-turn-metadata"];
    assert_eq!(told["thread_source"], "subagent", "{told}");
    assert_eq!(told["parent_thread_id"], parent["threadId"], "{told}");
}

#[test]
fn a_sub_agent_sees_and_stops_what_its_parent_has_started() {
    let Some(desk) = Desk::delegating(PIPELINES) else { return };
    desk.model.play("start it and let an agent stop it", |seen| match seen.outputs() {
        [] => call("delegate.spawn", json!({ "pipeline": "slow" })),
        [run] => {
            let message = format!("stop manifest_path={}", run["manifest_path"].as_str().unwrap());
            function("multi_agent_v1", "spawn_agent", &json!({ "message": message }))
        }
        [run, _] => wait(run),
        [run, _, waited] => {
            assert!(tells(waited, "ended"), "{waited}");
            of(run, "delegate.status")
        }
        [.., status] => say(status["status"].as_str().unwrap()),
    });
    desk.model.play("stop manifest_path=", |seen| {
        let run = json!({ "manifest_path": told(seen, "manifest_path") });
        match seen.outputs() {
            [] => of(&run, "delegate.status"),
            [status] => {
                assert_eq!(status["status"], "in_progress", "{status}");
                of(&run, "delegate.cancel")
            }
            _ => say("stopped"),
        }
    });
    let ended = desk.delegate("start it and let an agent stop it").succeed();
    assert_eq!(ended.last(), "cancelled", "{ended}");
    assert_eq!(desk.served().len(), 2, "each has its server");
}
