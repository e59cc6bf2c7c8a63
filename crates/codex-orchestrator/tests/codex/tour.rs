//! The tours through `README.md`, and what other pages show of threads, typed into a shell line by
//! line: what the client and we print has to be what they show.
//!
//! Their blocks are marked `shellsession`, which is how `cargo xtask docs`, that has no client, knows
//! to leave them alone; the files they begin with are the ones that the page itself gives.

mod names;
mod shown;
mod work;

use std::{fs, path::Path};

use serde_json::{Value, json};

use self::{
    names::Names,
    shown::{Shown, Step},
};
use crate::{
    desk::Desk,
    model::{Model, call, say},
    workflow::{of, told, wait},
};

/// What is whose on a page: its reader's repository, their home, and Codex's in there.
fn readers(desk: &Desk) -> Names {
    Names::beginning_with([
        ("/home/you/project", desk.repo().display().to_string()),
        ("/home/you", desk.home().display().to_string()),
        ("/home/you/.codex", desk.codex_home().display().to_string()),
    ])
}

/// What the model says in each session of the first tour. It reports what our tools gave, so that its
/// words are as true as theirs.
fn teach(model: &Model) {
    model.play("Use delegate.* tools to run the diagnostics", |seen| match seen.outputs() {
        [] => call("delegate.spawn", json!({ "pipeline": "diagnostics", "task_id": "login" })),
        [run] => wait(run),
        [run, _] => of(run, "delegate.result"),
        [.., result] => say(format!(
            "The diagnostics {}: {}.\nArtifacts: {}",
            text(&result["status"]),
            text(&result["summary"]),
            text(&result["artifact_root"]),
        )),
    });
    model.play("Use delegate.* tools to list", |seen| match seen.outputs() {
        [] => call("delegate.list", json!({ "all": true, "task_id": "login" })),
        [listed, ..] => {
            let runs = listed["runs"].as_array().expect("runs").iter();
            let runs = runs.map(|run| format!("{} {}", text(&run["run_id"]), text(&run["status"])));
            say(runs.collect::<Vec<_>>().join("\n"))
        }
    });
    model.play("Ask whether it may run over night", |seen| {
        let run = json!({ "manifest_path": told(seen, "manifest_path") });
        match seen.outputs() {
            [] => call(
                "delegate.question.enqueue",
                json!({
                    "prompt": "The soak takes until tomorrow. May it run over night?",
                    "options": ["yes", "no"],
                    "parent_manifest_path": told(seen, "parent_manifest_path"),
                }),
            ),
            [_] => call(
                "delegate.pause",
                json!({ "manifest_path": run["manifest_path"], "paused": true }),
            ),
            [question, paused, ..] => say(format!(
                "The soak is {}. I asked: {}",
                text(&paused["status"]),
                text(&question["question_id"]),
            )),
        }
    });
    model.play("Do what was answered", |seen| match seen.outputs() {
        [] => call("delegate.question.poll", json!({ "question_id": told(seen, "question_id") })),
        [poll] => {
            assert_eq!(poll["answer"], "no", "{poll}");
            of(&json!({ "manifest_path": told(seen, "manifest_path") }), "delegate.cancel")
        }
        [poll, cancelled, ..] => say(format!(
            "The answer is {}: the soak is {}.",
            text(&poll["answer"]),
            text(&cancelled["status"]),
        )),
    });
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

/// Types what a page, or a section of it, says is typed.
#[track_caller]
fn hold(desk: &Desk, page: &str, heading: Option<&str>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(page);
    let text = fs::read_to_string(path).expect("a page");
    let mut names = readers(desk);
    let mut exports = String::new();
    let mut typed = 0;
    let mut complaints = Vec::new();
    for step in shown::steps(&text, heading) {
        match step {
            Step::File { path, text } => desk.file(&path, &text),
            Step::Command(Shown { line, command, output }) => {
                typed += 1;
                let now = names.now(&command);
                // As a terminal shows it, where what is for people and what is for programs is one.
                let script = format!("exec 2>&1\n{exports}{now}");
                let only_at_a_terminal = ["codex-orch approve", "codex-orch deny"];
                let done = match only_at_a_terminal.iter().any(|word| command.starts_with(word)) {
                    true => desk.run("script", &["-qec", &script, "/dev/null"]),
                    false => desk.run("sh", &["-c", &script]),
                };
                let printed = String::from_utf8_lossy(&done.stdout).into_owned();
                let printed: Vec<&str> = printed.lines().map(str::trim_end).collect();
                if let Err(why) = names.hold(&output, &printed) {
                    let printed = names.then(&printed.join("\n"));
                    complaints.push(format!("{page}:{line}: {why}\n$ {command}\n{printed}\n"));
                }
                if command.starts_with("export ") {
                    exports = format!("{exports}{now}\n");
                }
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    assert!(typed > 8, "the tour was found, and is one");
}

#[test]
fn the_tour_prints_what_it_shows() {
    let Some(desk) = Desk::confining() else { return };
    teach(&desk.model);
    hold(&desk, "README.md", Some("## From a Codex session"));
}

#[test]
fn the_tour_of_a_thread_prints_what_it_shows() {
    let Some(desk) = Desk::registered() else { return };
    work::greet(&desk.model);
    hold(&desk, "README.md", Some("## Delegate thinking work"));
}

#[test]
fn the_page_on_threads_prints_what_it_shows() {
    let Some(desk) = Desk::registered() else { return };
    work::count(&desk.model);
    hold(&desk, "docs/threads.md", None);
}

#[test]
fn the_commands_for_threads_print_what_their_page_shows() {
    let Some(desk) = Desk::registered() else { return };
    work::list(&desk.model);
    hold(&desk, "docs/commands.md", None);
}
