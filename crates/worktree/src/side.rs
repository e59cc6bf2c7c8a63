//! What is kept beside each work tree, out of reach of whoever works in it: a git folder of ours,
//! and the record of what was made.
//!
//! ```text
//! <trees>/<run>         the work tree
//! <trees>/<run>.git     the side: settings, index and patterns for our git
//!              /record  what was made, and how far it came
//! <trees>/.lock         held while a work tree is added or taken away
//! ```

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use crate::{
    WorktreeError,
    files::{self, split},
    names,
    repo::Repo,
};

/// What was made of a run, and how far it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) run: String,
    /// `codex-orch/<task>/<run>`.
    pub(crate) branch: String,
    /// What the run began with; its own changes are those since.
    pub(crate) base: String,
    /// Git's folder for all work trees, where it was when this was made.
    pub(crate) common: PathBuf,
    /// The name of its own folder within that.
    pub(crate) admin: String,
    pub(crate) stage: Stage,
    pub(crate) submodules: Vec<Submodule>,
}

/// How far it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nobody has worked in it: what is there of it can be taken away.
    Making,
    Whole,
    /// All of it is in this commit, and it is being taken away.
    Discarding(String),
}

/// A submodule that was filled from the repository's own copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Submodule {
    pub(crate) path: PathBuf,
    /// Where that copy has its objects.
    pub(crate) objects: PathBuf,
    /// What was taken from it.
    pub(crate) commit: String,
}

impl Record {
    pub(crate) fn read(side: &Path) -> Result<Option<Self>, WorktreeError> {
        let file = side.join("record");
        let bytes = match files::read(&file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(WorktreeError::file(file)(error)),
        };
        let damaged = || WorktreeError::file(&file)(std::io::Error::other("it is damaged"));
        Self::parse(&bytes).map(Some).ok_or_else(damaged)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut parts = split(bytes);
        let mut text = || Some(std::str::from_utf8(parts.next()?).ok()?.to_owned());
        let [run, branch, base, admin, stage] = [text()?, text()?, text()?, text()?, text()?];
        let common = files::path(parts.next()?);
        let stage = match stage.as_str() {
            "making" => Stage::Making,
            "whole" => Stage::Whole,
            other => Stage::Discarding(other.strip_prefix("discarding ")?.to_owned()),
        };
        let mut submodules = Vec::new();
        while let (Some(path), Some(objects)) = (parts.next(), parts.next()) {
            let commit = std::str::from_utf8(parts.next()?).ok()?.to_owned();
            let (path, objects) = (files::path(path), files::path(objects));
            submodules.push(Submodule { path, objects, commit });
        }
        Some(Self { run, branch, base, common, admin, stage, submodules })
    }

    pub(crate) fn write(&self, side: &Path) -> Result<(), WorktreeError> {
        let stage = match &self.stage {
            Stage::Making => "making".to_owned(),
            Stage::Whole => "whole".to_owned(),
            Stage::Discarding(snapshot) => format!("discarding {snapshot}"),
        };
        // Empty parts are not told apart from none.
        let admin = if self.admin.is_empty() { "-" } else { &self.admin };
        let head = [&self.run, &self.branch, &self.base, admin, &stage].map(OsStr::new);
        let mut parts = head.to_vec();
        parts.push(self.common.as_os_str());
        for submodule in &self.submodules {
            parts.extend([submodule.path.as_os_str(), submodule.objects.as_os_str()]);
            parts.push(OsStr::new(&submodule.commit));
        }
        let mut bytes = Vec::new();
        for part in parts {
            bytes.extend_from_slice(part.as_bytes());
            bytes.push(0);
        }
        files::replace(&side.join("record"), &bytes)
    }
}

/// Where the side of a work tree is.
pub(crate) fn beside(folder: &Path) -> PathBuf {
    let mut side = folder.as_os_str().to_owned();
    side.push(".git");
    PathBuf::from(side)
}

/// Makes a side in a folder that is not there yet, without its record.
pub(crate) fn fill(side: &Path, repo: &Repo) -> Result<(), WorktreeError> {
    let write = |name: &str, text: &[u8]| {
        fs::write(side.join(name), text).map_err(WorktreeError::file(side.join(name)))
    };
    for folder in ["refs", "objects", "info"] {
        fs::create_dir_all(side.join(folder)).map_err(WorktreeError::file(side.join(folder)))?;
    }
    write("HEAD", b"ref: refs/heads/none\n")?;
    write("config", repo.side_settings().as_bytes())?;
    // As they are now: what is written there later may come from whoever works in the work tree.
    write("info/exclude", &fs::read(repo.common_dir().join("info/exclude")).unwrap_or_default())?;
    if let Ok(text) = fs::read(repo.common_dir().join("info/attributes")) {
        write("info/attributes", &text)?;
    }
    if let Some(patterns) = repo.sparse_patterns() {
        write(
            "info/sparse-checkout",
            &fs::read(&patterns).map_err(WorktreeError::file(patterns))?,
        )?;
    }
    Ok(())
}

/// Held while the list of a repository's work trees changes. Git alone does not always bear many
/// that are made at once: it reads those of others that are half there.
pub(crate) fn alone(folder: &Path) -> Result<File, WorktreeError> {
    let file = folder.with_file_name(".lock");
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&file);
    let lock = lock.map_err(WorktreeError::file(&file))?;
    lock.lock().map_err(WorktreeError::file(&file))?;
    Ok(lock)
}

/// Git's folder for the work tree, if it is there and speaks of it.
pub(crate) fn admin(repo: &Repo, name: &str, folder: &Path) -> Option<PathBuf> {
    let admin = repo.common_dir().join("worktrees").join(name);
    (!name.is_empty() && speaks_of(&admin, folder)).then_some(admin)
}

/// Git's folders that speak of `folder` as their work tree.
pub(crate) fn admins(repo: &Repo, folder: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(repo.common_dir().join("worktrees")).into_iter().flatten().flatten();
    all.map(|entry| entry.path()).filter(|admin| speaks_of(admin, folder)).collect()
}

fn speaks_of(admin: &Path, folder: &Path) -> bool {
    let above = admin.parent().is_some_and(is_folder);
    let told = files::read(&admin.join("gitdir")).unwrap_or_default();
    let told = told.strip_suffix(b"\n").unwrap_or(&told);
    above && is_folder(admin) && told == folder.join(".git").as_os_str().as_bytes()
}

fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|about| about.is_dir())
}

/// Takes away a work tree and git's folder for it.
pub(crate) fn remove_tree(repo: &Repo, folder: &Path) -> Result<(), WorktreeError> {
    // The folder goes first: git's record of one that is half gone would be of no use.
    files::remove(folder)?;
    let _alone = alone(folder)?;
    for admin in admins(repo, folder) {
        files::remove(&admin)?;
    }
    Ok(())
}

/// Takes away what there is of a work tree but its branch and what refers to it.
pub(crate) fn remove(repo: &Repo, folder: &Path) -> Result<(), WorktreeError> {
    remove_tree(repo, folder)?;
    drop_side(folder)
}

/// Takes the side away: first as a whole, so that there is never one without its record.
fn drop_side(folder: &Path) -> Result<(), WorktreeError> {
    let (side, old) = (beside(folder), under_way(folder, "old"));
    files::remove(&old)?;
    match fs::rename(&side, &old) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(WorktreeError::file(side)(error));
        }
        _ => {}
    }
    files::remove(&old)
}

/// The name of a side that comes or goes.
pub(crate) fn under_way(folder: &Path, what: &str) -> PathBuf {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    folder.with_file_name(format!(".{what}-{name}"))
}

/// The run whose side this is, by its name.
pub(crate) fn run_of(side: &Path) -> Option<String> {
    let name = side.file_name()?.to_str()?.strip_suffix(".git")?;
    names::checked(name).ok().map(str::to_owned)
}
