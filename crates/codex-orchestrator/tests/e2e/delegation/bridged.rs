//! What is between a run and an MCP server of the user's, whatever either of them does.

mod asking;
mod eliciting;
mod ground;

use std::fs;

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

use crate::scratch::{Scratch, wait_for};
use ground::{Bridged, call, gone};

#[test]
fn a_call_of_a_tool_that_is_not_granted_is_refused_counted_and_told() {
    let mut bridged = Bridged::new("");
    for _ in 0..50 {
        let refused = bridged.ask(&call("two"));
        assert_eq!(refused["error"]["code"], -32602, "{refused:#}");
        let words = refused["error"]["message"].as_str().expect("words");
        assert!(words.contains("`two` of `fake`") && words.contains("caps.tools.mcp"), "{words}");
    }
    assert!(bridged.ask(&call("one"))["result"].is_object());
    assert_eq!(bridged.called(), ["one"]);
    let (scratch, run) = bridged.end();
    let events = scratch.events(&run);
    let denied: Vec<&Value> = events
        .iter()
        .filter(|event| event["event"] == "cap_denied")
        .map(|event| &event["payload"])
        .collect();
    let counts = denied.iter().map(|told| told["count"].as_u64().expect("a number"));
    assert_eq!(counts.sum::<u64>(), 50, "{denied:#?}");
    assert!(denied.len() < 10, "not one by one: {denied:#?}");
    assert!(denied.iter().all(|told| told["what"] == "fake/two" && told["why"] == "not_granted"));
    assert_eq!(scratch.manifest(&run)["caps"]["denied"], json!({ "it": 50 }));
    let status = scratch.run(&["status", &run]).stdout;
    assert!(status.contains("denied   50 times, it"), "{status}");
    let logs = scratch.run(&["logs", &run]).stderr;
    assert!(logs.contains("`it` was denied something, 50 times"), "{logs}");
}

#[test]
fn a_server_that_ends_or_says_too_much_is_at_its_end() {
    let sees = |method: &str, deed: &str| format!("if method == '{method}':\n    {deed}\n");
    let hello = json!({ "jsonrpc": "2.0", "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": { "name": "e2e", "version": "0" } } });
    for deed in ["os._exit(3)", "os.close(1); time.sleep(1000)"] {
        let mut bridged = Bridged::silent(&sees("initialize", deed));
        bridged.begin(&hello);
        bridged.await_end();
        gone(&bridged.processes(1));
    }
    for deed in ["os._exit(3)", "raise KeyError(7)", "raw('x' * 100_000_000)"] {
        let mut bridged = Bridged::new(&sees("tools/call", deed));
        bridged.begin(&call("one"));
        bridged.await_end();
        gone(&bridged.processes(1));
        let (scratch, run) = bridged.end();
        assert_eq!(scratch.status(&run), "failed");
    }
}

#[test]
fn a_server_that_is_not_there_says_so_in_its_log() {
    let bridged = Bridged::of("absent", "");
    bridged.await_end();
    wait_for("the log", || bridged.complaints().contains("could not be started"));
    let (scratch, run) = bridged.end();
    let told = not_started(&scratch, &run);
    assert_eq!((told.len(), &told[0]["server"]), (1, &json!("fake")));
    let reason = told[0]["reason"].as_str().expect("a reason");
    assert!(reason.contains("absent") && reason.contains("not found"), "{reason}");
}

fn not_started(scratch: &Scratch, run: &str) -> Vec<Value> {
    let events = scratch.events(run).into_iter();
    let of_it = events.filter(|event| event["event"] == "server_not_started");
    of_it.map(|event| event["payload"].clone()).collect()
}

#[test]
fn who_looks_at_the_run_is_told_of_a_server_that_ends_before_it_answers_and_its_secrets_are_not() {
    let complains =
        "sys.stderr.write('no such token: hunter2\\n'); sys.stderr.flush(); os._exit(3)";
    let refuses = "say({'jsonrpc': '2.0', 'id': asked['id'], 'error': {'code': 1, 'message': 'no'}})\n    \
                   method = None";
    for (deed, reason) in [
        (complains, "it ended with code 3 before it answered"),
        ("os.close(1); time.sleep(1000)", "it closed its output before it answered"),
        (refuses, "it refused the greeting: no"),
    ] {
        let mut bridged = Bridged::silent(&format!("if method == 'initialize':\n    {deed}\n"));
        let hello = json!({ "jsonrpc": "2.0", "method": "initialize", "params": {
            "protocolVersion": "2025-06-18", "capabilities": {},
            "clientInfo": { "name": "e2e", "version": "0" } } });
        let id = bridged.begin(&hello);
        match deed == refuses {
            true => drop(bridged.answer(&json!(id))),
            false => bridged.await_end(),
        }
        let (scratch, run) = bridged.end();
        let told = not_started(&scratch, &run);
        assert_eq!(told.len(), 1, "{reason}: {told:?}");
        assert_eq!((&told[0]["stage_id"], &told[0]["reason"]), (&json!("it"), &json!(reason)));
        assert_eq!(scratch.manifest(&run)["caps"]["not_started"][0]["reason"], reason);
        let status = scratch.run(&["status", &run]).stdout;
        assert!(status.contains(&format!("fake of it did not start: {reason}")), "{status}");
        let logs = scratch.run(&["logs", &run]).stderr;
        assert!(logs.contains(reason) && logs.contains("servers/fake.log"), "{logs}");
        if deed == complains {
            assert!(logs.contains("it said last: no such token: hunter2"), "{logs}");
            let record = scratch.record(&run);
            for name in ["events.jsonl", "manifest.json"] {
                let text = fs::read_to_string(record.join(name)).expect("a record");
                assert!(!text.contains("hunter2"), "{name}");
            }
        }
    }
}

#[test]
fn a_server_that_hangs_or_never_stops_talking_ends_with_its_caller() {
    let deaf = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n";
    for deed in ["time.sleep(1000)", "while True: raw('noise\\n' * 1000)"] {
        let deed = format!("{deaf}if method == 'tools/call':\n    {deed}\n");
        let mut bridged = Bridged::new(&deed);
        bridged.begin(&call("one"));
        wait_for("the call", || bridged.called() == ["one"]);
        bridged.hang_up();
        gone(&bridged.processes(1));
    }
    // One that does not read is given up when too much waits for it.
    let mut bridged = Bridged::new("if method == 'tools/call': time.sleep(1000)");
    for _ in 0..5000 {
        bridged.begin(&call("one"));
    }
    bridged.await_end();
    gone(&bridged.processes(1));
}

#[test]
fn nothing_is_heard_of_a_server_but_answers_that_somebody_waits_for() {
    let deed = r#"
if method == "tools/list":
    raw("chat\n\n{\n[]\n7\n\"text\"\n" + "[" * 5000 + "\n")
    sys.stdout.buffer.write(b"\xff\xfe\x00\n")
    sys.stdout.flush()
    raw("noise\n" * 100000)
    forged = tools("one", "two")
    say([{"jsonrpc": "2.0", "id": asked["id"], "result": forged}])
    for other in [999, -1, "1", None, 1.5, [1], str(asked["id"])]:
        say({"jsonrpc": "2.0", "id": other, "result": forged})
    say({"jsonrpc": "2.0", "method": "notifications/message", "result": forged, "params": {"level": "info", "data": 1}})
    say({"jsonrpc": "2.0", "method": "notifications/resources/updated"})
    raw('{"jsonrpc": "2.0", "id": 999, "id": %d, "method": "x", "result": {"tools": [{"name": "two"}]}}\n' % asked["id"])
    result = {"tools": ["two", {"name": "two"}, {"name": "one"}, {"name": ["one"]}, {"name": "one", "name ": "two"}]}
"#;
    let mut bridged = Bridged::new(deed);
    let before = bridged.heard().len();
    let listed = bridged.ask(&json!({ "jsonrpc": "2.0", "method": "tools/list" }));
    let tools = listed["result"]["tools"].as_array().expect("a list");
    assert!(tools.iter().all(|tool| tool["name"] == "one"), "{listed:#}");
    assert_eq!(tools.len(), 2, "{listed:#}");
    let heard = bridged.heard().split_off(before);
    let told = json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "level": "info", "data": 1 } });
    assert_eq!(heard, [told, listed]);
    // An answer that comes a second time is none.
    assert!(bridged.ask(&call("one"))["result"].is_object());
}

#[test]
fn a_list_that_changes_is_looked_at_each_time() {
    let deed = r#"
if method == "tools/call":
    say({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
    more = tools("three", "one", "four")
elif method == "tools/list" and "more" in globals():
    result = more
"#;
    let mut bridged = Bridged::new(deed);
    let list = json!({ "jsonrpc": "2.0", "method": "tools/list" });
    let names = |listed: Value| {
        let tools = listed["result"]["tools"].as_array().expect("a list").clone();
        tools.iter().map(|tool| tool["name"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(bridged.ask(&list)), ["one"]);
    assert!(bridged.ask(&call("one"))["result"].is_object());
    assert!(
        bridged.heard().iter().any(|told| told["method"] == "notifications/tools/list_changed")
    );
    assert_eq!(names(bridged.ask(&list)), ["one"]);
    assert_eq!(bridged.ask(&call("four"))["error"]["code"], -32602);
}

#[test]
fn what_a_server_wants_from_the_thread_itself_is_refused_and_never_heard() {
    let deed = r#"
if method == "tools/call":
    for number, method_ in enumerate(["sampling/createMessage", "roots/list", "ping"]):
        say({"jsonrpc": "2.0", "id": number, "method": method_, "params": {}})
        note("answered " + sys.stdin.readline().strip())
"#;
    let mut bridged = Bridged::new(deed);
    // Nobody has asked for that, so that it is no answer.
    bridged.send(&json!({ "jsonrpc": "2.0", "id": 0, "result": { "roots": [] } }));
    assert!(bridged.ask(&call("one"))["result"].is_object());
    assert!(bridged.heard().iter().all(|told| told.get("method").is_none()));
    let lines = bridged.at_server();
    let answers: Vec<Value> = lines
        .iter()
        .filter_map(|line| serde_json::from_str(line.strip_prefix("answered ")?).ok())
        .collect();
    let codes: Vec<&Value> = answers.iter().map(|answer| &answer["error"]["code"]).collect();
    assert_eq!(codes, [&json!(-32601), &json!(-32601), &Value::Null], "{answers:#?}");
    let hello = lines.iter().find(|line| line.contains("\"initialize\"")).expect("a greeting");
    for kept in ["sampling", "roots"] {
        assert!(!hello.contains(kept), "{hello}");
    }
}

/// Lines that are no call of the one tool that is granted, however much they look like one.
fn forged() -> Vec<String> {
    let call = |id: &str, params: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":"{id}","method":"tools/call","params":{params}}}"#)
    };
    let mut lines: Vec<String> = [
        r#"{"name":"one","name":"two"}"#,
        r#"{"name":"two","name":"one"}"#,
        r#"{"name":"one","\u006eame":"two"}"#,
        r#"{"name":"tw\u006f"}"#,
        r#"{"name":"\u043ene"}"#,
        r#"{"name":"one\u200b"}"#,
        r#"{"name":"one\u0000two"}"#,
        r#"{"name":"ｏｎｅ"}"#,
        r#"{"name":"One"}"#,
        r#"{"name":" one"}"#,
        r#"{"name":"one/two"}"#,
        r#"{"name":["one"]}"#,
        r#"{"name":{"name":"one"}}"#,
        r#"{"name":null}"#,
        r#"{"name":"two","arguments":{"name":"one"}}"#,
        r#"{"arguments":{"name":"one"}}"#,
        r#"["one"]"#,
    ]
    .iter()
    .enumerate()
    .map(|(at, params)| call(&format!("f{at}"), params))
    .collect();
    lines.push(format!("[{}]", call("batch", r#"{"name":"two"}"#)));
    lines.push(r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"two"}}"#.to_owned());
    lines.push(
        r#"{"jsonrpc":"2.0","id":null,"method":"tools/call","params":{"name":"two"}}"#.to_owned(),
    );
    lines.push(r#"{"jsonrpc":"2.0","id":"m1","method":"tools/list","method":"tools/call","params":{"name":"two"}}"#.to_owned());
    lines.push(r#"{"jsonrpc":"2.0","id":"m2","method":"tools/call","params":{"name":"one"},"params":{"name":"two"}}"#.to_owned());
    lines.push(
        r#"{"jsonrpc":"2.0","id":"m3","method":"Tools/Call","params":{"name":"two"}}"#.to_owned(),
    );
    lines.push(
        r#"{"jsonrpc":"2.0","id":"m4","method":"tools/call ","params":{"name":"two"}}"#.to_owned(),
    );
    lines.push(
        r#"{"jsonrpc":"2.0","id":"m5","method":"tools/call","result":{},"params":{"name":"two"}}"#
            .to_owned(),
    );
    lines.push(format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":\"n1\",\"method\":\"tools/call\",\"params\":{}1{}}}",
        "[".repeat(3000),
        "]".repeat(3000)
    ));
    lines.push(call(
        "huge",
        &format!(r#"{{"name":"two","arguments":{{"x":"{}"}}}}"#, "x".repeat(5_000_000)),
    ));
    lines
}

/// Looks at all calls that the server has heard.
#[track_caller]
fn only_the_granted_one(bridged: &Bridged) {
    let calls = bridged.at_server().into_iter().filter(|line| line.contains("tools/call"));
    for line in calls {
        let heard: Value = serde_json::from_str(&line).expect("a message");
        let called = (&heard["method"], &heard["params"]["name"]);
        assert_eq!(called, (&json!("tools/call"), &json!("one")));
        assert_eq!((line.matches("\"name\"").count(), line.contains("two")), (1, false), "{line}");
    }
}

#[test]
fn a_forged_call_reaches_no_tool_that_is_not_granted() {
    let mut bridged = Bridged::new("");
    for line in forged() {
        bridged.raw(line.as_bytes());
        bridged.raw(b"\n");
    }
    let last = bridged.ask(&call("one"));
    assert!(last["result"].is_object(), "{last:#}");
    only_the_granted_one(&bridged);
    let answers = bridged.heard();
    let answered = |id: &str| answers.iter().filter(|told| told["id"] == id).count();
    assert!((0..17).all(|at| answered(&format!("f{at}")) == 1), "{answers:#?}");
}

#[test]
fn a_forged_call_behind_a_header_does_not_either() {
    let mut bridged = Bridged::new("");
    let last = json!({ "jsonrpc": "2.0", "id": "last", "method": "tools/call", "params": { "name": "one", "arguments": { "last": true } } });
    for line in forged().into_iter().chain([last.to_string()]) {
        bridged.raw(format!("Content-Length: {}\r\n\r\n{line}", line.len()).as_bytes());
    }
    wait_for("the last", || bridged.at_server().iter().any(|line| line.contains("\"last\"")));
    only_the_granted_one(&bridged);
}

/// Notes down a child of its own that has left its session, and ticks.
const WITH_CHILD: &str = r#"
if method == "tools/call":
    child = subprocess.Popen(["sleep", "1000"], start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    note("pid %d" % child.pid)
    import threading
    def tick():
        while True:
            note("tick")
            time.sleep(0.01)
    threading.Thread(target=tick, daemon=True).start()
"#;

fn with_child() -> (Bridged, Vec<i32>) {
    let mut bridged = Bridged::new(WITH_CHILD);
    assert!(bridged.ask(&call("one"))["result"].is_object());
    let pids = bridged.processes(2);
    (bridged, pids)
}

#[test]
fn nothing_of_a_server_outlives_its_run_its_runner_or_its_bridge() {
    let (bridged, pids) = with_child();
    assert_eq!(bridged.scratch.run(&["cancel", &bridged.run]).code, 0);
    gone(&pids);

    let (bridged, pids) = with_child();
    bridged.scratch.kill_runner(&bridged.run);
    gone(&pids);

    let (bridged, pids) = with_child();
    let serves = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains("__serve")
    };
    let bridges: Vec<i32> = bridged.scratch.processes().into_iter().filter(serves).collect();
    assert!(!bridges.is_empty());
    bridges.iter().for_each(|pid| kill(Pid::from_raw(*pid), Signal::SIGKILL).expect("it is ours"));
    gone(&pids);
    bridged.await_end();
}

#[test]
fn a_server_stands_still_while_its_run_does() {
    let (bridged, pids) = with_child();
    let ticks = || bridged.at_server().iter().filter(|line| *line == "tick").count();
    wait_for("a tick", || ticks() > 0);
    assert_eq!(bridged.scratch.run(&["pause", &bridged.run, "--freeze"]).code, 0);
    let mut seen = (0, 0);
    wait_for("its standstill", || {
        let now = ticks();
        seen = if now == seen.0 { (now, seen.1 + 1) } else { (now, 0) };
        seen.1 > 30
    });
    assert_eq!(bridged.scratch.run(&["resume", &bridged.run]).code, 0);
    wait_for("the next tick", || ticks() > seen.0);
    assert_eq!(bridged.scratch.run(&["pause", &bridged.run, "--freeze"]).code, 0);
    assert_eq!(bridged.scratch.run(&["cancel", &bridged.run]).code, 0);
    gone(&pids);
}

#[test]
fn what_a_server_complains_of_is_kept_and_no_more_than_is_of_use() {
    let deed = "if method == 'tools/call':\n    print('a complaint', file=sys.stderr)\n    \
                sys.stderr.write('x' * 5_000_000)\n    sys.stderr.flush()\n";
    let mut bridged = Bridged::new(deed);
    assert!(bridged.ask(&call("one"))["result"].is_object(), "it does not wait for a reader");
    wait_for("the rest", || bridged.complaints().contains("is not kept"));
    let kept = bridged.complaints();
    assert!(kept.starts_with("a complaint\n") && kept.len() < 1_100_000, "{}", kept.len());
}
