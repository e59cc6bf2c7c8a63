//! What the commands of a thread reach.

use serde_json::json;

use crate::{
    confined::Near,
    desk::Desk,
    model::{function, say},
    threads::{delegate, manifest},
};

/// What a thread is told that asks those hosts for a page, in a run with those settings.
fn told(desk: &Desk, port: u16, hosts: &[&str], settings: &[&str]) -> Vec<String> {
    let ask = |host: &&str| format!("curl -sS -m 10 http://{host}:{port}/ 2>&1; echo; echo --");
    let script = hosts.iter().map(ask).collect::<Vec<_>>().join("\n");
    desk.model.play("ask around", move |seen| match seen.outputs() {
        [] => function("", "exec_command", &json!({ "cmd": script })),
        [told] => say(told.as_str().map_or_else(|| told.to_string(), str::to_owned)),
        more => panic!("{more:?}"),
    });
    let words: Vec<&str> = settings.iter().flat_map(|setting| ["--config", *setting]).collect();
    let run = delegate(desk, &words, "ask around");
    assert_eq!(run["status"], "succeeded", "{run}");
    let manifest = manifest(desk, &run);
    let said = manifest["codex"]["last_message"].as_str().expect("a message");
    said.split("--").map(str::to_owned).collect()
}

#[test]
fn commands_reach_what_is_listed_and_are_told_of_what_is_not() {
    let Some(desk) = Desk::registered() else { return };
    let near = Near::start();
    let allow = format!("caps.network.allow=[\"inner.example:{}\"]", near.port);
    let pins = "caps.network.pins={\"inner.example\"=[\"127.0.0.1\"]}";
    let told = told(&desk, near.port, &["inner.example", "other.example"], &[&allow, pins]);
    assert!(told[0].contains("hello"), "{told:?}");
    let key = format!("add \"other.example:{}\" to `caps.network.allow`", near.port);
    assert!(told[1].contains(&key), "{told:?}");
}

#[test]
fn commands_reach_what_is_forwarded() {
    let Some(desk) = Desk::registered() else { return };
    let near = Near::start();
    let forward = format!("caps.network.forward=[\"127.0.0.1:{}\"]", near.port);
    let told = told(&desk, near.port, &["127.0.0.1"], &[&forward]);
    assert!(told[0].contains("hello"), "{told:?}");
}

#[test]
fn without_a_list_commands_reach_nobody() {
    let Some(desk) = Desk::registered() else { return };
    let near = Near::start();
    let told = told(&desk, near.port, &["127.0.0.1", "inner.example"], &[]);
    assert!(!told[0].contains("hello") && !told[1].contains("hello"), "{told:?}");
}

#[test]
fn commands_have_the_variables_that_are_for_every_program() {
    let Some(desk) = Desk::registered() else { return };
    std::fs::write(
        desk.home().join(".npmrc"),
        "registry=https://npm.example/\n//x/:_authToken=shh\n",
    )
    .expect("a file");
    desk.model.play("look around", |seen| match seen.outputs() {
        [] => function("", "exec_command", &json!({ "cmd": "env | sort" })),
        [told] => say(told.as_str().map_or_else(|| told.to_string(), str::to_owned)),
        more => panic!("{more:?}"),
    });
    let passed = "caps.env.pass=[\"BIN_OF_MINE\"]";
    let words = ["delegate", "--here", "--config", passed, "look around"];
    let mut command = desk.command("codex-orch", &words);
    let command = command.arg("--json").env("BIN_OF_MINE", "mine").env("OF_NOBODY", "unsaid");
    let run: serde_json::Value =
        serde_json::from_slice(&command.output().expect("it ran").stdout).expect("JSON");
    let manifest = manifest(&desk, &run);
    let told = manifest["codex"]["last_message"].as_str().unwrap_or_default();
    for there in
        ["BIN_OF_MINE=mine", "http_proxy=http://", "CARGO_HOME=/", "npm_config_registry=https"]
    {
        assert!(told.contains(there), "{there}: {told}");
    }
    for absent in ["OF_NOBODY", "shh", "CODEX_API_KEY", "OPENAI_API_KEY"] {
        assert!(!told.contains(absent), "{absent}: {told}");
    }
}
