//! The journals that calls look into: opened when they are needed, and kept.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use engine::{Access, Engine, EngineError};

/// Journals that nobody uses just now, by repository. Calls come several at once, and each has one
/// to itself.
#[derive(Debug)]
pub(crate) struct Engines {
    state: PathBuf,
    idle: Mutex<BTreeMap<PathBuf, Vec<Engine>>>,
}

/// As many idle journals of one repository are kept.
const MOST_IDLE: usize = 4;

impl Engines {
    pub(crate) fn new(state: PathBuf) -> Self {
        Self { state, idle: Mutex::default() }
    }

    pub(crate) fn state(&self) -> &Path {
        &self.state
    }

    /// Lends a journal of the repository to `work`.
    pub(crate) fn with<T, E: From<EngineError>>(
        &self,
        root: &Path,
        access: Access,
        work: impl FnOnce(&mut Engine) -> Result<T, E>,
    ) -> Result<T, E> {
        let idle = self.idle().get_mut(root).and_then(Vec::pop);
        // One that was opened to look may not find a journal that has to be made.
        let mut engine = match idle {
            Some(engine) => engine,
            None => Engine::open(&self.state, root, access)?,
        };
        let done = work(&mut engine);
        let mut idle = self.idle();
        let idle = idle.entry(root.to_owned()).or_default();
        if idle.len() < MOST_IDLE {
            idle.push(engine);
        }
        done
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, BTreeMap<PathBuf, Vec<Engine>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
