//! What runs ask, shown by a form to whoever sits at the session: an extra, which nothing relies on.

use serde_json::{Value, json};

use super::{
    inside::Talker,
    mcp::{Server, text},
    questions::{ask, entry, poll},
    scratch,
};
use crate::scratch::{Scratch, until};

const FORMS: &str = "[questions]\nforms = true\n";

/// A session whose client has forms, and a run of it that asks.
struct Asked {
    scratch: Scratch,
    session: Server,
    inside: Server,
    run: String,
    question: String,
}

impl Asked {
    fn new(settings: &str, more: Value) -> Self {
        let scratch = scratch(settings);
        let mut session = Server::of(&scratch, "one").with_forms();
        let child = Talker::spawn(&scratch, &mut session, "a", json!({}));
        let mut inside = child.pipes.connect();
        let question = ask(&mut inside, "which\u{1b}[31m\ncolour?", more);
        Self { scratch, session, inside, run: child.run, question }
    }

    /// A wait of the session's, and the form that is shown because of it.
    fn shown(&mut self) -> (u64, Value) {
        let wait = self.session.begin("wait", json!({ "wait_ms": 60_000 }));
        let form = until("a form", || self.session.form(0));
        assert_eq!(self.session.answer_of(wait), None, "the agent is not told before");
        (wait, form)
    }

    /// What the wait told of the question.
    #[track_caller]
    fn told(&mut self, wait: u64) -> Value {
        let told = self.session.said("wait", wait).expect("it answers").given();
        let events = told["events"].as_array().expect("events");
        let of = |event: &&Value| event["question_id"] == self.question.as_str();
        events.iter().find(of).unwrap_or_else(|| panic!("{told:#}")).clone()
    }
}

#[test]
fn whoever_sits_at_the_session_answers_what_its_run_asks() {
    let mut asked = Asked::new(FORMS, json!({ "options": ["red", "blue"], "default": "blue" }));
    let (wait, form) = asked.shown();
    let said = text(&form["params"], "message");
    assert!(said.contains("of task demo asks: which [31m\ncolour?"), "{said:?}");
    assert!(said.contains(asked.run.rsplit('-').next().unwrap()), "{said}");
    let field = &form["params"]["requestedSchema"]["properties"]["answer"];
    assert_eq!((&field["enum"], &field["default"]), (&json!(["red", "blue"]), &json!("blue")));

    let red = json!({ "action": "accept", "content": { "answer": "red" } });
    asked.session.reply(&form, red);
    let told = asked.told(wait);
    assert_eq!((&told["question_status"], &told["answer"]), (&json!("answered"), &json!("red")));
    let polled = poll(&mut asked.inside, &asked.question);
    assert_eq!((&polled["status"], &polled["answer"]), (&json!("answered"), &json!("red")));
    let by = &entry(&asked.scratch, &asked.question)["resolution"]["by"];
    assert_eq!(*by, json!({ "kind": "person", "door": "form" }));
}

#[test]
fn what_nobody_fills_in_is_for_the_agent_and_is_shown_once() {
    let nothing = [
        json!({ "action": "decline" }),
        json!({ "action": "cancel" }),
        // As a client accepts that does so by itself.
        json!({ "action": "accept", "content": {} }),
        json!({ "action": "accept", "content": { "answer": "green" } }),
    ];
    for reply in nothing {
        let mut asked = Asked::new(FORMS, json!({ "options": ["red", "blue"] }));
        let (wait, form) = asked.shown();
        asked.session.reply(&form, reply.clone());
        let told = asked.told(wait);
        assert_eq!((&told["kind"], &told["question_status"]), (&json!("question"), &json!("open")));
        let again = asked.session.begin("wait", json!({ "wait_ms": 60_000 }));
        assert_eq!(asked.told(again)["question_status"], "open", "{reply}");
        assert_eq!(asked.session.form(1), None, "{reply}");
        let answer = json!({ "question_id": asked.question, "answer": "blue" });
        asked.session.call("question.answer", answer).given();
        assert_eq!(poll(&mut asked.inside, &asked.question)["answer"], "blue");
    }
}

#[test]
fn a_form_is_taken_away_when_it_is_not_waited_for_any_more() {
    // Because the time is up.
    let mut asked = Asked::new(FORMS, json!({}));
    let wait = asked.session.begin("wait", json!({ "wait_ms": 300 }));
    let form = until("a form", || asked.session.form(0));
    assert_eq!(asked.told(wait)["question_status"], "open");
    until("its end", || asked.session.took_away(&form).then_some(()));
    // What is said to it then is nothing.
    let late = json!({ "action": "accept", "content": { "answer": "late" } });
    asked.session.reply(&form, late);
    let listed = asked.session.call("question.list", json!({})).given();
    assert_eq!(listed["questions"][0]["status"], "open", "{listed:#}");

    // Because somebody else has answered.
    let mut asked = Asked::new(FORMS, json!({}));
    let (wait, form) = asked.shown();
    assert_eq!(asked.scratch.run(&["answer", &asked.question, "mine"]).code, 0);
    assert_eq!(asked.told(wait)["answer"], "mine");
    until("its end", || asked.session.took_away(&form).then_some(()));

    // Because the client cancels the wait.
    let mut asked = Asked::new(FORMS, json!({}));
    let (wait, form) = asked.shown();
    asked.session.cancel(wait);
    until("its end", || asked.session.took_away(&form).then_some(()));

    // Because something else has happened, which the agent is told with it.
    let mut asked = Asked::new(FORMS, json!({}));
    let (wait, form) = asked.shown();
    let quick = asked.session.call("spawn", json!({ "pipeline": "quick" })).given();
    let told = asked.session.said("wait", wait).expect("it answers").given();
    let runs: Vec<&Value> =
        told["events"].as_array().unwrap().iter().map(|event| &event["run_id"]).collect();
    assert_eq!(runs, [&json!(asked.run), &quick["run_id"]], "{told:#}");
    until("its end", || asked.session.took_away(&form).then_some(()));
}

#[test]
fn nobody_is_shown_a_form_who_did_not_ask_for_forms() {
    // Not without the setting, and not for a client that has none.
    let mut asked = Asked::new("", json!({}));
    let wait = asked.session.begin("wait", json!({ "wait_ms": 60_000 }));
    assert_eq!(asked.told(wait)["question_status"], "open");
    assert_eq!(asked.session.form(0), None);
    let mut asked = Asked::new(FORMS, json!({}));
    asked.session = Server::of(&asked.scratch, "one");
    let wait = asked.session.begin("wait", json!({ "wait_ms": 60_000 }));
    assert_eq!(asked.told(wait)["question_status"], "open");
    assert_eq!(asked.session.form(0), None);

    // A run whose child asks is no person, whatever its client says.
    let scratch = scratch(FORMS);
    let mut session = Server::of(&scratch, "one");
    let full = json!({ "delegate_mode": "full" });
    let parent = Talker::spawn(&scratch, &mut session, "a", full);
    let mut inside = parent.pipes.connect().with_forms();
    let child = Talker::spawn(&scratch, &mut inside, "b", json!({}));
    let question = ask(&mut child.pipes.connect(), "which?", json!({}));
    let told = inside.call("wait", json!({ "wait_ms": 60_000 })).given();
    assert_eq!(told["events"][0]["question_id"], json!(question), "{told:#}");
    assert_eq!(inside.form(0), None);
}
