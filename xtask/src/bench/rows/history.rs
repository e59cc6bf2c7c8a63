//! Looking, with many runs on record, compared with few.
//!
//! Ours are made by running them, and kept for the next time. The other tool needs half a
//! second of processor for each, so it gets copies of one manifest, which is what it looks for.

use std::fs;
use std::io::Write as _;
use std::thread;

use crate::bench::contender::word;
use crate::bench::figure::{Figure, Goal, Line, Unit};
use crate::bench::rows::status::status;
use crate::bench::rows::{Ready, turn};
use crate::bench::scratch::{Scratch, pipeline};
use crate::bench::turns::{Turn, take, timed};
use crate::bench::{Bench, Contender};

const FEW: usize = 10;

pub(in crate::bench) fn measure(bench: &Bench) -> Vec<Line> {
    let many = bench.size(100_000, 200);
    let pipelines = [pipeline("one", &["true"])];
    let fresh = |name: &str| Scratch::new(bench, name, &pipelines);
    let kept = |name: &str| {
        if bench.quick { fresh(name) } else { Scratch::kept(bench, name, &pipelines) }
    };

    let other_few = filled(Ready::new(&bench.other, |_| fresh("other-few")), FEW, copy);
    let other_many = filled(Ready::new(&bench.other, |_| fresh("other-many")), many, copy);
    let ours_few = filled(Ready::new(&bench.ours, |_| fresh("ours-few")), FEW, run);
    let name = format!("history-{many}");
    let ours_many = filled(Ready::new(&bench.ours, |_| kept(&name)), many, run);

    let look = |filled| look(filled, status);
    let turns: [Turn<'_>; 6] = [
        look(&other_few),
        look(&other_many),
        look(&ours_few),
        look(&ours_many),
        look_list(&ours_few),
        look_list(&ours_many),
    ];
    let [other_few, other_many, ours_few, ours_many, list_few, list_many] =
        take(bench.size(30, 3), turns);

    vec![
        Line {
            what: format!("`status` with {many} runs on record, compared with {FEW}"),
            shell: None,
            other: Figure::growth(&other_few, &other_many),
            ours: Figure::growth(&ours_few, &ours_many),
            goal: Goal::AtMost(1.25, Unit::Times),
        },
        Line {
            what: format!("`list` with {many} runs on record, compared with {FEW}"),
            shell: None,
            other: Figure::missing("it has no `list`"),
            ours: Figure::growth(&list_few, &list_many),
            goal: Goal::AtMost(1.25, Unit::Times),
        },
        Line {
            what: format!("`status` with {many} runs on record"),
            shell: None,
            other: Figure::median(other_many, Unit::Milliseconds),
            ours: Figure::median(ours_many, Unit::Milliseconds),
            goal: Goal::OneIn(30.0),
        },
        Line {
            what: format!("`list` with {many} runs on record"),
            shell: None,
            other: Figure::missing("it has no `list`"),
            ours: Figure::median(list_many, Unit::Milliseconds),
            goal: Goal::AtMost(50.0, Unit::Milliseconds),
        },
    ]
}

/// A contender with runs on record, and the one that is looked at.
struct Filled<'a> {
    ready: Result<Ready<'a>, String>,
    run: String,
}

type Fill = fn(&Contender, &Scratch, usize) -> Result<String, String>;

fn filled<'a>(ready: Result<Ready<'a>, String>, runs: usize, fill: Fill) -> Filled<'a> {
    let run = ready
        .as_ref()
        .map_err(Clone::clone)
        .and_then(|ready| fill(ready.tool, &ready.scratch, runs));
    match run {
        Ok(run) => Filled { ready, run },
        Err(reason) => Filled { ready: Err(reason), run: String::new() },
    }
}

fn look<'a>(
    filled: &'a Filled<'_>,
    work: impl Fn(&Contender, &Scratch, &str) -> Result<f64, String> + 'a,
) -> Turn<'a> {
    turn(&filled.ready, move |tool, scratch| work(tool, scratch, &filled.run))
}

fn look_list<'a>(filled: &'a Filled<'_>) -> Turn<'a> {
    look(filled, |tool, scratch, _| {
        timed(|| tool.ask(scratch, &["list", "--format", "json"])).map(|(_, took)| took)
    })
}

/// Runs until so many are on record; several at a time, since each waits for its stage.
fn run(tool: &Contender, scratch: &Scratch, runs: usize) -> Result<String, String> {
    let counter = scratch.state().join("bench-runs");
    let had =
        fs::read_to_string(&counter).ok().and_then(|text| text.parse().ok()).unwrap_or(0_usize);
    // The one to look at is the latest, after all others.
    let missing = runs.saturating_sub(had).max(1) - 1;
    let hands = thread::available_parallelism().map_or(2, usize::from) * 2;
    thread::scope(|scope| {
        let each = |hand: usize| {
            let share = missing / hands + usize::from(hand < missing % hands);
            move || {
                (0..share).try_for_each(|done| {
                    if hand == 0 && done % 1000 == 0 && done > 0 {
                        progress(done * hands, missing);
                    }
                    tool.start(scratch, "one").map(drop)
                })
            }
        };
        let hands: Vec<_> = (0..hands).map(|hand| scope.spawn(each(hand))).collect();
        hands.into_iter().try_for_each(|hand| {
            hand.join().unwrap_or_else(|_| Err("a thread panicked".to_owned()))
        })
    })?;
    let run = word(&tool.start(scratch, "one")?, "run_id")?.to_owned();
    let said =
        fs::File::create(&counter).and_then(|mut file| write!(file, "{}", had.max(runs - 1) + 1));
    said.map_err(|error| format!("how many runs are on record could not be noted: {error}"))?;
    Ok(run)
}

#[expect(clippy::print_stderr, reason = "this takes minutes, and somebody may be waiting")]
fn progress(done: usize, of: usize) {
    eprintln!("  {done} of {of} runs on record");
}

/// One run, and its manifest again under other names.
fn copy(tool: &Contender, scratch: &Scratch, runs: usize) -> Result<String, String> {
    let document = tool.start(scratch, "one")?;
    let run = word(&document, "run_id")?;
    let manifest = scratch.repo().join(word(&document, "manifest")?);
    let text = fs::read_to_string(&manifest).map_err(|error| error.to_string())?;
    let Some(all) = manifest.parent().and_then(|folder| folder.parent()) else {
        return Err("its manifest is nowhere".to_owned());
    };
    // Same length and form, and earlier than the run that is looked at.
    let stem = run.rsplit_once('-').map_or(run, |(stem, _)| stem).replacen("20", "19", 1);
    for number in 1..runs {
        let name = format!("{stem}-{number:08x}");
        let folder = all.join(&name);
        fs::create_dir_all(&folder)
            .and_then(|()| fs::write(folder.join("manifest.json"), text.replace(run, &name)))
            .map_err(|error| format!("its record could not be copied: {error}"))?;
    }
    Ok(run.to_owned())
}
