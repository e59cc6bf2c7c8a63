//! Whatever comes is answered and survived.

use std::{collections::BTreeSet, io::Write};

use serde_json::{Value, json};

use crate::{
    demo::{DEADLINE, Demo},
    talk::{Talk, call, framed, initialize, ping, read_answers, request},
};

/// Says that after the handshake, then a ping, then nothing more: these are the answers.
fn check(said: impl AsRef<[u8]>, expected: &[&str]) {
    let mut talk = Talk::initialized();
    talk.say(said);
    talk.say(format!("\n{}\n", ping("alive")));
    let mut answers: Vec<_> = talk.end().iter().map(|answer| answer.brief()).collect();
    let alive = answers.iter().position(|answer| answer == "\"alive\" ok");
    answers.remove(alive.unwrap_or_else(|| panic!("it is dead: {answers:?}")));
    answers.sort();
    assert_eq!(answers, expected);
}

fn nested(id: u32, depth: usize) -> String {
    let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"echo","arguments":{{"a":{deep}}}}}}}"#
    )
}

#[test]
fn what_is_not_json_is_told_so() {
    check("{\"jsonrpc\":\"2.0\",\"id\":7,\n", &["null -32700"]);
    check("hello\n", &["null -32700"]);
    check("[1,2\n", &["null -32700"]);
    check("{}}\n", &["null -32700"]);
    check("\0\n", &["null -32700"]);
}

#[test]
fn bytes_that_are_no_text_do_not_hide_the_id() {
    check(b"\xff\xfe\n", &["null -32700"]);
    check(b"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"\xff\"}\n", &["7 -32700"]);
}

#[test]
fn what_is_no_message_is_told_so() {
    check("[]\n", &["null -32600"]);
    check(format!("[{},{}]\n", ping(1), ping(2)), &["null -32600"]);
    check("7\nnull\n\"a\"\n{}\n", &["null -32600"; 4]);
    check("{\"id\":7,\"method\":\"ping\"}\n", &["7 -32600"]);
    check("{\"jsonrpc\":\"1.0\",\"id\":7,\"method\":\"ping\"}\n", &["7 -32600"]);
    check("{\"jsonrpc\":2.0,\"id\":\"x\",\"method\":\"ping\"}\n", &["\"x\" -32600"]);
    check("{\"jsonrpc\":\"2.0\",\"id\":7}\n", &["7 -32600"]);
    check("{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":7}\n", &["7 -32600"]);
    check("{\"jsonrpc\":\"2.0\",\"id\":7,\"id\":8,\"method\":\"ping\"}\n", &["null -32600"]);
    check("{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\",\"result\":{}}\n", &["7 ok"]);
}

#[test]
fn an_id_that_cannot_be_is_refused() {
    check("{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"ping\"}\n", &["null -32600"]);
    check("{\"jsonrpc\":\"2.0\",\"id\":{\"a\":1},\"method\":\"ping\"}\n", &["null -32600"]);
    check("{\"jsonrpc\":\"2.0\",\"id\":true,\"method\":\"ping\"}\n", &["null -32600"]);
    check("{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"ping\"}\n", &["1.5 -32600"]);
    let big = u64::MAX;
    check(
        format!("{{\"jsonrpc\":\"2.0\",\"id\":{big},\"method\":\"ping\"}}\n"),
        &[&format!("{big} -32600")],
    );
    check("{\"jsonrpc\":\"2.0\",\"id\":-7,\"method\":\"ping\"}\n", &["-7 ok"]);
    check("{\"jsonrpc\":\"2.0\",\"id\":\"\",\"method\":\"ping\"}\n", &["\"\" ok"]);
}

#[test]
fn values_nested_too_deep_are_refused_with_the_id() {
    check(nested(7, 200), &["7 -32600"]);
    check(nested(7, 100_000), &["7 -32600"]);
    check(nested(7, 97), &["7 ok"]);
    let braces_in_text = call(7, "echo", json!({"a": "[".repeat(200)}));
    check(format!("{braces_in_text}\n"), &["7 ok"]);
}

#[test]
fn a_message_that_is_too_long_is_refused_with_the_id() {
    let long = "x".repeat(5 << 20);
    check(format!("{}\n", call(7, "echo", json!({"a": long}))), &["7 -32600"]);
    check(framed(&call(7, "echo", json!({"a": long}))), &["7 -32600"]);
    check(
        format!("{{\"method\":\"ping\",\"params\":{{\"a\":\"{long}\"}},\"id\":7}}\n"),
        &["7 -32600"],
    );
    check(format!("{long}\n"), &["null -32600"]);
    check(format!("{}\n", call(7, "echo", json!({"a": "x".repeat(4_000_000)}))), &["7 ok"]);
}

#[test]
fn a_line_that_never_ends_is_refused_all_the_same() {
    let mut talk = Talk::initialized();
    talk.say("{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\",\"params\":{\"a\":\"");
    talk.say(vec![b'x'; 5 << 20]);
    assert_eq!(talk.answer(&json!(7)).brief(), "7 -32600");
    talk.say(vec![b'x'; 5 << 20]);
    talk.say("\"}}\n");
    assert_eq!(talk.ask(&ping(8))["result"], json!({}));
    assert_eq!(talk.end(), []);
}

#[test]
fn a_line_may_come_as_it_likes() {
    let (seven, eight) = (ping(7), ping(8));
    check(format!("{seven}\r\n\r\n{eight}\r\n"), &["7 ok", "8 ok"]);
    check(format!("\u{feff}{seven}\n \t\n\n  {eight}  \n"), &["7 ok", "8 ok"]);
    let mut talk = Talk::initialized();
    for byte in format!("{seven}\n").as_bytes() {
        talk.say([*byte]);
    }
    assert_eq!(talk.answer(&json!(7)).brief(), "7 ok");
    // The last line of a stream needs no end.
    talk.say(eight.to_string());
    assert_eq!(talk.end().first().map(|answer| answer.brief()).as_deref(), Some("8 ok"));
}

#[test]
fn a_message_with_a_header_is_answered_with_one() {
    let mut talk = Talk::on_pipes();
    // Nothing after the message: the server must not wait for more.
    talk.say(framed(&initialize("2025-06-18")));
    assert!(talk.answer(&json!("hello")).framed);
    talk.say(format!("{}\n", framed(&ping(1))));
    assert!(talk.answer(&json!(1)).framed);
    let text = ping(2).to_string();
    let length = text.len();
    talk.say(format!("Content-Type: a/b; charset=utf-8\r\ncontent-length:{length}\r\n\r\n{text}"));
    assert!(talk.answer(&json!(2)).framed);
    talk.say(framed(&json!([])));
    assert!(talk.answer(&Value::Null).framed);
    // Each is answered as it came.
    talk.say(framed(&call(3, "wait", json!({}))));
    talk.demo.until(|facts| facts.open == 1);
    assert!(!talk.ask(&ping(4)).is_null());
    assert_eq!(
        talk.end().iter().map(|it| (it.brief(), it.framed)).collect::<Vec<_>>(),
        [("3 ok".to_owned(), true)]
    );
}

#[test]
fn a_header_that_lies_costs_no_more_than_what_it_covers() {
    check("Content-Length: x\r\n\r\n\n", &["null -32700"]);
    check("Content-Type: x\r\n\r\n\n", &["null -32700"]);
    check(format!("Content-Length: 3\r\n\r\n{}\n", ping(7)), &["null -32700", "null -32700"]);
    check(format!("Content-Length: 30\r\n{}\n", ping(7)), &["7 ok"]);
}

#[test]
fn parameters_that_do_not_fit_are_explained() {
    let mut talk = Talk::initialized();
    for (method, params, hint) in [
        ("tools/call", json!({"arguments": {}}), "missing field `name`"),
        ("tools/call", json!({"name": "echo", "arguments": [1]}), "expected a map"),
        ("tools/call", json!(null), "invalid type: null"),
        ("initialize", json!({"protocolVersion": 7}), "invalid type: integer `7`"),
        ("tools/list", json!([]), "have to be objects"),
        ("tools/list", json!({"_meta": 7}), "have to be objects"),
    ] {
        let answer = talk.ask(&request(7, method, params));
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
        let words = answer["error"]["message"].as_str().unwrap();
        assert!(words.contains(hint) && words.contains(method), "{words}");
    }
    let long = "x".repeat(100_000);
    let answer = talk.ask(&request(7, "tools/call", json!({"name": "echo", "arguments": long})));
    assert!(answer.to_string().len() < 1000, "not all of it is sent back");
    assert_eq!(talk.ask(&call(8, "nothing", json!({})))["error"]["code"], -32602);
    assert_eq!(talk.ask(&request(9, "no/such", json!({})))["error"]["code"], -32601);
    assert_eq!(talk.end(), []);
}

#[test]
fn what_is_no_request_is_never_answered() {
    check("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/whatever\"}\n", &[]);
    check("{\"jsonrpc\":\"2.0\",\"method\":\"textDocument/didOpen\",\"params\":[7]}\n", &[]);
    check("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\"}\n", &[]);
    let nobodys = json!({"jsonrpc": "2.0", "method": "notifications/cancelled",
        "params": {"requestId": "nobody's"}});
    check(format!("{nobodys}\n"), &[]);
    check("{\"jsonrpc\":\"2.0\",\"id\":99,\"result\":{}}\n", &[]);
    check("{\"jsonrpc\":\"2.0\",\"id\":99,\"result\":7,\"error\":8}\n", &[]);
    check("{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32700,\"message\":\"\"}}\n", &[]);
    check("{\"error\":{}}\n", &[]);
}

#[test]
fn an_id_that_is_in_use_is_refused() {
    let mut talk = Talk::initialized();
    talk.send(&call(7, "deaf", json!({})));
    talk.demo.until(|facts| facts.open == 1);
    let refused = talk.ask(&ping(7));
    assert_eq!(refused["error"]["code"], -32600, "{refused}");
    talk.demo.change(|facts| facts.released = true);
    assert_eq!(talk.answer(&json!(7)).brief(), "7 ok");
    // Free again.
    assert_eq!(talk.ask(&ping(7))["result"], json!({}));
    assert_eq!(talk.end(), []);
}

#[test]
fn a_client_that_reads_late_loses_nothing() {
    let (read, mut input) = std::io::pipe().unwrap();
    let (output, write) = std::io::pipe().unwrap();
    let server = std::thread::spawn(|| delegate::serve(Demo::default(), read, write));
    // More requests and more answers than fit into the pipes.
    let id = |at: usize| format!("{at}{}", "x".repeat(1000));
    for at in 0..2000 {
        writeln!(input, "{}", ping(id(at))).unwrap();
    }
    let answers = read_answers(Box::new(output));
    let mut answered = BTreeSet::new();
    for at in 0..2000 {
        let answer = answers.recv_timeout(DEADLINE).unwrap_or_else(|_| panic!("only {at}"));
        answered.insert(answer.brief());
    }
    assert_eq!(answered, (0..2000).map(|at| format!("\"{}\" ok", id(at))).collect());
    drop(input);
    server.join().unwrap().unwrap();
}
