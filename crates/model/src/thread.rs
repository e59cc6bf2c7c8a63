//! A Codex thread that a stage runs: what it is told, and where it stands.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{CommandLine, Failure, QuestionId, RunId, Timestamp, choices};

/// A Codex thread and how it is to be run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodexStage {
    /// What it is told first, with its blanks still open; see [`crate::fill`].
    pub prompt: String,
    /// The file that it was read from, relative to the work tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_file: Option<String>,
    /// The prompt has no blanks: whatever looks like one is part of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub as_is: bool,
    /// The model; none leaves it to the user's own settings for Codex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How hard it thinks, in Codex's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effort: Option<String>,
    /// What Codex lets the thread's commands do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<Sandbox>,
    /// A JSON Schema that its last message has to fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<serde_json::Value>,
    /// A command that has to succeed before the stage does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<CommandLine>,
    /// How often `verify` may be tried in one life of the run; once where this is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// What it may use up, beside what its run may.
    #[serde(default)]
    pub limits: Budget,
    /// The folder it works in, relative to the work tree; `None` is the work tree itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Added to the environment of the run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// It is stopped when it has run that long; time spent frozen or waiting for somebody does not
    /// count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// It is stopped when that long nothing comes from it, and nothing that it has begun goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<Duration>,
}

choices! {
    /// What Codex lets the commands of a thread do. The narrower is the less.
    #[derive(Default, Serialize, Deserialize, schemars::JsonSchema)]
    #[serde(rename_all = "kebab-case")]
    Sandbox {
        /// Read.
        ReadOnly = "read-only",
        /// Read, and write in the work tree.
        #[default]
        WorkspaceWrite = "workspace-write",
        /// Everything that the user may.
        DangerFullAccess = "danger-full-access",
    }
}

/// What may be used up. What is not said is not limited.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct Budget {
    /// Tokens of all threads together: input that was not cached, and output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Turns of all threads together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turns: Option<u64>,
    /// Milliseconds at work; waiting for somebody is no work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work_ms: Option<u64>,
}

impl Budget {
    /// Nothing is limited.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        *self == Self::default()
    }

    /// The narrower of both, axis by axis.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let narrower = |one: Option<u64>, two: Option<u64>| one.into_iter().chain(two).min();
        Self {
            tokens: narrower(self.tokens, other.tokens),
            turns: narrower(self.turns, other.turns),
            work_ms: narrower(self.work_ms, other.work_ms),
        }
    }

    /// The first axis on which that much is as much as there is. A budget that was granted anew is
    /// there that often.
    #[must_use]
    pub fn reached(&self, used: &Spent, grants: u32) -> Option<Reached> {
        self.reached_with(used, grants, |_, used, limit| used >= limit)
    }

    /// The same in the middle of a turn. The turn is one of those that there are: it may end.
    #[must_use]
    pub fn reached_in_turn(&self, used: &Spent, grants: u32) -> Option<Reached> {
        self.reached_with(used, grants, |axis, used, limit| match axis {
            Axis::Turns => used > limit,
            Axis::Tokens | Axis::Work => used >= limit,
        })
    }

    fn reached_with(
        &self,
        used: &Spent,
        grants: u32,
        is_reached: impl Fn(Axis, u64, u64) -> bool,
    ) -> Option<Reached> {
        let axes = [
            (Axis::Tokens, self.tokens, used.tokens),
            (Axis::Turns, self.turns, used.turns),
            (Axis::Work, self.work_ms, used.work_ms),
        ];
        axes.into_iter().find_map(|(axis, limit, used)| {
            let limit = limit?.saturating_mul(u64::from(grants.max(1)));
            is_reached(axis, used, limit).then_some(Reached { axis, limit, used })
        })
    }
}

/// A budget that is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Reached {
    /// Which.
    pub axis: Axis,
    /// How much there was.
    pub limit: u64,
    /// How much was used.
    pub used: u64,
}

impl std::fmt::Display for Reached {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { axis, limit, used } = self;
        match axis {
            Axis::Tokens => write!(out, "{used} of {limit} tokens are used"),
            Axis::Turns => write!(out, "{used} of {limit} turns are used"),
            Axis::Work => {
                let time = |ms| crate::show_duration(Duration::from_millis(ms));
                write!(out, "{} of {} are used", time(*used), time(*limit))
            }
        }
    }
}

choices! {
    /// What a budget is of.
    #[derive(Serialize, Deserialize, schemars::JsonSchema)]
    #[serde(rename_all = "snake_case")]
    Axis {
        /// Tokens.
        Tokens = "tokens",
        /// Turns.
        Turns = "turns",
        /// Milliseconds at work.
        Work = "work",
    }
}

choices! {
    /// What becomes of a run whose budget is used up.
    #[derive(Default, Serialize, Deserialize, schemars::JsonSchema)]
    #[serde(rename_all = "snake_case")]
    WhenReached {
        /// It is paused; resuming it grants the same again.
        #[default]
        Pause = "pause",
        /// It ends as failed.
        Fail = "fail",
    }
}

/// Tokens, as the provider counts them.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct Tokens {
    /// Sent, those that were cached included.
    pub input: u64,
    /// Those of them that were cached.
    pub cached_input: u64,
    /// Written, reasoning included.
    pub output: u64,
    /// Those of them that were reasoning.
    pub reasoning_output: u64,
}

impl Tokens {
    /// Those that a budget counts.
    #[must_use]
    pub fn spent(&self) -> u64 {
        self.input.saturating_sub(self.cached_input).saturating_add(self.output)
    }
}

impl std::ops::Add for Tokens {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            input: self.input.saturating_add(other.input),
            cached_input: self.cached_input.saturating_add(other.cached_input),
            output: self.output.saturating_add(other.output),
            reasoning_output: self.reasoning_output.saturating_add(other.reasoning_output),
        }
    }
}

/// What was used up.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct Used {
    /// Tokens.
    #[serde(flatten)]
    pub tokens: Tokens,
    /// Turns that were begun.
    pub turns: u64,
    /// Milliseconds at work.
    pub work_ms: u64,
}

impl Used {
    /// That, as budgets count it.
    #[must_use]
    pub fn spent(&self) -> Spent {
        Spent { tokens: self.tokens.spent(), turns: self.turns, work_ms: self.work_ms }
    }
}

/// What was used up, as budgets count it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct Spent {
    /// Tokens: input that was not cached, and output.
    pub tokens: u64,
    /// Turns that were begun.
    pub turns: u64,
    /// Milliseconds at work.
    pub work_ms: u64,
}

impl std::ops::Add for Used {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            tokens: self.tokens + other.tokens,
            turns: self.turns.saturating_add(other.turns),
            work_ms: self.work_ms.saturating_add(other.work_ms),
        }
    }
}

/// Where the thread of a stage stands, over all tries and lives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Thread {
    /// Its name; none before it began.
    pub id: Option<String>,
    /// The model that it runs on, as Codex said.
    pub model: Option<String>,
    /// Its last turn.
    pub turn: Turn,
    /// The turn before, where the last one failed before it began: what that was to be told, the
    /// thread has not heard.
    pub unbegun: Option<Box<Turn>>,
    /// What it used up.
    pub used: Used,
    /// What it said last.
    pub said: Option<String>,
    /// What it is to be told and was not yet.
    pub messages: Vec<String>,
    /// What was answered since it last heard anything: since its last turn began, or came to its
    /// own end.
    pub answered: Vec<QuestionId>,
    /// What `verify` says of its work.
    pub check: Check,
    /// How often `verify` was tried in this life of the run.
    pub checks: u32,
    /// The last commit of its work, where it works in a tree of its own.
    pub commit: Option<String>,
}

/// The last turn of a thread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Turn {
    /// There was none.
    #[default]
    None,
    /// It has begun, and its end is not known.
    Open {
        /// Its name.
        turn_id: String,
    },
    /// It is over.
    Over(TurnEnd),
}

/// How a turn came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum TurnEnd {
    /// The thread said all that it had to say.
    Completed,
    /// It was interrupted.
    Interrupted,
    /// It could not be taken to its end.
    Failed {
        /// What kind of thing was in the way.
        class: TurnFault,
        /// What Codex said of it.
        message: String,
    },
}

choices! {
    /// What was in a turn's way.
    #[derive(Serialize, Deserialize, schemars::JsonSchema)]
    #[serde(rename_all = "snake_case")]
    TurnFault {
        /// The account has used up what it may use.
        UsageLimit = "usage_limit",
        /// Too many requests at once.
        RateLimit = "rate_limit",
        /// The thread has become too long for the model.
        ContextWindow = "context_window",
        /// The login does not hold.
        Unauthorized = "unauthorized",
        /// The model's endpoint cannot be reached, or broke off.
        Network = "network",
        /// The model's endpoint failed.
        Server = "server",
        /// The endpoint refused the request.
        BadRequest = "bad_request",
        /// Codex's own sandbox does not work here.
        Sandbox = "sandbox",
        /// What Codex does not name.
        Other = "other",
    }
}

impl TurnFault {
    /// What to do about it, as a next step.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::UsageLimit | Self::RateLimit => "wait for the limit to be lifted, then resume",
            Self::ContextWindow => "delegate a smaller task, or a model with a longer context",
            Self::Unauthorized => "log in again with `codex login`, then resume",
            Self::Network => "see whether the model's endpoint can be reached, then resume",
            Self::Server => "the endpoint failed by itself; resume it later",
            Self::BadRequest => {
                "see `model` and `effort` of the stage, and the provider's settings"
            }
            Self::Sandbox => "try `codex sandbox` by hand on this machine",
            Self::Other => "see the log of the stage, then resume",
        }
    }
}

/// What `verify` says of a thread's work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Check {
    /// It has not looked since the thread's last turn.
    #[default]
    Due,
    /// It failed.
    Failed {
        /// How.
        failure: Failure,
        /// The end of what it printed.
        output: String,
    },
    /// It succeeded.
    Passed,
}

/// What comes next for a thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owed {
    /// A turn that begins with that.
    Turn(Say),
    /// `verify` looks at its work.
    Check,
    /// Nothing: it is done.
    Nothing,
}

/// What a thread is told at the beginning of a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Say {
    /// What it is there for.
    Prompt,
    /// To go on after it was interrupted.
    GoOn,
    /// That `verify` has failed.
    Failing {
        /// How.
        failure: Failure,
        /// The end of what it printed.
        output: String,
    },
    /// Only the messages that wait for it.
    Messages,
}

impl Thread {
    /// Whether it has had a turn. Codex keeps nothing of a thread that had none.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        *self.unbegun.as_deref().unwrap_or(&self.turn) != Turn::None
    }

    pub(crate) fn begin_turn(&mut self, turn_id: String) {
        self.turn = Turn::Open { turn_id };
        self.unbegun = None;
        self.answered.clear();
        self.used.turns = self.used.turns.saturating_add(1);
        self.check = Check::Due;
    }

    pub(crate) fn end_turn(&mut self, end: TurnEnd) {
        // What it wanted to know it has waited for.
        if end == TurnEnd::Completed {
            self.answered.clear();
        }
        let before = std::mem::replace(&mut self.turn, Turn::Over(end));
        if !matches!(before, Turn::Open { .. }) {
            self.unbegun.get_or_insert_with(|| Box::new(before));
        }
    }

    /// What comes next, with or without a `verify` to pass.
    #[must_use]
    pub fn owed(&self, verified: bool) -> Owed {
        match self.unbegun.as_deref().unwrap_or(&self.turn) {
            Turn::None => Owed::Turn(Say::Prompt),
            Turn::Open { .. } | Turn::Over(TurnEnd::Interrupted | TurnEnd::Failed { .. }) => {
                Owed::Turn(Say::GoOn)
            }
            Turn::Over(TurnEnd::Completed) if !self.messages.is_empty() => {
                Owed::Turn(Say::Messages)
            }
            Turn::Over(TurnEnd::Completed) if !verified => Owed::Nothing,
            Turn::Over(TurnEnd::Completed) => match &self.check {
                Check::Due => Owed::Check,
                Check::Failed { failure, output } => {
                    Owed::Turn(Say::Failing { failure: failure.clone(), output: output.clone() })
                }
                Check::Passed => Owed::Nothing,
            },
        }
    }
}

/// A part of a try at a stage; each has processes of its own.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// What the stage is there for: its command, or its thread.
    #[default]
    Work,
    /// The command that has to succeed after its thread's turn.
    Verify,
    /// Nothing is left to be done: its end is all that was not written down.
    Nothing,
}

/// Why a run is not at work, though nobody paused it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Limited {
    /// A budget is used up.
    Budget {
        /// Which.
        reached: Reached,
        /// The run above whose budget it is; none where it is its own.
        of: Option<RunId>,
    },
    /// The account that its threads use is.
    Usage {
        /// When that is lifted, where the provider says so.
        until: Option<Timestamp>,
        /// The run goes on by itself then.
        goes_on: bool,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Exit;

    #[test]
    fn a_budget_is_reached_on_its_first_axis_and_later_when_it_was_granted_again() {
        let budget = Budget { tokens: Some(100), turns: Some(2), work_ms: None };
        let used = |input, turns| {
            let tokens = Tokens { input, cached_input: 40, output: 10, reasoning_output: 5 };
            Used { tokens, turns, work_ms: 1 }.spent()
        };
        assert_eq!(budget.reached(&used(129, 1), 1), None);
        let reached = budget.reached(&used(130, 1), 1).unwrap();
        assert_eq!(reached.to_string(), "100 of 100 tokens are used");
        assert_eq!(budget.reached(&used(130, 2), 2), None);
        let reached = budget.reached(&used(50, 4), 2).unwrap();
        assert_eq!(reached.to_string(), "4 of 4 turns are used");
        assert_eq!(budget.reached_in_turn(&used(50, 4), 2), None, "the last one may end");
        assert!(budget.reached_in_turn(&used(50, 5), 2).is_some());
        assert!(budget.reached_in_turn(&used(130, 1), 1).is_some());
    }

    #[test]
    fn what_a_thread_is_owed_follows_from_its_last_turn() {
        let mut thread = Thread::default();
        assert_eq!(thread.owed(true), Owed::Turn(Say::Prompt));
        thread.turn = Turn::Open { turn_id: "t".to_owned() };
        assert_eq!(thread.owed(true), Owed::Turn(Say::GoOn));
        thread.turn = Turn::Over(TurnEnd::Completed);
        assert_eq!((thread.owed(true), thread.owed(false)), (Owed::Check, Owed::Nothing));
        let (failure, output) = (Failure::Exited(Exit::Code(1)), "no".to_owned());
        thread.check = Check::Failed { failure: failure.clone(), output: output.clone() };
        assert_eq!(thread.owed(true), Owed::Turn(Say::Failing { failure, output }));
        thread.messages = vec!["and this".to_owned()];
        assert_eq!(thread.owed(true), Owed::Turn(Say::Messages));
    }

    #[test]
    fn what_a_turn_was_to_begin_with_is_owed_until_one_has_begun() {
        let failed = || TurnEnd::Failed { class: TurnFault::Other, message: "no".to_owned() };
        let mut thread = Thread::default();
        for end in [failed(), TurnEnd::Interrupted, failed()] {
            thread.end_turn(end);
            assert_eq!((thread.owed(false), thread.has_begun()), (Owed::Turn(Say::Prompt), false));
        }
        thread.begin_turn("t".to_owned());
        thread.end_turn(failed());
        assert_eq!((thread.owed(false), thread.has_begun()), (Owed::Turn(Say::GoOn), true));
        thread.begin_turn("u".to_owned());
        thread.end_turn(TurnEnd::Completed);
        let (failure, output) = (Failure::Exited(Exit::Code(1)), "no".to_owned());
        thread.check = Check::Failed { failure: failure.clone(), output: output.clone() };
        thread.end_turn(failed());
        assert_eq!(thread.owed(true), Owed::Turn(Say::Failing { failure, output }));
    }
}
