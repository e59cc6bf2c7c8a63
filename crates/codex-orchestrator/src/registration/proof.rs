//! Whether a registered server works: it is started as Codex starts it, greeted as Codex greets
//! it, asked for its tools, and one of them is called.

use std::{
    ffi::OsString,
    fmt,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value as Json, json};

use super::{
    codex, program,
    server::Server,
    talk::{Heard, Needed, Talk},
};
use crate::render::screen::{fit, harmless};

/// What a server did that works.
#[derive(Debug)]
pub(crate) struct Proof {
    /// What it calls itself.
    pub(crate) name: String,
    pub(crate) version: String,
    /// From its start to its tools.
    pub(crate) listed: Duration,
    pub(crate) tools: usize,
    /// The tool that was called, and how long it took.
    pub(crate) called: Option<(String, Duration)>,
    /// What is not as it should be, though it works.
    pub(crate) complaints: Vec<String>,
}

/// Why a server does not work.
#[derive(Debug)]
pub(crate) struct Broken {
    what: String,
    /// What it said last on standard error.
    said: Option<String>,
}

impl fmt::Display for Broken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.what)?;
        match &self.said {
            Some(said) => write!(out, "; it said: {}", fit(&harmless(said), 200)),
            None => Ok(()),
        }
    }
}

/// The longest that any step is waited for, whatever the registration allows.
const LONGEST: Duration = Duration::from_secs(30);
/// A tool that only looks has no reason to take longer.
const CALL: Duration = Duration::from_secs(10);
/// The tool that is called where there is one: it shows that the journal is found.
const LIST: &str = "delegate.list";

/// Tries it, in the folder of a session. `env` is all that Codex would have.
pub(crate) fn prove(
    server: &Server,
    env: &[(OsString, OsString)],
    folder: &Path,
) -> Result<Proof, Broken> {
    let broken = |what: String| Broken { what, said: None };
    let env = codex::environment(env, server);
    let folder = server.cwd.as_ref().map_or(folder.to_owned(), |cwd| folder.join(cwd));
    let path = env.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.as_os_str());
    let command = server.command.as_deref().unwrap_or_default();
    let found = program::find(command, path, &folder).map_err(broken)?;
    let started = Instant::now();
    let talk = Talk::start(&found, &server.args, &env, &folder)
        .map_err(|error| broken(format!("`{command}` cannot be started: {error}")))?;
    let mut session = Session { talk, next: 0, noise: None };

    let hello = session.ask("initialize", codex::initialize(), server.startup.min(LONGEST))?;
    session.tell("notifications/initialized")?;
    let shaken = started.elapsed();
    let tools = session.ask("tools/list", json!({}), server.startup.min(LONGEST))?;
    let listed = started.elapsed();
    let tools = tools["tools"].as_array().cloned().unwrap_or_default();
    let mut complaints = Vec::new();
    let called = match callable(&tools) {
        Some(tool) => {
            let before = Instant::now();
            let params = json!({ "name": tool, "arguments": {} });
            let answer = session.ask("tools/call", params, server.patience.min(CALL))?;
            if answer["isError"] == true {
                let said = answer["structuredContent"]["error"]["message"].as_str();
                let said = said.or(answer["content"][0]["text"].as_str()).unwrap_or("no reason");
                let said = fit(&harmless(said), 200);
                complaints.push(format!("`{tool}` answers with an error: {said}"));
            }
            Some((tool, before.elapsed()))
        }
        None => None,
    };
    if tools.is_empty() {
        complaints.push("it has no tools".to_owned());
    }
    if !server.required && shaken > codex::GRACE {
        complaints.push(format!(
            "it answers after {:.1} s: the first request of a session goes out without its tools",
            shaken.as_secs_f64()
        ));
    }
    if let Some(noise) = session.noise.take() {
        let noise = fit(&harmless(&noise), 60);
        complaints.push(format!("it writes to standard output what is no message: `{noise}`"));
    }
    match session.talk.end() {
        Needed::End => {}
        Needed::Terminate => complaints.push("it does not end with its session".to_owned()),
        Needed::Kill => complaints.push("it does not even end when it is told to".to_owned()),
    }
    let text = |key: &str| hello["serverInfo"][key].as_str().unwrap_or("nameless").to_owned();
    let (name, version) = (text("name"), text("version"));
    Ok(Proof { name, version, listed, tools: tools.len(), called, complaints })
}

/// A tool that can be called without changing anything and without knowing anything.
fn callable(tools: &[Json]) -> Option<String> {
    let name = |tool: &Json| tool["name"].as_str().map(str::to_owned);
    let harmless = |tool: &&Json| {
        let needs = tool["inputSchema"]["required"].as_array().is_some_and(|all| !all.is_empty());
        tool["annotations"]["readOnlyHint"] == true && !needs
    };
    let safe: Vec<&Json> = tools.iter().filter(harmless).collect();
    let list = safe.iter().find(|tool| tool["name"] == LIST);
    list.or(safe.first()).and_then(|tool| name(tool))
}

/// A conversation with a server.
struct Session {
    talk: Talk,
    next: u64,
    /// The first line that was no message.
    noise: Option<String>,
}

impl Session {
    fn broken(&self, what: String) -> Broken {
        Broken { what, said: self.talk.last_words() }
    }

    /// Asks, and waits for the answer.
    fn ask(&mut self, method: &str, mut params: Json, within: Duration) -> Result<Json, Broken> {
        let id = self.next;
        self.next += 1;
        if method != "initialize" {
            params["_meta"] = json!({ "progressToken": id });
        }
        let deadline = Instant::now() + within;
        let line = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        if self.talk.say(&line.to_string()).is_err() {
            return Err(self.gone(method));
        }
        loop {
            let line = match self.talk.hear(deadline) {
                Heard::Line(line) => line,
                Heard::End => return Err(self.gone(method)),
                Heard::TooLong => {
                    let what = "it writes a line to standard output that does not end";
                    return Err(self.broken(what.to_owned()));
                }
                Heard::Nothing => {
                    let seconds = within.as_secs_f64();
                    let mut what = format!("no answer to `{method}` within {seconds} s");
                    if let Some(noise) = &self.noise {
                        let noise = fit(&harmless(noise), 60);
                        what.push_str(&format!(", but `{noise}`, which is no message"));
                    }
                    return Err(self.broken(what));
                }
            };
            if line.trim_ascii().is_empty() {
                continue;
            }
            let message: Json = match serde_json::from_slice(&line) {
                Ok(message @ Json::Object(_)) => message,
                _ => {
                    // Codex reads over it, and so do we.
                    let line = || String::from_utf8_lossy(&line).into_owned();
                    self.noise.get_or_insert_with(line);
                    continue;
                }
            };
            match (message.get("method").and_then(Json::as_str), message.get("id")) {
                (Some(asked), Some(theirs)) => {
                    let answer = answer(asked, theirs);
                    if self.talk.say(&answer.to_string()).is_err() {
                        return Err(self.gone(method));
                    }
                }
                (None, Some(answered)) if *answered == json!(id) => {
                    if let Some(result) = message.get("result") {
                        return Ok(result.clone());
                    }
                    let said = message["error"]["message"].as_str().unwrap_or("no reason");
                    let said = fit(&harmless(said), 200);
                    return Err(
                        self.broken(format!("`{method}` is answered with an error: {said}"))
                    );
                }
                // Notifications, and answers to what nobody asked.
                _ => {}
            }
        }
    }

    fn tell(&mut self, method: &str) -> Result<(), Broken> {
        let line = json!({ "jsonrpc": "2.0", "method": method });
        self.talk.say(&line.to_string()).map_err(|_| self.gone(method))
    }

    /// It ended, or does not listen any more.
    fn gone(&mut self, method: &str) -> Broken {
        const SOON: Duration = Duration::from_secs(1);
        let what = match self.talk.ended(SOON) {
            Some(status) => format!("it ended before it answered `{method}` ({status})"),
            None => format!("it went silent before it answered `{method}`"),
        };
        self.broken(what)
    }
}

/// What Codex answers to a server that asks.
fn answer(asked: &str, id: &Json) -> Json {
    let answer = |key: &str, value: Json| json!({ "jsonrpc": "2.0", "id": id, key: value });
    match asked {
        "ping" => answer("result", json!({})),
        "roots/list" => answer("result", json!({ "roots": [] })),
        "elicitation/create" => answer("result", json!({ "action": "decline" })),
        _ => answer("error", json!({ "code": -32601, "message": "method not found" })),
    }
}
