//! Chores of the repository: `cargo xtask --help` lists them.
//!
//! `tidy` fails on structure; `docs` on documents that are no longer true; `bench` measures.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

// Memory and states of processes are read from `/proc`.
#[cfg(target_os = "linux")]
mod bench;
mod docs;
mod tidy;

/// Chores of the repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Chore {
    /// Check the structure of the repository, and show what has grown long.
    Tidy,
    /// Run what the documents show, and see that it comes out as they show it.
    Docs(docs::Options),
    /// Measure against the other tool and the plain shell, and write BENCHMARKS.md.
    #[cfg(target_os = "linux")]
    Bench(bench::Options),
}

fn main() -> ExitCode {
    match Chore::parse() {
        Chore::Tidy => tidy::run(&root()),
        Chore::Docs(options) => docs::run(&root(), &options),
        #[cfg(target_os = "linux")]
        Chore::Bench(options) => bench::run(&root(), &options),
    }
}

/// The root of the repository, wherever cargo was called.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}
