//! A client of the delegation server: JSON-RPC over its standard input and output, one line a
//! message. Every result is held against the schema that the server gave for it.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Read, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, OnceLock},
    thread,
};

use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use serde_json::{Value, json};

use crate::scratch::{Scratch, until, wait_for};

/// A server, and the client that talks to it.
pub(super) struct Server {
    child: Option<Child>,
    to: Option<Box<dyn Write + Send>>,
    heard: Arc<Mutex<Heard>>,
    next: u64,
    meta: Value,
    schemas: OnceLock<BTreeMap<String, jsonschema::Validator>>,
}

#[derive(Default)]
struct Heard {
    answers: BTreeMap<u64, Value>,
    /// What was no answer to anything that was asked.
    others: Vec<Value>,
    ended: bool,
}

/// What a tool said.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) failed: bool,
    pub(super) value: Value,
}

impl Said {
    /// What it gave; it was no error.
    #[track_caller]
    pub(super) fn given(self) -> Value {
        assert!(!self.failed, "{self:?}");
        self.value
    }

    /// The code of the error that it was.
    #[track_caller]
    pub(super) fn code(&self) -> &str {
        assert!(self.failed, "{self:?}");
        self.value["error"]["code"].as_str().expect("a code")
    }
}

/// A text of a value.
#[track_caller]
pub(super) fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_else(|| panic!("no text `{key}`: {value:#}")).to_owned()
}

/// The words of a client that says which session it is, and that no sandbox holds it.
pub(super) fn session(name: &str) -> Value {
    json!({
        "sessionId": name,
        "threadId": name,
        "codex/sandbox-state-meta": { "permissionProfile": { "type": "disabled" } },
    })
}

impl Server {
    /// A server of its own for a session of that name, in the repository.
    pub(super) fn of(scratch: &Scratch, name: &str) -> Self {
        Self::start(scratch.command(&["delegate-server"]), session(name))
    }

    /// The same, by a command of one's own. It leads a process group.
    pub(super) fn start(mut command: Command, meta: Value) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.process_group(0).spawn().expect("it starts");
        let (to, from) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("one"));
        Self::talk(Some(child), Box::new(to), Box::new(from), meta)
    }

    /// The same; its client says that it has forms for whoever sits there.
    pub(super) fn with_forms(mut self) -> Self {
        self.greet(json!({ "elicitation": { "form": {}, "url": {} } }));
        self
    }

    /// The form of that number that it had shown, with what is answered to it.
    pub(super) fn form(&self, at: usize) -> Option<Value> {
        let heard = self.heard.lock().unwrap();
        let mut forms = heard.others.iter().filter(|it| it["method"] == "elicitation/create");
        forms.nth(at).cloned()
    }

    /// Replies to a form.
    pub(super) fn reply(&mut self, form: &Value, result: Value) {
        self.send(&json!({ "jsonrpc": "2.0", "id": form["id"], "result": result }));
    }

    /// Whether it has taken a form away.
    pub(super) fn took_away(&self, form: &Value) -> bool {
        let heard = self.heard.lock().unwrap();
        let mut cancels =
            heard.others.iter().filter(|it| it["method"] == "notifications/cancelled");
        cancels.any(|it| it["params"]["requestId"] == form["id"])
    }

    /// A server at the other end of two named pipes, one of which it reads.
    pub(super) fn behind(ask: &Path, told: &Path) -> Self {
        let to = OpenOptions::new().write(true).open(ask).expect("somebody reads it");
        let from = File::open(told).expect("somebody writes it");
        Self::talk(None, Box::new(to), Box::new(from), Value::Null)
    }

    fn talk(
        child: Option<Child>,
        to: Box<dyn Write + Send>,
        from: Box<dyn Read + Send>,
        meta: Value,
    ) -> Self {
        let heard = Arc::<Mutex<Heard>>::default();
        let theirs = heard.clone();
        thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                let message: Value = serde_json::from_str(&line).unwrap_or(Value::String(line));
                let mut heard = theirs.lock().unwrap();
                match message["id"].as_u64() {
                    Some(id) if message.get("method").is_none() => {
                        assert!(heard.answers.insert(id, message).is_none(), "answered twice");
                    }
                    _ => heard.others.push(message),
                }
            }
            theirs.lock().unwrap().ended = true;
        });
        let schemas = OnceLock::new();
        let mut server = Self { child, to: Some(to), heard, next: 0, meta, schemas };
        server.greet(json!({}));
        server
    }

    fn greet(&mut self, capabilities: Value) {
        let hello = json!({
            "protocolVersion": "2025-06-18",
            "capabilities": capabilities,
            "clientInfo": { "name": "e2e", "version": "0" },
        });
        self.next += 1;
        let id = self.next;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": "initialize", "params": hello }));
        self.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
    }

    fn send(&mut self, message: &Value) {
        // One that is gone is seen by who waits for its answer.
        if let Some(to) = &mut self.to {
            let _ = to.write_all(format!("{message}\n").as_bytes()).and_then(|()| to.flush());
        }
    }

    /// Asks, and does not wait for the answer.
    pub(super) fn ask(&mut self, method: &str, params: Value) -> u64 {
        self.next += 1;
        let id = self.next;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        id
    }

    /// Calls a tool, and does not wait for what it says.
    pub(super) fn begin(&mut self, tool: &str, arguments: Value) -> u64 {
        let mut params = json!({ "name": format!("delegate.{tool}"), "arguments": arguments });
        if !self.meta.is_null() {
            params["_meta"] = self.meta.clone();
        }
        self.ask("tools/call", params)
    }

    /// The answer to that request, if it is there.
    pub(super) fn answer_of(&self, id: u64) -> Option<Value> {
        self.heard.lock().unwrap().answers.get(&id).cloned()
    }

    /// Waits for the answer to that request; none when the server ends before it.
    #[track_caller]
    pub(super) fn await_answer(&self, id: u64) -> Option<Value> {
        until("an answer", || {
            let heard = self.heard.lock().unwrap();
            let answer = heard.answers.get(&id).cloned();
            (answer.is_some() || heard.ended).then_some(answer)
        })
    }

    /// What the tool said that was called by that request; none when the server ended before.
    #[track_caller]
    pub(super) fn said(&mut self, tool: &str, id: u64) -> Option<Said> {
        let answer = self.await_answer(id)?;
        let result = answer.get("result").unwrap_or_else(|| panic!("{tool}: {answer:#}"));
        let value = result["structuredContent"].clone();
        let shown = result["content"][0]["text"].as_str().expect("a text");
        assert_eq!(shown, value.to_string(), "the same as text: {answer:#}");
        let failed = result["isError"] == true;
        match failed {
            true => {
                let error = value["error"].as_object().expect("an error");
                let keys: Vec<&str> = error.keys().map(String::as_str).collect();
                assert_eq!(keys, ["code", "message", "next_step"], "{answer:#}");
                assert!(error.values().all(|text| text.as_str().is_some_and(|t| !t.is_empty())));
            }
            false => self.check(tool, &value),
        }
        Some(Said { failed, value })
    }

    /// Calls a tool, and waits for what it says.
    #[track_caller]
    pub(super) fn call(&mut self, tool: &str, arguments: Value) -> Said {
        let id = self.begin(tool, arguments);
        self.said(tool, id).unwrap_or_else(|| panic!("the server ended: {tool}"))
    }

    /// The same; nothing when the server is gone before it answers.
    pub(super) fn try_call(&mut self, tool: &str, arguments: Value) -> Option<Said> {
        let id = self.begin(tool, arguments);
        self.said(tool, id)
    }

    /// The tools that it offers, as it lists them.
    #[track_caller]
    pub(super) fn tools(&mut self) -> Vec<Value> {
        let id = self.ask("tools/list", json!({}));
        let Some(answer) = self.await_answer(id) else { return Vec::new() };
        answer["result"]["tools"].as_array().unwrap_or_else(|| panic!("{answer:#}")).clone()
    }

    /// Their names.
    #[track_caller]
    pub(super) fn offered(&mut self) -> Vec<String> {
        let tools = self.tools().into_iter();
        tools.map(|tool| text(&tool, "name")["delegate.".len()..].to_owned()).collect()
    }

    #[track_caller]
    fn check(&mut self, tool: &str, value: &Value) {
        if self.schemas.get().is_none() {
            let tools = self.tools();
            let schema = |tool: &Value| {
                let made = jsonschema::validator_for(&tool["outputSchema"]).expect("a schema");
                (text(tool, "name"), made)
            };
            let _ = self.schemas.set(tools.iter().map(schema).collect());
        }
        let schemas = self.schemas.get().expect("just set");
        // A server that was killed after it answered offers nothing any more.
        let Some(schema) = schemas.get(&format!("delegate.{tool}")) else { return };
        let faults: Vec<String> = schema
            .iter_errors(value)
            .map(|fault| format!("{}: {fault}", fault.instance_path()))
            .collect();
        assert_eq!(faults, Vec::<String>::new(), "{tool}: {value:#}");
    }

    /// Tells it that nobody waits for the answer any more.
    pub(super) fn cancel(&mut self, id: u64) {
        let params = json!({ "requestId": id, "reason": "no more" });
        let method = "notifications/cancelled";
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    /// Says no more to it.
    pub(super) fn hang_up(&mut self) {
        self.to = None;
    }

    /// Says no more to it, and hears what it still has to say: then its pipes are free for others.
    #[track_caller]
    pub(super) fn hear_out(&mut self) {
        self.hang_up();
        wait_for("the server's end", || self.heard.lock().unwrap().ended);
    }

    pub(super) fn pid(&self) -> i32 {
        self.child.as_ref().map_or(0, |child| child.id().cast_signed())
    }

    pub(super) fn signal(&self, signal: Signal) {
        let _ = kill(Pid::from_raw(self.pid()), signal);
    }

    /// The same to it and to all that it started in its process group.
    pub(super) fn signal_group(&self, signal: Signal) {
        let _ = killpg(Pid::from_raw(self.pid()), signal);
    }

    /// Waits until it is gone.
    #[track_caller]
    pub(super) fn gone(&mut self) {
        if let Some(child) = &mut self.child {
            until("the server's end", || child.try_wait().expect("it is ours"));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.to = None;
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
