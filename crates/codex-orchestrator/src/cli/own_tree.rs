//! The work tree of a run, for the commands that show it, apply it and throw it away.

use std::path::Path;

use engine::{Engine, Snapshot};
use model::{MadeTree, RunId};
use serde::Serialize;
use worktree::{LeftOut, Repo, Worktree, WorktreeError};

use super::Common;
use crate::{
    failure::{Failure, FailureKind},
    naming::RunArgs,
    render::screen::Screen,
};

/// A run with the work tree that was made for it.
pub(super) struct OfRun {
    pub(super) engine: Engine,
    pub(super) run: RunId,
    pub(super) snapshot: Snapshot,
    pub(super) made: MadeTree,
    pub(super) repo: Repo,
}

impl OfRun {
    /// The run that is named, if it has one.
    pub(super) fn find(args: &RunArgs, common: &Common) -> Result<Self, Failure> {
        let (mut engine, run) = super::status::find_ours(args, common)?;
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
    pub(super) fn tree(&self) -> Result<Worktree, Failure> {
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
pub(super) fn failure(error: WorktreeError) -> Failure {
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
pub(super) struct LeftOutEntry {
    what: String,
    why: String,
}

impl LeftOutEntry {
    pub(super) fn all(left_out: &[LeftOut]) -> Vec<Self> {
        let one = |left: &LeftOut| Self { what: left.what.clone(), why: left.why.to_string() };
        left_out.iter().map(one).collect()
    }

    /// Says so, where people read.
    pub(super) fn tell(all: &[Self]) {
        for left in all {
            Screen::error().line(&format!("note: left out {}: {}", left.what, left.why));
        }
    }
}
