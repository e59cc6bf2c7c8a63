//! Runs that are a Codex thread, driven by the real client.

use serde_json::{Value, json};

use crate::{
    desk::Desk,
    model::{Reply, Request, call, function, hold, refuse, say},
    patience::{until, wait_for},
};

/// What a command line of ours says, with the prompt last.
pub(crate) fn delegate(desk: &Desk, words: &[&str], prompt: &str) -> Value {
    desk.orch(&[&["delegate", "--here"], words, &[prompt]].concat())
}

pub(crate) fn manifest(desk: &Desk, run: &Value) -> Value {
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
    let shown = desk.run("codex-orch", &["logs", "--task", "main"]);
    assert_eq!(String::from_utf8_lossy(&shown.stdout), log);
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
        [.., last] if last.get("summary").is_some() => say(last.to_string()),
        [run, .., waited] if crate::workflow::tells(waited, "ended") => {
            crate::workflow::of(run, "delegate.result")
        }
        [run, _, _] => crate::workflow::wait(run),
        [run, .., waited] => crate::questions::wait_on(run, waited),
    });
    let ended = desk.delegate("have it painted").succeed();
    assert!(ended.last().contains("Painted it green."), "{ended}");
}

/// Runs a command of the thread's own, as its sandbox lets it.
pub(crate) fn runs(command: &str) -> Reply {
    function("", "exec_command", &json!({ "cmd": command }))
}

/// A word of a person, at a terminal.
pub(crate) fn types(desk: &Desk, line: &str) {
    let typed = desk.run("script", &["-qec", &format!("codex-orch {line}"), "/dev/null"]);
    assert!(typed.status.success(), "{line}: {typed:?}");
}

pub(crate) fn status(desk: &Desk, id: &str) -> Value {
    desk.orch(&["status", id])
}

pub(crate) fn await_end(desk: &Desk, id: &str) -> Value {
    until(
        "its end",
        || status(desk, id).to_string(),
        || {
            let now = status(desk, id);
            let over =
                ["succeeded", "failed", "cancelled"].map(Value::from).contains(&now["status"]);
            over.then_some(now)
        },
    )
}

pub(crate) fn id_of(run: &Value) -> String {
    run["run_id"].as_str().expect("an id").to_owned()
}

pub(crate) fn in_background(desk: &Desk, words: &[&str], prompt: &str) -> String {
    id_of(&desk.orch(&[&["delegate", "--detach"], words, &[prompt]].concat()))
}

/// A script that touches a file that its sandbox keeps from it, and says what it is told then.
pub(crate) fn reaches(
    outside: &std::path::Path,
) -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
    let command = format!("touch {}", outside.display());
    move |seen| match seen.outputs() {
        [] => function(
            "",
            "exec_command",
            &json!({
                "cmd": command,
                "sandbox_permissions": "require_escalated",
                "justification": "it is outside",
            }),
        ),
        _ => say("That was it."),
    }
}

#[test]
fn what_it_may_not_do_by_itself_waits_for_a_person() {
    for (word, made) in [("approve", true), ("deny", false)] {
        let Some(desk) = Desk::registered() else { return };
        let outside = desk.shelf().join("outside");
        desk.model.play("reach out", reaches(&outside));
        let id = in_background(&desk, &["--here"], "reach out");
        wait_for("an approval", || status(&desk, &id)["waiting"]["for"] == "approval");
        let inbox = desk.orch(&["inbox"]);
        let asked = &inbox["questions"][0];
        let prompt = asked["prompt"].as_str().expect("a prompt");
        assert!(prompt.ends_with("(it is outside) It stays within its caps"), "{inbox}");
        assert!(!outside.exists());
        types(&desk, &format!("{word} {}", asked["question_id"].as_str().expect("an id")));
        assert_eq!(await_end(&desk, &id)["status"], "succeeded");
        assert_eq!(outside.exists(), made, "{word}");
        assert_eq!(desk.orch(&["inbox"])["questions"], json!([]));
    }
}

#[test]
fn what_it_changes_lies_on_a_branch_of_its_own_until_somebody_takes_it() {
    let Some(desk) = Desk::registered() else { return };
    desk.model.play("write it down", |seen| match seen.outputs() {
        [] => runs("echo new > made && git status --short && pwd"),
        _ => say("It is written down."),
    });
    let run = desk.orch(&["delegate", "write it down"]);
    assert_eq!(run["status"], "succeeded", "{run}");
    let id = id_of(&run);
    let manifest = manifest(&desk, &run);
    let tree = &manifest["worktree"];
    let folder = std::path::PathBuf::from(tree["path"].as_str().expect("a folder"));
    assert_eq!(std::fs::read_to_string(folder.join("made")).expect("a file"), "new\n");
    assert_eq!(desk.text("made"), "", "the checkout is left alone");
    let branch = tree["branch"].as_str().expect("a branch");
    assert!(branch.starts_with("codex-orch/main/"), "{branch}");
    let log = desk.run("git", &["log", "--format=%s%n%b", "-1", branch]);
    let log = String::from_utf8_lossy(&log.stdout).into_owned();
    assert!(log.contains("write it down") && log.contains(&id), "{log}");
    assert_eq!(manifest["codex"]["commit"].as_str().map(str::len), Some(40), "{manifest}");

    let diff = desk.orch(&["diff", &id]);
    assert_eq!(diff["files"][0]["path"], "made", "{diff}");
    assert!(diff["patch"].as_str().expect("a patch").contains("+new"), "{diff}");
    assert_eq!(desk.orch(&["apply", &id])["files"], json!(["made"]));
    assert_eq!(desk.text("made"), "new\n");
    assert_eq!(desk.orch(&["apply", "--undo", &id])["files"], json!(["made"]));
    assert_eq!(desk.text("made"), "");
    let open = desk.orch(&["open", &id]);
    let thread = manifest["codex"]["thread_id"].as_str().expect("a thread");
    assert!(open["command"].as_str().expect("a command").contains(thread), "{open}");
    assert_eq!(desk.orch(&["discard", &id])["outcome"], "would_discard");
    assert!(folder.exists());
    assert_eq!(desk.orch(&["discard", "--yes", &id])["outcome"], "discarded");
    assert!(!folder.exists());
    assert_eq!(desk.orch(&["discard", "--undo", &id])["outcome"], "restored");
    assert_eq!(std::fs::read_to_string(folder.join("made")).expect("a file"), "new\n");
}

#[test]
fn work_that_cannot_be_committed_is_told_and_is_there_all_the_same() {
    let Some(desk) = Desk::registered() else { return };
    desk.model.play("write it down", |seen| match seen.outputs() {
        [] => runs("echo new > made; until [ -e go ]; do sleep 0.05; done; rm go"),
        _ => say("It is written down."),
    });
    let id = in_background(&desk, &[], "write it down");
    let tree = || status(&desk, &id)["worktree"].clone();
    let made = || tree()["path"].as_str().map(|path| std::path::Path::new(path).join("made"));
    wait_for("its file", || made().is_some_and(|made| made.exists()));
    // Somebody's git has died at this branch, and has left its lock.
    let branch = tree()["branch"].as_str().expect("a branch").to_owned();
    let lock = desk.repo().join(".git/refs/heads").join(format!("{branch}.lock"));
    std::fs::write(&lock, "").expect("a lock");
    let made = made().expect("a file");
    std::fs::write(made.with_file_name("go"), "").expect("a file");
    let ended = await_end(&desk, &id);
    assert_eq!(ended["status"], "succeeded", "{ended}");
    let detail = ended["status_detail"].as_str().unwrap_or_default();
    assert!(detail.contains("not committed") && detail.contains(".lock"), "{ended}");
    assert!(detail.contains("codex-orch apply"), "{ended}");
    assert!(ended["summary"].to_string().contains("not committed"), "{ended}");
    let record = desk.text(ended["events_path"].as_str().expect("a path"));
    assert!(record.contains(r#""event":"work_not_committed""#), "{record}");
    std::fs::remove_file(lock).expect("a lock");
    assert_eq!(desk.orch(&["diff", &id])["files"][0]["path"], "made");
    assert_eq!(desk.orch(&["apply", &id])["files"], json!(["made"]));
    assert_eq!(desk.text("made"), "new\n");
}

#[test]
fn what_does_not_hold_goes_back_to_it_until_it_does() {
    let Some(desk) = Desk::registered() else { return };
    desk.model.play("make it right", |seen| match seen.outputs() {
        [] => runs("echo wrong > answer"),
        _ => say("It is right."),
    });
    desk.model.play("Your work was checked", |seen| match seen.outputs() {
        [] => {
            let told = seen.prompt();
            assert!(told.contains("exit code 1") && told.contains("it says wrong"), "{told}");
            runs("echo right > answer")
        }
        _ => say("Now it is right."),
    });
    let verify = "grep -q right answer || { echo it says $(cat answer); exit 1; }";
    let run = desk.orch(&["delegate", "--verify", verify, "make it right"]);
    assert_eq!(run["status"], "succeeded", "{run}");
    let manifest = manifest(&desk, &run);
    assert_eq!(manifest["commands"][0]["attempts"], 2, "{manifest}");
    assert_eq!(manifest["codex"]["verify"], "passed", "{manifest}");
    assert_eq!(manifest["codex"]["last_message"], "Now it is right.", "{manifest}");
    assert_eq!(manifest["usage"]["turns"], 2, "{manifest}");
}

#[test]
fn what_never_holds_fails_and_says_what_still_does_not() {
    let Some(desk) = Desk::registered() else { return };
    for cue in ["make it right", "Your work was checked"] {
        desk.model.play(cue, |_| say("It is right."));
    }
    let words = ["delegate", "--max-attempts", "2", "--verify", "echo no; exit 7", "make it right"];
    let run = desk.orch(&words);
    assert_eq!(run["status"], "failed", "{run}");
    let manifest = manifest(&desk, &run);
    let stage = &manifest["commands"][0];
    assert_eq!((&stage["attempts"], &stage["error"]), (&json!(2), &json!("verify: exit code 7")));
}

#[test]
fn a_thread_hears_more_in_the_middle_of_its_turn() {
    let Some(desk) = Desk::registered() else { return };
    let go = desk.repo().join("go");
    desk.model.play("begin", |seen| match seen.outputs() {
        [] => runs("touch begun; until [ -e go ]; do sleep 0.05; done"),
        _ => say("There is nothing more to hear."),
    });
    desk.model.play("and in blue", |_| say("Then in blue."));
    let id = in_background(&desk, &["--here"], "begin");
    wait_for("its command", || desk.repo().join("begun").exists());
    assert_eq!(desk.orch(&["message", &id, "and", "in", "blue"])["status"], "in_progress");
    std::fs::write(go, "").expect("a file");
    await_end(&desk, &id);
    let run = desk.orch(&["status", &id]);
    assert!(run.to_string().contains("Then in blue."), "{run}");
}

#[test]
fn a_budget_that_is_used_up_pauses_the_run_and_resuming_grants_it_again() {
    let Some(desk) = Desk::registered() else { return };
    desk.model.play("count up", |seen| match seen.outputs() {
        [] | [_] | [_, _] => runs("true"),
        // Its next words are those that are one too many.
        _ => hold(),
    });
    desk.model.play("You were cut off", |_| say("Counted to the end."));
    let words = ["--here", "--config", "limits.tokens=6"];
    let id = in_background(&desk, &words, "count up");
    wait_for("the budget", || status(&desk, &id)["waiting"]["for"] == "budget");
    let sent = desk.model.requests("").len();
    assert_eq!(status(&desk, &id)["status"], "paused");
    assert_eq!(desk.model.requests("").len(), sent, "nothing more is sent");
    desk.orch(&["resume", &id]);
    assert_eq!(await_end(&desk, &id)["status"], "succeeded");
}

#[test]
fn a_thread_that_says_its_last_word_with_the_last_of_its_budget_is_done() {
    let Some(desk) = Desk::registered() else { return };
    desk.model.play("count up", |seen| match seen.outputs() {
        [] | [_] => runs("true"),
        _ => say("Counted to the end."),
    });
    let words = ["--config", "limits.tokens=6"];
    // Whether Codex hears of its end before it has ended by itself is chance.
    for _ in 0..3 {
        let ended = delegate(&desk, &words, "count up");
        assert_eq!(ended["status"], "succeeded", "{ended}");
        let stage = &manifest(&desk, &ended)["commands"][0];
        assert_eq!(stage["summary"], "Counted to the end.", "{ended}");
    }
}

#[test]
fn a_child_that_uses_up_what_it_shares_stops_its_parent_in_the_middle_of_a_command() {
    let Some(desk) = Desk::registered() else { return };
    desk.model.play("have it counted", |seen| match seen.outputs() {
        [] => call("delegate.spawn", json!({ "prompt": "count on", "worktree": false })),
        [_] => runs("touch begun; until [ -e go ]; do sleep 0.05; done"),
        more => say(format!("{more:?}")),
    });
    let counting = desk.repo().join("begun");
    desk.model.play("count on", move |_| {
        runs(&format!("until [ -e {} ]; do sleep 0.05; done", counting.display()))
    });
    let words = ["--here", "--config", "limits.tokens=16", "--config", "delegate.child_mode=full"];
    let id = in_background(&desk, &words, "have it counted");
    wait_for("its command", || desk.repo().join("begun").exists());
    wait_for("the budget", || status(&desk, &id)["waiting"]["for"] == "budget");
    let paused = status(&desk, &id);
    assert_eq!(paused["status"], "paused", "{paused}");
    assert_eq!(desk.model.requests("have it counted").len(), 2, "nothing more is sent");
    assert!(!desk.repo().join("go").exists(), "its command did not end by itself");
}

#[test]
fn the_last_turn_of_a_budget_comes_to_its_end() {
    let Some(desk) = Desk::registered() else { return };
    for cue in ["make it right", "Your work was checked"] {
        desk.model.play(cue, |_| say("It is right."));
    }
    let words = ["--here", "--config", "limits.turns=1", "--verify", "false"];
    let words = [&words[..], &["--max-attempts", "5"]].concat();
    let id = in_background(&desk, &words, "make it right");
    wait_for("the budget", || status(&desk, &id)["waiting"]["for"] == "budget");
    let paused = status(&desk, &id);
    assert_eq!(paused["usage"]["turns"], 1, "{paused}");
    assert_eq!(desk.model.requests("make it right").len(), 1);
    assert!(desk.model.requests("Your work").is_empty(), "no other turn begins");
    desk.orch(&["resume", &id]);
    desk.model.first("Your work was checked");
    wait_for("the budget", || status(&desk, &id)["waiting"]["for"] == "budget");
    assert_eq!(status(&desk, &id)["usage"]["turns"], 2);
}

#[test]
fn a_usage_limit_holds_the_run_until_it_is_lifted() {
    let Some(desk) = Desk::registered() else { return };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let lifted = now.expect("a clock").as_secs() + 8;
    let at: &'static str = lifted.to_string().leak();
    let headers: &'static [_] = vec![
        ("x-codex-primary-used-percent", "100"),
        ("x-codex-primary-window-minutes", "300"),
        ("x-codex-primary-reset-at", at),
    ]
    .leak();
    let limited = move |_: &Request| {
        let error = json!({ "type": "usage_limit_reached", "message": "x", "resets_at": lifted });
        refuse("429 Too Many Requests", headers, error)
    };
    desk.model.play("use it up", limited);
    desk.model.play("You were cut off", |_| say("Done after all."));
    let id = in_background(&desk, &["--here"], "use it up");
    wait_for("the limit", || status(&desk, &id)["waiting"]["for"] == "usage_limit");
    // Another one is not asked for it, and waits as well.
    desk.model.play("me too", |_| say("Me too."));
    let other = in_background(&desk, &["--here"], "me too");
    wait_for("the limit", || status(&desk, &other)["waiting"]["for"] == "usage_limit");
    assert!(desk.model.requests("me too").is_empty(), "one has found out for all");
    assert_eq!(await_end(&desk, &id)["status"], "succeeded");
    assert_eq!(await_end(&desk, &other)["status"], "succeeded");
}

#[test]
fn a_run_whose_runner_is_killed_goes_on_with_the_same_thread() {
    let Some(desk) = Desk::registered() else { return };
    desk.model.play("work for long", |_| hold());
    desk.model.play("You were cut off", |seen| {
        let known = format!("{seen:?}");
        assert!(!known.is_empty());
        say("Done in the end.")
    });
    let id = in_background(&desk, &["--here"], "work for long");
    desk.model.first("work for long");
    let before = until("its thread", String::new, || {
        let text = desk.text(status(&desk, &id)["manifest"].as_str()?);
        let manifest: Value = serde_json::from_str(&text).ok()?;
        manifest["codex"]["thread_id"].is_string().then(|| manifest["codex"]["thread_id"].clone())
    });
    let pid = status(&desk, &id)["runner_pid"].as_i64();
    let pid = pid.or_else(|| status(&desk, &id)["host"]["pid"].as_i64()).expect("a runner");
    assert!(desk.run("kill", &["-9", &pid.to_string()]).status.success());
    wait_for("the loss", || status(&desk, &id)["status"] == "interrupted");
    desk.orch(&["resume", "--detach", &id]);
    let ended = await_end(&desk, &id);
    assert_eq!(ended["status"], "succeeded", "{ended}");
    // A view may be a moment behind what is true.
    let text = || desk.text(ended["manifest"].as_str().expect("a path"));
    let manifest = until("its manifest", text, || {
        let manifest: Value = serde_json::from_str(&text()).expect("it");
        (manifest["status"] == "succeeded").then_some(manifest)
    });
    assert_eq!(manifest["codex"]["thread_id"], before, "{manifest}");
    assert_eq!(manifest["codex"]["last_message"], "Done in the end.", "{manifest}");
}

#[test]
fn a_pause_waits_for_the_end_of_the_turn() {
    let Some(desk) = Desk::registered() else { return };
    desk.model.play("take your time", |seen| match seen.outputs() {
        [] => runs("touch begun; until [ -e go ]; do sleep 0.05; done"),
        _ => say("I took it."),
    });
    let verify = ["--here", "--verify", "touch verified"];
    let id = in_background(&desk, &verify, "take your time");
    wait_for("its command", || desk.repo().join("begun").exists());
    assert_eq!(desk.orch(&["pause", &id])["outcome"], "begun");
    assert_eq!(status(&desk, &id)["status"], "in_progress");
    std::fs::write(desk.repo().join("go"), "").expect("a file");
    wait_for("the pause", || status(&desk, &id)["status"] == "paused");
    assert!(!desk.repo().join("verified").exists(), "nothing more is begun");
    desk.orch(&["resume", &id]);
    assert_eq!(await_end(&desk, &id)["status"], "succeeded");
    assert_eq!(desk.model.requests("take your time").len(), 2, "the turn is not repeated");
}

#[test]
fn a_message_to_a_run_that_is_over_goes_on_with_its_thread_in_its_work_tree() {
    let Some(desk) = Desk::registered() else { return };
    desk.model.play("write a poem", |seen| match seen.outputs() {
        [] => runs("echo roses > poem"),
        _ => say("It is written."),
    });
    desk.model.play("one more line", |seen| match seen.outputs() {
        [] => runs("cat poem; echo violets >> poem"),
        [read] => {
            assert!(read.to_string().contains("roses"), "{read}");
            say("There are two now.")
        }
        more => panic!("{more:?}"),
    });
    let first = desk.orch(&["delegate", "write a poem"]);
    let before = manifest(&desk, &first);
    let next = desk.orch(&["message", &id_of(&first), "one", "more", "line"]);
    assert_eq!(next["after"], first["run_id"], "{next}");
    let id = id_of(&next);
    assert_ne!(id, id_of(&first));
    assert_eq!(await_end(&desk, &id)["status"], "succeeded");
    let after = status(&desk, &id);
    assert_eq!(after["codex"]["thread_id"], before["codex"]["thread_id"], "{after}");
    assert_eq!(after["worktree"], before["worktree"], "{after}");
    assert_eq!(after["codex"]["last_message"], "There are two now.", "{after}");
    let diff = desk.orch(&["diff", &id]);
    assert!(diff["patch"].as_str().expect("a patch").contains("+violets"), "{diff}");
    // What is said to the first is said to the last of them.
    desk.model.play("and a title", |_| say("It has one."));
    let last = desk.orch(&["message", &id_of(&first), "and", "a", "title"]);
    assert_eq!(last["after"], id, "{last}");
    assert_eq!(await_end(&desk, &id_of(&last))["status"], "succeeded");
}

#[test]
fn each_run_has_a_home_of_its_own_and_leaves_the_users_alone() {
    let Some(desk) = Desk::registered() else { return };
    desk.model.play("look around", |_| say("Seen."));
    let before = desk.configured();
    let run = desk.orch(&["delegate", "--here", "look around"]);
    assert_eq!(run["status"], "succeeded", "{run}");
    assert_eq!(desk.configured(), before);
    assert!(!desk.codex_home().join("sessions").exists(), "its thread is not among the user's");
    let open = desk.orch(&["open", &id_of(&run)]);
    assert!(open["command"].as_str().expect("a command").contains("/homes/"), "{open}");
}

#[test]
fn what_a_thread_lacks_is_said_with_the_remedy() {
    let Some(desk) = Desk::registered() else { return };
    let error = |words: &[&str]| {
        let run = desk.orch(&[&["delegate", "--here"], words, &["do it"]].concat());
        assert_eq!(run["status"], "failed", "{run}");
        manifest(&desk, &run)["commands"][0]["error"].as_str().expect("why").to_owned()
    };
    let missing = error(&["--config", "codex.program=/nowhere/codex"]);
    assert!(missing.contains("npm install --global @openai/codex"), "{missing}");
    let shown = desk.run("codex-orch", &["status"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("failed") && !shown.contains("deleted"), "{shown}");
    // With the usual provider, for which nobody is logged in.
    std::fs::write(desk.codex_home().join("config.toml"), "").expect("a config");
    let nobody = error(&[]);
    assert!(nobody.contains("log in with `codex login`"), "{nobody}");
}

#[test]
fn what_the_model_does_not_take_ends_in_a_failure_with_a_next_step() {
    let Some(desk) = Desk::registered() else { return };
    desk.model.play("refuse me", |_| {
        let error = json!({ "type": "invalid_request_error", "message": "no such thing" });
        refuse("400 Bad Request", &[], error)
    });
    let run = desk.orch(&["delegate", "--here", "refuse me"]);
    assert_eq!(run["status"], "failed", "{run}");
    let error = manifest(&desk, &run)["commands"][0]["error"].as_str().expect("why").to_owned();
    assert!(error.contains("no such thing") && error.contains("bad_request"), "{error}");
    // It is tried again by the same thread.
    desk.model.play("You were cut off", |_| say("Now it went well."));
    let id = id_of(&run);
    desk.orch(&["resume", "--detach", &id]);
    assert_eq!(await_end(&desk, &id)["status"], "succeeded");
}

const CAPS: &str = r#"
[caps.network]
mode = "none"

[caps.fs]
write = ["@worktree", "@tmp"]
protect = ["@git", ".codex"]
tmp = "private"
"#;

#[test]
fn caps_hold_a_thread_and_its_model_and_its_parent_are_reached_all_the_same() {
    let Some(desk) = Desk::registered() else { return };
    desk.pipelines(CAPS);
    let outside = desk.home().join("outside");
    let canary = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    canary.set_nonblocking(true).expect("a listener");
    let port = canary.local_addr().expect("an address").port();
    let command = format!(
        "touch inside; touch .codex/x; touch {}; curl -sS -m 5 http://127.0.0.1:{port}/; echo over",
        outside.display()
    );
    desk.model.play("try it all", move |seen| match seen.outputs() {
        [] => runs(&command),
        [said] => {
            assert!(said.to_string().contains("over"), "{said}");
            call("delegate.question.enqueue", json!({ "prompt": "Well?", "auto_pause": false }))
        }
        more => say(format!("I tried: {more:?}")),
    });
    let words = ["--here", "--sandbox", "danger-full-access"];
    for words in [&words[..], &words[..1]] {
        let id = in_background(&desk, words, "try it all");
        let ended = await_end(&desk, &id);
        assert_eq!(ended["status"], "succeeded", "{ended}");
        assert!(desk.repo().join("inside").exists(), "{words:?}");
        assert!(!outside.exists() && desk.text(".codex/x").is_empty());
        assert!(!desk.repo().join(".codex/x").exists(), "{words:?}");
        assert!(canary.accept().is_err(), "nobody came");
        assert_eq!(ended["questions"]["total"], 1, "{ended}");
        assert_eq!(ended["caps"]["enforced"]["codex"]["walls"], "ns", "{ended}");
        std::fs::remove_file(desk.repo().join("inside")).expect("a file");
    }
}

#[test]
fn what_nothing_else_has_is_not_pruned() {
    let Some(desk) = Desk::registered() else { return };
    desk.model.play("write it down", |seen| match seen.outputs() {
        [] => runs("echo new > made"),
        _ => say("It is written down."),
    });
    let run = desk.orch(&["delegate", "write it down"]);
    let id = id_of(&run);
    let folder = status(&desk, &id)["worktree"]["path"].as_str().expect("a folder").to_owned();
    let prune = |words: &[&str]| desk.orch(&[&["prune", "--older-than", "0s"], words].concat());
    let held = prune(&["--yes"]);
    assert_eq!(held["runs"], json!([]), "{held}");
    assert_eq!(held["held"][0]["run_id"], id, "{held}");
    assert!(std::path::Path::new(&folder).exists());
    // Once its branch is merged, everything is somewhere else as well.
    let branch = status(&desk, &id)["worktree"]["branch"].as_str().expect("a branch").to_owned();
    assert!(desk.run("git", &["merge", "--quiet", &branch]).status.success());
    assert_eq!(prune(&[])["runs"][0]["run_id"], id);
    assert!(std::path::Path::new(&folder).exists(), "nothing was said but what would be");
    assert_eq!(prune(&["--yes"])["removed"], true);
    assert!(!std::path::Path::new(&folder).exists());
    let branches = desk.run("git", &["branch", "--list", "codex-orch/*"]);
    assert_eq!(String::from_utf8_lossy(&branches.stdout), "");
    assert_eq!(desk.orch(&["list"])["runs"], json!([]));
}
