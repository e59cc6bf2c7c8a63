//! Runs above and below each other, in one repository and in two.

use std::{
    fs,
    path::{Path, PathBuf},
};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{
    inside::Talker,
    mcp::{Server, text},
    questions::{ask, look, poll},
    scratch,
};
use crate::scratch::{Scratch, wait_for};

/// A run that a session started, with a server in its stage, and a slow run that it started itself.
struct Family {
    scratch: Scratch,
    session: Server,
    parent: Talker,
    inside: Server,
    child: String,
}

impl Family {
    fn new(settings: &str) -> Self {
        let scratch = scratch(settings);
        let mut session = Server::of(&scratch, "one");
        let full = json!({ "delegate_mode": "full" });
        let parent = Talker::spawn(&scratch, &mut session, "a", full);
        let mut inside = parent.pipes.connect();
        let child = inside.call("spawn", json!({ "pipeline": "slow" })).given();
        assert_eq!(
            (&child["parent_run_id"], &child["task_id"]),
            (&json!(parent.run), &json!("demo"))
        );
        let child = text(&child, "run_id");
        wait_for("the child to be at it", || scratch.at("begun").exists());
        Self { scratch, session, parent, inside, child }
    }

    fn statuses(&self) -> [String; 2] {
        [&self.parent.run, &self.child].map(|run| self.scratch.status(run))
    }
}

#[test]
fn pause_and_cancel_cover_what_is_below_unless_only_the_one_is_meant() {
    let mut family = Family::new("");
    let parent = family.parent.run.clone();
    let of = |more: Value| {
        let mut words = json!({ "manifest_path": parent });
        words.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        words
    };
    let also = |value: &Value| value["also"].as_array().unwrap().len();
    let paused = family.session.call("pause", of(json!({ "paused": true, "only": true }))).given();
    assert_eq!(also(&paused), 0);
    assert_eq!(family.statuses(), ["paused", "in_progress"]);
    let thawed = family.session.call("pause", of(json!({ "paused": false, "only": true }))).given();
    assert_eq!((also(&thawed), &thawed["status"]), (0, &json!("in_progress")));
    let paused = family.session.call("pause", of(json!({ "paused": true }))).given();
    assert_eq!(paused["also"], json!([family.child]));
    assert_eq!(family.statuses(), ["paused", "paused"]);
    assert_eq!(
        family.session.call("pause", of(json!({ "paused": false }))).given()["also"],
        json!([family.child])
    );
    assert_eq!(family.statuses(), ["in_progress", "in_progress"]);
    // The same at a terminal.
    assert_eq!(family.scratch.json(&["pause", &parent]).document["also"], json!([family.child]));
    assert_eq!(family.scratch.json(&["resume", &parent]).code, 0);
    let child = family.child.clone();
    if family.scratch.status(&child) == "paused" {
        assert_eq!(family.scratch.json(&["resume", &child]).code, 0);
    }
    let only =
        family.session.call("cancel", of(json!({ "only": true, "reason": "enough" }))).given();
    assert_eq!((also(&only), &only["status"]), (0, &json!("cancelled")));
    assert_eq!(family.statuses(), ["cancelled", "in_progress"]);
    // One that is over may be asked to end with all that is below it.
    let all = family.session.call("cancel", of(json!({}))).given();
    assert_eq!((&all["already"], &all["also"]), (&json!(true), &json!([family.child])));
    assert_eq!(family.statuses(), ["cancelled", "cancelled"]);
    assert!(family.scratch.processes_of(&family.child).is_empty());
}

#[test]
fn children_go_on_when_their_parent_ends_or_dies() {
    for how in ["ends", "is killed", "is cancelled alone", "is told to leave"] {
        let mut family = Family::new("");
        let scratch = &family.scratch;
        match how {
            "ends" => {
                family.inside.hang_up();
                assert_eq!(scratch.await_end(&family.parent.run).code, 0);
            }
            "is killed" => scratch.kill_runner(&family.parent.run),
            "is cancelled alone" => {
                assert_eq!(scratch.json(&["cancel", &family.parent.run, "--only"]).code, 0);
            }
            _ => {
                let runner = nix::unistd::Pid::from_raw(scratch.runner(&family.parent.run));
                nix::sys::signal::kill(runner, Signal::SIGTERM).unwrap();
                wait_for("its end", || scratch.status(&family.parent.run) == "interrupted");
            }
        }
        let before = scratch.status(&family.parent.run);
        assert_ne!(before, "in_progress", "{how}");
        assert_eq!(scratch.status(&family.child), "in_progress", "{how}");
        fs::write(scratch.at("go"), "").unwrap();
        assert_eq!(scratch.await_end(&family.child).code, 0, "{how}");
        let children = scratch.json(&["status", &family.parent.run]).document["child_runs"].clone();
        assert_eq!(children[0]["status"], "succeeded", "{how}: {children:#}");
        assert_eq!(scratch.status(&family.parent.run), before, "{how}");
    }
}

#[test]
fn a_child_of_a_parent_that_is_over_still_has_somebody_who_answers() {
    let scratch = scratch("");
    let mut session = Server::of(&scratch, "one");
    let full = json!({ "delegate_mode": "full" });
    let parent = Talker::spawn(&scratch, &mut session, "a", full);
    let mut inside = parent.pipes.connect();
    let child = Talker::spawn(&scratch, &mut inside, "b", json!({}));
    let mut below = child.pipes.connect();
    inside.hang_up();
    assert_eq!(scratch.await_end(&parent.run).code, 0);
    let first = ask(&mut below, "who is there?", json!({}));
    let listed = session.call("question.list", json!({})).given();
    assert_eq!(listed["questions"][0]["question_id"], json!(first), "{listed:#}");
    let of_parent = json!({ "manifest_path": parent.run });
    assert_eq!(session.call("question.list", of_parent).given(), listed);
    let words = json!({ "question_id": first, "answer": "I am" });
    assert_eq!(session.call("question.answer", words).given()["status"], "answered");
    assert_eq!(poll(&mut below, &first)["answer"], "I am");
    session.signal(Signal::SIGKILL);
    session.gone();
    let second = ask(&mut below, "and now?", json!({}));
    assert_eq!(scratch.json(&["answer", &second, "somebody"]).code, 0);
    assert_eq!(poll(&mut below, &second)["answer"], "somebody");
}

/// A run answers what its own child asks, and its child nothing of its parent's.
#[test]
fn a_run_answers_its_child_and_not_the_other_way_round() {
    let scratch = scratch("");
    let mut session = Server::of(&scratch, "one");
    let full = json!({ "delegate_mode": "full" });
    let parent = Talker::spawn(&scratch, &mut session, "a", full.clone());
    let mut inside = parent.pipes.connect();
    let child = Talker::spawn(&scratch, &mut inside, "b", full);
    let mut below = child.pipes.connect();
    let (of_parent, of_child) =
        (ask(&mut inside, "p?", json!({})), ask(&mut below, "c?", json!({})));
    let answer = |id: &str| json!({ "question_id": id, "answer": "yes" });
    for id in [&of_parent, &of_child] {
        assert_eq!(below.call("question.answer", answer(id)).code(), "refused");
    }
    assert_eq!(inside.call("question.answer", answer(&of_parent)).code(), "refused");
    let told = inside.call("wait", json!({})).given();
    assert_eq!(told["events"][0]["question_id"], json!(of_child), "{told:#}");
    assert_eq!(inside.call("question.answer", answer(&of_child)).given()["status"], "answered");
    let told = poll(&mut below, &of_child);
    assert_eq!((&told["answer"], &told["answered_by"]), (&json!("yes"), &json!("run")));
    // What is not below them they do not even see.
    assert_eq!(below.call("question.poll", json!({ "question_id": of_parent })).code(), "refused");
    assert_eq!(below.call("status", json!({ "manifest_path": parent.run })).code(), "refused");
    for tool in ["cancel", "log", "result"] {
        assert_eq!(below.call(tool, json!({ "manifest_path": parent.run })).code(), "refused");
    }
    let pause = json!({ "manifest_path": parent.run, "paused": true });
    assert_eq!(below.call("pause", pause).code(), "refused");
    let spawn = json!({ "pipeline": "quick", "parent_manifest_path": parent.run });
    assert_eq!(below.call("spawn", spawn).code(), "refused");
    assert_eq!(below.call("list", json!({ "all": true })).given()["runs"], json!([]));
}

/// Another repository beside the one of the session, which the user's config allows.
struct Two {
    scratch: Scratch,
    other: PathBuf,
}

impl Two {
    fn new(settings: &str) -> Self {
        let scratch = scratch(settings);
        let other = scratch.folder().join("other");
        let copied = std::process::Command::new("cp")
            .arg("-r")
            .args([scratch.repo(), &other])
            .status()
            .expect("cp");
        assert!(copied.success());
        scratch.own_config(&format!("delegate.allowed_repos = ['{}']\n", other.display()));
        Self { scratch, other }
    }

    /// Starts one there, and gives the run and its manifest.
    #[track_caller]
    fn spawn(&self, server: &mut Server, pipeline: &str, goal: &str) -> (String, String) {
        let wish =
            json!({ "pipeline": pipeline, "goal": goal, "repo": self.other, "task_id": "demo" });
        let spawned = server.call("spawn", wish).given();
        assert_eq!(spawned["repo_root"], json!(self.other));
        (text(&spawned, "run_id"), text(&spawned, "manifest_path"))
    }

    fn pipes(&self, name: &str) -> super::inside::Pipes {
        super::inside::Pipes::at(&self.other, name)
    }

    fn status(&self, path: &str) -> Value {
        self.scratch.json(&["status", path]).document
    }
}

#[test]
fn a_family_may_live_in_two_repositories() {
    let two = Two::new("");
    let mut session = Server::of(&two.scratch, "one");
    let near = Talker::spawn(&two.scratch, &mut session, "a", json!({}));
    let mut inside = near.pipes.connect();
    let (far, path) = two.spawn(&mut session, "slow", "");
    assert!(path.starts_with('/'), "{path}");
    let list = session.call("list", json!({})).given();
    let own = text(&list, "own_run_id");
    let children = two.scratch.json(&["status", &own]).document["child_runs"].clone();
    let ids: Vec<&Value> = children.as_array().unwrap().iter().map(|it| &it["run_id"]).collect();
    assert_eq!(ids, [&json!(near.run), &json!(far)], "{children:#}");
    assert_eq!(two.status(&path)["parent_run_id"], json!(own));
    assert_eq!(session.call("status", json!({ "manifest_path": path })).given()["live"], true);
    // One wait over both, and what is told is told once.
    let asked = ask(&mut inside, "near?", json!({}));
    let told = session.call("wait", json!({})).given();
    assert_eq!(
        (&told["events"][0]["question_id"], &told["unfinished"]),
        (&json!(asked), &json!(2))
    );
    fs::write(two.other.join("go"), "").unwrap();
    let told = session.call("wait", json!({ "cursor": told["cursor"] })).given();
    let events = told["events"].as_array().unwrap();
    assert_eq!(events.len(), 1, "{told:#}");
    assert_eq!((&events[0]["run_id"], &events[0]["kind"]), (&json!(far), &json!("ended")));
    assert_eq!(events[0]["manifest_path"], json!(path));
    let told = session.call("wait", json!({ "cursor": told["cursor"], "wait_ms": 0 })).given();
    assert_eq!((&told["events"], &told["timed_out"]), (&json!([]), &json!(true)));
    // The manifest of the parent tells of the far one's end.
    let parent = list["runs"][0]["manifest_path"].as_str().unwrap();
    assert!(parent.contains(&near.run));
    let children = two.scratch.json(&["status", &own]).document["child_runs"].clone();
    assert_eq!(children[1]["status"], "succeeded", "{children:#}");
}

#[test]
fn what_a_far_child_asks_is_heard_and_answered_by_its_parent() {
    let two = Two::new("");
    let mut session = Server::of(&two.scratch, "one");
    let pipes = two.pipes("b");
    let (far, path) = two.spawn(&mut session, "talks", "b");
    let mut below = pipes.connect();
    let own = text(&session.call("list", json!({})).given(), "own_run_id");
    let parent = two.scratch.at(format!(".runs/repo/cli/{own}/manifest.json"));
    let parent = if parent.exists() {
        parent
    } else {
        two.scratch.at(format!(".runs/main/cli/{own}/manifest.json"))
    };
    // As the prompt says: by the literal path of its parent's manifest.
    let id = ask(&mut below, "far?", json!({ "parent_manifest_path": parent }));
    let told = session.call("wait", json!({})).given();
    assert_eq!(
        (&told["events"][0]["question_id"], &told["events"][0]["run_id"]),
        (&json!(id), &json!(far))
    );
    let listed = session.call("question.list", json!({})).given();
    assert_eq!(listed["questions"][0]["question_id"], json!(id), "{listed:#}");
    assert_eq!(listed["questions"][0]["manifest_path"], json!(path));
    assert_eq!(look(&mut session, &id)["status"], "queued");
    let words = json!({ "question_id": id, "answer": "here" });
    assert_eq!(session.call("question.answer", words).given()["run_id"], json!(far));
    assert_eq!(poll(&mut below, &id)["answer"], "here");
    let waited = json!({ "question_ids": [id], "wait_ms": 0 });
    assert_eq!(session.call("wait", waited).given()["events"][0]["kind"], "answered");
    // From the parent's repository a person answers, too.
    let second = ask(&mut below, "again?", json!({}));
    let inbox = two.scratch.json(&["inbox", "--all-repos"]).document;
    assert_eq!(inbox["questions"][0]["question_id"], json!(second), "{inbox:#}");
    assert_eq!(two.scratch.json(&["answer", &second, "yes"]).code, 0);
    assert_eq!(poll(&mut below, &second)["answer"], "yes");
}

#[test]
fn a_family_in_two_repositories_is_cancelled_as_one() {
    let two = Two::new("");
    let mut session = Server::of(&two.scratch, "one");
    let full = json!({ "delegate_mode": "full" });
    let parent = Talker::spawn(&two.scratch, &mut session, "a", full);
    let mut inside = parent.pipes.connect();
    let (far, path) = two.spawn(&mut inside, "slow", "");
    wait_for("the far one to be at it", || two.other.join("begun").exists());
    let of = json!({ "manifest_path": parent.run, "paused": true });
    assert_eq!(session.call("pause", of).given()["also"], json!([far]));
    assert_eq!(two.status(&path)["status"], "paused");
    let of = json!({ "manifest_path": parent.run });
    assert_eq!(session.call("cancel", of).given()["also"], json!([far]));
    assert_eq!(two.status(&path)["status"], "cancelled");
}

/// A child that was noted and never began, because its server died just then, is nobody, and so is
/// one whose repository is gone.
#[test]
fn the_children_of_a_family_in_two_repositories_are_counted_together() {
    let two = Two::new("limits.children = 3");
    let mut session = Server::of(&two.scratch, "one");
    let wish = |repo: &Path| json!({ "pipeline": "quick", "repo": repo, "task_id": "demo" });
    let (near, far) = (two.scratch.repo().to_owned(), two.other.clone());
    for repo in [&near, &far, &far] {
        session.call("spawn", wish(repo)).given();
    }
    for repo in [&near, &far] {
        assert_eq!(session.call("spawn", wish(repo)).code(), "limit");
    }
    // Another session has children of its own.
    Server::of(&two.scratch, "two").call("spawn", wish(&far)).given();
}

#[test]
fn no_more_of_a_family_in_two_repositories_are_at_work_than_may_be() {
    let two = Two::new("limits.at_once = 2");
    let (near, far) = (two.scratch.repo().to_owned(), two.other.clone());
    let wish = |repo: &Path| json!({ "pipeline": "slow", "repo": repo, "task_id": "demo" });
    let mut servers: Vec<Server> = (0..6).map(|_| Server::of(&two.scratch, "one")).collect();
    let calls: Vec<u64> = servers
        .iter_mut()
        .zip([&near, &far].into_iter().cycle())
        .map(|(server, repo)| server.begin("spawn", wish(repo)))
        .collect();
    let said = servers.iter_mut().zip(calls);
    let said: Vec<_> = said.map(|(server, call)| server.said("spawn", call).unwrap()).collect();
    let (refused, begun): (Vec<_>, Vec<_>) = said.into_iter().partition(|said| said.failed);
    assert_eq!((begun.len(), refused.len()), (2, 4), "{begun:?} {refused:?}");
    assert!(refused.iter().all(|said| said.code() == "limit"), "{refused:?}");
    // One that ends, wherever it is, makes room everywhere.
    for repo in [&near, &far] {
        fs::write(repo.join("go"), "").unwrap();
    }
    for said in begun {
        let path = text(&said.given(), "manifest_path");
        assert_eq!(two.scratch.run(&["wait", &path]).code, 0);
    }
    for repo in [&far, &near] {
        fs::remove_file(repo.join("go")).unwrap();
        servers[0].call("spawn", wish(repo)).given();
    }
    assert_eq!(servers[0].call("spawn", wish(&far)).code(), "limit");
    // So does one that dies, though nobody has looked at it yet.
    for repo in [&near, &far] {
        let list = ["list", "--repo", &repo.display().to_string(), "--status", "in_progress"];
        let runs = two.scratch.json(&list).document["runs"].clone();
        let path = repo.join(text(&runs[0], "manifest"));
        let run = two.status(&path.display().to_string());
        let pid = run["host"]["pid"].as_i64().unwrap_or_else(|| panic!("{run:#}"));
        let runner = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
        nix::sys::signal::kill(runner, nix::sys::signal::Signal::SIGKILL).unwrap();
        let other = if repo == &near { &far } else { &near };
        servers[1].call("spawn", wish(other)).given();
    }
}

#[test]
fn a_far_child_that_never_was_is_in_nobodys_way() {
    let two = Two::new("limits.children = 4");
    let mut session = Server::of(&two.scratch, "one");
    let (_, path) = two.spawn(&mut session, "quick", "");
    let own = text(&session.call("list", json!({})).given(), "own_run_id");
    assert_eq!(two.scratch.run(&["wait", &path]).code, 0);
    let homes = fs::read_dir(two.scratch.state().join("repos")).unwrap();
    let root = two.scratch.repo().display().to_string();
    let home = homes
        .map(|entry| entry.unwrap().path())
        .find(|home| fs::read_to_string(home.join("root")).is_ok_and(|it| it.trim_end() == root));
    let journal = rusqlite::Connection::open(home.unwrap().join("journal.db")).unwrap();
    for (run, root) in [
        ("2026-11-22T10-15-00-123Z-4f9a2c1b", two.other.display().to_string()),
        ("2026-11-22T10-15-00-123Z-4f9a2c1c", "/nowhere/at/all".to_owned()),
    ] {
        let row = "INSERT INTO far_children VALUES (?1, ?2, ?3)";
        journal.execute(row, (&own, run, root)).unwrap();
    }
    let told = session.call("wait", json!({})).given();
    assert_eq!((&told["events"][0]["kind"], &told["unfinished"]), (&json!("ended"), &json!(0)));
    assert_eq!(
        two.scratch.json(&["status", &own]).document["child_runs"].as_array().unwrap().len(),
        1
    );
    assert_eq!(session.call("question.list", json!({})).given()["questions"], json!([]));
}

#[test]
fn a_repository_that_nobody_allowed_stays_closed() {
    let two = Two::new("");
    let other = two.scratch.folder().join("third");
    fs::create_dir(&other).unwrap();
    let mut session = Server::of(&two.scratch, "one");
    let wish = json!({ "pipeline": "diagnostics", "repo": other });
    assert_eq!(session.call("spawn", wish).code(), "refused");
    // By a link of the one that is allowed either.
    let link = two.scratch.folder().join("link");
    std::os::unix::fs::symlink(&other, &link).unwrap();
    assert_eq!(
        session.call("spawn", json!({ "pipeline": "quick", "repo": link })).code(),
        "refused"
    );
    // A child may not write itself a way out.
    let inner = format!("delegate.allowed_repos = ['{}']\n", other.display());
    let config = two.scratch.at(".codex/orchestrator.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{inner}{text}")).unwrap();
    let wish = json!({ "pipeline": "quick", "repo": other });
    assert!(["refused", "invalid"].contains(&session.call("spawn", wish).code()));
}
