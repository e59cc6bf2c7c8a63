//! A pipeline as somebody wrote it, or as it was recognised.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{CodexStage, StageId, caps::CapsLayer};

/// A named list of stages, before its sub-pipelines are put in their places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pipeline {
    /// The name it is started by.
    pub id: String,
    /// What people read instead of the id.
    pub title: Option<String>,
    /// What it is for, in a sentence.
    pub description: Option<String>,
    /// In the order they were written.
    pub stages: Vec<Stage>,
    /// How many stages may run at one time; `None` leaves it to the settings.
    pub max_parallel: Option<usize>,
    /// What its stages may do, as far as it says.
    pub caps: Option<Box<CapsLayer>>,
    /// Where it was written.
    pub source: Source,
}

/// One step of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Its name within the pipeline; never contains `/`.
    pub id: StageId,
    /// What people read instead of the id.
    pub title: Option<String>,
    /// The stages that must have succeeded before. `None`: the stage written just before it.
    pub needs: Option<Vec<StageId>>,
    /// Its failure is recorded and fails nothing else.
    pub allow_failure: bool,
    /// A sentence that stands in for its summary when it succeeds.
    pub summary_hint: Option<String>,
    /// What it does.
    pub body: StageBody,
    /// What it may do, as far as it says.
    pub caps: Option<Box<CapsLayer>>,
    /// Where it was written.
    pub source: Source,
}

/// What a stage does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StageBody {
    /// It runs a command.
    Command(CommandStage),
    /// It runs a Codex thread.
    Codex(Box<CodexStage>),
    /// It runs the pipeline of that id as part of the same run.
    Pipeline(String),
}

/// A command and how it is to be run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandStage {
    /// What is run.
    pub command: CommandLine,
    /// The folder it runs in, relative to the work tree; `None` is the work tree itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Added to the environment of the run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// It is stopped when it has run that long; time spent frozen does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// How often it is tried again after it failed.
    #[serde(default)]
    pub retries: u32,
}

impl CommandStage {
    /// A line for `sh -c` and nothing else said.
    #[must_use]
    pub fn shell(line: impl Into<String>) -> Self {
        Self::new(CommandLine::Shell(line.into()))
    }

    /// A command with nothing else said.
    #[must_use]
    pub fn new(command: CommandLine) -> Self {
        Self { command, cwd: None, env: BTreeMap::new(), timeout: None, retries: 0 }
    }
}

/// A command as written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandLine {
    /// A line for `sh -c`.
    Shell(String),
    /// A program and its arguments, run as they are.
    Argv(Vec<String>),
}

impl CommandLine {
    /// The command as one line that a person could type.
    #[must_use]
    pub fn as_typed(&self) -> String {
        match self {
            Self::Shell(line) => line.clone(),
            Self::Argv(words) => {
                words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
            }
        }
    }
}

/// A word as it would be typed at a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Where something was said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", tag = "from")]
pub enum Source {
    /// In a file of the repository.
    File {
        /// Relative to the repository when inside it.
        path: String,
        /// From 1.
        line: usize,
    },
    /// Recognised from a file of the repository, such as `Cargo.toml`.
    Recognised {
        /// The file that told, relative to the repository.
        path: String,
    },
    /// On the command line.
    CommandLine,
    /// In the program itself.
    BuiltIn,
}

impl std::fmt::Display for Source {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File { path, line } => write!(out, "{path}:{line}"),
            Self::Recognised { path } => write!(out, "recognised from {path}"),
            Self::CommandLine => out.write_str("command line"),
            Self::BuiltIn => out.write_str("built in"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_it_would_be_typed() {
        let argv = |words: &[&str]| {
            CommandLine::Argv(words.iter().map(|&word| word.to_owned()).collect()).as_typed()
        };
        assert_eq!(argv(&["cargo", "test", "--locked"]), "cargo test --locked");
        assert_eq!(argv(&["echo", "it's", ""]), r"echo 'it'\''s' ''");
    }
}
