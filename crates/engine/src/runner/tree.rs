//! The work tree of its own that a run works in: made before its first stage, and what its threads
//! change in it committed at the end of their turns.

use std::path::{Path, PathBuf};

use model::{Attempt, Event, OwnTree, Report, RunSpec, StageIndex, Step, ThreadReport};
use worktree::{Repo, Wish, Worktree, WorktreeError};

use super::{Message, Progress, Runner};
use crate::EngineError;

/// A work tree that was made, as far as a record has it.
#[derive(Debug)]
pub(super) struct Made {
    path: String,
    branch: String,
    base: String,
    /// What it lacks, for people.
    lacks: Vec<String>,
}

impl Runner<'_, '_, '_> {
    /// Whether everything is there that the first stage needs.
    pub(super) fn is_prepared(&self) -> bool {
        self.spec.own_tree.is_none() || self.run.tree().is_some()
    }

    /// Begins to make the work tree, if one is wanted and was not made in an earlier life. It takes
    /// as long as git takes; meanwhile the runner hears what it is asked.
    pub(super) fn prepare(&self) {
        let Some(own) = self.spec.own_tree.clone().filter(|_| !self.is_prepared()) else { return };
        let (spec, sender) = (self.spec.clone(), self.sender.clone());
        self.scope.spawn(move || {
            let made = make(&spec, &own).map_err(|error| with_hint(&error));
            let _ = sender.send(Message::Prepared(made));
        });
    }

    pub(super) fn hear_prepared(&mut self, made: Result<Made, String>) -> Result<(), EngineError> {
        match made {
            Ok(Made { path, branch, base, lacks }) => {
                for lack in lacks {
                    self.saw(&Progress::Trouble(format!("not in its work tree: {lack}")));
                }
                self.note(&Report::TreeMade { path, branch, base })
            }
            Err(error) => self.note(&Report::Unprepared { error }),
        }
    }

    /// Begins to commit what a thread has changed, where it works in a tree of its own. Says whether
    /// there is anything to wait for.
    pub(super) fn begin_commit(&self, stage: StageIndex, attempt: Attempt) -> bool {
        let Some(tree) = self.run.tree() else { return false };
        let (root, path) = (self.spec.repo.root.clone(), PathBuf::from(&tree.path));
        let title = self.spec.plan.stages[stage.get()].title.clone();
        let sender = self.sender.clone();
        self.scope.spawn(move || {
            let committed = commit(&root, &path, &title).map_err(|error| with_hint(&error));
            let _ = sender.send(Message::Committed(stage, attempt, committed));
        });
        true
    }

    /// Commits what threads changed in an earlier life of the run that did not come to do it. What
    /// the run is to go on with has to be there still.
    pub(super) fn commit_leftovers(&self) -> Result<Option<Event>, EngineError> {
        let Some(tree) = self.run.tree() else { return Ok(None) };
        let unfit = |error: WorktreeError| EngineError::Unfit(with_hint(&error));
        let Some((stage, _)) = self.run.threads().filter(|(_, thread)| thread.has_begun()).last()
        else {
            let repo = Repo::at(Path::new(&self.spec.repo.root)).map_err(unfit)?;
            Worktree::open(&repo, Path::new(&tree.path)).map_err(unfit)?;
            return Ok(None);
        };
        let title = &self.spec.plan.stages[stage.get()].title;
        let made = commit(&self.spec.repo.root, Path::new(&tree.path), title).map_err(unfit)?;
        let attempt = self.run.stage(stage).attempts();
        let step = Step::new(&self.spec.plan, stage, attempt);
        Ok(made.map(|commit| Event::WorkCommitted { step, commit }))
    }

    pub(super) fn hear_committed(
        &mut self,
        stage: StageIndex,
        attempt: Attempt,
        committed: Result<Option<String>, String>,
    ) -> Result<(), EngineError> {
        let Some(at) = self.live_at(stage, attempt) else { return Ok(()) };
        self.live[at].committed = true;
        match committed {
            Ok(Some(commit)) => {
                let report = ThreadReport::Committed { commit };
                self.note(&Report::Thread { stage, attempt, report })?;
            }
            Ok(None) => {}
            // The work lies in the tree all the same, and nothing removes it unseen.
            Err(error) => {
                let report = ThreadReport::NotCommitted { error };
                self.note(&Report::Thread { stage, attempt, report })?;
            }
        }
        self.part_over(at)
    }
}

fn make(spec: &RunSpec, own: &OwnTree) -> Result<Made, WorktreeError> {
    let repo = Repo::at(Path::new(&spec.repo.worktree))?;
    if own.of_another {
        return Ok(Made::of(&Worktree::open(&repo, Path::new(&own.path))?, &[]));
    }
    let made = worktree::make(
        &repo,
        &Wish {
            run: spec.run_id.as_str(),
            task: spec.task_id.as_str(),
            folder: Path::new(&own.path),
            with_changes: own.with_changes,
            carry: &own.carry,
        },
    )?;
    Ok(Made::of(&made.worktree, &made.left_out))
}

impl Made {
    fn of(tree: &Worktree, left_out: &[worktree::LeftOut]) -> Self {
        Self {
            path: tree.folder().to_string_lossy().into_owned(),
            branch: tree.branch().to_owned(),
            base: tree.base().to_owned(),
            lacks: left_out.iter().map(|left| format!("{}: {}", left.what, left.why)).collect(),
        }
    }
}

fn commit(root: &str, path: &Path, title: &str) -> Result<Option<String>, WorktreeError> {
    let repo = Repo::at(Path::new(root))?;
    Ok(Worktree::open(&repo, path)?.commit(title)?.commit)
}

fn with_hint(error: &WorktreeError) -> String {
    match error.hint() {
        None if matches!(error, WorktreeError::Missing { .. }) => {
            format!("{error}; `codex-orch discard --undo RUN` puts back what was discarded")
        }
        Some(hint) => format!("{error}; {hint}"),
        None => error.to_string(),
    }
}
