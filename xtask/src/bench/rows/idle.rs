//! Memory of whatever waits for a stage that does nothing for a long time.

use std::process::{Child, Command};

use crate::bench::figure::{Figure, Goal, Line, Unit};
use crate::bench::processes::{self, Memory, below_us};
use crate::bench::rows::{Ready, once, part};
use crate::bench::scratch::{Scratch, pipeline};
use crate::bench::turns::wait_while_alive;
use crate::bench::{Bench, Contender};

/// The stage itself is not the tool's.
const STAGE: [&str; 4] = ["sh", "dash", "bash", "sleep"];

pub(in crate::bench) fn measure(bench: &Bench) -> Vec<Line> {
    let pipelines = [pipeline("idle", &["sleep 600"])];
    let scratch = |name: &str| Scratch::new(bench, name, &pipelines);
    let (other, ours) = (Ready::new(&bench.other, scratch), Ready::new(&bench.ours, scratch));
    let (other, ours) = (once(&other, waiting), once(&ours, waiting));

    let line = |what: &str, of: fn(&Memory) -> f64| Line {
        what: format!("memory of a run whose stage sleeps, {what}"),
        shell: None,
        other: part(&other, |memory| Figure::of(of(memory), Unit::Mebibytes)),
        ours: part(&ours, |memory| Figure::of(of(memory), Unit::Mebibytes)),
        goal: Goal::OneIn(10.0),
    };
    vec![line("RSS", |memory| memory.resident), line("PSS", |memory| memory.proportional)]
}

fn waiting(tool: &Contender, scratch: &Scratch) -> Result<Memory, String> {
    let mut child = tool.begin(scratch, "idle")?;
    let memory = settled(&mut child);
    // Whatever was found, nothing of it may stay for the next measurement.
    let _ = child.kill();
    let _ = child.wait();
    processes::end_orphans();
    memory
}

/// Memory once the stage is running and what started it has settled down.
fn settled(child: &mut Child) -> Result<Memory, String> {
    wait_while_alive(child, "the stage", || {
        below_us().iter().any(|process| process.name == "sleep").then_some(())
    })?;
    // Two seconds with nothing to do are what the row is about, not a guess at a duration.
    Command::new("sleep").arg("2").status().map_err(|error| error.to_string())?;
    let tree = below_us();
    let tool = tree.iter().filter(|process| !STAGE.contains(&process.name.as_str()));
    let memory = processes::memory(tool);
    if memory.resident > 0.0 { Ok(memory) } else { Err("nothing of it is running".to_owned()) }
}
