//! Where a repository begins, found without starting git.
//!
//! Git's environment (`GIT_DIR`, `GIT_WORK_TREE` and the like) is ignored on purpose: a run
//! belongs to the folder somebody stands in, also when it is started from a git hook, where
//! those variables speak of another repository more often than not.

use std::{
    ffi::OsStr,
    fs, io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

use crate::git::GitDirs;

/// A folder of a repository, and what it belongs to. Every path is absolute and has no symlinks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where the repository's records and settings are: its main work tree, also when standing
    /// in a linked one. Of a bare repository it is the bare folder, or what holds it when that
    /// folder is named `.git` or `.bare`. Without git it is the folder itself, or the nearest
    /// one above that has records or settings already.
    pub root: PathBuf,
    /// Where commands run: the work tree that the folder is in; without git, the root.
    pub work_tree: PathBuf,
    /// Git's own folders; `None` without git, and where a `.git` file leads nowhere.
    pub git: Option<GitDirs>,
}

/// Why a folder cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum LocateError {
    /// There is nothing of that name, or it may not be looked at.
    #[error("`{}` cannot be opened", .path.display())]
    Unreachable {
        /// As it was given.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file, a device or the like.
    #[error("`{}` is not a folder", .0.display())]
    NotAFolder(PathBuf),
}

/// Finds the repository that `from` is in.
///
/// `user_settings` is the user's own `orchestrator.toml`: with the usual `~/.codex` it has the
/// same place in the home folder that a repository's settings have in a repository, and must not
/// make a repository of the home folder.
pub fn locate(from: &Path, user_settings: Option<&Path>) -> Result<Place, LocateError> {
    let unreachable = |source| LocateError::Unreachable { path: from.to_owned(), source };
    let folder = fs::canonicalize(from).map_err(unreachable)?;
    let about = fs::metadata(&folder).map_err(unreachable)?;
    if !about.is_dir() {
        return Err(LocateError::NotAFolder(from.to_owned()));
    }
    let kept = folder.ancestors().find_map(|above| kept_by_git(above, about.uid()));
    Ok(kept.unwrap_or_else(|| without_git(&folder, about.uid(), user_settings)))
}

/// The place that `folder` makes for itself and all below it, if git keeps it.
fn kept_by_git(folder: &Path, visitor: u32) -> Option<Place> {
    let entry = folder.join(".git");
    match fs::metadata(&entry) {
        Ok(about) if planted(folder, &about, visitor) => None,
        Ok(about) if about.is_dir() => {
            let git = git_dirs(&entry)?;
            // A linked work tree has a file; a folder, also a symlink to one, is the main one's.
            Some(Place { root: folder.to_owned(), work_tree: folder.to_owned(), git: Some(git) })
        }
        Ok(about) if about.is_file() => {
            // A link that leads nowhere is a work tree copied without its repository, into a
            // container say. It is still a project.
            let git = linked_to(&entry).and_then(|git_dir| git_dirs(&git_dir));
            let root = match &git {
                Some(git) if git.is_linked() => main_of(&git.common_dir),
                _ => folder.to_owned(),
            };
            Some(Place { root, work_tree: folder.to_owned(), git })
        }
        _ => bare(folder, visitor),
    }
}

/// A folder that is git's own: a bare repository, or the inside of a `.git`.
fn bare(folder: &Path, visitor: u32) -> Option<Place> {
    let about = fs::symlink_metadata(folder.join("HEAD")).ok()?;
    if planted(folder, &about, visitor) {
        return None;
    }
    let git = git_dirs(folder)?;
    let root = main_of(&git.common_dir);
    Some(Place { work_tree: root.clone(), root, git: Some(git) })
}

/// Whether somebody else put `about` into a folder that everybody may write to, such as `/tmp`:
/// what it says is then nothing that the owner of a folder below should obey.
fn planted(folder: &Path, about: &fs::Metadata, visitor: u32) -> bool {
    const ANYBODY_WRITES: u32 = 0o002;
    about.uid() != visitor
        && fs::metadata(folder).is_ok_and(|folder| folder.mode() & ANYBODY_WRITES != 0)
}

/// Where a `.git` file points to.
fn linked_to(file: &Path) -> Option<PathBuf> {
    let text = fs::read(file).ok()?;
    let target = text.strip_prefix(b"gitdir: ")?;
    Some(file.parent()?.join(one_line(target)))
}

/// A path as git writes it into a file: everything but the line's end, since names may have
/// any other byte.
fn one_line(text: &[u8]) -> &Path {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    Path::new(OsStr::from_bytes(text.strip_suffix(b"\r").unwrap_or(text)))
}

/// Git's folders when `dir` is one, by the three things that git itself looks for.
fn git_dirs(dir: &Path) -> Option<GitDirs> {
    // Git may have made `HEAD` a symlink to a branch that has no commit yet.
    dir.join("HEAD").symlink_metadata().ok()?;
    let git_dir = fs::canonicalize(dir).ok()?;
    let common_dir = match fs::read(git_dir.join("commondir")) {
        Ok(text) => fs::canonicalize(git_dir.join(one_line(&text))).ok()?,
        Err(_) => git_dir.clone(),
    };
    let whole = common_dir.join("objects").is_dir() && common_dir.join("refs").exists();
    whole.then_some(GitDirs { git_dir, common_dir })
}

/// The main work tree of a repository, told from its git folder.
fn main_of(common_dir: &Path) -> PathBuf {
    // `.bare` beside the work trees made from it is a widespread custom.
    let hidden = matches!(common_dir.file_name(), Some(name) if name == ".git" || name == ".bare");
    match common_dir.parent() {
        Some(holder) if hidden => holder.to_owned(),
        _ => work_tree_setting(common_dir).unwrap_or_else(|| common_dir.to_owned()),
    }
}

/// `core.worktree`, by which a submodule's repository (`.git/modules/NAME`) knows its work tree.
fn work_tree_setting(common_dir: &Path) -> Option<PathBuf> {
    let settings = fs::read(common_dir.join("config")).ok()?;
    let mut in_core = false;
    let mut found = None;
    for line in settings.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii) {
        if let Some(section) = line.strip_prefix(b"[") {
            in_core = section.to_ascii_lowercase().starts_with(b"core]");
        } else if in_core
            && let Some(at) = line.iter().position(|&byte| byte == b'=')
            && line[..at].trim_ascii().eq_ignore_ascii_case(b"worktree")
        {
            found = Some(unquoted(line[at + 1..].trim_ascii()));
        }
    }
    let path = fs::canonicalize(common_dir.join(OsStr::from_bytes(&found?))).ok()?;
    path.is_dir().then_some(path)
}

/// A value of git's settings without its quotes and escapes.
fn unquoted(value: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(value.len());
    let mut bytes = value.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => {}
            b'\\' => plain.extend(bytes.next().map(|escaped| match escaped {
                b'n' => b'\n',
                b't' => b'\t',
                b'b' => 8,
                other => other,
            })),
            other => plain.push(other),
        }
    }
    plain
}

/// The place of a folder that git does not keep.
fn without_git(folder: &Path, visitor: u32, user_settings: Option<&Path>) -> Place {
    let user_settings = user_settings.and_then(|file| fs::canonicalize(file).ok());
    let marks = [".runs", ".codex/orchestrator.toml", "codex.orchestrator.json"];
    let marked = |above: &&Path| {
        marks.iter().any(|mark| {
            let mark = above.join(mark);
            let users = || user_settings.is_some() && fs::canonicalize(&mark).ok() == user_settings;
            fs::metadata(&mark).is_ok_and(|about| !planted(above, &about, visitor)) && !users()
        })
    };
    let root = folder.ancestors().find(marked).unwrap_or(folder).to_owned();
    Place { work_tree: root.clone(), root, git: None }
}
