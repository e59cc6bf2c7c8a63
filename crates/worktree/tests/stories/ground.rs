//! Real repositories for stories about work trees, and a look at what may not change.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
};

use worktree::{Made, Repo, Wish, Worktree, make};

pub(crate) const RUN: &str = "2026-11-22T10-15-00-123Z-4f9a2c1b";

/// A folder of its own, with a repository `r` and a place for work trees.
pub(crate) struct Ground {
    _kept: tempfile::TempDir,
    pub(crate) path: PathBuf,
}

impl Ground {
    /// Nothing but the folder.
    pub(crate) fn bare() -> Self {
        let kept = tempfile::tempdir().unwrap();
        let path = fs::canonicalize(kept.path()).unwrap();
        Self { _kept: kept, path }
    }

    /// With a repository that has one commit on `main`.
    pub(crate) fn new() -> Self {
        let ground = Self::bare();
        ground.write("r/a.txt", "one\ntwo\nthree\nfour\nfive\n");
        ground.write("r/src/lib.rs", "pub fn one() {}\n");
        ground.write("r/.gitignore", "target/\n.env\n*.local\n");
        ground.git("r", &["init", "-q", "-b", "main"]);
        ground.git("r", &["config", "user.name", "Ada"]);
        ground.git("r", &["config", "user.email", "ada@example.org"]);
        ground.git("r", &["add", "-A"]);
        ground.git("r", &["commit", "-q", "-m", "first"]);
        ground
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path.join(path)).unwrap()
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        fs::symlink_metadata(self.path.join(path)).is_ok()
    }

    /// A program that notes that it was run.
    pub(crate) fn trap(&self, name: &str) -> PathBuf {
        let path = self.path.join(name);
        let sprung = self.path.join("sprung").display().to_string();
        fs::write(&path, format!("#!/bin/sh\necho \"$0 $*\" >> '{sprung}'\ncat\nexit 0\n"))
            .unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// Asserts that no trap was sprung.
    #[track_caller]
    pub(crate) fn nothing_ran(&self) {
        let sprung = fs::read_to_string(self.path.join("sprung"));
        assert!(sprung.is_err(), "ran: {}", sprung.unwrap());
    }

    fn command(&self, folder: &str) -> Command {
        let mut git = Command::new("git");
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"GIT_") {
                git.env_remove(name);
            }
        }
        let settings = ["user.name=A", "user.email=a@b.c", "protocol.file.allow=always"];
        git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_OPTIONAL_LOCKS", "0");
        git.args(settings.iter().flat_map(|setting| ["-c", setting]));
        git.current_dir(self.path.join(folder));
        git
    }

    /// Runs git as a person would.
    #[track_caller]
    pub(crate) fn git(&self, folder: &str, words: &[&str]) -> String {
        let output = self.command(folder).args(words).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {words:?}: {said}");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Whether git does that.
    pub(crate) fn git_would(&self, folder: &str, words: &[&str]) -> bool {
        self.command(folder).args(words).output().unwrap().status.success()
    }

    pub(crate) fn repo(&self) -> Repo {
        self.repo_at("r")
    }

    pub(crate) fn repo_at(&self, folder: &str) -> Repo {
        Repo::at(&self.path.join(folder)).unwrap()
    }

    pub(crate) fn tree(&self, run: &str) -> PathBuf {
        self.path.join("state/trees").join(run)
    }

    /// The work tree of [`RUN`], from what is committed.
    pub(crate) fn made(&self) -> Worktree {
        self.make(false, &[]).worktree
    }

    pub(crate) fn make(&self, with_changes: bool, carry: &[&str]) -> Made {
        let carry: Vec<String> = carry.iter().map(|&pattern| pattern.to_owned()).collect();
        let folder = self.tree(RUN);
        let wish = Wish { run: RUN, task: "fix", folder: &folder, with_changes, carry: &carry };
        make(&self.repo(), &wish).unwrap()
    }

    /// Where the work tree is, from the ground's folder.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("state/trees/{RUN}/{path}")
    }

    /// Everything of a checkout that belongs to its user.
    pub(crate) fn belongings(&self, folder: &str) -> Belongings {
        let git_dir = PathBuf::from(self.git(folder, &["rev-parse", "--absolute-git-dir"]));
        let said = |words: &[&str]| {
            let output = self.command(folder).args(words).output().unwrap();
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        Belongings {
            index: fs::read(git_dir.join("index")).unwrap_or_default(),
            status: said(&["status", "--porcelain=v2", "--branch", "--ignored"]),
            stash: said(&["stash", "list"]),
            reflog: said(&["reflog", "HEAD"]),
            head: fs::read_to_string(git_dir.join("HEAD")).unwrap(),
            files: listing(&self.path.join(folder)),
        }
    }

    /// Does it, and asserts that all that is the user's stayed byte for byte.
    #[track_caller]
    pub(crate) fn undisturbed<T>(&self, folder: &str, act: impl FnOnce() -> T) -> T {
        let before = self.belongings(folder);
        let done = act();
        assert_eq!(self.belongings(folder), before);
        done
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Belongings {
    pub(crate) index: Vec<u8>,
    pub(crate) status: String,
    pub(crate) stash: String,
    pub(crate) reflog: String,
    pub(crate) head: String,
    pub(crate) files: BTreeMap<PathBuf, String>,
}

/// Every file below `folder` but git's own: its mode, time and contents.
pub(crate) fn listing(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut files = BTreeMap::new();
    let mut ahead = vec![folder.to_owned()];
    while let Some(at) = ahead.pop() {
        for entry in fs::read_dir(&at).unwrap().flatten() {
            let (path, about) = (entry.path(), entry.metadata().unwrap());
            if entry.file_name() == ".git" {
                continue;
            }
            let text = if about.is_dir() {
                ahead.push(path.clone());
                continue;
            } else if about.is_symlink() {
                format!("link {}", fs::read_link(&path).unwrap().display())
            } else {
                let bytes = fs::read(&path).unwrap_or_default();
                format!("{:o} {} {:?}", about.mode(), about.mtime_nsec(), bytes)
            };
            files.insert(path.strip_prefix(folder).unwrap().to_owned(), text);
        }
    }
    files
}
