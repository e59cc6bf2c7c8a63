//! The word for what a run is doing.

use serde::{Deserialize, Serialize};

/// What a run is doing, in one word.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Written down; nobody has taken it up yet.
    Queued,
    /// Being run.
    InProgress,
    /// Frozen.
    Paused,
    /// Over, and well.
    Succeeded,
    /// Over, and not well.
    Failed,
    /// Over, because somebody wanted it.
    Cancelled,
    /// Its runner died; it can be resumed.
    Interrupted,
}

/// The text is no status.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a status; statuses are {all}", all = RunStatus::ALL.map(RunStatus::as_str).join(", "))]
pub struct BadStatus(String);

impl RunStatus {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Queued,
        Self::InProgress,
        Self::Paused,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
        Self::Interrupted,
    ];

    /// The word itself.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::InProgress => "in_progress",
            Self::Paused => "paused",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
        }
    }

    /// Whether nothing more will happen to the run unless somebody asks.
    #[must_use]
    pub fn ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    /// Whether a runner ought to be alive.
    #[must_use]
    pub fn wants_runner(self) -> bool {
        matches!(self, Self::Queued | Self::InProgress | Self::Paused)
    }
}

impl std::fmt::Display for RunStatus {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.pad(self.as_str())
    }
}

impl std::str::FromStr for RunStatus {
    type Err = BadStatus;

    fn from_str(text: &str) -> Result<Self, BadStatus> {
        let found = Self::ALL.into_iter().find(|status| status.as_str() == text);
        found.ok_or_else(|| BadStatus(text.to_owned()))
    }
}
