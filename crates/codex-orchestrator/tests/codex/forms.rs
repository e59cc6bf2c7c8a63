//! What a thread asks by Codex's own tool, and what a server that it calls wants to have filled in.

use serde_json::{Value, json};

use crate::{
    desk::Desk,
    model::{Reply, function, say},
    patience::{until, wait_for},
    threads::{await_end, id_of, in_background, status, types},
};

/// A server with one tool, which asks its user what stands in a file before it answers, and answers what
/// it was told.
const SERVER: &str = r#"#!/usr/bin/env python3
import json, os, sys
def say(message):
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)
called = None
for line in sys.stdin:
    heard = json.loads(line)
    method = heard.get("method")
    if method == "initialize":
        say({"id": heard["id"], "result": {
            "protocolVersion": heard["params"]["protocolVersion"], "capabilities": {"tools": {}},
            "serverInfo": {"name": "asker", "version": "1"}}})
    elif method == "tools/list":
        say({"id": heard["id"], "result": {"tools": [
            {"name": "ask", "inputSchema": {"type": "object"}}]}})
    elif method == "tools/call":
        called = heard["id"]
        with open(os.environ["ASKER_FORM"]) as form:
            say({"id": "form", "method": "elicitation/create", "params": json.load(form)})
    elif heard.get("id") == "form":
        told = heard.get("result") or heard.get("error")
        say({"id": called, "result": {"content": [{"type": "text", "text": json.dumps(told)}]}})
    elif "id" in heard:
        say({"id": heard["id"], "result": {}})
"#;

/// A desk with that server, which asks this, and a run whose thread calls it.
fn asking(form: &Value) -> Option<(Desk, String)> {
    // Of a run that nobody holds to caps, servers are the user's as they are.
    asking_within("", form)
}

/// Caps that have the server speak over a bridge.
const ACROSS: &str = "[caps.tools]\nmcp = { asker = [\"ask\"] }\n";

/// The same of a run with those caps.
fn asking_within(caps: &str, form: &Value) -> Option<(Desk, String)> {
    let desk = Desk::registered()?;
    desk.write_program("asker", SERVER);
    let file = desk.elsewhere().join("form.json");
    std::fs::write(&file, form.to_string()).expect("a form");
    desk.configure(&format!(
        "\n[mcp_servers.asker]\ncommand = \"asker\"\ndefault_tools_approval_mode = \"approve\"\n\
         env = {{ ASKER_FORM = {file:?} }}\n"
    ));
    desk.model.play("have it asked", |seen| match seen.outputs() {
        [] => function("mcp__asker", "ask", &json!({})),
        [told] => say(told.to_string()),
        more => panic!("{more:?}"),
    });
    desk.pipelines(&format!(
        "{caps}[pipelines.asks]\nstages = [{{ id = \"ask\", prompt = \"have it asked\" }}]\n"
    ));
    let run = id_of(&desk.orch(&["start", "asks", "--detach"]));
    Some((desk, run))
}

/// What waits in the inbox, as soon as it is so many things.
fn asked(desk: &Desk, run: &str, count: usize) -> Vec<Value> {
    until(
        "what is asked",
        || format!("{:#} {:#}", desk.orch(&["inbox"]), status(desk, run)),
        || {
            let inbox = desk.orch(&["inbox"])["questions"].as_array().cloned()?;
            (inbox.len() == count).then_some(inbox)
        },
    )
}

/// The name of the question that has this in its text.
fn about(asked: &[Value], words: &str) -> String {
    let has = |question: &&Value| question["prompt"].as_str().is_some_and(|it| it.contains(words));
    let found = asked.iter().find(has).unwrap_or_else(|| panic!("`{words}` in {asked:?}"));
    found["question_id"].as_str().expect("an id").to_owned()
}

/// What the thread said in the end, which is what its call came to.
fn told(desk: &Desk, run: &str) -> String {
    let ended = await_end(desk, run);
    assert_eq!(ended["status"], "succeeded", "{ended}");
    ended["codex"]["last_message"].as_str().expect("a message").replace('\\', "")
}

/// Has a thread ask for the colours of those things.
fn colours(things: &[&str]) -> Reply {
    let option = |label: &str| json!({ "label": label, "description": "one" });
    let question = |thing: &&str| {
        json!({
            "id": thing, "header": thing, "question": format!("Which colour for the {thing}?"),
            "options": [option("red"), option("green")],
        })
    };
    let questions: Vec<Value> = things.iter().map(question).collect();
    function("", "request_user_input", &json!({ "questions": questions }))
}

#[test]
fn several_questions_at_once_are_answered_when_each_of_them_is() {
    let Some(desk) = Desk::registered() else { return };
    desk.model.play("ask three things", |seen| match seen.outputs() {
        [] => colours(&["wall", "door", "roof"]),
        [told] => say(told.to_string()),
        more => panic!("{more:?}"),
    });
    let run = in_background(&desk, &["--here"], "ask three things");
    let asked = asked(&desk, &run, 3);
    assert_eq!(status(&desk, &run)["waiting"]["for"], "answer");
    let shown = desk.run("codex-orch", &["status", &run]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("asks     3 questions: codex-orch inbox"), "{shown}");
    desk.orch(&["answer", &about(&asked, "wall"), "red"]);
    desk.orch(&["dismiss", &about(&asked, "door")]);
    assert_eq!(status(&desk, &run)["waiting"]["for"], "answer");
    desk.orch(&["answer", &about(&asked, "roof"), "pink"]);
    let told: Value = serde_json::from_str(&told(&desk, &run)).expect("answers");
    let expected = json!({ "wall": { "answers": ["red"] }, "roof": { "answers": ["pink"] } });
    assert_eq!(told["answers"], expected, "{told}");
}

#[test]
fn a_thread_that_is_cut_off_hears_what_was_answered_and_asks_for_the_rest_again() {
    let Some(desk) = Desk::registered() else { return };
    desk.model.play("ask two things", |seen| match seen.outputs() {
        [] => colours(&["wall", "door"]),
        more => panic!("{more:?}"),
    });
    desk.model.play("You were cut off", |seen| match seen.outputs() {
        [] => {
            let prompt = seen.prompt();
            assert!(prompt.contains("for the wall?") && prompt.contains("Answer: red"), "{prompt}");
            assert!(!prompt.contains("for the door?"), "{prompt}");
            colours(&["door"])
        }
        [told] => say(told.to_string()),
        more => panic!("{more:?}"),
    });
    let run = in_background(&desk, &["--here"], "ask two things");
    let first = asked(&desk, &run, 2);
    desk.orch(&["answer", &about(&first, "wall"), "red"]);
    let pid = status(&desk, &run)["host"]["pid"].to_string();
    assert!(desk.run("kill", &["-9", &pid]).status.success());
    wait_for("the loss", || status(&desk, &run)["status"] == "interrupted");
    assert_eq!(desk.orch(&["inbox"])["questions"], json!([]), "nobody would hear it");
    desk.orch(&["resume", "--detach", &run]);
    let again = asked(&desk, &run, 1);
    assert_ne!(about(&again, "door"), about(&first, "door"));
    desk.orch(&["answer", &about(&again, "door"), "green"]);
    let told = told(&desk, &run);
    assert!(told.contains(r#""door":{"answers":["green"]}"#), "{told}");
}

#[test]
fn a_form_of_a_server_is_filled_in_field_by_field() {
    let form = json!({ "message": "Who are you?", "requestedSchema": {
        "type": "object", "required": ["age"], "properties": {
            "age": { "type": "integer", "title": "Age", "description": "In years", "minimum": 1 },
            "ok": { "type": "boolean", "title": "Agreed" },
            "colour": { "type": "string", "enum": ["r", "g"], "enumNames": ["Red", "Green"] },
            "size": { "type": "string", "default": "big" },
            "notes": { "type": "string" },
            "since": { "type": "string", "format": "date" },
        },
    }});
    for caps in ["", ACROSS] {
        let Some((desk, run)) = asking_within(caps, &form) else { return };
        let asked = asked(&desk, &run, 6);
        assert_eq!(status(&desk, &run)["waiting"]["for"], "answer");
        let age = about(&asked, "Age: In years\n(a whole number, at least 1)");
        let since = about(&asked, "since\n(a date like 2026-11-30;");
        for (question, words) in
            [(&age, "a whole number, at least 1"), (&since, "a date like 2026-11-30")]
        {
            let refused = desk.run("codex-orch", &["answer", question, "old"]);
            let said = String::from_utf8_lossy(&refused.stderr).into_owned();
            assert!(!refused.status.success() && said.contains(words), "{said}");
        }
        desk.orch(&["answer", &since, "2026-11-30"]);
        desk.orch(&["answer", &age, "30"]);
        desk.orch(&["answer", &about(&asked, "Agreed"), "yes"]);
        desk.orch(&["answer", &about(&asked, "colour"), "Green"]);
        desk.orch(&["dismiss", &about(&asked, "size")]);
        desk.orch(&["dismiss", &about(&asked, "notes")]);
        let told: Value = serde_json::from_str(&told(&desk, &run)).expect("what the server heard");
        let content =
            json!({ "age": 30, "ok": true, "colour": "g", "size": "big", "since": "2026-11-30" });
        assert_eq!(told, json!({ "action": "accept", "content": content }));
    }
}

#[test]
fn a_form_without_something_that_is_required_is_declined_and_asks_no_more() {
    let form = json!({ "message": "Who are you?", "requestedSchema": {
        "type": "object", "required": ["age"], "properties": {
            "age": { "type": "integer" }, "name": { "type": "string" },
        },
    }});
    let Some((desk, run)) = asking(&form) else { return };
    let asked = asked(&desk, &run, 2);
    desk.orch(&["dismiss", &about(&asked, "age")]);
    assert_eq!(told(&desk, &run), r#"{"action":"decline"}"#);
    assert_eq!(desk.orch(&["inbox"])["questions"], json!([]));
}

#[test]
fn what_a_person_has_to_agree_to_is_a_persons() {
    let empty = json!({ "type": "object", "properties": {} });
    let agree = json!({ "message": "Delete it all?", "requestedSchema": empty });
    let visit = json!({
        "mode": "url", "elicitationId": "1", "url": "https://a.example/login", "message": "Log in",
    });
    for (form, words) in [(agree, "Delete it all?"), (visit, "https://a.example/login (Log in)")] {
        for (word, action) in [("approve", "accept"), ("deny", "decline")] {
            let Some((desk, run)) = asking(&form) else { return };
            let asked = asked(&desk, &run, 1);
            assert_eq!(asked[0]["wants"], "elicitation", "{asked:?}");
            assert_eq!(status(&desk, &run)["waiting"]["for"], "approval");
            let id = about(&asked, words);
            let typed = desk.run("codex-orch", &["approve", &id]);
            assert!(!typed.status.success(), "not at a terminal: {typed:?}");
            types(&desk, &format!("{word} {id}"));
            let told: Value = serde_json::from_str(&told(&desk, &run)).expect("what it heard");
            assert_eq!(told["action"], action, "{told}");
        }
    }
}
