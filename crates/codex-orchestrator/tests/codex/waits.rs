//! Calls that wait, and what ends them before their time.

use serde_json::json;

use crate::{
    desk::Desk,
    model::{Reply, Request, call, say},
    patience::wait_for,
    server::Served,
};

/// The server that was told to forget the call that waits.
#[track_caller]
fn cancelled(desk: &Desk) -> Served {
    let served = desk.served_that_heard("notifications/cancelled");
    let heard = served.heard();
    let find = |name: &str, word: &str| {
        heard.iter().find(|message| message["method"] == word || message["params"]["name"] == name)
    };
    let wait = find("delegate.wait", "").expect("a wait");
    let cancelled = find("", "notifications/cancelled").expect("its end");
    assert_eq!(cancelled["params"]["requestId"], wait["id"], "{cancelled}");
    served
}

/// Asks something that nobody will answer, and waits for the answer longer than any test.
pub(crate) fn ask_and_wait(seen: &Request) -> Reply {
    match seen.outputs() {
        [] => call("delegate.question.enqueue", json!({ "prompt": "Which port?" })),
        [asked] => {
            let questions = [&asked["question_id"]];
            call("delegate.wait", json!({ "question_ids": questions, "wait_ms": 240_000 }))
        }
        [.., waited] => say(waited.to_string()),
    }
}

#[test]
fn a_wait_is_interrupted_with_its_turn() {
    let Some(desk) = Desk::registered() else { return };
    desk.model.play("wait for it", ask_and_wait);
    let mut app = desk.app_server();
    let thread = app.thread();
    let turn = app.turn(&thread, "wait for it");
    app.await_call("delegate.wait");
    app.interrupt(&thread, &turn);
    let served = cancelled(&desk);
    assert!(served.lives(), "it serves the next turn");
    let listed = app.call(&thread, "delegate.list", &json!({}));
    assert!(listed["structuredContent"]["runs"].is_array(), "{listed}");
}

#[test]
fn a_wait_that_takes_too_long_for_the_client_fails_and_the_session_goes_on() {
    let Some(desk) = Desk::registered() else { return };
    desk.model.play("wait for it", ask_and_wait);
    let short = ["-c", "mcp_servers.delegation.tool_timeout_sec=1"];
    let ended = desk.delegate_with(&short, "wait for it").succeed();
    assert!(ended.last().contains("timed out awaiting tools/call"), "{ended}");
    let calls = ended.calls("delegate.wait");
    assert_eq!(calls[0]["status"], "failed", "{ended}");
    let served = cancelled(&desk);
    wait_for("the end of the server", || !served.lives());
}
