//! Runs that are a Codex thread, driven by the real client.

use serde_json::{Value, json};

use crate::{
    desk::Desk,
    model::{call, function, say},
    patience::wait_for,
};

/// What a command line of ours says, with the prompt last.
fn delegate(desk: &Desk, words: &[&str], prompt: &str) -> Value {
    desk.orch(&[&["delegate", "--here"], words, &[prompt]].concat())
}

fn manifest(desk: &Desk, run: &Value) -> Value {
    let text = desk.text(run["manifest"].as_str().expect("a path"));
    serde_json::from_str(&text).expect("a manifest")
}

#[test]
fn a_prompt_is_a_run_whose_thread_says_what_came_of_it() {
    let Some(desk) = Desk::registered() else { return };
    desk.model.play("what is here", |_| say("A file.\nAnd nothing else."));
    let run = delegate(&desk, &[], "Tell me what is here.");
    assert_eq!(run["status"], "succeeded", "{run}");
    let manifest = manifest(&desk, &run);
    let stage = &manifest["commands"][0];
    assert_eq!(stage["kind"], "codex", "{manifest}");
    assert_eq!(stage["summary"], "A file.", "{manifest}");
    let thread = &manifest["codex"];
    assert_eq!(thread["last_message"], "A file.\nAnd nothing else.", "{manifest}");
    assert!(thread["thread_id"].as_str().is_some_and(|id| !id.is_empty()), "{manifest}");
    assert_eq!(manifest["usage"]["turns"], 1, "{manifest}");
    assert_eq!(manifest["usage"]["output"], 1, "{manifest}");
    let log = desk.text(stage["log_path"].as_str().expect("a log"));
    assert!(log.contains("And nothing else."), "{log}");
}

#[test]
fn its_parent_waits_for_it_and_reads_what_it_said() {
    let Some(desk) = Desk::registered() else { return };
    desk.model.play("look into it", |_| say("All is well."));
    desk.model.play("have somebody do it", |seen| match seen.outputs() {
        [] => {
            call("delegate.spawn", json!({ "prompt": "Please look into it.", "worktree": false }))
        }
        [run] => crate::workflow::wait(run),
        [run, waited] => {
            assert!(crate::workflow::tells(waited, "ended"), "{waited}");
            crate::workflow::of(run, "delegate.result")
        }
        [_, _, result] => say(result.to_string()),
        more => panic!("{more:?}"),
    });
    let ended = desk.delegate("have somebody do it").succeed();
    assert!(ended.last().contains("All is well."), "{ended}");
}

#[test]
fn a_thread_asks_its_parent_and_goes_on_with_the_answer() {
    let Some(desk) = Desk::registered() else { return };
    desk.model.play("ask before you paint", |seen| match seen.outputs() {
        [] => call("delegate.question.enqueue", json!({ "prompt": "Which colour?" })),
        [asked] => call(
            "delegate.question.poll",
            json!({ "question_id": asked["question_id"], "wait_ms": 30_000 }),
        ),
        [_, answer] => say(format!("Painted it {}.", answer["answer"].as_str().unwrap_or("?"))),
        more => panic!("{more:?}"),
    });
    desk.model.play("have it painted", |seen| match seen.outputs() {
        [] => {
            call("delegate.spawn", json!({ "prompt": "ask before you paint", "worktree": false }))
        }
        [run] => crate::workflow::wait(run),
        [_, waited] => {
            let asked = waited["events"][0]["question_id"].clone();
            call("delegate.question.answer", json!({ "question_id": asked, "answer": "green" }))
        }
        [run, _, _] => crate::workflow::wait(run),
        [run, _, _, waited] => match crate::workflow::tells(waited, "ended") {
            true => crate::workflow::of(run, "delegate.result"),
            false => crate::workflow::wait(run),
        },
        [.., last] if last.get("summary").is_some() => say(last.to_string()),
        [run, ..] => crate::workflow::of(run, "delegate.result"),
    });
    let ended = desk.delegate("have it painted").succeed();
    assert!(ended.last().contains("Painted it green."), "{ended}");
}

#[test]
fn what_it_may_not_do_by_itself_waits_for_a_person() {
    let Some(desk) = Desk::registered() else { return };
    let outside = desk.home().join("outside");
    let command = format!("touch {}", outside.display());
    desk.model.play("reach out", move |seen| match seen.outputs().len() {
        0 => function(
            "",
            "exec_command",
            &json!({
                "cmd": command,
                "sandbox_permissions": "require_escalated",
                "justification": "it is outside",
            }),
        ),
        _ => say("Done."),
    });
    let run = desk.orch(&["delegate", "--here", "--detach", "reach out"]);
    let id = run["run_id"].as_str().expect("an id");
    wait_for("an approval", || desk.orch(&["status", id])["waiting"]["for"] == "approval");
    let inbox = desk.orch(&["inbox"]);
    assert!(inbox.to_string().contains("it is outside"), "{inbox}");
}
