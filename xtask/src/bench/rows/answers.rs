//! From an answer that is given to the poll that brings it, between two sessions.

use std::sync::mpsc::channel;
use std::thread;
use std::time::Instant;

use serde_json::{Value, json};

use crate::bench::contender::word;
use crate::bench::figure::{Figure, Goal, Line, Unit};
use crate::bench::mcp::Session;
use crate::bench::rows::{Ready, once, part};
use crate::bench::scratch::{Scratch, pipeline};
use crate::bench::{Bench, Contender};

/// What the other tool takes was measured apart from this: its poll looks every half second, and its
/// questions need a token that has to be put in place by hand.
const OTHER: &str = "its questions need a token that no client passes; its poll looks every 500 ms";

pub(in crate::bench) fn measure(bench: &Bench) -> Vec<Line> {
    let pipelines = [pipeline("three", &["true", "true", "true"])];
    let ours = Ready::new(&bench.ours, |name| Scratch::new(bench, name, &pipelines));
    let times = bench.size(300, 10);
    let took = once(&ours, |tool, scratch| asked_and_answered(tool, scratch, times));
    let line = |what: &str, of: fn(Vec<f64>) -> Figure, most| Line {
        what: format!("answer given to poll returning, {what}"),
        shell: None,
        other: Figure::missing(OTHER),
        ours: part(&took, |took| of(took.clone())),
        goal: Goal::AtMost(most, Unit::Milliseconds),
    };
    vec![
        line("median", |took| Figure::median(Ok(took), Unit::Milliseconds), 10.0),
        line("p99", |took| Figure::p99(Ok(took), Unit::Milliseconds), 100.0),
    ]
}

fn asked_and_answered(
    tool: &Contender,
    scratch: &Scratch,
    times: usize,
) -> Result<Vec<f64>, String> {
    let mut asker = Session::open(tool, scratch)?;
    let mut parent = Session::open(tool, scratch)?;
    let (questions, to_answer) = channel::<String>();
    let (answered_at, answers) = channel::<Instant>();
    let answering = thread::spawn(move || {
        for question in to_answer {
            let begun = Instant::now();
            let arguments = json!({ "question_id": question, "answer": "yes" });
            call(&mut parent, "delegate.question.answer", arguments)?;
            if answered_at.send(begun).is_err() {
                break;
            }
        }
        Ok::<_, String>(())
    });
    let mut took = Vec::with_capacity(times);
    for _ in 0..times {
        let asked = call(&mut asker, "delegate.question.enqueue", json!({ "prompt": "go on?" }))?;
        let question = word(&asked, "question_id")?.to_owned();
        questions.send(question.clone()).map_err(|_| "nobody answers".to_owned())?;
        let poll = json!({ "question_id": question, "wait_ms": 20_000 });
        let polled = call(&mut asker, "delegate.question.poll", poll)?;
        let ended = Instant::now();
        match word(&polled, "status")? {
            "answered" => {}
            other => return Err(format!("the question is {other}")),
        }
        let begun = answers.recv().map_err(|_| "the answer was refused".to_owned())?;
        took.push(ended.duration_since(begun).as_secs_f64() * 1000.0);
    }
    drop(questions);
    answering.join().map_err(|_| "the parent died".to_owned())??;
    Ok(took)
}

fn call(session: &mut Session, tool: &str, arguments: Value) -> Result<Value, String> {
    let mut said = session.ask("tools/call", json!({ "name": tool, "arguments": arguments }))?;
    match said["isError"] == Value::Bool(true) {
        true => Err(format!("`{tool}` was refused: {said}")),
        false => Ok(said["structuredContent"].take()),
    }
}
