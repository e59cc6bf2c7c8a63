//! What holds in the end, and where each part of it is from.

use std::collections::BTreeMap;

use model::{CommandLine, ConfigFacts, Pipeline, Stage, StageBody, show_duration};
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};

use super::{Loaded, keys::preferences};

/// Where a preference may be said, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// In the program.
    BuiltIn,
    /// In the user's own file.
    User,
    /// In a file of the repository.
    Repo,
    /// In a variable.
    Environment,
    /// With `--config`.
    CommandLine,
}

impl Layer {
    /// Whether it is a person who speaks there. What stands in a repository or in a variable may be
    /// an agent's work.
    pub(super) fn is_a_persons(self) -> bool {
        match self {
            Self::BuiltIn | Self::User | Self::CommandLine => true,
            Self::Repo | Self::Environment => false,
        }
    }

    /// As an error speaks of it.
    pub(super) fn spoken(self) -> &'static str {
        match self {
            Self::BuiltIn => "the program",
            Self::User => "the user's file",
            Self::Repo => "a repository",
            Self::Environment => "the environment",
            Self::CommandLine => "the command line",
        }
    }

    /// As JSON has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BuiltIn => "built_in",
            Self::User => "user",
            Self::Repo => "repo",
            Self::Environment => "environment",
            Self::CommandLine => "command_line",
        }
    }
}

/// Where a preference is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The layer.
    pub layer: Layer,
    /// The file and line, the variable or the argument.
    pub place: String,
}

/// Where every preference is from when nothing is written.
pub(super) fn built_in() -> BTreeMap<String, Origin> {
    let origin = || Origin { layer: Layer::BuiltIn, place: "built in".to_owned() };
    preferences().map(|(table, key)| (format!("{}.{}", table.name, key.name), origin())).collect()
}

impl Loaded {
    /// Where each preference is from: `{"run.grace": {"layer": "repo", "place": "..."}}`.
    #[must_use]
    pub fn origins_json(&self) -> Json {
        let origin =
            |origin: &Origin| json!({"layer": origin.layer.as_str(), "place": origin.place});
        self.origins
            .iter()
            .map(|(name, from)| (name.clone(), origin(from)))
            .collect::<Map<_, _>>()
            .into()
    }

    /// The name of what holds: the same for the same preferences and pipelines, wherever they are
    /// written. It does not change when a line moves, nor when a file is split. SHA-256 in hex.
    #[must_use]
    pub fn hash(&self) -> String {
        let pipelines: Map<_, _> =
            self.pipelines().map(|one| (one.id.clone(), pipeline_json(one))).collect();
        let caps: Vec<_> = self.caps.iter().map(|one| json!([one.origin.from, one.caps])).collect();
        let mut all = json!({"effective": self.settings.to_json(), "pipelines": pipelines});
        // So that a config without caps has the name that it always had.
        if !caps.is_empty() {
            all["caps"] = caps.into();
        }
        let digest = Sha256::digest(all.to_string());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What a run keeps of the config that it was started with.
    #[must_use]
    pub fn facts(&self) -> ConfigFacts {
        ConfigFacts {
            effective: self.settings.to_json().into(),
            origins: self.origins_json().into(),
            hash: self.hash(),
            caps: self.caps.clone(),
            approvals: self.settings.approvals.clone(),
        }
    }

    /// All of it: what a run keeps, the pipelines with where they are from, notes and files.
    #[must_use]
    pub fn to_json(&self) -> Json {
        // What becomes of wishes is among what is in effect.
        let ConfigFacts { effective, origins, hash, caps, approvals: _ } = self.facts();
        let mut all = json!({"effective": effective, "origins": origins, "hash": hash});
        all["caps"] = json!(caps);
        let pipelines = self.pipelines().map(|pipeline| {
            let mut shown = pipeline_json(pipeline);
            shown["source"] = json!(pipeline.source.to_string());
            (pipeline.id.clone(), shown)
        });
        all["pipelines"] = pipelines.collect::<Map<_, _>>().into();
        let note = |note: &super::Note| json!({"place": note.place, "text": note.text});
        all["notes"] = self.notes.iter().map(note).collect();
        all["files"] = json!(self.files);
        all["for_codex"] = json!(self.for_codex);
        all
    }
}

/// A pipeline as it could be written.
fn pipeline_json(pipeline: &Pipeline) -> Json {
    let Pipeline { id: _, title, description, stages, max_parallel, caps, source: _ } = pipeline;
    written([
        ("title", title.as_ref().map(|title| json!(title))),
        ("description", description.as_ref().map(|text| json!(text))),
        ("max_parallel", max_parallel.map(|most| json!(most))),
        ("caps", caps.as_ref().map(|caps| json!(caps))),
        ("stages", Some(stages.iter().map(stage_json).collect())),
    ])
}

fn stage_json(stage: &Stage) -> Json {
    let Stage { id, title, needs, allow_failure, summary_hint, body, caps, source: _ } = stage;
    let (pipeline, command) = match body {
        StageBody::Codex(codex) => {
            let mut shown = serde_json::to_value(codex).unwrap_or_default();
            shown["id"] = json!(id);
            return shown;
        }
        StageBody::Pipeline(target) => (Some(target), None),
        StageBody::Command(command) => (None, Some(command)),
    };
    let line = command.map(|command| match &command.command {
        CommandLine::Shell(line) => json!(line),
        CommandLine::Argv(words) => json!(words),
    });
    let env = command.map(|command| &command.env).filter(|env| !env.is_empty());
    let retries = command.map(|command| command.retries).filter(|retries| *retries > 0);
    written([
        ("id", Some(json!(id))),
        ("title", title.as_ref().map(|title| json!(title))),
        ("pipeline", pipeline.map(|target| json!(target))),
        ("command", line),
        ("cwd", command.and_then(|command| command.cwd.as_ref()).map(|cwd| json!(cwd))),
        ("env", env.map(|env| json!(env))),
        (
            "timeout",
            command.and_then(|command| command.timeout).map(|limit| json!(show_duration(limit))),
        ),
        ("retries", retries.map(|retries| json!(retries))),
        ("needs", needs.as_ref().map(|needs| json!(needs))),
        ("allow_failure", allow_failure.then(|| json!(true))),
        ("summary_hint", summary_hint.as_ref().map(|hint| json!(hint))),
        ("caps", caps.as_ref().map(|caps| json!(caps))),
    ])
}

/// The keys that say something.
fn written<const KEYS: usize>(keys: [(&str, Option<Json>); KEYS]) -> Json {
    let said = keys.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    said.collect::<Map<_, _>>().into()
}
