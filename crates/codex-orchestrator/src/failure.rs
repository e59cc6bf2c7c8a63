//! One shape of failure: a kind, which fixes the exit code, a cause, and a next step.

use std::{error::Error, fmt};

use engine::EngineError;
use model::{Phase, Refusal, Run, RunOutcome};
use store::{HomeError, StoreError};

use crate::surroundings::RUN_VARIABLE;

/// What kind of failure it is. Each has an exit code of its own, listed in the help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// A run failed.
    RunFailed,
    /// A word, flag or file that says something impossible.
    Usage,
    /// What was named is not there.
    NotFound,
    /// The state of things is against it.
    Conflict,
    /// A run was cancelled.
    Cancelled,
    /// A run was interrupted; it can be resumed.
    Interrupted,
    /// A run waits for a person where nobody is to be asked.
    Unattended,
    /// The time was up.
    TimedOut,
    /// The record, the disk or the system is in the way.
    Internal,
    /// The command given to `exec` ended with that code.
    Command(u8),
}

impl FailureKind {
    /// What a run comes to as an exit code; none for success and while it goes on.
    pub(crate) fn of(run: &Run) -> Option<Self> {
        match run.phase() {
            Phase::Ended { outcome: RunOutcome::Failed { .. }, .. } => Some(Self::RunFailed),
            Phase::Ended { outcome: RunOutcome::Cancelled { .. }, .. } => Some(Self::Cancelled),
            Phase::Interrupted { reason, .. } if reason == engine::NOBODY => Some(Self::Unattended),
            Phase::Interrupted { .. } => Some(Self::Interrupted),
            _ => None,
        }
    }

    /// The exit code.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::RunFailed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Conflict => 4,
            Self::Cancelled => 5,
            Self::Interrupted => 6,
            Self::Unattended => 7,
            Self::TimedOut => 8,
            Self::Internal => 9,
            Self::Command(code) => code,
        }
    }

    /// The word for it in JSON.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::RunFailed => "run_failed",
            Self::Usage => "usage",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
            Self::Unattended => "unattended",
            Self::TimedOut => "timed_out",
            Self::Internal => "internal",
            Self::Command(_) => "command",
        }
    }
}

/// The exit codes, for the help.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  succeeded
  1  the run failed, or a check found something
  2  bad usage or config
  3  not found: no such run, pipeline or repository record
  4  refused: the state of the run is against it
  5  the run was cancelled
  6  the run was interrupted; `resume` takes it up again
  7  a run waits for a person, and nobody is to be asked
  8  the time was up before what was waited for
  9  the record, the disk or the system is in the way
`exec` ends with its command's own code, 126 or 127 when it could not be started.";

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    cause: Box<dyn Error + Send + Sync>,
    hint: Option<String>,
    /// What there was to say is said already: only the exit code is left.
    pub(crate) silent: bool,
}

impl Failure {
    pub(crate) fn new(kind: FailureKind, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind, cause: cause.into(), hint: None, silent: false }
    }

    /// A failure about which everything has been said.
    pub(crate) fn said(kind: FailureKind) -> Self {
        Self { silent: true, ..Self::new(kind, kind.word()) }
    }

    pub(crate) fn usage(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(FailureKind::Usage, cause)
    }

    pub(crate) fn not_found(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(FailureKind::NotFound, cause)
    }

    /// Adds a next step.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a next step, if there is one.
    pub(crate) fn hint_if(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }

    /// What stands beside the message.
    pub(crate) fn next_step(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.cause)?;
        // A source whose text the cause repeats already says nothing more.
        let mut said = self.cause.to_string();
        let mut next = self.cause.source();
        while let Some(source) = next {
            let text = source.to_string();
            if !said.contains(&text) {
                write!(out, ": {text}")?;
                said.push_str(&text);
            }
            next = source.source();
        }
        Ok(())
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        use FailureKind::{Conflict, Internal, NotFound, Usage};
        match &error {
            EngineError::Refused { run, refusal } => {
                let hint = match refusal {
                    Refusal::Interrupted => {
                        format!("`codex-orch resume {}` takes it up again", run.tail())
                    }
                    // One that has succeeded cannot be taken up again, any other can; status says.
                    _ => format!("look again with `codex-orch status {}`", run.tail()),
                };
                Self::new(Conflict, error).hint(hint)
            }
            EngineError::Alive { run } => {
                let hint = format!("watch it with `codex-orch status {} --watch`", run.tail());
                Self::new(Conflict, error).hint(hint)
            }
            EngineError::Silent { run, stopped: true, .. } => {
                let hint = format!(
                    "continue it in its terminal with `fg`, or end it with `codex-orch cancel {}`",
                    run.tail()
                );
                Self::new(Conflict, error).hint(hint)
            }
            EngineError::Silent { run, stopped: false, .. } => {
                let hint = format!("`codex-orch cancel {}` ends it all the same", run.tail());
                Self::new(Conflict, error).hint(hint)
            }
            EngineError::NoSuchQuestion(_) => {
                Self::new(NotFound, error).hint("`codex-orch inbox` shows what is asked")
            }
            EngineError::Resolved { .. } => {
                Self::new(Conflict, error).hint("`codex-orch inbox --all` shows what became of it")
            }
            EngineError::NotFrozen { .. } => Self::new(Conflict, error),
            EngineError::Leftovers { .. } | EngineError::Unfit(_) => Self::new(Conflict, error),
            EngineError::Home(HomeError::Unknown(_)) => {
                Self::new(NotFound, error).hint("`codex-orch start` runs the first")
            }
            EngineError::Home(HomeError::Shut(_)) => shut(error),
            EngineError::Home(HomeError::NotText(_)) => Self::new(Usage, error),
            EngineError::Home(HomeError::Store(source)) => {
                let hint = hint_for(source);
                Self::new(Internal, error).hint_if(hint)
            }
            EngineError::Store(StoreError::NoSuchRun(_)) => {
                Self::new(NotFound, error).hint("`codex-orch list` shows the runs there are")
            }
            EngineError::Store(StoreError::TooMany { .. } | StoreError::TooManyAtOnce { .. }) => {
                Self::new(Conflict, error).hint("`codex-orch config` shows the limits")
            }
            EngineError::Store(source) => {
                let hint = hint_for(source);
                Self::new(Internal, error).hint_if(hint)
            }
            EngineError::Supervision(_) => {
                Self::new(Internal, error).hint("`codex-orch doctor` tries what works here")
            }
            EngineError::Detach(_) => Self::new(Internal, error)
                .hint("without `--detach` it runs here, and shows what is wrong"),
        }
    }
}

fn shut(error: EngineError) -> Failure {
    if std::env::var_os(RUN_VARIABLE).is_none() {
        let hint = "`codex-orch doctor` looks at it";
        return Failure::new(FailureKind::Internal, error).hint(hint);
    }
    let text = "this is a confined stage of a run, which no records can be seen from";
    Failure::new(FailureKind::Conflict, text).hint(
        "it starts, asks and looks by the delegation server: `codex-orch delegate-server` speaks MCP",
    )
}

fn hint_for(error: &StoreError) -> Option<String> {
    match error {
        error if error.is_full() => Some(
            "make room, for instance with `codex-orch prune`, then `codex-orch resume --all`"
                .to_owned(),
        ),
        StoreError::Newer { .. } => {
            Some("a newer version of this program has been used here: install that one".to_owned())
        }
        StoreError::File { path, .. }
            if path.components().any(|part| part.as_os_str() == ".runs") =>
        {
            Some(
                "records are kept under `.runs` in the repository: make it writable for this user"
                    .to_owned(),
            )
        }
        StoreError::File { .. } | StoreError::Storage(_) => Some(
            "`codex-orch doctor` looks at the state folder; CODEX_ORCHESTRATOR_HOME moves it"
                .to_owned(),
        ),
        _ => None,
    }
}
