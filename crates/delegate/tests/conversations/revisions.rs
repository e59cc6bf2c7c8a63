//! Every revision of the protocol, with its handshake or without one.

use serde_json::{Value, json};

use crate::talk::{Talk, call, initialize, ping, request};

/// What requests of the revision without a handshake carry.
fn meta(version: &str) -> Value {
    json!({"_meta": {
        "io.modelcontextprotocol/protocolVersion": version,
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }})
}

#[test]
fn before_the_handshake_there_is_ping_and_nothing_else() {
    let mut talk = Talk::on_pipes();
    assert_eq!(talk.ask(&ping(1))["result"], json!({}));
    talk.say("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n");
    talk.say("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n");
    for (id, method) in [(2, "tools/list"), (3, "tools/call"), (4, "no/such")] {
        let answer = talk.ask(&request(id, method, json!({"name": "echo"})));
        assert_eq!(answer["error"]["code"], -32002, "{answer}");
        let words = answer["error"]["message"].as_str().unwrap();
        assert!(words.contains("send `initialize` first"), "{words}");
    }
    talk.shake_hands();
    assert_eq!(
        talk.ask(&call(5, "echo", json!({"a": 1})))["result"]["content"][0]["text"],
        "{\"a\":1}"
    );
    assert_eq!(talk.end(), []);
}

#[test]
fn a_revision_is_answered_with_itself_or_with_the_newest_that_shakes_hands() {
    for (asked, answered) in [
        ("2024-11-05", "2024-11-05"),
        ("2025-03-26", "2025-03-26"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
        ("2099-01-01", "2025-11-25"),
        ("1999-01-01", "2025-11-25"),
        ("nonsense", "2025-11-25"),
    ] {
        let mut talk = Talk::on_pipes();
        let answer = talk.ask(&initialize(asked));
        assert_eq!(answer["result"]["protocolVersion"], answered, "asked for {asked}");
        // And it is held to what was answered: the revisions without a handshake have no ping.
        assert_eq!(talk.ask(&ping(1))["result"], json!({}), "asked for {asked}");
        assert_eq!(talk.ask(&request(2, "tools/list", json!({})))["error"], Value::Null);
        assert_eq!(talk.end(), []);
    }
}

#[test]
fn a_failed_handshake_can_be_tried_again() {
    let mut talk = Talk::on_pipes();
    let answer = talk.ask(&request(1, "initialize", json!({"protocolVersion": "2025-06-18"})));
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
    assert_eq!(talk.ask(&request(2, "tools/list", json!({})))["error"]["code"], -32002);
    talk.shake_hands();
    talk.shake_hands();
    assert_eq!(talk.end(), []);
}

#[test]
fn without_a_handshake_each_request_says_its_revision() {
    let mut talk = Talk::on_pipes();
    let found = talk.ask(&request(1, "server/discover", meta("2026-07-28")));
    let versions = found["result"]["supportedVersions"].as_array().expect("versions");
    assert!(versions.contains(&json!("2026-07-28")), "{found}");
    let tools = talk.ask(&request(2, "tools/list", meta("2026-07-28")));
    assert_eq!(tools["result"]["tools"][0]["name"], "echo", "{tools}");
    let mut params = meta("2026-07-28");
    params["name"] = json!("echo");
    params["arguments"] = json!({"a": 1});
    let called = talk.ask(&request(3, "tools/call", params));
    assert_eq!(called["result"]["content"][0]["text"], "{\"a\":1}", "{called}");
    // Each: one that says nothing is refused.
    assert_eq!(talk.ask(&request(4, "tools/list", json!({})))["error"]["code"], -32002);
    assert_eq!(talk.end(), []);
}

#[test]
fn a_revision_that_nobody_knows_is_refused_with_those_that_are_known() {
    let mut talk = Talk::on_pipes();
    let answer = talk.ask(&request(1, "tools/list", meta("2099-01-01")));
    let known = answer["error"]["data"]["supported"].as_array().expect("revisions");
    assert!(known.contains(&json!("2026-07-28")), "{answer}");
    let half = json!({"_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}});
    let answer = talk.ask(&request(2, "server/discover", half));
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
    assert_eq!(talk.ask(&ping(3))["result"], json!({}));
    assert_eq!(talk.end(), []);
}
