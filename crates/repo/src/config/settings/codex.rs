//! How Codex threads are run, and where.

use std::time::Duration;

use model::{CodexStage, CommandLine, Sandbox};

/// `[codex]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodexSettings {
    /// The program: a path, or a name that is looked up.
    pub program: String,
    /// The model of threads that name none.
    pub model: Option<String>,
    /// How hard threads think that do not say.
    pub effort: Option<String>,
    /// What Codex lets the commands of threads do that do not say.
    pub sandbox: Sandbox,
    /// A thread is stopped when that long nothing comes from it.
    pub idle: Duration,
    /// How often `verify` may fail before its stage does; at least 1.
    pub max_attempts: u32,
}

impl CodexSettings {
    /// Says what a stage does not say itself.
    pub(in crate::config) fn fill(&self, stage: &mut CodexStage) {
        stage.model = stage.model.take().or_else(|| self.model.clone());
        stage.effort = stage.effort.take().or_else(|| self.effort.clone());
        stage.sandbox.get_or_insert(self.sandbox);
        stage.idle.get_or_insert(self.idle);
        stage.max_attempts.get_or_insert(self.max_attempts);
    }
}

/// `[worktree]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorktreeSettings {
    /// Ignored files that come along.
    pub carry: Vec<String>,
    /// What is run in it first; recognised where this is not said.
    pub setup: Option<CommandLine>,
    /// Whether anything is.
    pub set_up: bool,
}
