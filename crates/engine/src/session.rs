//! Runs that stand for a Codex session, so that what the session starts and asks has a parent.

use std::sync::Arc;

use model::{Actor, Event, Recorded, Run, RunId, RunSpec};
use store::StoreError;

use crate::{Engine, EngineError, edge};

impl Engine {
    /// The run that stands for that session, if it has one.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read.
    pub fn session(&self, session: &str) -> Result<Option<RunId>, EngineError> {
        Ok(self.journal().by_session(session)?)
    }

    /// The run that stands for that session; made of `spec` when there is none. Several servers of
    /// one session may come at once, and get the same.
    ///
    /// # Errors
    ///
    /// When the journal or the record cannot be written.
    pub fn open_session(&mut self, session: &str, spec: &RunSpec) -> Result<RunId, EngineError> {
        if let Some(run) = self.session(session)? {
            return Ok(run);
        }
        // It does nothing by itself, so that it is over from the start.
        let mut run = Run::new(Arc::new(spec.plan.clone()));
        let mut fresh = Vec::new();
        for event in [Event::queued(&spec.plan), Event::RunCompleted {}] {
            let seq = run.head().next();
            let recorded = Recorded { seq, at: edge::now(), actor: Actor::Session, event };
            run.apply(&recorded);
            fresh.push(recorded);
        }
        self.make_run_dir(&spec.run_id)?;
        match self.journal_mut().create(spec, &fresh, &run, None, Some(session)) {
            Ok(()) => {
                self.tell(spec, &run);
                Ok(spec.run_id.clone())
            }
            Err(StoreError::SessionTaken { run }) => Ok(run),
            Err(error) => Err(error.into()),
        }
    }
}
