//! Which run somebody means.

use std::path::{Path, PathBuf};

use engine::{Access, Engine, EngineError, foreign_manifest};
use model::{RunId, TaskId};
use store::{Filter, Found, HomeError, Manifest};

use crate::{failure::Failure, render::screen::quoted, surroundings::Surroundings};

/// The run of a command, as it was named.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct RunArgs {
    /// The run: its id, the tail or the beginning of it, or the path of its manifest; without
    /// one, the latest of the task or the repository
    #[arg(value_name = "RUN")]
    run: Option<String>,

    /// The same, for those who prefer a flag
    #[arg(long = "run", value_name = "RUN", conflicts_with = "run")]
    run_flag: Option<String>,

    /// The latest run of that task
    #[arg(long, value_name = "ID")]
    task: Option<String>,
}

/// A run that was found.
pub(crate) enum Named {
    /// One of ours.
    Ours(Box<Engine>, RunId),
    /// Somebody else's: only its manifest can be shown.
    Foreign(Box<Manifest>, PathBuf),
}

impl RunArgs {
    /// A run named by a word.
    pub(crate) fn word(word: &str) -> Self {
        Self { run: Some(word.to_owned()), ..Self::default() }
    }

    /// The latest run of that task, or of all.
    pub(crate) fn latest_of(task: Option<&str>) -> Self {
        Self { task: task.map(ToOwned::to_owned), ..Self::default() }
    }

    /// Finds the run.
    pub(crate) fn find(&self, here: &Surroundings) -> Result<Named, Failure> {
        let word = self.run.as_deref().or(self.run_flag.as_deref());
        match word {
            Some(word) if word.trim().is_empty() => {
                Err(Failure::usage("the name of a run is empty")
                    .hint("`codex-orch list` shows the runs there are"))
            }
            Some(word) if is_path(word) => by_path(Path::new(word), here),
            Some(word) => by_word(word, here),
            None => latest(self.task.as_deref(), here),
        }
    }

    /// Finds the run, which must be one of ours.
    pub(crate) fn find_ours(&self, here: &Surroundings) -> Result<(Engine, RunId), Failure> {
        match self.find(here)? {
            Named::Ours(engine, run) => Ok((*engine, run)),
            Named::Foreign(manifest, path) => {
                let text = format!(
                    "run {} is not one of this user on this machine: its record at {} can only be looked at",
                    manifest.run_id.tail(),
                    path.display()
                );
                Err(Failure::new(crate::failure::FailureKind::Conflict, text)
                    .hint("`codex-orch status` with that path shows it"))
            }
        }
    }
}

/// Names of runs have no slash and no dot.
fn is_path(word: &str) -> bool {
    word.contains('/') || word.ends_with(".json")
}

fn by_word(word: &str, here: &Surroundings) -> Result<Named, Failure> {
    let engine = match here.engine(Access::Look) {
        Ok(engine) => engine,
        Err(error) => return foreign_by_word(word, here).ok_or_else(|| error.into()),
    };
    match engine.journal().find(word).map_err(EngineError::from)? {
        Found::One(run) => Ok(Named::Ours(Box::new(engine), run)),
        Found::None => foreign_by_word(word, here).ok_or_else(|| no_such_run(word, &engine)),
        Found::Many(runs) => {
            let shown: Vec<&str> = runs.iter().take(5).map(RunId::as_str).collect();
            let text = format!("{} may be any of {}", quoted(word), shown.join(", "));
            Err(Failure::not_found(text).hint("give more of the id, or its tail"))
        }
    }
}

fn no_such_run(word: &str, engine: &Engine) -> Failure {
    let rows = engine.journal().list(&Filter { limit: Some(200), ..Filter::default() });
    let tails = rows.unwrap_or_default();
    let near = tails
        .iter()
        .map(|row| row.run_id.tail())
        .filter(|tail| strsim::damerau_levenshtein(tail, word) <= 2)
        .min_by_key(|tail| strsim::damerau_levenshtein(tail, word));
    let hint = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`codex-orch list` shows the runs there are".to_owned(),
    };
    Failure::not_found(format!("there is no run {} here", quoted(word))).hint(hint)
}

/// A run whose record is in the repository and in no journal of ours.
fn foreign_by_word(word: &str, here: &Surroundings) -> Option<Named> {
    let runs = here.place.root.join(".runs");
    let mut found = Vec::new();
    for task in std::fs::read_dir(runs).ok()?.filter_map(Result::ok) {
        let Ok(entries) = std::fs::read_dir(task.path().join("cli")) else { continue };
        for run in entries.filter_map(Result::ok) {
            let name = run.file_name().to_string_lossy().into_owned();
            let tail = name.parse::<RunId>().is_ok_and(|run| run.tail().starts_with(word));
            if tail || name.starts_with(word) {
                found.push(run.path().join("manifest.json"));
            }
        }
    }
    let [path] = found.as_slice() else { return None };
    let manifest = foreign_manifest(path).ok()?;
    Some(Named::Foreign(Box::new(manifest), path.clone()))
}

fn latest(task: Option<&str>, here: &Surroundings) -> Result<Named, Failure> {
    let task: Option<TaskId> = match task {
        Some(text) => Some(text.parse().map_err(Failure::usage)?),
        None => match std::env::var(crate::surroundings::TASK_VARIABLE) {
            Ok(text) if !text.is_empty() => Some(text.parse().map_err(Failure::usage)?),
            _ => None,
        },
    };
    let engine = here.engine(Access::Look)?;
    let filter = Filter { task: task.clone(), limit: Some(1), ..Filter::default() };
    let rows = engine.journal().list(&filter).map_err(EngineError::from)?;
    match (rows.into_iter().next(), task) {
        (Some(row), _) => Ok(Named::Ours(Box::new(engine), row.run_id)),
        (None, Some(task)) => Err(Failure::not_found(format!("task `{task}` has no runs here"))
            .hint("`codex-orch list` shows the runs there are")),
        (None, None) => Err(EngineError::Home(HomeError::Unknown(here.place.root.clone())).into()),
    }
}

/// The repositories that a manifest may be of: by where it is, by how it was written, for `.runs`
/// may be a link to a larger disk, and the one we are in.
fn roots(file: &Path, written: &Path, here: &Surroundings) -> Vec<PathBuf> {
    let above = |path: &Path| path.ancestors().nth(5)?.canonicalize().ok();
    let written = std::path::absolute(written).ok();
    let written = written.and_then(|path| match path.is_dir() {
        true => above(&path.join("manifest.json")),
        false => above(&path),
    });
    let mut roots: Vec<PathBuf> = above(file).into_iter().chain(written).collect();
    roots.push(here.place.root.clone());
    roots.dedup();
    roots
}

/// `<repo>/.runs/<task>/cli/<run>/manifest.json`, or its folder.
fn by_path(path: &Path, here: &Surroundings) -> Result<Named, Failure> {
    const LONGEST: usize = 4096;
    let shown = || quoted(&path.to_string_lossy());
    if path.as_os_str().len() > LONGEST {
        return Err(Failure::usage(format!("the path {} is too long", shown())));
    }
    let given = [path.to_owned(), here.place.root.join(path)];
    let file = given
        .iter()
        .map(|path| if path.is_dir() { path.join("manifest.json") } else { path.clone() })
        .find_map(|path| path.canonicalize().ok());
    let Some(file) = file else {
        // The record was deleted; the run may still be known by the name of its folder.
        return match path.iter().rev().find_map(|part| part.to_str()?.parse::<RunId>().ok()) {
            Some(run) => by_word(run.as_str(), here),
            None => Err(Failure::not_found(format!("there is no manifest at {}", shown()))),
        };
    };
    let manifest = foreign_manifest(&file)
        .map_err(|error| Failure::usage(format!("{} cannot be read: {error}", shown())))?;
    let ours = roots(&file, path, here).into_iter().find_map(|root| {
        let engine = Engine::open(&here.state, &root, Access::Look).ok()?;
        let own = engine.paths(&manifest.task_id, &manifest.run_id).manifest();
        let known = engine.journal().row(&manifest.run_id).is_ok();
        // Another one may lie where it points to, or it may be a copy that lies elsewhere.
        (known && own.canonicalize().is_ok_and(|own| own == file)).then_some(engine)
    });
    Ok(match ours {
        Some(engine) => Named::Ours(Box::new(engine), manifest.run_id),
        None => Named::Foreign(Box::new(manifest), file),
    })
}
