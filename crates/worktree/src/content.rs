//! What a work tree holds, as a tree of git's: what is tracked and what would be, as it lies there.
//!
//! `git add` is not used: it starts git in every repository it finds within. Listing and updating
//! an index do the same work and start nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use crate::{
    WorktreeError,
    files::{self, Scratch, split},
    git::{Git, refused, words},
    repo::Repo,
};

/// Something that is not where one might look for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// What: `` `vendor/lib/` ``.
    pub what: String,
    /// Why, and what can be done.
    pub why: String,
}

impl LeftOut {
    pub(crate) fn path(path: &Path, why: impl Into<String>) -> Self {
        Self { what: format!("`{}`", path.display()), why: why.into() }
    }
}

/// A work tree's contents.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    /// The hash of the tree.
    pub(crate) tree: String,
    pub(crate) left_out: Vec<LeftOut>,
    /// Folders that are repositories of their own.
    pub(crate) nested: Vec<PathBuf>,
}

/// Whose submodules are seen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Submodules {
    /// The user's: which commit they have is a part of the contents.
    Follow,
    /// Those in a run's work tree are files of ours; a repository there is somebody's else.
    Keep,
}

/// Brings the index of `git` up to its work tree, and makes a tree of it.
pub(crate) fn of(
    git: &Git,
    folder: &Path,
    submodules: Submodules,
) -> Result<Content, WorktreeError> {
    let list = ["ls-files", "-z", "--modified", "--deleted", "--others", "--exclude-standard"];
    let said = git.ask(&list)?;
    // What is gone is listed twice.
    let paths: BTreeSet<&[u8]> = split(&said).collect();
    let mut content = Content { tree: String::new(), left_out: Vec::new(), nested: Vec::new() };
    let mut changed = Vec::new();
    for path in paths {
        let name = files::path(path);
        let is_folder = fs::symlink_metadata(folder.join(&name)).is_ok_and(|about| about.is_dir());
        if path.ends_with(b"/") {
            let why = "it is a repository of its own; commit there, or remove its `.git`";
            content.left_out.push(LeftOut::path(&name, why));
            content.nested.push(name);
        } else if is_folder && submodules == Submodules::Keep && is_submodule(git, path)? {
            let why = "it is a submodule that was given a repository here; its commit stays";
            content.left_out.push(LeftOut::path(&name, why));
            content.nested.push(name);
        } else {
            changed.push(path);
        }
    }
    let mut room = MOST_REFUSED;
    update(git, &changed, &mut room, &mut content.left_out)?;
    content.tree = git.line(&["write-tree"])?;
    Ok(content)
}

fn is_submodule(git: &Git, path: &[u8]) -> Result<bool, WorktreeError> {
    let path = files::path(path);
    let said =
        git.ask(&words([&"--literal-pathspecs", &"ls-files", &"-z", &"-s", &"--", &path]))?;
    Ok(said.starts_with(b"160000 "))
}

/// Takes more files into the index.
pub(crate) fn add(
    git: &Git,
    paths: &[PathBuf],
    left_out: &mut Vec<LeftOut>,
) -> Result<(), WorktreeError> {
    let paths: Vec<&[u8]> = paths.iter().map(|path| path.as_os_str().as_bytes()).collect();
    let mut room = MOST_REFUSED;
    update(git, &paths, &mut room, left_out)
}

const REFUSED: &str =
    "git does not take it: it cannot be read, or no repository may have that name";

/// With more files than these that git does not take, something else is wrong.
const MOST_REFUSED: usize = 50;

/// Takes `paths` into the index as they lie there, or out of it where they do not. Those that git
/// does not take, since they cannot be read or have a name that no repository may hold, are left
/// out and do not keep the others from it.
fn update(
    git: &Git,
    paths: &[&[u8]],
    room: &mut usize,
    left_out: &mut Vec<LeftOut>,
) -> Result<(), WorktreeError> {
    if paths.is_empty() {
        return Ok(());
    }
    let mut list = ["update-index", "-z", "--add", "--remove", "--replace"].to_vec();
    list.extend(["--ignore-skip-worktree-entries", "--stdin"]);
    let mut input = paths.join(&0);
    input.push(0);
    let output = git.outcome(&list, input)?;
    if output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let ignored = said.lines().filter_map(|line| line.strip_prefix("Ignoring path "));
        left_out.extend(ignored.map(|name| LeftOut::path(Path::new(name), REFUSED)));
        return Ok(());
    }
    // Git stops at the first that it does not take, and has then done nothing.
    if let [path] = paths {
        *room = room.checked_sub(1).ok_or_else(|| refused(&list, &output))?;
        left_out.push(LeftOut::path(&files::path(path), REFUSED));
        return Ok(());
    }
    let (one, other) = paths.split_at(paths.len() / 2);
    update(git, one, room, left_out)?;
    update(git, other, room, left_out)
}

/// What the user's own work tree holds. Their index is copied and not touched.
pub(crate) fn of_checkout(
    repo: &Repo,
    side: &Path,
    scratch: &Scratch,
) -> Result<(Git, Content), WorktreeError> {
    let git = repo.checkout(side, scratch)?;
    see_all(&git, repo.work_tree())?;
    let content = of(&git, repo.work_tree(), Submodules::Follow)?;
    Ok((git, content))
}

/// Lets git look at files that its user told it not to look at, where they are there.
fn see_all(git: &Git, folder: &Path) -> Result<(), WorktreeError> {
    let said = git.ask(&["ls-files", "-z", "-v"])?;
    let (mut unchanging, mut skipped) = (Vec::new(), Vec::new());
    for entry in split(&said) {
        let (Some(tag), Some(path)) = (entry.first(), entry.get(2..)) else { continue };
        if tag.is_ascii_lowercase() {
            unchanging.extend_from_slice(path);
            unchanging.push(0);
        }
        let there = || fs::symlink_metadata(folder.join(files::path(path))).is_ok();
        if tag.eq_ignore_ascii_case(&b'S') && there() {
            skipped.extend_from_slice(path);
            skipped.push(0);
        }
    }
    for (flag, paths) in [("--no-assume-unchanged", unchanging), ("--no-skip-worktree", skipped)] {
        if !paths.is_empty() {
            git.feed(&["update-index", "-z", flag, "--stdin"], paths)?;
        }
    }
    Ok(())
}

/// One file that is not the same in two trees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) path: PathBuf,
    /// Mode and hash, `100644 c0ffee`; `None` where there is none.
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
}

/// The files that are not the same in two trees, renames being one that goes and one that comes.
pub(crate) fn between(git: &Git, from: &str, to: &str) -> Result<Vec<Entry>, WorktreeError> {
    let said = git.ask(&["diff-tree", "-r", "-z", "--raw", "--no-renames", from, to])?;
    let mut parts = split(&said);
    let mut entries = Vec::new();
    while let (Some(about), Some(path)) = (parts.next(), parts.next()) {
        let about = String::from_utf8_lossy(about);
        let words: Vec<_> = about.trim_start_matches(':').split(' ').collect();
        let [from_mode, to_mode, from, to, _] = words[..] else { continue };
        let there = |mode: &str, hash: &str| (mode != "000000").then(|| format!("{mode} {hash}"));
        entries.push(Entry {
            path: files::path(path),
            from: there(from_mode, from),
            to: there(to_mode, to),
        });
    }
    Ok(entries)
}

/// What a tree has at each of `paths`.
pub(crate) fn at(
    git: &Git,
    tree: &str,
    paths: &BTreeSet<&Path>,
) -> Result<BTreeMap<PathBuf, String>, WorktreeError> {
    // All of it: a list of paths may be longer than a command can be.
    let said = git.ask(&["ls-tree", "-r", "-z", "--full-tree", tree])?;
    let mut found = BTreeMap::new();
    for line in split(&said) {
        let Some(tab) = line.iter().position(|&byte| byte == b'\t') else { continue };
        let path = Path::new(std::ffi::OsStr::from_bytes(&line[tab + 1..]));
        if paths.contains(path) {
            let about = String::from_utf8_lossy(&line[..tab]);
            let words: Vec<_> = about.split(' ').collect();
            if let [mode, _, hash] = words[..] {
                found.insert(path.to_owned(), format!("{mode} {hash}"));
            }
        }
    }
    Ok(found)
}
