//! A repository and a state folder that go away with the test, and the program in them.

use std::{
    ffi::OsStr,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    confined,
    processes::{Seen, marked},
};

/// The program under test: the one that was built with the tests, or another build of it.
pub(crate) fn program() -> PathBuf {
    let other = std::env::var_os("E2E_PROGRAM").map(PathBuf::from);
    other.unwrap_or_else(|| env!("CARGO_BIN_EXE_codex-orch").into())
}

/// How long a fact may take to come about on a machine that is busy with other tests.
const LONG: Duration = Duration::from_secs(60);

/// A repository with a state folder of its own.
pub(crate) struct Scratch {
    folder: TempDir,
    repo: PathBuf,
}

impl Scratch {
    /// A folder without git and without config.
    pub(crate) fn new() -> Self {
        Self::named("repo")
    }

    /// The same, at a path whose last part is chosen.
    pub(crate) fn named(name: &str) -> Self {
        let folder = TempDir::new().expect("a folder");
        // The program knows a repository by its path without links.
        let repo = folder.path().canonicalize().expect("a path").join(name);
        fs::create_dir(&repo).expect("a repository");
        Self { folder, repo }
    }

    /// One with these pipelines, in the syntax of the config: `deploy = [{id = …}, …]`.
    pub(crate) fn with(config: &str) -> Self {
        let scratch = Self::new();
        scratch.config(config);
        scratch
    }

    /// Writes the config of the repository.
    pub(crate) fn config(&self, text: &str) {
        let folder = self.repo.join(".codex");
        fs::create_dir_all(&folder).expect("a folder for the config");
        fs::write(folder.join("orchestrator.toml"), text).expect("a config");
    }

    /// One with that config, in which something is delegated that need not be confined.
    pub(crate) fn delegating(config: &str) -> Self {
        let scratch = Self::with(config);
        if !confined::is_possible() {
            scratch.own_config("");
        }
        scratch
    }

    /// Writes the config of its user. Where nothing can be confined, what is delegated runs all the same.
    pub(crate) fn own_config(&self, text: &str) {
        let folder = self.folder().join(".codex");
        fs::create_dir_all(&folder).expect("a folder for the config");
        let unconfined = "caps.on_missing = \"warn\"\n";
        let unconfined = if confined::is_possible() { "" } else { unconfined };
        fs::write(folder.join("orchestrator.toml"), format!("{unconfined}{text}"))
            .expect("a config");
    }

    /// Makes a git repository of it, with one commit.
    pub(crate) fn git(&self) {
        self.tell_git(&["init", "--quiet", "--initial-branch=main"]);
        self.tell_git(&["add", "--all"]);
        self.tell_git(&["commit", "--quiet", "--allow-empty", "--message=first"]);
    }

    /// Runs git in the repository.
    #[track_caller]
    pub(crate) fn tell_git(&self, words: &[&str]) -> Done {
        let done = done(&mut self.elsewhere("git", words));
        assert_eq!(done.code, 0, "git {words:?}: {done:?}");
        done
    }

    /// The repository.
    pub(crate) fn repo(&self) -> &Path {
        &self.repo
    }

    /// A path in the repository.
    pub(crate) fn at(&self, name: impl AsRef<Path>) -> PathBuf {
        self.repo.join(name)
    }

    /// The folder that holds the repository, the state and everything else of the test.
    pub(crate) fn folder(&self) -> &Path {
        self.repo.parent().expect("it is in the folder")
    }

    /// The state folder.
    pub(crate) fn state(&self) -> PathBuf {
        self.folder().join("state")
    }

    /// Another program, where ours would be and with what ours would see.
    pub(crate) fn elsewhere<S: AsRef<OsStr>>(
        &self,
        program: impl AsRef<OsStr>,
        words: &[S],
    ) -> Command {
        let mut command = Command::new(program);
        command.args(words).current_dir(&self.repo).stdin(Stdio::null());
        command.env_clear();
        for name in ["PATH", "LANG", "TMPDIR", "LLVM_PROFILE_FILE"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
            .env("HOME", self.folder())
            .env("CODEX_ORCHESTRATOR_HOME", self.state())
            .env("NO_COLOR", "1")
            .env("GIT_AUTHOR_NAME", "t")
            .env("GIT_AUTHOR_EMAIL", "t@example.org")
            .env("GIT_COMMITTER_NAME", "t")
            .env("GIT_COMMITTER_EMAIL", "t@example.org");
        command
    }

    /// The program with these words, to be changed before it is run.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, words: &[S]) -> Command {
        self.elsewhere(program(), words)
    }

    /// Runs the program to its end.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, words: &[S]) -> Done {
        done(&mut self.command(words))
    }

    /// Runs the program with `--json`, and reads the one document that it prints.
    #[track_caller]
    pub(crate) fn json<S: AsRef<OsStr>>(&self, words: &[S]) -> Answer {
        self.run_json(&mut self.command(words))
    }

    /// The same with a command of one's own.
    #[track_caller]
    pub(crate) fn run_json(&self, command: &mut Command) -> Answer {
        done(command.arg("--json")).answer()
    }

    /// Starts the program and does not wait for it.
    pub(crate) fn spawn<S: AsRef<OsStr>>(&self, words: &[S]) -> Running {
        let mut command = self.command(words);
        Running::new(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn())
    }

    /// Starts a pipeline in the background and gives its run's id.
    #[track_caller]
    pub(crate) fn start(&self, pipeline: &str) -> String {
        let answer = self.json(&["start", pipeline, "--task", "demo", "--detach"]);
        assert_eq!(answer.code, 0, "{answer:?}");
        answer.text("run_id")
    }

    /// What `status` says of the run.
    #[track_caller]
    pub(crate) fn status(&self, run: &str) -> String {
        let answer = self.json(&["status", run]);
        assert_eq!(answer.code, 0, "{answer:?}");
        answer.text("status")
    }

    /// The folder of a run of the task `demo`.
    pub(crate) fn record(&self, run: &str) -> PathBuf {
        self.repo.join(".runs/demo/cli").join(run)
    }

    /// The lines of a run's `events.jsonl`, each of which must be whole.
    #[track_caller]
    pub(crate) fn events(&self, run: &str) -> Vec<Value> {
        let path = self.record(run).join("events.jsonl");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let whole = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
        };
        text.lines().map(whole).collect()
    }

    /// A run's manifest as it is on disk.
    #[track_caller]
    pub(crate) fn manifest(&self, run: &str) -> Value {
        let path = self.record(run).join("manifest.json");
        let text = fs::read(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"))
    }

    /// The process that runs the run.
    #[track_caller]
    pub(crate) fn runner(&self, run: &str) -> i32 {
        let pid = self.manifest(run)["host"]["pid"].as_i64().expect("it has a runner");
        i32::try_from(pid).expect("a process id")
    }

    /// Kills the run's runner and waits until it is gone, and all of its locks with it.
    #[track_caller]
    pub(crate) fn kill_runner(&self, run: &str) {
        let pid = self.runner(run);
        kill(Pid::from_raw(pid), Signal::SIGKILL).expect("it lives");
        wait_for("the runner's end", || Seen::at(pid).is_none());
    }

    /// Waits until the run has ended, and its runner is gone.
    #[track_caller]
    pub(crate) fn await_end(&self, run: &str) -> Done {
        let done = self.run(&["wait", run]);
        let pid = self.runner(run);
        wait_for("the runner's end", || Seen::at(pid).is_none());
        done
    }

    /// What is in a file of the repository; nothing when it is not there.
    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.at(name)).unwrap_or_default()
    }

    /// The database of the repository.
    pub(crate) fn journal(&self) -> PathBuf {
        let repos = fs::read_dir(self.state().join("repos")).expect("a state folder");
        let mut found: Vec<PathBuf> =
            repos.map(|entry| entry.expect("an entry").path().join("journal.db")).collect();
        assert_eq!(found.len(), 1, "one journal for one repository: {found:?}");
        found.remove(0)
    }

    /// The living processes that inherited this test's state folder: the program's own and all
    /// of their stages that kept their environment.
    pub(crate) fn processes(&self) -> Vec<i32> {
        let mark = format!("CODEX_ORCHESTRATOR_HOME={}", self.state().display());
        marked(&mark)
    }

    /// The living processes of a run that kept their environment.
    pub(crate) fn processes_of(&self, run: &str) -> Vec<i32> {
        marked(&format!("CODEX_ORCHESTRATOR_RUN_ID={run}"))
    }
}

/// Nothing of a test that failed may be left behind.
impl Drop for Scratch {
    fn drop(&mut self) {
        for _ in 0..5 {
            for pid in self.processes() {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        let _ = &self.folder;
    }
}

/// How a command ended, and what it said.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Done {
    pub(crate) fn of(output: &Output) -> Self {
        use std::os::unix::process::ExitStatusExt;
        let status = output.status;
        Self {
            code: status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The one document that it printed.
    #[track_caller]
    pub(crate) fn answer(self) -> Answer {
        let document = serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("not one document: {error}: {self:?}"));
        Answer { code: self.code, document, stderr: self.stderr }
    }
}

/// How a command with `--json` ended, and what it answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) document: Value,
    pub(crate) stderr: String,
}

impl Answer {
    /// A text of the document, by its path: `error/message`.
    #[track_caller]
    pub(crate) fn text(&self, path: &str) -> String {
        let found = self.document.pointer(&format!("/{path}")).and_then(Value::as_str);
        found.unwrap_or_else(|| panic!("no text at {path}: {self:?}")).to_owned()
    }
}

/// Runs it to its end.
pub(crate) fn done(command: &mut Command) -> Done {
    Done::of(&command.output().expect("it runs"))
}

/// The program at work. It is killed when the test forgets it.
pub(crate) struct Running {
    child: Option<Child>,
    pid: i32,
}

impl Running {
    pub(crate) fn new(child: std::io::Result<Child>) -> Self {
        let child = child.expect("it starts");
        Self { pid: child.id().cast_signed(), child: Some(child) }
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    pub(crate) fn signal(&self, signal: Signal) {
        // A process that nobody has waited for keeps its number.
        let _ = kill(Pid::from_raw(self.pid), signal);
    }

    /// Waits for its end.
    pub(crate) fn done(mut self) -> Done {
        let child = self.child.take().expect("only once");
        Done::of(&child.wait_with_output().expect("it ends"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Says something that people look at who run the tests by hand.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Waits until there is something, and gives it.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LONG;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not within {LONG:?}");
        std::thread::park_timeout(Duration::from_millis(3));
    }
}

/// Waits until it is so.
#[track_caller]
pub(crate) fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    until(what, || is_so().then_some(()));
}
