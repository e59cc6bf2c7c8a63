//! Tools that a thread calls, that its caps do not name, and that a person is asked for.

use serde_json::{Value, json};

use super::ground::{Bridged, call};
use crate::{person::Person, scratch::wait_for};

const ASKING: &str = "caps.ask = true\n[caps.tools]\nmcp = { fake = [\"one\"] }\n\
                      may_ask = { fake = [\"two\", \"four\"], other = [\"*\"] }\n";

/// What is asked and not answered.
fn open(bridged: &Bridged) -> Vec<Value> {
    let inbox = bridged.scratch.json(&["inbox"]).document;
    inbox["questions"].as_array().expect("questions").clone()
}

/// Waits for the one question that there is, and answers it with that word as a person. None where
/// nobody can be one, which the test then says.
#[track_caller]
fn answers(bridged: &Bridged, word: &str, more: &str) -> Option<Value> {
    let person = Person::at(&bridged.scratch)?;
    wait_for("a question", || open(bridged).len() == 1);
    let asked = open(bridged).remove(0);
    let id = asked["question_id"].as_str().expect("an id");
    let done = person.types(&format!("{word} {id} {more}"));
    assert_eq!(done.code, 0, "{done:?}");
    Some(asked)
}

/// The tools that are listed, each with what is said of it.
fn listed(bridged: &mut Bridged) -> Vec<(String, String)> {
    let listed = bridged.ask(&json!({ "jsonrpc": "2.0", "method": "tools/list" }));
    let tools = listed["result"]["tools"].as_array().expect("a list").iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    tools.map(|tool| (text(&tool["name"]), text(&tool["description"]))).collect()
}

fn payloads(bridged: &Bridged, kind: &str) -> Vec<Value> {
    let events = bridged.scratch.events(&bridged.run).into_iter();
    let of_it = events.filter(|event| event["event"] == kind);
    of_it.map(|event| event["payload"].clone()).collect()
}

#[track_caller]
fn refused(answer: &Value) -> &str {
    assert_eq!(answer["error"]["code"], -32602, "{answer:#}");
    answer["error"]["message"].as_str().expect("words")
}

#[test]
fn a_tool_that_a_person_allows_is_called_where_it_waited_and_it_is_on_record_who_said_so() {
    let mut bridged = Bridged::granted(ASKING, &[], "");
    let before = listed(&mut bridged);
    assert_eq!(before[0], ("one".to_owned(), String::new()));
    assert!(before.len() == 2 && before[1].0 == "two", "what the server has: {before:?}");
    assert!(before[1].1.starts_with("[Not granted to this run."), "{before:?}");
    let waits = bridged.begin(&call("two"));
    let Some(asked) = answers(&bridged, "approve", "") else { return };
    assert_eq!((&asked["wants"], &asked["server"]), (&json!("grant"), &json!("fake")));
    let prompt = asked["prompt"].to_string();
    assert!(prompt.contains("stage `it`: may it have `two` of fake"), "{prompt}");
    assert!(bridged.answer(&json!(waits))["result"].is_object());
    let changed = json!("notifications/tools/list_changed");
    assert!(bridged.heard().iter().any(|told| told["method"] == changed));
    assert_eq!(listed(&mut bridged)[1], ("two".to_owned(), String::new()));
    assert!(bridged.ask(&call("two"))["result"].is_object());
    assert_eq!(bridged.called(), ["two", "two"]);
    let by = json!({ "kind": "person", "door": "cli" });
    let widened = payloads(&bridged, "cap_widened");
    assert_eq!((widened.len(), &widened[0]["what"]), (1, &json!("fake/two")));
    assert_eq!((&widened[0]["stage_id"], &widened[0]["by"]), (&json!("it"), &by));
    let status = bridged.scratch.run(&["status", &bridged.run]).stdout;
    assert!(status.contains("stage it may reach fake/two, by leave of a person"), "{status}");
    let (scratch, run) = bridged.end();
    assert_eq!(scratch.manifest(&run)["caps"]["widened"][0]["what"], "fake/two");
    assert_eq!(scratch.manifest(&run)["questions"]["total"], 1);
}

#[test]
fn what_is_allowed_for_the_run_is_had_after_a_crash_too() {
    let mut bridged = Bridged::granted(ASKING, &[], "");
    listed(&mut bridged);
    let waits = bridged.begin(&call("two"));
    let Some(_) = answers(&bridged, "approve", "--run") else { return };
    assert!(bridged.answer(&json!(waits))["result"].is_object());
    bridged.killed_and_resumed();
    assert!(bridged.ask(&call("two"))["result"].is_object());
    let (scratch, run) = bridged.end();
    assert_eq!(scratch.manifest(&run)["questions"]["total"], 1);
}

#[test]
fn what_a_person_denies_is_refused_at_once_and_not_asked_again() {
    let mut bridged = Bridged::granted(ASKING, &[], "");
    listed(&mut bridged);
    let waits = bridged.begin(&call("two"));
    let Some(_) = answers(&bridged, "deny", "") else { return };
    let answer = bridged.answer(&json!(waits));
    assert!(refused(&answer).contains("did not say yes"), "{answer}");
    assert!(refused(&bridged.ask(&call("two"))).contains("did not say yes"));
    assert_eq!(listed(&mut bridged), [("one".to_owned(), String::new())]);
    assert!(bridged.called().is_empty());
    let (scratch, run) = bridged.end();
    assert_eq!(scratch.manifest(&run)["questions"]["total"], 1);
    assert_eq!(scratch.manifest(&run)["caps"]["denied"], json!({ "it": 2 }));
}

#[test]
fn a_call_that_nobody_decides_is_refused_in_time_and_a_question_ends_with_its_stage() {
    let mut bridged = Bridged::granted(ASKING, &[], "");
    listed(&mut bridged);
    let (one, two) = (bridged.begin(&call("two")), bridged.begin(&call("two")));
    assert!(bridged.ask(&call("one"))["result"].is_object(), "nothing else waits");
    for waits in [one, two] {
        let answer = bridged.answer(&json!(waits));
        assert!(refused(&answer).contains("a person is asked for it"), "{answer}");
    }
    assert_eq!(open(&bridged).len(), 1);
    let (scratch, run) = bridged.end();
    let denied = scratch.events(&run).into_iter().filter(|event| event["event"] == "cap_denied");
    assert!(denied.map(|event| event["payload"]["why"].clone()).all(|why| why == "asked"));
    assert_eq!(scratch.manifest(&run)["caps"]["denied"], json!({ "it": 2 }));
    assert_eq!(scratch.json(&["inbox"]).document["questions"], json!([]));
}

#[test]
fn nobody_is_asked_for_what_may_not_be_asked_for_is_not_there_or_where_nobody_is_to_be_asked() {
    let silent = ASKING.replace("caps.ask = true\n", "");
    for (caps, words, tools) in [
        (ASKING, &[][..], &["three", "four", "Two"][..]),
        (ASKING, &["--no-input"][..], &["two"][..]),
        (&silent, &[][..], &["two"][..]),
    ] {
        let mut bridged = Bridged::granted(caps, words, "");
        listed(&mut bridged);
        for tool in tools {
            assert!(refused(&bridged.ask(&call(tool))).contains("`caps.tools.mcp` says which are"));
        }
        let (scratch, run) = bridged.end();
        assert_eq!(scratch.manifest(&run)["questions"]["total"], 0, "{tools:?}");
    }
}

#[test]
fn the_settings_may_answer_for_a_tool_in_the_place_of_a_person() {
    let words = [
        "--config",
        "approvals.allow=[\"tool:fake.two\"]",
        "--config",
        "approvals.deny=[\"tool:fake.three\"]",
    ];
    let caps = ASKING.replace("\"four\"", "\"three\"");
    let mut bridged = Bridged::granted(&caps, &words, "");
    listed(&mut bridged);
    assert!(bridged.ask(&call("two"))["result"].is_object());
    assert!(refused(&bridged.ask(&call("three"))).contains("did not say yes"));
    assert_eq!(bridged.called(), ["two"]);
    assert!(payloads(&bridged, "cap_widened")[0]["by"].is_null());
    let (scratch, run) = bridged.end();
    assert_eq!(scratch.manifest(&run)["questions"]["total"], 0);
}
