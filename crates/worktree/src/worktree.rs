//! A work tree that is there, and what ties it to its repository.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use crate::{
    LeftOut, Repo, WorktreeError,
    content::{self, Content, Submodules},
    files::{self, Scratch},
    git::{Git, words},
    repo::Change,
    side::{self, Record, Stage},
    submodules,
};

/// The work tree of a run.
#[derive(Clone, Debug)]
pub struct Worktree {
    pub(crate) repo: Repo,
    pub(crate) folder: PathBuf,
    pub(crate) side: PathBuf,
    pub(crate) record: Record,
}

/// What became of the changes in a work tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The new commit; `None` when nothing had changed.
    pub commit: Option<String>,
    /// What is not in it.
    pub left_out: Vec<LeftOut>,
}

impl Worktree {
    /// The work tree at `folder`, made by [`make`](crate::make()) and not discarded.
    ///
    /// # Errors
    ///
    /// `Missing`, when there is none.
    pub fn open(repo: &Repo, folder: &Path) -> Result<Self, WorktreeError> {
        let run = || folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let missing = || WorktreeError::Missing { what: "work tree", run: run() };
        let above = folder.parent().and_then(|above| fs::canonicalize(above).ok());
        let folder = above.zip(folder.file_name()).ok_or_else(missing)?;
        let folder = folder.0.join(folder.1);
        let side = side::beside(&folder);
        let record = Record::read(&side)?.filter(|record| record.stage != Stage::Making);
        let record = record.ok_or_else(missing)?;
        let mut worktree = Self { repo: repo.clone(), folder, side, record };
        worktree.follow_the_repository()?;
        Ok(worktree)
    }

    /// Ties it to its repository again, if that was moved and nothing else has happened to it.
    fn follow_the_repository(&mut self) -> Result<(), WorktreeError> {
        let (was, is) = (self.record.common.clone(), self.repo.common_dir());
        if was == is
            || self.record.stage != Stage::Whole
            || side::admin(&self.repo, &self.record.admin, &self.folder).is_none()
        {
            return Ok(());
        }
        let pointer = self.folder.join(".git");
        if files::read(&pointer).is_ok_and(|told| told == self.pointer(&was)) {
            files::replace(&pointer, &self.pointer(is))?;
            self.record.common = is.to_owned();
            self.record.write(&self.side)?;
        }
        Ok(())
    }

    /// What its `.git` says when that is git's folder for all work trees.
    fn pointer(&self, common: &Path) -> Vec<u8> {
        let admin = common.join("worktrees").join(&self.record.admin);
        [b"gitdir: ", admin.as_os_str().as_encoded_bytes(), b"\n"].concat()
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The run that works in it.
    #[must_use]
    pub fn run(&self) -> &str {
        &self.record.run
    }

    /// Its branch, `codex-orch/<task>/<run>`.
    #[must_use]
    pub fn branch(&self) -> &str {
        &self.record.branch
    }

    /// The commit that it began with; the run's own changes are those since.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.record.base
    }

    /// Commits everything that changed since the last time, on the run's branch and as the user.
    /// Which branch the work tree itself has checked out makes no difference.
    ///
    /// # Errors
    ///
    /// `Tampered`, when the work tree is no longer tied to its repository as it was made.
    pub fn commit(&self, message: &str) -> Result<Committed, WorktreeError> {
        let (scratch, content) = self.content()?;
        let (tip, name) = (self.tip()?, format!("refs/heads/{}", self.record.branch));
        let git = self.git(&scratch);
        let mut commit = None;
        if content.tree != git.line(&["rev-parse", &format!("{tip}^{{tree}}")])? {
            let message = format!("{}\n\nCodex-Orchestrator-Run: {}\n", message.trim(), self.run());
            let new = commit_tree(&git, &content.tree, &[&tip], &message)?;
            let there = self.repo.commit_at(&name)?.unwrap_or_default();
            let change = Change { name: &name, new: Some(&new), old: Some(&there) };
            self.repo.set(&[change], "a turn ends")?;
            commit = Some(new);
        }
        let index = self.side.join("index");
        fs::rename(scratch.index(), &index).map_err(WorktreeError::file(index))?;
        publish(&self.repo, &self.side, &self.folder, &self.record.admin);
        Ok(Committed { commit, left_out: content.left_out })
    }

    /// The newest commit of its branch; where it began, if somebody has removed the branch.
    pub(crate) fn tip(&self) -> Result<String, WorktreeError> {
        let tip = self.repo.commit_at(&format!("refs/heads/{}", self.record.branch))?;
        Ok(tip.unwrap_or_else(|| self.record.base.clone()))
    }

    /// What it holds, with an index that is at it.
    pub(crate) fn content(&self) -> Result<(Scratch, Content), WorktreeError> {
        self.check_tie()?;
        self.content_as_it_lies()
    }

    /// The same, whatever the work tree is tied to: no git of ours asks it.
    pub(crate) fn content_as_it_lies(&self) -> Result<(Scratch, Content), WorktreeError> {
        let scratch = Scratch::within(&self.side)?;
        // The index inside of the work tree's own git folder may say anything.
        match files::copy(&self.side.join("index"), &scratch.index()) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                self.git(&scratch).ask(&["read-tree", &self.record.base])?;
            }
            other => other.map_err(WorktreeError::file(self.side.join("index")))?,
        }
        let git = self.git(&scratch);
        let mut content = content::of(&git, &self.folder, Submodules::Keep)?;
        let submodules = &self.record.submodules;
        for path in submodules::changed(&self.repo, &self.side, &self.folder, submodules)? {
            let why = "it is a submodule, and what changed in it is not committed";
            content.left_out.push(LeftOut::path(&path, why));
            content.nested.push(path);
        }
        content.nested.sort();
        content.nested.dedup();
        Ok((scratch, content))
    }

    /// Git that sees the work tree and nothing else that lies in it.
    pub(crate) fn git(&self, scratch: &Scratch) -> Git {
        self.repo.side(&self.side).index(&scratch.index()).work_tree(&self.folder)
    }

    /// Git without a work tree, for commits and trees. How files are shown and merged is as it was
    /// when the run began, so that none of its changes hides the others.
    pub(crate) fn trees(&self) -> Git {
        self.repo.side(&self.side).attributes(&self.record.base)
    }

    /// That the work tree and git's folder for it speak of each other, as they did when it was made.
    pub(crate) fn check_tie(&self) -> Result<(), WorktreeError> {
        let tampered = |why: String| WorktreeError::Tampered { folder: self.folder.clone(), why };
        if matches!(self.record.stage, Stage::Discarding(_)) {
            return Err(tampered("it is being discarded".to_owned()));
        }
        let about = fs::symlink_metadata(&self.folder);
        if !about.is_ok_and(|about| about.is_dir()) {
            return Err(tampered("it is no folder any more".to_owned()));
        }
        let admin = self.repo.common_dir().join("worktrees").join(&self.record.admin);
        let pointer = self.folder.join(".git");
        let told = files::read(&pointer)
            .map_err(|_| tampered("its `.git` is not the file that it was".to_owned()))?;
        if told != self.pointer(self.repo.common_dir()) {
            let told = String::from_utf8_lossy(&told).trim_end().escape_debug().to_string();
            return Err(tampered(format!("its `.git` says `{told}`")));
        }
        if side::admin(&self.repo, &self.record.admin, &self.folder).is_none() {
            return Err(tampered(format!("`{}` is not its folder any more", admin.display())));
        }
        Ok(())
    }
}

/// Makes a commit, and nothing refer to it.
pub(crate) fn commit_tree(
    git: &Git,
    tree: &str,
    parents: &[&str],
    message: &str,
) -> Result<String, WorktreeError> {
    let mut list = words([&"commit-tree", &tree, &"-F", &"-"]).to_vec();
    for parent in parents {
        list.extend(words([&"-p", parent]));
    }
    let said = git.feed(&list, message.as_bytes().to_vec())?;
    Ok(String::from_utf8_lossy(&said).trim_end().to_owned())
}

/// Lets a git that is called inside of the work tree know what is committed. That it can is a
/// kindness to people, and nothing that we rely on: where git's folder is not as it should be,
/// or another git is at work there, it is left alone.
pub(crate) fn publish(repo: &Repo, side: &Path, folder: &Path, admin: &str) {
    let Some(admin) = side::admin(repo, admin, folder) else { return };
    let write = || {
        let (lock, index) = (admin.join("index.lock"), admin.join("index"));
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o644).open(&lock)?;
        let ours = fs::File::open(side.join("index"))?;
        let copied = std::io::copy(&mut &ours, &mut file);
        // With its time: git tells by it which files it has to read again.
        let dated = ours.metadata()?.modified().and_then(|time| file.set_modified(time));
        let moved = copied.and(dated).and_then(|()| fs::rename(&lock, &index));
        if moved.is_err() {
            let _ = fs::remove_file(&lock);
        }
        moved
    };
    let _ = write();
}
