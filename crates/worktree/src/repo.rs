//! A repository as a user has it: where it is, and what of its settings is about files.

use std::{
    fs,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

use crate::{
    WorktreeError,
    files::{Scratch, copy, path, split},
    git::{Git, User, as_the_user, words},
};

/// A repository, seen from one of its work trees: the main one or one made by `git worktree add`.
#[derive(Clone, Debug)]
pub struct Repo {
    work_tree: PathBuf,
    git_dir: PathBuf,
    common_dir: PathBuf,
    /// `sha1` or `sha256`.
    format: String,
    user: Option<User>,
    /// What files are on this machine, and which of them are ignored everywhere.
    settings: Vec<(String, String)>,
    /// How the user wants lines to end in their own work trees.
    ends: Vec<String>,
}

impl Repo {
    /// The repository that `folder` is in.
    ///
    /// # Errors
    ///
    /// `NoGit`, when it is in no work tree, or in one whose owner git does not trust.
    pub fn at(folder: &Path) -> Result<Self, WorktreeError> {
        let ask = |asked: &[&str]| {
            let output = as_the_user(folder, asked)?;
            if output.status.success() {
                let mut said = output.stdout;
                said.pop_if(|byte| *byte == b'\n');
                return Ok(said);
            }
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.lines().next().unwrap_or_default().trim_start_matches("fatal: ");
            Err(WorktreeError::NoGit { at: folder.to_owned(), said: said.to_owned() })
        };
        let place = |asked: &str| {
            let said = ask(&["rev-parse", "--path-format=absolute", asked])?;
            let path = PathBuf::from(std::ffi::OsString::from_vec(said));
            fs::canonicalize(&path).map_err(WorktreeError::file(path))
        };
        let work_tree = place("--show-toplevel")?;
        let mut repo = Self {
            work_tree,
            git_dir: place("--git-dir")?,
            common_dir: place("--git-common-dir")?,
            format: String::from_utf8_lossy(&ask(&["rev-parse", "--show-object-format"])?).into(),
            user: None,
            settings: Vec::new(),
            ends: Vec::new(),
        };
        if !repo.is_tied() {
            let said = "its `core.worktree` leads to another folder".to_owned();
            return Err(WorktreeError::NoGit { at: folder.to_owned(), said });
        }
        repo.read_settings(folder)?;
        Ok(repo)
    }

    /// Whether the work tree itself says that it belongs to the git folder. That the git folder
    /// says so is not enough: whoever can write there could have us write into any folder above.
    fn is_tied(&self) -> bool {
        let entry = self.work_tree.join(".git");
        let leads = match fs::read(&entry) {
            Ok(text) => {
                let text = text.strip_suffix(b"\n").unwrap_or(&text);
                let Some(leads) = text.strip_prefix(b"gitdir: ") else { return false };
                self.work_tree.join(path(leads))
            }
            Err(_) => entry,
        };
        fs::canonicalize(leads).is_ok_and(|leads| leads == self.git_dir)
    }

    fn read_settings(&mut self, folder: &Path) -> Result<(), WorktreeError> {
        const ABOUT_FILES: [&str; 8] = [
            "core.filemode",
            "core.symlinks",
            "core.ignorecase",
            "core.precomposeunicode",
            "core.trustctime",
            "core.sharedrepository",
            "core.sparsecheckout",
            "core.sparsecheckoutcone",
        ];
        let all = as_the_user(folder, &["config", "-z", "--get-regexp", r"^(core|user)\."])?;
        let (mut name, mut email) = (None, None);
        for entry in split(&all.stdout) {
            let entry = String::from_utf8_lossy(entry);
            // One without a value is true.
            let (key, value) = entry.split_once('\n').unwrap_or((&entry, "true"));
            match key {
                "user.name" => name = Some(value.to_owned()).filter(|name| !name.trim().is_empty()),
                "user.email" => email = Some(value.to_owned()).filter(|to| !to.trim().is_empty()),
                "core.autocrlf" | "core.eol" => self.ends.push(format!("{key}={value}")),
                key if ABOUT_FILES.contains(&key) => {
                    self.settings.push((key.to_owned(), value.to_owned()));
                }
                _ => {}
            }
        }
        self.user = name.zip(email).map(|(name, email)| User { name, email });
        let words = ["config", "--type=path", "--get", "core.excludesFile"];
        let excludes = as_the_user(folder, &words)?;
        if let Ok(file) = String::from_utf8(excludes.stdout)
            && excludes.status.success()
        {
            let file = file.trim_end_matches('\n').to_owned();
            self.settings.push(("core.excludesfile".to_owned(), file));
        }
        Ok(())
    }

    /// The work tree that the folder was in.
    #[must_use]
    pub fn work_tree(&self) -> &Path {
        &self.work_tree
    }

    /// Git's folder for all work trees.
    #[must_use]
    pub fn common_dir(&self) -> &Path {
        &self.common_dir
    }

    /// The settings of a git folder that shares this one's objects: as they are now, since what
    /// is written there later may come from whoever works in the work tree.
    pub(crate) fn side_settings(&self) -> String {
        let mut text = "[core]\n\trepositoryformatversion = 1\n\tbare = false\n".to_owned();
        text += "\tlogAllRefUpdates = false\n";
        for (key, value) in &self.settings {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            text += &format!("\t{} = \"{value}\"\n", key.trim_start_matches("core."));
        }
        text + &format!("[extensions]\n\tobjectFormat = {}\n", self.format)
    }

    /// The file that says which part of the commits is checked out, where that is not all.
    pub(crate) fn sparse_patterns(&self) -> Option<PathBuf> {
        let on = |(key, value): &(String, String)| key == "core.sparsecheckout" && value == "true";
        let on = self
            .settings
            .iter()
            .rev()
            .find(|(key, _)| key == "core.sparsecheckout")
            .is_some_and(on);
        Some(self.git_dir.join("info/sparse-checkout")).filter(|file| on && file.is_file())
    }

    /// Git for references, and for the list of work trees.
    pub(crate) fn refs(&self) -> Git {
        let git = Git::on(&self.common_dir);
        self.in_their_name(git)
    }

    /// The same, for what changes them.
    pub(crate) fn writing(&self) -> Result<Git, WorktreeError> {
        self.refs().without_hooks()
    }

    fn in_their_name(&self, git: Git) -> Git {
        match &self.user {
            Some(user) => git.user(user.clone()),
            None => git,
        }
    }

    /// Git with the objects of this repository and nothing else of it.
    pub(crate) fn side(&self, side: &Path) -> Git {
        self.in_their_name(Git::on(side).objects(&self.common_dir.join("objects")))
    }

    /// Git for the user's own work tree, with a copy of their index.
    pub(crate) fn checkout(&self, side: &Path, scratch: &Scratch) -> Result<Git, WorktreeError> {
        let index = scratch.index();
        match copy(&self.git_dir.join("index"), &index) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            other => other.map_err(WorktreeError::file(self.git_dir.join("index")))?,
        }
        // An index may be split in two; the other half has the hash of its contents as its name.
        for entry in fs::read_dir(&self.git_dir).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if name.as_encoded_bytes().starts_with(b"sharedindex.") && !side.join(&name).exists() {
                copy(&entry.path(), &side.join(&name)).map_err(WorktreeError::file(&name))?;
            }
        }
        let git = self.side(side).index(&index).work_tree(&self.work_tree);
        let settings = self.settings.iter().map(|(key, value)| format!("{key}={value}"));
        let settings = settings.chain(["core.sparseCheckout=false".to_owned()]);
        Ok(git.settings(&settings.collect::<Vec<_>>()).settings(&self.ends))
    }

    /// The commit that is checked out, and a word for it: its branch, or the commit's own.
    pub(crate) fn head(&self) -> Result<(String, String), WorktreeError> {
        let git = Git::on(&self.git_dir);
        let commit = git.perhaps(&["rev-parse", "-q", "--verify", "HEAD^{commit}"])?;
        let commit = commit.ok_or_else(|| WorktreeError::Unborn(self.work_tree.clone()))?;
        let branch = git.perhaps(&["symbolic-ref", "-q", "--short", "HEAD"])?;
        let word = branch.unwrap_or_else(|| commit[..12].to_owned());
        Ok((commit, word))
    }

    /// The commit that a reference leads to.
    pub(crate) fn commit_at(&self, name: &str) -> Result<Option<String>, WorktreeError> {
        self.refs().perhaps(&["rev-parse", "-q", "--verify", &format!("{name}^{{commit}}")])
    }

    /// Changes references, all of them or none. `None` as the new value removes one; an old value
    /// that is given must be what is there, and `Some("")` that there is none.
    pub(crate) fn set(&self, changes: &[Change<'_>], why: &str) -> Result<(), WorktreeError> {
        let mut input = Vec::new();
        for change in changes {
            let old = match change.old {
                Some("") => "0".repeat(self.zeros()),
                Some(old) => old.to_owned(),
                None => String::new(),
            };
            let line = match change.new {
                Some(new) => format!("update {}\0{new}\0{old}\0", change.name),
                None => format!("delete {}\0{old}\0", change.name),
            };
            input.extend_from_slice(line.as_bytes());
        }
        let why = format!("codex-orch: {why}");
        self.writing()?.feed(&words([&"update-ref", &"-m", &why, &"--stdin", &"-z"]), input)?;
        Ok(())
    }

    fn zeros(&self) -> usize {
        if self.format == "sha256" { 64 } else { 40 }
    }
}

/// What becomes of one reference.
pub(crate) struct Change<'a> {
    pub(crate) name: &'a str,
    pub(crate) new: Option<&'a str>,
    pub(crate) old: Option<&'a str>,
}
