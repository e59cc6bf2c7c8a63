//! Which tools of the user's servers a thread has, as its model sees them.

use std::{
    io::{BufRead, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::Command,
    sync::{Arc, Mutex},
    thread,
};

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

/// A server that is reached by HTTP, with three tools of which one is called; its address, and what was
/// asked of it. It knows whoever has the token and the header.
fn far_server() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/mcp", listener.local_addr().expect("an address"));
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let ours = asked.clone();
    // It goes with the test.
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let said = far_answer(&stream, &ours);
            let _ = (&stream).write_all(said.as_bytes());
        }
    });
    (url, asked)
}

fn far_answer(stream: &TcpStream, asked: &Mutex<Vec<String>>) -> String {
    let http = |head: &str, body: &str| {
        format!(
            "HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).is_ok_and(|read| read > 0) {}
    let head = head.to_lowercase();
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
    let mut body = vec![0; length.and_then(|length| length.parse().ok()).unwrap_or_default()];
    let _ = reader.read_exact(&mut body);
    if !head.contains("bearer hunter2\r\n") || !head.contains("x-team: ours\r\n") {
        return http("401 Unauthorized", "");
    }
    let Ok(message) = serde_json::from_slice::<Value>(&body) else { return http("200 OK", "") };
    let method = message["method"].as_str().unwrap_or_default();
    asked.lock().expect("nobody panics").push(method.to_owned());
    let result = match method {
        "initialize" => json!({ "protocolVersion": message["params"]["protocolVersion"],
            "capabilities": { "tools": {} }, "serverInfo": { "name": "far", "version": "1" } }),
        "tools/list" => {
            let tool = |name| json!({ "name": name, "inputSchema": { "type": "object" } });
            let tools = ["one", "two", "three"].map(tool);
            json!({ "tools": tools })
        }
        "tools/call" => json!({ "content": [{ "type": "text", "text": "said from far away" }] }),
        _ => return http("202 Accepted", ""),
    };
    let answer = json!({ "jsonrpc": "2.0", "id": message["id"], "result": result });
    let head = "200 OK\r\ncontent-type: text/event-stream\r\nmcp-session-id: one";
    http(head, &format!("event: message\ndata: {answer}\n\n"))
}

/// A desk at which the user has that server, with these lines beside its address.
fn far_desk(url: &str, lines: &str) -> Option<Desk> {
    let desk = Desk::registered()?;
    desk.configure(&format!(
        "\n[mcp_servers.far]\nurl = \"{url}\"\ndefault_tools_approval_mode = \"approve\"\n{lines}\n"
    ));
    desk.pipelines("[caps.tools]\nmcp = { far = [\"one\"] }\n");
    Some(desk)
}

const LOGIN: &str = "http_headers = { authorization = \"Bearer hunter2\", x-team = \"ours\" }";

#[test]
fn a_server_that_is_reached_by_http_is_held_to_its_tools_and_a_thread_learns_nothing_of_the_way() {
    let (url, asked) = far_server();
    let Some(desk) = far_desk(&url, LOGIN) else { return };
    desk.model.play("use it", |seen| match seen.outputs() {
        [] => function("mcp__far", "one", &json!({})),
        [told] => say(told.to_string()),
        more => panic!("{more:?}"),
    });
    let run = delegate(&desk, &[], "use it");
    assert_eq!(run["status"], "succeeded", "{run}");
    assert_eq!(desk.model.first("use it").tools_of("far"), ["one"]);
    let manifest = manifest(&desk, &run);
    assert!(manifest["codex"]["last_message"].to_string().contains("said from far away"));
    let asked = asked.lock().expect("nobody panics").clone();
    assert!(asked.contains(&"tools/call".to_owned()), "{asked:?}");
    let found = Command::new("grep").args(["-rl", "hunter2"]).arg(desk.repo()).output();
    let found = String::from_utf8(found.expect("grep").stdout).expect("text");
    assert_eq!(found, "", "nothing of it is where the thread could read it");
}

#[test]
fn who_is_not_known_to_a_server_reads_what_to_do_and_one_of_codexs_own_logins_is_not_tried() {
    let (url, _) = far_server();
    let Some(desk) = far_desk(&url, "") else { return };
    desk.model.play("use it", |_| say("There is nothing to use."));
    let run = delegate(&desk, &[], "use it");
    assert_eq!(run["status"], "succeeded", "{run}");
    let trouble = manifest(&desk, &run)["caps"]["not_started"][0].clone();
    let reason = trouble["reason"].as_str().expect("a reason");
    assert!(reason.contains("401") && reason.contains("`bearer_token_env_var`"), "{reason}");
    let Some(desk) = far_desk(&url, "auth = \"oauth\"") else { return };
    let run = delegate(&desk, &[], "use it");
    assert_eq!(run["status"], "failed", "{run}");
    let error = manifest(&desk, &run)["commands"][0]["error"].to_string();
    assert!(error.contains("Codex logs in at the MCP server `far` by itself"), "{error}");
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
