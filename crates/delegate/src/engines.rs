//! The journals that calls look into: opened when they are needed, and kept.

use std::{
    collections::BTreeMap,
    ops::{Deref, DerefMut},
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

    /// Lends a journal of the repository.
    pub(crate) fn lend(&self, root: &Path, access: Access) -> Result<Lent<'_>, EngineError> {
        let idle = self.idle().get_mut(root).and_then(Vec::pop);
        // One that was opened to look may not find a journal that has to be made.
        let engine = match idle {
            Some(engine) => engine,
            None => Engine::open(&self.state, root, access)?,
        };
        Ok(Lent { of: self, root: root.to_owned(), engine: Some(engine) })
    }

    /// Lends a journal of the repository to `work`.
    pub(crate) fn with<T, E: From<EngineError>>(
        &self,
        root: &Path,
        access: Access,
        work: impl FnOnce(&mut Engine) -> Result<T, E>,
    ) -> Result<T, E> {
        work(&mut *self.lend(root, access)?)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, BTreeMap<PathBuf, Vec<Engine>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A journal that is lent, and comes back by itself.
#[derive(Debug)]
pub(crate) struct Lent<'a> {
    of: &'a Engines,
    root: PathBuf,
    /// Always there, until it goes back.
    engine: Option<Engine>,
}

impl Deref for Lent<'_> {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        self.engine.as_ref().expect("a journal that is lent is there")
    }
}

impl DerefMut for Lent<'_> {
    fn deref_mut(&mut self) -> &mut Engine {
        self.engine.as_mut().expect("a journal that is lent is there")
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut idle = self.of.idle();
        let idle = idle.entry(std::mem::take(&mut self.root)).or_default();
        if idle.len() < MOST_IDLE {
            idle.extend(self.engine.take());
        }
    }
}
