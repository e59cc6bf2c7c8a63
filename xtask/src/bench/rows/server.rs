//! The delegation server, which every session of Codex that uses it starts anew.

use std::process::Command;

use serde_json::{Value, json};

use crate::bench::contender::word;
use crate::bench::figure::{Figure, Goal, Line, Unit};
use crate::bench::mcp::Session;
use crate::bench::processes::{Memory, below_us, memory};
use crate::bench::rows::{Ready, once, part, turn};
use crate::bench::scratch::{Scratch, pipeline};
use crate::bench::turns::{take, timed};
use crate::bench::{Bench, Contender};

pub(in crate::bench) fn measure(bench: &Bench) -> Vec<Line> {
    let pipelines = [pipeline("three", &["true", "true", "true"])];
    let scratch = |name: &str| Scratch::new(bench, name, &pipelines);
    let (other, ours) = (Ready::new(&bench.other, scratch), Ready::new(&bench.ours, scratch));

    let [spawn_other, spawn_ours] =
        take(bench.size(30, 3), [turn(&other, list_tools), turn(&ours, list_tools)]);
    let (idle_other, idle_ours) = (once(&other, idle), once(&ours, idle));
    let looks = bench.size(500, 20);
    let look = |ready| {
        // One session for all looks, as it is in use.
        let mut session = None;
        turn(ready, move |tool, scratch| {
            if session.is_none() {
                session = Some(looking(tool, scratch)?);
            }
            let Some((session, manifest)) = &mut session else {
                return Err("no session".to_owned());
            };
            status(session, manifest)
        })
    };
    let [look_other, look_ours] = take(looks, [look(&other), look(&ours)]);

    let idle = |what: &str, of: fn(&Memory) -> f64| Line {
        what: format!("idle memory of `delegate-server`, all its processes, {what}"),
        shell: None,
        other: part(&idle_other, |memory| Figure::of(of(memory), Unit::Mebibytes)),
        ours: part(&idle_ours, |memory| Figure::of(of(memory), Unit::Mebibytes)),
        goal: Goal::OneIn(12.0),
    };
    vec![
        Line {
            what: "spawn of `delegate-server` to the answer to `tools/list`".to_owned(),
            shell: None,
            other: Figure::median(spawn_other, Unit::Milliseconds),
            ours: Figure::median(spawn_ours, Unit::Milliseconds),
            goal: Goal::OneIn(50.0),
        },
        idle("RSS", |memory| memory.resident),
        idle("PSS", |memory| memory.proportional),
        Line {
            what: "`delegate.status`, p99".to_owned(),
            shell: None,
            other: Figure::p99(look_other, Unit::Milliseconds),
            ours: Figure::p99(look_ours, Unit::Milliseconds),
            goal: Goal::OneIn(5.0),
        },
    ]
}

fn list_tools(tool: &Contender, scratch: &Scratch) -> Result<f64, String> {
    // The session is closed outside of what is timed.
    let ((_session, tools), took) = timed(|| {
        let mut session = Session::open(tool, scratch)?;
        let tools = session.ask("tools/list", json!({}))?;
        Ok((session, tools))
    })?;
    let names = tools["tools"].as_array().into_iter().flatten().map(|tool| &tool["name"]);
    if names.into_iter().any(|name| name == "delegate.status") {
        Ok(took)
    } else {
        Err("`tools/list` does not name `delegate.status`".to_owned())
    }
}

fn idle(tool: &Contender, scratch: &Scratch) -> Result<Memory, String> {
    let mut session = Session::open(tool, scratch)?;
    session.ask("tools/list", json!({}))?;
    // Nothing to do for a while is what the row is about, not a guess at a duration.
    Command::new("sleep").arg("2").status().map_err(|error| error.to_string())?;
    match memory(&below_us()) {
        memory if memory.resident > 0.0 => Ok(memory),
        _ => Err("`delegate-server` is not running any more".to_owned()),
    }
}

/// A session, and a run to ask it about.
fn looking(tool: &Contender, scratch: &Scratch) -> Result<(Session, String), String> {
    let run = tool.start(scratch, "three")?;
    let manifest = word(&run, "manifest")?.to_owned();
    Ok((Session::open(tool, scratch)?, manifest))
}

fn status(session: &mut Session, manifest: &str) -> Result<f64, String> {
    let call = json!({ "name": "delegate.status", "arguments": { "manifest_path": manifest } });
    let (said, took) = timed(|| session.ask("tools/call", call))?;
    if said["isError"] == Value::Bool(true) {
        return Err(format!("`delegate.status` was refused: {said}"));
    }
    Ok(took)
}
