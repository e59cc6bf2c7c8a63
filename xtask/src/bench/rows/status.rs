//! Looking at a run that has ended.

use crate::bench::contender::word;
use crate::bench::figure::{Figure, Goal, Line, Unit};
use crate::bench::rows::{Ready, turn};
use crate::bench::scratch::{Scratch, pipeline};
use crate::bench::turns::{take, timed};
use crate::bench::{Bench, Contender};

pub(in crate::bench) fn measure(bench: &Bench) -> Vec<Line> {
    let pipelines = [pipeline("three", &["true", "true", "true"])];
    let scratch = |name: &str| Scratch::new(bench, name, &pipelines);
    let (other, ours) = (Ready::new(&bench.other, scratch), Ready::new(&bench.ours, scratch));

    let look = |ready| {
        let mut run = None;
        turn(ready, move |tool: &Contender, scratch: &Scratch| {
            if run.is_none() {
                run = Some(word(&tool.start(scratch, "three")?, "run_id")?.to_owned());
            }
            let run = run.as_deref().unwrap_or_default();
            status(tool, scratch, run)
        })
    };
    let [other, ours] = take(bench.size(100, 5), [look(&other), look(&ours)]);
    vec![
        Line {
            what: "`status` of a run, one process".to_owned(),
            shell: None,
            other: Figure::median(other.clone(), Unit::Milliseconds),
            ours: Figure::median(ours.clone(), Unit::Milliseconds),
            goal: Goal::OneIn(30.0),
        },
        Line {
            what: "the same, p99".to_owned(),
            shell: None,
            other: Figure::p99(other, Unit::Milliseconds),
            ours: Figure::p99(ours, Unit::Milliseconds),
            goal: Goal::OneIn(5.0),
        },
    ]
}

/// How long it takes to be told about a run; both tools know it by `--run`.
pub(super) fn status(tool: &Contender, scratch: &Scratch, run: &str) -> Result<f64, String> {
    let (document, took) =
        timed(|| tool.ask(scratch, &["status", "--run", run, "--format", "json"]))?;
    match word(&document, "run_id")? {
        said if said == run => Ok(took),
        said => Err(format!("`status` of {run} told about {said}")),
    }
}
