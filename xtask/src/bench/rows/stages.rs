//! What one more trivial stage costs, in a pipeline that has many already.

use crate::bench::Bench;
use crate::bench::figure::{Figure, Goal, Line, Unit};
use crate::bench::rows::{Ready, turn};
use crate::bench::scratch::{Scratch, pipeline};
use crate::bench::turns::{Turn, take, timed};

pub(in crate::bench) fn measure(bench: &Bench) -> Vec<Line> {
    // The cost at 400 is the difference that the last hundred make; the early cost, the first.
    let step = bench.size(100, 10);
    let sizes = [1, 1 + step, 3 * step, 4 * step];
    let pipelines = sizes.map(|size| pipeline(&name(size), &vec!["true"; size]));
    let scratch = |name: &str| Scratch::new(bench, name, &pipelines);
    let (other, ours) = (Ready::new(&bench.other, scratch), Ready::new(&bench.ours, scratch));

    let start = |ready, size| -> Turn<'_> {
        turn(ready, move |tool, scratch| {
            timed(|| tool.start(scratch, &name(size))).map(|(_, took)| took)
        })
    };
    let [a, b, c, d] = sizes;
    let [other_a, ours_a, other_b, ours_b, other_c, ours_c, other_d, ours_d] = take(
        bench.size(5, 1),
        [
            start(&other, a),
            start(&ours, a),
            start(&other, b),
            start(&ours, b),
            start(&other, c),
            start(&ours, c),
            start(&other, d),
            start(&ours, d),
        ],
    );
    let each = |fewer: Result<Vec<f64>, String>, more: Result<Vec<f64>, String>| {
        let (fewer, more) = (fewer?, more?);
        #[expect(clippy::cast_precision_loss, reason = "a hundred stages")]
        let each = |(fewer, more): (&f64, &f64)| (more - fewer) / step as f64;
        Ok(fewer.iter().zip(&more).map(each).collect::<Vec<_>>())
    };
    let (other_early, ours_early) = (each(other_a, other_b), each(ours_a, ours_b));
    let (other_late, ours_late) = (each(other_c, other_d), each(ours_c, ours_d));

    vec![
        Line {
            what: format!("each further trivial stage, at {d}"),
            shell: None,
            other: Figure::median(other_late.clone(), Unit::Milliseconds),
            ours: Figure::median(ours_late.clone(), Unit::Milliseconds),
            goal: Goal::OneIn(10.0),
        },
        Line {
            what: format!("a stage at {d}, compared with one of the first {step}"),
            shell: None,
            other: Figure::growth(&other_early, &other_late),
            ours: Figure::growth(&ours_early, &ours_late),
            goal: Goal::AtMost(1.25, Unit::Times),
        },
    ]
}

fn name(stages: usize) -> String {
    format!("stages-{stages}")
}
