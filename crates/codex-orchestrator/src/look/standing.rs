//! What is allowed for all runs of a repository.

use engine::Engine;
use model::Standing;
use serde::Serialize;

use crate::failure::Failure;

/// Something that a person has allowed for a repository.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct Entry {
    #[serde(flatten)]
    pub(crate) standing: Standing,
    /// What it is for, in words.
    pub(crate) what: String,
    /// `stands`, or `revoked`.
    status: &'static str,
    pub(crate) repo_root: String,
}

/// One that stands, or is revoked.
pub(crate) fn entry(engine: &Engine, standing: Standing, status: &'static str) -> Entry {
    let what = standing.subject.to_string();
    Entry { what, standing, status, repo_root: engine.root().display().to_string() }
}

/// What stands in that repository, the oldest first.
pub(crate) fn of(engine: &Engine) -> Result<Vec<Entry>, Failure> {
    let stand = engine.standing()?.into_iter();
    Ok(stand.map(|one| entry(engine, one, "stands")).collect())
}
