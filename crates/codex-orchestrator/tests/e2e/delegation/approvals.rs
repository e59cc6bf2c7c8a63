//! What only a person allows, at a terminal: asked for, shown, done exactly as it was shown, once.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};

use super::{
    inside::Talker,
    mcp::{Server, text},
    questions::entry,
    rounds, scratch,
    spawns::runs,
    wishes::{boxed, id_in, wish, write},
};
use crate::{
    person::Person,
    scratch::{Done, Running, Scratch, wait_for},
};

/// A copy of the repository, with its journal left behind.
fn copy(scratch: &Scratch, to: &Path) {
    let copied = Command::new("cp").arg("-r").args([scratch.repo(), to]).status();
    assert!(copied.expect("cp").success());
}

#[test]
fn what_is_committed_is_started_and_anything_else_is_asked_for() {
    for says in [true, false] {
        let scratch = scratch("");
        let mut server = boxed(&scratch, "one", says);
        let quick = json!({ "pipeline": "quick", "task_id": "demo" });
        let run = text(&server.call("spawn", quick.clone()).given(), "run_id");
        assert_eq!(scratch.await_end(&run).code, 0);
        write(&scratch, "touch shown");
        let id = wish(&mut server, quick.clone());
        // The same wish is the same question; another session has its own.
        assert_eq!(wish(&mut server, quick.clone()), id);
        let waiting = entry(&scratch, &id);
        assert_eq!(waiting["kind"], "confirmation");
        assert_eq!(waiting["urgency"], "high");
        let prompt = text(&waiting, "prompt");
        assert!(prompt.contains("touch shown") && prompt.contains("echo done"), "{prompt}");
        assert_ne!(wish(&mut boxed(&scratch, "two", says), quick.clone()), id);
        // A session that no sandbox holds could run it by itself anyway.
        let free = Server::of(&scratch, "free").call("spawn", quick).given();
        scratch.await_end(&text(&free, "run_id"));
        assert!(scratch.at("shown").exists());
        assert_eq!(runs(&scratch).len(), 2);
    }
}

#[test]
fn what_is_approved_is_done_as_it_was_shown_and_once() {
    const SHOWN: &str = "echo shown >> ran; until [ -e go ]; do sleep 0.01; done";
    let scratch = scratch("");
    let Some(person) = Person::at(&scratch) else { return };
    let mut server = boxed(&scratch, "one", true);
    write(&scratch, SHOWN);
    let words = json!({ "pipeline": "quick", "task_id": "demo", "goal": "g" });
    let id = wish(&mut server, words.clone());
    let waits = server.begin("wait", json!({ "question_ids": [id], "wait_ms": 60_000 }));
    assert_eq!(runs(&scratch).len(), 0);
    // Without a terminal nobody allows anything.
    assert_eq!(scratch.run(&["approve", &id]).code, 4);
    assert_eq!(scratch.run(&["answer", &id, "yes"]).code, 4);
    write(&scratch, "echo written afterwards >> ran");
    let done = person.types(&format!("approve {id}"));
    assert_eq!(done.code, 0, "{done:?}");
    wait_for("what was allowed", || scratch.text("ran") == "shown\n");
    let told = server.said("wait", waits).unwrap().given();
    assert_eq!(told["events"][0]["question_status"], "approved", "{told:#}");
    // Once more is no more; and no is too late.
    assert_eq!(person.types(&format!("approve {id}")).code, 0);
    assert_eq!(person.types(&format!("deny {id}")).code, 4);
    assert_eq!(runs(&scratch).len(), 1);
    let run = runs(&scratch)[0].clone();
    let own = text(&server.call("list", json!({})).given(), "own_run_id");
    assert_eq!(run["status"], "in_progress");
    assert_eq!(run["parent_run_id"], json!(own));
    // While it goes on, the same wish is granted by it; what was written meanwhile is another wish.
    assert_ne!(wish(&mut server, words.clone()), id);
    write(&scratch, SHOWN);
    assert_eq!(server.call("spawn", words.clone()).given()["run_id"], run["run_id"]);
    fs::write(scratch.at("go"), "").unwrap();
    assert_eq!(scratch.await_end(&text(&run, "run_id")).code, 0);
    // When it is over, once more is another matter.
    assert_ne!(wish(&mut server, words), id);
    assert_eq!(scratch.text("ran"), "shown\n");
    let approved = entry(&scratch, &id);
    assert_eq!(approved["resolution"]["by"]["kind"], "person", "{approved:#}");
}

#[test]
fn of_some_who_approve_at_once_all_see_it_done_and_it_is_done_once() {
    let scratch = scratch("");
    let Some(person) = Person::at(&scratch) else { return };
    let mut server = boxed(&scratch, "one", true);
    write(&scratch, "echo $CODEX_ORCHESTRATOR_GOAL >> ran; until [ -e go ]; do sleep 0.01; done");
    for round in 0..rounds::count(4) {
        let goal = format!("round {round}");
        let id = wish(&mut server, json!({ "pipeline": "quick", "task_id": "demo", "goal": goal }));
        let all: Vec<Running> = (0..4).map(|_| person.begins(&format!("approve {id}"))).collect();
        for done in all.into_iter().map(Running::done) {
            assert_eq!(done.code, 0, "{done:?}");
        }
        wait_for("it to be done", || scratch.text("ran").contains(&goal));
        // Each is alive, and seen to be.
        let runs = runs(&scratch);
        assert_eq!(runs.len() as u64, round + 1, "{runs:#?}");
        assert!(runs.iter().all(|run| run["status"] == "in_progress"), "{runs:#?}");
        assert_eq!(scratch.text("ran").lines().count() as u64, round + 1);
    }
}

#[test]
fn what_is_denied_or_not_decided_in_time_is_not_done() {
    let scratch = scratch("confirm.expires_in = '2s'");
    let Some(person) = Person::at(&scratch) else { return };
    let mut server = boxed(&scratch, "one", true);
    write(&scratch, "touch ran");
    let words = json!({ "pipeline": "quick" });
    let late = wish(&mut server, words.clone());
    let told = json!({ "question_id": late, "wait_ms": 60_000 });
    let told = server.call("question.poll", told).given();
    assert_eq!((&told["status"], &told["fallback_action"]), (&json!("expired"), &Value::Null));
    assert_eq!(person.types(&format!("approve {late}")).code, 4);
    scratch.config(&scratch.text(".codex/orchestrator.toml").replace("'2s'", "'10m'"));
    let id = wish(&mut server, words.clone());
    assert_ne!(id, late);
    let done = person.types(&format!("deny {id} --reason 'not on a Friday'"));
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(person.types(&format!("approve {id}")).code, 4);
    let said = server.call("spawn", words);
    assert_eq!(said.code(), "refused");
    let message = text(&said.value["error"], "message");
    assert!(message.contains("not on a Friday"), "{message}");
    assert_eq!(runs(&scratch).len(), 0);
    assert!(!scratch.at("ran").exists());
}

#[test]
fn what_a_person_trusts_is_started_as_long_as_it_is_so() {
    let scratch = scratch("");
    let Some(person) = Person::at(&scratch) else { return };
    let mut server = boxed(&scratch, "one", false);
    write(&scratch, "echo trusted >> ran");
    let words = json!({ "pipeline": "quick", "task_id": "demo" });
    wish(&mut server, words.clone());
    assert_eq!(person.types("trust quick").code, 0);
    wish(&mut server, words.clone());
    assert_eq!(person.types("trust quick --yes").code, 0);
    let run = text(&server.call("spawn", words.clone()).given(), "run_id");
    assert_eq!(scratch.await_end(&run).code, 0);
    write(&scratch, "echo other >> ran");
    wish(&mut server, words.clone());
    write(&scratch, "echo trusted >> ran");
    assert_eq!(person.types("trust quick --undo").code, 0);
    wish(&mut server, words);
    assert_eq!(scratch.text("ran"), "trusted\n");
    assert_eq!(runs(&scratch).len(), 1);
}

#[test]
fn an_agents_cancel_waits_for_a_person_where_the_config_says_so() {
    let scratch = scratch("confirm.cancel = 'always'");
    let Some(person) = Person::at(&scratch) else { return };
    let mut server = Server::of(&scratch, "one");
    let spawned = server.call("spawn", json!({ "pipeline": "slow", "task_id": "demo" })).given();
    let run = text(&spawned, "run_id");
    let cancel = json!({ "manifest_path": run, "reason": "it is slow" });
    let said = server.call("cancel", cancel.clone());
    assert_eq!(said.code(), "confirmation_required");
    let id = id_in(&said.value);
    assert_eq!(id_in(&server.call("cancel", cancel).value), id);
    assert_eq!(scratch.status(&run), "in_progress");
    // By its shell it gets no further.
    let mut command = scratch.command(&["cancel", &run]);
    command.env("CODEX_THREAD_ID", "one");
    assert_eq!(Done::of(&command.output().unwrap()).code, 4);
    assert_eq!(person.types(&format!("approve {id}")).code, 0);
    assert_eq!(scratch.status(&run), "cancelled");
    assert_eq!(person.types(&format!("approve {id}")).code, 0);
    // A person just does it.
    let other = scratch.start("slow");
    assert_eq!(scratch.run(&["cancel", &other]).code, 0);
}

#[test]
fn a_run_cancels_what_it_did_not_start_only_where_a_person_said_so() {
    for (setting, allowed) in [("owned", false), ("never", true)] {
        let scratch = scratch("");
        scratch.own_config(&format!("confirm.cancel = '{setting}'\n"));
        let mut session = Server::of(&scratch, "one");
        let full = json!({ "delegate_mode": "full" });
        let child = Talker::spawn(&scratch, &mut session, "a", full);
        let mut inside = child.pipes.connect();
        let other = scratch.start("slow");
        let said = inside.call("cancel", json!({ "manifest_path": other }));
        match allowed {
            true => assert_eq!(said.given()["status"], "cancelled"),
            false => assert_eq!(said.code(), "refused"),
        }
        let itself = inside.call("cancel", json!({ "manifest_path": child.run }));
        assert_eq!(itself.code(), "refused");
        let own = text(&inside.call("spawn", json!({ "pipeline": "slow" })).given(), "run_id");
        let own = inside.call("cancel", json!({ "manifest_path": own })).given();
        assert_eq!(own["status"], "cancelled");
    }
}

/// The same pipeline in another repository is something else.
#[test]
fn a_wish_for_one_repository_is_none_for_another() {
    let scratch = scratch("");
    let Some(person) = Person::at(&scratch) else { return };
    let allowed = format!("delegate.allowed_repos = ['{}']\n", scratch.folder().display());
    scratch.own_config(&allowed);
    write(&scratch, "touch ran");
    let others = ["other", "third"].map(|name| scratch.folder().join(name));
    others.iter().for_each(|other| copy(&scratch, other));
    let mut server = boxed(&scratch, "one", true);
    let here = wish(&mut server, json!({ "pipeline": "quick", "task_id": "demo" }));
    let ids = others.clone().map(|other| {
        wish(&mut server, json!({ "pipeline": "quick", "task_id": "demo", "repo": other }))
    });
    assert!(ids[0] != ids[1] && !ids.contains(&here), "{ids:?}");
    assert_eq!(person.types(&format!("approve {}", ids[1])).code, 0);
    wait_for("it to be done there", || others[1].join("ran").exists());
    assert!(!scratch.at("ran").exists() && !others[0].join("ran").exists());
}
