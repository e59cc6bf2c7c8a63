//! What `start` adds to three stages that do nothing.

use std::process::Command;

use crate::bench::figure::{Figure, Goal, Line, Unit};
use crate::bench::rows::{Ready, turn};
use crate::bench::scratch::{Scratch, pipeline};
use crate::bench::turns::{take, timed};
use crate::bench::{Bench, Contender};

const STAGES: [&str; 3] = ["true", "true", "true"];

pub(in crate::bench) fn measure(bench: &Bench) -> Vec<Line> {
    let pipelines = [pipeline("three", &STAGES)];
    let scratch = |name: &str| Scratch::new(bench, name, &pipelines);
    let (other, ours) = (Ready::new(&bench.other, scratch), Ready::new(&bench.ours, scratch));

    let [shell, other, ours] =
        take(bench.size(30, 3), [Box::new(shell), turn(&other, start), turn(&ours, start)]);
    let beyond = |took: Result<Vec<f64>, String>| match (&shell, took) {
        (Ok(shell), Ok(took)) => {
            Ok(took.iter().zip(shell).map(|(took, shell)| took - shell).collect())
        }
        (Err(reason), _) => Err(reason.clone()),
        (_, Err(reason)) => Err(reason),
    };
    vec![Line {
        what: "`start` of three stages, time beyond the stages themselves".to_owned(),
        shell: Some(Figure::median(shell.clone(), Unit::Milliseconds)),
        other: Figure::median(beyond(other), Unit::Milliseconds),
        ours: Figure::median(beyond(ours), Unit::Milliseconds),
        goal: Goal::OneIn(30.0),
    }]
}

fn start(tool: &Contender, scratch: &Scratch) -> Result<f64, String> {
    timed(|| tool.start(scratch, "three")).map(|(_, took)| took)
}

/// The same stages with nobody in between.
fn shell() -> Result<f64, String> {
    let run = |stage: &str| match Command::new("/bin/sh").args(["-c", stage]).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{stage}` ended with {status}")),
        Err(error) => Err(format!("the shell could not be started: {error}")),
    };
    timed(|| STAGES.iter().try_for_each(|stage| run(stage))).map(|((), took)| took)
}
