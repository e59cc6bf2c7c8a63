//! What a stage stands still for until somebody has resolved it: consents, and questions of which
//! several may belong to one ask, which is answered when all of them are.

use std::collections::{BTreeMap, BTreeSet};

use codex::{Answer, AskId};
use model::{QuestionId, Shape};

use crate::channel::ServedId;

/// Who waits for an answer, and what it calls what it has asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Asker {
    /// The thread.
    Thread(AskId),
    /// A server that is across a bridge, by the number that its bridge has told.
    Server(ServedId, u64),
}

/// All that is waited for, by the names of the questions that somebody answers.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    waiting: BTreeMap<QuestionId, (Asker, Waiting)>,
    /// What was answered of an ask of which more is still waited for.
    filled: BTreeMap<Asker, BTreeMap<String, Vec<String>>>,
    /// What is filled in for those that were left out, once anything was answered.
    granted: BTreeMap<Asker, BTreeMap<String, Vec<String>>>,
}

#[derive(Debug)]
enum Waiting {
    Consent,
    Input(Field),
}

/// One of the answers that belong to an ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    /// What whoever asks calls it.
    pub(crate) id: String,
    /// Without it, there is no answer to the ask.
    pub(crate) required: bool,
    /// What is answered where somebody leaves it out.
    pub(crate) default: Option<Vec<String>>,
    pub(crate) shape: Option<Shape>,
    /// The options as they are shown, each with what whoever asks calls it.
    pub(crate) options: Vec<(String, String)>,
}

/// What somebody said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    Yes { always: bool },
    No,
    Text(String),
}

/// What follows from what somebody said.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Follows {
    /// What is answered.
    pub(crate) answer: Option<(Asker, Answer)>,
    /// Questions that nobody waits for any more because of that.
    pub(crate) vain: Vec<QuestionId>,
}

impl Field {
    /// What such an answer comes to; nothing where it does not fit.
    pub(crate) fn read(&self, answer: &str) -> Option<Vec<String>> {
        let shown: Vec<String> = self.options.iter().map(|(shown, _)| shown.clone()).collect();
        let parts = match &self.shape {
            Some(shape) => shape.read(answer, &shown)?,
            None if shown.is_empty() || shown.iter().any(|one| one == answer) => {
                vec![answer.to_owned()]
            }
            None => return None,
        };
        let named = |part: String| {
            let option = self.options.iter().find(|(shown, _)| *shown == part);
            option.map_or(part, |(_, name)| name.clone())
        };
        Some(parts.into_iter().map(named).collect())
    }
}

impl Asked {
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// What those ask that are served so.
    pub(crate) fn by(&self, served: ServedId) -> BTreeSet<Asker> {
        let askers = self.waiting.values().map(|(asker, _)| *asker);
        askers.filter(|asker| matches!(asker, Asker::Server(by, _) if *by == served)).collect()
    }

    /// How many asks are waited for.
    pub(crate) fn asks(&self) -> usize {
        self.waiting.values().map(|(ask, _)| ask).collect::<BTreeSet<_>>().len()
    }

    pub(crate) fn consent(&mut self, question: QuestionId, ask: Asker) {
        self.waiting.insert(question, (ask, Waiting::Consent));
    }

    pub(crate) fn input(&mut self, question: QuestionId, ask: Asker, field: Field) {
        self.waiting.insert(question, (ask, Waiting::Input(field)));
    }

    /// That ask is not waited for any more; gives the questions that it was about.
    pub(crate) fn withdraw(&mut self, ask: &Asker) -> Vec<QuestionId> {
        self.filled.remove(ask);
        self.granted.remove(ask);
        let of = |(of, _): &(Asker, Waiting)| of == ask;
        let gone = self.waiting.iter().filter(|(_, waiting)| of(waiting));
        let gone: Vec<QuestionId> = gone.map(|(question, _)| question.clone()).collect();
        self.waiting.retain(|_, waiting| !of(waiting));
        gone
    }

    /// What follows from what somebody said to that question; nothing where it is none of these.
    pub(crate) fn resolve(&mut self, question: &QuestionId, said: Passed) -> Follows {
        let Some((ask, waiting)) = self.waiting.remove(question) else { return Follows::default() };
        let (field, said) = match (waiting, said) {
            (Waiting::Input(field), Passed::Text(text)) => {
                let read = field.read(&text);
                (field, read)
            }
            (Waiting::Input(field), Passed::Yes { .. } | Passed::No) => (field, None),
            (Waiting::Consent, said) => {
                let answer = match said {
                    Passed::Yes { always: false } => Answer::Once,
                    Passed::Yes { always: true } => Answer::Session,
                    Passed::No | Passed::Text(_) => Answer::Deny,
                };
                return Follows { answer: Some((ask, answer)), vain: Vec::new() };
            }
        };
        match (said, field.default) {
            (Some(said), _) => drop(self.filled.entry(ask).or_default().insert(field.id, said)),
            (None, Some(granted)) => {
                self.granted.entry(ask).or_default().insert(field.id, granted);
            }
            (None, None) if field.required => {
                let vain = self.withdraw(&ask);
                return Follows { answer: Some((ask, Answer::Decline)), vain };
            }
            (None, None) => {}
        }
        let answer = match self.waiting.values().any(|(of, _)| *of == ask) {
            true => None,
            false => Some((ask, self.all_of(&ask))),
        };
        Follows { answer, vain: Vec::new() }
    }

    /// The answer to an ask of which nothing is waited for any more.
    fn all_of(&mut self, ask: &Asker) -> Answer {
        let mut answers = self.granted.remove(ask).unwrap_or_default();
        match self.filled.remove(ask) {
            Some(filled) => {
                answers.extend(filled);
                Answer::Input { answers }
            }
            None => Answer::Decline,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASK: Asker = Asker::Thread(AskId(1));

    fn id(number: u64) -> QuestionId {
        QuestionId::new(number)
    }

    /// `"1? 2! 3=x"`: optional, required, with a default.
    fn asked(fields: &str) -> Asked {
        let mut asked = Asked::default();
        for word in fields.split(' ') {
            let (name, rest) = word.split_at(1);
            asked.input(
                id(name.parse().unwrap()),
                ASK,
                Field {
                    id: name.to_owned(),
                    required: rest == "!",
                    default: rest.strip_prefix('=').map(|text| vec![text.to_owned()]),
                    shape: None,
                    options: Vec::new(),
                },
            );
        }
        asked
    }

    /// What is answered in the end, and which questions are in vain then.
    #[track_caller]
    fn check(fields: &str, said: &[(u64, Option<&str>)], expected: &str, vain: &[u64]) {
        let mut asked = asked(fields);
        for (at, (number, said_now)) in said.iter().enumerate() {
            let passed = said_now.map_or(Passed::No, |text| Passed::Text(text.to_owned()));
            let follows = asked.resolve(&id(*number), passed);
            let last = at + 1 == said.len();
            let seen = follows.answer.map(|(_, answer)| match answer {
                Answer::Input { answers } => {
                    let all = answers.iter().map(|(name, said)| format!("{name}={}", said[0]));
                    all.collect::<Vec<_>>().join(" ")
                }
                other => format!("{other:?}"),
            });
            assert_eq!(seen.as_deref(), last.then_some(expected), "after {number}");
            if last {
                assert_eq!(follows.vain, vain.iter().map(|it| id(*it)).collect::<Vec<_>>());
            }
        }
        assert!(asked.is_empty());
    }

    #[test]
    fn an_ask_is_answered_when_all_that_belongs_to_it_is_resolved() {
        check("1?", &[(1, Some("a"))], "1=a", &[]);
        check("1? 2?", &[(2, Some("b")), (1, Some("a"))], "1=a 2=b", &[]);
        check("1? 2?", &[(2, Some("b")), (1, None)], "2=b", &[]);
        check("1? 2?", &[(2, None), (1, None)], "Decline", &[]);
        check("1! 2=x", &[(2, None), (1, Some("a"))], "1=a 2=x", &[]);
        check("1? 2=x", &[(2, None), (1, None)], "Decline", &[]);
        check("1? 2! 3?", &[(1, Some("a")), (2, None)], "Decline", &[3]);
    }

    #[test]
    fn what_is_withdrawn_is_answered_no_more() {
        let mut asked = asked("1? 2?");
        asked.resolve(&id(1), Passed::Text("a".to_owned()));
        let other = Asker::Thread(AskId(2));
        asked.consent(id(7), other);
        assert_eq!(asked.asks(), 2);
        assert_eq!(asked.withdraw(&ASK), [id(2)]);
        assert_eq!(asked.resolve(&id(2), Passed::No), Follows::default());
        let yes = asked.resolve(&id(7), Passed::Yes { always: true });
        assert_eq!(yes.answer, Some((other, Answer::Session)));
    }

    #[test]
    fn what_is_asked_across_one_bridge_is_told_from_the_rest() {
        let [one, other] = [1, 2].map(ServedId);
        let mut asked = asked("1? 2?");
        for (number, asker) in [(3, (one, 1)), (4, (one, 2)), (5, (other, 1))] {
            asked.consent(id(number), Asker::Server(asker.0, asker.1));
        }
        assert_eq!(asked.asks(), 4);
        let of_one = [Asker::Server(one, 1), Asker::Server(one, 2)];
        assert_eq!(asked.by(one), of_one.into_iter().collect());
        assert_eq!(asked.withdraw(&Asker::Server(one, 1)), [id(3)]);
        assert_eq!(
            asked.resolve(&id(5), Passed::No).answer.map(|(asker, _)| asker),
            Some(Asker::Server(other, 1))
        );
    }

    #[test]
    fn an_option_is_answered_by_what_codex_calls_it() {
        let options = [("Red", "r"), ("Green", "g")];
        let options = options.map(|(shown, name)| (shown.to_owned(), name.to_owned())).to_vec();
        let field = |shape| Field {
            id: "f".to_owned(),
            required: false,
            default: None,
            shape,
            options: options.clone(),
        };
        let read = |shape, answer: &str| field(shape).read(answer).map(|said| said.join("+"));
        assert_eq!(read(None, "Red").as_deref(), Some("r"));
        assert_eq!(read(None, "r"), None);
        assert_eq!(read(Some(Shape::Other), "pink").as_deref(), Some("pink"));
        let several = Shape::Several { least: None, most: None };
        assert_eq!(read(Some(several), "Green, Red").as_deref(), Some("g+r"));
    }
}
