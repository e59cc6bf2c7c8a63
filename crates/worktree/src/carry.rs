//! Ignored files that a run is to have all the same, such as `.env`: copied from the user's work
//! tree, and kept out of every commit.

use std::{
    fs, io,
    os::unix::{ffi::OsStrExt, fs::symlink},
    path::{Component, Path, PathBuf},
};

use crate::{
    LeftOut, WorktreeError,
    files::{self, is_plain, split},
    git::Git,
};

/// Copies what fits `patterns` from one work tree to another. `from_git` sees the user's.
pub(crate) fn carry(
    from_git: &Git,
    from: &Path,
    to: &Path,
    patterns: &[String],
    left_out: &mut Vec<LeftOut>,
) -> Result<Vec<PathBuf>, WorktreeError> {
    let mut carried = Vec::new();
    for path in ignored(from_git, patterns, left_out)? {
        match copy(from, to, &path) {
            Ok(None) => carried.push(path),
            Ok(Some(why)) => left_out.push(LeftOut::path(&path, why)),
            Err(error) => left_out.push(LeftOut::path(&path, error.to_string())),
        }
    }
    Ok(carried)
}

/// The ignored files of a work tree that fit `patterns`: paths from its root, with `*`, and `**`
/// for any number of folders; a folder stands for all in it.
pub(crate) fn ignored(
    git: &Git,
    patterns: &[String],
    left_out: &mut Vec<LeftOut>,
) -> Result<Vec<PathBuf>, WorktreeError> {
    let mut list: Vec<String> =
        ["ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--"]
            .map(Into::into)
            .into();
    let plain = list.len();
    for pattern in patterns {
        let inside = Path::new(pattern)
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if inside && !pattern.is_empty() {
            list.push(format!(":(glob){pattern}"));
        } else {
            let why = "it does not say what in the work tree; write a path from its root";
            left_out.push(LeftOut::path(Path::new(pattern), why));
        }
    }
    if list.len() == plain {
        return Ok(Vec::new());
    }
    Ok(split(&git.ask(&list)?).map(files::path).collect())
}

/// Copies one file or link; or why not.
fn copy(from: &Path, to: &Path, path: &Path) -> io::Result<Option<&'static str>> {
    if !is_plain(from, path) || !is_plain(to, path) {
        return Ok(Some("the way to it is no plain folder"));
    }
    let (source, target) = (from.join(path), to.join(path));
    let about = fs::symlink_metadata(&source)?;
    if fs::symlink_metadata(&target).is_ok() {
        return Ok(Some("there is a file of that name already"));
    }
    let parent = |target: &Path| target.parent().map_or(Ok(()), fs::create_dir_all);
    if about.is_symlink() {
        let leads = fs::read_link(&source)?;
        if !stays_inside(path, &leads) {
            return Ok(Some("it is a link that leads out of the work tree"));
        }
        parent(&target)?;
        symlink(leads, target)?;
    } else if about.is_file() {
        parent(&target)?;
        files::copy(&source, &target)?;
    } else {
        return Ok(Some("it is no file"));
    }
    Ok(None)
}

/// Whether a link at `path` leads to a place in the same work tree, by its words alone.
fn stays_inside(path: &Path, leads: &Path) -> bool {
    let mut depth = path.components().count().saturating_sub(1);
    leads.components().all(|part| match part {
        Component::Normal(_) => {
            depth += 1;
            true
        }
        Component::CurDir => true,
        Component::ParentDir => depth.checked_sub(1).map(|above| depth = above).is_some(),
        Component::RootDir | Component::Prefix(_) => false,
    })
}

/// Lines for a file of patterns by which git ignores exactly these files.
pub(crate) fn exactly(paths: &[PathBuf]) -> Vec<u8> {
    let mut lines = Vec::new();
    for path in paths {
        let bytes = path.as_os_str().as_bytes();
        // A line cannot hold its own end; such a file is left to the user's own patterns.
        if bytes.contains(&b'\n') {
            continue;
        }
        lines.push(b'/');
        for &byte in bytes {
            if matches!(byte, b'*' | b'?' | b'[' | b']' | b'\\' | b' ' | b'!' | b'#') {
                lines.push(b'\\');
            }
            lines.push(byte);
        }
        lines.push(b'\n');
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_may_lead_anywhere_but_out() {
        let inside = |path: &str, leads: &str| stays_inside(Path::new(path), Path::new(leads));
        assert!(inside("a/b/link", "../c") && inside("link", "a") && inside("a/link", "./../b/c"));
        assert!(!inside("link", "..") && !inside("a/link", "../../b") && !inside("link", "/etc"));
        assert!(!inside("a/link", "x/../../../b"));
    }
}
