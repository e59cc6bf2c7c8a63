//! Many at once, and many in all: children that ask, questions, waits; and no room to write them down.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    inside::Talker,
    mcp::{Server, session, text},
    questions::{ask, entry, look},
    scratch,
};
use crate::{
    mounts,
    scratch::{Scratch, say},
};

/// A stage that asks once, and waits for its answer.
const ASKS: &str = r#"
limits.at_once = 64
[pipelines.asks]
stages = [{ id = "asks", command = "sh ask.sh" }]
"#;

/// A client of a few lines. It says the next thing when it knows enough for it.
const CLIENT: &str = r#"
told=told.$CODEX_ORCHESTRATOR_RUN_ID
: > $told
call() {
  printf '{"jsonrpc":"2.0","id":%s,"method":"tools/call","params":{"name":"%s","arguments":%s}}\n' "$1" "$2" "$3"
}
{
  echo '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"sh","version":"0"}}}'
  call 2 delegate.question.enqueue "{\"prompt\":\"who is $CODEX_ORCHESTRATOR_RUN_ID?\"}"
  until grep -q '"id":2' $told; do sleep 0.05; done
  q=$(sed -n 's/.*"structuredContent":{"question_id":"\(q[0-9a-f]*\)".*/\1/p' $told)
  call 3 delegate.question.poll "{\"question_id\":\"$q\",\"wait_ms\":240000}"
  until grep -q '"id":3' $told; do sleep 0.05; done
} | 'PROGRAM' delegate-server > $told
grep -q "answer of $CODEX_ORCHESTRATOR_RUN_ID" $told
"#;

#[test]
fn sixty_four_children_that_ask_at_once_are_answered_once_each() {
    const CHILDREN: usize = 64;
    let scratch = scratch(ASKS);
    let program = crate::scratch::program().display().to_string();
    fs::write(scratch.at("ask.sh"), CLIENT.replace("PROGRAM", &program)).unwrap();
    let mut parent = Server::of(&scratch, "one");
    let begun = Instant::now();
    let wish = json!({ "pipeline": "asks", "task_id": "demo" });
    let calls: Vec<u64> = (0..CHILDREN).map(|_| parent.begin("spawn", wish.clone())).collect();
    let spawned = calls.into_iter().map(|call| parent.said("spawn", call).unwrap().given());
    let runs: BTreeSet<String> = spawned.map(|spawned| text(&spawned, "run_id")).collect();
    let spawning = begun.elapsed();
    let mut cursor = Value::Null;
    let mut waits = 0;
    let (mut asked, mut ended) = (BTreeMap::new(), BTreeSet::new());
    while ended.len() < CHILDREN {
        let told = parent.call("wait", json!({ "cursor": cursor, "wait_ms": 60_000 })).given();
        cursor = told["cursor"].clone();
        waits += 1;
        for event in told["events"].as_array().unwrap() {
            let run = text(event, "run_id");
            match event["kind"].as_str().unwrap() {
                "question" => {
                    let id = text(event, "question_id");
                    let answer = json!({ "question_id": id, "answer": format!("answer of {run}") });
                    parent.call("question.answer", answer).given();
                    assert_eq!(asked.insert(run, id), None);
                }
                "ended" => {
                    assert_eq!(event["status"], "succeeded", "{event:#}");
                    assert!(ended.insert(run), "{event:#}");
                }
                other => panic!("{other}: {event:#}"),
            }
        }
    }
    assert_eq!(asked.into_keys().collect::<BTreeSet<_>>(), runs);
    let inbox = scratch.json(&["inbox", "--all", "--limit", "1000"]).document;
    assert_eq!(inbox["questions"].as_array().unwrap().len(), CHILDREN);
    let all = begun.elapsed();
    say(&format!("{CHILDREN} spawned in {spawning:?}, all over after {all:?}, with {waits} waits"));
}

/// In CI a few hundred; `E2E_QUESTIONS` says how many otherwise.
#[test]
fn any_number_of_questions_of_a_run_is_answered_once_each() {
    let scratch = scratch("");
    let mut parent = Server::of(&scratch, "one");
    let child = Talker::spawn(&scratch, &mut parent, "a", json!({}));
    let mut inside = child.pipes.connect();
    answer_many(&scratch, &mut inside, &mut parent);
    let status = scratch.json(&["status", &child.run]).document;
    assert_eq!(status["questions"]["open"], 0, "{}", status["questions"]);
}

/// A session has no runner: whoever asks, and whoever answers, decides alone and in turn.
#[test]
fn any_number_of_questions_of_a_session_is_answered_once_each() {
    let scratch = scratch("");
    let (mut one, mut two) = (Server::of(&scratch, "one"), Server::of(&scratch, "two"));
    answer_many(&scratch, &mut one, &mut two);
}

fn answer_many(scratch: &Scratch, asks: &mut Server, answers: &mut Server) {
    /// So many are under way at once.
    const WAVE: usize = 400;
    let number = std::env::var("E2E_QUESTIONS").map_or(WAVE, |text| text.parse().unwrap());
    let mut ids = BTreeSet::new();
    let (mut asking, mut answering) = (Duration::ZERO, Duration::ZERO);
    while ids.len() < number {
        let begun = Instant::now();
        let wave = (number - ids.len()).min(WAVE);
        let wish = json!({ "prompt": "which?", "auto_pause": false });
        let calls: Vec<u64> =
            (0..wave).map(|_| asks.begin("question.enqueue", wish.clone())).collect();
        let asked = calls.into_iter().map(|call| asks.said("question.enqueue", call).unwrap());
        let asked: Vec<String> = asked.map(|said| text(&said.given(), "question_id")).collect();
        asking += begun.elapsed();
        let begun = Instant::now();
        let call = |id: &String| {
            let words = json!({ "question_id": id, "answer": format!("answer to {id}") });
            answers.begin("question.answer", words)
        };
        let calls: Vec<u64> = asked.iter().map(call).collect();
        for call in calls {
            answers.said("question.answer", call).unwrap().given();
        }
        answering += begun.elapsed();
        ids.extend(asked);
    }
    assert_eq!(ids.len(), number, "each has a name of its own");
    say(&format!("{number} questions: asked in {asking:?}, answered in {answering:?}"));
    for id in ids.iter().step_by(number / 100 + 1) {
        assert_eq!(look(asks, id)["answer"], format!("answer to {id}"));
    }
    let inbox = scratch.json(&["inbox", "--all", "--limit", &number.to_string()]).document;
    let rows = inbox["questions"].as_array().unwrap();
    assert_eq!(rows.len(), number);
    for row in rows {
        assert_eq!(row["resolution"]["answer"], format!("answer to {}", text(row, "question_id")));
    }
}

/// A server may be asked for more waits than a user may have listeners: the rest look by themselves.
#[test]
fn waits_without_number_hold_up_nothing() {
    let scratch = scratch("");
    let mut server = Server::of(&scratch, "one");
    let wish = json!({ "pipeline": "slow", "task_id": "demo" });
    let run = text(&server.call("spawn", wish).given(), "run_id");
    let wait = json!({ "manifest_paths": [run], "wait_ms": 240_000 });
    let waits: Vec<u64> = (0..300).map(|_| server.begin("wait", wait.clone())).collect();
    let status = server.call("status", json!({ "manifest_path": run })).given();
    assert_eq!(status["status"], "in_progress");
    fs::write(scratch.at("go"), "").unwrap();
    for wait in waits {
        let told = server.said("wait", wait).unwrap().given();
        assert_eq!(told["events"][0]["kind"], "ended");
    }
    scratch.await_end(&run);
}

/// What cannot be written down was not asked, and what was asked is there when there is room again.
#[test]
fn a_question_that_finds_no_room_is_refused_and_asked_again_when_there_is() {
    if !mounts::of_our_own() {
        return;
    }
    for of_a_run in [true, false] {
        let scratch = scratch("");
        mounts::small_disk(&scratch.state(), "3m");
        let mut parent = Server::of(&scratch, "one");
        let child = Talker::spawn(&scratch, &mut parent, "a", json!({}));
        let mut inside = child.pipes.connect();
        let mut other = Server::start(scratch.command(&["delegate-server"]), session("two"));
        let mut asked = BTreeSet::from([
            ask(&mut inside, "room?", json!({ "key": "first" })),
            ask(&mut other, "room?", json!({ "key": "first" })),
        ]);
        let filler = scratch.state().join("filler");
        mounts::fill(&filler);
        // As long as there is room in the files that are there, questions find it.
        let mut refused = None;
        for each in 0..2000 {
            let asks = if of_a_run { &mut inside } else { &mut other };
            let key = format!("key {each}");
            let wish = json!({ "prompt": "x".repeat(7000), "key": key, "auto_pause": false });
            match asks.try_call("question.enqueue", wish.clone()) {
                Some(said) if !said.failed => drop(asked.insert(text(&said.value, "question_id"))),
                said => {
                    refused = Some((wish, said));
                    break;
                }
            }
        }
        let (wish, said) = refused.expect("the disk is full");
        // A runner that cannot write down what happens leaves its run, and then says nothing.
        if let Some(said) = said {
            assert_eq!(said.code(), "internal", "{said:?}");
            assert!(said.value.to_string().contains("space"), "{said:?}");
        }
        // Looking needs no room.
        for id in &asked {
            assert_eq!(entry(&scratch, id)["status"], "open");
        }
        parent.call("status", json!({ "manifest_path": child.run })).given();
        fs::remove_file(&filler).unwrap();
        if scratch.status(&child.run) == "interrupted" {
            inside.hear_out();
            assert_eq!(scratch.json(&["resume", &child.run, "--detach"]).code, 0);
            inside = child.pipes.connect();
        }
        let asks = if of_a_run { &mut inside } else { &mut other };
        let again = asks.call("question.enqueue", wish).given();
        assert_eq!(again["status"], "queued");
        asked.insert(text(&again, "question_id"));
        for id in &asked {
            assert_eq!(entry(&scratch, id)["status"], "open");
            assert_eq!(scratch.json(&["answer", id, "yes"]).code, 0);
        }
        let first = json!({ "prompt": "room?", "key": "first" });
        let first = inside.call("question.enqueue", first).given();
        assert_eq!(first["status"], "answered");
    }
}
