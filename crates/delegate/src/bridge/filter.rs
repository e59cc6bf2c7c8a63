//! What may pass between a thread and a server of which it is granted some tools.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use engine::ToolLeave;
use serde_json::{Value, json};

use super::{
    clocks::Clocks,
    elicited::{self, Elicited},
};

#[cfg(test)]
mod stories;

/// What a thread is granted of a server.
pub trait Grants {
    /// Whether that tool may be called, at this moment.
    fn tool(&self, name: &str) -> ToolLeave;
    /// Whether everything may, also what is no tool.
    fn is_whole(&self) -> bool;
    /// Whether somebody may be asked for more tools than are given.
    fn may_widen(&self) -> bool;
    /// Whether the server may ask a person for something.
    fn may_elicit(&self) -> bool;
    /// How long the server may take for a request while it waits for nobody; nothing where whoever makes
    /// it sees to that.
    fn limit(&self) -> Option<Duration>;
}

/// What a server has made of the greeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// It has answered.
    Answered,
    /// It has refused it, in these words.
    Refused(String),
    /// It has ended without an answer.
    Ended,
    /// Nothing, as long as somebody was there to hear it.
    Unanswered,
}

/// What becomes of what a thread says.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// The server hears it.
    Pass,
    /// It is answered so, and the server does not hear it.
    Refuse { code: i64, words: String, tool: Option<(String, Why)> },
    /// It waits for whoever is asked for that tool.
    Hold { tool: String },
    /// Nobody hears it.
    Drop,
}

/// Why a tool is not called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is not granted.
    NotGranted,
    /// Somebody is asked for it, and has not answered.
    Asked,
    /// Whoever was asked did not say yes.
    Refused,
}

/// What becomes of what a server says.
#[derive(Debug, PartialEq)]
pub(super) enum Heard {
    /// The thread hears it.
    Pass(Value),
    /// The server is answered so, and the thread does not hear it.
    Answer(Value),
    /// A person is asked that, and the thread does not hear of it.
    Elicits { number: u64, params: Value },
    /// Nobody hears it.
    Drop,
}

/// Remembers which answer has to be looked at.
#[derive(Debug)]
pub(super) struct Filter<G> {
    grants: G,
    name: String,
    awaited: HashMap<i64, Awaited>,
    /// How the server has answered the greeting.
    greeting: Greeting,
    /// What the server says that it has, of what somebody may be asked for: for nothing else is anybody
    /// asked.
    askable: HashSet<String>,
    /// What the server wants from a person.
    pub(super) elicited: Elicited,
    clocks: Clocks,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    Greeting,
    Tools,
    Other,
}

/// What a thread can do with a server beside calling its tools, however little it is granted.
const USUAL: [&str; 3] = ["initialize", "ping", "logging/setLevel"];

/// The number of the error that somebody hears who would wait for too long, as others use it.
const LATE: i64 = -32001;

/// What a server tells by itself that belongs to its tools.
const OF_TOOLS: [&str; 3] =
    ["notifications/message", "notifications/progress", "notifications/tools/list_changed"];

/// Where a client says with each request what it can be asked for.
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

impl<G: Grants> Filter<G> {
    pub(super) fn new(name: String, grants: G) -> Self {
        Self {
            grants,
            name,
            awaited: HashMap::new(),
            greeting: Greeting::Unanswered,
            askable: HashSet::new(),
            elicited: Elicited::default(),
            clocks: Clocks::default(),
        }
    }

    /// What becomes of a message of the thread's. It is judged as it is passed on, not as it came. A
    /// server is never told that it could ask the thread for anything: see `heard`. It is told that a
    /// person can be asked, whatever the thread can do.
    pub(super) fn said(&mut self, message: &mut Value) -> Verdict {
        let Some(method) = message["method"].as_str().map(str::to_owned) else {
            return Verdict::Drop;
        };
        let method = method.as_str();
        let Some(id) = message["id"].as_i64() else {
            if method == "notifications/cancelled"
                && let Some(id) = message["params"]["requestId"].as_i64()
            {
                self.is_over(id);
            }
            let is_heard =
                method.starts_with("notifications/") && !method.starts_with("notifications/roots/");
            return if is_heard { Verdict::Pass } else { Verdict::Drop };
        };
        if method == "initialize" {
            message["params"]["capabilities"] = match self.grants.may_elicit() {
                true => json!({ "elicitation": { "form": {}, "url": {} } }),
                false => json!({}),
            };
        }
        if let Some(said) = message.pointer_mut("/params/_meta").and_then(Value::as_object_mut)
            && said.contains_key(CAPABILITIES)
        {
            said.insert(CAPABILITIES.to_owned(), json!({}));
        }
        let awaited = match method {
            "initialize" | "server/discover" => Awaited::Greeting,
            "tools/list" => Awaited::Tools,
            "tools/call" => {
                let tool = message["params"]["name"].as_str().unwrap_or_default();
                match self.grants.tool(tool) {
                    ToolLeave::Given => Awaited::Other,
                    ToolLeave::Asks if self.askable.contains(tool) => {
                        return Verdict::Hold { tool: tool.to_owned() };
                    }
                    ToolLeave::Refused => return self.refusal(tool, Why::Refused),
                    ToolLeave::Asks | ToolLeave::Enough | ToolLeave::Withheld => {
                        return self.refusal(tool, Why::NotGranted);
                    }
                }
            }
            usual if USUAL.contains(&usual) || self.grants.is_whole() => Awaited::Other,
            other => {
                let other = other.chars().take(100).collect::<String>();
                let words = format!(
                    "`{}` of `{}` is not granted to this run, which has tools of it and no more",
                    other.escape_debug(),
                    self.name
                );
                return Verdict::Refuse { code: -32601, words, tool: None };
            }
        };
        self.awaited.insert(id, awaited);
        Verdict::Pass
    }

    /// What came of the greeting, of a server that says no more, or that nobody hears any more.
    pub(super) fn greeting(self, server_ended: bool) -> Greeting {
        match self.greeting {
            Greeting::Unanswered if server_ended => Greeting::Ended,
            greeting => greeting,
        }
    }

    /// What somebody hears who calls a tool in vain.
    pub(super) fn refusal(&self, tool: &str, why: Why) -> Verdict {
        let shown = tool.chars().take(100).collect::<String>().escape_debug().to_string();
        let further = match why {
            Why::NotGranted => "`caps.tools.mcp` says which are",
            Why::Asked => {
                "a person is asked for it, and has not answered yet: go on with something else, and \
                 call it again later"
            }
            Why::Refused => "whoever was asked for it did not say yes, and is not asked again",
        };
        let words =
            format!("the tool `{shown}` of `{}` is not granted to this run; {further}", self.name);
        Verdict::Refuse { code: -32602, words, tool: Some((shown, why)) }
    }

    /// Whether a tool may be called that was waited for; nothing as long as nobody has said so.
    pub(super) fn decided(&self, tool: &str) -> Option<Result<(), Why>> {
        match self.grants.tool(tool) {
            ToolLeave::Given => Some(Ok(())),
            ToolLeave::Asks => None,
            ToolLeave::Refused => Some(Err(Why::Refused)),
            ToolLeave::Enough | ToolLeave::Withheld => Some(Err(Why::NotGranted)),
        }
    }

    /// The tools that it names as such that somebody may be asked for may have become others.
    pub(super) fn list_changed(&self) -> Option<Value> {
        let told = json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" });
        self.grants.may_widen().then_some(told)
    }

    /// What becomes of what the server says. Nothing of it is passed on but what belongs to a message
    /// of its kind, so that nobody takes it for one of another.
    ///
    /// What it asks for by itself is refused here, or a person is asked: there is nobody at the thread
    /// whose word that would be.
    pub(super) fn heard(&mut self, mut message: Value) -> Heard {
        if let Some(method) = message.get("method").and_then(Value::as_str) {
            let params = message.get("params");
            return match message.get("id").filter(|id| !id.is_null()) {
                Some(id) if method == "elicitation/create" => self.elicits(id, params),
                Some(id) => Heard::Answer(own_answer(method, id)),
                None => self.told(method, params),
            };
        }
        let awaited = message["id"].as_i64().and_then(|id| self.is_over(id));
        let Some(awaited) = awaited else { return Heard::Drop };
        if !self.grants.is_whole() || awaited == Awaited::Tools {
            self.narrow(awaited, &mut message);
        }
        let outcome = if message.get("result").is_some() { "result" } else { "error" };
        if awaited == Awaited::Greeting && self.greeting != Greeting::Answered {
            let words = || message["error"]["message"].as_str().unwrap_or_default();
            self.greeting = match outcome {
                "result" => Greeting::Answered,
                _ => Greeting::Refused(
                    words().chars().take(200).filter(|c| !c.is_control()).collect(),
                ),
            };
        }
        Heard::Pass(json!({
            "jsonrpc": "2.0", "id": message["id"], outcome: message[outcome].take(),
        }))
    }

    /// That much time has passed. Gives the requests that take too long, which nobody waits for any more,
    /// each as the server hears of that, and what whoever made it does.
    pub(super) fn overdue(&mut self, passed: Duration) -> Vec<(Value, Value)> {
        let Some(limit) = self.grants.limit() else { return Vec::new() };
        // A person takes as long as they take.
        let passed = if self.elicited.is_empty() { passed } else { Duration::ZERO };
        let late = self.clocks.late(self.awaited.keys().copied(), passed, limit);
        let told = late.into_iter().map(|id| {
            self.is_over(id);
            let words = format!("`{}` did not answer within {limit:?}", self.name);
            let params = json!({ "requestId": id, "reason": "it took too long" });
            (
                json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params }),
                json!({ "jsonrpc": "2.0", "id": id, "error": { "code": LATE, "message": words } }),
            )
        });
        told.collect()
    }

    /// Somebody waits no more for the answer to that request, if anybody did.
    fn is_over(&mut self, id: i64) -> Option<Awaited> {
        self.elicited.over(id);
        self.awaited.remove(&id)
    }

    fn elicits(&mut self, id: &Value, params: Option<&Value>) -> Heard {
        match self.grants.may_elicit() {
            true => self.elicited.ask(id, params, self.awaited.keys().copied()),
            false => Heard::Answer(elicited::declined(id)),
        }
    }

    /// What it tells without being asked.
    fn told(&mut self, method: &str, params: Option<&Value>) -> Heard {
        if method == "notifications/cancelled"
            && let Some(id) = params.and_then(|params| params.get("requestId"))
        {
            self.elicited.taken_back(id);
        }
        let is_heard = match self.grants.is_whole() {
            // The thread was asked for nothing that could be taken back, or done elsewhere.
            true => {
                method.starts_with("notifications/")
                    && method != "notifications/cancelled"
                    && !method.starts_with("notifications/elicitation/")
            }
            false => OF_TOOLS.contains(&method),
        };
        if !is_heard {
            return Heard::Drop;
        }
        let mut told = json!({ "jsonrpc": "2.0", "method": method });
        if let Some(params) = params {
            told["params"] = params.clone();
        }
        Heard::Pass(told)
    }

    /// Takes out of an answer what is not granted.
    fn narrow(&mut self, awaited: Awaited, message: &mut Value) {
        match awaited {
            Awaited::Other => {}
            Awaited::Greeting => {
                // To look by index would put a result beside an error.
                let result = message.get_mut("result");
                if let Some(Value::Object(capabilities)) =
                    result.and_then(|result| result.get_mut("capabilities"))
                {
                    capabilities.retain(|name, _| ["tools", "logging"].contains(&name.as_str()));
                    if let Some(Value::Object(tools)) = capabilities.get_mut("tools")
                        && self.grants.may_widen()
                    {
                        tools.insert("listChanged".to_owned(), true.into());
                    }
                }
            }
            Awaited::Tools => {
                match message.get_mut("result").and_then(|result| result.get_mut("tools")) {
                    Some(Value::Array(tools)) => tools.retain_mut(|tool| self.shows(tool)),
                    Some(other) => *other = json!([]),
                    None => {}
                }
            }
        }
    }

    /// Whether a tool is listed. One that is not given, and may be asked for, says so of itself: a model
    /// can call only what it is shown.
    fn shows(&mut self, tool: &mut Value) -> bool {
        let Some(name) = tool["name"].as_str().map(str::to_owned) else { return false };
        match self.grants.tool(&name) {
            ToolLeave::Given => true,
            ToolLeave::Asks | ToolLeave::Enough => {
                let about = tool["description"].as_str().unwrap_or_default();
                tool["description"] = format!("{REMARK}{about}").into();
                self.askable.insert(name);
                true
            }
            ToolLeave::Refused | ToolLeave::Withheld => false,
        }
    }
}

/// What the model reads of a tool that it does not have.
const REMARK: &str = "[Not granted to this run. A call of it asks a person, and is refused until they say \
                      yes; call it only where the work needs it.] ";

/// What a server hears of what it asks for by itself.
fn own_answer(method: &str, id: &Value) -> Value {
    match method {
        "ping" => json!({ "jsonrpc": "2.0", "id": id, "result": {} }),
        _ => {
            let error = json!({ "code": -32601, "message": "nobody answers that here" });
            json!({ "jsonrpc": "2.0", "id": id, "error": error })
        }
    }
}
