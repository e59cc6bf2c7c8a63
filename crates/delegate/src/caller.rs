//! Who is calling: known from the connection, and from what the client says beside the arguments of
//! a tool, which no model can write.

use model::{By, Door, RunId};
use serde_json::Value;

/// What is at the other end of a server's connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Station {
    /// A session of the user's; what it is called comes with each call.
    Session,
    /// A delegated run, through the channel that its runner made for it.
    Run(RunId),
}

/// Who makes a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) station: Station,
    /// The session; the same for all threads in it, and for all servers that it starts.
    pub(crate) session: String,
    /// The thread in it that calls.
    pub(crate) thread: Option<String>,
    /// What its client says of its sandbox.
    pub(crate) sandbox: Option<Value>,
    /// It types a command instead of calling a tool.
    pub(crate) by_command: bool,
}

/// Nobody has longer names than this; what is longer is no name.
const LONGEST: usize = 200;

impl Caller {
    /// Reads what the client says with a call. A client that does not say which session it is gets
    /// one of its own for as long as it is connected.
    pub(crate) fn of(station: &Station, meta: &Value, connection: &str) -> Self {
        let turn = &meta["x-codex-turn-metadata"];
        let text = |value: &Value| {
            let text = value.as_str().filter(|text| !text.is_empty() && text.len() <= LONGEST);
            text.map(ToOwned::to_owned)
        };
        let thread = text(&meta["threadId"]).or_else(|| text(&turn["thread_id"]));
        let session = text(&meta["sessionId"]).or_else(|| text(&turn["session_id"]));
        let session = session.or_else(|| thread.clone()).unwrap_or_else(|| connection.to_owned());
        let sandbox = &meta["codex/sandbox-state-meta"];
        let sandbox = if sandbox.is_null() { &meta["codex/sandbox-state"] } else { sandbox };
        let sandbox = match sandbox {
            Value::Null => None,
            said => Some(said.clone()),
        };
        Self { station: station.clone(), session, thread, sandbox, by_command: false }
    }

    /// The same, as records name it.
    pub(crate) fn by(&self, own: Option<&RunId>) -> By {
        let door = |door| if self.by_command { Door::Cli } else { door };
        match &self.station {
            Station::Run(run) => By::Run { run_id: run.clone(), door: door(Door::Channel) },
            Station::Session => By::Session {
                thread_id: self.thread.clone(),
                run_id: own.cloned(),
                door: door(Door::Mcp),
            },
        }
    }

    /// Whether its client says that it is held by no sandbox. One that says nothing may be.
    pub(crate) fn is_free(&self) -> bool {
        let Some(sandbox) = &self.sandbox else { return false };
        let profile = &sandbox["permissionProfile"];
        profile["type"] == "disabled" || profile == "disabled"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(meta: Value) -> Caller {
        Caller::of(&Station::Session, &meta, "conn-1")
    }

    #[test]
    fn a_sub_agent_is_a_thread_of_its_session() {
        let caller = of(json!({ "threadId": "child", "sessionId": "root" }));
        assert_eq!((caller.session.as_str(), caller.thread.as_deref()), ("root", Some("child")));
    }

    #[test]
    fn a_client_that_does_not_say_who_it_is_is_its_connection() {
        assert_eq!(of(json!({})).session, "conn-1");
        assert_eq!(of(json!({ "threadId": "x".repeat(500) })).session, "conn-1");
        assert_eq!(of(json!({ "x-codex-turn-metadata": { "thread_id": "t" } })).session, "t");
    }

    #[test]
    fn only_who_says_so_is_free() {
        assert!(!of(json!({})).is_free());
        let said = |profile: Value| {
            of(json!({ "codex/sandbox-state-meta": { "permissionProfile": profile } }))
        };
        assert!(said(json!({ "type": "disabled" })).is_free());
        assert!(!said(json!({ "type": "managed", "network": "restricted" })).is_free());
    }
}
