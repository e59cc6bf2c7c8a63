//! What is checked out: read from git's files, and asked from git only where that is not enough.

mod blobs;

pub(crate) use blobs::blobs;

use std::{
    ffi::OsStr,
    fs,
    io::Read,
    os::{fd::AsFd, unix::process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

/// The folders in which git keeps a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitDirs {
    /// Of this work tree: its `HEAD` and its index.
    pub git_dir: PathBuf,
    /// Of all work trees: objects, branches and settings.
    pub common_dir: PathBuf,
}

impl GitDirs {
    /// Whether they are of a work tree made by `git worktree add`.
    #[must_use]
    pub fn is_linked(&self) -> bool {
        self.git_dir != self.common_dir
    }
}

/// What a work tree has checked out. Commits are full hashes, in SHA-1 or SHA-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// A branch, by its short name.
    Branch {
        /// `main`, or `feature/login`.
        name: String,
        /// Its newest commit.
        commit: String,
    },
    /// A branch that has no commit yet.
    Unborn {
        /// `main`, or `feature/login`.
        branch: String,
    },
    /// A commit and no branch.
    Detached {
        /// The commit.
        commit: String,
    },
}

impl Head {
    /// The branch, born or not.
    #[must_use]
    pub fn branch(&self) -> Option<&str> {
        match self {
            Self::Branch { name, .. } | Self::Unborn { branch: name } => Some(name),
            Self::Detached { .. } => None,
        }
    }

    /// The commit, unless there is none yet.
    #[must_use]
    pub fn commit(&self) -> Option<&str> {
        match self {
            Self::Branch { commit, .. } | Self::Detached { commit } => Some(commit),
            Self::Unborn { .. } => None,
        }
    }
}

/// What `dirs` has checked out; `None` when its files say nothing that git would accept.
#[must_use]
pub fn head(dirs: &GitDirs) -> Option<Head> {
    // With the reftable format `HEAD` is a fixed text, and the branches are in a format of
    // tables that is not worth reading by ourselves.
    if dirs.common_dir.join("reftable").is_dir() {
        return head_by_asking(dirs, OsStr::new("git"));
    }
    match follow(dirs, "HEAD")? {
        (name, commit) if name == "HEAD" => Some(Head::Detached { commit: commit? }),
        (name, Some(commit)) => Some(Head::Branch { name: short(&name), commit }),
        (name, None) => Some(Head::Unborn { branch: short(&name) }),
    }
}

fn short(reference: &str) -> String {
    reference.strip_prefix("refs/heads/").unwrap_or(reference).to_owned()
}

/// The reference at the end of the chain that begins with `name`, and its commit.
fn follow(dirs: &GitDirs, name: &str) -> Option<(String, Option<String>)> {
    // As deep as git goes; a longer chain is a ring.
    const DEEPEST: usize = 5;
    let mut name = name.to_owned();
    for _ in 0..=DEEPEST {
        let Some(text) = loose(dirs, &name) else {
            let commit = packed(&dirs.common_dir, &name);
            return (name != "HEAD").then_some((name, commit));
        };
        match text.strip_prefix("ref:") {
            Some(next) => name = next.trim().to_owned(),
            None => return hash(text.split_whitespace().next()?).map(|hash| (name, Some(hash))),
        }
        // The next name becomes a path, and git's own names never have these.
        if !name.starts_with("refs/") || name.split('/').any(|part| part == "..") {
            return None;
        }
    }
    None
}

fn hash(text: &str) -> Option<String> {
    let fits = matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    fits.then(|| text.to_ascii_lowercase())
}

/// The text of a reference that has its own file.
fn loose(dirs: &GitDirs, name: &str) -> Option<String> {
    let own = ["refs/bisect/", "refs/worktree/", "refs/rewritten/"];
    let is_own = name == "HEAD" || own.iter().any(|prefix| name.starts_with(prefix));
    let file = if is_own { &dirs.git_dir } else { &dirs.common_dir }.join(name);
    // Very old repositories have a symlink where others have `ref: ...`.
    if let Ok(target) = fs::read_link(&file)
        && target.starts_with("refs")
    {
        return Some(format!("ref: {}", target.to_str()?));
    }
    let text = fs::read(file).ok()?;
    // A branch's name may be in any encoding; it is only shown.
    Some(String::from_utf8_lossy(&text).trim_end_matches(['\n', '\r']).to_owned())
}

/// The commit of a reference that has no file of its own.
fn packed(common_dir: &Path, name: &str) -> Option<String> {
    let text = fs::read(common_dir.join("packed-refs")).ok()?;
    text.split(|&byte| byte == b'\n').find_map(|line| {
        let line = line.strip_suffix(name.as_bytes())?.strip_suffix(b" ")?;
        hash(std::str::from_utf8(line).ok()?)
    })
}

fn head_by_asking(dirs: &GitDirs, program: &OsStr) -> Option<Head> {
    let ask = |words: &[&str]| {
        let mut git = git(program, &dirs.git_dir);
        let output = git.args(words).stdout(Stdio::piped()).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
        Some(if output.status.success() { Some(text) } else { None })
    };
    let branch = ask(&["symbolic-ref", "-q", "HEAD"])?;
    let commit = ask(&["rev-parse", "-q", "--verify", "HEAD"])?.and_then(|text| hash(&text));
    match (branch, commit) {
        (Some(branch), Some(commit)) => Some(Head::Branch { name: short(&branch), commit }),
        (Some(branch), None) => Some(Head::Unborn { branch: short(&branch) }),
        (None, commit) => Some(Head::Detached { commit: commit? }),
    }
}

/// A git that speaks of the repository at `folder` and no other, and does nothing beside that:
/// no hook, no monitor, no lock that would get in a person's way, no download, no question.
fn git(program: &OsStr, folder: &Path) -> Command {
    let mut git = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"GIT_") {
            git.env_remove(name);
        }
    }
    git.env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_NO_LAZY_FETCH", "1")
        .args([
            "--no-optional-locks",
            "-c",
            "core.fsmonitor=false",
            "-c",
            "core.hooksPath=/dev/null",
        ])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    git
}

/// The question whether a work tree differs from its commit, on its way. Dropped, it is stopped.
#[derive(Debug)]
pub struct Dirty(Option<Child>);

/// Begins to ask whether `work_tree` has changes: what `git status` would show, untracked files
/// included. Ask early, do other things, and collect the answer with [`Dirty::within`].
#[must_use]
pub fn dirty(work_tree: &Path) -> Dirty {
    dirty_by(OsStr::new("git"), work_tree)
}

fn dirty_by(program: &OsStr, work_tree: &Path) -> Dirty {
    let mut git = git(program, work_tree);
    git.args(["status", "--porcelain=v1", "--untracked-files=normal", "--no-renames"])
        .stdout(Stdio::piped())
        // A group of its own, so that it ends with the git processes it starts for submodules.
        .process_group(0);
    Dirty(git.spawn().ok())
}

impl Dirty {
    /// The answer, waited for no longer than `patience`; `None` when it is late, when git is not
    /// installed or refuses the folder.
    #[must_use]
    pub fn within(mut self, patience: Duration) -> Option<bool> {
        let child = self.0.as_mut()?;
        let mut output = child.stdout.take()?;
        if !readable(&output, patience) {
            return None;
        }
        // The first byte is the answer: there is no need to wait for the rest of a long list.
        match output.read(&mut [0]) {
            Ok(0) => self.0.take()?.wait().ok()?.success().then_some(false),
            Ok(_) => Some(true),
            Err(_) => None,
        }
    }
}

/// Whether there is something to read, or nothing ever will be, before `patience` is over.
fn readable(output: &impl AsFd, patience: Duration) -> bool {
    let begun = Instant::now();
    loop {
        let left = patience.saturating_sub(begun.elapsed());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(output.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(ready) => return ready > 0,
            Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return false,
        }
    }
}

impl Drop for Dirty {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            end(child);
        }
    }
}

/// Ends a git that leads a group of its own and has not been waited for, with all it started.
fn end(child: &mut Child) {
    // Not waited for yet, so its id is still its own.
    if let Ok(group) = i32::try_from(child.id()) {
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn without_git_there_is_no_answer() {
        let folder = tempfile::tempdir().unwrap();
        let asked = dirty_by(OsStr::new("/nothing/git"), folder.path());
        assert_eq!(asked.within(Duration::from_secs(30)), None);
    }

    #[test]
    fn a_git_that_hangs_is_stopped_with_all_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let slow = folder.path().join("git");
        fs::write(&slow, "#!/bin/sh\nsleep 1000 | cat\n").unwrap();
        fs::set_permissions(&slow, fs::Permissions::from_mode(0o755)).unwrap();
        let asked = dirty_by(slow.as_os_str(), folder.path());
        let pid = asked.0.as_ref().unwrap().id();
        assert_eq!(asked.within(Duration::from_millis(50)), None);
        // The last of its group may still be on its way out.
        let group = Pid::from_raw(pid.cast_signed());
        let begun = Instant::now();
        while killpg(group, None).is_ok() {
            assert!(begun.elapsed() < Duration::from_secs(30), "something of it is left");
            std::thread::yield_now();
        }
    }
}
