//! What a run has changed in its work tree.

use model::RunId;
use serde::Serialize;
use worktree::{Change, ChangeKind};

use super::own_tree::{LeftOutEntry, OfRun, failure};
use crate::failure::Failure;

/// What `diff` prints as JSON.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct Document {
    run_id: RunId,
    /// Its work tree, branch, and the commit that it began with.
    pub(crate) worktree: model::MadeTree,
    pub(crate) files: Vec<FileEntry>,
    /// What is there and no part of it.
    pub(crate) left_out: Vec<LeftOutEntry>,
    /// As a patch; what is no text in it is replaced.
    pub(crate) patch: Option<String>,
}

/// A file that changed.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct FileEntry {
    pub(crate) path: String,
    /// `added`, `deleted`, `modified`, `retyped` or `renamed`.
    pub(crate) change: &'static str,
    /// The name that it had.
    pub(crate) from: Option<String>,
    /// Lines that came; none where it has no lines.
    pub(crate) added: Option<u64>,
    /// Lines that went.
    pub(crate) deleted: Option<u64>,
}

impl FileEntry {
    fn of(change: &Change) -> Self {
        let (word, from) = match &change.kind {
            ChangeKind::Added => ("added", None),
            ChangeKind::Deleted => ("deleted", None),
            ChangeKind::Modified => ("modified", None),
            ChangeKind::Retyped => ("retyped", None),
            ChangeKind::Renamed { from } => ("renamed", Some(from.display().to_string())),
        };
        Self {
            path: change.path.display().to_string(),
            change: word,
            from,
            added: change.lines.map(|(added, _)| added),
            deleted: change.lines.map(|(_, deleted)| deleted),
        }
    }
}

/// What that run has changed, with the patch if it is wanted.
pub(crate) fn document(of: OfRun, with_patch: bool) -> Result<Document, Failure> {
    let tree = of.tree()?;
    let changes = tree.changes().map_err(failure)?;
    let patch = match with_patch {
        true => Some(String::from_utf8_lossy(&tree.patch().map_err(failure)?).into_owned()),
        false => None,
    };
    Ok(Document {
        run_id: of.run,
        worktree: of.made,
        files: changes.files.iter().map(FileEntry::of).collect(),
        left_out: LeftOutEntry::all(&changes.left_out),
        patch,
    })
}
