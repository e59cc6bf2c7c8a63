//! Calls that wait for whoever is asked for their tool.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::filter::Why;

/// How long a call waits before it is refused and to be tried again: a client does not wait for ever, and
/// a person may be away.
const PATIENCE: Duration = Duration::from_secs(5);

/// More calls than that do not wait at one time.
const MOST_HELD: usize = 32;

/// Those that wait, the oldest first.
#[derive(Debug, Default)]
pub(super) struct HeldCalls(Vec<HeldCall>);

#[derive(Debug)]
struct HeldCall {
    message: Value,
    tool: String,
    until: Instant,
}

/// A call that waits no longer: it is made, or refused for that reason.
pub(super) type Released = (Value, String, Result<(), Why>);

impl HeldCalls {
    /// Has a call wait. One too many is given back.
    pub(super) fn hold(&mut self, message: Value, tool: String, now: Instant) -> Option<Released> {
        if self.0.len() >= MOST_HELD {
            return Some((message, tool, Err(Why::Asked)));
        }
        self.0.push(HeldCall { message, tool, until: now + PATIENCE });
        None
    }

    /// Whoever made that call does not wait for it any more.
    pub(super) fn forget(&mut self, id: &Value) {
        self.0.retain(|held| held.message["id"] != *id);
    }

    /// When the oldest has waited for long enough.
    pub(super) fn due(&self) -> Option<Instant> {
        self.0.first().map(|held| held.until)
    }

    /// Those of which it is `decided` what becomes of them, and those that have waited for long enough.
    pub(super) fn release(
        &mut self,
        now: Instant,
        decided: impl Fn(&str) -> Option<Result<(), Why>>,
    ) -> Vec<Released> {
        let mut released = Vec::new();
        let mut waiting = Vec::new();
        for held in self.0.drain(..) {
            let late = (held.until <= now).then_some(Err(Why::Asked));
            match decided(&held.tool).or(late) {
                Some(end) => released.push((held.message, held.tool, end)),
                None => waiting.push(held),
            }
        }
        self.0 = waiting;
        released
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_call_waits_until_somebody_has_decided_but_not_for_long() {
        let begin = Instant::now();
        let mut calls = HeldCalls::default();
        for (id, tool) in [(1, "a"), (2, "b"), (3, "c"), (4, "c")] {
            let now = begin + Duration::from_secs(id);
            assert!(calls.hold(json!({ "id": id }), tool.to_owned(), now).is_none());
        }
        calls.forget(&json!(3));
        let decided = |tool: &str| match tool {
            "a" => Some(Ok(())),
            "b" => Some(Err(Why::Refused)),
            _ => None,
        };
        let ends = |released: Vec<Released>| -> Vec<_> {
            released.into_iter().map(|(message, _, end)| (message["id"].clone(), end)).collect()
        };
        let now = begin + Duration::from_secs(4);
        assert_eq!(
            ends(calls.release(now, decided)),
            [(json!(1), Ok(())), (json!(2), Err(Why::Refused))]
        );
        let late = calls.due().expect("one is left");
        assert_eq!(late, begin + Duration::from_secs(9));
        assert_eq!(ends(calls.release(late, decided)), [(json!(4), Err(Why::Asked))]);
        assert_eq!(calls.due(), None);
        for id in 0..MOST_HELD {
            assert!(calls.hold(json!({ "id": id }), "c".to_owned(), begin).is_none());
        }
        assert!(calls.hold(json!({ "id": "more" }), "c".to_owned(), begin).is_some());
    }
}
