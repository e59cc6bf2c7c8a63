//! `diff`: what a run has changed in its work tree.

use std::io::{self, Write};

use super::{Common, Outcome, own_tree};
use crate::{
    failure::{Failure, FailureKind},
    look::{self, own_tree::failure},
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

pub(crate) fn run(args: &Args, common: &Common) -> Outcome {
    let of = own_tree::find(&args.run, common)?;
    if !args.stat && !common.json() {
        let patch = of.tree()?.patch().map_err(failure)?;
        return match io::stdout().lock().write_all(&patch) {
            // Whoever reads has read enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written.map_err(|error| Failure::new(FailureKind::Internal, error)),
        };
    }
    let document = look::diff::document(of, !args.stat)?;
    if common.json() {
        return json::write(&document);
    }
    let screen = Screen::out();
    for file in &document.files {
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
    let count = human::count(document.files.len(), "file");
    screen.line(
        &screen.paint(Tone::Faint, &format!("{count} on branch {}", document.worktree.branch)),
    );
    own_tree::tell(&document.left_out);
    Ok(())
}
