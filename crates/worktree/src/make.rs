//! A work tree is made: on a branch of its own, from what is committed or from what lies there.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    Discard, LeftOut, Repo, Worktree, WorktreeError,
    carry::{carry, exactly},
    content,
    files::{self, Scratch},
    git::words,
    names,
    repo::Change,
    side::{self, Record, Stage},
    submodules,
    worktree::{commit_tree, publish},
};

/// What work tree is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// The run that works in it; the last part of its branch's name.
    pub run: &'a str,
    /// The task, as it is called.
    pub task: &'a str,
    /// Where: outside of the repository, and what is above it is nobody else's.
    pub folder: &'a Path,
    /// Begin with what lies in the user's work tree, and not with what is committed there.
    pub with_changes: bool,
    /// Ignored files to copy: paths from the root, with `*`, and `**` for any number of folders.
    pub carry: &'a [String],
}

/// A work tree that was made.
#[derive(Debug)]
pub struct Made {
    /// The work tree.
    pub worktree: Worktree,
    /// The ignored files that were copied.
    pub carried: Vec<PathBuf>,
    /// What it lacks.
    pub left_out: Vec<LeftOut>,
}

/// Makes a work tree of `repo`, or finishes what was begun for the same run. The user's own work
/// tree and index are only read.
///
/// # Errors
///
/// `Unborn` without a commit to begin with; `Inside` and `Taken` when the place or the branch
/// cannot be had.
pub fn make(repo: &Repo, wish: &Wish<'_>) -> Result<Made, WorktreeError> {
    let branch = names::branch(wish.task, wish.run)?;
    let mut left_out = Vec::new();
    let from = |side: &Path| {
        let (head, word) = repo.head()?;
        free(repo, &branch)?;
        let base = if wish.with_changes {
            with_changes(repo, side, wish.run, &head, &word, &mut left_out)?
        } else {
            head
        };
        Ok(Begin { branch, tip: base.clone(), files: base.clone(), base })
    };
    let mut made = begin(repo, wish.folder, wish.run, from, wish.carry)?;
    made.left_out.splice(0..0, left_out);
    if wish.with_changes {
        let tree = &made.worktree;
        let (side, all) = (&tree.side, &tree.record.submodules);
        for path in submodules::changed(repo, side, repo.work_tree(), all)? {
            let why = "it is a submodule, and what is not committed in it is not carried";
            made.left_out.push(LeftOut::path(&path, why));
        }
    }
    Ok(made)
}

/// What a work tree begins with.
pub(crate) struct Begin {
    pub(crate) branch: String,
    /// What the run's own changes are told from.
    pub(crate) base: String,
    /// Where the branch is.
    pub(crate) tip: String,
    /// The commit whose files lie there.
    pub(crate) files: String,
}

/// Makes a work tree, given how to tell what with.
pub(crate) fn begin(
    repo: &Repo,
    folder: &Path,
    run: &str,
    from: impl FnOnce(&Path) -> Result<Begin, WorktreeError>,
    carried: &[String],
) -> Result<Made, WorktreeError> {
    let folder = place(repo, folder)?;
    let side = side::beside(&folder);
    match Record::read(&side)? {
        Some(record) if record.run != run => {
            return Err(WorktreeError::Taken(folder.display().to_string()));
        }
        Some(record) => match record.stage {
            Stage::Making => undo(repo, &folder, &record)?,
            Stage::Whole => {
                let worktree = Worktree::open(repo, &folder)?;
                return Ok(Made { worktree, carried: Vec::new(), left_out: Vec::new() });
            }
            Stage::Discarding(_) => {
                drop(Worktree::open(repo, &folder)?.discard(&Discard::default())?)
            }
        },
        None => {}
    }
    let empty = fs::read_dir(&folder).map_or(true, |mut entries| entries.next().is_none());
    if fs::symlink_metadata(&folder).is_ok_and(|about| !about.is_dir()) || !empty {
        return Err(WorktreeError::Taken(folder.display().to_string()));
    }

    let new = side::under_way(&folder, "new");
    files::remove(&new)?;
    fs::create_dir(&new).map_err(WorktreeError::file(&new))?;
    side::fill(&new, repo)?;
    let begin = from(&new).inspect_err(|_| drop(files::remove(&new)))?;
    let record = Record {
        run: run.to_owned(),
        branch: begin.branch.clone(),
        base: begin.base.clone(),
        common: repo.common_dir().to_owned(),
        admin: String::new(),
        stage: Stage::Making,
        submodules: Vec::new(),
    };
    record.write(&new)?;
    fs::rename(&new, &side).map_err(WorktreeError::file(&side))?;
    let made = finish(repo, &folder, &side, record.clone(), &begin, carried);
    if made.is_err() {
        // Its own error would only hide the first; what is left is undone by the next try.
        let _ = undo(repo, &folder, &record);
    }
    made
}

/// The folder's real path, and that it is a place for a work tree.
fn place(repo: &Repo, folder: &Path) -> Result<PathBuf, WorktreeError> {
    let taken = || WorktreeError::Taken(folder.display().to_string());
    let (above, name) = folder.parent().zip(folder.file_name()).ok_or_else(taken)?;
    fs::create_dir_all(above).map_err(WorktreeError::file(above))?;
    let above = fs::canonicalize(above).map_err(WorktreeError::file(above))?;
    let holder = repo.common_dir().parent().filter(|_| repo.common_dir().ends_with(".git"));
    for around in [Some(repo.work_tree()), Some(repo.common_dir()), holder].into_iter().flatten() {
        if above.starts_with(around) {
            let (folder, work_tree) = (folder.to_owned(), around.to_owned());
            return Err(WorktreeError::Inside { folder, work_tree });
        }
    }
    Ok(above.join(name))
}

/// That the branch can be made: git takes its name, and nothing stands in its way.
fn free(repo: &Repo, branch: &str) -> Result<(), WorktreeError> {
    repo.refs().ask(&["check-ref-format", "--branch", branch])?;
    for (at, _) in branch.match_indices('/').chain([(branch.len(), "")]) {
        let name = &branch[..at];
        if repo.commit_at(&format!("refs/heads/{name}"))?.is_some() {
            return Err(WorktreeError::Taken(format!("branch {name}")));
        }
    }
    Ok(())
}

/// A commit of what lies in the user's work tree, or their own when that is the same.
fn with_changes(
    repo: &Repo,
    side: &Path,
    run: &str,
    head: &str,
    word: &str,
    left_out: &mut Vec<LeftOut>,
) -> Result<String, WorktreeError> {
    let scratch = Scratch::within(side)?;
    let (git, content) = content::of_checkout(repo, side, &scratch)?;
    left_out.extend(content.left_out);
    if content.tree == git.line(&["rev-parse", &format!("{head}^{{tree}}")])? {
        return Ok(head.to_owned());
    }
    let message = format!("Uncommitted work of {word}\n\nCodex-Orchestrator-Base: {run}\n");
    commit_tree(&git, &content.tree, &[head], &message)
}

/// From a record to a work tree that somebody can work in.
fn finish(
    repo: &Repo,
    folder: &Path,
    side: &Path,
    mut record: Record,
    begin: &Begin,
    patterns: &[String],
) -> Result<Made, WorktreeError> {
    let mut left_out = Vec::new();
    let name = format!("refs/heads/{}", record.branch);
    if repo.commit_at(&name)?.as_ref() != Some(&begin.tip) {
        let born = Change { name: &name, new: Some(&begin.tip), old: Some("") };
        repo.set(&[born], "a run begins")?;
    }
    {
        let _alone = side::alone(folder)?;
        let add = words([&"worktree", &"add", &"--no-checkout", &folder, &record.branch]);
        repo.writing()?.ask(&add)?;
    }
    record.admin = tied_to(repo, folder)?;
    let git = repo.side(side).index(&side.join("index")).work_tree(folder);
    git.ask(&["read-tree", "-m", "-u", &begin.files])?;
    if begin.files != begin.tip {
        git.ask(&["read-tree", "-m", &begin.tip])?;
    }
    record.submodules = submodules::fill(repo, side, folder, &begin.tip, &mut left_out)?;

    let scratch = Scratch::within(side)?;
    let theirs = repo.checkout(side, &scratch)?;
    let carried = carry(&theirs, repo.work_tree(), folder, patterns, &mut left_out)?;
    drop(scratch);
    // Else one that is ignored by a line that is not committed yet would be taken for work.
    let exclude = side.join("info/exclude");
    let mut lines = fs::read(&exclude).unwrap_or_default();
    lines.push(b'\n');
    lines.extend(exactly(&carried));
    files::replace(&exclude, &lines)?;

    publish(repo, side, folder, &record.admin);
    record.stage = Stage::Whole;
    record.write(side)?;
    Ok(Made { worktree: Worktree::open(repo, folder)?, carried, left_out })
}

/// The name of git's folder for a work tree that was just made.
fn tied_to(repo: &Repo, folder: &Path) -> Result<String, WorktreeError> {
    let admins = side::admins(repo, folder);
    let name = admins.first().and_then(|admin| admin.file_name()?.to_str());
    name.filter(|_| admins.len() == 1).map(str::to_owned).ok_or_else(|| WorktreeError::Tampered {
        folder: folder.to_owned(),
        why: "git has not one folder for it".to_owned(),
    })
}

/// Takes away what was begun and never finished: nobody has worked in it.
fn undo(repo: &Repo, folder: &Path, record: &Record) -> Result<(), WorktreeError> {
    side::remove_tree(repo, folder)?;
    let name = format!("refs/heads/{}", record.branch);
    if let Some(there) = repo.commit_at(&name)? {
        // The branch of a snapshot is in the snapshot.
        let held = repo.commit_at(&format!("{}^1", names::snapshot(&record.run)))?;
        if there == record.base || Some(&there) == held.as_ref() {
            repo.set(&[Change { name: &name, new: None, old: Some(&there) }], "not begun")?;
        }
    }
    side::remove(repo, folder)
}
