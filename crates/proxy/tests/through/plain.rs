//! Requests in the clear.

use std::io::Write as _;

use crate::place::{Place, exchange, rest, web};

#[test]
fn a_listed_host_is_reached_with_one_request() {
    let port = web();
    let place = Place::new(&format!("a.example:{port}"));
    let request = format!(
        "GET http://A.example:{port}/x?secret=1 HTTP/1.1\r\nHost: a.example:{port}\r\n\r\n"
    );
    // What stands behind it is another request, to whomever.
    let two = format!("{request}GET /other HTTP/1.1\r\nHost: b.example\r\n\r\n");
    let answer = exchange(&mut place.connect(), two.as_bytes());
    assert!(
        answer.contains(&format!(
            "request 1: GET /x?secret=1 HTTP/1.1\r\nHost: a.example:{port}\r\n"
        )),
        "{answer}"
    );
    assert!(!answer.contains("/other"), "{answer}");
    assert_eq!(place.told(), [format!("a.example:{port} allowed")]);
}

#[test]
fn a_body_arrives_whole_and_nothing_behind_it() {
    let port = web();
    let place = Place::new(&format!("a.example:{port}"));
    let head = format!(
        "POST http://a.example:{port}/ HTTP/1.1\r\nHost: a.example:{port}\r\nContent-Length: 10\r\n\r\n"
    );
    let mut stream = place.connect();
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(b"01234").unwrap();
    let answer = exchange(&mut stream, b"56789GET / HTTP/1.1\r\nHost: b.example\r\n\r\n");
    assert!(answer.ends_with("0123456789"), "{answer}");
}

#[test]
fn whoever_is_denied_reads_which_key_to_add() {
    let place = Place::new("a.example:80");
    let answer = exchange(
        &mut place.connect(),
        b"GET http://b.example/ HTTP/1.1\r\nHost: b.example\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 403 Not in caps.network.allow\r\n"), "{answer}");
    assert!(
        answer.contains("b.example is not listed; add \"b.example:80\" to `caps.network.allow`"),
        "{answer}"
    );
    // Its name was not even looked up.
    assert_eq!(place.looked_up.load(std::sync::atomic::Ordering::SeqCst), 0);
    assert_eq!(place.told(), ["b.example:80 unlisted"]);
}

#[test]
fn what_is_not_clear_is_not_sent_on() {
    let port = web();
    let place = Place::new(&format!("a.example:{port}"));
    for request in [
        "GET / HTTP/1.1\r\nHost: a.example:PORT\r\n\r\n",
        "GET http://a.example:PORT/ HTTP/1.1\r\nHost: b.example\r\n\r\n",
        "GET http://a.example:PORT/ HTTP/1.1\r\nHost: a.example:PORT\r\nHost: b.example\r\n\r\n",
        "POST http://a.example:PORT/ HTTP/1.1\r\nHost: a.example:PORT\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET http://a.example:PORT/ HTTP/1.1\nHost: a.example:PORT\r\n\r\n",
        "GET http://a.example:PORT\0.b.example/ HTTP/1.1\r\nHost: a.example:PORT\r\n\r\n",
    ] {
        let request = request.replace("PORT", &port.to_string());
        let answer = exchange(&mut place.connect(), request.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 400 Unclear\r\n"), "{request}: {answer}");
    }
    let mut stream = place.connect();
    assert!(exchange(&mut stream, b"\x16\x03\x01").starts_with("HTTP/1.1 400 Unclear"));
    assert_eq!(rest(&mut stream), "");
}

#[test]
fn a_head_without_end_is_refused() {
    let place = Place::new("a.example:80");
    let mut stream = place.connect();
    let long = format!("GET http://a.example/ HTTP/1.1\r\nX: {}", "a".repeat(66 * 1024));
    // It may be turned away before all of it is written.
    let _ = stream.write_all(long.as_bytes());
    let answer = rest(&mut stream);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    place.wait_for("- unclear");
}
