//! What may pass between a thread and a server of which it is granted some tools.

use std::collections::HashMap;

use serde_json::{Value, json};

/// What a thread is granted of a server.
pub trait Grants {
    /// Whether that tool may be seen and called.
    fn tool(&self, name: &str) -> bool;
    /// Whether everything may, also what is no tool.
    fn is_whole(&self) -> bool;
}

/// What becomes of what a thread says.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// The server hears it.
    Pass,
    /// It is answered so, and the server does not hear it.
    Refuse { code: i64, words: String, tool: Option<String> },
    /// Nobody hears it.
    Drop,
}

/// What becomes of what a server says.
#[derive(Debug, PartialEq)]
pub(super) enum Heard {
    /// The thread hears it.
    Pass(Value),
    /// The server is answered so, and the thread does not hear it.
    Answer(Value),
    /// Nobody hears it.
    Drop,
}

/// Remembers which answer has to be looked at.
#[derive(Debug)]
pub(super) struct Filter<G> {
    grants: G,
    name: String,
    awaited: HashMap<i64, Awaited>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    Greeting,
    Tools,
    Other,
}

/// What a thread can do with a server beside calling its tools, however little it is granted.
const USUAL: [&str; 3] = ["initialize", "ping", "logging/setLevel"];

/// What a server tells by itself that belongs to its tools.
const OF_TOOLS: [&str; 3] =
    ["notifications/message", "notifications/progress", "notifications/tools/list_changed"];

/// Where a client says with each request what it can be asked for.
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

impl<G: Grants> Filter<G> {
    pub(super) fn new(name: String, grants: G) -> Self {
        Self { grants, name, awaited: HashMap::new() }
    }

    /// What becomes of a message of the thread's. It is judged as it is passed on, not as it came. A
    /// server is never told that it could ask the thread for anything: see `heard`.
    pub(super) fn said(&mut self, message: &mut Value) -> Verdict {
        let Some(method) = message["method"].as_str().map(str::to_owned) else {
            return Verdict::Drop;
        };
        let method = method.as_str();
        let Some(id) = message["id"].as_i64() else {
            if method == "notifications/cancelled"
                && let Some(id) = message["params"]["requestId"].as_i64()
            {
                self.awaited.remove(&id);
            }
            let is_heard =
                method.starts_with("notifications/") && !method.starts_with("notifications/roots/");
            return if is_heard { Verdict::Pass } else { Verdict::Drop };
        };
        if method == "initialize" {
            message["params"]["capabilities"] = json!({});
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
                if !self.grants.tool(tool) {
                    let shown = tool.chars().take(100).collect::<String>();
                    let shown = shown.escape_debug();
                    let words = format!(
                        "the tool `{shown}` of `{}` is not granted to this run; `caps.tools.mcp` says which are",
                        self.name
                    );
                    return Verdict::Refuse { code: -32602, words, tool: Some(shown.to_string()) };
                }
                Awaited::Other
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

    /// What becomes of what the server says. Nothing of it is passed on but what belongs to a message
    /// of its kind, so that nobody takes it for one of another.
    ///
    /// What it asks for by itself (to have something sampled, or filled in by a person) is refused here:
    /// there is nobody at the thread whose word that would be.
    pub(super) fn heard(&mut self, mut message: Value) -> Heard {
        if let Some(method) = message.get("method").and_then(Value::as_str) {
            return match message.get("id").filter(|id| !id.is_null()) {
                Some(id) => Heard::Answer(own_answer(method, id)),
                None => self.told(method, message.get("params")),
            };
        }
        let awaited = message["id"].as_i64().and_then(|id| self.awaited.remove(&id));
        let Some(awaited) = awaited else { return Heard::Drop };
        if !self.grants.is_whole() || awaited == Awaited::Tools {
            self.narrow(awaited, &mut message);
        }
        let outcome = if message.get("result").is_some() { "result" } else { "error" };
        Heard::Pass(json!({
            "jsonrpc": "2.0", "id": message["id"], outcome: message[outcome].take(),
        }))
    }

    /// What it tells without being asked.
    fn told(&self, method: &str, params: Option<&Value>) -> Heard {
        let is_heard = match self.grants.is_whole() {
            // It has asked for nothing that it could take back.
            true => method.starts_with("notifications/") && method != "notifications/cancelled",
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
    fn narrow(&self, awaited: Awaited, message: &mut Value) {
        match awaited {
            Awaited::Other => {}
            Awaited::Greeting => {
                if let Some(Value::Object(capabilities)) = message["result"].get_mut("capabilities")
                {
                    capabilities.retain(|name, _| ["tools", "logging"].contains(&name.as_str()));
                }
            }
            Awaited::Tools => {
                let granted =
                    |tool: &Value| tool["name"].as_str().is_some_and(|name| self.grants.tool(name));
                match message.get_mut("result").and_then(|result| result.get_mut("tools")) {
                    Some(Value::Array(tools)) => tools.retain(granted),
                    Some(other) => *other = json!([]),
                    None => {}
                }
            }
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    struct First(bool);

    impl Grants for First {
        fn tool(&self, name: &str) -> bool {
            self.0 || name == "one"
        }

        fn is_whole(&self) -> bool {
            self.0
        }
    }

    fn filter(whole: bool) -> Filter<First> {
        Filter::new("s".to_owned(), First(whole))
    }

    fn said(filter: &mut Filter<First>, mut message: Value) -> Verdict {
        filter.said(&mut message)
    }

    fn call(tool: &str) -> Value {
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool}})
    }

    fn passed(heard: Heard) -> Value {
        match heard {
            Heard::Pass(message) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_what_is_granted_is_called() {
        assert_eq!(said(&mut filter(false), call("one")), Verdict::Pass);
        for tool in ["two", "One", "one ", "*", ""] {
            let refused = said(&mut filter(false), call(tool));
            let Verdict::Refuse { tool: Some(named), .. } = refused else { panic!("{tool}") };
            assert_eq!(named, tool);
            assert_eq!(said(&mut filter(true), call(tool)), Verdict::Pass);
        }
    }

    #[test]
    fn only_what_is_granted_is_listed() {
        let mut filter = filter(false);
        assert_eq!(said(&mut filter, json!({"id": 7, "method": "tools/list"})), Verdict::Pass);
        let listed = json!({"id": 7, "result": {"tools": [{"name": "one"}, {"name": "two"}, 3], "nextCursor": "x"}});
        let heard = passed(filter.heard(listed.clone()));
        assert_eq!(heard["result"], json!({"tools": [{"name": "one"}], "nextCursor": "x"}));
        // An answer that nobody waits for is none.
        assert_eq!(filter.heard(listed), Heard::Drop);
    }

    #[test]
    fn what_is_no_tool_is_for_those_who_have_everything() {
        for method in ["resources/read", "prompts/list", "completion/complete", "anything"] {
            let asked = json!({"id": 2, "method": method});
            let refused = said(&mut filter(false), asked.clone());
            assert!(matches!(refused, Verdict::Refuse { tool: None, .. }));
            assert_eq!(said(&mut filter(true), asked), Verdict::Pass);
        }
        let mut narrow = filter(false);
        said(&mut narrow, json!({"id": 1, "method": "initialize", "params": {}}));
        let greeting = json!({"id": 1, "result": {"capabilities": {"tools": {}, "resources": {}}}});
        let heard = passed(narrow.heard(greeting));
        assert_eq!(heard["result"]["capabilities"], json!({"tools": {}}));
        let updated = json!({"method": "notifications/resources/updated"});
        assert_eq!(narrow.heard(updated.clone()), Heard::Drop);
        assert!(matches!(filter(true).heard(updated), Heard::Pass(_)));
        assert!(matches!(narrow.heard(json!({"method": "notifications/message"})), Heard::Pass(_)));
        assert_eq!(narrow.heard(json!([1])), Heard::Drop);
    }

    #[test]
    fn nobody_answers_what_a_server_asks_for_by_itself() {
        for whole in [false, true] {
            let mut filter = filter(whole);
            let mut hello = json!({"id": 1, "method": "initialize", "params": {"capabilities": {"sampling": {}}}});
            assert_eq!(filter.said(&mut hello), Verdict::Pass);
            assert_eq!(hello["params"]["capabilities"], json!({}));
            let mut list = json!({"id": 2, "method": "tools/list", "params": {"_meta": {CAPABILITIES: {"roots": {}}}}});
            assert_eq!(filter.said(&mut list), Verdict::Pass);
            assert_eq!(list["params"]["_meta"][CAPABILITIES], json!({}));
            for method in ["sampling/createMessage", "roots/list", "elicitation/create"] {
                let Heard::Answer(answer) = filter.heard(json!({"id": "x", "method": method}))
                else {
                    panic!("{method}")
                };
                assert_eq!(
                    (&answer["id"], &answer["error"]["code"]),
                    (&json!("x"), &json!(-32601))
                );
            }
            let pong = json!({"jsonrpc": "2.0", "id": 3, "result": {}});
            assert_eq!(filter.heard(json!({"id": 3, "method": "ping"})), Heard::Answer(pong));
            assert_eq!(said(&mut filter, json!({"id": 3, "result": {"roots": []}})), Verdict::Drop);
        }
    }

    #[test]
    fn a_message_of_two_kinds_is_of_one() {
        let mut filter = filter(false);
        said(&mut filter, json!({"id": 7, "method": "tools/list"}));
        let tools = json!({"tools": [{"name": "two"}]});
        let both = json!({"id": 7, "method": "notifications/message", "result": tools});
        assert!(matches!(filter.heard(both), Heard::Answer(_)));
        let told = json!({"id": null, "method": "notifications/message", "result": tools});
        assert_eq!(
            passed(filter.heard(told)),
            json!({"jsonrpc": "2.0", "method": "notifications/message"})
        );
        let both = json!({"id": 7, "result": {"tools": []}, "error": {"code": 1}, "tools": tools});
        assert_eq!(
            passed(filter.heard(both)),
            json!({"jsonrpc": "2.0", "id": 7, "result": {"tools": []}})
        );
    }
}
