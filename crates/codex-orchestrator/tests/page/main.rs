//! The local page in a real browser: what a person sees there, and what their clicks and keys do.
//!
//! The browser is Chromium without a window, one for each test, with a profile that goes away with
//! it. A test fails if the page complained of anything on its console, or if the browser refused the
//! page something that its policy forbids. Where there is no Chromium, each test says that it was
//! skipped.

mod approvals;
mod browser;
#[path = "../e2e/confined.rs"]
mod confined;
mod crowds;
mod entering;
#[path = "../e2e/delegation/bridged/ground.rs"]
#[expect(dead_code, reason = "stories of another binary need more of it")]
mod ground;
mod hostile;
mod inputs;
#[path = "../e2e/delegation/inside.rs"]
mod inside;
#[path = "../e2e/delegation/mcp.rs"]
#[expect(dead_code, reason = "stories of another binary need more of it")]
mod mcp;
#[path = "../e2e/opened.rs"]
mod opened;
mod pipe;
#[path = "../e2e/processes.rs"]
#[expect(dead_code, reason = "stories of another binary need more of it")]
mod processes;
mod questions;
mod runs;
#[path = "../e2e/scratch.rs"]
#[expect(dead_code, reason = "stories of another binary need more of it")]
mod scratch;
mod site;
mod smoke;
#[path = "../e2e/delegation/wishes.rs"]
mod wishes;

use opened::Opened;
use scratch::{Scratch, program};
use serde_json::{Value, json};

use crate::{browser::Browser, inside::Pipes, mcp::Server};

/// Types `codex-orch ui` with these words there.
fn ui(scratch: &Scratch, words: &str) -> Option<Opened> {
    let script = scratch.elsewhere::<&str>("script", &[]);
    Opened::at(script, &program().display().to_string(), words)
}

/// The page of that repository, and the browser in which a person has opened it.
fn entered(scratch: &Scratch, name: &'static str) -> Option<(Opened, Browser)> {
    let mut browser = Browser::start(name)?;
    let page = ui(scratch, "")?;
    browser.open(&page.url);
    browser.see_text("#link", "live");
    Some((page, browser))
}

/// A repository with a pipeline that lets whoever is told of it speak for its only stage, and more.
fn talking(pipelines: &str) -> Scratch {
    let scratch = Scratch::delegating(&format!(
        "[pipelines.talks]\nstages = [{{ id = \"talk\", command = \"'{}' delegate-server < \
         ask.$CODEX_ORCHESTRATOR_GOAL | tee told.$CODEX_ORCHESTRATOR_GOAL\" }}]\n{pipelines}",
        program().display()
    ));
    scratch.git();
    scratch
}

/// A run of that pipeline, and its stage, which asks.
fn talker(scratch: &Scratch, name: &str) -> (String, Server) {
    let pipes = Pipes::of(scratch, name);
    let words = ["start", "talks", "--goal", name, "--task", "demo", "--detach"];
    let run = scratch.json(&words).text("run_id");
    (run, pipes.connect())
}

/// Has it ask, and gives what the page calls the card of that.
#[track_caller]
fn asks(inside: &mut Server, prompt: &str, more: &Value) -> (String, String) {
    let mut wish = json!({ "prompt": prompt });
    wish.as_object_mut().expect("one").extend(more.as_object().expect("one").clone());
    let id = mcp::text(&inside.call("question.enqueue", wish).given(), "question_id");
    let card = format!("#card-{id}");
    (id, card)
}

/// Has it wait for what becomes of the question.
#[track_caller]
fn hears(inside: &mut Server, id: &str) -> Value {
    inside.call("question.poll", json!({ "question_id": id, "wait_ms": 60_000 })).given()
}

/// The last part of a run's id.
fn tail(run: &str) -> &str {
    run.rsplit('-').next().expect("it has one")
}
