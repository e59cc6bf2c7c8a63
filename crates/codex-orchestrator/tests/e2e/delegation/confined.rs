//! A delegation server in a stage that is held to caps.

use serde_json::{Value, json};

use super::{
    inside::{Pipes, Talker},
    mcp::{Server, text},
    wishes::boxed,
};
use crate::{
    caps::can_be_confined,
    scratch::{Scratch, program},
};

#[test]
fn a_confined_stage_speaks_with_its_run() {
    if !can_be_confined() {
        return;
    }
    let scratch = Scratch::with(&format!(
        r#"
[caps.network]
mode = "none"
[pipelines.talks]
stages = [{{ id = "it", command = "'{}' delegate-server < ask.a > told.a" }}]
"#,
        program().display()
    ));
    scratch.git();
    let pipes = Pipes::of(&scratch, "a");
    let run = scratch.start("talks");
    let mut server = pipes.connect();
    let asked = server.call(
        "question.enqueue",
        json!({ "prompt": "Well?", "auto_pause": false, "expires_in_ms": 60_000 }),
    );
    let question = asked.given();
    assert_eq!(scratch.json(&["inbox"]).document["questions"][0]["prompt"], "Well?", "{question}");
    let status = server.call("status", json!({})).given();
    assert_eq!(status["run_id"].as_str().unwrap_or_default(), run, "{status:#}");
    server.hang_up();
    drop(server);
    scratch.await_end(&run);
    assert_eq!(scratch.status(&run), "succeeded");
    assert!(scratch.manifest(&run)["caps"]["enforced"]["it"].is_object());
}

/// A repository of which two hosts are said, with a stage of which one is.
fn narrow() -> Scratch {
    let scratch = Scratch::with(&format!(
        r#"
[caps.network]
mode = "list"
allow = ["a.example", "b.example"]
[caps.fs]
tmp = "shared" # This program may lie there.
[pipelines.quick]
stages = [{{ id = "done", command = "echo done" }}]
[[pipelines.talks.stages]]
id = "it"
command = "'{}' delegate-server < ask.$CODEX_ORCHESTRATOR_GOAL > told.$CODEX_ORCHESTRATOR_GOAL"
caps = {{ network = {{ allow = ["a.example"] }} }}
"#,
        program().display()
    ));
    scratch.git();
    scratch
}

fn hosts(scratch: &Scratch, run: &str) -> Value {
    scratch.await_end(run);
    scratch.manifest(run)["caps"]["effective"]["done"]["network"]["allow"].clone()
}

#[test]
fn what_a_confined_stage_starts_is_held_to_what_it_is_held_to() {
    if !can_be_confined() {
        return;
    }
    let scratch = narrow();
    let mut session = Server::of(&scratch, "one");
    let parent = Talker::spawn(&scratch, &mut session, "a", json!({ "delegate_mode": "full" }));
    let mut inside = parent.pipes.connect();
    let child = text(&inside.call("spawn", json!({ "pipeline": "quick" })).given(), "run_id");
    inside.hang_up();
    drop(inside);
    assert_eq!(hosts(&scratch, &child), json!(["a.example"]));
    let manifest = scratch.manifest(&child);
    let requested = manifest["caps"]["requested"].as_array().expect("a list");
    let above = requested.iter().find(|layer| layer["origin"]["from"] == "parent").expect("one");
    let place = above["origin"]["place"].as_str().expect("a text");
    assert!(parent.run.ends_with(place.trim_start_matches("run ")), "{place}");
    // A session has no caps of ours; what it starts in its own name is held to what is written.
    let wish = json!({ "pipeline": "quick", "task_id": "demo" });
    let own = text(&session.call("spawn", wish).given(), "run_id");
    assert_eq!(hosts(&scratch, &own), json!(["a.example", "b.example"]));
    let wish = json!({ "pipeline": "quick", "parent_manifest_path": parent.run });
    let named = text(&session.call("spawn", wish).given(), "run_id");
    assert_eq!(hosts(&scratch, &named), json!(["a.example"]));
}

#[test]
fn a_wish_for_caps_narrows_and_is_refused_where_it_asks_for_more() {
    if !can_be_confined() {
        return;
    }
    let scratch = narrow();
    let mut session = Server::of(&scratch, "one");
    let wish = |caps: Value| json!({ "pipeline": "quick", "task_id": "demo", "caps": caps });
    let narrower = wish(json!({ "network": { "allow": ["b.example"] } }));
    let run = text(&session.call("spawn", narrower).given(), "run_id");
    assert_eq!(hosts(&scratch, &run), json!(["b.example"]));
    for (caps, code, told) in [
        (
            json!({ "network": { "allow": ["c.example"] } }),
            "refused",
            "the wish asks for `caps.network.allow` c.example, which is more than the repository",
        ),
        (json!({ "network": { "mode": "open" } }), "refused", "more than the repository"),
        (json!({ "network": { "mod": "none" } }), "invalid", "did you mean `mode`?"),
        (json!({ "on_missing": "warn" }), "invalid", "the wish can say of `caps.on_missing` only"),
        (json!("none"), "invalid", "the wish"),
    ] {
        let error = session.call("spawn", wish(caps)).value["error"].clone();
        assert_eq!(error["code"], code, "{error:#}");
        let message = error["message"].as_str().unwrap_or_default();
        assert!(message.contains(told), "{message}");
    }
    let listed = session.call("list", json!({})).given();
    assert_eq!(listed["runs"].as_array().map(Vec::len), Some(1), "{listed:#}");
}

#[test]
fn a_command_that_verifies_a_prompt_is_for_a_person_to_see_first() {
    let scratch = narrow();
    let mut session = boxed(&scratch, "one", true);
    let wish = json!({ "prompt": "mend it", "worktree": false, "verify": "make test" });
    let error = session.call("spawn", wish).value["error"].clone();
    assert_eq!(error["code"], "confirmation_required", "{error:#}");
    let inbox = scratch.json(&["inbox"]).document;
    let prompt = inbox["questions"][0]["prompt"].as_str().unwrap_or_default();
    assert!(prompt.contains("verify = \"make test\""), "{inbox:#}");
    let asked = "Start the prompt `mend it`, verified by a command that is not committed";
    assert!(prompt.starts_with(asked), "{inbox:#}");
    let wish = json!({ "pipeline": "quick", "verify": "make test" });
    assert_eq!(session.call("spawn", wish).value["error"]["code"], "invalid");
}

#[test]
fn caps_that_somebody_wrote_since_the_commit_are_for_a_person_to_see_first() {
    let scratch = narrow();
    let mut session = boxed(&scratch, "one", true);
    let wish = json!({ "pipeline": "quick", "task_id": "demo" });
    session.call("spawn", wish.clone()).given();
    let text = scratch.text(".codex/orchestrator.toml");
    let wider = text.replace("\"b.example\"]", "\"b.example\", \"c.example\"]");
    std::fs::write(scratch.at(".codex/orchestrator.toml"), wider).expect("a config");
    for wish in [wish, json!({ "prompt": "mend it", "worktree": false })] {
        let error = session.call("spawn", wish).value["error"].clone();
        assert_eq!(error["code"], "confirmation_required", "{error:#}");
    }
    let inbox = scratch.json(&["inbox"]).document;
    for (at, what) in ["pipeline `quick`", "the prompt `mend it`"].into_iter().enumerate() {
        let prompt = inbox["questions"][at]["prompt"].as_str().unwrap_or_default();
        let asked = format!("Start {what} under settings that are not what is committed?");
        assert!(prompt.starts_with(&asked) && prompt.contains("c.example"), "{inbox:#}");
    }
}

/// Nobody has written anything of caps here.
const TRIES: &str = r#"
[pipelines.tries]
stages = [{ id = "it", command = "touch made; touch \"$HOME/out\" .git/out .codex/out .runs/out; env > seen; true" }]
"#;

#[test]
fn a_delegated_run_is_held_where_nobody_has_written_anything() {
    if !can_be_confined() {
        return;
    }
    let scratch = Scratch::with(TRIES);
    scratch.git();
    let mut session = Server::of(&scratch, "one");
    let spawned = session.call("spawn", json!({ "pipeline": "tries", "task_id": "demo" })).given();
    let run = spawned["run_id"].as_str().expect("a run").to_owned();
    scratch.await_end(&run);
    assert_eq!(scratch.status(&run), "succeeded");
    assert!(scratch.at("made").exists(), "its work tree is its own");
    assert!(!scratch.folder().join("out").exists());
    for kept in [".git/out", ".codex/out", ".runs/out"] {
        assert!(!scratch.at(kept).exists(), "{kept}");
    }
    let seen = scratch.text("seen");
    assert!(!seen.contains("GIT_AUTHOR_NAME") && seen.contains("PATH="), "{seen}");
    let manifest = scratch.manifest(&run);
    assert_eq!(manifest["caps"]["effective"]["it"]["network"]["mode"], "none");
    assert!(manifest["caps"]["enforced"]["it"].is_object(), "{manifest:#}");
    // The same, started by a person.
    let free = scratch.start("tries");
    scratch.await_end(&free);
    assert!(scratch.folder().join("out").exists(), "who starts it may do what they may");
}

#[test]
fn a_delegated_run_that_cannot_be_held_says_so_and_how_to_do_without() {
    if !can_be_confined() {
        return;
    }
    let scratch = Scratch::with(TRIES);
    scratch.git();
    let bare = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"";
    let spawn = |name: &str| {
        let before = ["--user", "--map-root-user", "sh", "-c", bare, "sh"];
        let mut command = scratch.elsewhere("unshare", &before);
        command.arg(program()).arg("delegate-server");
        let meta = json!({ "threadId": name, "sessionId": name });
        let mut session = Server::start(command, meta);
        let spawned =
            session.call("spawn", json!({ "pipeline": "tries", "task_id": "demo" })).given();
        let run = spawned["run_id"].as_str().expect("a run").to_owned();
        scratch.await_end(&run);
        run
    };
    let run = spawn("one");
    assert_eq!(scratch.status(&run), "failed");
    let error = scratch.manifest(&run)["commands"][0]["error"].to_string();
    for words in ["`net.deny`", "(ENOSPC)", "caps.on_missing", "delegated run"] {
        assert!(error.contains(words), "{words}: {error}");
    }
    assert!(!scratch.at("made").exists());
    let own = scratch.folder().join(".codex");
    std::fs::create_dir_all(&own).expect("a folder");
    std::fs::write(own.join("orchestrator.toml"), "caps.on_missing = \"warn\"\n")
        .expect("a config");
    let run = spawn("two");
    assert_eq!(scratch.status(&run), "succeeded");
    let manifest = scratch.manifest(&run);
    let enforced = manifest["caps"]["enforced"].as_object().expect("caps are built in");
    assert_eq!(enforced.get("it"), Some(&serde_json::Value::Null), "{manifest:#}");
}
