//! `discard`: a run's work tree, thrown away and kept all the same.

use std::path::Path;

use model::RunId;
use serde::Serialize;
use worktree::Discard;

use super::{Common, Outcome, own_tree};
use crate::{
    look::own_tree::{LeftOutEntry, failure},
    naming::RunArgs,
    render::{
        json,
        screen::{Screen, Tone},
    },
};

/// Remove a run's work tree and branch; a snapshot keeps what was in them
///
/// `--undo` brings them back from it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    run: RunArgs,

    /// Bring them back
    #[arg(long, conflicts_with = "yes")]
    undo: bool,

    /// Do it; without this it says what would be removed
    #[arg(long, short)]
    yes: bool,

    /// Also what a snapshot cannot hold
    #[arg(long, requires = "yes")]
    force: bool,
}

/// What `discard` prints as JSON.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct Document {
    run_id: RunId,
    /// `would_discard`, `discarded` or `restored`.
    outcome: &'static str,
    folder: String,
    branch: String,
    /// The commit that keeps what was in them.
    snapshot: Option<String>,
    left_out: Vec<LeftOutEntry>,
}

pub(crate) fn run(args: &Args, common: &Common) -> Outcome {
    let of = own_tree::find(&args.run, common)?;
    let ignored = &of.snapshot.spec.own_tree.as_ref().map_or(Vec::new(), |own| own.carry.clone());
    let (outcome, snapshot, left_out) = match (args.undo, args.yes) {
        (true, _) => {
            let folder = Path::new(&of.made.path);
            let made = worktree::restore(&of.repo, of.run.as_str(), folder).map_err(failure)?;
            ("restored", None, made.left_out)
        }
        (false, true) => {
            let lives = of.snapshot.live || of.engine.is_alive(&of.run)?;
            let how = Discard { lives, ignored, anyway: args.force };
            let discarded = of.tree()?.discard(&how).map_err(failure)?;
            ("discarded", Some(discarded.snapshot.commit), discarded.snapshot.left_out)
        }
        (false, false) => {
            let _ = of.tree()?;
            ("would_discard", None, Vec::new())
        }
    };
    let document = Document {
        run_id: of.run,
        outcome,
        folder: of.made.path,
        branch: of.made.branch,
        snapshot,
        left_out: LeftOutEntry::all(&left_out),
    };
    if common.json() {
        return json::write(&document);
    }
    let screen = Screen::out();
    let tail = document.run_id.tail();
    let (folder, branch) = (&document.folder, &document.branch);
    match outcome {
        "restored" => screen.line(&format!("{folder} is back, on branch {branch}")),
        "discarded" => {
            screen.line(&format!("removed {folder} and branch {branch}"));
            screen.line(&format!("  `codex-orch discard --undo {tail}` brings them back"));
        }
        _ => {
            screen.line(&format!("would remove {folder} and branch {branch}"));
            screen
                .line(&screen.paint(Tone::Strong, "  `--yes` does it; a snapshot keeps the work"));
        }
    }
    own_tree::tell(&document.left_out);
    Ok(())
}
