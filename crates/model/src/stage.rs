//! What a stage of a run is doing, and how it came out.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Part, Timestamp, TurnFault, show_duration};

/// The number of a try at a stage, from 1. It is never used twice, even when the try never
/// launched: output and answers are kept by it.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct Attempt(pub u32);

impl Attempt {
    /// The first try.
    pub const FIRST: Self = Self(1);

    /// The try after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// It ended by itself with that code.
    Code(i32),
    /// A signal of that number ended it.
    Signal(i32),
    /// It could not be started: 127 when the program was not found, 126 when it could not be run.
    NotStarted {
        /// As a shell would give it.
        code: i32,
        /// What the system said.
        reason: String,
    },
    /// Its supervisor was killed, so nobody knows.
    Lost,
}

impl Exit {
    /// Whether it ended as a success.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        *self == Self::Code(0)
    }

    /// The exit code as a shell gives it, 128 and the signal's number for a signal.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        match self {
            Self::Code(code) | Self::NotStarted { code, .. } => Some(*code),
            Self::Signal(signal) => Some(128 + signal),
            Self::Lost => None,
        }
    }
}

/// Why a stage failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// Its command ended that way.
    Exited(Exit),
    /// It ran longer than it was given, and was stopped.
    TimedOut {
        /// What it was given, in milliseconds.
        limit_ms: u64,
    },
    /// That many stages of its sub-pipeline failed.
    Stages(u32),
    /// A turn of its thread could not be taken to its end.
    Turn {
        /// What kind of thing was in the way.
        class: TurnFault,
        /// What Codex said of it.
        message: String,
    },
    /// Nothing came from its thread for that long, and it was stopped.
    Silent {
        /// What it was given, in milliseconds.
        limit_ms: u64,
    },
    /// Its thread was done, and `verify` ended like that.
    Unverified(Exit),
    /// Its thread was done, and `verify` ran longer than it was given.
    VerifyTimedOut {
        /// What it was given, in milliseconds.
        limit_ms: u64,
    },
}

impl Failure {
    /// How `verify` failed, where that is why.
    #[must_use]
    pub fn of_verify(&self) -> Option<Failure> {
        match self {
            Self::Unverified(exit) => Some(Self::Exited(exit.clone())),
            Self::VerifyTimedOut { limit_ms } => Some(Self::TimedOut { limit_ms: *limit_ms }),
            Self::Exited(_)
            | Self::TimedOut { .. }
            | Self::Stages(_)
            | Self::Turn { .. }
            | Self::Silent { .. } => None,
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited(Exit::Code(code)) => write!(out, "exit code {code}"),
            Self::Exited(Exit::Signal(signal)) => write!(out, "killed by signal {signal}"),
            Self::Exited(Exit::NotStarted { reason, .. }) => write!(out, "not started: {reason}"),
            Self::Exited(Exit::Lost) => {
                out.write_str("its supervising process was killed, so its outcome is unknown")
            }
            Self::TimedOut { limit_ms } => {
                let limit = show_duration(Duration::from_millis(*limit_ms));
                write!(out, "stopped after its time limit of {limit}")
            }
            Self::Turn { class, message } => {
                write!(out, "{message} ({}): {}", class.as_str(), class.remedy())
            }
            Self::Silent { limit_ms } => {
                let limit = show_duration(Duration::from_millis(*limit_ms));
                write!(out, "stopped because nothing came from its thread for {limit}")
            }
            Self::Unverified(exit) => write!(out, "verify: {}", Self::Exited(exit.clone())),
            Self::VerifyTimedOut { limit_ms } => {
                write!(out, "verify: {}", Self::TimedOut { limit_ms: *limit_ms })
            }
            Self::Stages(1) => out.write_str("1 of its stages failed"),
            Self::Stages(count) => write!(out, "{count} of its stages failed"),
        }
    }
}

/// How a stage came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did what it should.
    Succeeded,
    /// It did not.
    Failed(Failure),
    /// It was never started, because of what is said here.
    Skipped(String),
    /// The run was cancelled before it ended.
    Cancelled,
}

/// Where a stage stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StageState {
    /// It has not been started, or is to be started again.
    Waiting {
        /// The try that comes next.
        next: Attempt,
        /// How the try before ended, if there was one.
        before: Option<Failure>,
    },
    /// It is at work.
    Running(Running),
    /// It is done.
    Ended(Ended),
}

/// A stage at work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// Which try this is.
    pub attempt: Attempt,
    /// Which part of it.
    pub part: Part,
    /// When the try was written down.
    pub since: Timestamp,
    /// What finds its processes again; known once they were launched.
    pub tree: Option<serde_json::Value>,
    /// Why it is being stopped, if it is.
    pub halt: Option<Halt>,
}

/// Why a stage is being stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halt {
    /// It ran longer than that many milliseconds.
    Overran {
        /// What it was given.
        limit_ms: u64,
    },
    /// Nothing came from its thread for that many milliseconds.
    Silent {
        /// What it was given.
        limit_ms: u64,
    },
    /// The budget of its run is used up.
    Spent,
    /// Its run is being cancelled.
    Cancelled,
}

/// A stage that is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How it came out.
    pub outcome: Outcome,
    /// How its command ended, when it has one that was started.
    pub exit: Option<Exit>,
    /// The last try; 0 when there was none.
    pub attempts: u32,
    /// When the last try began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Timestamp,
    /// What it said last.
    pub last_line: Option<String>,
}

impl StageState {
    /// A stage that nobody has touched.
    #[must_use]
    pub fn untouched() -> Self {
        Self::Waiting { next: Attempt::FIRST, before: None }
    }

    /// How often the stage has been tried.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        match self {
            Self::Waiting { next, .. } => next.0 - 1,
            Self::Running(running) => running.attempt.0,
            Self::Ended(ended) => ended.attempts,
        }
    }

    /// The word for it in the manifest.
    #[must_use]
    pub fn status(&self) -> StageStatus {
        match self {
            Self::Waiting { .. } => StageStatus::Pending,
            Self::Running(_) => StageStatus::Running,
            Self::Ended(ended) => match ended.outcome {
                Outcome::Succeeded => StageStatus::Succeeded,
                Outcome::Failed(_) => StageStatus::Failed,
                Outcome::Skipped(_) => StageStatus::Skipped,
                Outcome::Cancelled => StageStatus::Cancelled,
            },
        }
    }
}

/// The word for a stage's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StageStatus {
    /// Not started.
    Pending,
    /// At work.
    Running,
    /// Done, and well.
    Succeeded,
    /// Done, and not well.
    Failed,
    /// Never started.
    Skipped,
    /// Stopped, or never started, because its run was cancelled.
    Cancelled,
}

impl StageStatus {
    /// The word itself.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
        }
    }
}
