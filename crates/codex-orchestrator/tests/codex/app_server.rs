//! The client as editors drive it: `codex app-server`, one message a line.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{ChildStdin, Command, Stdio},
};

use serde_json::{Value, json};

use crate::{client::Running, patience::until};

/// See the module.
pub(crate) struct AppServer {
    running: Running,
    stdin: ChildStdin,
    cwd: PathBuf,
    asked: u64,
}

impl AppServer {
    /// Starts it and shakes hands.
    #[track_caller]
    pub(crate) fn start(mut command: Command, cwd: &Path) -> Self {
        command.stdin(Stdio::piped());
        let mut running = Running::start(command);
        let stdin = running.child().stdin.take().expect("a pipe");
        let mut server = Self { running, stdin, cwd: cwd.to_owned(), asked: 0 };
        let client = json!({ "name": "tests", "title": "Tests", "version": "1" });
        server.ask("initialize", &json!({ "clientInfo": client }));
        server.tell(&json!({ "method": "initialized" }));
        server
    }

    /// Begins a thread, and gives its id.
    #[track_caller]
    pub(crate) fn thread(&mut self) -> String {
        let started = self.ask("thread/start", &json!({ "cwd": self.cwd.clone() }));
        started["thread"]["id"].as_str().expect("an id").to_owned()
    }

    /// Begins a turn of that thread, and gives its id.
    #[track_caller]
    pub(crate) fn turn(&mut self, thread: &str, prompt: &str) -> String {
        let input = json!([{ "type": "text", "text": prompt }]);
        let started = self.ask("turn/start", &json!({ "threadId": thread, "input": input }));
        started["turn"]["id"].as_str().expect("an id").to_owned()
    }

    /// Interrupts that turn, and waits until it has ended so.
    #[track_caller]
    pub(crate) fn interrupt(&mut self, thread: &str, turn: &str) {
        self.ask("turn/interrupt", &json!({ "threadId": thread, "turnId": turn }));
        let completed = self.await_notification("turn/completed");
        assert_eq!(completed["turn"]["status"], "interrupted", "{completed}");
    }

    /// Calls a tool of our server without a model, and gives the result.
    #[track_caller]
    pub(crate) fn call(&mut self, thread: &str, tool: &str, arguments: &Value) -> Value {
        let server = "delegation";
        let call = json!({
            "threadId": thread, "server": server, "tool": tool, "arguments": arguments,
        });
        self.ask("mcpServer/tool/call", &call)
    }

    /// Waits until the model has called that tool of ours.
    #[track_caller]
    pub(crate) fn await_call(&self, tool: &str) {
        self.await_message(tool, |message| {
            message["method"] == "item/started" && message["params"]["item"]["tool"] == tool
        });
    }

    /// Waits for something that the client's user is asked.
    #[track_caller]
    pub(crate) fn await_request(&self, method: &str) -> Value {
        self.await_message(method, |message| {
            message["method"] == method && message.get("id").is_some()
        })
    }

    /// Answers that.
    pub(crate) fn answer(&mut self, request: &Value, result: Value) {
        self.tell(&json!({ "id": request["id"], "result": result }));
    }

    /// Waits until a turn has ended well.
    #[track_caller]
    pub(crate) fn await_end(&self) {
        let completed = self.await_notification("turn/completed");
        assert_eq!(completed["turn"]["status"], "completed", "{completed}");
    }

    #[track_caller]
    fn await_notification(&self, method: &str) -> Value {
        let message = self.await_message(method, |message| message["method"] == method);
        message["params"].clone()
    }

    #[track_caller]
    fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.asked += 1;
        let id = self.asked;
        self.tell(&json!({ "id": id, "method": method, "params": params }));
        let is_answer = |message: &Value| message["id"] == id && message.get("method").is_none();
        let answer = self.await_message(method, is_answer);
        answer.get("result").unwrap_or_else(|| panic!("{method}: {answer}")).clone()
    }

    fn tell(&mut self, message: &Value) {
        writeln!(self.stdin, "{message}").expect("it listens");
    }

    #[track_caller]
    fn await_message(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        until(
            what,
            || self.running.said(),
            || self.running.stdout.messages().into_iter().find(&is_it),
        )
    }
}
