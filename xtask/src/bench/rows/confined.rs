//! What it adds to a stage to be held to its caps.

use crate::bench::figure::{Figure, Goal, Line, Unit};
use crate::bench::rows::{Ready, turn};
use crate::bench::scratch::{Scratch, pipeline};
use crate::bench::turns::{take, timed};
use crate::bench::{Bench, Contender};

/// So many that what a run takes beside them falls on none.
const STAGES: usize = 20;

/// All that can be asked for at once: everything that a cage has is built.
const CAPS: [&str; 4] = [
    "caps.network.mode=none",
    "caps.fs.write=[\"@worktree\"]",
    "caps.fs.protect=[\"@git\",\"@config\"]",
    "caps.fs.tmp=private",
];

pub(in crate::bench) fn measure(bench: &Bench) -> Vec<Line> {
    let pipelines = [pipeline("many", &["true"; STAGES])];
    let ours = Ready::new(&bench.ours, |name| Scratch::new(bench, name, &pipelines));
    let plain = |tool: &Contender, scratch: &Scratch| start(tool, scratch, &[]);
    let held = |tool: &Contender, scratch: &Scratch| start(tool, scratch, &CAPS);
    let [plain, held] = take(bench.size(20, 3), [turn(&ours, plain), turn(&ours, held)]);
    #[expect(clippy::cast_precision_loss, reason = "a small count")]
    let each = |(held, plain): (f64, f64)| (held - plain) / STAGES as f64;
    let beyond = match (plain, held) {
        (Ok(plain), Ok(held)) => Ok(held.into_iter().zip(plain).map(each).collect()),
        (Err(reason), _) | (_, Err(reason)) => Err(reason),
    };
    vec![Line {
        what: "a stage that is held to caps, time beyond one that is not".to_owned(),
        shell: None,
        other: Figure::missing("it holds nothing to anything"),
        ours: Figure::median(beyond, Unit::Milliseconds),
        goal: Goal::AtMost(10.0, Unit::Milliseconds),
    }]
}

fn start(tool: &Contender, scratch: &Scratch, caps: &[&str]) -> Result<f64, String> {
    let mut words = vec!["start", "many", "--format", "json", "--task", "bench"];
    words.extend(caps.iter().flat_map(|setting| ["--config", setting]));
    timed(|| tool.ask(scratch, &words)).map(|(_, took)| took)
}
