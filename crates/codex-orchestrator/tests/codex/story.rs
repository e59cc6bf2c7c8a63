//! A day and a night of delegated work, from the first prompt to the last diff: what one session
//! hands out, what becomes of each piece, and what is there in the morning.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::{
    desk::Desk,
    model::{Request, call, calls, hold, refuse, say},
    patience::{until, wait_for},
    processes::{Seen, at_home, clear},
    threads::{await_end, in_background, reaches, runs, status, types},
    workflow::{tells, wait},
};

/// The session that hands the work out, answers what it is asked, and leaves.
fn organise(desk: &Desk) -> Vec<String> {
    desk.model.play("organise it", |seen| {
        let spawn = |prompt: &str| ("delegate.spawn", json!({ "prompt": prompt }));
        match seen.outputs() {
            [] => calls(&[
                spawn("ask before you paint"),
                spawn("reach out"),
                spawn("work for long"),
                ("delegate.spawn", json!({ "prompt": "count up", "limits": { "tokens": 8 } })),
            ]),
            [painter, _, _, _] => wait(painter),
            [ids @ .., waited] if tells(waited, "ended") => {
                let ids = ids.iter().take(4).map(|run| run["run_id"].clone());
                say(Value::from_iter(ids).to_string())
            }
            [.., waited] if tells(waited, "question") => {
                let asked = waited["events"][0]["question_id"].clone();
                call("delegate.question.answer", json!({ "question_id": asked, "answer": "green" }))
            }
            [painter, ..] => wait(painter),
        }
    });
    desk.model.play("ask before you paint", |seen| match seen.outputs() {
        [] => call("delegate.question.enqueue", json!({ "prompt": "Which colour?" })),
        [asked] => call(
            "delegate.question.poll",
            json!({ "question_id": asked["question_id"], "wait_ms": 30_000 }),
        ),
        [_, answer] => runs(&format!("echo {} > fence", answer["answer"].as_str().unwrap_or("?"))),
        _ => say("The fence is painted."),
    });
    desk.model.play("reach out", reaches(&desk.shelf().join("outside")));
    for cue in ["work for long", "sleep on it"] {
        desk.model.play(cue, |_| hold());
    }
    desk.model.play("count up", |_| runs("true"));
    desk.model.play("You were cut off", |seen| match seen.outputs() {
        [] => runs("echo done > done"),
        _ => say("Done in the end."),
    });
    let ended = desk.delegate("organise it").succeed();
    let ids: Vec<String> = serde_json::from_str(&ended.last()).expect("four runs");
    assert_eq!(ids.len(), 4, "{ended}");
    ids
}

fn waits_for(desk: &Desk, id: &str, what: &str) {
    until(
        what,
        || status(desk, id).to_string(),
        || (status(desk, id)["waiting"]["for"] == what).then_some(()),
    );
}

fn await_success(desk: &Desk, id: &str) -> Value {
    let ended = await_end(desk, id);
    assert_eq!(ended["status"], "succeeded", "{ended}");
    ended
}

/// What a run has committed.
fn changed(desk: &Desk, id: &str) -> String {
    desk.orch(&["diff", id])["patch"].as_str().unwrap_or_default().to_owned()
}

/// The account has used up what it may, for so many seconds.
fn use_up(desk: &Desk, seconds: u64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let lifted = now.expect("a clock").as_secs() + seconds;
    let at: &'static str = lifted.to_string().leak();
    let headers: &'static [_] = vec![
        ("x-codex-primary-used-percent", "100"),
        ("x-codex-primary-window-minutes", "300"),
        ("x-codex-primary-reset-at", at),
    ]
    .leak();
    desk.model.play("use it up", move |_: &Request| {
        let error = json!({ "type": "usage_limit_reached", "message": "x", "resets_at": lifted });
        refuse("429 Too Many Requests", headers, error)
    });
    in_background(desk, &[], "use it up")
}

/// A thread gets it wrong, and right once it hears what its check has said.
pub(crate) fn gets_it_right_at_last(desk: &Desk) {
    desk.model.play("make it right", |seen| match seen.outputs() {
        [] => runs("echo wrong > answer"),
        _ => say("It is right."),
    });
    desk.model.play("Your work was checked", |seen| match seen.outputs() {
        [] => runs("echo right > answer"),
        _ => say("Now it is right."),
    });
}

fn verified(desk: &Desk) -> String {
    gets_it_right_at_last(desk);
    in_background(desk, &["--verify", "grep -q right answer"], "make it right")
}

fn journals(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            journals(&path, found);
        } else if path.file_name().is_some_and(|name| name == "journal.db") {
            found.push(path);
        }
    }
}

/// The machine goes down, and comes up again as far as anybody can see.
fn restart(desk: &Desk) {
    // One that ends has no environment any more, and still its locks.
    let mut known: Vec<Seen> = Vec::new();
    wait_for("everybody's end", || {
        known.extend(at_home(&desk.home()).into_iter().filter_map(Seen::at));
        clear(&desk.home());
        at_home(&desk.home()).is_empty() && !known.iter().any(Seen::lives)
    });
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("a boot");
    let mut found = Vec::new();
    journals(&desk.home(), &mut found);
    assert!(!found.is_empty(), "there is a journal");
    for journal in found {
        let journal = rusqlite::Connection::open(journal).expect("a journal");
        let other = "00000000-0000-4000-8000-000000000000";
        let sql = "UPDATE events SET body = replace(body, ?1, ?2)";
        journal.execute(sql, (boot.trim(), other)).expect("it is changed");
    }
}

#[test]
fn a_day_and_a_night_of_delegated_work() {
    let Some(desk) = Desk::registered() else { return };
    let ids = organise(&desk);
    let [painter, reacher, long, counter] = &ids[..] else { panic!("{ids:?}") };

    // One asked, and was answered by the session that has handed it out.
    assert!(changed(&desk, painter).contains("+green"));

    // One needs a person.
    waits_for(&desk, reacher, "approval");
    let inbox = desk.orch(&["inbox"]);
    let asked = inbox["questions"][0]["question_id"].as_str().expect("an id").to_owned();
    types(&desk, &format!("approve {asked}"));
    await_success(&desk, reacher);
    assert!(desk.home().join("shelf/outside").exists());

    // One has used up what it may.
    waits_for(&desk, counter, "budget");

    // One is killed, and goes on with the same thread.
    desk.model.first("work for long");
    let before = status(&desk, long);
    let pid = before["host"]["pid"].to_string();
    assert!(desk.run("kill", &["-9", &pid]).status.success());
    wait_for("the loss", || status(&desk, long)["status"] == "interrupted");
    desk.orch(&["resume", "--detach", long]);
    let after = await_success(&desk, long);
    assert_eq!(after["codex"]["thread_id"], before["codex"]["thread_id"], "{after}");
    assert_eq!(desk.model.requests("work for long").len(), 1);
    assert!(changed(&desk, long).contains("+done"));

    // One gets it right when it was told what is wrong.
    let right = verified(&desk);
    let done = await_success(&desk, &right);
    assert_eq!(done["commands"][0]["attempts"], 2, "{done}");

    // One meets the limit of the account, and goes on by itself.
    let limited = use_up(&desk, 6);
    waits_for(&desk, &limited, "usage_limit");
    await_success(&desk, &limited);

    // The machine goes down while one is at work and one waits for more.
    let sleeper = in_background(&desk, &[], "sleep on it");
    desk.model.first("sleep on it");
    wait_for("its turn", || !status(&desk, &sleeper)["codex"]["thread_id"].is_null());
    restart(&desk);
    let down = status(&desk, &sleeper);
    assert_eq!(down["status"], "interrupted", "{down}");
    assert_eq!(down["status_detail"], "the machine was restarted", "{down}");

    // In the morning.
    desk.orch(&["resume", "--all"]);
    for id in [&sleeper, counter] {
        let ended = await_success(&desk, id);
        assert_eq!(ended["codex"]["last_message"], "Done in the end.", "{ended}");
    }
    assert_eq!(desk.orch(&["inbox"])["questions"], json!([]));

    // What came of it is looked at, taken, and gone on with.
    assert!(changed(&desk, &right).contains("+right"));
    assert_eq!(desk.orch(&["apply", &right])["files"], json!(["answer"]));
    assert_eq!(desk.text("answer"), "right\n");
    desk.model.play("with a full stop", |seen| match seen.outputs() {
        [] => runs("sed -i s/green/green./ fence"),
        _ => say("It has one."),
    });
    let next = desk.orch(&["message", painter, "with a full stop"]);
    assert_eq!(next["after"], **painter, "{next}");
    let next = next["run_id"].as_str().expect("an id").to_owned();
    await_success(&desk, &next);
    assert!(changed(&desk, &next).contains("+green."));
    wait_for("everybody's end", || at_home(&desk.home()).is_empty());
}
