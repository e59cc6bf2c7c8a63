//! `completions`: for shells.

use std::io::{self, Write};

use clap_complete::Shell;

use super::Outcome;

/// Print the completions of a shell
///
/// For bash: `codex-orch completions bash > ~/.local/share/bash-completion/completions/codex-orch`
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let mut text = Vec::new();
    for name in ["codex-orch", "codex-orchestrator"] {
        clap_complete::generate(args.shell, &mut super::definition(), name, &mut text);
    }
    // A reader that has gone away is nobody's failure.
    let _ = io::stdout().lock().write_all(&text);
    Ok(())
}
