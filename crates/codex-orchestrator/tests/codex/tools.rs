//! Which tools of the user's servers a thread has, as its model sees them.

use serde_json::{Value, json};

use crate::{
    desk::Desk,
    model::{function, say},
    patience::wait_for,
    threads::{await_end, delegate, in_background, manifest, types},
};

/// A server with three tools, which tells what it was called with and what secret it has.
const SERVER: &str = r#"#!/usr/bin/env python3
import json, os, sys
for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked:
        continue
    method, result = asked["method"], {}
    if method == "initialize":
        result = {"protocolVersion": asked["params"]["protocolVersion"],
                  "capabilities": {"tools": {}, "resources": {}},
                  "serverInfo": {"name": "fake", "version": "1"}}
        print("a server that chats", flush=True)
    elif method == "tools/list":
        schema = {"type": "object"}
        result = {"tools": [{"name": name, "inputSchema": schema} for name in ("one", "two", "three")]}
    elif method == "tools/call":
        said = {"tool": asked["params"]["name"], "secret": os.environ.get("FAKE_SECRET")}
        with open(os.environ["FAKE_LOG"], "a") as log:
            log.write(said["tool"] + "\n")
        result = {"content": [{"type": "text", "text": json.dumps(said)}]}
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
"#;

/// A desk at which the user has that server, and a repository that says this of caps.
fn desk(caps: &str) -> Option<Desk> {
    let desk = Desk::registered()?;
    desk.write_program("fake-server", SERVER);
    let log = desk.elsewhere().join("called");
    desk.configure(&format!(
        "\n[mcp_servers.fake]\ncommand = \"fake-server\"\n\
         default_tools_approval_mode = \"approve\"\n\
         env = {{ FAKE_SECRET = \"known to it alone\", FAKE_LOG = {:?} }}\n",
        log.to_str().expect("a path")
    ));
    desk.pipelines(caps);
    Some(desk)
}

fn called(desk: &Desk) -> String {
    std::fs::read_to_string(desk.elsewhere().join("called")).unwrap_or_default()
}

/// Has a thread call that tool; the run, and what the thread was told.
#[track_caller]
fn run(desk: &Desk, tool: &'static str) -> (Value, String) {
    desk.model.play("use it", move |seen| match seen.outputs() {
        [] => function("mcp__fake", tool, &json!({})),
        [told] => say(told.to_string()),
        more => panic!("{more:?}"),
    });
    let run = delegate(desk, &[], "use it");
    assert_eq!(run["status"], "succeeded", "{run}");
    let manifest = manifest(desk, &run);
    let told = manifest["codex"]["last_message"].as_str().expect("a message").to_owned();
    (run, told)
}

fn check_one(caps: &str) {
    let Some(desk) = desk(caps) else { return };
    let (run, told) = run(&desk, "one");
    assert_eq!(desk.model.first("use it").tools_of("fake"), ["one"]);
    let manifest = manifest(&desk, &run);
    let tools = &manifest["caps"]["tools"]["codex"];
    assert_eq!(tools[0]["guarantee"], "tools.mcp", "{:#}", manifest["caps"]);
    assert_eq!(tools[0]["by"], json!(["bridge"]));
    assert!(
        tools[0]["proof"]["unproven"].is_string() && tools[0].get("gap").is_some(),
        "{tools:#}"
    );
    assert!(told.contains("known to it alone"), "{told}");
    assert_eq!(called(&desk), "one\n");
}

#[test]
fn a_thread_has_the_tools_that_are_granted_and_no_other() {
    check_one("[caps.tools]\nmcp = { fake = [\"one\"] }\n");
}

#[test]
fn a_confined_thread_reaches_a_server_that_is_outside() {
    check_one(
        "[caps.network]\nmode = \"none\"\n[caps.fs]\nwrite = [\"@worktree\", \"@tmp\"]\ntmp = \"shared\"\n[caps.tools]\nmcp = { fake = [\"one\"] }\n",
    );
}

#[test]
fn every_tool_of_a_server_is_all_three() {
    let Some(desk) = desk("[caps.tools]\nmcp = { fake = [\"*\"] }\n") else { return };
    run(&desk, "three");
    assert_eq!(desk.model.first("use it").tools_of("fake"), ["one", "three", "two"]);
    assert_eq!(called(&desk), "three\n");
}

#[test]
fn a_tool_that_may_be_asked_for_is_shown_as_such_and_called_when_a_person_says_so() {
    let Some(desk) = desk(
        "caps.ask = true\n[caps.tools]\nmcp = { fake = [\"one\"] }\nmay_ask = { fake = [\"two\"] }\n",
    ) else {
        return;
    };
    desk.model.play("use it", |seen| {
        let outputs = seen.outputs();
        match outputs.last() {
            Some(told) if told.to_string().contains("known to it alone") => say(told.to_string()),
            Some(told) if !told.to_string().contains("a person is asked for it") => {
                panic!("{told}")
            }
            _ => function("mcp__fake", "two", &json!({})),
        }
    });
    let id = in_background(&desk, &["--here"], "use it");
    let open = || desk.orch(&["inbox"])["questions"].clone();
    wait_for("the tool to be asked for", || open()[0]["wants"] == "grant");
    assert_eq!(desk.model.first("use it").tools_of("fake"), ["one", "two"]);
    let asked = open()[0].clone();
    assert_eq!((&asked["server"], &asked["tool"]), (&json!("fake"), &json!("two")));
    types(&desk, &format!("approve {}", asked["question_id"].as_str().expect("an id")));
    let ended = await_end(&desk, &id);
    assert_eq!(ended["status"], "succeeded", "{ended}");
    assert_eq!(called(&desk), "two\n");
    assert_eq!(ended["caps"]["widened"][0]["what"], "fake/two", "{ended}");
}

#[test]
fn a_server_that_is_not_granted_is_not_there() {
    let Some(desk) = desk("[caps.tools]\nmcp = {}\nweb_search = false\nsubagents = false\n") else {
        return;
    };
    desk.model.play("look around", |_| say("seen"));
    let run = delegate(&desk, &[], "look around");
    assert_eq!(run["status"], "succeeded");
    let manifest = manifest(&desk, &run);
    let tools = manifest["caps"]["tools"]["codex"].as_array().expect("what holds it");
    let by = |tool: &Value| (tool["guarantee"].to_string(), tool["by"][0].to_string());
    let expected = [("mcp", "bridge"), ("web_search", "configured"), ("subagents", "configured")]
        .map(|(cap, by)| (format!("\"tools.{cap}\""), format!("\"{by}\"")));
    assert_eq!(tools.iter().map(by).collect::<Vec<_>>(), expected);
    let offered = desk.model.first("look around").on_offer();
    for absent in ["mcp__fake", "web_search", "multi_agent_v1"] {
        assert!(!offered.iter().any(|name| name == absent), "{absent}: {offered:?}");
    }
}

#[test]
fn a_server_that_is_no_program_is_given_whole_or_not_at_all() {
    let Some(desk) = Desk::registered() else { return };
    desk.configure("\n[mcp_servers.far]\nurl = \"http://127.0.0.1:9/mcp\"\n");
    desk.pipelines("[caps.tools]\nmcp = { far = [\"*\"] }\n");
    let run = delegate(&desk, &[], "use it");
    assert_eq!(run["status"], "failed", "{run}");
    let error = manifest(&desk, &run)["commands"][0]["error"].to_string();
    assert!(error.contains("`far` is no program") && error.contains("caps.tools.mcp"), "{error}");
}

#[test]
fn a_thread_has_the_tools_of_our_own_server_that_are_named() {
    let Some(desk) = desk("[caps.tools]\ndelegate = [\"status\", \"question.enqueue\"]\n") else {
        return;
    };
    desk.model.play("look around", |_| say("seen"));
    let run = delegate(&desk, &[], "look around");
    assert_eq!(run["status"], "succeeded");
    let offered = desk.model.first("look around").tools_of("delegation");
    assert_eq!(offered, ["delegate_question_enqueue", "delegate_status"]);
    let manifest = manifest(&desk, &run);
    let tools = manifest["caps"]["tools"]["codex"].as_array().expect("what holds it");
    assert!(tools.iter().any(|tool| tool["guarantee"] == "tools.delegate"), "{tools:#?}");
}
