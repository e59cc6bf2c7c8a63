//! `completions`: for shells.

use std::io::{self, Write};

use clap_complete::Shell;

use super::{Common, Outcome};
use crate::render::json;

/// Print the completions of a shell
///
/// For bash: `codex-orch completions bash > ~/.local/share/bash-completion/completions/codex-orch`
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(args: &Args, common: &Common) -> Outcome {
    let mut text = Vec::new();
    for name in ["codex-orch", "codex-orchestrator"] {
        clap_complete::generate(args.shell, &mut super::definition(), name, &mut text);
    }
    if common.json() {
        let script = String::from_utf8_lossy(&text);
        return json::write(
            &serde_json::json!({ "shell": args.shell.to_string(), "script": script }),
        );
    }
    // A reader that has gone away is nobody's failure.
    let _ = io::stdout().lock().write_all(&text);
    Ok(())
}
