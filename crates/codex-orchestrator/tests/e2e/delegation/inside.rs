//! A delegation server in a stage of a run, to be talked to from the test.

use std::path::{Path, PathBuf};

use nix::{sys::stat::Mode, unistd::mkfifo};
use serde_json::{Value, json};

use super::mcp::{Server, text};
use crate::scratch::Scratch;

/// The two pipes of a stage that talks.
pub(super) struct Pipes {
    ask: PathBuf,
    told: PathBuf,
}

impl Pipes {
    /// Makes them, for the run whose goal is that name.
    pub(super) fn of(scratch: &Scratch, name: &str) -> Self {
        Self::at(scratch.repo(), name)
    }

    /// The same in another repository.
    pub(super) fn at(repo: &Path, name: &str) -> Self {
        let pipe = |kind: &str| {
            let path = repo.join(format!("{kind}.{name}"));
            mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).expect("a pipe");
            path
        };
        Self { ask: pipe("ask"), told: pipe("told") }
    }

    /// Talks to the server in the stage, as soon as it has begun.
    pub(super) fn connect(&self) -> Server {
        Server::behind(&self.ask, &self.told)
    }
}

/// A run with a server in its first stage, spawned by a session.
pub(super) struct Talker {
    pub(super) run: String,
    pub(super) pipes: Pipes,
}

impl Talker {
    pub(super) fn spawn(scratch: &Scratch, parent: &mut Server, name: &str, more: Value) -> Self {
        let pipes = Pipes::of(scratch, name);
        let mut wish = json!({ "pipeline": "talks", "goal": name, "task_id": "demo" });
        let more = more.as_object().expect("an object").clone();
        wish.as_object_mut().expect("one").extend(more);
        let run = text(&parent.call("spawn", wish).given(), "run_id");
        Self { run, pipes }
    }
}
