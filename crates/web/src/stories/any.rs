//! Bytes that nobody thought of.

use std::io::{Read, Write};

use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any, prop_oneof},
    test_runner::{Config, TestRunner},
};
use serde_json::json;

use super::Served;

/// What requests are made of, so that some of what comes of it is nearly one.
const PARTS: [&str; 32] = [
    "GET ",
    "POST ",
    "HEAD ",
    "OPTIONS ",
    "CONNECT ",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "/",
    "/api/",
    "echo",
    "enter",
    "/assets/page.js",
    "http://127.0.0.1/",
    "*",
    " HTTP/1.1\r\n",
    " HTTP/1.0\r\n",
    " HTTP/9.9\r\n",
    "\r\n",
    "\r\n\r\n",
    "\n\n",
    "Host: 127.0.0.1\r\n",
    "Host: evil.example\r\n",
    "Origin: http://127.0.0.1\r\n",
    "Content-Type: application/json\r\n",
    "Content-Length: 2\r\n",
    "Content-Length: 99999999999999999999\r\n",
    "Content-Length: -1\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Expect: 100-continue\r\n",
    "Upgrade: h2c\r\n",
    "Authorization: Bearer AAAA\r\n",
    "{}",
    "2\r\n{}\r\n0\r\n\r\n",
];

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let good = "POST /api/echo HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://127.0.0.1\r\n\
                Content-Type: application/json\r\nContent-Length: 2\r\n";
    let part = prop_oneof![
        8 => (0..PARTS.len()).prop_map(|part| PARTS[part].as_bytes().to_vec()),
        1 => Just(good.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..24),
    ];
    vec(part, 0..16).prop_map(|parts| parts.concat())
}

#[test]
fn whatever_is_sent_nothing_is_done_and_the_page_goes_on() {
    let page = Served::page();
    let echo = page.call("echo", "{}");
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&bytes(), |bytes| {
        let mut stream = page.connect();
        // It may be refused before all of it is there.
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(page.heard.try_recv().is_err(), "the desk was asked");
        page.ask(&echo).gives(json!({}));
        page.hears("echo");
        Ok(())
    });
    outcome.unwrap();
}
