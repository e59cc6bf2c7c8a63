//! What holds for every stream, tried on many that nobody thought of.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*, sample::Index};
use serde_json::{Value, json};

use crate::talk::{Talk, call, framed, ping, request};

/// Something that a client might say.
#[derive(Clone, Debug)]
enum Piece {
    /// A request that has to be answered once.
    Sound { what: Value, how: How },
    /// A line of anything, whose answers are only held to be answers.
    Line(Vec<u8>),
}

#[derive(Clone, Copy, Debug)]
enum How {
    Line,
    Crlf,
    Marked,
    Framed,
    FramedAndEnded,
    FramedWithType,
}

use How::{Crlf, Framed, FramedAndEnded, FramedWithType, Line, Marked};

impl How {
    fn bytes(self, message: &Value) -> String {
        match self {
            Line => format!("{message}\n"),
            Crlf => format!("\r\n{message}\r\n"),
            Marked => format!("\u{feff}  {message} \n"),
            Framed => framed(message),
            FramedAndEnded => format!("{}\r\n", framed(message)),
            FramedWithType => format!("Content-Type: x/y; z=1\r\n{}", framed(message)),
        }
    }

    fn framed(self) -> bool {
        matches!(self, Framed | FramedAndEnded | FramedWithType)
    }
}

/// Requests without an id; each gets its own where it stands.
fn sound() -> impl Strategy<Value = Piece> {
    let what = prop_oneof![
        Just(ping("")),
        Just(request("", "tools/list", json!({}))),
        Just(request("", "no/such/method", json!({"a": [1, 2]}))),
        Just(call("", "no such tool", json!({}))),
        Just(call("", "panic", json!({}))),
        any::<String>().prop_map(|text| call("", "echo", json!({"id": text}))),
        any::<String>().prop_map(|method| request("", &method, json!({}))),
        (1..200_usize).prop_map(|depth| {
            let deep = (0..depth).fold(json!(1), |inner, _| json!([inner]));
            call("", "echo", json!({"a": deep}))
        }),
    ];
    let how =
        prop::sample::select(vec![Line, Crlf, Marked, Framed, FramedAndEnded, FramedWithType]);
    (what, how).prop_map(|(what, how)| Piece::Sound { what, how })
}

/// A message with something about it changed.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let edits = vec((any::<Index>(), any::<u8>(), 0..3_u8), 1..5);
    let message = prop_oneof![
        Just(ping(7).to_string()),
        Just(call("m", "echo", json!({"a": "\u{e9}\\\"", "b": [{}, []]})).to_string()),
        Just(
            json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {
            "progressToken": 1, "progress": 0.5}})
            .to_string()
        ),
        Just(json!([ping(1), ping(2)]).to_string()),
    ];
    (message, edits).prop_map(|(message, edits)| {
        let mut bytes = message.into_bytes();
        for (at, byte, edit) in edits {
            let at = at.index(bytes.len());
            match edit {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => bytes.truncate(at.max(1)),
            }
        }
        bytes
    })
}

fn line() -> impl Strategy<Value = Piece> {
    let deep = (0..200_000_usize, prop::sample::select(vec!["[", "{\"id\":", "[{\"a\":"]))
        .prop_map(|(depth, open)| open.repeat(depth / 10).into_bytes());
    let bytes = prop_oneof![
        4 => vec(any::<u8>(), 0..80),
        4 => damaged(),
        2 => "\\PC{0,40}".prop_map(String::into_bytes),
        1 => deep,
    ];
    // What reads like a header would make the next messages its own.
    bytes.prop_filter("no header", |bytes| !has_header(bytes)).prop_map(Piece::Line)
}

pub(crate) fn has_header(bytes: &[u8]) -> bool {
    bytes.to_ascii_lowercase().windows(8).any(|window| window == b"content-")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_sound_request_is_answered_once_whatever_surrounds_it(
        pieces in vec(prop_oneof![sound(), line()], 0..30),
        cuts in vec(any::<Index>(), 0..10),
    ) {
        let mut expected = BTreeMap::new();
        let mut stream = Vec::new();
        for (at, piece) in pieces.into_iter().enumerate() {
            match piece {
                Piece::Sound { mut what, how } => {
                    let id = format!("sound {at}");
                    what["id"] = json!(id);
                    stream.extend(how.bytes(&what).into_bytes());
                    expected.insert(id, how.framed());
                }
                Piece::Line(bytes) => {
                    stream.extend(bytes);
                    stream.push(b'\n');
                }
            }
        }
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.sort_unstable();

        let mut talk = Talk::initialized();
        let mut from = 0;
        for to in cuts.into_iter().chain([stream.len()]) {
            talk.say(&stream[from..to]);
            from = to;
        }
        prop_assert_eq!(&talk.ask(&ping("alive"))["result"], &json!({}));
        for answer in talk.end() {
            answer.brief();
            let id = answer.message["id"].as_str().unwrap_or_default();
            if id.starts_with("sound ") {
                prop_assert_eq!(expected.remove(id), Some(answer.framed), "{:?}", answer);
            }
        }
        prop_assert_eq!(expected, BTreeMap::new());
    }
}
