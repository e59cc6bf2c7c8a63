//! Runs that are spawned: there for good when the answer is, once for each key, and nobody's but
//! their parent's.

use std::{fs, time::Duration};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{
    inside::Talker,
    mcp::{Server, text},
    scratch,
};
use crate::{
    chance::Chance,
    processes::children,
    scratch::{Scratch, say, until, wait_for},
};

/// The runs of the repository, the newest first.
#[track_caller]
pub(super) fn runs(scratch: &Scratch) -> Vec<Value> {
    let listed = scratch.json(&["list", "--limit", "1000"]).document;
    listed["runs"].as_array().expect("runs").clone()
}

#[test]
fn a_run_outlives_its_server_and_the_whole_group_of_that() {
    for signal in [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let scratch = scratch("");
        let mut server = Server::of(&scratch, "one");
        let spawned =
            server.call("spawn", json!({ "pipeline": "slow", "task_id": "demo" })).given();
        let run = text(&spawned, "run_id");
        assert_eq!(spawned["existing"], false);
        server.signal_group(signal);
        server.gone();
        wait_for("the second stage", || scratch.at("begun").exists());
        assert_eq!(scratch.status(&run), "in_progress", "{signal}");
        // The session finds it again.
        let mut again = Server::of(&scratch, "one");
        let listed = again.call("list", json!({})).given();
        assert_eq!(listed["runs"][0]["run_id"], json!(run));
        fs::write(scratch.at("go"), "").unwrap();
        let told = again.call("wait", json!({})).given();
        assert_eq!((&told["events"][0]["kind"], &told["unfinished"]), (&json!("ended"), &json!(0)));
        scratch.await_end(&run);
    }
}

#[test]
fn a_server_takes_leave_of_the_runners_that_it_has_started() {
    let scratch = scratch("");
    let mut server = Server::of(&scratch, "one");
    for key in ["a", "b"] {
        let wish = json!({ "pipeline": "quick", "task_id": "demo", "key": key });
        let run = text(&server.call("spawn", wish).given(), "run_id");
        assert_eq!(scratch.await_end(&run).code, 0);
    }
    wait_for("nobody to be dead and there", || children(server.pid()).is_empty());
}

#[test]
fn one_key_is_one_run_however_many_ask_at_once() {
    let scratch = scratch("");
    let mut servers: Vec<Server> =
        (0..8).map(|each| Server::of(&scratch, &format!("session {each}"))).collect();
    let wish = json!({ "pipeline": "slow", "task_id": "demo", "key": "only" });
    let calls: Vec<u64> = servers.iter_mut().map(|it| it.begin("spawn", wish.clone())).collect();
    let given: Vec<Value> = servers
        .iter_mut()
        .zip(calls)
        .map(|(server, call)| server.said("spawn", call).unwrap().given())
        .collect();
    assert!(given.iter().all(|it| it["run_id"] == given[0]["run_id"]), "{given:#?}");
    assert_eq!(given.iter().filter(|it| it["existing"] == false).count(), 1, "{given:#?}");
    assert_eq!(runs(&scratch).len(), 1);
    // It is the same when it is over, and another one for another task.
    fs::write(scratch.at("go"), "").unwrap();
    scratch.await_end(&text(&given[0], "run_id"));
    let again = servers[3].call("spawn", wish).given();
    assert_eq!((&again["run_id"], &again["existing"]), (&given[0]["run_id"], &json!(true)));
    let other = json!({ "pipeline": "quick", "task_id": "other", "key": "only" });
    assert_eq!(servers[3].call("spawn", other).given()["existing"], false);
}

/// The server is killed at any instant after the wish: between the commit and the answer too.
#[test]
fn one_key_is_one_run_when_the_server_is_killed_before_it_answers() {
    let seed = Chance::seed();
    for round in 0..super::rounds::count(12) {
        let scratch = scratch("");
        let mut chance = Chance::of(seed + round);
        let wish = json!({ "pipeline": "quick", "task_id": "demo", "key": "only" });
        let mut first = Server::of(&scratch, "one");
        first.call("list", json!({})).given();
        let call = first.begin("spawn", wish.clone());
        // Whatever there is to be seen of it, at some point or a little later.
        let look = chance.below(3);
        until("something of it", || match look {
            0 => Some(()),
            1 => scratch.at(".runs/demo").exists().then_some(()),
            _ => {
                (scratch.at(".runs/demo").exists() || first.answer_of(call).is_some()).then_some(())
            }
        });
        std::thread::park_timeout(Duration::from_micros(chance.below(30_000)));
        first.signal_group(Signal::SIGKILL);
        first.gone();
        let answered = first.await_answer(call).is_some();
        let given = Server::of(&scratch, "two").call("spawn", wish).given();
        assert!(!answered || given["existing"] == true, "seed {}: {given:#}", seed + round);
        let run = text(&given, "run_id");
        if scratch.status(&run) == "interrupted" {
            assert_eq!(scratch.json(&["resume", &run]).code, 0);
        }
        assert_eq!(scratch.await_end(&run).code, 0, "seed {}", seed + round);
        let runs = runs(&scratch);
        assert_eq!(runs.len(), 1, "seed {}: {runs:#?}", seed + round);
        say(&format!("round {round}: answered {answered}, existing {}", given["existing"]));
    }
}

#[test]
fn a_spawned_run_has_the_goal_and_the_task_that_were_said() {
    let env = "[pipelines.env]\nstages = [{ id = 'env', command = 'echo \"$CODEX_ORCHESTRATOR_GOAL|$MCP_RUNNER_TASK_ID|$CODEX_ORCHESTRATOR_MANIFEST_PATH\" > said' }]";
    let scratch = scratch(env);
    let mut command = scratch.command(&["delegate-server"]);
    command.env("MCP_RUNNER_TASK_ID", "from-env");
    let mut server = Server::start(command, super::mcp::session("one"));
    for (task, expected) in [(json!("demo"), "demo"), (Value::Null, "from-env")] {
        let wish =
            json!({ "pipeline": "env", "goal": "do \"it\" 'all' $HOME\nnow", "task_id": task });
        let spawned = server.call("spawn", wish).given();
        assert_eq!(spawned["task_id"], expected);
        let run = text(&spawned, "run_id");
        assert_eq!(scratch.run(&["wait", &run]).code, 0);
        let path = scratch.at(text(&spawned, "manifest_path"));
        let said = format!("do \"it\" 'all' $HOME\nnow|{expected}|{}\n", path.display());
        assert_eq!(scratch.text("said"), said);
        assert!(path.exists());
    }
}

/// By a tool, by a command that names its parent, by a command in a stage.
#[test]
fn a_parent_lists_its_children_however_they_were_started() {
    let program = crate::scratch::program();
    let nested = format!(
        "[pipelines.nested]\nstages = [{{ id = 'in', command = \"'{}' start quick --task demo\" }}]",
        program.display()
    );
    let scratch = scratch(&nested);
    let mut server = Server::of(&scratch, "one");
    let parent = Talker::spawn(&scratch, &mut server, "a", json!({ "delegate_mode": "full" }));
    let mut inside = parent.pipes.connect();
    let tool = text(&inside.call("spawn", json!({ "pipeline": "quick" })).given(), "run_id");
    let named = ["start", "nested", "--task", "demo", "--parent-run", &parent.run];
    let named = scratch.json(&named).text("run_id");
    let named_by_tool = json!({ "pipeline": "quick", "parent_manifest_path": parent.run });
    let named_by_tool = text(&server.call("spawn", named_by_tool).given(), "run_id");
    let children = |run: &str| {
        let status = scratch.json(&["status", run]).document;
        let mut children: Vec<String> =
            status["child_runs"].as_array().unwrap().iter().map(|it| text(it, "run_id")).collect();
        children.sort();
        children
    };
    let mut expected = vec![tool.clone(), named.clone(), named_by_tool];
    expected.sort();
    assert_eq!(children(&parent.run), expected);
    assert_eq!(children(&named).len(), 1, "what its stage started");
    scratch.run(&["wait", &tool]);
    // The manifest says so too, also of their ends.
    until("the manifest", || {
        let manifest = scratch.manifest(&parent.run);
        let listed = manifest["child_runs"].as_array().unwrap();
        (listed.len() == 3 && listed.iter().all(|it| it["status"] == "succeeded")).then_some(())
    });
    inside.hang_up();
    assert_eq!(scratch.await_end(&parent.run).code, 0);
    assert_eq!(children(&parent.run), expected);
}
