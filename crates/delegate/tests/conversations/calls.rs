//! Calls block nobody, and end when nobody wants them any more.

use serde_json::json;

use crate::talk::{Talk, call, ping, request};

fn cancel(id: u32) -> serde_json::Value {
    json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}})
}

#[test]
fn fifty_calls_wait_while_others_are_answered() {
    let mut talk = Talk::initialized();
    for id in 0..50 {
        talk.send(&call(id, "wait", json!({})));
    }
    talk.demo.until(|facts| facts.open == 50);
    assert_eq!(talk.ask(&ping("p"))["result"], json!({}));
    assert_eq!(talk.ask(&request("l", "tools/list", json!({})))["error"], json!(null));
    assert_eq!(talk.ask(&call("e", "echo", json!({})))["error"], json!(null));
    talk.demo.until(|facts| facts.open == 50 && facts.stopped == 0);
    assert_eq!(talk.end().len(), 50);
}

#[test]
fn a_call_that_is_cancelled_ends_at_once_and_is_not_answered() {
    let mut talk = Talk::initialized();
    for id in 0..50 {
        talk.send(&call(id, "wait", json!({})));
    }
    talk.demo.until(|facts| facts.open == 50);
    talk.send(&cancel(7));
    talk.demo.until(|facts| facts.open == 49 && facts.stopped == 1);
    // Nobody can know that it is free before the call has ended; now it is.
    talk.send(&call(7, "wait", json!({})));
    talk.demo.until(|facts| facts.open == 50);
    talk.send(&cancel(7));
    talk.demo.until(|facts| facts.open == 49 && facts.stopped == 2);
    assert_eq!(talk.ask(&ping("p"))["result"], json!({}));
    let mut answers: Vec<_> = talk.end().iter().map(|answer| answer.brief()).collect();
    answers.sort();
    let mut others: Vec<_> = (0..50).filter(|id| *id != 7).map(|id| format!("{id} ok")).collect();
    others.sort();
    assert_eq!(answers, others);
}

#[test]
fn what_a_cancelled_call_says_late_is_not_taken_for_another_answer() {
    let mut talk = Talk::initialized();
    talk.send(&call(7, "deaf", json!({})));
    talk.demo.until(|facts| facts.open == 1);
    talk.send(&cancel(7));
    // The same id again, while the cancelled call goes on.
    talk.send(&call(7, "wait", json!({})));
    talk.demo.until(|facts| facts.open == 2);
    talk.demo.change(|facts| facts.released = true);
    talk.demo.until(|facts| facts.open == 1);
    assert_eq!(talk.ask(&ping("p"))["result"], json!({}));
    let rest = talk.end();
    assert_eq!(rest.len(), 1, "{rest:?}");
    assert_eq!(rest[0].message["result"]["content"][0]["text"], "stopped");
}

#[test]
fn more_calls_than_there_are_threads_are_refused_and_block_nobody() {
    let mut talk = Talk::initialized();
    for id in 0..500 {
        talk.send(&call(id, "wait", json!({})));
    }
    talk.demo.until(|facts| facts.open == 500);
    let refused = talk.ask(&call(500, "wait", json!({})));
    assert_eq!(refused["error"]["code"], -32000, "{refused}");
    assert_eq!(talk.ask(&ping("p"))["result"], json!({}));
    talk.send(&cancel(0));
    talk.demo.until(|facts| facts.stopped == 1);
    // Its place is free once its thread is.
    let freed = (501..).map(|id| talk.ask(&call(id, "panic", json!({})))["error"]["code"].clone());
    assert_eq!(freed.take(100_000).find(|code| code != -32000), Some(json!(-32603)));
    assert_eq!(talk.end().len(), 499);
}

#[test]
fn a_call_that_panics_is_answered() {
    let mut talk = Talk::initialized();
    assert_eq!(talk.ask(&call(7, "panic", json!({})))["error"]["code"], -32603);
    assert_eq!(talk.ask(&ping(8))["result"], json!({}));
    assert_eq!(talk.end(), []);
}
