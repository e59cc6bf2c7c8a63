//! Sessions of the client: started, listened to, signalled, ended.

use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::{patience::until, processes::Seen};

/// The version of the client that all of this was seen with; `scripts/setup` reads it too.
pub(crate) const VERSION: &str = include_str!("version").trim_ascii();

/// Where the client is. If it is not, that is said.
pub(crate) fn installed() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let package = root.join("target/tools/codex/node_modules/@openai");
    let client = native(&package);
    if client.is_none() {
        say(&format!(
            "skipped: Codex {VERSION} is not installed; `scripts/setup --tests` does it with npm"
        ));
    }
    client
}

/// The program itself, in the package for this platform. The script that npm puts before it is a
/// process of its own with older Nodes, and signals would meet that one.
fn native(packages: &Path) -> Option<PathBuf> {
    let package = std::fs::read(packages.join("codex/package.json")).ok()?;
    let package: Value = serde_json::from_slice(&package).ok()?;
    if package["version"] != VERSION {
        return None;
    }
    let folders = std::fs::read_dir(packages).ok()?.filter_map(Result::ok);
    let vendors = folders.filter_map(|folder| std::fs::read_dir(folder.path().join("vendor")).ok());
    let mut triples = vendors.flatten().filter_map(Result::ok);
    triples.find_map(|triple| triple.path().join("bin/codex").canonicalize().ok())
}

/// Says something that people look at who run the tests by hand.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Lines that a process has said so far.
pub(crate) struct Heard {
    lines: Arc<Mutex<Vec<String>>>,
    reader: JoinHandle<()>,
}

impl Heard {
    pub(crate) fn from(pipe: impl Read + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&lines);
        let reader = thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                heard.lock().expect("whole lines").push(line);
            }
        });
        Self { lines, reader }
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("whole lines").clone()
    }

    /// Those of the lines that are JSON.
    pub(crate) fn messages(&self) -> Vec<Value> {
        self.lines().iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    fn ended(&self) -> bool {
        self.reader.is_finished()
    }
}

/// A process with pipes, which is killed when the test forgets it.
pub(crate) struct Running {
    child: Child,
    pub(crate) stdout: Heard,
    pub(crate) stderr: Heard,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let stdout = Heard::from(child.stdout.take().expect("a pipe"));
        let stderr = Heard::from(child.stderr.take().expect("a pipe"));
        Self { child, stdout, stderr }
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// A process that nobody has waited for keeps its number.
    pub(crate) fn signal(&self, signal: Signal) {
        let _ = kill(Pid::from_raw(self.child.id().cast_signed()), signal);
    }

    /// All that it said, for somebody who wonders what went wrong.
    pub(crate) fn said(&self) -> String {
        said(&self.stdout, &self.stderr)
    }
}

fn said(stdout: &Heard, stderr: &Heard) -> String {
    [stdout.lines(), stderr.lines()].concat().join("\n")
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A session of `codex exec --json`.
pub(crate) struct Session(Running);

impl Session {
    pub(crate) fn start(command: Command) -> Self {
        Self(Running::start(command))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.0.signal(signal);
    }

    pub(crate) fn seen(&self) -> Option<Seen> {
        Seen::at(self.0.child.id().cast_signed())
    }

    /// Waits until it has told of the beginning of a call of that tool.
    #[track_caller]
    pub(crate) fn await_call(&self, tool: &str) {
        until(
            &format!("a call of `{tool}`"),
            || self.0.said(),
            || {
                let events = self.0.stdout.messages();
                events.into_iter().find(|event| event["item"]["tool"] == tool)
            },
        );
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ended {
        let Running { child, stdout, stderr } = &mut self.0;
        let status = until(
            "the end of the session",
            || said(stdout, stderr),
            || {
                let status = child.try_wait().expect("it is ours")?;
                (stdout.ended() && stderr.ended()).then_some(status)
            },
        );
        Ended { status, events: stdout.messages(), said: said(stdout, stderr) }
    }

    /// Waits for an end in which the model has said its last word.
    #[track_caller]
    pub(crate) fn succeed(self) -> Ended {
        let ended = self.end();
        assert!(ended.status.success(), "{ended}");
        ended
    }
}

/// How a session ended, and what it told.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    events: Vec<Value>,
    said: String,
}

impl Ended {
    /// The last words of the model.
    pub(crate) fn last(&self) -> String {
        let mut messages = self.items("agent_message");
        let last = messages.pop().unwrap_or_default();
        last["text"].as_str().unwrap_or_default().to_owned()
    }

    /// The calls of a tool that were made, as they ended.
    pub(crate) fn calls(&self, tool: &str) -> Vec<Value> {
        self.items("mcp_tool_call").into_iter().filter(|item| item["tool"] == tool).collect()
    }

    /// What the client itself complained of.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let errors = self.items("error").into_iter();
        errors.filter_map(|item| Some(item["message"].as_str()?.to_owned())).collect()
    }

    fn items(&self, kind: &str) -> Vec<Value> {
        let completed = self.events.iter().filter(|event| event["type"] == "item.completed");
        let items = completed.map(|event| event["item"].clone());
        items.filter(|item| item["type"] == kind).collect()
    }

    /// The exit code, or the number of the signal.
    pub(crate) fn code(&self) -> Result<i32, i32> {
        self.status.code().ok_or_else(|| self.status.signal().unwrap_or(0))
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:\n{}", self.status, self.said)
    }
}
