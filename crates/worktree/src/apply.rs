//! A run's changes are brought into its user's checkout: all of them or none, as work that is not
//! committed, and so that it can be undone.
//!
//! The three sides are put together in memory. What comes out is compared with what lies there,
//! and only then written. While that lasts a reference tells of it, so that whoever comes after a
//! crash finishes it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use crate::{
    Conflict, LeftOut, Worktree, WorktreeError,
    content::{self, Entry, at, between},
    files::{self, Scratch, is_plain, split},
    git::Git,
    names,
    repo::Change,
    worktree::commit_tree,
};

/// What was written into a checkout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The files, relative to the work tree. None, when all was there already.
    pub files: Vec<PathBuf>,
    /// A commit of what the checkout was before; `refs/codex-orch/before-apply/<run>` keeps it.
    pub before: Option<String>,
    /// What the run left and is not brought.
    pub left_out: Vec<LeftOut>,
}

impl Worktree {
    /// Brings what the run has changed, committed or not, into the user's checkout. Their index
    /// stays as it is.
    ///
    /// # Errors
    ///
    /// `Conflicts`, when that does not go together with what lies there; nothing is written then.
    pub fn apply(&self) -> Result<Applied, WorktreeError> {
        self.finish_what_was_cut_short()?;
        let (_scratch, content) = self.content()?;
        let message = format!("Work of run {}\n", self.run());
        let theirs = commit_tree(&self.trees(), &content.tree, &[&self.tip()?], &message)?;
        // What was brought before is there twice, and goes together with itself. Where it does
        // not, since the run went on in the same lines, only what came since is brought.
        let earlier = self.repo.commit_at(&format!("{}^2", names::applied(self.run())))?;
        let bases = [Some(self.base().to_owned()), earlier];
        let mut applied = self.bring(bases.iter().flatten(), &theirs, true)?;
        applied.left_out = content.left_out;
        Ok(applied)
    }

    /// Takes back what [`apply`](Self::apply) brought last; what the user did since stays.
    ///
    /// # Errors
    ///
    /// `Missing`, when nothing was brought; `Conflicts`, when the user has changed the same lines.
    pub fn unapply(&self) -> Result<Applied, WorktreeError> {
        self.finish_what_was_cut_short()?;
        let applied = names::applied(self.run());
        let missing =
            || WorktreeError::Missing { what: "applied work", run: self.run().to_owned() };
        let after = self.repo.commit_at(&applied)?.ok_or_else(missing)?;
        let before = self.repo.commit_at(&format!("{applied}^1"))?.ok_or_else(missing)?;
        self.bring([&after].into_iter(), &before, false)
    }

    /// Brings what lies between one of `bases` and `theirs` into the checkout.
    fn bring<'a>(
        &self,
        bases: impl Iterator<Item = &'a String>,
        theirs: &str,
        forth: bool,
    ) -> Result<Applied, WorktreeError> {
        let scratch = Scratch::within(&self.side)?;
        let (checkout, mine) = content::of_checkout(&self.repo, &self.side, &scratch)?;
        let (head, _) = self.repo.head()?;
        let (before, applied) = (names::before(self.run()), names::applied(self.run()));
        let earlier = self.repo.commit_at(&before)?;
        let message = format!("Before the work of run {}\n", self.run());
        let parents: Vec<&str> =
            [Some(&head), earlier.as_ref()].into_iter().flatten().map(String::as_str).collect();
        let mine_commit = commit_tree(&self.trees(), &mine.tree, &parents, &message)?;

        let together = self.together(bases, &mine_commit, theirs)?;
        let entries = between(&self.trees(), &mine.tree, &together)?;
        if entries.is_empty() {
            return Ok(Applied { files: Vec::new(), before: earlier, left_out: Vec::new() });
        }
        self.refuse(obstacles(self.repo.work_tree(), &entries, &checkout)?)?;

        let message = format!("With the work of run {}\n", self.run());
        let mut parents = vec![mine_commit.as_str()];
        parents.extend(forth.then_some(theirs));
        let after = commit_tree(&self.trees(), &together, &parents, &message)?;
        let applying = names::applying(self.run());
        let mut begun = vec![
            Change { name: &before, new: Some(&mine_commit), old: None },
            Change { name: &applying, new: Some(&after), old: None },
        ];
        if !forth {
            begun.push(Change { name: &applied, new: None, old: None });
        }
        self.repo.set(&begun, "work is brought")?;
        self.write(&checkout, &mine.tree, &together, &entries)?;
        self.written(&after, forth)?;
        let files = entries.into_iter().map(|entry| entry.path).collect();
        Ok(Applied { files, before: Some(mine_commit), left_out: Vec::new() })
    }

    /// The tree in which both go together, seen from the first of `bases` from which they do.
    fn together<'a>(
        &self,
        bases: impl Iterator<Item = &'a String>,
        mine: &str,
        theirs: &str,
    ) -> Result<String, WorktreeError> {
        let mut conflicts = None;
        for base in bases {
            let base = format!("--merge-base={base}");
            let ask = ["merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", &base];
            let output = self.trees().outcome(&[&ask[..], &[mine, theirs]].concat(), Vec::new())?;
            let mut said = split(&output.stdout);
            let tree = said.next().map(|tree| String::from_utf8_lossy(tree).into_owned());
            match (output.status.code(), tree) {
                (Some(0), Some(tree)) => return Ok(tree),
                (Some(1), Some(_)) => {
                    let paths: BTreeSet<_> = said.map(files::path).collect();
                    let why = "was changed on both sides";
                    conflicts.get_or_insert_with(|| {
                        paths.into_iter().map(|path| Conflict { path, why }).collect()
                    });
                }
                _ => {
                    let said = String::from_utf8_lossy(&output.stderr);
                    let said = said.lines().next().unwrap_or_default();
                    let said = format!("{said} (git 2.40 or newer is needed)");
                    return Err(WorktreeError::Git { asked: "git merge-tree".into(), said });
                }
            }
        }
        self.refuse(conflicts.unwrap_or_default())?;
        let said = "it names no file that is in conflict".to_owned();
        Err(WorktreeError::Git { asked: "git merge-tree".into(), said })
    }

    fn refuse(&self, files: Vec<Conflict>) -> Result<(), WorktreeError> {
        if files.is_empty() {
            return Ok(());
        }
        Err(WorktreeError::Conflicts { files, branch: self.branch().to_owned() })
    }

    /// Writes what is other in `to` than in `from`, which the checkout is at.
    fn write(
        &self,
        checkout: &Git,
        from: &str,
        to: &str,
        entries: &[Entry],
    ) -> Result<(), WorktreeError> {
        // A file that was replaced by the same one is the same, which git does not see by itself
        // here. That it says of others that they are not is what the next command is for.
        checkout.outcome(&["update-index", "-q", "--refresh"], Vec::new())?;
        // Git looks at all files first: one that was changed since then keeps all from being
        // written. What can go wrong later is the disk.
        let Err(error) = checkout.ask(&["read-tree", "-m", "-u", from, to]) else { return Ok(()) };
        let back = || {
            let scratch = Scratch::within(&self.side)?;
            let (git, now) = content::of_checkout(&self.repo, &self.side, &scratch)?;
            let old = entries.iter().map(|entry| (entry.path.as_path(), entry.from.as_deref()));
            let tree = self.with(&now.tree, old)?;
            git.outcome(&["update-index", "-q", "--refresh"], Vec::new())?;
            git.ask(&["read-tree", "-m", "-u", &now.tree, &tree])?;
            let applying = names::applying(self.run());
            self.repo.set(&[Change { name: &applying, new: None, old: None }], "not brought")
        };
        // Where not even that works the references still say what was, and the next call tries.
        let _ = back();
        Err(error)
    }

    fn written(&self, after: &str, forth: bool) -> Result<(), WorktreeError> {
        let (applied, applying) = (names::applied(self.run()), names::applying(self.run()));
        let mut done = vec![Change { name: &applying, new: None, old: Some(after) }];
        if forth {
            done.push(Change { name: &applied, new: Some(after), old: None });
        }
        self.repo.set(&done, "work was brought")
    }

    /// Writes the rest of what was being written when its process died. Files that the user has
    /// changed in the meantime are left; what lies there is then where the next merge begins.
    fn finish_what_was_cut_short(&self) -> Result<(), WorktreeError> {
        let applying = names::applying(self.run());
        let Some(after) = self.repo.commit_at(&applying)? else { return Ok(()) };
        let before = format!("{after}^1");
        let forth = self.repo.commit_at(&format!("{after}^2"))?.is_some();
        let git = self.trees();
        let entries = between(&git, &format!("{before}^{{tree}}"), &format!("{after}^{{tree}}"))?;
        let scratch = Scratch::within(&self.side)?;
        let (checkout, now) = content::of_checkout(&self.repo, &self.side, &scratch)?;
        let there =
            at(&git, &now.tree, &entries.iter().map(|entry| entry.path.as_path()).collect())?;
        let untouched = |entry: &&Entry| there.get(&entry.path) == entry.from.as_ref();
        let rest = entries.iter().filter(untouched);
        let rest = rest.map(|entry| (entry.path.as_path(), entry.to.as_deref()));
        let tree = self.with(&now.tree, rest)?;
        let entries = between(&git, &now.tree, &tree)?;
        if obstacles(self.repo.work_tree(), &entries, &checkout)?.is_empty() {
            self.write(&checkout, &now.tree, &tree, &entries)?;
        }
        self.written(&after, forth)
    }

    /// `tree` with other files at some paths.
    fn with<'a>(
        &self,
        tree: &str,
        files: impl Iterator<Item = (&'a Path, Option<&'a str>)>,
    ) -> Result<String, WorktreeError> {
        let scratch = Scratch::within(&self.side)?;
        let git = self.trees().index(&scratch.index());
        git.ask(&["read-tree", tree])?;
        let (mut gone, mut there) = (Vec::new(), Vec::new());
        for (path, entry) in files {
            let (to, head) = match entry {
                Some(entry) => (&mut there, format!("{entry}\t")),
                None => (&mut gone, format!("0 {}\t", "0".repeat(self.base().len()))),
            };
            to.extend_from_slice(head.as_bytes());
            to.extend_from_slice(path.as_os_str().as_encoded_bytes());
            to.push(0);
        }
        // What goes, goes first: a folder may be where a file was.
        gone.append(&mut there);
        if !gone.is_empty() {
            git.feed(&["update-index", "-z", "--index-info"], gone)?;
        }
        git.line(&["write-tree"])
    }
}

/// What would be lost, or written elsewhere, if these files were written.
fn obstacles(
    folder: &Path,
    entries: &[Entry],
    checkout: &Git,
) -> Result<Vec<Conflict>, WorktreeError> {
    let by_path: BTreeMap<&Path, &Entry> =
        entries.iter().map(|entry| (entry.path.as_path(), entry)).collect();
    let goes = |path: &Path| by_path.get(path).is_some_and(|entry| entry.to.is_none());
    let unseen = unseen(checkout)?;
    let fault = |entry: &Entry| {
        let is_submodule =
            |side: &Option<String>| side.as_ref().is_some_and(|about| about.starts_with("160000"));
        if is_submodule(&entry.from) || is_submodule(&entry.to) {
            return Some("is a submodule");
        }
        if unseen.contains(&entry.path) {
            return Some("is no part of what is checked out");
        }
        let above_goes = entry.path.ancestors().skip(1).any(goes);
        if !above_goes && !is_plain(folder, &entry.path) {
            return Some("lies behind something that is no folder");
        }
        if entry.from.is_some() || above_goes {
            return None;
        }
        match fs::symlink_metadata(folder.join(&entry.path)) {
            Err(_) => None,
            Ok(about) if about.is_dir() => {
                (!all_within(folder, &entry.path, &goes)).then_some("is a folder with other files")
            }
            Ok(_) => Some("is there, and git does not keep it"),
        }
    };
    let conflicts = entries
        .iter()
        .filter_map(|entry| Some(Conflict { path: entry.path.clone(), why: fault(entry)? }));
    Ok(conflicts.collect())
}

/// Files that git keeps and does not check out.
fn unseen(checkout: &Git) -> Result<BTreeSet<PathBuf>, WorktreeError> {
    let said = checkout.ask(&["ls-files", "-z", "-t"])?;
    Ok(split(&said).filter_map(|entry| entry.strip_prefix(b"S ").map(files::path)).collect())
}

/// Whether all files in a folder are such.
fn all_within(root: &Path, folder: &Path, such: &impl Fn(&Path) -> bool) -> bool {
    let Ok(entries) = fs::read_dir(root.join(folder)) else { return false };
    entries.flatten().all(|entry| {
        let path = folder.join(entry.file_name());
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => all_within(root, &path, such),
            _ => such(&path),
        }
    })
}
