//! Runs whose thread does what no thread should: it is silent, says what nobody understands, does
//! not end, or ends too soon. The real client does not do that when it is told to, so that a
//! program stands in its place for a while.

use serde_json::{Value, json};

use crate::{
    desk::Desk,
    model::{call, hold, say},
    patience::wait_for,
    processes::at_home,
    threads::{await_end, id_of, in_background, runs, status, types},
};

/// Puts a program in the client's place that does that instead of an app-server, as long as there is
/// a file named `odd`. Gives the words that have it used.
fn instead(desk: &Desk, odd: &str) -> Vec<String> {
    let (mark, client) = (desk.elsewhere().join("odd"), desk.elsewhere().join("bin/codex"));
    let text = format!(
        "#!/bin/sh\nif [ \"$*\" = app-server ] && [ -e '{}' ]; then\n{odd}\nfi\nexec '{}' \"$@\"\n",
        mark.display(),
        client.display()
    );
    desk.write_program("odd-codex", &text);
    std::fs::write(&mark, "").expect("a file");
    let program = desk.elsewhere().join("bin/odd-codex");
    vec!["--config".to_owned(), format!("codex.program={}", program.display())]
}

fn over_with_oddities(desk: &Desk) {
    std::fs::remove_file(desk.elsewhere().join("odd")).expect("a file");
}

fn start(desk: &Desk, words: &[String], prompt: &str) -> String {
    let words: Vec<&str> = ["--here"].into_iter().chain(words.iter().map(String::as_str)).collect();
    in_background(desk, &words, prompt)
}

fn with_idle(mut words: Vec<String>, idle: &str) -> Vec<String> {
    words.extend(["--config".to_owned(), format!("codex.idle={idle}")]);
    words
}

fn error_of(run: &Value) -> String {
    run["commands"][0]["error"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn what_fails_before_its_first_turn_is_told_its_prompt_when_it_is_resumed() {
    let Some(desk) = Desk::registered() else { return };
    desk.model.play("look into it", |_| say("All is well."));
    let refuses =
        r#"read -r line; echo '{"id":1,"error":{"code":-1,"message":"not today"}}'; exit"#;
    let id = start(&desk, &instead(&desk, refuses), "look into it");
    let failed = await_end(&desk, &id);
    assert!(error_of(&failed).contains("not today"), "{failed}");
    over_with_oddities(&desk);
    desk.orch(&["resume", "--detach", &id]);
    let ended = await_end(&desk, &id);
    assert_eq!(ended["status"], "succeeded", "{ended}");
    assert_eq!(ended["codex"]["last_message"], "All is well.");
}

#[test]
fn who_says_nothing_or_nothing_that_is_understood_is_ended_and_why_is_said() {
    let oddities = [
        "exec sleep 1000",
        "while :; do echo 'this is no message'; sleep 0.05; done",
        "exec 0<&-; trap '' TERM; while :; do sleep 0.1; done",
    ];
    for odd in oddities {
        let Some(desk) = Desk::registered() else { return };
        let id = start(&desk, &with_idle(instead(&desk, odd), "1s"), "look into it");
        let failed = await_end(&desk, &id);
        assert!(error_of(&failed).contains("nothing came"), "{odd}: {failed}");
    }
}

#[test]
fn a_silent_thread_is_ended_however_much_others_of_its_run_say() {
    let pipelines = r#"
[codex]
idle = "2s"

[pipelines.two]
stages = [
  { id = "quiet", kind = "codex", prompt = "be quiet", needs = [] },
  { id = "loud", kind = "codex", prompt = "be loud", needs = [] },
]
"#;
    let Some(desk) = Desk::delegating(pipelines) else { return };
    desk.model.play("be quiet", |_| hold());
    let quiet = desk.repo().join("quiet-is-over");
    desk.model.play("be loud", move |seen| match quiet.exists() {
        false => runs(&format!("sleep 0.3; echo {}", seen.outputs().len())),
        true => say("Enough."),
    });
    let id = id_of(&desk.orch(&["start", "two", "--detach"]));
    let of = |run: &Value, id: &str| {
        let stages = run["commands"].as_array().expect("stages").clone();
        stages.into_iter().find(|stage| stage["id"] == id).expect("it")
    };
    wait_for("the end of the silence", || of(&status(&desk, &id), "quiet")["status"] == "failed");
    std::fs::write(desk.repo().join("quiet-is-over"), "").expect("a file");
    let ended = await_end(&desk, &id);
    assert!(of(&ended, "quiet")["error"].to_string().contains("nothing came"), "{ended}");
    assert_eq!(of(&ended, "loud")["status"], "succeeded", "{ended}");
}

#[test]
fn a_line_without_end_is_the_end_of_the_talk_and_not_of_the_runner() {
    let Some(desk) = Desk::registered() else { return };
    let odd = "head -c 100000000 /dev/zero | tr '\\0' a; echo; exec sleep 1000";
    let id = start(&desk, &instead(&desk, odd), "look into it");
    let failed = await_end(&desk, &id);
    assert!(error_of(&failed).contains("too long"), "{failed}");
}

#[test]
fn time_at_work_is_counted_while_a_turn_goes_on() {
    let Some(desk) = Desk::registered() else { return };
    desk.model.play("take your time", |_| hold());
    desk.model.play("You were cut off", |_| say("Done in the end."));
    let words = ["--config", "limits.work_time=2s"].map(str::to_owned);
    let id = start(&desk, &words, "take your time");
    wait_for("the budget", || status(&desk, &id)["waiting"]["for"] == "budget");
    let paused = status(&desk, &id);
    assert!(paused["status_detail"].to_string().contains("of 2s are used"), "{paused}");
    let worked = paused["usage"]["work_ms"].as_u64().expect("a time");
    assert!((2000..20_000).contains(&worked), "{paused}");
    desk.orch(&["resume", &id]);
    assert_eq!(await_end(&desk, &id)["status"], "succeeded");
}

/// What it takes to run the real client, and to stay when that has ended.
fn lingering(desk: &Desk) -> String {
    let client = desk.elsewhere().join("bin/codex");
    format!("'{}' app-server; exec sleep 1000", client.display())
}

fn in_tree(desk: &Desk, words: &[String], prompt: &str) -> String {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    in_background(desk, &words, prompt)
}

fn happened(desk: &Desk, id: &str, event: &str) -> bool {
    let path = status(desk, id)["events_path"].as_str().expect("a path").to_owned();
    desk.text(&path).lines().any(|line| {
        let line: Value = serde_json::from_str(line).expect("an event");
        line["event"] == event
    })
}

fn kill_runner(desk: &Desk, id: &str) {
    let pid = status(desk, id)["host"]["pid"].as_i64().expect("a runner");
    assert!(desk.run("kill", &["-9", &pid.to_string()]).status.success());
    wait_for("the loss", || status(desk, id)["status"] == "interrupted");
}

#[test]
fn what_a_turn_changed_is_committed_also_when_the_runner_dies_before() {
    let Some(desk) = Desk::registered() else { return };
    desk.model.play("write it down", |seen| match seen.outputs() {
        [] => runs("echo new > made"),
        _ => say("It is written down."),
    });
    let id = in_tree(&desk, &instead(&desk, &lingering(&desk)), "write it down");
    wait_for("the end of the turn", || happened(&desk, &id, "turn_ended"));
    kill_runner(&desk, &id);
    over_with_oddities(&desk);
    assert_eq!(desk.orch(&["resume", &id])["status"], "succeeded");
    let diff = desk.orch(&["diff", &id]);
    assert_eq!(diff["files"][0]["path"], "made", "{diff}");
    let commit = status(&desk, &id)["codex"]["commit"].clone();
    let shown = desk.run("git", &["show", &format!("{}:made", commit.as_str().expect("a commit"))]);
    assert_eq!(String::from_utf8_lossy(&shown.stdout), "new\n");
    assert_eq!(desk.model.requests("write it down").len(), 2, "the turn is not repeated");
}

#[test]
fn a_run_whose_work_tree_was_discarded_is_not_resumed_without_it() {
    let Some(desk) = Desk::registered() else { return };
    desk.model.play("work for long", |_| hold());
    desk.model.play("You were cut off", |_| say("Done in the end."));
    let id = in_tree(&desk, &[], "work for long");
    desk.model.first("work for long");
    kill_runner(&desk, &id);
    assert_eq!(desk.orch(&["discard", "--yes", &id])["outcome"], "discarded");
    let refused = desk.orch(&["resume", &id]);
    let error = &refused["error"];
    assert!(error["message"].to_string().contains("work tree"), "{refused}");
    assert!(refused.to_string().contains("discard --undo"), "{refused}");
    assert_eq!(status(&desk, &id)["status"], "interrupted");
    assert_eq!(desk.orch(&["discard", "--undo", &id])["outcome"], "restored");
    assert_eq!(desk.orch(&["resume", &id])["status"], "succeeded");
}

/// Puts a git before the real one that waits before it does that, as long as a file is there.
fn slow_git(desk: &Desk, word: &str) -> std::path::PathBuf {
    let folder = desk.elsewhere();
    let (slow, waits) = (folder.join("slow"), folder.join("waits"));
    let text = format!(
        "#!/bin/sh\ncase \" $* \" in *' {word} '*) while [ -e '{}' ]; do touch '{}'; sleep 0.02; done;; esac\n\
         PATH=${{PATH#*bin:}} exec git \"$@\"\n",
        slow.display(),
        waits.display()
    );
    std::fs::write(&slow, "").expect("a file");
    desk.write_program("git", &text);
    slow
}

#[test]
fn a_run_that_is_cancelled_while_its_work_tree_is_made_ends_and_can_be_resumed() {
    let Some(desk) = Desk::registered() else { return };
    desk.model.play("write it down", |_| say("It is written down."));
    let slow = slow_git(&desk, "worktree");
    let id = in_tree(&desk, &[], "write it down");
    wait_for("git", || desk.elsewhere().join("waits").exists());
    assert_eq!(desk.orch(&["cancel", &id])["status"], "cancelled");
    std::fs::remove_file(slow).expect("a file");
    let resumed = desk.orch(&["resume", &id]);
    assert_eq!(resumed["status"], "succeeded", "{resumed}");
    assert!(status(&desk, &id)["worktree"]["path"].is_string());
}

#[test]
fn a_run_that_is_cancelled_while_its_work_is_committed_has_it_committed() {
    let Some(desk) = Desk::registered() else { return };
    desk.model.play("write it down", |seen| match seen.outputs() {
        [] => runs("echo new > made"),
        _ => say("It is written down."),
    });
    let slow = slow_git(&desk, "commit-tree");
    let id = in_tree(&desk, &[], "write it down");
    wait_for("git", || desk.elsewhere().join("waits").exists());
    let cancel = desk.command("codex-orch", &["cancel", &id]).spawn().expect("it starts");
    wait_for("the cancel", || happened(&desk, &id, "cancel_requested"));
    std::fs::remove_file(slow).expect("a file");
    assert!(cancel.wait_with_output().expect("it ends").status.success());
    let ended = await_end(&desk, &id);
    assert_eq!(ended["status"], "cancelled", "{ended}");
    assert_eq!(ended["codex"]["commit"].as_str().map(str::len), Some(40), "{ended}");
}

#[test]
fn threads_of_one_run_work_side_by_side_and_one_after_them_is_told_what_they_said() {
    let pipelines = r#"
[pipelines.three]
stages = [
  { id = "a", kind = "codex", prompt = "write a", needs = [] },
  { id = "b", kind = "codex", prompt = "write b", needs = [] },
  { id = "all", kind = "codex", prompt = "gather: {{stages.a.summary}} {{stages.b.summary}}", needs = ["a", "b"] },
]
"#;
    let Some(desk) = Desk::delegating(pipelines) else { return };
    for name in ["a", "b"] {
        desk.model.play(&format!("write {name}"), move |seen| match seen.outputs() {
            [] => runs(&format!(
                "echo {name} > {name}; while [ ! -e a ] || [ ! -e b ]; do sleep 0.01; done"
            )),
            _ => say(format!("{name} is there.")),
        });
    }
    desk.model.play("gather: a is there. b is there.", |_| say("Both."));
    let run = desk.orch(&["start", "three"]);
    assert_eq!(run["status"], "succeeded", "{run}");
}

#[test]
fn a_command_that_verifies_and_does_not_end_is_stopped_with_its_run_or_when_its_time_is_up() {
    let Some(desk) = Desk::registered() else { return };
    desk.model.play("make it right", |_| say("It is right."));
    let verify = ["--verify", "touch verifies; exec sleep 1000"].map(str::to_owned);
    let verifies = desk.repo().join("verifies");
    let id = start(&desk, &verify, "make it right");
    wait_for("the command", || verifies.exists());
    kill_runner(&desk, &id);
    std::fs::remove_file(&verifies).expect("a file");
    desk.orch(&["resume", "--detach", &id]);
    wait_for("the command", || verifies.exists());
    assert_eq!(desk.orch(&["pause", &id])["status"], "paused");
    assert_eq!(desk.orch(&["cancel", &id])["status"], "cancelled");
    assert_eq!(desk.model.requests("make it right").len(), 1, "the turn is not repeated");
    let pipeline = r#"
[pipelines.right]
stages = [{ id = "fix", kind = "codex", prompt = "make it right", verify = "sleep 1000", timeout = "5s" }]
"#;
    desk.pipelines(pipeline);
    let run = desk.orch(&["start", "right"]);
    assert_eq!(run["status"], "failed", "{run}");
    let failed = status(&desk, &id_of(&run));
    assert!(error_of(&failed).contains("5s"), "{failed}");
}

#[test]
fn two_messages_to_a_run_that_is_over_are_both_heard_by_one_that_goes_on_after_it() {
    let Some(desk) = Desk::registered() else { return };
    desk.model.play("write a poem", |_| say("It is written."));
    desk.model.play("in blue", |_| say("Done."));
    desk.model.play("in green", |_| say("Done."));
    let run = desk.orch(&["delegate", "write a poem"]);
    let id = id_of(&run);
    let both = ["in blue", "in green"].map(|text| {
        let mut command = desk.command("codex-orch", &["message", &id, text, "--json"]);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        command.spawn().expect("it starts")
    });
    for told in both {
        let told = told.wait_with_output().expect("it ends");
        assert!(told.status.success(), "{told:?}");
        let told: Value = serde_json::from_slice(&told.stdout).expect("a document");
        await_end(&desk, &id_of(&told));
    }
    for text in ["in blue", "in green"] {
        let heard = desk.model.requests("").iter().any(|seen| format!("{seen:?}").contains(text));
        assert!(heard, "{text}");
    }
}

/// An app-server that takes one turn and says that, line by line, from its beginning on.
fn one_turn(lines: &[Value]) -> String {
    let says = |line: &Value| format!("echo '{line}'\n");
    let opening = [
        json!({ "id": 1, "result": {} }),
        json!({ "id": 2, "result": { "thread": { "id": "th" }, "model": "m" } }),
        json!({ "id": 3, "result": {} }),
    ];
    let [hello, thread, turn] = opening.map(|line| says(&line));
    let told: String = lines.iter().map(says).collect();
    format!(
        "read -r l\n{hello}read -r l; read -r l\n{thread}read -r l\n{turn}{told}cat > /dev/null; exit"
    )
}

fn turn(what: &str, id: &str, status: &str) -> Value {
    let turn = json!({ "id": id, "status": status, "items": [] });
    json!({ "method": format!("turn/{what}"), "params": { "threadId": "th", "turn": turn } })
}

#[test]
fn a_turn_that_codex_begins_by_itself_when_all_is_done_is_none_of_the_runs() {
    let Some(desk) = Desk::registered() else { return };
    let lines = [
        turn("started", "t1", "inProgress"),
        turn("completed", "t1", "completed"),
        turn("started", "t2", "inProgress"),
        turn("completed", "t2", "interrupted"),
    ];
    let id = start(&desk, &instead(&desk, &one_turn(&lines)), "look into it");
    let ended = await_end(&desk, &id);
    assert_eq!(ended["status"], "succeeded", "{ended}");
    assert_eq!(ended["usage"]["turns"], 1, "{ended}");
}

/// Ends a runner as the machine does it that goes down.
fn end_runner(desk: &Desk, id: &str) {
    let pid = status(desk, id)["host"]["pid"].as_i64().expect("a runner");
    assert!(desk.run("kill", &["-TERM", &pid.to_string()]).status.success());
    wait_for("its end", || status(desk, id)["status"] == "interrupted");
    wait_for("everybody's end", || at_home(&desk.home()).is_empty());
}

#[test]
fn a_runner_that_is_asked_to_end_leaves_a_run_that_can_be_resumed_whatever_it_was_at() {
    let Some(desk) = Desk::registered() else { return };
    let outside = desk.home().join("outside");
    desk.model.play("work for long", |_| hold());
    desk.model.play("reach out", crate::threads::reaches(&outside));
    desk.model.play("check it", |_| say("It is right."));
    desk.model.play("write it down", |_| say("It is written down."));
    desk.model.play("You were cut off", |_| say("Done in the end."));

    // While its work tree is made.
    let slow = slow_git(&desk, "worktree");
    let making = in_tree(&desk, &[], "write it down");
    wait_for("git", || desk.elsewhere().join("waits").exists());
    let pid = status(&desk, &making)["host"]["pid"].as_i64().expect("a runner");
    assert!(desk.run("kill", &["-TERM", &pid.to_string()]).status.success());
    wait_for("its end", || status(&desk, &making)["status"] == "interrupted");
    std::fs::remove_file(slow).expect("a file");
    wait_for("everybody's end", || at_home(&desk.home()).is_empty());

    // In the middle of a turn, and while it waits for a person.
    let turning = in_tree(&desk, &[], "work for long");
    wait_for("its turn", || happened(&desk, &turning, "turn_started"));
    end_runner(&desk, &turning);
    let asking = in_tree(&desk, &[], "reach out");
    wait_for("an approval", || status(&desk, &asking)["waiting"]["for"] == "approval");
    let asked = desk.orch(&["inbox"])["questions"][0]["question_id"].clone();
    end_runner(&desk, &asking);
    assert_eq!(desk.orch(&["inbox"])["questions"], json!([]), "nobody is asked in vain");
    let late = format!("codex-orch approve {}", asked.as_str().expect("an id"));
    assert!(!desk.run("script", &["-qec", &late, "/dev/null"]).status.success());

    // While it is verified.
    let verify = ["--verify", "touch begun; until [ -e go ]; do sleep 0.02; done"];
    let checking = in_tree(&desk, &verify.map(str::to_owned), "check it");
    let tree =
        || status(&desk, &checking)["worktree"]["path"].as_str().map(std::path::PathBuf::from);
    wait_for("the command", || tree().is_some_and(|tree| tree.join("begun").exists()));
    std::fs::write(tree().expect("a tree").join("go"), "").expect("a file");
    let checking_again =
        in_tree(&desk, &["--verify".to_owned(), "exec sleep 1000".to_owned()], "check it");
    assert_eq!(await_end(&desk, &checking)["status"], "succeeded");
    wait_for("the turn", || happened(&desk, &checking_again, "verify_started"));
    end_runner(&desk, &checking_again);

    desk.orch(&["cancel", &checking_again]);
    desk.orch(&["resume", "--all"]);
    for id in [&making, &turning, &asking] {
        assert_eq!(await_end(&desk, id)["status"], "succeeded");
    }
}

#[test]
fn the_answer_to_a_question_of_a_run_that_was_interrupted_is_in_its_next_words() {
    let Some(desk) = Desk::registered() else { return };
    desk.model.play("ask before you paint", |seen| match seen.outputs() {
        [] => call("delegate.question.enqueue", json!({ "prompt": "Which colour?" })),
        _ => hold(),
    });
    desk.model.play("You were cut off", |seen| match seen.prompt().contains("Answer: green") {
        true => say("Painted it green."),
        false => say("Painted it somehow."),
    });
    let id = in_tree(&desk, &[], "ask before you paint");
    wait_for("a question", || status(&desk, &id)["questions"]["open"] == 1);
    kill_runner(&desk, &id);
    let asked = desk.orch(&["inbox"])["questions"][0]["question_id"].clone();
    desk.orch(&["answer", asked.as_str().expect("an id"), "green"]);
    let ended = await_end(&desk, &id);
    assert_eq!(ended["codex"]["last_message"], "Painted it green.", "{ended}");
}

#[test]
fn an_approval_that_nobody_gives_in_time_is_refused_and_one_for_a_frozen_thread_is_kept_for_it() {
    let Some(desk) = Desk::registered() else { return };
    let outside = desk.shelf().join("outside");
    desk.model.play("reach out", crate::threads::reaches(&outside));
    let words = ["--config", "approvals.expires_in=1s"].map(str::to_owned);
    let id = start(&desk, &words, "reach out");
    assert_eq!(await_end(&desk, &id)["status"], "succeeded");
    assert!(!outside.exists(), "nobody has allowed it");

    let id = start(&desk, &[], "reach out");
    wait_for("an approval", || status(&desk, &id)["waiting"]["for"] == "approval");
    assert_eq!(desk.orch(&["pause", "--freeze", &id])["status"], "paused");
    let asked = desk.orch(&["inbox"])["questions"][0]["question_id"].clone();
    types(&desk, &format!("approve {}", asked.as_str().expect("an id")));
    assert_eq!(status(&desk, &id)["status"], "paused");
    assert!(!outside.exists());
    desk.orch(&["resume", &id]);
    assert_eq!(await_end(&desk, &id)["status"], "succeeded");
    assert!(outside.exists());

    // Frozen, and then cancelled.
    std::fs::remove_file(&outside).expect("a file");
    let id = start(&desk, &[], "reach out");
    wait_for("an approval", || status(&desk, &id)["waiting"]["for"] == "approval");
    assert_eq!(desk.orch(&["pause", "--freeze", &id])["status"], "paused");
    assert_eq!(desk.orch(&["cancel", &id])["status"], "cancelled");
    assert_eq!(desk.orch(&["inbox"])["questions"], json!([]));
    wait_for("everybody's end", || at_home(&desk.home()).is_empty());
    assert!(!outside.exists());
}

#[test]
fn what_runs_share_is_used_up_by_all_of_them_and_granted_for_one() {
    let Some(desk) = Desk::registered() else { return };
    // The child has no less for itself than all have together, and less is left for it.
    desk.model.play("hand it on", |seen| match seen.outputs() {
        [] | [_] | [_, _] | [_, _, _] => runs("true"),
        [_, _, _, _] => call("delegate.spawn", json!({ "prompt": "count up", "worktree": false })),
        [_, _, _, _, run, ..] => crate::workflow::wait(run),
    });
    desk.model.play("count up", |_| runs("true"));
    desk.model.play("You were cut off", |_| say("Counted to the end."));
    let words =
        ["limits.tokens=24", "delegate.child_mode=full"].map(|it| ["--config", it]).concat();
    let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
    let parent = start(&desk, &words, "hand it on");
    wait_for("the child", || !status(&desk, &parent)["child_runs"][0].is_null());
    let child = status(&desk, &parent)["child_runs"][0]["run_id"].as_str().expect("it").to_owned();
    for id in [&child, &parent] {
        wait_for("the budget", || status(&desk, id)["waiting"]["for"] == "budget");
    }
    let spent = |id: &str| {
        let used = &status(&desk, id)["usage"];
        used["input"].as_u64().unwrap_or(0) + used["output"].as_u64().unwrap_or(0)
    };
    assert!((24..=28).contains(&(spent(&parent) + spent(&child))));
    let detail = status(&desk, &child)["status_detail"].to_string();
    assert!(detail.contains("all below it share"), "{detail}");
    desk.orch(&["resume", &child]);
    assert_eq!(await_end(&desk, &child)["status"], "succeeded");
    assert_eq!(status(&desk, &parent)["status"], "paused", "that was granted for one of them");
    desk.orch(&["resume", &parent]);
    assert_eq!(await_end(&desk, &parent)["status"], "succeeded");
}
