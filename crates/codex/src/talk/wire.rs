//! Lines: what comes in one, and how one is made.

use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::said::{Approvals, Opening, Sandbox};

/// The longest line that is read. The app-server sends none of this length to somebody who asks
/// for no history, and reading it takes several times its size.
pub const LONGEST: usize = 64 << 20;

/// What a line is, with the rest of it unread.
pub(super) enum Line<'a> {
    Request { id: Value, method: String, params: &'a RawValue },
    Notification { method: String, params: &'a RawValue },
    Result { id: u64, result: &'a RawValue },
    Refused { id: u64, message: String },
    Blank,
    Garbage,
    TooLong,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    id: Option<Value>,
    method: Option<String>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    message: String,
}

pub(super) fn read(line: &[u8]) -> Line<'_> {
    if line.len() > LONGEST {
        return Line::TooLong;
    }
    let line = line.trim_ascii();
    if line.is_empty() {
        return Line::Blank;
    }
    let Ok(envelope) = serde_json::from_slice::<Envelope<'_>>(line) else { return Line::Garbage };
    let params = envelope.params.unwrap_or(RawValue::NULL);
    match (envelope.method, envelope.id) {
        (Some(method), Some(id)) => Line::Request { id, method, params },
        (Some(method), None) => Line::Notification { method, params },
        (None, Some(id)) => match (id.as_u64(), envelope.error) {
            (Some(id), Some(Refusal { message })) => Line::Refused { id, message },
            (Some(id), None) => {
                Line::Result { id, result: envelope.result.unwrap_or(RawValue::NULL) }
            }
            // Our requests have numbers, so it answers none of them.
            (None, _) => Line::Garbage,
        },
        (None, None) => Line::Garbage,
    }
}

pub(super) fn line(message: &Value) -> String {
    format!("{message}\n")
}

pub(super) fn result(id: &Value, result: &Value) -> String {
    line(&json!({ "id": id, "result": result }))
}

/// JSON-RPC's numbers for what we cannot do.
pub(super) const UNKNOWN_METHOD: i64 = -32601;
pub(super) const BAD_PARAMS: i64 = -32602;
pub(super) const FAILED: i64 = -32603;

pub(super) fn refusal(id: &Value, code: i64, message: &str) -> String {
    line(&json!({ "id": id, "error": { "code": code, "message": message } }))
}

/// Notifications that nobody here reads: every word of the model, every byte of a command, and
/// what concerns clients with a screen. An app-server that does not know one ignores it.
pub(super) const UNHEARD: [&str; 25] = [
    "account/updated",
    "app/list/updated",
    "command/exec/outputDelta",
    "hook/completed",
    "hook/started",
    "item/agentMessage/delta",
    "item/commandExecution/outputDelta",
    "item/commandExecution/terminalInteraction",
    "item/fileChange/outputDelta",
    "item/fileChange/patchUpdated",
    "item/mcpToolCall/progress",
    "item/plan/delta",
    "item/reasoning/summaryPartAdded",
    "item/reasoning/summaryTextDelta",
    "item/reasoning/textDelta",
    "model/safetyBuffering/updated",
    "process/outputDelta",
    "rawResponse/completed",
    "rawResponseItem/completed",
    "remoteControl/status/changed",
    "skills/changed",
    "thread/readState/changed",
    "thread/settings/updated",
    "thread/started",
    "thread/status/changed",
];

pub(super) fn initialize() -> Value {
    json!({
        "clientInfo": {
            "name": "codex-orchestrator",
            "title": "codex-orchestrator",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "capabilities": {
            // Input of a person, an account's tokens and the absence of history in an answer are
            // experimental, as Codex calls it.
            "experimentalApi": true,
            "requestAttestation": false,
            "optOutNotificationMethods": UNHEARD,
        },
    })
}

/// What begins a thread or takes one up again.
///
/// It does not say what commands can reach; each turn does. Codex takes whoever begins a thread in
/// which files can be written for somebody who trusts the folder, and starts what the folder's own
/// config names, servers outside of every sandbox too.
pub(super) fn thread(opening: &Opening) -> Value {
    let mut params = json!({
        "cwd": opening.cwd,
        "approvalPolicy": opening.approvals.name(),
        "config": opening.config,
    });
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            params[name] = value;
        }
    };
    set("model", opening.model.clone().map(Value::from));
    set("developerInstructions", opening.developer_instructions.clone().map(Value::from));
    if let Some(thread) = &opening.thread {
        set("threadId", Some(thread.clone().into()));
        // All that was ever said would come in one line.
        set("excludeTurns", Some(true.into()));
    }
    params
}

/// What begins a turn.
pub(super) fn turn(
    thread: &str,
    opening: &Opening,
    text: &str,
    output_schema: Option<&Value>,
) -> Value {
    let mut params = json!({
        "threadId": thread,
        "input": input(text),
        "cwd": opening.cwd,
        "approvalPolicy": opening.approvals.name(),
        "sandboxPolicy": opening.sandbox.policy(),
    });
    if let Some(model) = &opening.model {
        params["model"] = json!(model);
    }
    if let Some(effort) = &opening.effort {
        params["effort"] = json!(effort);
    }
    if let Some(schema) = output_schema {
        params["outputSchema"] = schema.clone();
    }
    params
}

pub(super) fn input(text: &str) -> Value {
    json!([{ "type": "text", "text": text, "text_elements": [] }])
}

impl Approvals {
    fn name(self) -> &'static str {
        match self {
            Self::OnRequest => "on-request",
            Self::Never => "never",
            Self::Untrusted => "untrusted",
        }
    }
}

impl Sandbox {
    fn policy(&self) -> Value {
        match self {
            Self::ReadOnly { network } => json!({ "type": "readOnly", "networkAccess": network }),
            Self::WorkspaceWrite { network, writable_roots } => json!({
                "type": "workspaceWrite",
                "networkAccess": network,
                "writableRoots": writable_roots,
                "excludeTmpdirEnvVar": false,
                "excludeSlashTmp": false,
            }),
            Self::DangerFullAccess => json!({ "type": "dangerFullAccess" }),
        }
    }
}
