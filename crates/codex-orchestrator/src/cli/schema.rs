//! `schema`: the JSON Schemas of everything that machines read.

use clap::ValueEnum;

use super::{Outcome, list, plan, prune, start, status};
use crate::render::json;

/// Print the JSON Schema of a file or of what a command prints with --json
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Of what
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// manifest.json
    Manifest,
    /// A line of events.jsonl
    Events,
    /// .codex/orchestrator.toml
    Config,
    /// `start --json` and `resume --json`
    Start,
    /// `status --json`
    Status,
    /// `list --json`
    List,
    /// `plan --json`
    Plan,
    /// `prune --json`
    Prune,
    /// Any command with --json that fails
    Error,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let schema = match args.what {
        What::Manifest => schemars::schema_for!(store::Manifest).to_value(),
        What::Events => schemars::schema_for!(store::EventLine).to_value(),
        What::Config => repo::config::schema(),
        What::Start => schemars::schema_for!(start::Document).to_value(),
        What::Status => schemars::schema_for!(status::Document).to_value(),
        What::List => schemars::schema_for!(list::Document).to_value(),
        What::Plan => schemars::schema_for!(plan::Document).to_value(),
        What::Prune => schemars::schema_for!(prune::Document).to_value(),
        What::Error => schemars::schema_for!(json::ErrorDocument).to_value(),
    };
    json::write(&schema)
}
