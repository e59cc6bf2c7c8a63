//! A client of a delegation server, as Codex is one: JSON-RPC lines over its stdin and stdout.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::contender::Contender;
use super::processes;
use super::scratch::Scratch;

/// How long an answer may take before it is none.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Session {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    asked: u64,
}

impl Session {
    /// Starts a server and shakes hands with it.
    pub(super) fn open(tool: &Contender, scratch: &Scratch) -> Result<Self, String> {
        let repo = scratch.repo();
        let arguments = ["delegate-server", "--repo", &repo.to_string_lossy()];
        let mut child = tool
            .command(scratch, &arguments)
            .stdin(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .map_err(|error| format!("`{}` could not be started: {error}", tool.name))?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("it has no stdin and stdout".to_owned());
        };
        let (send, lines) = channel();
        // It ends with the server's stdout, which `drop` sees to.
        thread::spawn(move || {
            BufReader::new(stdout)
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| send.send(line).map_err(drop))
        });
        let mut session = Self { child, stdin, lines, asked: 0 };
        session.ask(
            "initialize",
            json!({
                "protocolVersion": "2025-06-18",
                "capabilities": {},
                "clientInfo": { "name": "bench", "version": "1" },
            }),
        )?;
        session.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }))?;
        Ok(session)
    }

    /// Asks, and waits for the answer to this very question.
    pub(super) fn ask(&mut self, method: &str, parameters: Value) -> Result<Value, String> {
        self.asked += 1;
        let id = self.asked;
        self.say(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": parameters }))?;
        loop {
            let line = self
                .lines
                .recv_timeout(PATIENCE)
                .map_err(|_| format!("`delegate-server` did not answer `{method}`"))?;
            let Ok(mut message) = serde_json::from_str::<Value>(&line) else {
                return Err(format!("`delegate-server` answered `{method}` with `{line}`"));
            };
            if message["id"] == id {
                return match message.get("error") {
                    Some(error) => Err(format!("`{method}` was refused: {error}")),
                    None => Ok(message["result"].take()),
                };
            }
        }
    }

    fn say(&mut self, message: &Value) -> Result<(), String> {
        writeln!(self.stdin, "{message}")
            .and_then(|()| self.stdin.flush())
            .map_err(|error| format!("`delegate-server` does not listen: {error}"))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // It may have ended already; either way nothing of it stays.
        let _ = self.child.kill();
        let _ = self.child.wait();
        processes::end_orphans();
    }
}
