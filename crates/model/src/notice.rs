//! What a person is told of, whether they look or not.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{CommandLine, Event, choices};

choices! {
    /// What a person can be told of.
    #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    #[serde(rename_all = "snake_case")]
    Notice {
        /// A run asks something.
        Question = "question",
        /// Something waits for a person to allow it.
        Approval = "approval",
        /// What a run may use up is used up.
        Limited = "limited",
        /// A run has ended otherwise than by failing.
        Ended = "ended",
        /// A run has failed.
        Failed = "failed",
    }
}

choices! {
    /// By which way a notice reaches a person. The ways do not wait for each other.
    Way {
        /// A command is run.
        Command = "command",
        /// An address on the web is sent it.
        Webhook = "webhook",
    }
}

impl Notice {
    /// What an event is worth a notice of, if it is.
    #[must_use]
    pub fn of(event: &Event) -> Option<Self> {
        match event {
            Event::QuestionQueued { .. } => Some(Self::Question),
            Event::ConfirmationRequired { .. } | Event::ApprovalRequired { .. } => {
                Some(Self::Approval)
            }
            Event::BudgetReached { .. } | Event::UsageLimited { .. } => Some(Self::Limited),
            Event::RunCompleted {} | Event::RunCanceled { .. } | Event::RunInterrupted { .. } => {
                Some(Self::Ended)
            }
            Event::RunFailed { .. } => Some(Self::Failed),
            _ => None,
        }
    }
}

/// What whoever started a run wants a person to be told of it. Which command and which address that
/// is done by is read when it is done: it may have changed, and is nothing to be copied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notify {
    /// What is worth a notice.
    pub on: BTreeSet<Notice>,
    /// How often a notice is tried again that failed.
    pub retries: u32,
    /// How long one try may take, in milliseconds.
    pub timeout_ms: u64,
    /// The user's own config, in which the command and the address are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The command that was given for this run alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandLine>,
    /// The address that was given for this run alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<String>,
}

impl Notify {
    /// The same where others may read it: what was given for this run alone may hold secrets, and
    /// what the user's file has takes its place.
    #[must_use]
    pub fn without_secrets(self) -> Self {
        Self { command: None, webhook: None, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_worth_a_notice_is_news() {
        let error = String::new();
        let failed = Event::RunFailed { stage_id: None, error };
        let interrupted = Event::RunInterrupted { reason: String::new() };
        assert_eq!(Notice::of(&failed), Some(Notice::Failed));
        assert_eq!(Notice::of(&interrupted), Some(Notice::Ended));
        assert_eq!(Notice::of(&Event::RunPaused {}), None);
        assert!(failed.is_awaited() && interrupted.is_awaited());
    }
}
