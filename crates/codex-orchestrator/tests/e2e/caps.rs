//! Stages that are held to their caps: what they reach, write and see, what is said of that, and
//! what is left of them. The truth is looked at from outside.

mod check;
mod environment;
mod files;
mod leftovers;
mod network;
mod places;
mod user;

use std::{
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    thread,
};

use serde_json::Value;

use crate::scratch::{Scratch, say};

/// Whether stages can be confined here; says so where they cannot. Who tells is not ours.
pub(crate) fn can_be_confined() -> bool {
    let words = ["--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "true"];
    let tried = Command::new("unshare").args(words).stderr(Stdio::null()).status();
    let can = tried.is_ok_and(|status| status.success());
    if !can {
        say("skipped: no namespaces of one's own");
    }
    can
}

/// A server on this machine that says `hello` to everybody.
struct Near {
    port: u16,
}

impl Near {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        // It goes with the test.
        thread::spawn(move || listener.incoming().flatten().for_each(|one| hello(&one)));
        Self { port }
    }
}

fn hello(mut caller: &TcpStream) {
    let mut asked = Vec::new();
    let mut piece = [0; 1024];
    while !asked.ends_with(b"\r\n\r\n") {
        match caller.read(&mut piece) {
            Ok(0) | Err(_) => return,
            Ok(length) => asked.extend_from_slice(&piece[..length]),
        }
    }
    let _ =
        caller.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
}

/// A port of this machine to which nobody is to come.
struct Canary(TcpListener);

impl Canary {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a listener");
        Self(listener)
    }

    fn port(&self) -> u16 {
        self.0.local_addr().expect("an address").port()
    }

    /// Whether somebody has come since this was asked last.
    fn sang(&self) -> bool {
        match self.0.accept() {
            Ok(_) => true,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
                false
            }
        }
    }
}

/// Runs the pipeline `try` to its end and gives its id; it must have succeeded.
#[track_caller]
fn tried(scratch: &Scratch) -> String {
    let answer = scratch.json(&["start", "try", "--task", "demo"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    answer.text("run_id")
}

/// What was denied in that run: what, why and how often.
fn denials(scratch: &Scratch, run: &str) -> Vec<(String, String, u64)> {
    let text = |told: &Value, key: &str| told[key].as_str().expect("a text").to_owned();
    let events = scratch.events(run);
    let denied = events.iter().filter(|event| event["event"] == "cap_denied");
    denied
        .map(|event| {
            let told = &event["payload"];
            let count = told["count"].as_u64().expect("a number");
            (text(told, "what"), text(told, "why"), count)
        })
        .collect()
}

/// How a guarantee of the stage `it` stands in that run's manifest.
#[track_caller]
fn standing(scratch: &Scratch, run: &str, guarantee: &str) -> Value {
    let manifest = scratch.manifest(run);
    let all = manifest["caps"]["enforced"]["it"]["standings"].as_array().expect("it is confined");
    let found = all.iter().find(|standing| standing["guarantee"] == guarantee);
    found.unwrap_or_else(|| panic!("nothing of {guarantee}: {manifest:#}")).clone()
}
