//! Who may do what to which run. Who somebody is comes from their connection; here is what follows
//! from it.

use crate::{By, ConfirmCancel, Mode};

/// What somebody wants to do to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// See how it stands, and what it wrote.
    Look,
    /// Start a run in its name.
    Spawn,
    /// Freeze it, or let it go on.
    Pause,
    /// Tell its thread something.
    Message,
    /// End it.
    Cancel,
    /// Ask in its name.
    Ask,
    /// Answer what it asks.
    Answer,
    /// Close what it asks without an answer.
    Dismiss,
    /// Allow or deny what only a person may.
    Approve,
    /// Allow or deny in the place of a person, where the settings say that a parent may.
    Consent,
}

impl Act {
    /// The tool of our own server that does it; none where there is no such tool, or where it only
    /// looks. Whoever is not given the tool does not do it by typing a command either.
    #[must_use]
    pub const fn tool(self) -> Option<&'static str> {
        match self {
            Self::Spawn => Some("spawn"),
            Self::Pause => Some("pause"),
            Self::Message => Some("message"),
            Self::Cancel => Some("cancel"),
            Self::Ask => Some("question.enqueue"),
            Self::Answer | Self::Dismiss | Self::Consent => Some("question.answer"),
            Self::Look | Self::Approve => None,
        }
    }
}

/// How somebody is tied to the run that they want something of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tie {
    /// It is their own: the run they belong to, or the one that stands for their session.
    Own,
    /// They started it, or something that they started did.
    Below,
    /// Neither.
    Other,
}

/// Whether it may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Yes,
    /// If a person confirms it.
    Confirm,
    /// No.
    No(Denied),
}

/// Why something may not be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Only a person may.
    #[error("only a person may approve or deny, at a terminal or in the page")]
    ForPeople,
    /// It is their own question.
    #[error("whoever asks a question cannot answer it")]
    OwnQuestion,
    /// It is not theirs.
    #[error("the run is neither yours nor one that you started")]
    NotYours,
    /// A delegated run does not stop itself through us; it ends.
    #[error("a run cannot pause, cancel or instruct itself")]
    Itself,
    /// Its caps do not name what does it.
    #[error(
        "the tool `delegate.{0}` is not granted to this run; `caps.tools.delegate` says which are"
    )]
    NotGranted(&'static str),
    /// It was delegated with less.
    #[error("this run was delegated in the mode `{}`, in which it starts none", .0.as_str())]
    NotInMode(Mode),
}

/// Whether somebody who is tied like that to a run may do that to it.
#[must_use]
pub fn may(by: &By, act: Act, tie: Tie, confirm: ConfirmCancel) -> Verdict {
    match (by, act, tie) {
        (By::Person { .. }, _, _) => Verdict::Yes,
        (_, Act::Approve, _) => Verdict::No(Denied::ForPeople),
        (_, Act::Answer | Act::Dismiss | Act::Consent, Tie::Own) => {
            Verdict::No(Denied::OwnQuestion)
        }
        // That is for whoever started it, and not for any other session of the same user.
        (_, Act::Consent, Tie::Other) => Verdict::No(Denied::NotYours),
        // A session acts for the user, whose runs these are.
        (By::Session { .. }, Act::Cancel, _) => match confirm {
            ConfirmCancel::Always => Verdict::Confirm,
            ConfirmCancel::Owned | ConfirmCancel::Never => Verdict::Yes,
        },
        (By::Session { .. }, _, _) => Verdict::Yes,
        (By::Run { .. }, Act::Pause | Act::Cancel | Act::Message, Tie::Own) => {
            Verdict::No(Denied::Itself)
        }
        (By::Run { .. }, Act::Cancel, tie) => match (confirm, tie) {
            (ConfirmCancel::Always, _) => Verdict::Confirm,
            (ConfirmCancel::Owned, Tie::Below) | (ConfirmCancel::Never, _) => Verdict::Yes,
            (ConfirmCancel::Owned, _) => Verdict::No(Denied::NotYours),
        },
        (By::Run { .. }, Act::Ask | Act::Spawn, Tie::Own) => Verdict::Yes,
        (By::Run { .. }, Act::Ask | Act::Spawn, _) => Verdict::No(Denied::NotYours),
        (By::Run { .. }, Act::Look, Tie::Own) => Verdict::Yes,
        (By::Run { .. }, _, Tie::Below) => Verdict::Yes,
        (By::Run { .. }, _, _) => Verdict::No(Denied::NotYours),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Door, RunId, Timestamp};

    fn run() -> By {
        let run_id = RunId::new(Timestamp::from_millis(0), 1);
        By::Run { run_id, door: Door::Channel }
    }

    fn session() -> By {
        By::Session { thread_id: None, run_id: None, door: Door::Mcp }
    }

    const ACTS: [Act; 10] = [
        Act::Look,
        Act::Spawn,
        Act::Pause,
        Act::Message,
        Act::Cancel,
        Act::Ask,
        Act::Answer,
        Act::Dismiss,
        Act::Approve,
        Act::Consent,
    ];
    const TIES: [Tie; 3] = [Tie::Own, Tie::Below, Tie::Other];
    const CONFIRMS: [ConfirmCancel; 3] =
        [ConfirmCancel::Never, ConfirmCancel::Owned, ConfirmCancel::Always];

    /// What is allowed, by act, tie and confirmation, as letters.
    fn table(by: &By, act: Act) -> String {
        let letter = |tie, confirm| match may(by, act, tie, confirm) {
            Verdict::Yes => 'y',
            Verdict::Confirm => 'c',
            Verdict::No(_) => '-',
        };
        TIES.map(|tie| CONFIRMS.map(|confirm| letter(tie, confirm)).iter().collect::<String>())
            .join(" ")
    }

    #[test]
    fn a_person_may_do_everything() {
        let person = By::Person { door: Door::Cli };
        assert!(ACTS.iter().all(|act| table(&person, *act) == "yyy yyy yyy"));
    }

    #[test]
    fn a_session_acts_for_its_user_and_neither_approves_nor_answers_itself() {
        for (act, expected) in [
            (Act::Look, "yyy yyy yyy"),
            (Act::Spawn, "yyy yyy yyy"),
            (Act::Pause, "yyy yyy yyy"),
            (Act::Message, "yyy yyy yyy"),
            (Act::Cancel, "yyc yyc yyc"),
            (Act::Ask, "yyy yyy yyy"),
            (Act::Answer, "--- yyy yyy"),
            (Act::Dismiss, "--- yyy yyy"),
            (Act::Approve, "--- --- ---"),
            (Act::Consent, "--- yyy ---"),
        ] {
            assert_eq!(table(&session(), act), expected, "{act:?}");
        }
    }

    #[test]
    fn a_delegated_run_reaches_what_it_started_and_asks_in_its_own_name() {
        for (act, expected) in [
            (Act::Look, "yyy yyy ---"),
            (Act::Spawn, "yyy --- ---"),
            (Act::Pause, "--- yyy ---"),
            (Act::Message, "--- yyy ---"),
            (Act::Cancel, "--- yyc y-c"),
            (Act::Ask, "yyy --- ---"),
            (Act::Answer, "--- yyy ---"),
            (Act::Dismiss, "--- yyy ---"),
            (Act::Approve, "--- --- ---"),
            (Act::Consent, "--- yyy ---"),
        ] {
            assert_eq!(table(&run(), act), expected, "{act:?}");
        }
    }
}
