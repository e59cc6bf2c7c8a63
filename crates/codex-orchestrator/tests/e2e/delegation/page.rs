//! What runs and sessions ask, answered and decided from the local page.

use std::fs;

use serde_json::{Value, json};

use super::{
    inside::Talker,
    mcp::{Server, text},
    questions::{ask, entry, look, poll},
    scratch,
    wishes::{boxed, wish, write},
};
use crate::{
    browser::Browser,
    scratch::{Scratch, wait_for},
};

/// What is asked in that repository, as the page names it, and more.
fn named(scratch: &Scratch, id: &str, more: Value) -> Value {
    let mut body = json!({ "repo": scratch.repo(), "id": id });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn ids(shown: &Value) -> Vec<String> {
    shown["inbox"].as_array().unwrap().iter().map(|entry| text(entry, "question_id")).collect()
}

#[test]
fn a_question_is_answered_from_the_page_and_its_run_goes_on() {
    let scratch = scratch("");
    let Some(page) = Browser::open(&scratch, "") else { return };
    let mut parent = Server::of(&scratch, "one");
    let child = Talker::spawn(&scratch, &mut parent, "a", json!({}));
    let mut inside = child.pipes.connect();
    let id = ask(&mut inside, "which way?", json!({ "options": ["left", "right"] }));
    let shown = page.sees_that("it asks", json!({}), |shown| ids(shown) == [id.as_str()]);
    let asked = &shown["inbox"][0];
    assert_eq!(asked["options"], json!(["left", "right"]), "{asked:#}");
    assert_eq!(asked["run_id"], json!(child.run));
    let waiting = inside.begin("question.poll", json!({ "question_id": id, "wait_ms": 60_000 }));
    // What does not fit changes nothing.
    page.is_refused("answer", named(&scratch, &id, json!({ "text": "up" })), "conflict");
    page.is_refused("answer", named(&scratch, &id, json!({ "text": " " })), "usage");
    page.is_refused("approve", named(&scratch, &id, json!({ "scope": "once" })), "conflict");
    page.is_refused("answer", named(&scratch, "q0000000000", json!({ "text": "up" })), "not_found");
    let answered = page.does("answer", named(&scratch, &id, json!({ "text": "left" })));
    assert_eq!(answered["status"], "answered", "{answered}");
    let told = inside.said("question.poll", waiting).unwrap().given();
    assert_eq!((&told["answer"], &told["answered_by"]), (&json!("left"), &json!("person")));
    let late =
        page.is_refused("answer", named(&scratch, &id, json!({ "text": "right" })), "conflict");
    assert!(late["message"].as_str().unwrap().contains("closed already"), "{late}");
    let by = &entry(&scratch, &id)["resolution"]["by"];
    assert_eq!(*by, json!({ "kind": "person", "door": "page" }));
    // One is closed without an answer.
    let id = ask(&mut inside, "and then?", json!({}));
    page.does("dismiss", named(&scratch, &id, json!({ "reason": "it does not matter" })));
    assert_eq!(look(&mut inside, &id)["status"], "dismissed");
    assert!(ids(&page.sees()).is_empty());
    inside.hang_up();
    assert_eq!(scratch.await_end(&child.run).code, 0);
}

#[test]
fn answering_a_run_that_was_killed_takes_it_up_again() {
    let scratch = scratch("");
    let Some(page) = Browser::open(&scratch, "") else { return };
    let mut parent = Server::of(&scratch, "one");
    let child = Talker::spawn(&scratch, &mut parent, "a", json!({}));
    let mut inside = child.pipes.connect();
    let id = ask(&mut inside, "which way?", json!({ "key": "way" }));
    scratch.kill_runner(&child.run);
    inside.hang_up();
    let answered = page.does("answer", named(&scratch, &id, json!({ "text": "left" })));
    assert_eq!(answered["resumed"], true, "{answered}");
    let mut inside = child.pipes.connect();
    // What is asked once more is the same question.
    let again = ask_again(&mut inside);
    assert_eq!((&again, &poll(&mut inside, &again)["answer"]), (&id, &json!("left")));
    inside.hang_up();
    assert_eq!(scratch.await_end(&child.run).code, 0);
}

fn ask_again(inside: &mut Server) -> String {
    let asked = inside.call("question.enqueue", json!({ "prompt": "which way?", "key": "way" }));
    text(&asked.given(), "question_id")
}

#[test]
fn what_only_a_person_may_is_decided_from_the_page_as_it_was_shown() {
    let scratch = scratch("");
    let Some(page) = Browser::open(&scratch, "") else { return };
    let mut server = boxed(&scratch, "one", true);
    write(&scratch, "echo shown >> ran");
    let words = json!({ "pipeline": "quick", "task_id": "demo" });
    let id = wish(&mut server, words.clone());
    let shown = page.sees_that("it asks", json!({}), |shown| ids(shown) == [id.as_str()]);
    assert_eq!(shown["inbox"][0]["kind"], "confirmation");
    write(&scratch, "echo written afterwards >> ran");
    page.is_refused("approve", named(&scratch, &id, json!({ "scope": "repo" })), "conflict");
    page.is_refused("approve", named(&scratch, &id, json!({})), "usage");
    let approved = page.does("approve", named(&scratch, &id, json!({ "scope": "once" })));
    let run = text(&approved, "done_run_id");
    wait_for("what was allowed", || scratch.text("ran") == "shown\n");
    assert_eq!(scratch.await_end(&run).code, 0);
    // Once more is no more.
    let again = page.does("approve", named(&scratch, &id, json!({ "scope": "once" })));
    assert_eq!(text(&again, "done_run_id"), run);
    assert_eq!(entry(&scratch, &id)["resolution"]["by"]["door"], "page");
    let id = wish(&mut server, words);
    page.does("deny", named(&scratch, &id, json!({ "reason": "not this" })));
    assert_eq!(entry(&scratch, &id)["resolution"]["reason"], "not this");
    assert_eq!(scratch.text("ran"), "shown\n");
    let _ = fs::remove_file(scratch.at("ran"));
}
