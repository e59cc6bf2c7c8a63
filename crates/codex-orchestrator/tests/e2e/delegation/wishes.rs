//! Sessions that a sandbox holds, and what they wish for that is not as it is committed.

use serde_json::{Value, json};

use super::mcp::Server;
use crate::scratch::Scratch;

/// A session that says that a sandbox holds it, or does not say.
pub(super) fn boxed(scratch: &Scratch, name: &str, says: bool) -> Server {
    let mut meta = json!({ "threadId": name, "sessionId": name });
    if says {
        let profile = json!({ "type": "managed", "network": "restricted" });
        meta["codex/sandbox-state-meta"] = json!({ "permissionProfile": profile });
    }
    Server::start(scratch.command(&["delegate-server"]), meta)
}

/// Makes the quick pipeline do something else than what is committed.
pub(super) fn write(scratch: &Scratch, command: &str) {
    let committed = scratch.tell_git(&["show", "HEAD:.codex/orchestrator.toml"]).stdout;
    scratch.config(&committed.replace("echo done", command));
}

/// Wishes for it, and gives the id of what a person is asked then.
#[track_caller]
pub(super) fn wish(server: &mut Server, words: Value) -> String {
    let said = server.call("spawn", words);
    assert_eq!(said.code(), "confirmation_required", "{said:?}");
    id_in(&said.value)
}

#[track_caller]
pub(super) fn id_in(error: &Value) -> String {
    let message = error["error"]["message"].as_str().unwrap();
    let id = message.split_whitespace().find(|word| word.starts_with('q') && word.len() == 11);
    id.unwrap_or_else(|| panic!("{message}")).to_owned()
}
