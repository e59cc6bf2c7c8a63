//! What being careful costs: our program, the TypeScript tool for the same job, and the plain
//! shell, measured side by side in one run.
//!
//! Each row of the table is one file under `rows`. Contenders take turns within a row, so that
//! whatever else the machine is doing falls on all of them. A row that cannot be measured says
//! why in the table; nothing is estimated.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

mod contender;
mod figure;
mod mcp;
mod processes;
mod report;
mod rows;
mod scratch;
mod turns;

use contender::Contender;
use figure::Line;

/// What to measure, and how thoroughly.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Fewer rounds and smaller sizes: shows that the harness works, decides nothing.
    #[arg(long)]
    quick: bool,
    /// Only these rows, by name.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    rows: Vec<String>,
    /// Where to write the table [default: BENCHMARKS.md, if all rows were measured in full].
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// What every row gets to work with.
struct Bench {
    /// Where repositories to run in are made, and what was made before is kept.
    folder: PathBuf,
    quick: bool,
    ours: Result<Contender, String>,
    other: Result<Contender, String>,
}

impl Bench {
    /// The full size of something, or a small one that shows that it works.
    fn size(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }
}

struct Row {
    name: &'static str,
    measure: fn(&Bench) -> Vec<Line>,
}

const ROWS: [Row; 12] = [
    Row { name: "start", measure: rows::start::measure },
    Row { name: "stages", measure: rows::stages::measure },
    Row { name: "confined", measure: rows::confined::measure },
    Row { name: "proxied", measure: rows::proxied::measure },
    Row { name: "status", measure: rows::status::measure },
    Row { name: "idle", measure: rows::idle::measure },
    Row { name: "server", measure: rows::server::measure },
    Row { name: "answers", measure: rows::answers::measure },
    Row { name: "pause", measure: rows::pause::measure },
    Row { name: "fifty", measure: rows::fifty::measure },
    Row { name: "output", measure: rows::output::measure },
    Row { name: "history", measure: rows::history::measure },
];

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a chore talks to a person")]
pub(crate) fn run(root: &Path, options: &Options) -> ExitCode {
    let chosen: Vec<_> = ROWS
        .iter()
        .filter(|row| options.rows.is_empty() || options.rows.iter().any(|name| name == row.name))
        .collect();
    if let Some(unknown) =
        options.rows.iter().find(|name| ROWS.iter().all(|row| row.name != **name))
    {
        let names: Vec<_> = ROWS.iter().map(|row| row.name).collect();
        eprintln!("bench: `{unknown}` is not a row; the rows are {}", names.join(", "));
        return ExitCode::from(2);
    }
    // What a measured command leaves running comes to us: it counts, and it is ended.
    if let Err(error) = nix::sys::prctl::set_child_subreaper(true) {
        eprintln!("bench: orphans cannot be adopted, so their cost is not seen: {error}");
    }

    let folder = root.join("target/bench");
    let bench = Bench {
        ours: contender::ours(root),
        other: contender::other(&folder),
        folder,
        quick: options.quick,
    };
    let mut lines = Vec::new();
    for row in &chosen {
        eprintln!("bench: {}", row.name);
        let measured = (row.measure)(&bench);
        measured.iter().for_each(|line| eprintln!("  {line}"));
        lines.extend(measured);
        processes::end_orphans();
    }

    let table = report::render(&bench, &lines);
    println!("{table}");
    let complete = chosen.len() == ROWS.len() && !options.quick;
    let output = match &options.output {
        Some(output) => output.clone(),
        None if complete => root.join("BENCHMARKS.md"),
        None => return ExitCode::SUCCESS,
    };
    match std::fs::write(&output, table) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: `{}` could not be written: {error}", output.display());
            ExitCode::FAILURE
        }
    }
}
