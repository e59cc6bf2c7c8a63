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

impl<G: Grants> Filter<G> {
    pub(super) fn new(name: String, grants: G) -> Self {
        Self { grants, name, awaited: HashMap::new() }
    }

    /// What becomes of a message of the thread's. It is judged as it is passed on, not as it came.
    pub(super) fn said(&mut self, message: &Value) -> Verdict {
        let Some(method) = message["method"].as_str() else { return Verdict::Pass };
        let Some(id) = message["id"].as_i64() else {
            if method == "notifications/cancelled"
                && let Some(id) = message["params"]["requestId"].as_i64()
            {
                self.awaited.remove(&id);
            }
            return if method.starts_with("notifications/") {
                Verdict::Pass
            } else {
                Verdict::Drop
            };
        };
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

    /// What the thread hears of what the server says; nothing where that is not for it.
    pub(super) fn heard(&mut self, mut message: Value) -> Option<Value> {
        if !message.is_object() {
            return None;
        }
        if let Some(method) = message.get("method") {
            let method = method.as_str()?;
            let of_others = ["notifications/resources/", "notifications/prompts/"];
            let is_of_others = of_others.iter().any(|prefix| method.starts_with(prefix));
            return (self.grants.is_whole() || !is_of_others).then_some(message);
        }
        let awaited = self.awaited.remove(&message["id"].as_i64()?)?;
        if self.grants.is_whole() && awaited != Awaited::Tools {
            return Some(message);
        }
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
        Some(message)
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

    fn call(tool: &str) -> Value {
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool}})
    }

    #[test]
    fn only_what_is_granted_is_called() {
        assert_eq!(filter(false).said(&call("one")), Verdict::Pass);
        for tool in ["two", "One", "one ", "*", ""] {
            let refused = filter(false).said(&call(tool));
            let Verdict::Refuse { tool: Some(named), .. } = refused else { panic!("{tool}") };
            assert_eq!(named, tool);
            assert_eq!(filter(true).said(&call(tool)), Verdict::Pass);
        }
    }

    #[test]
    fn only_what_is_granted_is_listed() {
        let mut filter = filter(false);
        assert_eq!(filter.said(&json!({"id": 7, "method": "tools/list"})), Verdict::Pass);
        let listed = json!({"id": 7, "result": {"tools": [{"name": "one"}, {"name": "two"}, 3], "nextCursor": "x"}});
        let heard = filter.heard(listed.clone()).expect("an answer");
        assert_eq!(heard["result"], json!({"tools": [{"name": "one"}], "nextCursor": "x"}));
        // An answer that nobody waits for is none.
        assert_eq!(filter.heard(listed), None);
    }

    #[test]
    fn what_is_no_tool_is_for_those_who_have_everything() {
        for method in ["resources/read", "prompts/list", "completion/complete", "anything"] {
            let asked = json!({"id": 2, "method": method});
            assert!(matches!(filter(false).said(&asked), Verdict::Refuse { tool: None, .. }));
            assert_eq!(filter(true).said(&asked), Verdict::Pass);
        }
        let mut filter = filter(false);
        filter.said(&json!({"id": 1, "method": "initialize"}));
        let greeting = json!({"id": 1, "result": {"capabilities": {"tools": {}, "resources": {}}}});
        let heard = filter.heard(greeting).expect("an answer");
        assert_eq!(heard["result"]["capabilities"], json!({"tools": {}}));
        assert_eq!(filter.heard(json!({"method": "notifications/resources/updated"})), None);
        assert!(filter.heard(json!({"method": "notifications/message"})).is_some());
        assert_eq!(filter.heard(json!([1])), None);
    }
}
