//! Runs that go on with the thread of one that is over, in its work tree.

use model::{Actor, OwnTree, Refusal, Request, RunId, RunSpec, ThreadHome};

use crate::{Engine, EngineError, Patience, edge};

/// Who is there to hear what is said to a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hearer {
    /// That run was told: the one that is meant, or the last that goes on with its thread.
    Told(RunId),
    /// The last of them, which is over. Another one has to go on after it.
    Over(RunId),
}

/// The name of the wish to go on after a run: there is one run for it, however often it is wished
/// for.
fn key_of(run: &RunId) -> String {
    format!("after {run}")
}

impl Engine {
    /// The last of the runs that go on with the thread of that one; itself, if there is none.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read.
    pub fn last_after(&self, run: &RunId) -> Result<RunId, EngineError> {
        let mut last = run.clone();
        while let Some(next) = self.journal().by_key(&key_of(&last))? {
            last = next;
        }
        Ok(last)
    }

    /// Whether a run that is on record goes on with the thread of that one.
    pub(crate) fn goes_on_elsewhere(&self, run: &RunId) -> Result<bool, EngineError> {
        Ok(self.journal().by_key(&key_of(run))?.is_some())
    }

    /// Tells it the last of the runs that go on with the thread of that one, unless that is over.
    ///
    /// # Errors
    ///
    /// When that run refuses it, or does not answer, and when the journal cannot be read.
    pub fn tell_last(
        &mut self,
        run: &RunId,
        text: &str,
        actor: Actor,
    ) -> Result<Hearer, EngineError> {
        let last = self.last_after(run)?;
        if self.status(&last)?.ended() {
            return Ok(Hearer::Over(last));
        }
        let request = Request::Message { text: text.to_owned() };
        match self.ask(&last, &request, actor, Patience::default()) {
            // It has come to its end meanwhile.
            Err(EngineError::Refused { refusal: Refusal::Ended, .. }) => Ok(Hearer::Over(last)),
            told => told.map(|_| Hearer::Told(last)),
        }
    }

    /// What a run is started with that goes on with the thread of that one, which is over, by that
    /// instruction. Who it is for, and below whom it stands, is the caller's to say.
    ///
    /// # Errors
    ///
    /// `Refused`, when that run has no thread; and when the journal cannot be read.
    pub fn following(&mut self, run: &RunId, text: &str) -> Result<RunSpec, EngineError> {
        let snapshot = self.snapshot(run)?;
        let refused = || EngineError::Refused { run: run.clone(), refusal: Refusal::NoThread };
        let threads = snapshot.run.threads().filter(|(_, thread)| thread.id.is_some());
        let (stage, thread) = threads.last().ok_or_else(refused)?;
        let spec = snapshot.spec;
        // Of a thread that had no turn there is nothing to go on with.
        let begun = thread.id.clone().filter(|_| thread.has_begun());
        let followed = || spec.follows.as_ref().map(|follows| follows.thread_id.clone());
        let thread_id = begun.or_else(followed).ok_or_else(refused)?;
        let home = spec.follows.as_ref().map_or(run, |follows| &follows.run_id);
        let own_tree = snapshot.run.tree().map(|tree| OwnTree {
            path: tree.path.clone(),
            with_changes: false,
            carry: Vec::new(),
            of_another: true,
        });
        Ok(RunSpec {
            run_id: edge::new_run_id(),
            key: Some(key_of(run)),
            plan: spec.plan.following(stage, text),
            follows: Some(ThreadHome { run_id: home.clone(), thread_id }),
            own_tree,
            ..spec
        })
    }
}
