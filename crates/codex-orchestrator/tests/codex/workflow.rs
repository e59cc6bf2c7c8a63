//! The workflow that all of this is for, as the documents have it.

use serde_json::{Value, json};

use crate::{
    client::Session,
    desk::{Desk, ENABLED, touch},
    model::{CODE, FUNCTIONS, Reply, Request, SEARCH, call, calls, say},
    patience::wait_for,
};

/// Work that is done at once, and work that waits for a file named `go`.
pub(crate) const PIPELINES: &str = r#"
[pipelines.quick]
stages = [{ id = "one", command = "echo all is well" }]

[pipelines.slow]
stages = [
  { id = "one", command = "touch begun; until [ -e go ]; do sleep 0.02; done; touch done" },
]

[pipelines.diagnostics]
stages = [{ id = "check", command = "echo checked" }]
"#;

/// Whether a wait gave that event.
pub(crate) fn tells(waited: &Value, kind: &str) -> bool {
    let mut events = waited["events"].as_array().into_iter().flatten();
    events.any(|event| event["kind"] == kind)
}

/// Waits for that run.
pub(crate) fn wait(run: &Value) -> Reply {
    call("delegate.wait", json!({ "manifest_paths": [run["manifest_path"]], "wait_ms": 30_000 }))
}

/// Calls a tool that takes a run.
pub(crate) fn of(run: &Value, tool: &str) -> Reply {
    call(tool, json!({ "manifest_path": run["manifest_path"] }))
}

/// A value that the prompt has in the form `name=value`.
pub(crate) fn told(seen: &Request, name: &str) -> Value {
    let prompt = seen.prompt();
    let mut words = prompt.split_whitespace().filter_map(|word| word.split_once('='));
    let found = words.find(|(word, _)| *word == name);
    json!(found.unwrap_or_else(|| panic!("no {name} in {prompt:?}")).1)
}

/// Does some work to its end, then begins some more and stops it.
fn all_in_one(seen: &Request) -> Reply {
    match seen.outputs() {
        [] => call("delegate.spawn", json!({ "pipeline": "quick" })),
        [quick] => wait(quick),
        [quick, waited] => {
            assert!(tells(waited, "ended"), "{waited}");
            let path = &quick["manifest_path"];
            calls(&[
                ("delegate.result", json!({ "manifest_path": path })),
                ("delegate.log", json!({ "manifest_path": path, "stage": "one" })),
            ])
        }
        [_, _, result, log] => {
            assert_eq!(result["status"], "succeeded", "{result}");
            assert!(log.to_string().contains("all is well"), "{log}");
            call("delegate.spawn", json!({ "pipeline": "slow" }))
        }
        [_, _, _, _, slow] => of(slow, "delegate.status"),
        [_, _, _, _, slow, status] => {
            assert_eq!(status["status"], "in_progress", "{status}");
            assert_eq!(status["live"], true, "{status}");
            of(slow, "delegate.cancel")
        }
        [_, _, _, _, slow, _, _] => of(slow, "delegate.status"),
        [quick, .., slow, _, _, status] => {
            assert_eq!(status["status"], "cancelled", "{status}");
            say(json!({ "quick": quick, "slow": slow }).to_string())
        }
        more => panic!("{more:?}"),
    }
}

#[test]
fn a_session_starts_work_waits_for_it_looks_at_it_and_stops_it() {
    for model in [FUNCTIONS, SEARCH, CODE] {
        let Some(desk) = Desk::delegating(PIPELINES) else { return };
        desk.model.play("delegate some work", all_in_one);
        let ended = desk.delegate_with(&["-m", model], "delegate some work").succeed();
        let runs: Value = serde_json::from_str(&ended.last()).expect("two runs");
        for (name, status) in [("quick", "succeeded"), ("slow", "cancelled")] {
            let run = runs[name]["run_id"].as_str().expect("an id");
            assert_eq!(desk.orch(&["status", run])["status"], status, "{model}: {ended}");
        }
        assert_eq!(desk.text("done"), "", "{model}: it was stopped");
    }
}

#[test]
fn paused_work_stands_still_until_it_goes_on() {
    let Some(desk) = Desk::delegating(PIPELINES) else { return };
    let repo = desk.repo();
    desk.model.play("hold it for a while", move |seen| {
        let pause = |run: &Value, paused: bool| {
            let path = &run["manifest_path"];
            call("delegate.pause", json!({ "manifest_path": path, "paused": paused }))
        };
        match seen.outputs() {
            [] => call("delegate.spawn", json!({ "pipeline": "slow" })),
            [run] => {
                wait_for("the stage", || repo.join("begun").exists());
                pause(run, true)
            }
            [run, _] => {
                touch(&repo, "go");
                of(run, "delegate.status")
            }
            [run, _, status] => {
                assert_eq!(status["status"], "paused", "{status}");
                assert!(!repo.join("done").exists(), "it stands still");
                pause(run, false)
            }
            [run, _, _, _] => wait(run),
            [run, .., waited] => {
                assert!(tells(waited, "ended"), "{waited}");
                say(run["run_id"].as_str().expect("an id"))
            }
        }
    });
    let ended = desk.delegate("hold it for a while").succeed();
    assert_eq!(desk.orch(&["status", &ended.last()])["status"], "succeeded", "{ended}");
    assert!(desk.repo().join("done").exists());
}

#[test]
fn the_task_of_a_session_is_that_of_its_runs() {
    let Some(desk) = Desk::delegating(PIPELINES) else { return };
    desk.model.play("check it", |seen| match seen.outputs() {
        [] => call("delegate.spawn", json!({ "pipeline": "quick" })),
        [run] => wait(run),
        [run, ..] => say(run.to_string()),
    });
    let mut command = desk.exec(&ENABLED, "check it");
    command.env("MCP_RUNNER_TASK_ID", "of-the-session");
    let ended = Session::start(command).succeed();
    let run: Value = serde_json::from_str(&ended.last()).expect("a run");
    assert_eq!(run["task_id"], "of-the-session", "{ended}");
    let path = run["manifest_path"].as_str().expect("a path");
    assert!(path.contains(".runs/of-the-session/cli/"), "{path}");
}

#[test]
fn the_workflow_is_as_it_is_written() {
    let Some(desk) = Desk::delegating(PIPELINES) else { return };
    // Once. The registration that is there is replaced, as Codex does it.
    let repo = desk.repo().display().to_string();
    let server = ["codex-orchestrator", "delegate-server", "--repo", &repo];
    let added = desk.run("codex", &[&["mcp", "add", "delegation", "--"], &server[..]].concat());
    assert!(added.status.success(), "{added:?}");

    // A run, with its record where it is said to be.
    let words = ["start", "diagnostics", "--format", "json", "--task", "some-task"];
    let output = desk.run("codex-orch", &words);
    let started: Value = serde_json::from_slice(&output.stdout).expect("one document");
    let run = started["run_id"].as_str().expect("an id");
    assert_eq!(started["manifest"], format!(".runs/some-task/cli/{run}/manifest.json"));

    // A background session, and a minimal one.
    desk.model.play("Use delegate.* tools", |seen| match seen.outputs() {
        [] => call("delegate.spawn", json!({ "pipeline": "quick", "task_id": "some-task" })),
        [run] => wait(run),
        [run, _] => of(run, "delegate.result"),
        [.., result] => say(result["status"].as_str().expect("a status")),
    });
    let prompt = "Use delegate.* tools to check it. Return a short summary and any artifacts.";
    for more in [&[][..], &["-c", "features.skills=false"]] {
        let ended = desk.delegate_with(more, prompt).succeed();
        assert_eq!(ended.last(), "succeeded", "{ended}");
    }

    // Parent and child are tied by literal manifest paths in the prompt.
    let slow = desk.orch(&["start", "slow", "--task", "some-task", "--detach"]);
    let path = slow["manifest"].as_str().expect("a path");
    desk.model.play("Use parent_manifest_path=", |seen| {
        let run = json!({ "manifest_path": told(seen, "manifest_path") });
        let parent = told(seen, "parent_manifest_path");
        match seen.outputs() {
            [] => {
                let question = json!({ "prompt": "Which port?", "parent_manifest_path": parent });
                call("delegate.question.enqueue", question)
            }
            [question] => {
                assert_eq!(question["status"], "queued", "{question}");
                let id = &question["question_id"];
                let poll = json!({ "question_id": id, "parent_manifest_path": parent });
                call("delegate.question.poll", poll)
            }
            [_, poll] => {
                assert_eq!(poll["status"], "queued", "{poll}");
                of(&run, "delegate.status")
            }
            [_, _, status] => {
                assert_eq!(status["status"], "in_progress", "{status}");
                let pause = json!({ "manifest_path": run["manifest_path"], "paused": true });
                call("delegate.pause", pause)
            }
            [_, _, _, _] => of(&run, "delegate.cancel"),
            [question, ..] => say(question["question_id"].as_str().expect("an id")),
        }
    });
    let prompt = format!(
        "Use parent_manifest_path={path} when calling delegate.question.*. \
         Use manifest_path={path} when calling delegate.status/pause/cancel."
    );
    let ended = desk.delegate(&prompt).succeed();
    assert_eq!(desk.orch(&["status", path])["status"], "cancelled", "{ended}");

    // The question is there for whoever comes later.
    let question = ended.last();
    let (asked, path) = (question.clone(), path.to_owned());
    desk.model.play("Look for questions", move |seen| match seen.outputs() {
        [] => call("delegate.question.list", json!({ "manifest_path": path })),
        [listed] => {
            assert!(listed.to_string().contains("Which port?"), "{listed}");
            call("delegate.question.answer", json!({ "question_id": asked, "answer": "8080" }))
        }
        [_, _] => call("delegate.question.poll", json!({ "question_id": asked })),
        [.., poll] => say(format!("{} {}", poll["status"], poll["answer"])),
    });
    let ended = desk.delegate("Look for questions").succeed();
    assert_eq!(ended.last(), r#""answered" "8080""#, "{question}: {ended}");
}
