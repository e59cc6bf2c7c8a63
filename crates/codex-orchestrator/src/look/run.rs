//! One run, as it stands.

use std::path::Path;

use engine::Snapshot;
use model::StageStatus;
use serde::Serialize;
use store::Manifest;

use crate::failure::FailureKind;

/// What `status` prints as JSON: the manifest, and what is known beyond it.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct Document {
    #[serde(flatten)]
    manifest: Manifest,
    /// The path of the manifest, relative to the repository.
    #[serde(rename = "manifest")]
    manifest_path: String,
    /// The repository.
    repo_root: String,
    /// Its runner is alive.
    live: bool,
    /// The record is of another user, another machine, or a copy: it is shown as it is.
    foreign: bool,
    /// The stages that are running.
    current_stages: Vec<String>,
    /// The exit code of a run that is over.
    exit_code: Option<u8>,
}

/// The run of that snapshot.
pub(crate) fn document(snapshot: &Snapshot) -> Document {
    let manifest = snapshot.manifest.clone();
    let running = manifest.commands.iter().filter(|entry| entry.status == StageStatus::Running);
    Document {
        current_stages: running.map(|entry| entry.id.clone()).collect(),
        manifest_path: snapshot.paths.relative("manifest.json"),
        repo_root: snapshot.spec.repo.root.clone(),
        live: snapshot.live,
        foreign: false,
        exit_code: match snapshot.run.status().wants_runner() {
            true => None,
            false => Some(FailureKind::of(&snapshot.run).map_or(0, FailureKind::code)),
        },
        manifest,
    }
}

/// A record that is not one of ours, which lies at `path`.
pub(crate) fn foreign(manifest: Manifest, path: String, root: &Path) -> Document {
    Document {
        manifest,
        manifest_path: path,
        repo_root: root.display().to_string(),
        live: false,
        foreign: true,
        current_stages: Vec::new(),
        exit_code: None,
    }
}
