//! Damaged messages, a great many of them.
//!
//! `FUZZ_INPUTS` says how many and `FUZZ_SEED` which ones; a failure names its seed.

use std::time::Instant;

use serde_json::{Value, json};

use crate::{
    any::has_header,
    chance::Chance,
    talk::{Talk, call, framed, initialize, ping, request},
};

/// So many inputs go to one server,
const TOGETHER: u64 = 500;
/// or so many if a header among them may have shifted, or swallowed, all that follows.
const TOGETHER_WITH_HEADERS: u64 = 10;

/// What is damaged: something of everything.
fn whole() -> Vec<Vec<u8>> {
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled",
        "params": {"requestId": 3, "reason": "x"}});
    let meta = json!({"_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {}, "progressToken": 1}});
    let messages = [
        ping(1),
        ping("one"),
        initialize("2025-06-18"),
        initialize("2026-07-28"),
        request(2, "server/discover", meta.clone()),
        request(3, "tools/list", meta),
        call(4, "echo", json!({"a": [1, {"b": "\u{1d11e}\"\\"}], "c": null, "d": -1.5e300})),
        call(5, "echo", json!({"a": {"a": {"a": {"a": []}}}})),
        cancel,
        json!({"jsonrpc": "2.0", "id": 6, "result": {"action": "decline"}}),
        json!({"jsonrpc": "2.0", "id": 7, "error": {"code": 1, "message": "x"}}),
        json!([ping(8), ping(9)]),
    ];
    let lines = messages.iter().map(Value::to_string);
    let headers = messages.iter().map(framed);
    lines.chain(headers).map(String::into_bytes).collect()
}

/// Words that mean something to somebody on the way.
const WORDS: [&[u8]; 22] = [
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\"id\":",
    b"\"id\":null,",
    b"\"jsonrpc\":\"2.0\",",
    b"\"method\":",
    b"\"params\":[],",
    b"\"result\":{},",
    b"[[[[[[[[[[[[",
    b"{\"a\":{\"a\":{\"a\":",
    b"}}}",
    b"1e999",
    b"18446744073709551616",
    b"\\ud800",
    b"Content-",
    b"Content-Length: 7\r\n\r\n",
    b"Content-Length: 99999999\r\n\r\n",
    b"Content-Type: x\r\n",
];

fn damaged(chance: &mut Chance, whole: &[Vec<u8>]) -> Vec<u8> {
    let pick = |chance: &mut Chance, length: usize| chance.below(length as u64) as usize;
    let mut bytes = whole[pick(chance, whole.len())].clone();
    for _ in 0..chance.below(6) {
        let at = pick(chance, bytes.len() + 1);
        match chance.below(7) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, chance.below(256) as u8),
            2 => {
                let word = WORDS[pick(chance, WORDS.len())];
                bytes.splice(at..at, word.iter().copied());
            }
            3 => {
                let other = &whole[pick(chance, whole.len())];
                let from = pick(chance, other.len());
                bytes.truncate(at);
                bytes.extend(&other[from..]);
            }
            4 if at < bytes.len() => bytes[at] ^= 1 << chance.below(8),
            5 if at < bytes.len() => drop(bytes.remove(at)),
            6 if at < bytes.len() => {
                let part = bytes[at..(at + 20).min(bytes.len())].to_vec();
                let most = if chance.below(50) == 0 { 500 } else { 4 };
                let times = 1 + pick(chance, most);
                bytes.splice(at..at, part.repeat(times));
            }
            _ => {}
        }
    }
    bytes
}

/// One server hears all of them. It answers only with answers, and ends when its client does;
/// where nothing that reads like a header has shifted what comes after it, each is followed by a
/// ping, and each ping is answered once. Says how many there were.
fn play(seed: u64, whole: &[Vec<u8>]) -> u64 {
    let mut chance = Chance::of(seed);
    let with_headers = chance.below(10) < 9;
    let inputs = if with_headers { TOGETHER_WITH_HEADERS } else { TOGETHER };
    let mut talk = Talk::on_pipes();
    let mut pings = 0;
    let mut stream = Vec::new();
    for _ in 0..inputs {
        let bytes = damaged(&mut chance, whole);
        if !with_headers && has_header(&bytes) {
            // Without its damage: then it has not shifted anything.
            stream.extend(&whole[whole.len() - 1]);
        } else {
            stream.extend(bytes);
        }
        stream.push(b'\n');
        if !with_headers {
            stream.extend(format!("{}\n", ping(format!("ping {pings}"))).into_bytes());
            pings += 1;
        }
        if chance.below(5) == 0 {
            talk.say(std::mem::take(&mut stream));
        }
    }
    talk.say(stream);
    let mut answered = std::collections::BTreeSet::new();
    for answer in talk.end() {
        answer.brief();
        if let Some(id) = answer.message["id"].as_str().filter(|id| id.starts_with("ping ")) {
            assert!(answered.insert(id.to_owned()), "twice: {answer:?}");
        }
    }
    assert_eq!(answered.len(), pings, "pings without an answer");
    inputs
}

#[test]
#[expect(
    clippy::print_stdout,
    reason = "whoever asks for millions wants to know how many there were"
)]
fn no_damage_keeps_a_sound_request_from_its_answer() {
    let inputs = std::env::var("FUZZ_INPUTS");
    let inputs = inputs.map_or(10_000, |count| count.parse().expect("FUZZ_INPUTS is a number"));
    let whole = whole();
    let first = Chance::seed();
    let began = Instant::now();
    let (mut seed, mut played) = (first, 0);
    while played < inputs {
        match std::panic::catch_unwind(|| play(seed, &whole)) {
            Ok(count) => played += count,
            Err(_) => panic!("play it again with FUZZ_SEED={seed} FUZZ_INPUTS=1"),
        }
        seed += 1;
    }
    println!("{played} inputs to {} servers in {:?}", seed - first, began.elapsed());
}
