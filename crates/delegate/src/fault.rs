//! Why a tool did not do it, so that a model can act on it.

use engine::EngineError;
use model::{Denied, Refusal};
use schemars::JsonSchema;
use serde::Serialize;
use store::{HomeError, StoreError};

/// Why a tool did not do what it was asked: for code, for reading, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Fault {
    /// What kind of thing is wrong.
    pub(crate) code: Code,
    /// What is wrong.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) next_step: String,
}

/// What kind of thing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Code {
    /// What was said makes no sense.
    Invalid,
    /// What was named is not there.
    NotFound,
    /// The caller may not.
    Refused,
    /// The state of things is against it.
    Conflict,
    /// There are too many already.
    Limit,
    /// A person has to confirm it first.
    ConfirmationRequired,
    /// The record, the disk or the system is in the way.
    Internal,
}

impl Fault {
    pub(crate) fn new(code: Code, message: impl ToString, next_step: impl Into<String>) -> Self {
        Self { code, message: message.to_string(), next_step: next_step.into() }
    }

    pub(crate) fn invalid(message: impl ToString, next_step: impl Into<String>) -> Self {
        Self::new(Code::Invalid, message, next_step)
    }

    pub(crate) fn denied(denied: Denied) -> Self {
        let next = match denied {
            Denied::ForPeople => {
                "a person types `codex-orch approve` or `deny` at a terminal, or decides in the page of `codex-orch ui`"
            }
            Denied::OwnQuestion => "wait for the answer with delegate.question.poll",
            Denied::NotYours => "delegate.list shows the runs that are yours",
            Denied::Itself => "end your turn; your parent, or a person, may pause or cancel you",
            Denied::NotGranted(_) => "do without it, or have a person add it to the caps",
            Denied::NotInMode(_) => {
                "do it yourself, or have whoever delegates the run say `delegate_mode` `full`"
            }
        };
        Self::new(Code::Refused, denied, next)
    }
}

impl From<EngineError> for Fault {
    fn from(error: EngineError) -> Self {
        let (code, next): (Code, String) = match &error {
            EngineError::Refused { refusal, .. } => (Code::Conflict, after(refusal)),
            EngineError::Resolved { .. } => {
                (Code::Conflict, "delegate.question.list with all shows what became of it".into())
            }
            EngineError::NoSuchQuestion(_) => {
                (Code::NotFound, "delegate.question.list shows the questions there are".into())
            }
            EngineError::Store(StoreError::NoSuchRun(_)) => {
                (Code::NotFound, "delegate.list shows the runs there are".into())
            }
            EngineError::Home(HomeError::Unknown(_)) => {
                (Code::NotFound, "delegate.spawn starts the first run here".into())
            }
            EngineError::Store(StoreError::TooMany { .. }) => (
                Code::Limit,
                "do the rest without new runs, or ask a person to raise limits.children".into(),
            ),
            EngineError::Store(StoreError::TooManyAtOnce { .. }) => (
                Code::Limit,
                "wait with delegate.wait until one of your runs has ended, then spawn again".into(),
            ),
            EngineError::Alive { .. }
            | EngineError::Silent { .. }
            | EngineError::NotFrozen { .. } => {
                (Code::Conflict, "look with delegate.status, and try again".into())
            }
            EngineError::Leftovers { .. }
            | EngineError::Unfit(_)
            | EngineError::Home(_)
            | EngineError::Store(_)
            | EngineError::Supervision(_)
            | EngineError::Detach(_) => {
                (Code::Internal, "tell the user to run `codex-orch doctor`".into())
            }
        };
        Self::new(code, full(&error), next)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        EngineError::from(error).into()
    }
}

/// The error with what caused it, where it does not say that itself.
fn full(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let text = source.to_string();
        if !said.contains(&text) {
            said = format!("{said}: {text}");
        }
        next = source.source();
    }
    said
}

fn after(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Interrupted => "delegate.pause with paused=false takes it up again",
        Refusal::WaitsForAnswer(_) => "answer it with delegate.question.answer",
        Refusal::NotOpen(_) => "delegate.question.list with all shows what became of it",
        Refusal::TooManyQuestions(_) => "wait for answers with delegate.question.poll",
        Refusal::Unfit(_) => "delegate.question.list shows what it wants",
        Refusal::NoThread => "only a run with a Codex stage can be told anything",
        Refusal::TooManyMessages(_) => "wait until it has heard them; look with delegate.status",
        Refusal::Ended | Refusal::Succeeded => "look at it with delegate.result",
        Refusal::NotStarted
        | Refusal::AlreadyRunning
        | Refusal::AlreadyPaused
        | Refusal::NotPaused
        | Refusal::AlreadyCancelling
        | Refusal::Failing => "look with delegate.status",
    }
    .to_owned()
}
