//! Why something was not done with a work tree, and what to do about it.

use std::{io, path::PathBuf};

use crate::LeftOut;

/// Why it was not done. Nothing of the user's was changed, unless the text says so.
#[derive(Debug, thiserror::Error)]
pub enum WorktreeError {
    /// The folder is in no repository, or in one that has no work tree.
    #[error("`{}` is in no git work tree: {said}", .at.display())]
    NoGit {
        /// The folder.
        at: PathBuf,
        /// What git said.
        said: String,
    },
    /// There is no git.
    #[error("`git` could not be started: {0}")]
    NoProgram(io::Error),
    /// The branch has no commit, so there is nothing that a work tree could begin with.
    #[error("`{}` has no commit yet, and a work tree begins with one", .0.display())]
    Unborn(PathBuf),
    /// The place where the work tree should be is in the repository's own.
    #[error("`{}` is inside of `{}`, whose tools would search it", .folder.display(), .work_tree.display())]
    Inside {
        /// Where it should be.
        folder: PathBuf,
        /// The repository's own work tree.
        work_tree: PathBuf,
    },
    /// Something is there already that was not made here.
    #[error("`{0}` is there already, and is not of this run")]
    Taken(String),
    /// A run's name that cannot be a part of a branch and of a file's name.
    #[error("`{}` cannot name a work tree; names have letters, digits, `.`, `_` and `-`", .0.escape_debug())]
    BadName(String),
    /// There is no such thing of that run.
    #[error("there is no {what} of run {run}")]
    Missing {
        /// `work tree`, `snapshot`.
        what: &'static str,
        /// The run.
        run: String,
    },
    /// Its run may still be at work in it.
    #[error("run {0} is at work in its work tree")]
    Lives(String),
    /// A snapshot cannot hold all of it.
    #[error("not all of the work tree of run {run} can be held: {}", left(.left_out))]
    NotHeld {
        /// The run.
        run: String,
        /// What would be lost.
        left_out: Vec<LeftOut>,
    },
    /// Nothing else has what it holds.
    #[error("{what} is not taken away: {why}")]
    Held {
        /// What.
        what: String,
        /// Why.
        why: &'static str,
    },
    /// What ties the work tree to its repository is not as it was made.
    #[error("the work tree `{}` is not used any more: {why}", .folder.display())]
    Tampered {
        /// The work tree.
        folder: PathBuf,
        /// What was found.
        why: String,
    },
    /// The run's changes do not go together with what the checkout has. Nothing was written.
    #[error("{} would be in conflict: {}", counted(.files.len()), listed(.files))]
    Conflicts {
        /// Which files, and why each.
        files: Vec<Conflict>,
        /// The branch to merge by hand.
        branch: String,
    },
    /// Git did not do it.
    #[error("git did not do it (`{asked}`): {said}")]
    Git {
        /// What it was asked.
        asked: String,
        /// What it said.
        said: String,
    },
    /// A file or folder could not be read or written.
    #[error("{}: {source}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A file in which the changes of a run and those of a checkout do not go together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Relative to the work tree.
    pub path: PathBuf,
    /// The end of a sentence that begins with the path.
    pub why: &'static str,
}

impl WorktreeError {
    /// The next step, if there is one that is always right.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoGit { .. } => {
                Some("use `--here` to work in the folder itself, or `git init` and commit".into())
            }
            Self::NoProgram(_) => Some("install git, or use `--here`".into()),
            Self::Unborn(_) => {
                Some("make a first commit: `git add -A && git commit -m 'first commit'`".into())
            }
            Self::Inside { .. } => Some("choose a folder outside of the repository".into()),
            Self::Taken(what) => Some(format!("rename or remove `{what}`")),
            Self::Lives(run) => Some(format!("cancel it first: `codex-orch cancel {run}`")),
            Self::NotHeld { .. } => {
                Some("save what you want of that, and discard the rest with `--force`".into())
            }
            Self::Conflicts { branch, .. } => {
                Some(format!("commit or stash your own changes and run `git merge {branch}`"))
            }
            _ => None,
        }
    }

    /// A file's trouble.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}

fn counted(count: usize) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}

fn listed(conflicts: &[Conflict]) -> String {
    first(
        conflicts.iter().map(|conflict| format!("`{}` {}", conflict.path.display(), conflict.why)),
    )
}

fn left(left_out: &[LeftOut]) -> String {
    first(left_out.iter().map(|entry| format!("{}: {}", entry.what, entry.why)))
}

/// The first few, and how many more there are.
fn first(mut all: impl ExactSizeIterator<Item = String>) -> String {
    const SHOWN: usize = 5;
    let shown = all.by_ref().take(SHOWN).collect::<Vec<_>>().join(", ");
    match all.len() {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
