//! Questions on their way: from a stage or a session, through either door, to whoever answers; and
//! what becomes of them when those in between are frozen, killed or gone.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};

use super::{
    inside::{Pipes, Talker},
    mcp::{Server, text},
    scratch,
};
use crate::scratch::{Scratch, wait_for};

/// Asks, and gives the question's id.
#[track_caller]
pub(super) fn ask(server: &mut Server, prompt: &str, more: Value) -> String {
    let mut wish = json!({ "prompt": prompt });
    wish.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let asked = server.call("question.enqueue", wish).given();
    assert_eq!(asked["status"], "queued", "{asked:#}");
    text(&asked, "question_id")
}

/// What has become of a question, with a wait for that.
#[track_caller]
pub(super) fn poll(server: &mut Server, id: &str) -> Value {
    server.call("question.poll", json!({ "question_id": id, "wait_ms": 60_000 })).given()
}

/// The same without a wait.
#[track_caller]
pub(super) fn look(server: &mut Server, id: &str) -> Value {
    server.call("question.poll", json!({ "question_id": id })).given()
}

/// What the inbox says of a question.
#[track_caller]
pub(super) fn entry(scratch: &Scratch, id: &str) -> Value {
    let inbox = scratch.json(&["inbox", "--all", "--limit", "1000"]).document;
    let entries: Vec<&Value> = inbox["questions"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| it["question_id"] == id)
        .collect();
    assert_eq!(entries.len(), 1, "{id}: {inbox:#}");
    entries[0].clone()
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Door {
    /// The session that started the run, by the server that it has.
    Parent,
    /// Another session's server.
    Other,
    /// A person's command.
    Command,
}

impl Door {
    const ALL: [Self; 3] = [Self::Parent, Self::Other, Self::Command];

    /// Answers through it, and says whether the run was taken up again.
    #[track_caller]
    fn answer(self, scratch: &Scratch, parent: &mut Server, id: &str, answer: &str) -> bool {
        let words = json!({ "question_id": id, "answer": answer });
        let resumed = match self {
            Self::Parent => parent.call("question.answer", words).given()["resumed"].clone(),
            Self::Other => {
                let mut other = Server::of(scratch, "other");
                other.call("question.answer", words).given()["resumed"].clone()
            }
            Self::Command => {
                let done = scratch.json(&["answer", id, answer]);
                assert_eq!(done.code, 0, "{done:?}");
                done.document["resumed"].clone()
            }
        };
        resumed == true
    }

    fn by(self) -> &'static str {
        if self == Self::Command { "person" } else { "session" }
    }
}

#[test]
fn a_stage_is_answered_through_any_door_and_only_once() {
    for door in Door::ALL {
        let scratch = scratch("");
        let mut parent = Server::of(&scratch, "one");
        let child = Talker::spawn(&scratch, &mut parent, "a", json!({}));
        let mut inside = child.pipes.connect();
        let id = ask(&mut inside, "which way?", json!({ "urgency": "high" }));
        let told = parent.call("wait", json!({})).given();
        assert_eq!(told["events"][0]["kind"], "question", "{told:#}");
        assert_eq!(told["events"][0]["question_id"], json!(id));
        assert_eq!(told["events"][0]["prompt"], "which way?");
        let waiting =
            inside.begin("question.poll", json!({ "question_id": id, "wait_ms": 60_000 }));
        assert!(!door.answer(&scratch, &mut parent, &id, "left"));
        let answered = inside.said("question.poll", waiting).unwrap().given();
        assert_eq!(
            (&answered["status"], &answered["answer"]),
            (&json!("answered"), &json!("left"))
        );
        assert_eq!(answered["answered_by"], door.by(), "{answered:#}");
        // The first answer stays, whoever comes next.
        let late = parent.call("question.answer", json!({ "question_id": id, "answer": "right" }));
        assert_eq!(late.code(), "conflict");
        assert_eq!(scratch.json(&["answer", &id, "right"]).code, 4);
        assert_eq!(scratch.json(&["dismiss", &id]).code, 4);
        assert_eq!(look(&mut inside, &id), answered);
        assert_eq!(entry(&scratch, &id)["resolution"]["answer"], "left");
        inside.hang_up();
        assert_eq!(scratch.await_end(&child.run).code, 0);
        let events = scratch.events(&child.run);
        let count = |name: &str| events.iter().filter(|event| event["event"] == name).count();
        assert_eq!((count("question_queued"), count("question_answered")), (1, 1), "{events:#?}");
        // Also when the run is over.
        assert_eq!(look(&mut parent, &id), answered);
    }
}

#[test]
fn a_session_is_answered_by_another_one_and_by_a_person_and_not_by_itself() {
    for door in [Door::Other, Door::Command] {
        let scratch = scratch("");
        let mut asks = Server::of(&scratch, "one");
        let id = ask(&mut asks, "go on?", json!({ "options": ["yes", "no"] }));
        let words = json!({ "question_id": id, "answer": "yes" });
        assert_eq!(asks.call("question.answer", words.clone()).code(), "refused");
        // Nor through another server of the same session, or from another thread of it.
        assert_eq!(
            Server::of(&scratch, "one").call("question.answer", words.clone()).code(),
            "refused"
        );
        let mut thread = super::mcp::session("one");
        thread["threadId"] = json!("below");
        let mut thread = Server::start(scratch.command(&["delegate-server"]), thread);
        assert_eq!(thread.call("question.answer", words).code(), "refused");
        assert_eq!(look(&mut asks, &id)["status"], "queued");
        let mut parent = Server::of(&scratch, "three");
        assert!(!door.answer(&scratch, &mut parent, &id, "yes"));
        assert_eq!(poll(&mut asks, &id)["answer"], "yes");
        // A server that comes later says the same.
        assert_eq!(poll(&mut Server::of(&scratch, "one"), &id)["answer"], "yes");
    }
}

#[test]
fn a_run_that_was_frozen_or_killed_has_its_answer_when_it_goes_on() {
    for door in Door::ALL {
        let scratch = scratch("");
        let mut parent = Server::of(&scratch, "one");
        let child = Talker::spawn(&scratch, &mut parent, "a", json!({}));
        let mut inside = child.pipes.connect();
        let (first, second) = (
            ask(&mut inside, "first?", json!({ "key": "first" })),
            ask(&mut inside, "second?", json!({ "key": "second" })),
        );
        assert_eq!(scratch.json(&["pause", &child.run]).code, 0);
        assert!(!door.answer(&scratch, &mut parent, &first, "frozen"));
        assert_eq!(scratch.status(&child.run), "paused", "an answer thaws nobody");
        assert_eq!(scratch.json(&["resume", &child.run]).code, 0);
        assert_eq!(poll(&mut inside, &first)["answer"], "frozen");
        scratch.kill_runner(&child.run);
        inside.hear_out();
        assert!(door.answer(&scratch, &mut parent, &second, "killed"), "{door:?}");
        // Its stage runs anew, and asks what it asked before.
        let mut again = child.pipes.connect();
        for (id, key, answer) in [(first, "first", "frozen"), (second, "second", "killed")] {
            let asked = json!({ "prompt": "once more?", "key": key });
            let asked = again.call("question.enqueue", asked).given();
            assert_eq!((&asked["status"], &asked["question_id"]), (&json!("answered"), &json!(id)));
            assert_eq!(look(&mut again, &id)["answer"], answer);
        }
        again.hang_up();
        assert_eq!(scratch.await_end(&child.run).code, 0);
    }
}

#[test]
fn a_run_that_is_over_has_no_open_questions() {
    let scratch = scratch("");
    let mut parent = Server::of(&scratch, "one");
    let child = Talker::spawn(&scratch, &mut parent, "a", json!({}));
    let mut inside = child.pipes.connect();
    let id = ask(&mut inside, "too late?", json!({ "auto_pause": false }));
    inside.hang_up();
    assert_eq!(scratch.await_end(&child.run).code, 0);
    assert_eq!(entry(&scratch, &id)["status"], "closed");
    assert_eq!(poll(&mut parent, &id)["status"], "closed");
    let words = json!({ "question_id": id, "answer": "yes" });
    assert_eq!(parent.call("question.answer", words).code(), "conflict");
    assert_eq!(scratch.json(&["answer", &id, "yes"]).code, 4);
}

#[test]
fn an_open_question_holds_the_next_stage_and_the_clock_of_this_one() {
    let scratch = scratch("");
    let mut parent = Server::of(&scratch, "one");
    let child = Talker::spawn(&scratch, &mut parent, "a", json!({ "pipeline": "timed" }));
    let begun = SystemTime::now();
    let mut inside = child.pipes.connect();
    let id = ask(&mut inside, "how long?", json!({}));
    wait_for("more time than the stage has", || begun.elapsed().unwrap() > Duration::from_secs(5));
    assert_eq!(scratch.status(&child.run), "in_progress");
    inside.hang_up();
    wait_for("the stage's end", || scratch.status(&child.run) == "paused");
    let status = scratch.json(&["status", &child.run]).document;
    assert_eq!(status["waiting"]["for"], "answer", "{status:#}");
    assert_eq!(status["waiting"]["id"], json!(id));
    assert!(!scratch.at("after.a").exists());
    assert_eq!(scratch.json(&["answer", &id, "not long"]).code, 0);
    assert_eq!(scratch.await_end(&child.run).code, 0);
    assert!(scratch.at("after.a").exists());
}

#[test]
fn a_question_that_is_dismissed_holds_nobody_any_longer() {
    let scratch = scratch("");
    let mut parent = Server::of(&scratch, "one");
    let child = Talker::spawn(&scratch, &mut parent, "a", json!({}));
    let mut inside = child.pipes.connect();
    let id = ask(&mut inside, "really?", json!({}));
    let done = scratch.json(&["dismiss", &id, "--reason", "ask me tomorrow"]);
    assert_eq!((done.code, done.text("status").as_str()), (0, "dismissed"));
    let told = poll(&mut inside, &id);
    assert_eq!(
        (&told["status"], &told["reason"]),
        (&json!("dismissed"), &json!("ask me tomorrow"))
    );
    inside.hang_up();
    assert_eq!(scratch.await_end(&child.run).code, 0);
}

#[test]
fn of_many_who_answer_at_once_one_is_heard() {
    let scratch = scratch("");
    let mut parent = Server::of(&scratch, "one");
    let child = Talker::spawn(&scratch, &mut parent, "a", json!({}));
    let mut inside = child.pipes.connect();
    let mut servers: Vec<Server> =
        (0..4).map(|each| Server::of(&scratch, &format!("session {each}"))).collect();
    for round in 0..5 {
        let id = ask(&mut inside, "who is first?", json!({ "auto_pause": round % 2 == 0 }));
        let polls: Vec<u64> = (0..3)
            .map(|_| inside.begin("question.poll", json!({ "question_id": id, "wait_ms": 60_000 })))
            .collect();
        let commands: Vec<_> = (0..4)
            .map(|each| scratch.spawn(&["answer", &id, &format!("command {each}"), "--json"]))
            .collect();
        let calls: Vec<u64> = servers
            .iter_mut()
            .enumerate()
            .map(|(each, server)| {
                let answer = json!({ "question_id": id, "answer": format!("session {each}") });
                server.begin("question.answer", answer)
            })
            .collect();
        let mut heard = Vec::new();
        for (each, (server, call)) in servers.iter_mut().zip(calls).enumerate() {
            let said = server.said("question.answer", call).unwrap();
            match said.failed {
                false => heard.push(format!("session {each}")),
                true => assert_eq!(said.code(), "conflict", "{said:?}"),
            }
        }
        for (each, command) in commands.into_iter().enumerate() {
            let done = command.done();
            match done.code {
                0 => heard.push(format!("command {each}")),
                _ => assert_eq!(done.code, 4, "{done:?}"),
            }
        }
        assert_eq!(heard.len(), 1, "{heard:?}");
        for call in polls {
            let told = inside.said("question.poll", call).unwrap().given();
            assert_eq!(told["answer"], json!(heard[0]));
        }
        assert_eq!(look(&mut parent, &id)["answer"], json!(heard[0]));
        assert_eq!(entry(&scratch, &id)["resolution"]["answer"], json!(heard[0]));
    }
}

/// Waits until the time of day is later than when the question closes by itself.
fn let_it_expire(scratch: &Scratch, expires_at: &str) {
    // Times are written so that they sort.
    let clock = scratch.folder().join("clock");
    wait_for("its time", || {
        fs::write(&clock, "").unwrap();
        let now = fs::metadata(&clock).unwrap().modified().unwrap();
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        since.as_millis() > millis(expires_at)
    });
}

/// A time as people write it, as milliseconds of UNIX time.
fn millis(time: &str) -> u128 {
    let number = |range: std::ops::Range<usize>| time[range].parse::<i64>().expect("a number");
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    // Days from the civil calendar.
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days =
        365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    let seconds = ((days * 24 + number(11..13)) * 60 + number(14..16)) * 60 + number(17..19);
    u128::try_from(seconds * 1000 + number(20..23)).expect("after 1970")
}

const FALLBACKS: [&str; 3] = ["pause", "resume", "fail"];

#[test]
fn a_runner_acts_on_a_question_that_nobody_answers_in_time() {
    for fallback in FALLBACKS {
        let scratch = scratch("");
        let mut parent = Server::of(&scratch, "one");
        let child = Talker::spawn(&scratch, &mut parent, "a", json!({}));
        let mut inside = child.pipes.connect();
        let id =
            ask(&mut inside, "soon?", json!({ "expires_in_ms": 300, "expiry_fallback": fallback }));
        // Through a pipe that is frozen, or ended, with its stage, nothing is heard.
        let told = poll(&mut parent, &id);
        assert_eq!(
            (&told["status"], &told["fallback_action"]),
            (&json!("expired"), &json!(fallback))
        );
        let words = json!({ "question_id": id, "answer": "too late" });
        assert_eq!(parent.call("question.answer", words).code(), "conflict");
        match fallback {
            "pause" => {
                wait_for("it is frozen", || scratch.status(&child.run) == "paused");
                assert_eq!(scratch.json(&["resume", &child.run]).code, 0);
                inside.hang_up();
                assert_eq!(scratch.await_end(&child.run).code, 0);
            }
            "resume" => {
                assert_eq!(look(&mut inside, &id), told);
                inside.hang_up();
                assert_eq!(scratch.await_end(&child.run).code, 0);
            }
            _ => {
                assert_eq!(scratch.await_end(&child.run).code, 1);
                let detail = scratch.json(&["status", &child.run]).text("status_detail");
                assert!(detail.contains("was not answered in time"), "{detail}");
            }
        }
        let entry = entry(&scratch, &id);
        assert!(entry["resolved_at"].as_str() >= entry["expires_at"].as_str(), "{entry:#}");
        assert_eq!(look(&mut parent, &id), told);
    }
}

#[test]
fn where_nobody_is_to_be_asked_nothing_waits_for_a_person() {
    for (fallback, code, status) in
        [("pause", 7, "interrupted"), ("resume", 0, "succeeded"), ("fail", 1, "failed")]
    {
        let scratch = scratch("");
        let pipes = Pipes::of(&scratch, "a");
        let words =
            ["start", "talks", "--goal", "a", "--task", "demo", "--no-input", "--format", "json"];
        let running = scratch.spawn(&words);
        let mut inside = pipes.connect();
        let asked = json!({ "prompt": "anybody?", "expiry_fallback": fallback });
        // With the answer to this, or with its stage, the one inside is gone.
        inside.begin("question.enqueue", asked);
        if fallback == "resume" {
            wait_for("that it has asked", || {
                let inbox = scratch.json(&["inbox", "--all"]).document;
                inbox["questions"][0]["status"] == "expired"
            });
            inside.hang_up();
        }
        let done = running.done().answer();
        assert_eq!((done.code, done.text("status").as_str()), (code, status), "{done:?}");
        let inbox = scratch.json(&["inbox", "--all"]).document;
        assert_eq!(inbox["questions"][0]["resolution"]["fallback_action"], fallback, "{inbox:#}");
    }
}

/// Whoever holds a poll or a wait open when the runner is dead sees to it.
#[test]
fn an_open_poll_acts_on_a_question_of_a_run_whose_runner_was_killed() {
    for (fallback, tool) in
        FALLBACKS.into_iter().flat_map(|it| [(it, "question.poll"), (it, "wait")])
    {
        let scratch = scratch("");
        let mut parent = Server::of(&scratch, "one");
        let child = Talker::spawn(&scratch, &mut parent, "a", json!({}));
        let mut inside = child.pipes.connect();
        let id = ask(
            &mut inside,
            "soon?",
            json!({ "expires_in_ms": 1200, "expiry_fallback": fallback }),
        );
        let open = match tool {
            "wait" => json!({ "question_ids": [id], "wait_ms": 60_000 }),
            _ => json!({ "question_id": id, "wait_ms": 60_000 }),
        };
        let open = parent.begin(tool, open);
        scratch.kill_runner(&child.run);
        let told = parent.said(tool, open).unwrap().given();
        let told = if tool == "wait" { look(&mut parent, &id) } else { told };
        assert_eq!(
            (&told["status"], &told["fallback_action"]),
            (&json!("expired"), &json!(fallback))
        );
        let expected = if fallback == "fail" { "failed" } else { "interrupted" };
        assert_eq!(scratch.status(&child.run), expected);
    }
}

#[test]
fn a_question_that_expired_unseen_is_acted_on_at_the_next_look() {
    for fallback in FALLBACKS {
        for first in ["inbox", "status", "poll"] {
            let scratch = scratch("");
            let mut parent = Server::of(&scratch, "one");
            let child = Talker::spawn(&scratch, &mut parent, "a", json!({}));
            let mut inside = child.pipes.connect();
            let asked =
                json!({ "prompt": "soon?", "expires_in_ms": 400, "expiry_fallback": fallback });
            let asked = inside.call("question.enqueue", asked).given();
            let id = text(&asked, "question_id");
            // Before its time: then its runner would have acted.
            crate::kills::kill_now(scratch.runner(&child.run));
            let_it_expire(&scratch, &text(&asked, "expires_at"));
            let expected = if fallback == "fail" { "failed" } else { "interrupted" };
            match first {
                "inbox" => drop(scratch.json(&["inbox"])),
                "status" => assert_eq!(scratch.status(&child.run), expected, "{fallback}"),
                _ => assert_eq!(look(&mut parent, &id)["status"], "expired", "{fallback}"),
            }
            let entry = entry(&scratch, &id);
            assert_eq!(entry["status"], "expired", "{fallback} {first}");
            assert_eq!(scratch.status(&child.run), expected, "{fallback} {first}");
        }
    }
}

#[test]
fn the_same_key_is_the_same_question_for_one_run_and_another_for_the_next() {
    let scratch = scratch("");
    let mut parent = Server::of(&scratch, "one");
    let mut ids = Vec::new();
    for name in ["a", "b"] {
        let child = Talker::spawn(&scratch, &mut parent, name, json!({}));
        let mut inside = child.pipes.connect();
        let wish = json!({ "prompt": "once?", "key": "the key" });
        let calls: Vec<u64> =
            (0..8).map(|_| inside.begin("question.enqueue", wish.clone())).collect();
        let asked: Vec<Value> = calls
            .into_iter()
            .map(|call| inside.said("question.enqueue", call).unwrap().given())
            .collect();
        assert!(asked.iter().all(|it| it["question_id"] == asked[0]["question_id"]), "{asked:#?}");
        ids.push(text(&asked[0], "question_id"));
    }
    let wish = json!({ "prompt": "once?", "key": "the key" });
    for _ in 0..2 {
        let asked = parent.call("question.enqueue", wish.clone()).given();
        ids.push(text(&asked, "question_id"));
    }
    assert_ne!(ids[0], ids[1]);
    assert_ne!(ids[0], ids[2]);
    assert_eq!(ids[2], ids[3]);
    let inbox = scratch.json(&["inbox", "--all"]).document;
    assert_eq!(inbox["questions"].as_array().unwrap().len(), 3, "{inbox:#}");
}
