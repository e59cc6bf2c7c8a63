//! `diff`: what a run has changed in its work tree.

use std::io::{self, Write};

use model::RunId;
use serde::Serialize;
use worktree::{Change, ChangeKind};

use super::{
    Common, Outcome,
    own_tree::{LeftOutEntry, OfRun, failure},
};
use crate::{
    failure::{Failure, FailureKind},
    naming::RunArgs,
    render::{
        human, json,
        screen::{Screen, Tone, harmless},
    },
};

/// Show what a run has changed in its work tree, committed or not
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    run: RunArgs,

    /// Only the files, with how many lines changed
    #[arg(long)]
    stat: bool,
}

const EXAMPLES: &str = "\
Examples:
  codex-orch diff 4f9a2c1b            as a patch, for `git apply`
  codex-orch diff 4f9a2c1b --stat     which files
  codex-orch apply 4f9a2c1b           take it over";

/// What `diff` prints as JSON.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct Document {
    run_id: RunId,
    /// Its work tree, branch, and the commit that it began with.
    worktree: model::MadeTree,
    files: Vec<FileEntry>,
    /// What is there and no part of it.
    left_out: Vec<LeftOutEntry>,
    /// As a patch; what is no text in it is replaced.
    patch: Option<String>,
}

/// A file that changed.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct FileEntry {
    path: String,
    /// `added`, `deleted`, `modified`, `retyped` or `renamed`.
    change: &'static str,
    /// The name that it had.
    from: Option<String>,
    /// Lines that came; none where it has no lines.
    added: Option<u64>,
    /// Lines that went.
    deleted: Option<u64>,
}

impl FileEntry {
    pub(crate) fn of(change: &Change) -> Self {
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

pub(crate) fn run(args: &Args, common: &Common) -> Outcome {
    let of = OfRun::find(&args.run, common)?;
    let tree = of.tree()?;
    if !args.stat && !common.json() {
        let patch = tree.patch().map_err(failure)?;
        return match io::stdout().lock().write_all(&patch) {
            // Whoever reads has read enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written.map_err(|error| Failure::new(FailureKind::Internal, error)),
        };
    }
    let changes = tree.changes().map_err(failure)?;
    let files: Vec<FileEntry> = changes.files.iter().map(FileEntry::of).collect();
    let left_out = LeftOutEntry::all(&changes.left_out);
    if common.json() {
        let patch = match args.stat {
            true => None,
            false => Some(String::from_utf8_lossy(&tree.patch().map_err(failure)?).into_owned()),
        };
        let (run_id, worktree) = (of.run, of.made);
        return json::write(&Document { run_id, worktree, files, left_out, patch });
    }
    let screen = Screen::out();
    for file in &files {
        let lines = match (file.added, file.deleted) {
            (Some(added), Some(deleted)) => format!("+{added} -{deleted}"),
            _ => "binary".to_owned(),
        };
        let from = file.from.as_ref().map_or(String::new(), |from| format!(" (was {from})"));
        screen.line(&format!(
            "{:<9} {}{}  {lines}",
            file.change,
            harmless(&file.path),
            harmless(&from)
        ));
    }
    let count = human::count(files.len(), "file");
    screen.line(&screen.paint(Tone::Faint, &format!("{count} on branch {}", of.made.branch)));
    LeftOutEntry::tell(&left_out);
    Ok(())
}
