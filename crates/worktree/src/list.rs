//! What there is of all runs: work trees, branches, and what refers to their work.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use crate::{
    Discard, Repo, Worktree, WorktreeError,
    content::between,
    files::{Scratch, size},
    git::Git,
    names::{self, BRANCHES, REFS},
    repo::Change,
    side::{self, Stage, run_of},
};

/// One thing that is kept for a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The run.
    pub run: String,
    /// What it is.
    pub what: What,
    /// What it takes on the disk and would give back, in bytes.
    pub size: u64,
    /// When it was last changed.
    pub at: SystemTime,
    /// Why it may not be taken away; `None` when other things have all that it has.
    pub held: Option<&'static str>,
}

/// A thing that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A work tree, and where.
    Worktree(PathBuf),
    /// A branch, `codex-orch/<task>/<run>`, and its newest commit.
    Branch(String, String),
    /// What holds the work of a run: the reference and the commit.
    Snapshot(String, String),
    /// What a checkout was before a run's work was applied: the reference and the commit.
    BeforeApply(String, String),
}

/// All that is kept of runs in a repository, whose work trees are in the folder `trees`.
///
/// # Errors
///
/// When git does not tell.
pub fn list(repo: &Repo, trees: &Path) -> Result<Vec<Kept>, WorktreeError> {
    fs::create_dir_all(trees).map_err(WorktreeError::file(trees))?;
    let desk = Scratch::within(trees)?;
    side::fill(desk.path(), repo)?;
    let look = Look { repo, git: repo.side(desk.path()) };
    let mut all = Vec::new();
    let (mut at_work, mut runs) = (BTreeSet::new(), BTreeSet::new());
    for worktree in worktrees(repo, trees) {
        at_work.insert(worktree.branch().to_owned());
        runs.insert(worktree.run().to_owned());
        all.push(Kept {
            run: worktree.run().to_owned(),
            size: size(worktree.folder()) + size(&worktree.side),
            at: last_change(&worktree),
            held: look.at_worktree(&worktree)?,
            what: What::Worktree(worktree.folder),
        });
    }
    let format = "--format=%(refname)%00%(objectname)%00%(committerdate:unix)";
    let said = repo.refs().ask(&["for-each-ref", format, BRANCHES, REFS])?;
    for line in String::from_utf8_lossy(&said).lines() {
        let mut parts = line.split('\0');
        let (Some(name), Some(commit), Some(at)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let run = name.rsplit('/').next().unwrap_or_default();
        let (short, hash) = (name.trim_start_matches("refs/heads/").to_owned(), commit.to_owned());
        let (what, held) = if name.starts_with(BRANCHES) {
            let held = if at_work.contains(&short) {
                Some("its work tree is there")
            } else {
                look.at_branch(run, commit)?
            };
            (What::Branch(short, hash), held)
        } else if name == names::snapshot(run) {
            (What::Snapshot(short, hash), look.at_snapshot(commit)?)
        } else if name == names::before(run) {
            let back = runs.contains(run) && repo.commit_at(&names::applied(run))?.is_some();
            let held = back.then_some("what was applied can be taken back by it");
            (What::BeforeApply(short, hash), held)
        } else {
            continue;
        };
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(at.parse().unwrap_or_default());
        all.push(Kept { run: run.to_owned(), what, size: alone(repo, commit)?, at, held });
    }
    Ok(all)
}

/// Takes away one thing, as it was listed. A work tree is held by a snapshot first, all the same,
/// with the ignored files that fit `ignored`.
///
/// # Errors
///
/// `Held`, when nothing else has what it has.
pub fn prune(repo: &Repo, kept: &Kept, ignored: &[String]) -> Result<(), WorktreeError> {
    let name = match &kept.what {
        What::Worktree(folder) => format!("`{}`", folder.display()),
        What::Branch(name, _) | What::Snapshot(name, _) | What::BeforeApply(name, _) => {
            format!("`{name}`")
        }
    };
    if let Some(why) = kept.held {
        return Err(WorktreeError::Held { what: name, why });
    }
    let delete = |name: &str, commit: &str| {
        // Not if it is another by now.
        repo.set(&[Change { name, new: None, old: Some(commit) }], "pruned")
    };
    match &kept.what {
        What::Worktree(folder) => {
            Worktree::open(repo, folder)?.discard(&Discard { ignored, ..Discard::default() })?;
            Ok(())
        }
        What::Branch(name, commit) => delete(&format!("refs/heads/{name}"), commit),
        What::Snapshot(name, commit) => delete(name, commit),
        What::BeforeApply(name, commit) => {
            // What came of it says nothing any more.
            for other in [names::applied(&kept.run), names::applying(&kept.run)] {
                if let Some(after) = repo.commit_at(&other)? {
                    delete(&other, &after)?;
                }
            }
            delete(name, commit)
        }
    }
}

/// The work trees in a folder that are of this repository.
fn worktrees(repo: &Repo, trees: &Path) -> Vec<Worktree> {
    let entries = fs::read_dir(trees).into_iter().flatten().flatten();
    let runs = entries.filter_map(|entry| run_of(&entry.path()));
    let mut runs: Vec<String> = runs.collect();
    runs.sort();
    let open = |run: String| Worktree::open(repo, &trees.join(run)).ok();
    runs.into_iter().filter_map(open).filter(|tree| tree.is_of(repo)).collect()
}

fn last_change(worktree: &Worktree) -> SystemTime {
    let index = fs::metadata(worktree.side.join("index"));
    index.and_then(|about| about.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Finds out why things may not go.
struct Look<'a> {
    repo: &'a Repo,
    /// Without the repository's settings, which may name programs that merge and show files.
    git: Git,
}

impl Look<'_> {
    fn at_worktree(&self, worktree: &Worktree) -> Result<Option<&'static str>, WorktreeError> {
        if matches!(worktree.record.stage, Stage::Discarding(_)) {
            return Ok(None);
        }
        let content = match worktree.content() {
            Ok((_, content)) => content,
            Err(WorktreeError::Tampered { .. }) => return Ok(Some("it is not as it was made")),
            Err(error) => return Err(error),
        };
        let tip = worktree.tip()?;
        if let Some(snapshot) = self.repo.commit_at(&names::snapshot(worktree.run()))?
            && self.repo.commit_at(&format!("{snapshot}^1"))?.as_ref() == Some(&tip)
            && self.nothing_but_more(&content.tree, &snapshot)?
        {
            return Ok(None);
        }
        if content.tree != self.git.line(&["rev-parse", &format!("{tip}^{{tree}}")])? {
            return Ok(Some("it has work that is not committed"));
        }
        if !content.left_out.is_empty() {
            return Ok(Some("it has files that are in no commit"));
        }
        Ok((!self.is_merged(&tip)?).then_some("its work is in no other branch"))
    }

    /// Whether all that is in `tree` is in `snapshot`, which may have more.
    fn nothing_but_more(&self, tree: &str, snapshot: &str) -> Result<bool, WorktreeError> {
        let entries = between(&self.git, tree, &format!("{snapshot}^{{tree}}"))?;
        // The place of a submodule may hold its files instead.
        let is_submodule = |from: &String| from.starts_with("160000");
        Ok(entries.iter().all(|entry| entry.from.as_ref().is_none_or(is_submodule)))
    }

    fn at_branch(&self, run: &str, tip: &str) -> Result<Option<&'static str>, WorktreeError> {
        let refs = self.repo.refs();
        if let Some(snapshot) = self.repo.commit_at(&names::snapshot(run))?
            && refs.perhaps(&["merge-base", "--is-ancestor", tip, &snapshot])?.is_some()
        {
            return Ok(None);
        }
        Ok((!self.is_merged(tip)?).then_some("its work is in no other branch"))
    }

    fn at_snapshot(&self, snapshot: &str) -> Result<Option<&'static str>, WorktreeError> {
        if !between(&self.git, &format!("{snapshot}^1"), snapshot)?.is_empty() {
            return Ok(Some("it has work that is in no other commit"));
        }
        let tip = self.repo.commit_at(&format!("{snapshot}^1"))?.unwrap_or_default();
        Ok((!self.is_merged(&tip)?).then_some("its work is in no other branch"))
    }

    /// Whether all that was committed is in a branch or tag that is not ours, or in what is
    /// checked out: as commits, or as the same changes.
    fn is_merged(&self, tip: &str) -> Result<bool, WorktreeError> {
        let others = others();
        let mut ask = vec!["rev-list", "--count", tip];
        ask.extend(others.iter().map(String::as_str));
        if self.repo.refs().line(&ask)? == "0" {
            return Ok(true);
        }
        // Squashed or picked, it adds nothing any more.
        let Ok((head, _)) = self.repo.head() else { return Ok(false) };
        let ask = ["merge-tree", "--write-tree", "--no-messages", &head, tip];
        let tree = self.git.line(&["rev-parse", &format!("{head}^{{tree}}")])?;
        Ok(self.git.perhaps(&ask).is_ok_and(|merged| merged.as_ref() == Some(&tree)))
    }
}

/// Everything that keeps commits and is not ours.
fn others() -> [String; 5] {
    // The heads of other work trees are not counted: ours are among them.
    let exclude = |prefix: &str| format!("--exclude={prefix}*");
    ["--not".into(), "--single-worktree".into(), exclude(BRANCHES), exclude(REFS), "--all".into()]
}

/// What objects take that nothing else refers to.
fn alone(repo: &Repo, commit: &str) -> Result<u64, WorktreeError> {
    let others = others();
    let mut ask = vec!["rev-list", "--objects", "--disk-usage", commit];
    ask.extend(others.iter().map(String::as_str));
    Ok(repo.refs().line(&ask)?.parse().unwrap_or_default())
}

impl Worktree {
    /// Whether its branch, or git's folder for it, is one of this repository.
    fn is_of(&self, repo: &Repo) -> bool {
        side::admin(repo, &self.record.admin, &self.folder).is_some()
            || repo.commit_at(&self.record.base).is_ok_and(|base| base.is_some())
    }
}
