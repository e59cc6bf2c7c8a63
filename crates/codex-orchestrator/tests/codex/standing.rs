//! What a person has allowed for all runs of a repository.

use serde_json::{Value, json};

use crate::{
    desk::Desk,
    patience::wait_for,
    threads::{await_end, in_background, manifest, reaches, status, types},
};

/// A run whose thread touches that file, which its sandbox keeps from it.
pub(super) fn reaching(desk: &Desk, name: &str, words: &[&str]) -> String {
    let file = desk.shelf().join(name);
    let _ = std::fs::remove_file(&file);
    let cue: &'static str = format!("reach {name} out").leak();
    desk.model.play(cue, reaches(&file));
    in_background(desk, words, cue)
}

/// Whether the file is there when the run has ended, without anybody having been asked.
#[track_caller]
pub(super) fn unasked(desk: &Desk, run: &str, name: &str) -> bool {
    let ended = await_end(desk, run);
    assert_eq!(ended["status"], "succeeded", "{ended}");
    assert_eq!(ended["questions"]["total"], 0, "{ended}");
    desk.shelf().join(name).exists()
}

/// The question that such a run waits for.
#[track_caller]
fn asks(desk: &Desk, run: &str) -> Value {
    wait_for("an approval", || status(desk, run)["waiting"]["for"] == "approval");
    desk.orch(&["inbox"])["questions"][0].clone()
}

fn events(desk: &Desk, run: &Value) -> Vec<Value> {
    let path = run["manifest"].as_str().expect("a path").replace("manifest.json", "events.jsonl");
    let text = desk.text(&path);
    text.lines().map(|line| serde_json::from_str(line).expect("an event")).collect()
}

#[test]
fn what_is_allowed_for_the_repository_is_allowed_to_later_runs_until_it_is_taken_back() {
    let Some(desk) = Desk::registered() else { return };
    desk.shelf();
    let first = reaching(&desk, "one", &["--here"]);
    let asked = asks(&desk, &first);
    assert_eq!(asked["scopes"].as_array().expect("scopes").last(), Some(&json!("repo")));
    assert_eq!(asked["standing"]["kind"], "command", "{asked}");
    let id = asked["question_id"].as_str().expect("an id").to_owned();
    let shown = desk.run("codex-orch", &["inbox"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("for this repository it would be: exactly the command"), "{shown}");
    // A program is no person, whatever it types.
    let typed = desk.run("codex-orch", &["approve", &id, "--standing"]);
    assert!(
        !typed.status.success() && desk.orch(&["inbox", "--standing"])["standing"] == json!([])
    );
    types(&desk, &format!("approve {id} --standing"));
    assert_eq!(await_end(&desk, &first)["status"], "succeeded");

    // The same goes through in the next run, in a work tree of its own too, and where nobody is asked.
    let next = reaching(&desk, "one", &["--here"]);
    assert!(unasked(&desk, &next, "one"));
    let ended = status(&desk, &next);
    let stood = events(&desk, &ended).into_iter().find(|event| event["event"] == "approval_stood");
    let standing = stood.expect("why it was allowed")["payload"]["standing"].clone();
    assert_eq!(standing["question_id"], id.as_str(), "{standing}");
    assert_eq!(standing["by"]["kind"], "person", "{standing}");
    let log =
        desk.text(manifest(&desk, &ended)["commands"][0]["log_path"].as_str().expect("a log"));
    let told = format!(
        "allowed for this repository, by a person on {}",
        standing["at"].as_str().expect("when")
    );
    assert!(log.contains(&told) && log.contains(&id), "{log}");
    let alone = reaching(&desk, "one", &[]);
    assert!(unasked(&desk, &alone, "one"));
    let quiet = reaching(&desk, "one", &["--here", "--no-input"]);
    assert!(unasked(&desk, &quiet, "one"));

    // Nothing else is.
    let other = reaching(&desk, "two", &["--here"]);
    let asked = asks(&desk, &other);
    let once = asked["question_id"].as_str().expect("an id");
    types(&desk, &format!("approve {once}"));
    await_end(&desk, &other);
    let line = format!("codex-orch approve {once} --standing");
    let late = desk.run("script", &["-qec", &line, "/dev/null"]);
    let said = String::from_utf8_lossy(&late.stdout).into_owned();
    assert!(!late.status.success() && said.contains("closed already: approved"), "{said}");

    // What settings refuse stays refused.
    let deny = ["--here", "--config", "approvals.deny=[\"command:*\"]"];
    let denied = reaching(&desk, "one", &deny);
    assert!(!unasked(&desk, &denied, "one"));
    let refuse = reaching(&desk, "one", &["--here", "--config", "approvals.command=deny"]);
    assert!(!unasked(&desk, &refuse, "one"));

    let listed = desk.orch(&["inbox", "--standing"]);
    assert_eq!(listed["standing"][0]["question_id"], id.as_str(), "{listed}");
    let taken = desk.orch(&["dismiss", &id[..7]]);
    assert_eq!(taken["standing"][0]["status"], "revoked", "{taken}");
    let again = reaching(&desk, "one", &["--here"]);
    let asked = asks(&desk, &again);
    types(&desk, &format!("deny {}", asked["question_id"].as_str().expect("an id")));
    await_end(&desk, &again);
    assert!(!desk.shelf().join("one").exists());
}

/// A thread without caps may do then whatever its user may, which is more than was allowed.
#[test]
fn what_is_allowed_within_caps_is_asked_for_again_without_them() {
    let free = "[pipelines.free]\nstages = [{ id = 'work', prompt = 'reach one out' }]\n";
    let Some(desk) = Desk::delegating(free) else { return };
    desk.shelf();
    let held = reaching(&desk, "one", &["--here"]);
    let asked = asks(&desk, &held);
    assert_eq!(asked["standing"]["held"], true, "{asked}");
    let id = asked["question_id"].as_str().expect("an id").to_owned();
    types(&desk, &format!("approve {id} --standing"));
    await_end(&desk, &held);
    assert!(unasked(&desk, &reaching(&desk, "one", &["--here"]), "one"));

    std::fs::remove_file(desk.codex_home().join("orchestrator.toml")).expect("the caps");
    let started = desk.orch(&["start", "free", "--detach"]);
    let run = started["run_id"].as_str().expect("an id").to_owned();
    let asked = asks(&desk, &run);
    assert_eq!(asked["standing"]["held"], false, "{asked}");
    types(&desk, &format!("deny {}", asked["question_id"].as_str().expect("an id")));
    await_end(&desk, &run);
}
