//! Waiting for runs to end.

use std::time::Instant;

use model::{RunId, RunStatus};

use crate::{Ear, Engine, EngineError};

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitFor {
    /// The end of each of them.
    All,
    /// The end of the first of them.
    Any,
}

/// How a wait ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waited {
    /// The runs that have ended, or were interrupted, with how.
    pub over: Vec<(RunId, RunStatus)>,
    /// What was waited for has happened; otherwise the time was up.
    pub done: bool,
}

impl Engine {
    /// Waits until runs have ended. An interrupted run is over as well: nothing more happens to
    /// it unless somebody asks.
    ///
    /// # Errors
    ///
    /// When there is no such run, or the journal cannot be read.
    pub fn wait(
        &mut self,
        runs: &[RunId],
        wanted: WaitFor,
        deadline: Option<Instant>,
    ) -> Result<Waited, EngineError> {
        let mut ear = Ear::new();
        for run in runs {
            ear.listen_to(&self.locks(run).bell);
        }
        loop {
            let mut over = Vec::new();
            for run in runs {
                let status = self.status(run)?;
                if !status.wants_runner() {
                    over.push((run.clone(), status));
                }
            }
            let done = match wanted {
                WaitFor::All => over.len() == runs.len(),
                WaitFor::Any => !over.is_empty(),
            };
            if done || deadline.is_some_and(|at| Instant::now() >= at) {
                return Ok(Waited { over, done });
            }
            ear.wait(deadline);
        }
    }
}
