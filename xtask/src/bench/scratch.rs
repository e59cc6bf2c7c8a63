//! A repository to run in, with its own home, thrown away afterwards.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::Bench;

pub(super) struct Scratch {
    folder: PathBuf,
}

/// A pipeline of shell commands.
pub(super) fn pipeline(name: &str, commands: &[&str]) -> Value {
    let stages: Vec<_> = commands
        .iter()
        .enumerate()
        .map(|(index, command)| {
            let id = format!("s{}", index + 1);
            json!({ "kind": "command", "id": id, "title": id, "command": command })
        })
        .collect();
    json!({ "id": name, "title": name, "stages": stages })
}

impl Scratch {
    /// A fresh one with these pipelines, in the form that both tools read.
    pub(super) fn new(bench: &Bench, name: &str, pipelines: &[Value]) -> Result<Self, String> {
        let folder = bench.folder.join("scratch").join(name);
        if folder.exists() {
            std::fs::remove_dir_all(&folder).map_err(say)?;
        }
        let scratch = Self { folder };
        scratch.lay(pipelines)?;
        Ok(scratch)
    }

    fn lay(&self, pipelines: &[Value]) -> Result<(), String> {
        for folder in [self.repo(), self.state(), self.home()] {
            std::fs::create_dir_all(folder).map_err(say)?;
        }
        let file = json!({ "pipelines": pipelines }).to_string();
        std::fs::write(self.repo().join("codex.orchestrator.json"), file).map_err(say)?;
        let identity = ["-c", "user.name=bench", "-c", "user.email=bench@example.invalid"];
        self.git(&["init", "--quiet"])?;
        self.git(&["add", "--all"])?;
        self.git(&[&identity[..], &["commit", "--quiet", "--message", "pipelines"]].concat())
    }

    fn git(&self, arguments: &[&str]) -> Result<(), String> {
        let status = Command::new("git").args(arguments).current_dir(self.repo()).status();
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("`git {}` ended with {status}", arguments.join(" "))),
            Err(error) => Err(format!("`git` could not be started: {error}")),
        }
    }

    /// Sets where a command runs and what it takes for its home.
    pub(super) fn enter(&self, command: &mut Command) {
        command.current_dir(self.repo());
        for (key, _) in std::env::vars_os() {
            let name = key.to_string_lossy();
            if name.starts_with("CODEX_") || name.starts_with("MCP_") || name.starts_with("CARGO") {
                command.env_remove(&key);
            }
        }
        command
            .env("HOME", self.home())
            .env("CODEX_ORCHESTRATOR_HOME", self.state())
            .env("NO_COLOR", "1")
            .env_remove("CI");
    }

    pub(super) fn repo(&self) -> PathBuf {
        self.folder.join("repo")
    }

    pub(super) fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    fn home(&self) -> PathBuf {
        self.folder.join("home")
    }

    /// How many bytes the records of all runs here take, in the repository and beside it.
    pub(super) fn recorded(&self) -> u64 {
        [self.repo().join(".runs"), self.repo().join("out"), self.state(), self.home()]
            .iter()
            .map(|folder| bytes(folder))
            .sum()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now is removed before the next one of this name.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

fn say(error: std::io::Error) -> String {
    format!("a scratch repository could not be made: {error}")
}
