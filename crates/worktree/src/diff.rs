//! What a run has changed, shown: from what it began with to what lies there now, committed or not.

use std::path::PathBuf;

use crate::{
    LeftOut, Worktree, WorktreeError,
    files::{self, size, split},
};

/// A file that a run has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Relative to the work tree.
    pub path: PathBuf,
    /// What happened to it.
    pub kind: ChangeKind,
    /// Lines that came and lines that went; `None` where it has no lines.
    pub lines: Option<(u64, u64)>,
}

/// What happened to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is gone.
    Deleted,
    /// It has other contents or other rights.
    Modified,
    /// It is something else now, a link say.
    Retyped,
    /// It had this name, and may have other contents as well.
    Renamed {
        /// The name that it had.
        from: PathBuf,
    },
}

/// All that a run has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// In the order of their names.
    pub files: Vec<Change>,
    /// What is there and no part of it.
    pub left_out: Vec<LeftOut>,
}

/// How things stand in a work tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// How many commits its branch has since it began.
    pub ahead: u64,
    /// How many files are not as they were when it began.
    pub changed: usize,
    /// How many files are not as they are committed.
    pub uncommitted: usize,
    /// What it takes on the disk, in bytes.
    pub size: u64,
}

/// Programs that settings name are not asked to show anything.
const PLAIN: [&str; 6] =
    ["diff-tree", "-r", "--no-ext-diff", "--no-textconv", "--no-color", "--find-renames"];

impl Worktree {
    /// The files that the run has changed.
    ///
    /// # Errors
    ///
    /// `Tampered`, when the work tree is no longer tied to its repository as it was made.
    pub fn changes(&self) -> Result<Changes, WorktreeError> {
        let (_scratch, content) = self.content()?;
        let files = self.files(self.base(), &content.tree)?;
        Ok(Changes { files, left_out: content.left_out })
    }

    /// The same as a patch that `git apply` takes, binary files included.
    ///
    /// # Errors
    ///
    /// `Tampered`, when the work tree is no longer tied to its repository as it was made.
    pub fn patch(&self) -> Result<Vec<u8>, WorktreeError> {
        let (_scratch, content) = self.content()?;
        let ask = [&PLAIN[..], &["-p", "--binary", self.base(), &content.tree]].concat();
        self.trees().ask(&ask)
    }

    /// How things stand.
    ///
    /// # Errors
    ///
    /// `Tampered`, when the work tree is no longer tied to its repository as it was made.
    pub fn state(&self) -> Result<State, WorktreeError> {
        let (_scratch, content) = self.content()?;
        let (tip, base) = (self.tip()?, self.base());
        let ahead = ["rev-list", "--count", &format!("{base}..{tip}")];
        let ahead = self.repo.refs().line(&ahead)?.parse().unwrap_or_default();
        Ok(State {
            ahead,
            changed: self.files(base, &content.tree)?.len(),
            uncommitted: self.files(&tip, &content.tree)?.len(),
            size: size(&self.folder),
        })
    }

    fn files(&self, from: &str, to: &str) -> Result<Vec<Change>, WorktreeError> {
        let git = self.trees();
        let kinds = git.ask(&[&PLAIN[..], &["-z", "--name-status", from, to]].concat())?;
        let lines = git.ask(&[&PLAIN[..], &["-z", "--numstat", from, to]].concat())?;
        let (mut kinds, mut lines) = (split(&kinds), split(&lines));
        let mut changes = Vec::new();
        while let (Some(kind), Some(path), Some(counts)) =
            (kinds.next(), kinds.next(), lines.next())
        {
            let mut path = files::path(path);
            let kind = match kind.first() {
                Some(b'A') => ChangeKind::Added,
                Some(b'D') => ChangeKind::Deleted,
                Some(b'T') => ChangeKind::Retyped,
                Some(b'R') => {
                    let to = kinds.next().map(files::path).unwrap_or_default();
                    let from = std::mem::replace(&mut path, to);
                    // Both names come after the numbers, as parts of their own.
                    let _ = (lines.next(), lines.next());
                    ChangeKind::Renamed { from }
                }
                _ => ChangeKind::Modified,
            };
            changes.push(Change { path, kind, lines: numbers(counts) });
        }
        Ok(changes)
    }
}

fn numbers(counts: &[u8]) -> Option<(u64, u64)> {
    let text = String::from_utf8_lossy(counts);
    let mut numbers = text.split('\t').map(|number| number.parse().ok());
    numbers.next()?.zip(numbers.next()?)
}
