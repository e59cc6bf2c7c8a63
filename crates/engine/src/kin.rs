//! Which runs a run has started, and those have, in this repository and in others.

use std::{
    collections::{BTreeSet, VecDeque},
    path::PathBuf,
};

use model::{Actor, Limits, Request, RunId, RunSpec, RunStatus};
use store::Filter;

use crate::{Access, Asked, Engine, EngineError, Patience};

/// A run in its place below another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kin {
    /// Its repository.
    pub root: PathBuf,
    /// Which.
    pub run_id: RunId,
    /// What it was doing when it was found.
    pub status: RunStatus,
}

/// Families are bounded by `limits.depth` and `limits.children`; one that is larger was made by
/// hand, and is not followed for ever.
const MOST: usize = 10_000;

impl Engine {
    /// The runs of this repository above that run, with what they and all below them may use up.
    pub(crate) fn limits_above(&self, spec: &RunSpec) -> Vec<(RunId, Limits)> {
        const HIGHEST: usize = 64;
        let mut above = Vec::new();
        let mut next = spec.parent_run_id.clone();
        while let Some(run) = next.take().filter(|_| above.len() < HIGHEST) {
            let Ok(parent) = self.journal().spec(&run) else { break };
            next = parent.parent_run_id;
            above.push((run, parent.limits));
        }
        above
    }

    /// Every run below this one, parents before their children.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read. A repository that is gone has no runs to be found.
    pub fn descendants(&self, run: &RunId) -> Result<Vec<Kin>, EngineError> {
        let mut seen = BTreeSet::from([run.clone()]);
        let mut found: Vec<Kin> = Vec::new();
        let mut parents = VecDeque::from([(self.root().to_owned(), run.clone())]);
        while let Some((root, parent)) = parents.pop_front() {
            let elsewhere;
            let engine = match root == self.root() {
                true => self,
                false => match Self::open(self.state(), &root, Access::Look) {
                    Ok(engine) => {
                        elsewhere = engine;
                        &elsewhere
                    }
                    Err(_) => continue,
                },
            };
            for kin in engine.next_of_kin(&parent)? {
                if found.len() < MOST && seen.insert(kin.run_id.clone()) {
                    parents.push_back((kin.root.clone(), kin.run_id.clone()));
                    found.push(kin);
                }
            }
        }
        Ok(found)
    }

    /// Whether a run is below another one of this repository.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read.
    pub fn is_below(&self, run: &RunId, ancestor: &RunId) -> Result<bool, EngineError> {
        Ok(self.descendants(ancestor)?.iter().any(|kin| kin.run_id == *run))
    }

    /// How deep a run is: 0 for one that nobody started in the name of another, and for a session.
    #[must_use]
    pub fn depth(&self, run: &RunId) -> u32 {
        /// A chain that is longer was made by hand.
        const DEEPEST: u32 = 1000;
        let mut depth = 0;
        let mut next = Some(run.clone());
        // A run that was delegated knows; one that a person started below another counts its own.
        while let Some(run) = next {
            let Ok(spec) = self.journal().spec(&run) else { break };
            if let Some(grant) = &spec.grant {
                return depth + grant.depth;
            }
            depth += u32::from(spec.parent_run_id.is_some());
            next = spec.parent_run_id.filter(|_| depth < DEEPEST);
        }
        depth
    }

    fn next_of_kin(&self, parent: &RunId) -> Result<Vec<Kin>, EngineError> {
        let filter = Filter { parent: Some(parent.clone()), ..Filter::default() };
        let near = self.journal().list(&filter)?.into_iter().map(|row| Kin {
            root: self.root().to_owned(),
            run_id: row.run_id,
            status: row.status,
        });
        let mut kin: Vec<Kin> = near.collect();
        for far in self.journal().far_children(parent)? {
            let engine = Self::open(self.state(), &far.root, Access::Look);
            // One that never began is not there.
            let row = engine.ok().and_then(|engine| engine.journal().row(&far.run_id).ok());
            kin.extend(row.map(|row| Kin {
                root: far.root,
                run_id: row.run_id,
                status: row.status,
            }));
        }
        Ok(kin)
    }

    /// Asks a run, and every run below it that is not over, for the same; comes back when each has
    /// done it. What is refused below, because it is so already or is over, is no failure.
    ///
    /// # Errors
    ///
    /// What the run itself says; then nothing below it was asked.
    pub fn ask_family(
        &mut self,
        run: &RunId,
        request: &Request,
        actor: Actor,
        patience: Patience,
    ) -> Result<(Asked, Vec<RunId>), EngineError> {
        // The one above first, so that it starts nothing more while those below are asked.
        let asked = self.ask(run, request, actor, patience)?;
        let below = self.descendants(run)?;
        let state = self.state().to_owned();
        let each = |kin: &Kin| {
            let mut engine = Self::open(&state, &kin.root, Access::Look)?;
            engine.ask(&kin.run_id, request, actor, patience)
        };
        // Each may take its grace time, so that they are asked side by side.
        let reached = std::thread::scope(|scope| {
            let open = below.iter().filter(|kin| !kin.status.ended());
            let asked: Vec<_> = open.map(|kin| (kin, scope.spawn(move || each(kin)))).collect();
            let done = asked.into_iter().filter_map(|(kin, thread)| {
                matches!(thread.join(), Ok(Ok(_))).then(|| kin.run_id.clone())
            });
            done.collect()
        });
        Ok((asked, reached))
    }
}
