//! A desk at which somebody works with Codex: a home, a repository, programs on the path, and a
//! model to talk to. It goes away with the test, and so does every process that was started at it.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    app_server::AppServer,
    client::{self, Session},
    confined::can_be_confined,
    model::Model,
    patience::until,
    processes,
    server::{self, Served},
};

/// What turns a registration that is off on, for one session.
pub(crate) const ENABLED: [&str; 2] = ["-c", "mcp_servers.delegation.enabled=true"];

/// The server as `setup` registers it: off, needed where it is on, and with what Codex would
/// otherwise keep from it.
pub(crate) const REGISTERED: &str = r#"
[mcp_servers.delegation]
command = "codex-orchestrator"
args = ["delegate-server"]
enabled = false
required = true
env_vars = ["CODEX_HOME", "MCP_RUNNER_TASK_ID"]
"#;

/// See the module.
pub(crate) struct Desk {
    folder: TempDir,
    pub(crate) model: Model,
}

impl Desk {
    /// A desk with the client, or a word to whoever reads along that there is none.
    pub(crate) fn new() -> Option<Self> {
        let client = client::installed()?;
        // Not in the temporary folder: from there the client takes no helpers.
        let folder =
            tempfile::Builder::new().prefix("codex-").tempdir_in(env!("CARGO_TARGET_TMPDIR"));
        let desk = Self { folder: folder.expect("a folder"), model: Model::listen() };
        for name in ["home", "codex", "repo", "tmp", "bin", "served"] {
            fs::create_dir(desk.path(name)).expect("a folder");
        }
        symlink(client, desk.path("bin/codex")).expect("a link");
        symlink(server::program("codex-orch"), desk.path("bin/codex-orch")).expect("a link");
        desk.write_program("codex-orchestrator", &server::starter(&desk.path("served")));
        fs::write(desk.path("codex/config.toml"), desk.model.config()).expect("a config");
        desk.git(&["init", "--quiet", "--initial-branch=main"]);
        desk.commit();
        Some(desk)
    }

    /// The same, where commands can be confined: the client's own sandbox needs for that what we do.
    pub(crate) fn confining() -> Option<Self> {
        can_be_confined().then(Self::new)?
    }

    /// A desk at which the server is registered as `setup` does it. Whoever delegates needs a machine
    /// on which that can be confined.
    pub(crate) fn registered() -> Option<Self> {
        let desk = Self::confining()?;
        desk.configure(REGISTERED);
        Some(desk)
    }

    /// The same, with these pipelines in its repository.
    pub(crate) fn delegating(pipelines: &str) -> Option<Self> {
        let desk = Self::registered()?;
        desk.pipelines(pipelines);
        Some(desk)
    }

    fn path(&self, name: &str) -> PathBuf {
        let folder = self.folder.path().canonicalize().expect("a path");
        folder.join(name)
    }

    /// The repository.
    pub(crate) fn repo(&self) -> PathBuf {
        self.path("repo")
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.path("home")
    }

    /// Where the client keeps its things. Not where it would look by itself, so that whoever is
    /// not told of it finds a Codex without this model.
    pub(crate) fn codex_home(&self) -> PathBuf {
        self.path("codex")
    }

    /// Adds to the client's config.
    pub(crate) fn configure(&self, lines: &str) {
        let text = self.configured() + lines;
        fs::write(self.codex_home().join("config.toml"), text).expect("a config");
    }

    /// What stands in the client's config.
    pub(crate) fn configured(&self) -> String {
        fs::read_to_string(self.codex_home().join("config.toml")).expect("a config")
    }

    /// Gives the repository these pipelines, in a commit: what a sandboxed caller could have
    /// written by itself is not run for it.
    pub(crate) fn pipelines(&self, text: &str) {
        self.file(".codex/orchestrator.toml", text);
    }

    /// Gives the repository that file, in a commit.
    pub(crate) fn file(&self, name: &str, text: &str) {
        let path = self.repo().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
        self.commit();
    }

    pub(crate) fn write_program(&self, name: &str, text: &str) {
        let path = self.path("bin").join(name);
        fs::write(&path, text).expect("a program");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its mode");
    }

    fn git(&self, words: &[&str]) {
        let output = self.command("git", words).output().expect("git");
        assert!(output.status.success(), "git {words:?}: {output:?}");
    }

    fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message=more"]);
    }

    /// A program as somebody starts it who sits here.
    pub(crate) fn command(&self, program: &str, words: &[&str]) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(program);
        command.args(words).current_dir(self.repo()).stdin(Stdio::null()).env_clear();
        for name in ["LANG", "LLVM_PROFILE_FILE"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
            .env("PATH", format!("{}:{path}", self.path("bin").display()))
            .env("HOME", self.home())
            .env("CODEX_HOME", self.codex_home())
            .env("TMPDIR", self.path("tmp"))
            .env("NO_COLOR", "1");
        for who in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{who}_NAME"), "t")
                .env(format!("GIT_{who}_EMAIL"), "t@example.org");
        }
        command
    }

    /// A session of `codex exec` in the repository, to be changed before it starts.
    pub(crate) fn exec(&self, options: &[&str], prompt: &str) -> Command {
        let words = [&["exec", "--json", "-C", "."], options, &[prompt]].concat();
        self.command("codex", &words)
    }

    /// Starts a session that may delegate.
    pub(crate) fn delegate(&self, prompt: &str) -> Session {
        self.delegate_with(&[], prompt)
    }

    /// The same with more options.
    pub(crate) fn delegate_with(&self, options: &[&str], prompt: &str) -> Session {
        Session::start(self.exec(&[&ENABLED, options].concat(), prompt))
    }

    /// The client as other programs drive it, with the server on.
    pub(crate) fn app_server(&self) -> AppServer {
        let words = [&["app-server"][..], &ENABLED].concat();
        AppServer::start(self.command("codex", &words), &self.repo())
    }

    /// What one of our commands answers with `--json`.
    #[track_caller]
    pub(crate) fn orch(&self, words: &[&str]) -> Value {
        let output = self.run("codex-orch", &[words, &["--json"]].concat());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{words:?}: {error}: {output:?}"))
    }

    /// Runs a program to its end.
    pub(crate) fn run(&self, program: &str, words: &[&str]) -> Output {
        self.command(program, words).output().expect("it runs")
    }

    /// The processes of the server that were started so far, oldest first.
    pub(crate) fn served(&self) -> Vec<Served> {
        Served::all(&self.path("served"))
    }

    /// Waits for a process of the server that has heard this.
    #[track_caller]
    pub(crate) fn served_that_heard(&self, method: &str) -> Served {
        let known = || format!("{:#?}", self.served());
        until(&format!("a server that hears `{method}`"), known, || {
            self.served().into_iter().find(|served| served.has_heard(method))
        })
    }

    /// A folder of the user's that their file of settings lets delegated runs write, so that it is only
    /// Codex's own sandbox that keeps it from a thread.
    pub(crate) fn shelf(&self) -> PathBuf {
        let shelf = self.home().join("shelf");
        fs::create_dir_all(&shelf).expect("a folder");
        let caps = "caps.fs.write = [\"@worktree\", \"@tmp\", \"~/shelf\"]\n";
        fs::write(self.codex_home().join("orchestrator.toml"), caps).expect("a config");
        shelf
    }

    /// Adds that to the user's own file of settings.
    pub(crate) fn settings(&self, more: &str) {
        let path = self.codex_home().join("orchestrator.toml");
        let before = fs::read_to_string(&path).unwrap_or_default();
        fs::write(path, format!("{before}{more}\n")).expect("a config");
    }

    /// Where files can be put that are neither in the repository nor in the temporary folder.
    pub(crate) fn elsewhere(&self) -> PathBuf {
        self.path("")
    }

    /// What is in a file of the repository; nothing when it is not there.
    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.repo().join(name)).unwrap_or_default()
    }
}

/// Nothing of a test that failed may be left behind.
impl Drop for Desk {
    fn drop(&mut self) {
        processes::clear(&self.home());
    }
}

/// Makes a file in a repository, for which a stage waits there.
pub(crate) fn touch(repo: &Path, name: &str) {
    fs::write(repo.join(name), "").expect("a file");
}
