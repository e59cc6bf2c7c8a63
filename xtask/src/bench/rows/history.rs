//! Looking, with many runs on record, compared with few.
//!
//! One run is made, and its record is copied under other names: for the other tool its manifest,
//! which is what it looks for; for ours that and its rows in the journal.

use std::fs;
use std::path::{Path, PathBuf};

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

    let other_few = filled(Ready::new(&bench.other, |_| fresh("other-few")), FEW, copy);
    let other_many = filled(Ready::new(&bench.other, |_| fresh("other-many")), many, copy);
    let ours_few = filled(Ready::new(&bench.ours, |_| fresh("ours-few")), FEW, multiply);
    let ours_many = filled(Ready::new(&bench.ours, |_| fresh("ours-many")), many, multiply);

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

/// One run, its manifest and its rows again under other names, and one more run, to look at.
fn multiply(tool: &Contender, scratch: &Scratch, runs: usize) -> Result<String, String> {
    let run = copy(tool, scratch, runs.saturating_sub(1))?;
    let journal = journal(&scratch.state()).ok_or("its journal is nowhere")?;
    let copied = rusqlite::Connection::open(&journal)
        .and_then(|connection| connection.execute_batch(&copies(&run, runs.saturating_sub(2))));
    copied.map_err(|error| format!("its rows could not be copied: {error}"))?;
    Ok(word(&tool.start(scratch, "one")?, "run_id")?.to_owned())
}

fn journal(state: &Path) -> Option<PathBuf> {
    let mut repos = fs::read_dir(state.join("repos")).ok()?;
    repos.find_map(|repo| Some(repo.ok()?.path().join("journal.db")).filter(|path| path.exists()))
}

/// Copies a run's row and events that often, under the names that `copy` gives.
fn copies(run: &str, count: usize) -> String {
    let stem = stem(run);
    format!(
        "BEGIN;
         CREATE TEMP TABLE n (i INTEGER PRIMARY KEY);
         WITH RECURSIVE up(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM up WHERE i < {count})
         INSERT INTO n SELECT i FROM up WHERE {count} > 0;
         INSERT INTO runs (run_id, tail, task_id, parent_run_id, origin, pipeline_id,
             pipeline_title, status, detail, created_at, started_at, updated_at, ended_at, head)
         SELECT printf('{stem}-%08x', i), printf('%08x', i), task_id, parent_run_id, origin,
             pipeline_id, pipeline_title, status, detail, created_at, started_at, updated_at,
             ended_at, head
         FROM runs, n WHERE run_id = '{run}';
         INSERT INTO specs (run, spec)
         SELECT copy.id, replace(spec, '{run}', copy.run_id)
         FROM n JOIN runs AS copy ON copy.run_id = printf('{stem}-%08x', i)
             JOIN specs ON specs.run = (SELECT id FROM runs WHERE run_id = '{run}');
         INSERT INTO events (run, seq, at, actor, body)
         SELECT copy.id, seq, at, actor, body
         FROM n JOIN runs AS copy ON copy.run_id = printf('{stem}-%08x', i)
             JOIN events ON events.run = (SELECT id FROM runs WHERE run_id = '{run}');
         COMMIT;"
    )
}

/// The time part of a run's name, of the same length and form, and earlier than that of the run
/// that is looked at.
fn stem(run: &str) -> String {
    run.rsplit_once('-').map_or(run, |(stem, _)| stem).replacen("20", "19", 1)
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
    let stem = stem(run);
    for number in 1..runs {
        let name = format!("{stem}-{number:08x}");
        let folder = all.join(&name);
        fs::create_dir_all(&folder)
            .and_then(|()| fs::write(folder.join("manifest.json"), text.replace(run, &name)))
            .map_err(|error| format!("its record could not be copied: {error}"))?;
    }
    Ok(run.to_owned())
}
