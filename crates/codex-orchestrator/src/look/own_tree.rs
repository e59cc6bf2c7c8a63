//! The work tree of a run.

use std::path::Path;

use engine::{Engine, Snapshot};
use model::{MadeTree, RunId};
use serde::Serialize;
use worktree::{LeftOut, Repo, Worktree, WorktreeError};

use crate::failure::{Failure, FailureKind};

/// A run with the work tree that was made for it.
pub(crate) struct OfRun {
    pub(crate) engine: Engine,
    pub(crate) run: RunId,
    pub(crate) snapshot: Snapshot,
    pub(crate) made: MadeTree,
    pub(crate) repo: Repo,
}

impl OfRun {
    /// That run, if it has one.
    pub(crate) fn of(mut engine: Engine, run: RunId) -> Result<Self, Failure> {
        let snapshot = engine.snapshot(&run)?;
        let Some(made) = snapshot.run.tree().cloned() else {
            let text = format!("run {} has no work tree of its own", run.tail());
            return Err(Failure::not_found(text)
                .hint("what it changed is where it worked; `git diff` shows that"));
        };
        let repo = Repo::at(Path::new(&snapshot.spec.repo.root)).map_err(failure)?;
        Ok(Self { engine, run, snapshot, made, repo })
    }

    /// Its work tree, if that is there.
    pub(crate) fn tree(&self) -> Result<Worktree, Failure> {
        Worktree::open(&self.repo, Path::new(&self.made.path)).map_err(|error| match error {
            WorktreeError::Missing { .. } => {
                let text = format!("the work tree of run {} was discarded", self.run.tail());
                let hint =
                    format!("`codex-orch discard --undo {}` brings it back", self.run.tail());
                Failure::not_found(text).hint(hint)
            }
            error => failure(error),
        })
    }
}

/// The same as a failure of ours.
pub(crate) fn failure(error: WorktreeError) -> Failure {
    let kind = match &error {
        WorktreeError::NoGit { .. } | WorktreeError::Unborn(_) | WorktreeError::BadName(_) => {
            FailureKind::Usage
        }
        WorktreeError::Missing { .. } => FailureKind::NotFound,
        WorktreeError::Lives(_)
        | WorktreeError::Held { .. }
        | WorktreeError::NotHeld { .. }
        | WorktreeError::Conflicts { .. }
        | WorktreeError::Inside { .. }
        | WorktreeError::Taken(_)
        | WorktreeError::Tampered { .. } => FailureKind::Conflict,
        WorktreeError::NoProgram(_) | WorktreeError::Git { .. } | WorktreeError::File { .. } => {
            FailureKind::Internal
        }
    };
    let hint = error.hint();
    Failure::new(kind, error).hint_if(hint)
}

/// What is there and was left out, as JSON has it.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct LeftOutEntry {
    pub(crate) what: String,
    pub(crate) why: String,
}

impl LeftOutEntry {
    pub(crate) fn all(left_out: &[LeftOut]) -> Vec<Self> {
        let one = |left: &LeftOut| Self { what: left.what.clone(), why: left.why.to_string() };
        left_out.iter().map(one).collect()
    }
}
