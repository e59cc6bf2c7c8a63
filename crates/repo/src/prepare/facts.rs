//! The repository and its settings as a run's record has them.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use model::{CodexFacts, ConfigFacts, Limits, Notify, Plan, PlannedBody, RepoFacts};

use crate::{
    config::Loaded,
    git::{self, Head},
    locate::Place,
};

/// How long `git status` may take before a run goes without knowing, where nobody waits for more
/// than the run.
pub const GIT_PATIENCE: Duration = Duration::from_secs(2);

/// What a run's spec has from its repository and the settings that hold there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The repository as it is.
    pub repo: RepoFacts,
    /// The settings as they are.
    pub config: ConfigFacts,
    /// What a person is to be told of it.
    pub notify: Option<Notify>,
    /// What its threads may use up.
    pub limits: Limits,
    /// How long a stage that is asked to end may take, in milliseconds.
    pub grace_ms: u64,
    /// The way its process trees are to be held.
    pub supervision: String,
}

/// A folder whose name is no text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the path {} is not UTF-8, and records are", .0.display())]
pub struct NotText(pub PathBuf);

/// Begins to find out whether there is uncommitted work, which takes as long as git takes: ask
/// first, and collect with [`facts`] last. `None` without git.
#[must_use]
pub fn ask_git(place: &Place) -> Option<git::Dirty> {
    place.git.as_ref().map(|_| git::dirty(&place.work_tree))
}

/// Collects what goes on record. Git's answer about uncommitted work is waited for no longer than
/// `patience`.
pub fn facts(
    place: &Place,
    loaded: &Loaded,
    asked: Option<git::Dirty>,
    patience: Duration,
) -> Result<Facts, NotText> {
    let head = place.git.as_ref().and_then(git::head);
    Ok(Facts {
        repo: RepoFacts {
            root: text(&place.root)?,
            worktree: text(&place.work_tree)?,
            branch: head.as_ref().and_then(Head::branch).map(ToOwned::to_owned),
            commit: head.as_ref().and_then(Head::commit).map(ToOwned::to_owned),
            dirty: asked.and_then(|asked| asked.within(patience)),
        },
        config: loaded.facts(),
        notify: loaded.notify(),
        limits: loaded.settings.limits.of_run(),
        grace_ms: u64::try_from(loaded.settings.run.grace.as_millis()).unwrap_or(u64::MAX),
        supervision: loaded.settings.supervision.rung.as_str().to_owned(),
    })
}

/// How the threads of that plan are run; nothing where it has none.
///
/// # Errors
///
/// When there is no home of Codex, or its name is no text.
pub fn codex_facts(plan: &Plan, loaded: &Loaded) -> Result<Option<CodexFacts>, NoCodexHome> {
    let is_codex = |body: &PlannedBody| matches!(body, PlannedBody::Codex(_));
    if !plan.stages.iter().any(|stage| is_codex(&stage.body)) {
        return Ok(None);
    }
    let home = loaded.users_home().ok_or(NoCodexHome)?;
    Ok(Some(CodexFacts {
        program: loaded.settings.codex.program.clone(),
        users_home: text(home).map_err(|_| NoCodexHome)?,
    }))
}

/// There is no folder with the user's settings and login for Codex.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no folder with Codex's settings and login; set HOME or CODEX_HOME")]
pub struct NoCodexHome;

fn text(path: &Path) -> Result<String, NotText> {
    path.to_str().map(ToOwned::to_owned).ok_or_else(|| NotText(path.to_owned()))
}
