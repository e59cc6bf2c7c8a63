//! How much there may be at one time, and how long.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::json;

use super::{Answer, Asked, DEADLINE, Served};
use crate::limits::Limits;

const SOON: Duration = Duration::from_millis(300);

/// That the other end closes it, after having said this.
#[track_caller]
fn is_closed(mut stream: TcpStream, said: &str) {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("it is closed");
    assert_eq!(String::from_utf8(bytes).unwrap(), said);
}

/// The head of an answer that leaves the connection open, and as much of its body as it says.
#[track_caller]
fn one_answer(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        text.push(byte[0]);
    }
    let head = String::from_utf8(text).unwrap().to_lowercase();
    let length = head.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    head
}

#[test]
fn a_body_that_is_too_long_is_refused_before_it_comes() {
    let page = Served::page();
    let long = (256 * 1024 + 1).to_string();
    let asked =
        Asked { body: String::new(), ..page.call("echo", "").with("Content-Length", &long) };
    let asked = asked.with("Connection", "keep-alive");
    let answer = page.ask(&asked);
    answer.refuses(413, "too_large");
    // Whoever asks next has to know that it is not on this connection.
    assert_eq!(answer.header("connection"), Some("close"));
    let largest = format!(r#"{{"a":"{}"}}"#, "x".repeat(256 * 1024 - 8));
    assert_eq!(page.ask(&page.call("echo", &largest)).body, largest);
}

#[test]
fn a_head_that_is_too_long_is_refused() {
    let page = Served::page();
    let answer = page.ask(&page.get("/").with("X-Long", &"x".repeat(64 * 1024)));
    assert_eq!((answer.status, answer.body.as_str()), (431, ""));
    let many: Vec<String> = (0..200).map(|number| format!("X-{number}")).collect();
    let asked = many.iter().fold(page.get("/"), |asked, name| asked.also(name, "x"));
    assert_eq!(page.ask(&asked).status, 431);
}

#[test]
fn half_a_request_holds_nobody_up() {
    let page = Served::page();
    let silent = page.connect();
    let head = page.send(b"GET / HTTP/1.1\r\nHost: 127");
    let body = page.begin(&page.call("echo", "{}").with("Content-Length", "3"));
    page.ask(&page.call("echo", "{}")).gives(json!({}));
    drop((silent, head, body));
}

#[test]
fn the_other_half_is_not_waited_for_long() {
    let page = Served::within(Limits { head: SOON, ..Limits::default() });
    let silent = page.connect();
    let head = page.send(b"GET / HTTP/1.1\r\nHost: 127");
    is_closed(silent, "");
    is_closed(head, "");
    let page = Served::within(Limits { body: SOON, ..Limits::default() });
    let body = page.begin(&page.call("echo", "{}").with("Content-Length", "3"));
    Answer::read(body).refuses(408, "timed_out");
}

#[test]
fn a_connection_that_is_kept_is_closed_when_nothing_comes() {
    let page = Served::within(Limits { head: SOON, ..Limits::default() });
    let mut stream = page.begin(&page.get("/").without("Connection"));
    assert!(one_answer(&mut stream).starts_with("http/1.1 200"));
    is_closed(stream, "");
}

#[test]
fn a_connection_is_good_for_many_requests() {
    let page = Served::page();
    let mut stream = page.connect();
    for path in ["/", "/assets/page.js", "/nothing", "/"] {
        let text = page.get(path).without("Connection").text();
        stream.write_all(text.as_bytes()).unwrap();
        let status = if path == "/nothing" { "http/1.1 404" } else { "http/1.1 200" };
        assert!(one_answer(&mut stream).starts_with(status));
    }
}

#[test]
fn whoever_reads_no_answer_keeps_no_place() {
    let limits = Limits { connections: 1, age: SOON, last_answer: SOON, ..Limits::default() };
    let page = Served::within(limits);
    let mut deaf = page.connect();
    let request = page.get("/").without("Connection").text().repeat(64);
    // Until nothing more is taken, because nothing more can be answered.
    deaf.set_write_timeout(Some(SOON)).unwrap();
    while deaf.write_all(request.as_bytes()).is_ok() {}
    page.comes_to(&page.get("/"), 200);
}

#[test]
fn more_connections_than_there_may_be_are_told_so() {
    let page = Served::within(Limits { connections: 3, ..Limits::default() });
    let mut others: Vec<TcpStream> =
        (0..3).map(|_| page.begin(&page.get("/").without("Connection"))).collect();
    for stream in &mut others {
        assert!(one_answer(stream).starts_with("http/1.1 200"));
    }
    page.ask(&page.get("/")).refuses(503, "busy");
    drop(others.pop());
    // It is free once the page has heard of it.
    page.comes_to(&page.get("/"), 200);
}

#[test]
fn those_who_are_turned_away_take_nobodys_place() {
    let limits = Limits { connections: 1, undecided: 1, turned_away: 1, ..Limits::default() };
    // None of them is rid of by being waited for.
    let page = Served::within(Limits { head: DEADLINE * 2, ..limits });
    *page.desk.closed.lock().unwrap() = Some("it is late".to_owned());
    // The first one may hear why, and says nothing; there is no place for any more to hear it.
    let first = page.connect();
    page.hears("refused");
    is_closed(page.connect(), "");
    *page.desk.closed.lock().unwrap() = None;
    page.comes_to(&page.get("/"), 200);
    drop(first);
}

#[test]
fn more_calls_than_there_may_be_are_told_so() {
    let page = Served::within(Limits { calls: 2, ..Limits::default() });
    let held = page.desk.stuck.lock().unwrap();
    let stuck: Vec<TcpStream> = (0..2)
        .map(|_| {
            let stream = page.begin(&page.call("stuck", "{}"));
            page.hears("stuck");
            stream
        })
        .collect();
    page.ask(&page.call("echo", "{}")).refuses(503, "busy");
    // What needs no call is there all the same.
    assert_eq!(page.ask(&page.get("/")).status, 200);
    drop(held);
    for stream in stuck {
        Answer::read(stream).gives(json!({}));
    }
    page.ask(&page.call("echo", "{}")).gives(json!({}));
}

#[test]
fn a_call_that_nobody_waits_for_keeps_its_place_until_it_returns() {
    let page = Served::within(Limits { calls: 1, ..Limits::default() });
    let held = page.desk.stuck.lock().unwrap();
    let stream = page.begin(&page.call("stuck", "{}"));
    page.hears("stuck");
    drop(stream);
    page.ask(&page.call("echo", "{}")).refuses(503, "busy");
    drop(held);
    page.comes_to(&page.call("echo", "{}"), 200);
}
