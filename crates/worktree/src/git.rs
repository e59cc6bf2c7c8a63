//! How git is called: so that nothing but git itself runs, whatever lies in the repository, in the
//! work tree, or in the user's settings.
//!
//! What can make git run something else are settings (hooks, monitors, filters, drivers) and other
//! repositories that it meets and looks into by starting itself there. Work trees are therefore
//! read and written with a *side*: a git folder of ours beside the work tree, with settings of ours
//! and the repository's objects. The repository's own folder is only used for what must be there,
//! its references and the list of its work trees; those commands run nothing but hooks, which are
//! off, whether they are files or settings. No command here looks into another repository.

use std::{
    ffi::{OsStr, OsString},
    io::{Read, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::WorktreeError;

/// After which a command is looked at: whether something in the work tree may be holding it.
const SUSPICIOUS: Duration = Duration::from_secs(3);
/// After which a command is ended.
const TOO_LONG: Duration = Duration::from_secs(900);
/// How long another git may hold a lock that we want.
const LOCKED: Duration = Duration::from_secs(20);

/// A way of calling git on one git folder, and perhaps a work tree and an index.
#[derive(Clone, Debug)]
pub(crate) struct Git {
    dir: PathBuf,
    work_tree: Option<PathBuf>,
    index: Option<PathBuf>,
    objects: Option<PathBuf>,
    attributes: Option<String>,
    settings: Vec<String>,
    /// Settings whose names may have anything in them.
    odd_settings: Vec<(String, String)>,
    user: Option<User>,
}

/// In whose name commits are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) email: String,
}

impl Git {
    /// On the git folder `dir` and no other.
    pub(crate) fn on(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            work_tree: None,
            index: None,
            objects: None,
            attributes: None,
            settings: Vec::new(),
            odd_settings: Vec::new(),
            user: None,
        }
    }

    pub(crate) fn work_tree(mut self, folder: &Path) -> Self {
        self.work_tree = Some(folder.to_owned());
        self
    }

    pub(crate) fn index(mut self, file: &Path) -> Self {
        self.index = Some(file.to_owned());
        self
    }

    pub(crate) fn objects(mut self, folder: &Path) -> Self {
        self.objects = Some(folder.to_owned());
        self
    }

    /// Takes the attributes of files from this commit, and not from what lies somewhere.
    pub(crate) fn attributes(mut self, commit: &str) -> Self {
        self.attributes = Some(commit.to_owned());
        self
    }

    pub(crate) fn settings(mut self, settings: &[String]) -> Self {
        self.settings.extend_from_slice(settings);
        self
    }

    /// Without the hooks that the settings themselves hold, which no folder of hooks hides.
    pub(crate) fn without_hooks(mut self) -> Result<Self, WorktreeError> {
        let listed = ["config", "-z", "--name-only", "--get-regexp", r"^hook\."];
        // It says no when there are none.
        let output = self.outcome(&listed, Vec::new())?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let names = said.split('\0').filter_map(|key| Some(key.rsplit_once('.')?.0.to_owned()));
        // The first kind is known since 2.55, the second since 2.54.
        let events = ["reference-transaction", "post-checkout", "post-index-change"];
        let events = events.iter().map(|event| format!("hook.{event}"));
        let all: std::collections::BTreeSet<String> = names.chain(events).collect();
        self.odd_settings =
            all.into_iter().map(|hook| (format!("{hook}.enabled"), "false".to_owned())).collect();
        Ok(self)
    }

    pub(crate) fn user(mut self, user: User) -> Self {
        self.user = Some(user);
        self
    }

    fn command<S: AsRef<OsStr>>(&self, words: &[S]) -> Command {
        let mut git = bare_command();
        git.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
        git.env("GIT_DIR", &self.dir);
        let variables = [
            ("GIT_WORK_TREE", &self.work_tree),
            ("GIT_INDEX_FILE", &self.index),
            ("GIT_OBJECT_DIRECTORY", &self.objects),
        ];
        for (name, value) in variables {
            if let Some(value) = value {
                git.env(name, value);
            }
        }
        if let Some(commit) = &self.attributes {
            git.env("GIT_ATTR_SOURCE", commit);
        }
        let fallback = User::fallback();
        let user = self.user.as_ref().unwrap_or(&fallback);
        for role in ["AUTHOR", "COMMITTER"] {
            git.env(format!("GIT_{role}_NAME"), &user.name);
            git.env(format!("GIT_{role}_EMAIL"), &user.email);
        }
        for setting in &self.settings {
            git.args(["-c", setting]);
        }
        git.env("GIT_CONFIG_COUNT", self.odd_settings.len().to_string());
        for (at, (key, value)) in self.odd_settings.iter().enumerate() {
            git.env(format!("GIT_CONFIG_KEY_{at}"), key);
            git.env(format!("GIT_CONFIG_VALUE_{at}"), value);
        }
        if let Some(work_tree) = &self.work_tree {
            git.arg("-C").arg(work_tree);
        }
        git.args(words);
        git
    }

    /// What git says to that.
    pub(crate) fn ask<S: AsRef<OsStr>>(&self, words: &[S]) -> Result<Vec<u8>, WorktreeError> {
        self.feed(words, Vec::new())
    }

    /// What git says, as one line of text.
    pub(crate) fn line<S: AsRef<OsStr>>(&self, words: &[S]) -> Result<String, WorktreeError> {
        let said = self.ask(words)?;
        Ok(String::from_utf8_lossy(&said).trim_end_matches('\n').to_owned())
    }

    /// What git says; `None` when it says no by ending with 1.
    pub(crate) fn perhaps<S: AsRef<OsStr>>(
        &self,
        words: &[S],
    ) -> Result<Option<String>, WorktreeError> {
        let output = self.outcome(words, Vec::new())?;
        match output.status.code() {
            Some(0) => {
                Ok(Some(String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned()))
            }
            Some(1) => Ok(None),
            _ => Err(refused(words, &output)),
        }
    }

    /// What git says to that, given `input`.
    pub(crate) fn feed<S: AsRef<OsStr>>(
        &self,
        words: &[S],
        input: Vec<u8>,
    ) -> Result<Vec<u8>, WorktreeError> {
        let output = self.outcome(words, input)?;
        if output.status.success() { Ok(output.stdout) } else { Err(refused(words, &output)) }
    }

    /// How git ends, tried again while another git holds a lock.
    pub(crate) fn outcome<S: AsRef<OsStr>>(
        &self,
        words: &[S],
        input: Vec<u8>,
    ) -> Result<Output, WorktreeError> {
        let begun = Instant::now();
        let mut pause = Duration::from_millis(5);
        loop {
            let output = self.once(words, input.clone())?;
            if output.status.success() || !is_locked(&output) || begun.elapsed() > LOCKED {
                return Ok(output);
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(500));
        }
    }

    fn once<S: AsRef<OsStr>>(&self, words: &[S], input: Vec<u8>) -> Result<Output, WorktreeError> {
        let mut looked = false;
        run(self.command(words), input, |so_far| {
            if so_far > TOO_LONG {
                return Err(WorktreeError::Git {
                    asked: shown(words),
                    said: "it took too long and was ended".into(),
                });
            }
            // Once is enough: what is planted later holds up the next command.
            if let Some(folder) = self.work_tree.as_ref().filter(|_| !looked) {
                looked = true;
                if let Some(plug) = crate::files::plug(folder) {
                    let why = format!("`{}` is no file, and git would wait for it", plug.display());
                    return Err(WorktreeError::Tampered { folder: folder.clone(), why });
                }
            }
            Ok(())
        })
    }
}

impl User {
    fn fallback() -> Self {
        Self { name: "codex-orchestrator".into(), email: "codex-orchestrator@localhost".into() }
    }
}

/// Asks the git that a user in `folder` would have, with all their settings: only for where the
/// repository is, which git does not tell of one that somebody else has planted, and for settings.
pub(crate) fn as_the_user(folder: &Path, words: &[&str]) -> Result<Output, WorktreeError> {
    let mut git = bare_command();
    git.arg("-C").arg(folder).args(words);
    run(git, Vec::new(), |so_far| {
        if so_far < TOO_LONG {
            return Ok(());
        }
        Err(WorktreeError::Git { asked: shown(words), said: "it took too long".into() })
    })
}

/// A git without anything that comes from the environment, and with what no command of ours does.
fn bare_command() -> Command {
    let mut git = Command::new("git");
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"GIT_") {
            git.env_remove(name);
        }
    }
    let variables = [
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_NO_LAZY_FETCH", "1"),
        ("GIT_NO_REPLACE_OBJECTS", "1"),
        ("GIT_OPTIONAL_LOCKS", "0"),
        ("GIT_ALLOW_PROTOCOL", "none"),
        ("GIT_PAGER", "cat"),
        ("GIT_EDITOR", "false"),
        // What git says is read, by us as well.
        ("LC_ALL", "C"),
    ];
    git.envs(variables);
    let settings = [
        "safe.bareRepository=explicit",
        "core.hooksPath=/dev/null",
        "core.fsmonitor=false",
        "core.untrackedCache=false",
        "core.filesRefLockTimeout=5000",
        "core.packedRefsTimeout=5000",
        "protocol.allow=never",
        "protocol.ext.allow=never",
        "commit.gpgSign=false",
        "diff.external=",
        "submodule.recurse=false",
        "gc.auto=0",
        "maintenance.auto=false",
        "worktree.useRelativePaths=false",
        "advice.addEmbeddedRepo=false",
    ];
    for setting in settings {
        git.args(["-c", setting]);
    }
    // A relative folder on the `PATH` would else be looked for in a folder that others fill.
    git.current_dir("/").process_group(0);
    git
}

/// Runs it to its end; `still` is asked now and then whether it may go on.
fn run(
    mut git: Command,
    input: Vec<u8>,
    mut still: impl FnMut(Duration) -> Result<(), WorktreeError>,
) -> Result<Output, WorktreeError> {
    git.stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() });
    git.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = git.spawn().map_err(WorktreeError::NoProgram)?;
    let (done, ends) = mpsc::channel();
    let stdin = child.stdin.take();
    let writer = thread::spawn(move || {
        // Where git has ended by itself, its output says so.
        let _ = stdin.map(|mut stdin| stdin.write_all(&input));
    });
    let readers = [reader(child.stdout.take(), done.clone()), reader(child.stderr.take(), done)];
    let begun = Instant::now();
    let mut open = readers.len();
    while open > 0 {
        match ends.recv_timeout(SUSPICIOUS) {
            Ok(()) => open -= 1,
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                if let Err(error) = still(begun.elapsed()) {
                    end(&mut child);
                    return Err(error);
                }
            }
        }
    }
    let status = child.wait().map_err(WorktreeError::NoProgram)?;
    let _ = writer.join();
    let [stdout, stderr] = readers.map(|reader| reader.join().unwrap_or_default());
    Ok(Output { status, stdout, stderr })
}

fn reader(
    pipe: Option<impl Read + Send + 'static>,
    done: mpsc::Sender<()>,
) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut said = Vec::new();
        let _ = pipe.map(|mut pipe| pipe.read_to_end(&mut said));
        let _ = done.send(());
        said
    })
}

/// Ends a git that leads a group of its own and has not been waited for, with all it started.
fn end(child: &mut Child) {
    // Not waited for yet, so its id is still its own.
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait();
}

fn is_locked(output: &Output) -> bool {
    let said = String::from_utf8_lossy(&output.stderr);
    // The folder of a work tree that another git is just making has files that are empty yet.
    let half_made = said.contains("/worktrees/") && said.contains("failed to read");
    said.contains(".lock': File exists") || said.contains("Another git process") || half_made
}

pub(crate) fn refused<S: AsRef<OsStr>>(words: &[S], output: &Output) -> WorktreeError {
    const LONGEST: usize = 500;
    let said = String::from_utf8_lossy(&output.stderr);
    let lines = said.lines().map(str::trim).filter(|line| {
        !line.is_empty() && !line.starts_with("hint:") && !line.starts_with("warning:")
    });
    let said = lines.collect::<Vec<_>>().join("; ");
    let said: String = said.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
    let said = if said.is_empty() { output.status.to_string() } else { said };
    WorktreeError::Git { asked: shown(words), said }
}

fn shown<S: AsRef<OsStr>>(words: &[S]) -> String {
    let words = words.iter().take(3).map(|word| word.as_ref().to_string_lossy().into_owned());
    format!("git {}", words.collect::<Vec<_>>().join(" "))
}

/// Words of a command, some of them paths.
pub(crate) fn words<const N: usize>(words: [&dyn AsRef<OsStr>; N]) -> [OsString; N] {
    words.map(|word| word.as_ref().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_in_settings_are_off_whatever_they_are_called() {
        let folder = tempfile::tempdir().unwrap();
        let git = Git::on(folder.path());
        git.ask(&["init", "-q", "--bare"]).unwrap();
        let keys = ["hook.a.command", "hook.b = \"x\".y.command", "hook.c.enabled"];
        for key in keys {
            git.ask(&["config", key, "true"]).unwrap();
        }
        let off = git.without_hooks().unwrap();
        for name in ["a", "b = \"x\".y", "c", "post-checkout"] {
            let said = off.line(&["config", "--get", &format!("hook.{name}.enabled")]).unwrap();
            assert_eq!(said, "false", "{name}");
        }
    }
}
