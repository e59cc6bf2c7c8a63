//! The submodules of a work tree: filled with files from the copies that the repository has, and
//! without a network. They are no repositories there, so that nobody can plant anything in them
//! that a git would obey.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

use crate::{
    LeftOut, WorktreeError,
    files::{self, Scratch, is_plain, split},
    git::Git,
    repo::Repo,
    side::Submodule,
};

/// Fills the submodules that `commit` has, and theirs.
pub(crate) fn fill(
    repo: &Repo,
    side: &Path,
    folder: &Path,
    commit: &str,
    left_out: &mut Vec<LeftOut>,
) -> Result<Vec<Submodule>, WorktreeError> {
    let mut filled: Vec<Submodule> = Vec::new();
    let mut ahead = vec![(PathBuf::new(), repo.common_dir().to_owned(), commit.to_owned())];
    while let Some((at, git_dir, whole)) = ahead.pop() {
        let git = repo.side(side).objects(&git_dir.join("objects"));
        for (path, commit) in gitlinks(&git, &whole, &at)? {
            let name = path.strip_prefix(&at).unwrap_or(&path);
            let copy = copy_of(&git, &whole, name, &git_dir, &repo.work_tree().join(&path));
            // Also the folder itself: a snapshot may have a link there.
            let Some(copy) = copy.filter(|_| is_plain(folder, &path.join("x"))) else {
                left_out.push(LeftOut::path(
                    &path,
                    format!("it is a submodule that the repository has no copy of; {REMEDY}"),
                ));
                continue;
            };
            let objects = copy.join("objects");
            if !fill_one(&repo.side(side).objects(&objects), side, &folder.join(&path), &commit)? {
                left_out.push(LeftOut::path(
                    &path,
                    format!("it is a submodule whose commit is not here; {REMEDY}"),
                ));
                continue;
            }
            filled.push(Submodule { path: path.clone(), objects, commit: commit.clone() });
            ahead.push((path, copy, commit));
        }
    }
    Ok(filled)
}

const REMEDY: &str = "run `git submodule update --init --recursive` in the repository first";

/// Whether `target` could be filled with what `commit` has.
fn fill_one(git: &Git, side: &Path, target: &Path, commit: &str) -> Result<bool, WorktreeError> {
    if git.ask(&["cat-file", "-e", &format!("{commit}^{{tree}}")]).is_err() {
        return Ok(false);
    }
    fs::create_dir_all(target).map_err(WorktreeError::file(target))?;
    // A snapshot may hold files of one that was changed.
    if fs::read_dir(target).is_ok_and(|mut entries| entries.next().is_some()) {
        return Ok(true);
    }
    let scratch = Scratch::within(side)?;
    let git = git.clone().index(&scratch.index()).work_tree(target);
    // What is checked out of the repository itself says nothing of those within.
    let git = git.settings(&["core.sparseCheckout=false".to_owned()]);
    git.ask(&["read-tree", "-m", "-u", commit])?;
    Ok(true)
}

/// The submodules that a commit has, by their paths below `at`.
fn gitlinks(git: &Git, commit: &str, at: &Path) -> Result<Vec<(PathBuf, String)>, WorktreeError> {
    let said = git.ask(&["ls-tree", "-r", "-z", "--full-tree", commit])?;
    let links = split(&said).filter_map(|line| {
        let rest = line.strip_prefix(b"160000 commit ")?;
        let tab = rest.iter().position(|&byte| byte == b'\t')?;
        let hash = std::str::from_utf8(&rest[..tab]).ok()?;
        Some((at.join(files::path(&rest[tab + 1..])), hash.to_owned()))
    });
    Ok(links.collect())
}

/// The git folder of a submodule's copy: among those of the repository above, by the name that
/// `.gitmodules` gives it, or in the submodule itself as old versions of git left it.
fn copy_of(git: &Git, commit: &str, path: &Path, above: &Path, place: &Path) -> Option<PathBuf> {
    let blob = format!("{commit}:.gitmodules");
    let listed = ["config", "-z", "--blob", &blob, "--get-regexp", r"^submodule\..*\.path$"];
    // Without such a file nothing has a name.
    let listed = git.ask(&listed).unwrap_or_default();
    let names = split(&listed).filter_map(|entry| {
        let line = entry.iter().position(|&byte| byte == b'\n')?;
        let key = std::str::from_utf8(&entry[..line]).ok()?;
        let name = key.strip_prefix("submodule.")?.strip_suffix(".path")?;
        let is_plain = |part| matches!(part, Component::Normal(_));
        let plain = Path::new(name).components().all(is_plain);
        (plain && files::path(&entry[line + 1..]) == path).then(|| name.to_owned())
    });
    let named = names.map(|name| above.join("modules").join(name));
    let mut all = named.chain([place.join(".git")]);
    all.find(|dir| dir.join("objects").is_dir() && dir.join("HEAD").exists())
}

/// Which of the submodules have other files than those they were filled with.
pub(crate) fn changed(
    repo: &Repo,
    side: &Path,
    folder: &Path,
    submodules: &[Submodule],
) -> Result<Vec<PathBuf>, WorktreeError> {
    let mut changed = Vec::new();
    for submodule in submodules {
        let target = folder.join(&submodule.path);
        let there = is_plain(folder, &submodule.path) && target.is_dir() && !target.is_symlink();
        let scratch = Scratch::within(side)?;
        let git = repo.side(side).objects(&submodule.objects);
        let git = git.index(&scratch.index()).work_tree(&target);
        let list = ["ls-files", "-z", "--modified", "--deleted", "--others", "--exclude-standard"];
        let same = || {
            git.clone().ask(&["read-tree", &submodule.commit])?;
            // Without what they were when they were written, git reads them all.
            Ok::<_, WorktreeError>(git.ask(&list)?.is_empty())
        };
        if !there || !same()? {
            changed.push(submodule.path.clone());
        }
    }
    Ok(changed)
}
