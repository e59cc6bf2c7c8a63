//! `open`: where a run works, and how to go on with its thread by hand.

use model::{CommandLine, RunId};
use serde::Serialize;

use super::{Common, Outcome};
use crate::{
    naming::RunArgs,
    render::{json, screen::Screen},
};

/// Say where a run works, and the command that goes on with its thread by hand
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    run: RunArgs,
}

/// What `open` prints as JSON.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct Document {
    run_id: RunId,
    /// The folder that it works in.
    folder: String,
    /// The branch of a work tree of its own.
    branch: Option<String>,
    /// Goes on with its thread by hand; none where it has none.
    command: Option<String>,
    /// Its runner is alive: by hand only one may go on with a thread at a time.
    live: bool,
}

pub(crate) fn run(args: &Args, common: &Common) -> Outcome {
    let (mut engine, run) = super::status::find_ours(&args.run, common)?;
    let snapshot = engine.snapshot(&run)?;
    let made = snapshot.run.tree();
    let folder = made.map_or(&snapshot.spec.repo.worktree, |made| &made.path).clone();
    let thread = snapshot.run.threads().find_map(|(_, thread)| thread.id.clone());
    let home = engine.codex_home(&snapshot.spec);
    let program = snapshot.spec.codex.as_ref().map_or("codex", |codex| codex.program.as_str());
    let command = thread.zip(home).map(|(thread, home)| {
        let words = |words: &[&str]| {
            CommandLine::Argv(words.iter().map(|&word| word.to_owned()).collect()).as_typed()
        };
        let home = home.to_string_lossy();
        format!(
            "{} && {}",
            words(&["cd", &folder]),
            words(&["env", &format!("CODEX_HOME={home}"), program, "resume", &thread])
        )
    });
    let document = Document {
        run_id: run,
        branch: made.map(|made| made.branch.clone()),
        folder,
        command,
        live: snapshot.live,
    };
    if common.json() {
        return json::write(&document);
    }
    let screen = Screen::out();
    screen.line(&document.folder);
    if let Some(branch) = &document.branch {
        screen.line(&format!("  branch: {branch}"));
    }
    match (&document.command, document.live) {
        (Some(_), true) => {
            screen.line("  its thread is at work; `codex-orch message` tells it more")
        }
        (Some(command), false) => screen.line(&format!("  go on:  {command}")),
        (None, _) => {}
    }
    Ok(())
}
