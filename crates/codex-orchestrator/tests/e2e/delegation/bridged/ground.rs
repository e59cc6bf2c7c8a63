//! A run that has one tool of a server of the user's, and whoever speaks with that server in its name:
//! from inside of its stage, in bytes of his own.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, Write},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
};

use nix::{sys::stat::Mode, unistd::mkfifo};
use serde_json::{Value, json};

use crate::{
    processes::Seen,
    scratch::{Scratch, program, until, wait_for},
};

/// It has three tools, notes down all that it hears, and does with each message what it is told to
/// by a piece of Python before it answers.
const SERVER: &str = r#"#!/usr/bin/env python3
import json, os, subprocess, sys, time
def raw(text):
    sys.stdout.write(text)
    sys.stdout.flush()
def say(message):
    raw(json.dumps(message) + "\n")
def note(text):
    with open(os.environ["FAKE_LOG"], "a") as log:
        log.write(text + "\n")
def tools(*names):
    return {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in names]}
note("pid %d" % os.getpid())
deed = compile(os.environ["DEED"], "deed", "exec")
for line in sys.stdin:
    note(line.strip())
    asked = json.loads(line)
    method, result = asked.get("method"), {}
    if method == "initialize":
        result = {"protocolVersion": asked["params"]["protocolVersion"],
                  "capabilities": {"tools": {}, "resources": {}},
                  "serverInfo": {"name": "fake", "version": "1"}}
    elif method == "tools/list":
        result = tools("one", "two", "three")
    exec(deed)
    if method and "id" in asked:
        say({"jsonrpc": "2.0", "id": asked["id"], "result": result})
"#;

/// A request for a call of that tool.
pub(super) fn call(tool: &str) -> Value {
    json!({ "jsonrpc": "2.0", "method": "tools/call", "params": { "name": tool, "arguments": {} } })
}

/// Such a run, and whoever speaks in its name.
pub(super) struct Bridged {
    pub(super) scratch: Scratch,
    pub(super) run: String,
    to: Option<File>,
    heard: Arc<Mutex<Heard>>,
    next: u64,
}

#[derive(Default)]
struct Heard {
    messages: Vec<Value>,
    ended: bool,
}

impl Bridged {
    /// The server does that with each message.
    pub(super) fn new(deed: &str) -> Self {
        let mut bridged = Self::silent(deed);
        bridged.greet();
        bridged
    }

    /// The same with other caps of tools, in a run that is started with those words.
    pub(super) fn granted(caps: &str, words: &[&str], deed: &str) -> Self {
        let mut bridged = Self::made(caps, words, ("fake-server", ""), deed);
        bridged.greet();
        bridged
    }

    /// A server that may take a second for a call.
    pub(super) fn hurried(words: &[&str], deed: &str) -> Self {
        let second = ("fake-server", "tool_timeout_sec = 1");
        let caps = "[caps.tools]\nmcp = { fake = [\"one\"] }\n";
        let mut bridged = Self::made(caps, words, second, deed);
        bridged.greet();
        bridged
    }

    #[track_caller]
    fn greet(&mut self) {
        let hello = json!({
            "protocolVersion": "2025-06-18",
            "capabilities": { "sampling": {}, "roots": { "listChanged": true }, "elicitation": {} },
            "clientInfo": { "name": "e2e", "version": "0" },
        });
        let hello = json!({ "jsonrpc": "2.0", "method": "initialize", "params": hello });
        let greeting = self.ask(&hello);
        assert!(greeting["result"].is_object(), "{greeting:#}");
        self.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
    }

    /// The same before anything is said to it.
    pub(super) fn silent(deed: &str) -> Self {
        Self::of("fake-server", deed)
    }

    /// The same with a server of that name in the test's folder, which need not be there.
    pub(super) fn of(server: &str, deed: &str) -> Self {
        Self::made("[caps.tools]\nmcp = { fake = [\"one\"] }\n", &[], (server, ""), deed)
    }

    fn made(caps: &str, words: &[&str], (server, lines): (&str, &str), deed: &str) -> Self {
        let scratch = Scratch::with(&format!(
            r#"
{caps}
[[pipelines.bridged.stages]]
id = "it"
command = "'{}' __across fake < ask > told; exit 1"
[[pipelines.bridged.stages]]
id = "after"
prompt = "never begun"
"#,
            program().display()
        ));
        scratch.git();
        let made = scratch.folder().join("fake-server");
        fs::write(&made, SERVER).expect("a program");
        fs::set_permissions(&made, fs::Permissions::from_mode(0o755)).expect("it is ours");
        let server = scratch.folder().join(server);
        let home = scratch.folder().join(".codex");
        fs::create_dir_all(&home).expect("a folder");
        let log = scratch.folder().join("heard");
        let config = format!(
            "[mcp_servers.fake]\ncommand = {server:?}\n{lines}\nenv = {{ DEED = {deed:?}, FAKE_LOG = {log:?} }}\n"
        );
        fs::write(home.join("config.toml"), config).expect("a config");
        let pipe = |name: &str| {
            mkfifo(&scratch.at(name), Mode::S_IRUSR | Mode::S_IWUSR).expect("a pipe");
            scratch.at(name)
        };
        let (ask, told) = (pipe("ask"), pipe("told"));
        let start = ["start", "bridged", "--task", "demo", "--detach"];
        let run = scratch.json(&[&start, words].concat()).text("run_id");
        let (to, heard) = Self::connected(ask, told);
        Self { scratch, run, to: Some(to), heard, next: 0 }
    }

    fn connected(ask: PathBuf, told: PathBuf) -> (File, Arc<Mutex<Heard>>) {
        let to = OpenOptions::new().write(true).open(ask).expect("somebody reads it");
        let from = File::open(told).expect("somebody writes it");
        let heard = Arc::<Mutex<Heard>>::default();
        let theirs = heard.clone();
        thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                let message = serde_json::from_str(&line).unwrap_or(Value::String(line));
                theirs.lock().expect("nobody panics").messages.push(message);
            }
            theirs.lock().expect("nobody panics").ended = true;
        });
        (to, heard)
    }

    /// Its runner is killed, and somebody resumes the run and speaks in its name again.
    pub(super) fn killed_and_resumed(&mut self) {
        self.scratch.kill_runner(&self.run);
        self.hang_up();
        self.await_end();
        assert_eq!(self.scratch.run(&["resume", &self.run, "--detach"]).code, 0);
        let (to, heard) = Self::connected(self.scratch.at("ask"), self.scratch.at("told"));
        (self.to, self.heard) = (Some(to), heard);
        self.greet();
    }

    /// Says just that.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        // One that is gone is seen by who waits for its answer.
        if let Some(to) = &mut self.to {
            let _ = to.write_all(bytes).and_then(|()| to.flush());
        }
    }

    pub(super) fn send(&mut self, message: &Value) {
        self.raw(format!("{message}\n").as_bytes());
    }

    /// Sends a request with an id of its own.
    pub(super) fn begin(&mut self, request: &Value) -> u64 {
        self.next += 1;
        let mut request = request.clone();
        request["id"] = json!(self.next);
        self.send(&request);
        self.next
    }

    /// The same, and waits for the answer.
    #[track_caller]
    pub(super) fn ask(&mut self, request: &Value) -> Value {
        let id = self.begin(request);
        self.answer(&json!(id))
    }

    /// Waits for the answer to the request of that id.
    #[track_caller]
    pub(super) fn answer(&self, id: &Value) -> Value {
        until(&format!("an answer to {id}"), || {
            let heard = self.heard.lock().expect("nobody panics");
            assert!(!heard.ended, "it has ended: {:?}", heard.messages);
            heard.messages.iter().find(|message| message["id"] == *id).cloned()
        })
    }

    /// All that was said to it so far.
    pub(super) fn heard(&self) -> Vec<Value> {
        self.heard.lock().expect("nobody panics").messages.clone()
    }

    /// Waits until the other side says no more.
    #[track_caller]
    pub(super) fn await_end(&self) {
        wait_for("the end of what it hears", || self.heard.lock().expect("nobody panics").ended);
    }

    /// What the server has heard, line by line.
    pub(super) fn at_server(&self) -> Vec<String> {
        let text = fs::read_to_string(self.log()).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn log(&self) -> PathBuf {
        self.scratch.folder().join("heard")
    }

    /// The tools that the server was called for.
    pub(super) fn called(&self) -> Vec<String> {
        let messages = self.at_server().into_iter();
        let messages = messages.filter_map(|line| serde_json::from_str::<Value>(&line).ok());
        let calls = messages.filter(|message| message["method"] == "tools/call");
        calls.map(|call| call["params"]["name"].to_string().replace('"', "")).collect()
    }

    /// The processes that were noted down: the server first, as soon as they are that many.
    #[track_caller]
    pub(super) fn processes(&self, count: usize) -> Vec<i32> {
        until("the server's processes", || {
            let lines = self.at_server();
            let pids = lines.iter().filter_map(|line| line.strip_prefix("pid ")?.parse().ok());
            let pids: Vec<i32> = pids.collect();
            (pids.len() >= count).then_some(pids)
        })
    }

    /// What is kept of what the server says beside its answers.
    pub(super) fn complaints(&self) -> String {
        let journal = self.scratch.journal();
        let repo = journal.parent().expect("it is in a folder");
        let path = repo.join("runs").join(&self.run).join("servers/fake.log");
        fs::read_to_string(path).unwrap_or_default()
    }

    /// Says no more.
    pub(super) fn hang_up(&mut self) {
        self.to = None;
    }

    /// Says no more, and waits until the run is over.
    #[track_caller]
    pub(super) fn end(mut self) -> (Scratch, String) {
        self.hang_up();
        self.scratch.await_end(&self.run);
        (self.scratch, self.run)
    }
}

/// Waits until none of these processes is there any more.
#[track_caller]
pub(super) fn gone(pids: &[i32]) {
    wait_for("their end", || pids.iter().all(|pid| Seen::at(*pid).is_none()));
}
