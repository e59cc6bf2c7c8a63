//! The commands, one file each, and what they have in common.

mod cancel;
mod completions;
mod config;
mod doctor;
mod exec;
mod list;
mod logs;
mod man;
mod overview;
mod pause;
mod plan;
mod prune;
mod resume;
mod runner;
mod schema;
mod start;
mod status;
mod wait;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};

use crate::{
    failure::{EXIT_CODES, Failure, FailureKind},
    render::{
        json::{self, ErrorDocument},
        screen::{Screen, Tone},
    },
    surroundings::Surroundings,
};

/// Delegate work from a Codex CLI session to background runs, and keep hold of them.
///
/// Without a command: what is running, interrupted or ready to be looked at here, each with the
/// next command to type.
#[derive(Debug, Parser)]
#[command(
    name = "codex-orch",
    bin_name = "codex-orch",
    version,
    after_help = EXIT_CODES,
    propagate_version = true,
    disable_help_subcommand = false,
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(flatten)]
    common: Common,

    #[command(flatten)]
    overview: overview::Args,

    #[command(subcommand)]
    command: Option<Command>,
}

/// What every command understands.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Common {
    /// The repository, instead of the one around the current folder
    #[arg(long, global = true, value_name = "DIR")]
    repo: Option<PathBuf>,

    /// Print one JSON document on standard output, and everything else on standard error
    #[arg(long, global = true)]
    json: bool,

    /// The same as --json for `json`
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        default_value = "text",
        hide_default_value = true
    )]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

impl Common {
    pub(crate) fn json(&self) -> bool {
        self.json || self.format == Format::Json
    }

    pub(crate) fn here(&self) -> Result<Surroundings, Failure> {
        Surroundings::read(self.repo.as_deref())
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    Start(start::Args),
    Plan(plan::Args),
    Exec(exec::Args),
    Status(status::Args),
    List(list::Args),
    Logs(logs::Args),
    Wait(wait::Args),
    Pause(pause::Args),
    Resume(resume::Args),
    Cancel(cancel::Args),
    Prune(prune::Args),
    Config(config::Args),
    Schema(schema::Args),
    Doctor(doctor::Args),
    /// Look quickly whether everything needed is there (`doctor --quick`)
    SelfCheck,
    Completions(completions::Args),
    Man(man::Args),
    /// Print the version
    Version,
    #[command(name = "__run", hide = true)]
    Runner,
}

/// What a command comes to: mostly nothing, sometimes an exit code that is no failure of ours.
pub(crate) type Outcome = Result<(), Failure>;

pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return bad_words(&error),
    };
    let json = cli.common.json();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.silent {
                tell(&failure, json);
            }
            ExitCode::from(failure.kind.code())
        }
    }
}

fn run(cli: &Cli) -> Outcome {
    let common = &cli.common;
    match &cli.command {
        None => overview::run(&cli.overview, common),
        Some(Command::Start(args)) => start::run(args, common),
        Some(Command::Plan(args)) => plan::run(args, common),
        Some(Command::Exec(args)) => exec::run(args, common),
        Some(Command::Status(args)) => status::run(args, common),
        Some(Command::List(args)) => list::run(args, common),
        Some(Command::Logs(args)) => logs::run(args, common),
        Some(Command::Wait(args)) => wait::run(args, common),
        Some(Command::Pause(args)) => pause::run(args, common),
        Some(Command::Resume(args)) => resume::run(args, common),
        Some(Command::Cancel(args)) => cancel::run(args, common),
        Some(Command::Prune(args)) => prune::run(args, common),
        Some(Command::Config(args)) => config::run(args, common),
        Some(Command::Schema(args)) => schema::run(args),
        Some(Command::Doctor(args)) => doctor::run(args, common),
        Some(Command::SelfCheck) => doctor::run(&doctor::Args { quick: true }, common),
        Some(Command::Completions(args)) => completions::run(args),
        Some(Command::Man(args)) => man::run(args),
        Some(Command::Version) => version(common),
        Some(Command::Runner) => runner::run(),
    }
}

fn version(common: &Common) -> Outcome {
    let version = env!("CARGO_PKG_VERSION");
    if common.json() {
        return json::write(
            &serde_json::json!({ "name": "codex-orchestrator", "version": version }),
        );
    }
    Screen::out().line(&format!("codex-orchestrator {version}"));
    Ok(())
}

/// The commands as clap knows them.
pub(crate) fn definition() -> clap::Command {
    Cli::command()
}

/// Help and the version go to standard output and are no failure; anything else that clap says
/// is bad usage, also as JSON where that was asked for.
fn bad_words(error: &clap::Error) -> ExitCode {
    let harmless = !error.use_stderr();
    let asked = || std::env::args().any(|arg| arg == "--json" || arg == "--format=json");
    if !harmless && asked() {
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default();
        let message = first.trim_start_matches("error: ").to_owned();
        let failure = Failure::usage(message).hint("see `codex-orch --help`");
        let _ = json::write(&ErrorDocument::from(&failure));
    }
    let _ = error.print();
    if harmless { ExitCode::SUCCESS } else { ExitCode::from(FailureKind::Usage.code()) }
}

fn tell(failure: &Failure, json: bool) {
    if json {
        let _ = json::write(&ErrorDocument::from(failure));
    }
    let screen = Screen::error();
    screen.line(&format!("{} {failure}", screen.paint(Tone::Bad, "error:")));
    if let Some(hint) = failure.next_step() {
        screen.line(&format!("{} {hint}", screen.paint(Tone::Busy, "hint:")));
    }
}

/// A path as a person would write it from the repository.
pub(crate) fn within(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}
