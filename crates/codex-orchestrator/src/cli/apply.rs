//! `apply`: what a run has changed, brought into the checkout.

use model::RunId;
use serde::Serialize;

use super::{Common, Outcome, own_tree};
use crate::{
    look::own_tree::{LeftOutEntry, failure},
    naming::RunArgs,
    render::{
        human, json,
        screen::{Screen, harmless},
    },
};

/// Bring what a run has changed into your work tree, as uncommitted work: all of it or nothing
///
/// What you have changed yourself stays; where both do not go together nothing is written, and it
/// says which files those are. `git merge BRANCH` is the other way.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    run: RunArgs,

    /// Take back what was brought last; what you did since stays
    #[arg(long)]
    undo: bool,
}

/// What `apply` prints as JSON.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct Document {
    run_id: RunId,
    /// It was taken back.
    undone: bool,
    /// What was written, relative to the work tree.
    files: Vec<String>,
    /// A commit of what was there before.
    before: Option<String>,
    left_out: Vec<LeftOutEntry>,
}

pub(crate) fn run(args: &Args, common: &Common) -> Outcome {
    let of = own_tree::find(&args.run, common)?;
    let tree = of.tree()?;
    let applied = match args.undo {
        true => tree.unapply(),
        false => tree.apply(),
    };
    let applied = applied.map_err(failure)?;
    let document = Document {
        run_id: of.run,
        undone: args.undo,
        files: applied.files.iter().map(|path| path.display().to_string()).collect(),
        before: applied.before,
        left_out: LeftOutEntry::all(&applied.left_out),
    };
    if common.json() {
        return json::write(&document);
    }
    let screen = Screen::out();
    for file in &document.files {
        screen.line(&format!("  {}", harmless(file)));
    }
    let tail = document.run_id.tail();
    let said = match (document.files.len(), args.undo) {
        (0, false) => "everything of it is here already".to_owned(),
        (0, true) => "nothing was left to take back".to_owned(),
        (count, false) => format!(
            "{} changed; `codex-orch apply --undo {tail}` takes it back",
            human::count(count, "file")
        ),
        (count, true) => format!("{} as before", human::count(count, "file")),
    };
    screen.line(&said);
    own_tree::tell(&document.left_out);
    Ok(())
}
