//! Stages that are held to their caps: what they reach, write and see, what is said of that, and
//! what is left of them. The truth is looked at from outside.

mod asking;
mod check;
mod environment;
mod files;
mod hoards;
mod leftovers;
mod network;
mod places;
mod tools;
mod user;

use std::{io::ErrorKind, net::TcpListener};

use serde_json::Value;

pub(crate) use crate::confined::{Near, can_be_confined};
use crate::scratch::Scratch;

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
