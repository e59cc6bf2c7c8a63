//! Lines that nobody should write, and what comes of them: never a panic, and never a silence
//! where an answer is waited for.

use serde_json::{Value, json};

use super::{Answer, AskId, Said, Talk, stories, transcript};

/// A number that looks like chance, the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % sides
    }
}

/// Lines as the app-server writes them, to be spoilt.
fn lines() -> Vec<String> {
    stories::SEEN.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect()
}

fn spoilt(line: &str, dice: &mut Dice) -> Vec<u8> {
    let mut bytes = line.as_bytes().to_vec();
    for _ in 0..=dice.roll(4) {
        if bytes.is_empty() {
            break;
        }
        let at = dice.roll(bytes.len());
        match dice.roll(6) {
            0 => bytes.truncate(at),
            1 => bytes[at] = u8::try_from(dice.roll(256)).unwrap_or(0),
            2 => drop(bytes.remove(at)),
            3 => bytes.insert(at, b"{}[]\",:0n\\"[dice.roll(10)]),
            4 => bytes.extend_from_within(at..),
            _ => {
                let other = at.min(dice.roll(bytes.len()));
                bytes.swap(at, other);
            }
        }
    }
    bytes
}

/// The same message with one of its values replaced by one of another kind, or without it.
fn twisted(line: &str, dice: &mut Dice) -> Vec<u8> {
    let mut message = serde_json::from_str(line).unwrap_or_default();
    twist(&mut message, dice);
    message.to_string().into_bytes()
}

fn twist(value: &mut Value, dice: &mut Dice) {
    let here = dice.roll(3) == 0;
    match value {
        Value::Object(members) if !members.is_empty() && !here => {
            let nth = dice.roll(members.len());
            let key = members.keys().nth(nth).cloned().unwrap_or_default();
            if dice.roll(8) == 0 {
                members.remove(&key);
            } else if let Some(member) = members.get_mut(&key) {
                twist(member, dice);
            }
        }
        Value::Array(items) if !items.is_empty() && !here => {
            let nth = dice.roll(items.len());
            twist(&mut items[nth], dice);
        }
        other => {
            *other = match dice.roll(9) {
                0 => Value::Null,
                1 => json!(true),
                2 => json!(-1),
                3 => json!(u64::MAX),
                4 => json!(1e300),
                5 => json!("\u{1b}[2J\u{202e}\r\n"),
                6 => json!([]),
                7 => json!({}),
                _ => json!("x".repeat(dice.roll(2_000))),
            };
        }
    }
}

/// Hears a line, and looks at what was made of it.
fn hear(talk: &mut Talk, line: &[u8]) {
    let heard = talk.hear(line);
    for said in &heard.say {
        assert!(said.ends_with('\n') && said.matches('\n').count() == 1, "{said:?}");
        serde_json::from_str::<Value>(said).expect("what is said is JSON");
    }
    for told in &heard.told {
        if let Some(text) = transcript(told) {
            assert!(text.ends_with('\n'), "{told:?}");
            let bad = |c: char| c.is_control() && c != '\n' && c != '\t';
            assert!(!text.contains(bad), "{text:?}");
        }
        if let Said::Asks { id, .. } | Said::WantsTokens { id } = told {
            let said = talk.answer(id, Answer::Deny);
            assert!(!said.is_empty(), "{told:?} cannot be denied");
        }
    }
}

#[test]
fn no_line_makes_it_panic_or_say_what_is_no_message() {
    let (lines, mut dice) = (lines(), Dice(7));
    for round in 0..1_200 {
        let mut talk = stories::talk();
        talk.begin();
        for line in &lines {
            match (round + dice.roll(8)) % 8 {
                0..=2 => hear(&mut talk, line.as_bytes()),
                3..=5 => hear(&mut talk, &twisted(line, &mut dice)),
                _ => hear(&mut talk, &spoilt(line, &mut dice)),
            }
            match dice.roll(60) {
                0 => drop(talk.interrupt()),
                1 => drop(talk.steer("more")),
                2 => drop(talk.turn("again", None)),
                3 => drop(talk.answer(&AskId(1), Answer::Cancel)),
                _ => {}
            }
        }
    }
}

#[test]
fn every_request_is_answered_or_asked_however_it_is_spoilt() {
    let requests: Vec<String> = lines()
        .into_iter()
        .filter(|line| line.contains("\"method\"") && line.contains("\"id\":"))
        .filter(|line| serde_json::from_str::<Value>(line).is_ok_and(|m| m.get("id").is_some()))
        .collect();
    assert!(requests.len() > 5, "{requests:?}");
    let mut dice = Dice(11);
    for _ in 0..20_000 {
        let line = twisted(&requests[dice.roll(requests.len())], &mut dice);
        let message: Value = serde_json::from_slice(&line).expect("it is JSON");
        let asks = message["method"].is_string() && !message["id"].is_null();
        let heard = stories::talk().hear(&line);
        if asks {
            let is_told =
                |told: &Said| matches!(told, Said::Asks { .. } | Said::WantsTokens { .. });
            let said = !heard.say.is_empty() || heard.told.iter().any(is_told);
            assert!(said, "{message} is waited for forever");
        }
    }
}

#[test]
fn depth_and_length_are_survived() {
    let mut talk = stories::talk();
    talk.begin();
    for deep in ["[", "{\"params\":", "{\"id\":1,\"result\":["] {
        hear(&mut talk, deep.repeat(1 << 20).as_bytes());
    }
    let deep = format!(
        "{{\"method\":\"item/permissions/requestApproval\",\"id\":1,\"params\":{{\"permissions\":{}{}}}}}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    hear(&mut talk, deep.as_bytes());
    let long = vec![b'x'; super::wire::LONGEST + 1];
    let heard = talk.hear(&long);
    assert!(matches!(&heard.told[..], [Said::Unfit { over: true, .. }]), "{:?}", heard.told);
    assert!(talk.steer("more").is_empty() && talk.interrupt().is_empty());
}
