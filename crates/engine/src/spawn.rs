//! Starting a run in the name of another: once for each key, and no more than the parent may have.

use std::{path::Path, process::Command};

use model::{By, Door, RunId, RunSpec, RunStatus};
use store::{Admission, StoreError};

use crate::{Access, Engine, EngineError, Order, Undertaking, detach};

/// What came of a wish to spawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spawned {
    /// A new run.
    New(RunId),
    /// The run that was started for that key before.
    Same(RunId),
}

impl Spawned {
    /// Which run it is.
    #[must_use]
    pub fn run_id(&self) -> &RunId {
        match self {
            Self::New(run) | Self::Same(run) => run,
        }
    }
}

/// The same program with the same words.
fn again_as(program: &Command) -> Command {
    let mut again = Command::new(program.get_program());
    again.args(program.get_args());
    again
}

impl Engine {
    /// Starts a run in the background by `program`, which becomes its runner. It is on record, with
    /// its manifest, when this comes back. `parents` is the engine of the repository of its parent,
    /// where that is another one.
    ///
    /// # Errors
    ///
    /// `TooMany` or `TooManyAtOnce` when its parent may not have it, and what kept it from starting.
    pub fn spawn(
        &mut self,
        program: Command,
        spec: RunSpec,
        admission: Admission,
        queue: bool,
        parents: Option<&mut Engine>,
    ) -> Result<Spawned, EngineError> {
        if let Some(key) = &spec.key
            && let Some(run) = self.journal().by_key(key)?
        {
            return Ok(Spawned::Same(run));
        }
        let run = spec.run_id.clone();
        let parent = admission.parent.clone();
        let order = Order {
            state: self.state().to_owned(),
            root: self.root().to_owned(),
            undertaking: Undertaking::Spawn {
                spec: Box::new(spec),
                admission: admission.clone(),
                queue,
            },
        };
        let spawned = match parents {
            None => {
                let spawned = detach(program, &order, self);
                self.retell(&parent);
                spawned
            }
            Some(parents) => {
                // Intent first: a child that is noted and never began is not there, one that began
                // and was never noted would be nobody's.
                parents.journal_mut().add_far_child(&admission, &run, self.root())?;
                let again = again_as(&program);
                let mut spawned = detach(program, &order, self);
                if matches!(&spawned, Err(EngineError::Store(StoreError::TooManyAtOnce { .. }))) {
                    // Its runner looks whether somebody has died who holds a place, and may know of
                    // no other run of the parent.
                    parents.refresh_children(&parent)?;
                    spawned = detach(again, &order, self);
                }
                if spawned.is_err() && self.journal().row(&run).is_err() {
                    parents.journal_mut().forget_far_child(&parent, &run)?;
                }
                parents.retell(&parent);
                spawned
            }
        };
        match spawned {
            Ok(()) => Ok(Spawned::New(run)),
            Err(EngineError::Store(StoreError::KeyTaken { run })) => Ok(Spawned::Same(run)),
            Err(error) => Err(error),
        }
    }

    /// Notes that a run of this repository, the parent, starts one of another by itself.
    ///
    /// # Errors
    ///
    /// `TooMany` when it may not, and when the journal cannot be written.
    pub fn note_far_child(
        &mut self,
        admission: &Admission,
        run: &RunId,
        root: &Path,
    ) -> Result<(), EngineError> {
        Ok(self.journal_mut().add_far_child(admission, run, root)?)
    }

    /// Has an interrupted run taken up again, in the background, by `program`. Says whether it was
    /// interrupted, and is taken up.
    ///
    /// One that an agent started by typing a command was in the tree and the sandbox of that agent,
    /// where nobody can put it again: only a person's `resume` takes it up.
    ///
    /// # Errors
    ///
    /// What kept it from starting.
    pub fn take_up_again(&mut self, program: Command, run: &RunId) -> Result<bool, EngineError> {
        if self.status(run)? != RunStatus::Interrupted || self.was_typed(run)? {
            return Ok(false);
        }
        let order = Order {
            state: self.state().to_owned(),
            root: self.root().to_owned(),
            undertaking: Undertaking::Resume(run.clone()),
        };
        match detach(program, &order, self) {
            // Somebody else was first.
            Err(EngineError::Alive { .. }) => Ok(true),
            taken => taken.map(|()| true),
        }
    }

    fn was_typed(&self, run: &RunId) -> Result<bool, EngineError> {
        let by = self.journal().spec(run)?.grant.map(|grant| grant.by);
        let typed = matches!(
            by,
            Some(By::Run { door: Door::Cli, .. } | By::Session { door: Door::Cli, .. })
        );
        Ok(typed)
    }

    /// Writes the manifest of a run again, because of something that is no event of its own: a child
    /// that began or ended. A manifest that cannot be written is written by whoever looks next.
    pub(crate) fn retell(&self, run: &RunId) {
        let retell = || {
            let (spec, _) = self.journal().load(run)?;
            let mut views = self.views(&spec)?;
            views.rewrite_manifest(|| {
                let (spec, events) = self.journal().load(run)?;
                let now = model::Run::replay(std::sync::Arc::new(spec.plan.clone()), &events);
                let paths = self.paths(&spec.task_id, run);
                let children = self.children(run)?;
                Ok(store::manifest_of(&spec, &now, &paths, children))
            })
        };
        let _: Result<bool, StoreError> = retell();
    }

    /// The same for the parent of a run, wherever it is.
    pub(crate) fn retell_parent(&self, spec: &RunSpec) {
        let Some(parent) = &spec.parent_run_id else { return };
        if self.journal().row(parent).is_ok() {
            return self.retell(parent);
        }
        let root = spec.grant.as_ref().and_then(|grant| grant.parent_root.as_ref());
        let elsewhere = root.map(|root| Self::open(self.state(), root.as_ref(), Access::Look));
        if let Some(Ok(engine)) = elsewhere {
            engine.retell(parent);
        }
    }
}
