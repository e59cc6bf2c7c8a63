//! Whether a plan is what was committed, or what somebody has made of it since.
//!
//! Whoever can write into a repository and cannot run what they like, such as a session in a
//! sandbox, could write a pipeline and have it run outside. What is in the commit was there before
//! they came, or was looked at by whoever committed it.

mod diff;
mod digest;

use std::{collections::BTreeSet, ffi::OsStr, time::Duration};

use model::{Plan, PlannedBody};

use crate::{
    config::{self, Inputs, LARGEST, Layer, Loaded, OLDER_REPO_FILE, REPO_FILE, load_by, text_of},
    git::{self, GitDirs},
    locate::Place,
    prepare, survey,
};

pub use digest::plan_digest;

/// How a plan stands to what is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Committed {
    /// The commit says the same.
    Same,
    /// It is what is recognised in any repository, and written in none.
    BuiltIn,
    /// It is written in the user's own file, with all that it runs.
    FromUser,
    /// The commit says something else, or nothing.
    Differs {
        /// What has changed, for a person: a unified diff of the repository's config files, or of
        /// the plans where that would be too long. At most 8 KiB, in which case its last line says
        /// that there is more; nothing in it controls a terminal.
        diff: String,
    },
    /// There is no commit, or none that can be read.
    NoHead {
        /// Why, in a few words.
        why: String,
    },
}

/// How long git may take to say what is committed.
const PATIENCE: Duration = Duration::from_secs(5);

/// Compares a plan with the one that the commit would have given, which is the commit that is
/// checked out where the repository's config is: in its main work tree.
///
/// `plan` is what would be run, made by [`prepare::plan`] from `loaded`, and that from `inputs`;
/// nothing of the work tree is read again, so that what was compared is what runs. Compared is all
/// that a run does, not how it is written: a comment does not matter, a changed sub-pipeline does.
#[must_use]
pub fn committed(
    place: &Place,
    inputs: &Inputs<'_>,
    loaded: &Loaded,
    plan: &Plan,
    path: &OsStr,
) -> Committed {
    let is_recognised = |name: &str| name == survey::PIPELINE && loaded.layer(name).is_none();
    if is_recognised(&plan.pipeline) {
        return Committed::BuiltIn;
    }
    let is_the_users = |name: &str| loaded.layer(name) == Some(Layer::User);
    if is_the_users(&plan.pipeline)
        && pipelines(plan).into_iter().all(|name| is_the_users(name) || is_recognised(name))
    {
        return Committed::FromUser;
    }
    let texts = match Texts::at_head(place) {
        Ok(texts) => texts,
        Err(why) => return Committed::NoHead { why },
    };
    let before = load_by(inputs, |file| texts.read(file)).ok().and_then(|before| {
        let mut before =
            prepare::plan_without_prompts(place, &before, &plan.pipeline, path).ok()?;
        prepare::read_prompts(&mut before, |file| texts.prompt(file)).ok()?;
        Some(before)
    });
    if before.as_ref().is_some_and(|before| plan_digest(before) == plan_digest(plan)) {
        return Committed::Same;
    }
    let plans = diff::Change {
        name: format!("plan of {}", plan.pipeline),
        before: before.as_ref().map(digest::shown),
        after: Some(digest::shown(plan)),
    };
    Committed::Differs { diff: diff::of(&texts.changes(loaded), &plans) }
}

/// How the repository's settings and caps differ from those that are committed, for a person; nothing
/// where they come to the same. Whoever may not run what they like must not say either what is kept
/// from what they may run.
#[must_use]
pub fn changed_settings(place: &Place, inputs: &Inputs<'_>, loaded: &Loaded) -> Option<String> {
    let is_written = [REPO_FILE, OLDER_REPO_FILE].iter().any(|file| loaded.text(file).is_some());
    let texts = match Texts::at_head(place) {
        Ok(texts) => texts,
        Err(why) => return is_written.then(|| format!("(nothing to compare it with: {why})")),
    };
    let before = load_by(inputs, |file| texts.read(file)).ok();
    // From its texts once more, since whoever asks may have been narrowed since they were read.
    let now = load_by(inputs, |file| Ok(loaded.text(file).map(str::to_owned))).ok();
    if before.as_ref().zip(now.as_ref()).is_some_and(|(before, now)| says_the_same(before, now)) {
        return None;
    }
    let settings = diff::Change {
        name: "settings".to_owned(),
        before: before.map(|before| format!("{:#?}", before.settings)),
        after: now.map(|now| format!("{:#?}", now.settings)),
    };
    Some(diff::of(&texts.changes(loaded), &settings))
}

/// The same settings and caps, wherever in their files they stand.
fn says_the_same(before: &Loaded, now: &Loaded) -> bool {
    let said = |loaded: &Loaded| -> Vec<_> {
        loaded.caps.iter().map(|layer| (layer.origin.from, layer.caps.clone())).collect()
    };
    before.settings == now.settings && said(before) == said(now)
}

/// The pipelines that stand in a plan.
fn pipelines(plan: &Plan) -> BTreeSet<&str> {
    let within = plan.stages.iter().filter_map(|stage| match &stage.body {
        PlannedBody::Pipeline(name) => Some(name.as_str()),
        PlannedBody::Command(_) | PlannedBody::Codex(_) => None,
    });
    within.chain([plan.pipeline.as_str()]).collect()
}

/// The repository's config files as they are committed, and where the other files are.
struct Texts {
    configs: Vec<(&'static str, Option<Vec<u8>>)>,
    common_dir: std::path::PathBuf,
    commit: String,
}

impl Texts {
    fn at_head(place: &Place) -> Result<Self, String> {
        let Some(git) = &place.git else { return Err("this is not under git".to_owned()) };
        // Of the main work tree, also when standing in a linked one: the config is read there.
        let main = GitDirs { git_dir: git.common_dir.clone(), common_dir: git.common_dir.clone() };
        let Some(head) = git::head(&main) else {
            return Err("what is checked out cannot be told".to_owned());
        };
        let Some(commit) = head.commit() else {
            return Err("nothing is committed yet".to_owned());
        };
        let files = [REPO_FILE, OLDER_REPO_FILE];
        let blobs = git::blobs(&main.common_dir, commit, &files, 2 * LARGEST, PATIENCE);
        let blobs = blobs.map_err(|why| why.to_string())?;
        Ok(Self {
            configs: files.into_iter().zip(blobs).collect(),
            common_dir: main.common_dir.clone(),
            commit: commit.to_owned(),
        })
    }

    /// A prompt that stands in a file of its own.
    fn prompt(&self, file: &str) -> Result<Option<String>, String> {
        let blobs = git::blobs(&self.common_dir, &self.commit, &[file], 2 * LARGEST, PATIENCE);
        match blobs.map_err(|why| why.to_string())?.pop().flatten() {
            Some(bytes) => text_of(bytes, file).map(Some).map_err(|error| error.message),
            None => Ok(None),
        }
    }

    /// Each config file as it is committed and as it was read.
    fn changes(&self, loaded: &Loaded) -> Vec<diff::Change> {
        let files = self.configs.iter().map(|(file, bytes)| diff::Change {
            name: (*file).to_owned(),
            before: bytes.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned()),
            after: loaded.text(file).map(str::to_owned),
        });
        files.collect()
    }

    fn read(&self, file: &str) -> Result<Option<String>, config::ConfigError> {
        let found = self.configs.iter().find(|(name, _)| *name == file);
        match found.and_then(|(_, bytes)| bytes.clone()) {
            Some(bytes) => text_of(bytes, file).map(Some),
            None => Ok(None),
        }
    }
}
