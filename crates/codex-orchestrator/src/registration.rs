//! The delegation server in Codex's config: finding it, entering it, taking it back, and proving
//! that it works.
//!
//! What Codex does with each of these settings was measured with version 0.169 of it.

pub(crate) mod codex;
pub(crate) mod enter;
pub(crate) mod file;
pub(crate) mod memory;
pub(crate) mod program;
pub(crate) mod proof;
pub(crate) mod server;
mod talk;
pub(crate) mod undo;
pub(crate) mod written;

#[cfg(test)]
mod stories;

/// The name that the documents call the server by.
pub(crate) const USUAL_NAME: &str = "delegation";

/// The command that serves, and its other name.
pub(crate) const SERVE: [&str; 2] = ["delegate-server", "delegation-server"];

/// What the program is called.
pub(crate) const PROGRAMS: [&str; 2] = ["codex-orchestrator", "codex-orch"];
