//! A stage that writes a gigabyte.

use std::process::Command;

use crate::bench::figure::{Figure, Goal, Line, Unit, quantile};
use crate::bench::scratch::{Scratch, pipeline};
use crate::bench::turns::{Turn, take, timed};
use crate::bench::{Bench, Contender};

pub(in crate::bench) fn measure(bench: &Bench) -> Vec<Line> {
    let megabytes = bench.size(1000, 20);
    let bytes = megabytes * 1_000_000;
    let stage =
        format!("yes 'a line as long as those that a build tends to print' | head -c {bytes}");
    // Each turn has a repository of its own, so that what was written before is gone.
    let scratch = |name: &str| Scratch::new(bench, name, &[pipeline("output", &[&stage])]);

    let (mut stored_other, mut stored_ours) = (Vec::new(), Vec::new());
    let write = |tool: &Contender, stored: &mut Vec<u64>| {
        let scratch = scratch(tool.name)?;
        let before = scratch.recorded();
        let (_, took) = timed(|| tool.start(&scratch, "output"))?;
        stored.push(scratch.recorded() - before);
        Ok(took)
    };
    let turns: [Turn<'_>; 3] = [
        Box::new(|| to_file(&scratch("shell")?, &stage)),
        Box::new(|| write(bench.other.as_ref().map_err(Clone::clone)?, &mut stored_other)),
        Box::new(|| write(bench.ours.as_ref().map_err(Clone::clone)?, &mut stored_ours)),
    ];
    let [shell, other, ours] = take(bench.size(3, 1), turns);

    #[expect(clippy::cast_precision_loss, reason = "megabytes to three digits")]
    let copies = |stored: &[u64], took: &Result<Vec<f64>, String>| match took {
        Ok(_) => {
            let each: Vec<_> = stored.iter().map(|stored| *stored as f64 / bytes as f64).collect();
            Figure::of(quantile(&each, 0.5), Unit::Times)
        }
        Err(reason) => Figure::missing(reason.clone()),
    };
    vec![
        Line {
            what: format!(
                "a stage writing {megabytes} MB, the shell's going through `cat` to a file"
            ),
            shell: Some(Figure::median(shell, Unit::Milliseconds)),
            other: Figure::median(other.clone(), Unit::Milliseconds),
            ours: Figure::median(ours.clone(), Unit::Milliseconds),
            goal: Goal::OfShell(1.5),
        },
        Line {
            what: format!("a stage writing {megabytes} MB, stored for what was written"),
            shell: None,
            other: copies(&stored_other, &other),
            ours: copies(&stored_ours, &ours),
            goal: Goal::AtMost(1.01, Unit::Times),
        },
    ]
}

/// What the plain shell takes to keep the same output.
fn to_file(scratch: &Scratch, stage: &str) -> Result<f64, String> {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &format!("({stage}) | cat > output")]);
    scratch.enter(&mut shell);
    let ((), took) = timed(|| match shell.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("the shell ended with {status}")),
        Err(error) => Err(format!("the shell could not be started: {error}")),
    })?;
    Ok(took)
}
