//! What the client sends: the prompt, the tools on offer, and what came of earlier calls.

use serde_json::Value;

/// The name that the client gives our server's tools as a group.
const NAMESPACE: &str = "mcp__delegation";

/// One request, as the client sent it.
#[derive(Clone)]
pub(crate) struct Request {
    login: String,
    body: Value,
    outputs: Vec<Value>,
}

/// How a model learns of our tools.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// It does not.
    Nothing,
    /// It is given them, by these names.
    Functions(Vec<String>),
    /// It is told that they are there, in this line, and has to look for them.
    Deferred(String),
}

/// How a model calls tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tongue {
    /// Each is a function.
    Functions,
    /// They are functions once they have been searched for.
    Search { searched: bool },
    /// They are functions in JavaScript, which is what the model writes.
    Code,
}

impl Request {
    pub(super) fn parse(login: &str, body: &[u8]) -> Result<Self, String> {
        let body: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let mut request = Self { login: login.to_owned(), body, outputs: Vec::new() };
        request.outputs = request.turn().iter().flat_map(outputs_of).collect();
        Ok(request)
    }

    /// What it came with to be let in.
    pub(crate) fn login(&self) -> &str {
        &self.login
    }

    /// The names of all that the model can call, and the kinds of what has none.
    pub(crate) fn on_offer(&self) -> Vec<String> {
        let name =
            |tool: &Value| tool["name"].as_str().or(tool["type"].as_str()).map(str::to_owned);
        self.tools().filter_map(name).collect()
    }

    /// What the user has asked for last.
    pub(crate) fn prompt(&self) -> String {
        self.turn().first().map(text_of).unwrap_or_default()
    }

    /// What came of the calls that this turn's script has made, in their order: a value where it
    /// was JSON, else a text.
    pub(crate) fn outputs(&self) -> &[Value] {
        &self.outputs
    }

    /// What our server offers.
    pub(crate) fn offer(&self) -> Offer {
        let groups = self.tools().find(|tool| tool["name"] == NAMESPACE);
        if let Some(group) = groups {
            let tools = group["tools"].as_array().into_iter().flatten();
            let names = tools.filter_map(|tool| tool["name"].as_str());
            return Offer::Functions(names.map(str::to_owned).collect());
        }
        let told = self.developer();
        let mut lines =
            told.lines().filter_map(|line| line.strip_prefix("- ")?.strip_prefix(NAMESPACE));
        match lines.next() {
            Some(line) => Offer::Deferred(line.trim_start_matches(": ").to_owned()),
            None => Offer::Nothing,
        }
    }

    /// The names of the tools that a server offers, whoever's it is.
    pub(crate) fn tools_of(&self, server: &str) -> Vec<String> {
        let group = self.tools().find(|tool| tool["name"] == format!("mcp__{server}"));
        let tools = group.and_then(|group| group["tools"].as_array()).into_iter().flatten();
        tools.filter_map(|tool| tool["name"].as_str().map(str::to_owned)).collect()
    }

    /// All that the model is told by others than the user.
    pub(crate) fn developer(&self) -> String {
        let messages = self.input().iter().filter(|item| item["role"] == "developer");
        messages.map(text_of).collect::<Vec<_>>().join("\n")
    }

    pub(super) fn tongue(&self) -> Tongue {
        let input = self.input();
        if self.tools().any(|tool| tool["type"] == "tool_search") {
            let searched = input.iter().any(|item| item["type"] == "tool_search_output");
            return Tongue::Search { searched };
        }
        let code = input.iter().any(|item| item["type"] == "additional_tools");
        if code { Tongue::Code } else { Tongue::Functions }
    }

    /// A number that no other call of this thread has.
    pub(super) fn next_call(&self) -> usize {
        self.input().len()
    }

    fn tools(&self) -> impl Iterator<Item = &Value> {
        self.body["tools"].as_array().into_iter().flatten()
    }

    fn input(&self) -> &[Value] {
        self.body["input"].as_array().map_or(&[], Vec::as_slice)
    }

    /// From the user's last words on. What the client says in the user's name is in angle brackets.
    fn turn(&self) -> &[Value] {
        let input = self.input();
        let of_the_user = |item: &Value| item["role"] == "user" && !text_of(item).starts_with('<');
        let at = input.iter().rposition(of_the_user).unwrap_or(input.len());
        &input[at..]
    }
}

/// Without the pages of instructions that come with each.
impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("offer", &self.offer())
            .field("turn", &self.turn())
            .finish_non_exhaustive()
    }
}

fn text_of(item: &Value) -> String {
    let parts = item["content"].as_array().into_iter().flatten();
    parts.filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n")
}

fn outputs_of(item: &Value) -> Vec<Value> {
    match item["type"].as_str() {
        Some("function_call_output") => vec![plain(&item["output"])],
        Some("custom_tool_call_output") => scripted(&item["output"]),
        _ => Vec::new(),
    }
}

/// A function's output: a line that tells the time it took, then what it gave.
fn plain(output: &Value) -> Value {
    let text = match output {
        Value::String(text) => text.clone(),
        // Several parts come as a list.
        parts => text_of(&serde_json::json!({ "content": parts })),
    };
    value_of(text.split_once("Output:\n").map_or(text.as_str(), |(_, output)| output))
}

/// A script's output: a part that tells how it ended, then what `text` was called with, which the
/// scripts of `call` do once for each result.
fn scripted(output: &Value) -> Vec<Value> {
    let parts = output.as_array().into_iter().flatten().skip(1);
    let values = parts.filter_map(|part| part["text"].as_str()).map(value_of);
    values.map(|value| value.get("structuredContent").cloned().unwrap_or(value)).collect()
}

fn value_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}
