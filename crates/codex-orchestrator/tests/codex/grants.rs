//! What a thread is let do that it may not by itself, by others than the person at the inbox or by
//! widening its caps.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
};

use serde_json::{Value, json};

use crate::{
    desk::Desk,
    model::{call, function, say},
    patience::wait_for,
    questions::wait_on,
    threads::{await_end, in_background, reaches, types},
    workflow::{tells, wait},
};

/// The approval that a wait tells of.
fn approval(waited: &Value) -> &Value {
    let mut events = waited["events"].as_array().expect("events").iter();
    let asked = events.find(|event| event["kind"] == "approval");
    asked.unwrap_or_else(|| panic!("no approval: {waited}"))
}

#[test]
fn a_parent_allows_what_its_thread_asks_for_where_the_settings_say_so() {
    for (settings, made) in [("approvals.by_parent = true", true), ("", false)] {
        let Some(desk) = Desk::registered() else { return };
        let outside = desk.shelf().join("outside");
        desk.settings(settings);
        desk.model.play("reach out", reaches(&outside));
        desk.model.play("delegate the rest", move |seen| match seen.outputs() {
            [] => call("delegate.spawn", json!({ "prompt": "reach out", "worktree": false })),
            [run] => wait(run),
            [_, waited] => {
                let asked = approval(waited);
                assert_eq!(asked["options"].is_array(), made, "{asked}");
                let words = json!({ "question_id": asked["question_id"], "answer": "approve" });
                call("delegate.question.answer", words)
            }
            [.., answered] if answered["error"].is_object() => say(answered["error"].to_string()),
            [run, waited, _] => wait_on(run, waited),
            [.., waited] if tells(waited, "ended") => say("It is done."),
            [run, .., waited] => wait_on(run, waited),
        });
        let last = desk.delegate("delegate the rest").succeed().last();
        assert_eq!(outside.exists(), made, "{last}");
        if made {
            assert!(last.contains("It is done."), "{last}");
            continue;
        }
        assert!(last.contains("only a person"), "{last}");
        let asked = desk.orch(&["inbox"])["questions"][0].clone();
        types(&desk, &format!("approve {}", asked["question_id"].as_str().expect("an id")));
        let run = asked["run_id"].as_str().expect("a run");
        assert_eq!(await_end(&desk, run)["status"], "succeeded");
        assert!(outside.exists());
    }
}

/// A server of this machine that says `hello` to everybody; its port.
fn near() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    // It goes with the test.
    thread::spawn(move || {
        for mut caller in listener.incoming().flatten() {
            let _ = caller.read(&mut [0; 4096]);
            let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
            let _ = caller.write_all(answer.as_bytes());
        }
    });
    port
}

const ASKING: &str = r#"
[caps]
ask = true
max_network = "open"
[caps.network]
mode = "none"
"#;

#[test]
fn a_host_that_a_thread_reaches_for_waits_for_a_person_and_is_reached_when_they_say_so() {
    let Some(desk) = Desk::registered() else { return };
    let port = near();
    desk.pipelines(ASKING);
    desk.settings("caps.network.pins = { \"near.example\" = [\"127.0.0.1\"] }");
    let command = format!(
        "curl -sS http://192.0.2.1/; \
         until curl -sS http://near.example:{port}/ | grep hello; do sleep 0.1; done"
    );
    desk.model.play("fetch it", move |seen| match seen.outputs() {
        [] => {
            let words = json!({ "cmd": command, "yield_time_ms": 30_000 });
            function("", "exec_command", &words)
        }
        [said] => say(format!("It says {said}")),
        more => panic!("{more:?}"),
    });
    let id = in_background(&desk, &["--here", "--sandbox", "danger-full-access"], "fetch it");
    let open = || desk.orch(&["inbox"])["questions"].clone();
    let host = format!("near.example:{port}");
    wait_for("the host to be asked for", || open()[0]["host"] == host.as_str());
    assert_eq!(open().as_array().map(Vec::len), Some(1), "nobody is asked for an address");
    types(&desk, &format!("approve {}", open()[0]["question_id"].as_str().expect("an id")));
    let ended = await_end(&desk, &id);
    assert_eq!(ended["status"], "succeeded", "{ended}");
    let said = ended["codex"]["last_message"].to_string();
    assert!(said.contains("hello") && said.contains("is not listed"), "{said}");
    assert_eq!(ended["caps"]["widened"][0]["what"], host, "{ended}");
    assert_eq!(ended["caps"]["widened"][0]["by"]["kind"], "person", "{ended}");
}
