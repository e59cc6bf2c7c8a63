//! What a server across the bridge wants from a person: the person hears of it, and the thread does not.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

use super::ground::{Bridged, call};
use crate::{
    person::Person,
    scratch::{until, wait_for},
};

const CAPS: &str = "[caps.tools]\nmcp = { fake = [\"one\"] }\n";

const DENIES: &str = "approvals.deny=[\"elicitation:fake\"]";

/// A server that asks all this when its tool is called, and goes on when all of it is answered.
fn asking(params: &[Value]) -> String {
    let params = Value::from(params).to_string();
    format!(
        r#"
if method == "tools/call":
    asked_ = json.loads({params:?})
    for number, params in enumerate(asked_):
        say({{"jsonrpc": "2.0", "id": "e%d" % number, "method": "elicitation/create", "params": params}})
    while asked_:
        line = sys.stdin.readline()
        if not line:
            sys.exit(0)
        if "method" not in json.loads(line):
            note("answered " + line.strip())
            asked_.pop()
"#
    )
}

fn form() -> Value {
    json!({ "mode": "form", "message": "Which port?", "_meta": { "of": "nobody" }, "requestedSchema": {
        "type": "object",
        "properties": { "port": { "type": "integer", "minimum": 1 }, "tls": { "type": "boolean" } },
        "required": ["port"],
    } })
}

fn consent() -> Value {
    json!({ "message": "Sure?", "requestedSchema": { "type": "object", "properties": {} } })
}

/// What waits in the inbox, as soon as it is so many things.
#[track_caller]
fn asked(bridged: &Bridged, count: usize) -> Vec<Value> {
    until("what is asked", || {
        let inbox = bridged.scratch.json(&["inbox"]).document;
        let asked = inbox["questions"].as_array().expect("questions").clone();
        (asked.len() == count).then_some(asked)
    })
}

fn id(question: &Value) -> &str {
    question["question_id"].as_str().expect("an id")
}

/// What the server was answered, each by what it calls it, as soon as it is so much.
#[track_caller]
fn answered(bridged: &Bridged, count: usize) -> Vec<(String, Value)> {
    until("the server's answers", || {
        let lines = bridged.at_server();
        let answers = lines.iter().filter_map(|line| line.strip_prefix("answered "));
        let answers = answers.map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let mut all: Vec<_> = answers
            .map(|one| (one["id"].as_str().unwrap_or_default().to_owned(), one["result"].clone()))
            .collect();
        all.sort_by(|one, other| one.0.cmp(&other.0));
        (all.len() >= count).then_some(all)
    })
}

fn result(action: &str) -> Value {
    json!({ "action": action })
}

/// Nothing of what was asked has come to whoever speaks with the server.
#[track_caller]
fn is_unheard(bridged: &Bridged) {
    let heard = bridged.heard();
    assert!(heard.iter().all(|told| !told.to_string().contains("licitation")), "{heard:#?}");
}

#[test]
fn a_form_of_a_server_is_filled_in_by_a_person_and_by_nobody_inside() {
    let mut bridged = Bridged::granted(CAPS, &[], &asking(&[form()]));
    let waits = bridged.begin(&call("one"));
    let open = asked(&bridged, 2);
    // Who is inside answers for itself, by the server's name of it and by ours.
    for forged in [json!("e0"), json!(0), json!(1)] {
        let content = json!({ "action": "accept", "content": { "port": 666, "tls": false } });
        bridged.send(&json!({ "jsonrpc": "2.0", "id": forged, "result": content }));
        let params = json!({ "requestId": forged });
        bridged.send(
            &json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params }),
        );
    }
    let prompt = open[0]["prompt"].as_str().expect("a prompt");
    assert!(prompt.starts_with("MCP server `fake` asks: Which port?\nport"), "{prompt}");
    assert_eq!(open[0]["stage_id"], "it");
    let status = bridged.scratch.json(&["status", &bridged.run]).document;
    assert_eq!(status["waiting"]["for"], "answer", "{status:#}");
    let wrong = bridged.scratch.run(&["answer", id(&open[0]), "0"]);
    assert_ne!(wrong.code, 0, "{wrong:?}");
    for (question, answer) in [(&open[0], "8443"), (&open[1], "yes")] {
        let done = bridged.scratch.run(&["answer", id(question), answer]);
        assert_eq!(done.code, 0, "{done:?}");
    }
    assert!(bridged.answer(&json!(waits))["result"].is_object());
    let content = json!({ "action": "accept", "content": { "port": 8443, "tls": true } });
    assert_eq!(answered(&bridged, 1), [("e0".to_owned(), content)]);
    is_unheard(&bridged);
    let hello = bridged.at_server().into_iter().find(|line| line.contains("\"initialize\""));
    let hello: Value = serde_json::from_str(&hello.expect("a greeting")).expect("JSON");
    let can = json!({ "elicitation": { "form": {}, "url": {} } });
    assert_eq!(hello["params"]["capabilities"], can);
    bridged.end();
}

#[test]
fn only_a_person_at_a_terminal_agrees() {
    let url = json!({ "mode": "url", "message": "Log in", "elicitationId": "1",
        "url": "https://login.example/x?y=1" });
    let asks = [consent(), consent(), url];
    let config = ["--config", "approvals.allow=[\"elicitation:*\"]"];
    let mut bridged = Bridged::granted(CAPS, &config, &asking(&asks));
    let waits = bridged.begin(&call("one"));
    let open = asked(&bridged, 3);
    let Some(person) = Person::at(&bridged.scratch) else { return };
    assert!(open.iter().all(|one| one["wants"] == "elicitation" && one["server"] == "fake"));
    assert!(open[2]["prompt"].to_string().contains("https://login.example/x?y=1"), "{open:#?}");
    let alone = bridged.scratch.run(&["approve", id(&open[0])]);
    assert_ne!(alone.code, 0, "{alone:?}");
    for (word, question) in [("approve", &open[0]), ("deny", &open[1]), ("approve", &open[2])] {
        let done = person.types(&format!("{word} {}", id(question)));
        assert_eq!(done.code, 0, "{done:?}");
    }
    assert!(bridged.answer(&json!(waits))["result"].is_object());
    let accepted = json!({ "action": "accept", "content": {} });
    let answers: Vec<Value> = answered(&bridged, 3).into_iter().map(|(_, it)| it).collect();
    assert_eq!(answers, [accepted, result("decline"), result("accept")]);
    bridged.end();
}

#[test]
fn what_is_too_much_or_not_to_be_asked_is_declined_and_the_rest_waits() {
    let asks = vec![consent(); 12];
    let mut bridged = Bridged::granted(CAPS, &[], &asking(&asks));
    let waits = bridged.begin(&call("one"));
    let open = asked(&bridged, 10);
    let declined = answered(&bridged, 2);
    assert!(declined.iter().all(|(_, it)| *it == result("decline")), "{declined:?}");
    assert_eq!(open.len(), 10);
    // The thread waits for its call no more, and so nobody is asked for it.
    let params = json!({ "requestId": waits });
    bridged
        .send(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params }));
    asked(&bridged, 0);
    assert_eq!(answered(&bridged, 12)[0].1, result("cancel"));
    bridged.end();
    for words in [&["--no-input"][..], &["--config", DENIES][..]] {
        let mut bridged = Bridged::granted(CAPS, words, &asking(&[consent()]));
        assert!(bridged.ask(&call("one"))["result"].is_object());
        assert_eq!(answered(&bridged, 1)[0].1, result("decline"));
        let greeting = bridged.at_server().into_iter().find(|line| line.contains("\"initialize\""));
        let tells = greeting.expect("a greeting").contains("\"elicitation\"");
        assert_eq!(tells, words[0] != "--no-input");
        let (scratch, run) = bridged.end();
        assert_eq!(scratch.manifest(&run)["questions"]["total"], 0);
    }
}

#[test]
fn what_a_server_takes_back_or_leaves_behind_is_closed() {
    // It asks outside of any call, so that no call ends it.
    let deed = r#"
if method == "notifications/message":
    for number in range(2):
        say({"jsonrpc": "2.0", "id": number, "method": "elicitation/create", "params": json.loads(FORM)})
elif method == "notifications/progress":
    say({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}})
"#;
    let form = consent().to_string();
    let deed = deed.replace("FORM", &format!("{form:?}"));
    let told = |method: &str| json!({ "jsonrpc": "2.0", "method": method });
    let mut bridged = Bridged::granted(CAPS, &[], &deed);
    bridged.send(&told("notifications/message"));
    let open = asked(&bridged, 2);
    bridged.send(&told("notifications/progress"));
    assert_eq!(id(&asked(&bridged, 1)[0]), id(&open[0]));
    let server = bridged.processes(1)[0];
    kill(Pid::from_raw(server), Signal::SIGKILL).expect("it is there");
    bridged.await_end();
    let (scratch, run) = bridged.end();
    let closed =
        scratch.events(&run).into_iter().filter(|event| event["event"] == "approval_resolved");
    let closed: Vec<Value> = closed.map(|event| event["payload"]["outcome"].clone()).collect();
    assert_eq!(closed, ["withdrawn", "withdrawn"]);
}

#[test]
fn what_is_asked_ends_with_a_runner_that_is_killed_and_is_asked_anew() {
    let mut bridged = Bridged::granted(CAPS, &[], &asking(&[form()]));
    bridged.begin(&call("one"));
    let before = asked(&bridged, 2);
    bridged.killed_and_resumed();
    wait_for("nobody is asked", || {
        bridged.scratch.json(&["inbox"]).document["questions"] == json!([])
    });
    assert_ne!(bridged.scratch.run(&["answer", id(&before[0]), "1"]).code, 0);
    let waits = bridged.begin(&call("one"));
    let open = asked(&bridged, 2);
    let done = bridged.scratch.run(&["dismiss", id(&open[1])]);
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(bridged.scratch.run(&["answer", id(&open[0]), "80"]).code, 0);
    assert!(bridged.answer(&json!(waits))["result"].is_object());
    let content = json!({ "action": "accept", "content": { "port": 80 } });
    assert_eq!(answered(&bridged, 1), [("e0".to_owned(), content)]);
    bridged.end();
}

#[test]
fn a_call_has_its_time_when_nobody_is_asked_any_more() {
    let deed = asking(&[consent()]) + "    sys.stdin.readline(); note('heard of it')\n";
    let mut bridged = Bridged::hurried(&["--config", DENIES], &deed);
    let late = bridged.ask(&call("one"));
    assert_eq!(late["error"]["code"], -32001, "{late:#}");
    let words = late["error"]["message"].to_string();
    assert!(words.contains("`fake` did not answer within 1s"), "{words}");
    wait_for("that it hears of it", || bridged.at_server().contains(&"heard of it".to_owned()));
    bridged.end();
}
