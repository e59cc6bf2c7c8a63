//! Fifty runs of one task at once.

use std::fs;
use std::process::Child;

use crate::bench::contender::word;
use crate::bench::figure::{Figure, Goal, Line, Unit};
use crate::bench::processes::{self, Memory, below_us, processor_seconds};
use crate::bench::rows::{Ready, once, part};
use crate::bench::scratch::{Scratch, pipeline};
use crate::bench::{Bench, Contender};

struct Crowd {
    failed: usize,
    processor: f64,
    memory: Memory,
}

pub(in crate::bench) fn measure(bench: &Bench) -> Vec<Line> {
    let runs = bench.size(50, 5);
    // The pause in the middle is there for all of them to be alive together.
    let pipelines = [pipeline("three", &["true", "sleep 2", "true"])];
    let scratch = |name: &str| Scratch::new(bench, name, &pipelines);
    let (other, ours) = (Ready::new(&bench.other, scratch), Ready::new(&bench.ours, scratch));
    let crowd = |tool: &Contender, scratch: &Scratch| crowd(tool, scratch, runs);
    let (other, ours) = (once(&other, crowd), once(&ours, crowd));
    // What runs cost that failed half-way says nothing in our favour.
    let whole = match &ours {
        Ok(crowd) if crowd.failed > 0 => Err(format!("{} of the runs failed", crowd.failed)),
        Ok(crowd) => Ok(crowd),
        Err(reason) => Err(reason.clone()),
    };

    let cost = |what: &str, of: fn(&Crowd) -> f64, unit, goal| Line {
        what: format!("{runs} runs at once, {what}"),
        shell: None,
        other: part(&other, |crowd| Figure::of(of(crowd), unit)),
        ours: part(&whole, |crowd| Figure::of(of(crowd), unit)),
        goal,
    };
    vec![
        Line {
            what: format!("{runs} runs at once, failed"),
            shell: None,
            other: part(&other, failed),
            ours: part(&ours, failed),
            goal: Goal::AtMost(0.0, Unit::Count),
        },
        cost("processor time", |crowd| crowd.processor, Unit::Seconds, Goal::OneIn(15.0)),
        cost("most RSS", |crowd| crowd.memory.resident, Unit::Mebibytes, Goal::OneIn(10.0)),
        cost("most PSS", |crowd| crowd.memory.proportional, Unit::Mebibytes, Goal::OneIn(10.0)),
    ]
}

fn failed(crowd: &Crowd) -> Figure {
    #[expect(clippy::cast_precision_loss, reason = "at most fifty")]
    Figure::of(crowd.failed as f64, Unit::Count)
}

fn crowd(tool: &Contender, scratch: &Scratch, runs: usize) -> Result<Crowd, String> {
    let before = processor_seconds();
    let mut alive =
        (0..runs).map(|_| tool.begin(scratch, "three")).collect::<Result<Vec<_>, _>>()?;
    let mut refused = 0;
    let mut most = Memory::default();
    while !alive.is_empty() {
        let now = processes::memory(&below_us());
        most.resident = most.resident.max(now.resident);
        most.proportional = most.proportional.max(now.proportional);
        alive.retain_mut(|child| match ended(child) {
            None => true,
            Some(well) => {
                refused += usize::from(!well);
                false
            }
        });
    }
    processes::end_orphans();
    // A run also failed that said it went well and left no record of it.
    let failed = refused.max(runs.saturating_sub(succeeded(scratch)));
    if failed == runs {
        return Err("not one of the runs succeeded".to_owned());
    }
    Ok(Crowd { failed, processor: processor_seconds() - before, memory: most })
}

/// Whether a process ended well, if it has ended.
fn ended(child: &mut Child) -> Option<bool> {
    match child.try_wait() {
        Ok(status) => status.map(|status| status.success()),
        Err(_) => Some(false),
    }
}

/// How many manifests say that their run succeeded.
fn succeeded(scratch: &Scratch) -> usize {
    let Ok(runs) = fs::read_dir(scratch.repo().join(".runs/bench/cli")) else { return 0 };
    runs.flatten()
        .filter_map(|run| fs::read_to_string(run.path().join("manifest.json")).ok())
        .filter_map(|text| serde_json::from_str(&text).ok())
        .filter(|manifest| word(manifest, "status") == Ok("succeeded"))
        .count()
}
