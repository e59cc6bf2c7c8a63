//! What the model says, and how models of each kind put it.

use serde_json::{Value, json};

use super::{Request, request::Tongue};

/// What a script says next.
pub(crate) enum Reply {
    /// Words, with which the turn ends.
    Say(String),
    /// Calls of our tools, at once.
    Call(Vec<(String, Value)>),
    /// What the client is to do, in its own terms.
    Items(Vec<Value>),
    /// Nothing, for as long as the client waits.
    Hold,
    /// The beginning of something, and then the connection is cut.
    Cut,
    /// That it will not: a status with its reason, headers, and what is said of it.
    Refuse(&'static str, &'static [(&'static str, &'static str)], Value),
}

/// Ends the turn with these words.
pub(crate) fn say(text: impl Into<String>) -> Reply {
    Reply::Say(text.into())
}

/// Calls one of our tools, by the name that the server gives it.
pub(crate) fn call(tool: &str, arguments: Value) -> Reply {
    Reply::Call(vec![(tool.to_owned(), arguments)])
}

/// Calls several of our tools at once.
pub(crate) fn calls(calls: &[(&str, Value)]) -> Reply {
    Reply::Call(calls.iter().map(|(tool, words)| ((*tool).to_owned(), words.clone())).collect())
}

/// Calls a function of the client's own.
pub(crate) fn function(namespace: &str, name: &str, arguments: &Value) -> Reply {
    let mut item = json!({
        "type": "function_call",
        "call_id": format!("call_{name}"),
        "name": name,
        "arguments": arguments.to_string(),
    });
    if !namespace.is_empty() {
        item["namespace"] = json!(namespace);
    }
    Reply::Items(vec![item])
}

/// Says nothing until the client goes away.
pub(crate) fn hold() -> Reply {
    Reply::Hold
}

/// Begins to say something, and is cut short.
pub(crate) fn cut() -> Reply {
    Reply::Cut
}

/// Will not, with that status and its reason.
pub(crate) fn refuse(
    status: &'static str,
    headers: &'static [(&'static str, &'static str)],
    error: Value,
) -> Reply {
    Reply::Refuse(status, headers, json!({ "error": error }))
}

impl Reply {
    /// The same, as a model would say it to which tools are offered as in that request.
    pub(super) fn in_the_words_of(self, request: &Request) -> Self {
        let Self::Call(calls) = self else { return self };
        let next = request.next_call();
        Self::Items(match request.tongue() {
            // The script is asked again when the search is over.
            Tongue::Search { searched: false } => vec![json!({
                "type": "tool_search_call",
                "call_id": format!("search_{next}"),
                "execution": "client",
                "arguments": { "query": "delegate" },
            })],
            Tongue::Functions | Tongue::Search { searched: true } => {
                let calls = calls.iter().enumerate();
                calls.map(|(index, call)| function_call(next + index, call)).collect()
            }
            Tongue::Code => vec![code(next, &javascript(&calls))],
        })
    }

    /// The events that bring it; none when nothing is said.
    pub(super) fn events(&self) -> Option<Vec<Value>> {
        let items = match self {
            Self::Say(text) => vec![json!({
                "type": "message",
                "role": "assistant",
                "content": [{ "type": "output_text", "text": text }],
            })],
            Self::Items(items) => items.clone(),
            Self::Call(_) | Self::Hold | Self::Cut | Self::Refuse(..) => return None,
        };
        let id = "response";
        let usage = json!({
            "input_tokens": 1, "input_tokens_details": null,
            "output_tokens": 1, "output_tokens_details": null, "total_tokens": 2,
        });
        let mut events = vec![json!({ "type": "response.created", "response": { "id": id } })];
        events.extend(
            items.iter().map(|item| json!({ "type": "response.output_item.done", "item": item })),
        );
        events.push(
            json!({ "type": "response.completed", "response": { "id": id, "usage": usage } }),
        );
        Some(events)
    }
}

fn function_call(number: usize, (tool, arguments): &(String, Value)) -> Value {
    json!({
        "type": "function_call",
        "call_id": format!("call_{number}"),
        "namespace": "mcp__delegation",
        "name": tool.replace('.', "_"),
        "arguments": arguments.to_string(),
    })
}

fn code(number: usize, source: &str) -> Value {
    json!({
        "type": "custom_tool_call",
        "call_id": format!("call_{number}"),
        "namespace": "functions",
        "name": "exec",
        "input": source,
    })
}

/// A script that makes the calls at once, and gives each result. It asks not to be interrupted
/// while it waits for them.
fn javascript(calls: &[(String, Value)]) -> String {
    let call = |(tool, arguments): &(String, Value)| {
        format!("tools.mcp__delegation__{}({arguments})", tool.replace('.', "_"))
    };
    let calls: Vec<String> = calls.iter().map(call).collect();
    format!(
        "// @exec: {{\"yield_time_ms\": 120000}}\n\
         for (const result of await Promise.all([{}])) text(JSON.stringify(result));",
        calls.join(", ")
    )
}
