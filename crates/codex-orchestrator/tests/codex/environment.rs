//! What the client keeps from a server, and how it is brought to hand it over.

use crate::{
    client::Session,
    desk::{Desk, ENABLED, REGISTERED},
    model::say,
};

/// Runs a session with these in its environment, and gives what of them its server was started with.
fn passed(desk: &Desk, given: &[(&str, &str)]) -> Vec<String> {
    desk.model.play("look around", |_| say("seen"));
    let mut command = desk.exec(&ENABLED, "look around");
    command.envs(given.iter().copied());
    Session::start(command).succeed();
    let served = desk.served();
    assert_eq!(served.len(), 1, "{served:?}");
    let environment = served[0].environment();
    for (name, value) in given {
        assert!(environment.get(*name).is_none_or(|passed| passed == value), "{name} is itself");
    }
    environment.into_keys().filter(|name| name != "PATH").collect()
}

const GIVEN: [(&str, &str); 5] = [
    ("CODEX_ORCHESTRATOR_HOME", "state"),
    ("MCP_RUNNER_TASK_ID", "task"),
    ("OPENAI_API_KEY", "secret"),
    ("TZ", "Europe/Paris"),
    ("XDG_STATE_HOME", "elsewhere"),
];

#[test]
fn a_server_hears_little_of_where_it_is() {
    let Some(desk) = Desk::new() else { return };
    let line = "env_vars = [\"CODEX_HOME\", \"MCP_RUNNER_TASK_ID\"]\n";
    assert!(REGISTERED.contains(line));
    desk.configure(&REGISTERED.replace(line, ""));
    let passed = passed(&desk, &GIVEN);
    for name in ["HOME", "TMPDIR", "TZ"] {
        assert!(passed.iter().any(|passed| passed == name), "{name}: {passed:?}");
    }
    for name in ["CODEX_HOME", "CODEX_THREAD_ID", "XDG_STATE_HOME", "OPENAI_API_KEY"] {
        assert!(!passed.iter().any(|passed| passed == name), "{name}: {passed:?}");
    }
    let ours = |name: &String| name.starts_with("CODEX_ORCH") || name.starts_with("MCP_RUNNER");
    assert!(!passed.iter().any(ours), "{passed:?}");
}

#[test]
fn what_is_registered_by_name_is_handed_over() {
    let Some(desk) = Desk::registered() else { return };
    let passed = passed(&desk, &GIVEN);
    for name in ["CODEX_HOME", "MCP_RUNNER_TASK_ID"] {
        assert!(passed.iter().any(|passed| passed == name), "{name}: {passed:?}");
    }
    assert!(!passed.iter().any(|passed| passed == "CODEX_ORCHESTRATOR_HOME"), "{passed:?}");
}
