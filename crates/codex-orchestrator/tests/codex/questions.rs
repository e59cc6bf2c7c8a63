//! A delegated Codex that asks, and the session that answers it, in two processes.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{
    desk::Desk,
    model::{Reply, Request, call, hold, say},
    workflow::{tells, wait},
};

/// A stage that is a session of its own, with what it says in a file. It keeps its things in its user's
/// home and asks its model by itself, so that its caps are those of full trust.
const ASKING: &str = r#"
[caps]
network.mode = "open"
fs = { write = ["/"], tmp = "shared", unix_sockets = "allow" }
env.inherit = "all"

[pipelines.asking]
stages = [
  { id = "ask", command = "codex exec --json -C . -c mcp_servers.delegation.enabled=true 'find the port' >said 2>&1" },
]
"#;

/// The child: it names no manifest, since its connection tells which run it is.
fn find_the_port(seen: &Request) -> Reply {
    match seen.outputs() {
        [] => call("delegate.question.enqueue", json!({ "prompt": "Which port?" })),
        [question, .., poll] if poll["status"] == "answered" => {
            assert_eq!(poll["question_id"], question["question_id"]);
            say(format!("the port is {}", poll["answer"]))
        }
        [question, ..] => {
            let id = &question["question_id"];
            call("delegate.question.poll", json!({ "question_id": id, "wait_ms": 20_000 }))
        }
    }
}

/// Waits for that run from where another wait ended.
pub(crate) fn wait_on(run: &Value, waited: &Value) -> Reply {
    let (path, cursor) = (&run["manifest_path"], &waited["cursor"]);
    let wait = json!({ "manifest_paths": [path], "cursor": cursor, "wait_ms": 30_000 });
    call("delegate.wait", wait)
}

/// The question that a wait tells of.
fn question(waited: &Value) -> Value {
    let mut events = waited["events"].as_array().expect("events").iter();
    let asked = events.find(|event| event["kind"] == "question");
    asked.unwrap_or_else(|| panic!("no question: {waited}"))["question_id"].clone()
}

fn answer(question: &Value) -> Reply {
    call("delegate.question.answer", json!({ "question_id": question, "answer": "8080" }))
}

/// The child got its answer, once, and its run has succeeded.
#[track_caller]
fn assert_answered(desk: &Desk, run: &str) {
    assert_eq!(desk.orch(&["status", run])["status"], "succeeded", "{}", desk.text("said"));
    assert!(desk.text("said").contains(r#"the port is \"8080\""#), "{}", desk.text("said"));
}

#[test]
fn a_child_asks_and_the_session_that_waits_for_it_answers() {
    let Some(desk) = Desk::delegating(ASKING) else { return };
    desk.model.play("find the port", find_the_port);
    desk.model.play("have it found", |seen| match seen.outputs() {
        [] => call("delegate.spawn", json!({ "pipeline": "asking" })),
        [run] => wait(run),
        [_, asked] => answer(&question(asked)),
        [run, asked, _] => wait_on(run, asked),
        [run, .., waited] if tells(waited, "ended") => say(run["run_id"].as_str().expect("an id")),
        [run, .., waited] => {
            assert!(!tells(waited, "question"), "nothing is told twice: {waited}");
            wait_on(run, waited)
        }
    });
    let ended = desk.delegate("have it found").succeed();
    assert_answered(&desk, &ended.last());
}

/// The client as an editor drives it, which puts forms before whoever sits there; `codex exec` declines
/// them at once, and its agent is told then as without them.
#[test]
fn whoever_sits_at_the_session_answers_before_its_agent_is_told() {
    let Some(desk) = Desk::delegating(ASKING) else { return };
    desk.settings("[questions]\nforms = true");
    desk.model.play("find the port", find_the_port);
    desk.model.play("have it found", |seen| match seen.outputs() {
        [] => call("delegate.spawn", json!({ "pipeline": "asking" })),
        [run] => wait(run),
        [run, .., waited] if tells(waited, "ended") => say(run["run_id"].as_str().expect("an id")),
        [run, .., waited] => {
            let asked = &waited["events"][0];
            assert_eq!(asked["question_status"], "answered", "{waited}");
            wait_on(run, waited)
        }
    });
    let mut app = desk.app_server();
    let thread = app.thread();
    app.turn(&thread, "have it found");
    let form = app.await_request("mcpServer/elicitation/request");
    let message = form["params"]["message"].as_str().expect("a message");
    assert!(message.ends_with(" asks: Which port?"), "{form}");
    assert_eq!(form["params"]["serverName"], "delegation", "{form}");
    app.answer(&form, json!({ "action": "accept", "content": { "answer": "8080" } }));
    app.await_end();
    let run = &desk.orch(&["list"])["runs"][0];
    assert_answered(&desk, run["run_id"].as_str().expect("an id"));
    let asked = &desk.orch(&["inbox", "--all"])["questions"][0];
    let by = json!({ "kind": "person", "door": "form" });
    assert_eq!(asked["resolution"]["by"], by, "{asked}");

    desk.model.play("look for it once more", |seen| match seen.outputs() {
        [] => call("delegate.spawn", json!({ "pipeline": "asking" })),
        [run] => wait(run),
        [_, asked] => {
            assert_eq!(asked["events"][0]["question_status"], "open", "{asked}");
            answer(&question(asked))
        }
        [run, asked, _] => wait_on(run, asked),
        [run, .., waited] if tells(waited, "ended") => say(run["run_id"].as_str().expect("an id")),
        [run, .., waited] => wait_on(run, waited),
    });
    let ended = desk.delegate("look for it once more").succeed();
    assert_answered(&desk, &ended.last());
}

#[test]
fn a_question_is_answered_by_another_session_when_the_first_is_gone() {
    let Some(desk) = Desk::delegating(ASKING) else { return };
    desk.model.play("find the port", find_the_port);
    desk.model.play("begin it", |seen| match seen.outputs() {
        [] => call("delegate.spawn", json!({ "pipeline": "asking" })),
        _ => hold(),
    });
    let session = desk.delegate("begin it");
    let spawned = desk.model.await_request("begin it", |seen| !seen.outputs().is_empty());
    let run = spawned.outputs()[0].clone();
    desk.model.await_request("find the port", |seen| !seen.outputs().is_empty());
    session.signal(Signal::SIGKILL);
    session.end();

    desk.model.play("see what is asked", move |seen| match seen.outputs() {
        [] => call("delegate.question.list", json!({})),
        [listed] => {
            let questions = listed["questions"].as_array().expect("questions");
            let asked = questions.iter().find(|asked| asked["prompt"] == "Which port?");
            answer(&asked.unwrap_or_else(|| panic!("{listed}"))["question_id"])
        }
        [_, _] => wait(&run),
        [.., waited] if tells(waited, "ended") => say(run["run_id"].as_str().expect("an id")),
        [.., waited] => wait_on(&run, waited),
    });
    let ended = desk.delegate("see what is asked").succeed();
    assert_answered(&desk, &ended.last());
}

#[test]
fn whoever_asks_does_not_answer() {
    let Some(desk) = Desk::delegating(ASKING) else { return };
    desk.model.play("ask yourself", |seen| match seen.outputs() {
        [] => call("delegate.question.enqueue", json!({ "prompt": "Which port?" })),
        [question] => answer(&question["question_id"]),
        [question, refused] => {
            assert!(refused["error"]["message"].is_string(), "{refused}");
            of_question(question)
        }
        [.., poll] => say(poll["status"].as_str().expect("a status")),
    });
    let ended = desk.delegate("ask yourself").succeed();
    assert_eq!(ended.last(), "queued", "{ended}");
}

fn of_question(question: &Value) -> Reply {
    call("delegate.question.poll", json!({ "question_id": question["question_id"] }))
}
