//! Words in, words out: the command line of `codex-orchestrator`.
//!
//! Knows: commands and flags, the environment, config files' place, rendering, exit codes.
//! Does not know: how anything is done.

mod act;
mod caller;
mod cli;
mod failure;
mod leave;
mod look;
mod naming;
mod page;
mod registration;
mod render;
mod surroundings;

use std::process::ExitCode;

/// The program.
#[must_use]
pub fn main() -> ExitCode {
    // A guard is this program started by itself; it must stay as small as a process can be.
    supervise::become_guard_if_asked();
    cli::main()
}
