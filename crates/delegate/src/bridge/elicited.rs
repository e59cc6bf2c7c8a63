//! What a server wants from a person. The client of the bridge is a process of whoever is held to what
//! is granted, and could answer by itself: so it is neither asked nor told, and only the runner is.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use super::filter::Heard;

/// A server does not wait for more than that at one time.
const MOST_OPEN: usize = 10;

/// Nor is it heard more often than that while it lives: what it takes back at once stays on record.
const MOST: u64 = 100;

/// What is asked is no longer than that, in bytes of JSON.
const LONGEST: usize = 128 * 1024;

/// What it waits for.
#[derive(Debug, Default)]
pub(super) struct Elicited {
    open: HashMap<u64, Open>,
    /// The last number that was given.
    last: u64,
    /// What has come to nothing, and was not told yet.
    vain: Vec<Vain>,
}

#[derive(Debug)]
struct Open {
    /// What the server calls it.
    id: Value,
    /// The requests that the server was at when it asked.
    during: HashSet<i64>,
}

/// Something that is not waited for any more.
#[derive(Debug, PartialEq)]
pub(super) struct Vain {
    /// The number by which it was told.
    pub(super) number: u64,
    /// What the server is to hear, if it does not know.
    pub(super) answer: Option<Value>,
}

impl Elicited {
    /// A server asks, while it is at those requests.
    pub(super) fn ask(
        &mut self,
        id: &Value,
        params: Option<&Value>,
        during: impl Iterator<Item = i64>,
    ) -> Heard {
        let params = params.filter(|params| params.to_string().len() <= LONGEST);
        let too_much = self.open.len() >= MOST_OPEN || self.last >= MOST;
        let Some(params) = params.filter(|_| !too_much) else {
            return Heard::Answer(declined(id));
        };
        self.last += 1;
        self.open.insert(self.last, Open { id: id.clone(), during: during.collect() });
        Heard::Elicits { number: self.last, params: params.clone() }
    }

    /// Whether it waits for nobody.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// What the server hears when there is an answer; nothing where it does not wait for that.
    pub(super) fn answered(&mut self, number: u64, result: &Value) -> Option<Value> {
        self.open.remove(&number).map(|open| answer(&open.id, result))
    }

    /// The server takes something back.
    pub(super) fn taken_back(&mut self, id: &Value) {
        let gone = self.open.extract_if(|_, open| open.id == *id);
        self.vain.extend(gone.map(|(number, _)| Vain { number, answer: None }));
    }

    /// A request is over. What the server asked for its sake is asked in vain.
    pub(super) fn over(&mut self, request: i64) {
        let is_last = |open: &mut Open| open.during.remove(&request) && open.during.is_empty();
        let gone = self.open.extract_if(|_, open| is_last(open));
        self.vain.extend(gone.map(|(number, open)| {
            let cancelled = answer(&open.id, &json!({ "action": "cancel" }));
            Vain { number, answer: Some(cancelled) }
        }));
    }

    /// What has come to nothing since that was asked last.
    pub(super) fn vain(&mut self) -> Vec<Vain> {
        std::mem::take(&mut self.vain)
    }
}

/// What a server hears that asks where nobody is asked, or asks too much.
pub(super) fn declined(id: &Value) -> Value {
    answer(id, &json!({ "action": "decline" }))
}

fn answer(id: &Value, result: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "result": result })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(elicited: &mut Elicited, id: &str, during: &[i64]) -> Heard {
        elicited.ask(&json!(id), Some(&json!({ "message": "?" })), during.iter().copied())
    }

    fn asked(number: u64) -> Heard {
        Heard::Elicits { number, params: json!({ "message": "?" }) }
    }

    #[test]
    fn what_is_answered_goes_to_whoever_asked_and_once() {
        let mut elicited = Elicited::default();
        assert_eq!(ask(&mut elicited, "a", &[]), asked(1));
        assert_eq!(ask(&mut elicited, "b", &[]), asked(2));
        let accepted = json!({ "action": "accept", "content": { "n": 1 } });
        let answer = json!({ "jsonrpc": "2.0", "id": "b", "result": accepted });
        assert_eq!(elicited.answered(2, &accepted), Some(answer));
        assert_eq!(elicited.answered(2, &accepted), None);
        assert_eq!(elicited.answered(3, &accepted), None);
    }

    #[test]
    fn what_is_taken_back_or_outlives_what_it_was_asked_for_is_in_vain() {
        let mut elicited = Elicited::default();
        for (id, during) in [("a", &[7][..]), ("b", &[7, 8]), ("c", &[])] {
            ask(&mut elicited, id, during);
        }
        elicited.over(7);
        let cancelled = json!({ "jsonrpc": "2.0", "id": "a", "result": { "action": "cancel" } });
        assert_eq!(elicited.vain(), [Vain { number: 1, answer: Some(cancelled) }]);
        elicited.taken_back(&json!("b"));
        elicited.taken_back(&json!("x"));
        assert_eq!(elicited.vain(), [Vain { number: 2, answer: None }]);
        elicited.over(8);
        assert_eq!(elicited.vain(), []);
        assert!(
            elicited.answered(2, &json!({})).is_none()
                && elicited.answered(3, &json!({})).is_some()
        );
    }

    #[test]
    fn what_is_too_much_is_declined() {
        let mut elicited = Elicited::default();
        let long = json!({ "message": "x".repeat(LONGEST) });
        let declined = Heard::Answer(declined(&json!("a")));
        assert_eq!(elicited.ask(&json!("a"), Some(&long), [].into_iter()), declined);
        assert_eq!(elicited.ask(&json!("a"), None, [].into_iter()), declined);
        for number in 1..=10 {
            assert_eq!(ask(&mut elicited, "b", &[]), asked(number));
        }
        assert_eq!(ask(&mut elicited, "a", &[]), declined);
        for number in 11..=MOST {
            elicited.taken_back(&json!("b"));
            assert_eq!(ask(&mut elicited, "b", &[]), asked(number));
        }
        elicited.taken_back(&json!("b"));
        assert_eq!(ask(&mut elicited, "a", &[]), declined);
    }
}
