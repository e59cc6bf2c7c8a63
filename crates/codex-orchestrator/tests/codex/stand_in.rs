//! A server that has no runs, for as long as the program has none that has: enough to see what the
//! client does with a server.

use serde_json::{Value, json};

/// Answers those lines until there are no more.
pub(crate) fn serve(lines: impl Iterator<Item = String>, answer: &mut dyn FnMut(&str)) {
    for line in lines {
        let message: Value = serde_json::from_str(&line).expect("the client speaks JSON");
        let result = match message["method"].as_str() {
            Some("initialize") => json!({
                "protocolVersion": message["params"]["protocolVersion"],
                "capabilities": { "tools": {} },
                "serverInfo": { "name": "stand-in", "version": "0" },
                "instructions": "Delegated runs: delegate.list, delegate.wait.",
            }),
            Some("tools/list") => json!({ "tools": [
                tool("delegate.list", true),
                tool("delegate.wait", true),
                tool("delegate.question.enqueue", false),
            ]}),
            Some("tools/call") => match message["params"]["name"].as_str() {
                Some("delegate.list") => result(json!({ "runs": [] })),
                Some("delegate.question.enqueue") => {
                    result(json!({ "question_id": "q1", "status": "queued" }))
                }
                // A wait ends with whoever waits.
                _ => continue,
            },
            // Notifications are not answered.
            _ => continue,
        };
        answer(&json!({ "jsonrpc": "2.0", "id": message["id"], "result": result }).to_string());
    }
}

fn result(content: Value) -> Value {
    let text = json!([{ "type": "text", "text": content.to_string() }]);
    json!({ "content": text, "structuredContent": content })
}

fn tool(name: &str, only_looks: bool) -> Value {
    json!({
        "name": name,
        "description": "Looks at delegated runs.",
        "inputSchema": { "type": "object", "properties": {} },
        "annotations": {
            "readOnlyHint": only_looks,
            "destructiveHint": false,
            "idempotentHint": true,
            "openWorldHint": false,
        },
    })
}
