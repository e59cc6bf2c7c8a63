//! Nothing of a run is taken away before a commit holds all of it, and what was taken away comes
//! back from that.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    LeftOut, Repo, Worktree, WorktreeError, carry,
    content::{self, Content, Submodules},
    files::{self, Scratch},
    git::words,
    make::{self, Begin},
    names,
    repo::Change,
    side::{self, Record, Stage},
    worktree::commit_tree,
};

/// What holds a run's work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The commit; `refs/codex-orch/snapshots/<run>` keeps it.
    pub commit: String,
    /// What it does not hold.
    pub left_out: Vec<LeftOut>,
}

/// How a work tree is taken away.
#[derive(Clone, Copy, Debug, Default)]
pub struct Discard<'a> {
    /// The run may still be at work in it.
    pub lives: bool,
    /// The ignored files to hold; patterns as for [`Wish::carry`](crate::Wish::carry).
    pub ignored: &'a [String],
    /// Also when there is something that the snapshot cannot hold.
    pub anyway: bool,
}

/// A work tree that was taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discarded {
    /// What holds its work.
    pub snapshot: Snapshot,
    /// Whether its branch is gone as well: it stays where another work tree has it checked out.
    pub branch_gone: bool,
}

impl Worktree {
    /// Makes a commit of all that lies in the work tree: what is tracked, what would be, the
    /// ignored files that fit `ignored` (patterns as for [`Wish::carry`](crate::Wish::carry)), and
    /// the files of repositories and submodules within.
    ///
    /// # Errors
    ///
    /// `Tampered`, when the work tree is no longer tied to its repository as it was made.
    pub fn snapshot(&self, ignored: &[String]) -> Result<Snapshot, WorktreeError> {
        let (scratch, content) = self.content()?;
        self.hold(&scratch, content, ignored)
    }

    fn hold(
        &self,
        scratch: &Scratch,
        content: Content,
        ignored: &[String],
    ) -> Result<Snapshot, WorktreeError> {
        let git = self.git(scratch);
        let mut left_out = Vec::new();
        let chosen = carry::ignored(&git, ignored, &mut left_out)?;
        content::add(&git, &chosen, &mut left_out)?;
        // Their files are held; those that git did not take are not.
        let nested = content.nested;
        left_out.extend(
            content.left_out.into_iter().filter(|entry| {
                !nested.iter().any(|path| entry.what == LeftOut::path(path, "").what)
            }),
        );
        for path in nested {
            self.hold_within(scratch, &path, &mut left_out)?;
            if self.folder.join(&path).join(".git").exists() {
                let why = "it is a repository of its own, and only its files are held";
                left_out.push(LeftOut::path(&path, why));
            }
        }
        let git = self.trees().index(&scratch.index());
        let tree = git.line(&["write-tree"])?;
        let (tip, name) = (self.tip()?, names::snapshot(self.run()));
        let old = self.repo.commit_at(&name)?;
        if let Some(old) = &old
            && git.line(&["rev-parse", &format!("{old}^{{tree}}")])? == tree
            && self.repo.commit_at(&format!("{old}^1"))?.as_ref() == Some(&tip)
        {
            return Ok(Snapshot { commit: old.clone(), left_out });
        }
        let message = format!(
            "Snapshot of run {run}\n\nCodex-Orchestrator-Run: {run}\n\
             Codex-Orchestrator-Branch: {}\nCodex-Orchestrator-Base: {}\n",
            self.branch(),
            self.base(),
            run = self.run(),
        );
        // An older one is held by the newer: it may have what was thrown away since.
        let parents: Vec<&str> =
            [Some(&tip), old.as_ref()].into_iter().flatten().map(String::as_str).collect();
        let commit = commit_tree(&git, &tree, &parents, &message)?;
        let there = old.unwrap_or_default();
        let change = Change { name: &name, new: Some(&commit), old: Some(&there) };
        self.repo.set(&[change], "a snapshot")?;
        Ok(Snapshot { commit, left_out })
    }

    /// Puts the files of a folder that git sees as another repository into the index.
    fn hold_within(
        &self,
        scratch: &Scratch,
        path: &Path,
        left_out: &mut Vec<LeftOut>,
    ) -> Result<(), WorktreeError> {
        let folder = self.folder.join(path);
        if !files::is_plain(&self.folder, &path.join("x")) || !folder.is_dir() {
            return Ok(());
        }
        let inner = Scratch::within(&self.side)?;
        let git = self.repo.side(&self.side).index(&inner.index()).work_tree(&folder);
        let git = git.settings(&["core.sparseCheckout=false".to_owned()]);
        let content = content::of(&git, &folder, Submodules::Keep)?;
        let outer = self.git(scratch);
        let plain: PathBuf = path.components().collect();
        outer.ask(&words([&"update-index", &"--force-remove", &"--", &plain]))?;
        let mut prefix = std::ffi::OsString::from("--prefix=");
        prefix.push(&plain);
        prefix.push("/");
        outer.ask(&words([&"read-tree", &prefix, &content.tree]))?;
        for entry in content.left_out {
            left_out.push(LeftOut {
                what: format!("{} in `{}`", entry.what, plain.display()),
                ..entry
            });
        }
        for deeper in content.nested {
            self.hold_within(scratch, &plain.join(deeper), left_out)?;
        }
        Ok(())
    }

    /// Takes the work tree and its branch away, once a snapshot holds them.
    ///
    /// # Errors
    ///
    /// `Lives`, when its run does; `NotHeld`, when something would be lost. Nothing is taken away
    /// then.
    pub fn discard(self, how: &Discard<'_>) -> Result<Discarded, WorktreeError> {
        if how.lives {
            return Err(WorktreeError::Lives(self.record.run));
        }
        let snapshot = match &self.record.stage {
            Stage::Discarding(commit) => Snapshot { commit: commit.clone(), left_out: Vec::new() },
            _ => {
                let snapshot = self.hold_what_is_left(how.ignored)?;
                if !how.anyway && !snapshot.left_out.is_empty() {
                    let (run, left_out) = (self.record.run, snapshot.left_out);
                    return Err(WorktreeError::NotHeld { run, left_out });
                }
                // From here on what lies there may be a part only, and must not be held instead.
                let stage = Stage::Discarding(snapshot.commit.clone());
                Record { stage, ..self.record.clone() }.write(&self.side)?;
                snapshot
            }
        };
        side::remove_tree(&self.repo, &self.folder)?;
        let branch_gone = self.drop_branch(&snapshot.commit)?;
        side::remove(&self.repo, &self.folder)?;
        Ok(Discarded { snapshot, branch_gone })
    }

    /// A snapshot also of a work tree that is no longer tied to anything, or gone.
    fn hold_what_is_left(&self, ignored: &[String]) -> Result<Snapshot, WorktreeError> {
        if fs::symlink_metadata(&self.folder).is_ok_and(|about| about.is_dir()) {
            let (scratch, content) = self.content_as_it_lies()?;
            return self.hold(&scratch, content, ignored);
        }
        let scratch = Scratch::within(&self.side)?;
        let git = self.trees().index(&scratch.index());
        git.ask(&["read-tree", &self.tip()?])?;
        let content = Content { tree: String::new(), left_out: Vec::new(), nested: Vec::new() };
        self.hold(&scratch, content, &[])
    }

    /// Whether the branch is gone: not where somebody has it checked out, nor with commits that
    /// the snapshot does not hold.
    fn drop_branch(&self, snapshot: &str) -> Result<bool, WorktreeError> {
        let name = format!("refs/heads/{}", self.branch());
        let Some(tip) = self.repo.commit_at(&name)? else { return Ok(true) };
        let listed = self.repo.refs().ask(&["worktree", "list", "--porcelain", "-z"])?;
        let used = format!("branch {name}");
        if files::split(&listed).any(|line| line == used.as_bytes()) {
            return Ok(false);
        }
        let held = self.repo.refs().perhaps(&["merge-base", "--is-ancestor", &tip, snapshot])?;
        if held.is_none() {
            return Ok(false);
        }
        self.repo.set(&[Change { name: &name, new: None, old: Some(&tip) }], "discarded")?;
        Ok(true)
    }
}

/// Makes the work tree of a run again, as its snapshot holds it: what was not committed is not
/// committed again.
///
/// # Errors
///
/// `Missing`, when there is no snapshot; `Taken`, when the place or the branch is in use.
pub fn restore(repo: &Repo, run: &str, folder: &Path) -> Result<make::Made, WorktreeError> {
    let snapshot = repo.commit_at(&names::snapshot(names::checked(run)?))?;
    let missing = || WorktreeError::Missing { what: "snapshot", run: run.to_owned() };
    let snapshot = snapshot.ok_or_else(missing)?;
    let text = repo.refs().line(&["cat-file", "commit", &snapshot])?;
    let trailer = |key: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
        value.map(str::to_owned).ok_or_else(missing)
    };
    let tip = repo.commit_at(&format!("{snapshot}^1"))?.ok_or_else(missing)?;
    let base = repo.commit_at(&trailer("Codex-Orchestrator-Base")?)?.ok_or_else(missing)?;
    let branch = trailer("Codex-Orchestrator-Branch")?;
    // Anybody can write a commit with a message.
    if !branch.starts_with("codex-orch/") || !branch.ends_with(&format!("/{run}")) {
        return Err(missing());
    }
    make::begin(repo, folder, run, |_| Ok(Begin { branch, base, tip, files: snapshot }), &[])
}
