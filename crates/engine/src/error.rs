//! What can go wrong with a run.

use std::io;

use model::{QuestionId, Refusal, RunId};
use store::{HomeError, StoreError};

/// Why the engine did not do it.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The state of the run is against it.
    #[error("{refusal}")]
    Refused {
        /// Which run.
        run: RunId,
        /// Why.
        refusal: Refusal,
    },
    /// Another process runs the run.
    #[error("run {} is being run by another process", .run.tail())]
    Alive {
        /// Which run.
        run: RunId,
    },
    /// The run's runner did not answer in time.
    #[error("the runner of run {} (process {pid}) does not answer{}", .run.tail(), if *.stopped { ": it is stopped" } else { "" })]
    Silent {
        /// Which run.
        run: RunId,
        /// Its runner.
        pid: u32,
        /// Somebody stopped it, by Ctrl-Z or SIGSTOP.
        stopped: bool,
    },
    /// Processes of an earlier runner could not be ended.
    #[error("processes of run {} are still there and cannot be ended: {reason}", .run.tail())]
    Leftovers {
        /// Which run.
        run: RunId,
        /// Why.
        reason: String,
    },
    /// The run could not be paused.
    #[error("run {} could not be frozen: {reason}", .run.tail())]
    NotFrozen {
        /// Which run.
        run: RunId,
        /// What was in the way.
        reason: String,
    },
    /// There is no such question here.
    #[error("there is no question {0} here")]
    NoSuchQuestion(QuestionId),
    /// The question was resolved before.
    #[error("question {id} is closed already: {outcome}")]
    Resolved {
        /// Which.
        id: QuestionId,
        /// What became of it: `answered`, `expired` and so on.
        outcome: &'static str,
    },
    /// The run cannot be run on this machine, for instance because it belongs to another one.
    #[error("{0}")]
    Unfit(String),
    /// The state folder, or the repository's place in it.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The journal or its views.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Processes could not be supervised.
    #[error("processes cannot be supervised here: {0}")]
    Supervision(#[source] io::Error),
    /// A detached runner could not be started.
    #[error("the background runner did not start: {0}")]
    Detach(String),
}

impl EngineError {
    /// The same was started before, by that key.
    #[must_use]
    pub fn is_same(&self) -> bool {
        matches!(self, Self::Store(StoreError::KeyTaken { .. }))
    }
}
