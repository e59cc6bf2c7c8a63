//! What is remembered of a change to Codex's config, so that it can be taken back.
//!
//! Only what was written and what it replaced is kept, and not the file: there may be secrets in it.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::written::{Entry, Splice, Written, still_says};

/// One entry in one config.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Memory {
    pub(crate) config: PathBuf,
    pub(crate) name: String,
    /// There was no config.
    pub(crate) made_file: bool,
    /// There was no folder for it.
    pub(crate) made_folder: bool,
    /// The text that was put in, where there was no entry before.
    pub(crate) block: Option<String>,
    pub(crate) settings: Vec<Setting>,
}

/// A setting that was changed, as TOML has its values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Setting {
    pub(crate) key: String,
    /// What it was; nothing where there was none.
    pub(crate) before: Option<String>,
    pub(crate) wrote: String,
}

impl Memory {
    /// With what is changed now. What somebody else wrote since is what was before.
    pub(crate) fn and(
        &self,
        now: Self,
        written: &Written,
        entry: &Entry<'_>,
        splices: &[Splice],
        text: &str,
    ) -> Self {
        let stands = |setting: &Setting| {
            entry.get(&setting.key).is_some_and(|item| still_says(item, &setting.wrote))
        };
        let ours = |key: &str| self.settings.iter().any(|it| it.key == key && stands(it));
        // Whoever registers the server again with `codex mcp add` replaces all of it.
        if self.block.is_some() && !(ours("required") && ours("env_vars")) {
            return now;
        }
        let mut settings = now.settings;
        for setting in &mut settings {
            let known = self.settings.iter().find(|known| known.key == setting.key);
            if let Some(known) = known.filter(|known| stands(known)) {
                setting.before.clone_from(&known.before);
            }
        }
        let untouched = |known: &&Setting| !settings.iter().any(|it| it.key == known.key);
        let untouched: Vec<Setting> = self.settings.iter().filter(untouched).cloned().collect();
        settings.splice(0..0, untouched);
        let block = self.block.as_ref().map(|block| {
            let at = written.text().find(block.as_str());
            let within = at.filter(|at| {
                let range = *at..at + block.len();
                splices.iter().all(|it| range.start <= it.at.start && it.at.end <= range.end)
            });
            let grown = |at: usize| at + block.len() + text.len() - written.text().len();
            within.and_then(|at| text.get(at..grown(at))).unwrap_or(block).to_owned()
        });
        Self { block, settings, ..self.clone() }
    }
}

/// All that is remembered.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Memories {
    registrations: Vec<Memory>,
}

/// The file, in the state folder.
fn path(state: &Path) -> PathBuf {
    state.join("registrations.json")
}

impl Memories {
    /// What is remembered in the state folder.
    pub(crate) fn read(state: &Path) -> io::Result<Self> {
        match fs::read(path(state)) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::from),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn of(&self, config: &Path, name: &str) -> Option<&Memory> {
        let is_it = |it: &&Memory| it.config == config && it.name == name;
        self.registrations.iter().find(is_it)
    }

    pub(crate) fn keep(&mut self, memory: Memory) {
        self.forget(&memory.config, &memory.name);
        self.registrations.push(memory);
    }

    pub(crate) fn forget(&mut self, config: &Path, name: &str) {
        self.registrations.retain(|it| it.config != config || it.name != name);
    }

    /// Writes all of it, or nothing.
    pub(crate) fn write(&self, state: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(state)?;
        let path = path(state);
        let new = path.with_extension(format!("json.{}", std::process::id()));
        let written = write_new(&new, &serde_json::to_vec_pretty(self)?);
        let written = written.and_then(|()| fs::rename(&new, &path));
        if written.is_err() {
            let _ = fs::remove_file(&new);
        }
        written
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
