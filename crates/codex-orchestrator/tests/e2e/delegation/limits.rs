//! How many runs somebody may have, and in which turn they come.

use std::fs;

use serde_json::{Value, json};

use super::{
    inside::Talker,
    mcp::{Server, text},
    questions::ask,
    scratch,
    spawns::runs,
};
use crate::scratch::{Scratch, wait_for};

#[test]
fn nobody_is_deeper_than_the_limit() {
    let scratch = scratch("limits.depth = 2");
    let mut server = Server::of(&scratch, "one");
    let full = json!({ "delegate_mode": "full" });
    let first = Talker::spawn(&scratch, &mut server, "a", full.clone());
    let mut inside = first.pipes.connect();
    let second = Talker::spawn(&scratch, &mut inside, "b", full);
    let mut inside = second.pipes.connect();
    let said = inside.call("spawn", json!({ "pipeline": "quick" }));
    assert_eq!(said.code(), "limit", "{said:?}");
    // Also in the name of the one that is deepest.
    let named = json!({ "pipeline": "quick", "parent_manifest_path": second.run });
    assert_eq!(server.call("spawn", named).code(), "limit");
    assert_eq!(runs(&scratch).len(), 2);
}

#[test]
fn nobody_has_more_children_than_the_limit_however_many_are_wished_for_at_once() {
    let scratch = scratch("limits.children = 3");
    let mut servers: Vec<Server> = (0..6).map(|_| Server::of(&scratch, "one")).collect();
    let calls: Vec<u64> = servers
        .iter_mut()
        .map(|server| server.begin("spawn", json!({ "pipeline": "quick" })))
        .collect();
    let said = servers.iter_mut().zip(calls);
    let said = said.map(|(server, call)| server.said("spawn", call).unwrap());
    let refused: Vec<_> = said.filter(|said| said.failed).collect();
    assert_eq!(refused.len(), 3, "{refused:?}");
    assert!(refused.iter().all(|said| said.code() == "limit"), "{refused:?}");
    assert_eq!(runs(&scratch).len(), 3);
    // Nothing is left of those that never were.
    let folder = scratch.at(".runs");
    let records = walk(&folder).into_iter().filter(|path| path.ends_with("manifest.json")).count();
    // Three runs, and the one that stands for the session.
    assert_eq!(records, 4);
    let another = Server::of(&scratch, "two").call("spawn", json!({ "pipeline": "quick" }));
    assert_eq!(another.given()["existing"], false);
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return vec![folder.to_owned()] };
    entries.flat_map(|entry| walk(&entry.unwrap().path())).collect()
}

#[test]
fn one_more_than_may_be_at_work_is_refused_until_one_ends() {
    let scratch = scratch("limits.at_once = 1");
    let mut server = Server::of(&scratch, "one");
    let wish = |pipeline: &str| json!({ "pipeline": pipeline, "task_id": "demo" });
    let first = text(&server.call("spawn", wish("slow")).given(), "run_id");
    assert_eq!(server.call("spawn", wish("quick")).code(), "limit");
    assert_eq!(runs(&scratch).len(), 1);
    fs::write(scratch.at("go"), "").unwrap();
    scratch.await_end(&first);
    let second = text(&server.call("spawn", wish("quick")).given(), "run_id");
    scratch.await_end(&second);
}

/// A pipeline that says when its turn has come.
const TURNS: &str = "
limits.at_once = 1
limits.when_full = 'queue'
[pipelines.turn]
stages = [{ id = 'turn', command = 'echo $CODEX_ORCHESTRATOR_GOAL >> turns' }]
";

/// Spawns those, and gives their ids.
fn line(server: &mut Server, names: &[&str]) -> Vec<String> {
    let spawn = |(at, name): (usize, &&str)| {
        let wish = json!({ "pipeline": "turn", "goal": name, "task_id": "demo" });
        let spawned: Value = server.call("spawn", wish).given();
        assert_eq!(
            (&spawned["status"], &spawned["queue_position"]),
            (&json!("queued"), &json!(at + 1))
        );
        text(&spawned, "run_id")
    };
    names.iter().enumerate().map(spawn).collect()
}

fn begin(scratch: &Scratch, server: &mut Server) -> String {
    let wish = json!({ "pipeline": "slow", "task_id": "demo" });
    let run = text(&server.call("spawn", wish).given(), "run_id");
    wait_for("the first one to be at it", || scratch.at("begun").exists());
    run
}

#[test]
fn those_that_wait_for_their_turn_come_in_their_order() {
    let scratch = scratch(TURNS);
    let mut server = Server::of(&scratch, "one");
    begin(&scratch, &mut server);
    let line = line(&mut server, &["a", "b", "c", "d"]);
    // A run that waits is asked like any other, and is cancelled where it stands.
    let status = scratch.json(&["status", &line[1]]).document;
    assert_eq!(status["status"], "queued", "{status:#}");
    assert_eq!(status["waiting"]["for"], "slot", "{status:#}");
    let cancelled = server.call("cancel", json!({ "manifest_path": line[1] })).given();
    assert_eq!(cancelled["status"], "cancelled");
    assert_eq!(
        server.call("pause", json!({ "manifest_path": line[0], "paused": true })).code(),
        "conflict"
    );
    assert_eq!(scratch.text("turns"), "");
    fs::write(scratch.at("go"), "").unwrap();
    for run in [&line[0], &line[2], &line[3]] {
        assert_eq!(scratch.await_end(run).code, 0);
    }
    assert_eq!(scratch.text("turns"), "a\nc\nd\n");
    // Who was cancelled is taken up again by a person.
    assert_eq!(scratch.json(&["resume", &line[1]]).code, 0);
    assert_eq!(scratch.text("turns"), "a\nc\nd\nb\n");
}

/// Nobody looks meanwhile: those in the line see by themselves that the one before them is dead.
#[test]
fn a_run_that_died_in_the_line_or_at_work_holds_up_nobody() {
    let scratch = scratch(TURNS);
    let mut server = Server::of(&scratch, "one");
    let first = begin(&scratch, &mut server);
    let line = line(&mut server, &["a", "b"]);
    crate::kills::kill_now(queued_runner(&scratch, &line[0]));
    crate::kills::kill_now(scratch.runner(&first));
    wait_for("the turn of the last", || scratch.text("turns") == "b\n");
    assert_eq!(scratch.await_end(&line[1]).code, 0);
    assert_eq!(scratch.status(&line[0]), "interrupted");
    assert_eq!(scratch.status(&first), "interrupted");
    assert_eq!(scratch.json(&["resume", &line[0]]).code, 0);
    assert_eq!(scratch.text("turns"), "b\na\n");
}

/// The runner of a run that has not begun: no manifest says which process it is.
fn queued_runner(scratch: &Scratch, run: &str) -> i32 {
    let lock = scratch.journal().with_file_name("runs").join(run).join("runner.lock");
    let holds = |pid: &i32| {
        let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        let to = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        to.into_iter().any(|to| to == lock)
    };
    scratch.processes().into_iter().find(holds).expect("somebody holds its lock")
}

#[test]
fn a_run_whose_place_is_held_by_a_dead_one_is_not_refused() {
    let scratch = scratch("limits.at_once = 1");
    let mut server = Server::of(&scratch, "one");
    let first = begin(&scratch, &mut server);
    crate::kills::kill_now(scratch.runner(&first));
    let wish = json!({ "pipeline": "quick", "task_id": "demo" });
    let second = text(&server.call("spawn", wish).given(), "run_id");
    assert_eq!(scratch.await_end(&second).code, 0);
}

#[test]
fn a_run_that_waits_for_an_answer_makes_room_for_another() {
    let scratch = scratch("limits.at_once = 1");
    let mut server = Server::of(&scratch, "one");
    let asks = Talker::spawn(&scratch, &mut server, "a", json!({}));
    let mut inside = asks.pipes.connect();
    let wish = json!({ "pipeline": "quick", "task_id": "demo" });
    assert_eq!(server.call("spawn", wish.clone()).code(), "limit");
    let id = ask(&mut inside, "may I?", json!({}));
    let other = text(&server.call("spawn", wish).given(), "run_id");
    assert_eq!(scratch.await_end(&other).code, 0);
    assert_eq!(scratch.json(&["answer", &id, "you may"]).code, 0);
    inside.hang_up();
    assert_eq!(scratch.await_end(&asks.run).code, 0);
}
