//! `schema`: the JSON Schemas of everything that machines read.

use clap::ValueEnum;

use super::{
    Outcome, apply, caps, config, discard, doctor, inbox, list, logs, notify, open, plan, prune,
    resume, setup, standing, start, trust, ui, wait,
};
use crate::{act, look, render::json};

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
    /// What `notify.command` reads and `notify.webhook` is sent
    Notice,
    /// `start --json`, `delegate --json`, `exec --json` and `resume --json`
    Start,
    /// `plan --json`
    Plan,
    /// `plan --list --json`
    Pipelines,
    /// `status --json`
    Status,
    /// `list --json`
    List,
    /// `logs --json`
    Logs,
    /// `wait --json`
    Wait,
    /// `pause --json` and `cancel --json`
    Control,
    /// `message --json`
    Message,
    /// `diff --json`
    Diff,
    /// `apply --json`
    Apply,
    /// `open --json`
    Open,
    /// `discard --json`
    Discard,
    /// `inbox --json`
    Inbox,
    /// `inbox --standing --json`, and `dismiss --json` of what that shows
    Standing,
    /// `answer --json`, `dismiss --json`, `approve --json` and `deny --json`
    Answer,
    /// `ui --json`
    Ui,
    /// `trust --json`
    Trust,
    /// `resume --all --json`
    ResumeAll,
    /// `prune --json`
    Prune,
    /// `setup --json` and `init --json`
    Setup,
    /// `config --json`
    Settings,
    /// `config check --json`
    ConfigCheck,
    /// `caps --json`
    Caps,
    /// `caps check --json`
    CapsCheck,
    /// `doctor --json` and `self-check --json`
    Doctor,
    /// `--json` without a command
    Overview,
    /// `version --json`
    Version,
    /// Any command with --json that fails
    Error,
}

pub(crate) fn run(args: &Args) -> Outcome {
    json::write(&match args.what {
        What::Manifest => of::<store::Manifest>(),
        What::Events => of::<store::EventLine>(),
        What::Config => repo::config::schema(),
        What::Notice => of::<notify::Document>(),
        What::Start => of::<start::Document>(),
        What::Plan => of::<plan::Document>(),
        What::Pipelines => of::<plan::Pipelines>(),
        What::Status => of::<look::run::Document>(),
        What::List => of::<list::Document>(),
        What::Logs => of::<logs::Document>(),
        What::Wait => of::<wait::Document>(),
        What::Control => of::<act::control::Document>(),
        What::Message => of::<act::message::Document>(),
        What::Diff => of::<look::diff::Document>(),
        What::Apply => of::<apply::Document>(),
        What::Open => of::<open::Document>(),
        What::Discard => of::<discard::Document>(),
        What::Inbox => of::<inbox::Document>(),
        What::Standing => of::<standing::Document>(),
        What::Answer => of::<act::word::Document>(),
        What::Ui => of::<ui::Document>(),
        What::Trust => of::<trust::Document>(),
        What::ResumeAll => of::<resume::Document>(),
        What::Prune => of::<prune::Document>(),
        What::Setup => of::<setup::Document>(),
        What::Settings => of::<config::Document>(),
        What::ConfigCheck => of::<config::Checked>(),
        What::Caps => of::<caps::Document>(),
        What::CapsCheck => of::<caps::Tried>(),
        What::Doctor => of::<doctor::Document>(),
        What::Overview => of::<look::overview::Document>(),
        What::Version => of::<super::VersionDocument>(),
        What::Error => of::<json::ErrorDocument>(),
    })
}

fn of<T: schemars::JsonSchema>() -> serde_json::Value {
    schemars::schema_for!(T).to_value()
}
