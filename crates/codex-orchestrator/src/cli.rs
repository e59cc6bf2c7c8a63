//! The commands, one file each, and what they have in common.

mod answer;
mod apply;
mod cancel;
mod caps;
mod completions;
mod config;
mod delegate;
pub(crate) mod delegate_server;
mod diff;
mod discard;
mod doctor;
mod exec;
mod inbox;
mod list;
mod logs;
mod man;
mod message;
mod notify;
mod open;
mod overview;
mod own_tree;
mod pause;
mod plan;
mod prune;
mod resume;
mod runner;
mod schema;
mod setup;
mod standing;
pub(crate) mod start;
mod status;
mod trust;
mod ui;
mod wait;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use serde::Serialize;

use crate::{
    failure::{EXIT_CODES, Failure, FailureKind},
    render::{
        json::{self, ErrorDocument},
        screen::{Screen, Tone, harmless},
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

/// The heading in the help of what every command understands.
const EVERYWHERE: &str = "With every command";

/// What every command understands.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Common {
    /// The repository, instead of the one around the current folder
    #[arg(long, global = true, value_name = "DIR", help_heading = EVERYWHERE)]
    repo: Option<PathBuf>,

    /// Print one JSON document on standard output, and everything else on standard error
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    json: bool,

    /// `json` is the same as --json
    #[arg(
        long,
        global = true,
        help_heading = EVERYWHERE,
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

    /// Whether a repository was named.
    pub(crate) fn names_a_repo(&self) -> bool {
        self.repo.is_some()
    }

    pub(crate) fn here(&self) -> Result<Surroundings, Failure> {
        Surroundings::read(self.repo.as_deref())
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    Start(start::Args),
    Delegate(delegate::Args),
    Plan(plan::Args),
    Exec(exec::Args),
    Status(status::Args),
    List(list::Args),
    Logs(logs::Args),
    Wait(wait::Args),
    Pause(pause::Args),
    Resume(resume::Args),
    Cancel(cancel::Args),
    Message(message::Args),
    Diff(diff::Args),
    Apply(apply::Args),
    Open(open::Args),
    Discard(discard::Args),
    #[command(visible_alias = "questions")]
    Inbox(inbox::Args),
    Answer(answer::AnswerArgs),
    Dismiss(answer::DismissArgs),
    Approve(answer::ApproveArgs),
    Deny(answer::DenyArgs),
    Ui(ui::Args),
    Trust(trust::Args),
    Prune(prune::Args),
    Setup(setup::Args),
    Init(setup::InitArgs),
    Config(config::Args),
    Caps(caps::Args),
    Schema(schema::Args),
    Doctor(doctor::Args),
    /// Look quickly whether everything needed is there (`doctor --quick`)
    SelfCheck,
    Completions(completions::Args),
    Man(man::Args),
    /// Print the version
    Version,
    #[command(alias = "delegation-server")]
    DelegateServer(delegate_server::Args),
    #[command(name = "__run", hide = true)]
    Runner,
    #[command(name = "__serve", hide = true)]
    Serve(delegate_server::ChannelArgs),
    #[command(name = "__across", hide = true)]
    Across(delegate_server::AcrossArgs),
    #[command(name = "__notify", hide = true)]
    Notify(notify::Args),
}

/// What a command comes to: mostly nothing, sometimes an exit code that is no failure of ours.
pub(crate) type Outcome = Result<(), Failure>;

pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return bad_words(&error),
    };
    let json = cli.common.json();
    // Where that cannot be said nobody is told, and everything else goes its way.
    if let Ok(program) = notify::program() {
        engine::notify_by(program);
    }
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
        Some(Command::Delegate(args)) => delegate::run(args, common),
        Some(Command::Message(args)) => message::run(args, common),
        Some(Command::Diff(args)) => diff::run(args, common),
        Some(Command::Apply(args)) => apply::run(args, common),
        Some(Command::Open(args)) => open::run(args, common),
        Some(Command::Discard(args)) => discard::run(args, common),
        Some(Command::Plan(args)) => plan::run(args, common),
        Some(Command::Exec(args)) => exec::run(args, common),
        Some(Command::Status(args)) => status::run(args, common),
        Some(Command::List(args)) => list::run(args, common),
        Some(Command::Logs(args)) => logs::run(args, common),
        Some(Command::Wait(args)) => wait::run(args, common),
        Some(Command::Pause(args)) => pause::run(args, common),
        Some(Command::Resume(args)) => resume::run(args, common),
        Some(Command::Cancel(args)) => cancel::run(args, common),
        Some(Command::Inbox(args)) => inbox::run(args, common),
        Some(Command::Answer(args)) => answer::answer(args, common),
        Some(Command::Dismiss(args)) => answer::dismiss(args, common),
        Some(Command::Approve(args)) => answer::approve(args, common),
        Some(Command::Deny(args)) => answer::deny(args, common),
        Some(Command::Ui(args)) => ui::run(args, common),
        Some(Command::Trust(args)) => trust::run(args, common),
        Some(Command::DelegateServer(args)) => delegate_server::run(args, common),
        Some(Command::Across(args)) => delegate_server::run_across(args),
        Some(Command::Serve(args)) => delegate_server::run_for_channel(args),
        Some(Command::Prune(args)) => prune::run(args, common),
        Some(Command::Setup(args)) => setup::run(args, common),
        Some(Command::Init(args)) => setup::init(args, common),
        Some(Command::Config(args)) => config::run(args, common),
        Some(Command::Caps(args)) => caps::run(args, common),
        Some(Command::Schema(args)) => schema::run(args),
        Some(Command::Doctor(args)) => doctor::run(args, common),
        Some(Command::SelfCheck) => doctor::run(&doctor::Args { quick: true }, common),
        Some(Command::Completions(args)) => completions::run(args, common),
        Some(Command::Man(args)) => man::run(args, common),
        Some(Command::Version) => version(common),
        Some(Command::Runner) => runner::run(),
        Some(Command::Notify(args)) => notify::run(args),
    }
}

/// What `version` prints as JSON.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct VersionDocument {
    name: &'static str,
    version: &'static str,
}

fn version(common: &Common) -> Outcome {
    let version = env!("CARGO_PKG_VERSION");
    if common.json() {
        return json::write(&VersionDocument { name: "codex-orchestrator", version });
    }
    Screen::out().line(&format!("codex-orchestrator {version}"));
    Ok(())
}

/// The commands as clap knows them.
pub(crate) fn definition() -> clap::Command {
    Cli::command()
}

/// Help and the version go to standard output and are no failure; anything else that clap says
/// is bad usage, told as every failure is.
fn bad_words(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let words = Words::of(&error.render().to_string());
    let failure = Failure::usage(words.fault).hint(words.hint);
    tell(&failure, json_was_asked_for(std::env::args_os().skip(1)));
    if let Some(usage) = words.usage {
        Screen::error().line(&usage);
    }
    ExitCode::from(FailureKind::Usage.code())
}

/// Where the words could not be understood, whether `--json` was among them all the same.
fn json_was_asked_for(words: impl Iterator<Item = OsString>) -> bool {
    // What comes after `--` is for the command of `exec`.
    let words: Vec<OsString> = words.take_while(|word| word != "--").collect();
    let apart = |pair: &[OsString]| pair[0] == "--format" && pair[1] == "json";
    words.iter().any(|word| word == "--json" || word == "--format=json")
        || words.windows(2).any(apart)
}

/// What clap says, in the parts that our failures have.
struct Words {
    fault: String,
    hint: String,
    usage: Option<String>,
}

impl Words {
    fn of(text: &str) -> Self {
        let mut parts = text.trim_end().split("\n\n");
        let one_line = |part: &str| part.split_whitespace().collect::<Vec<_>>().join(" ");
        let fault = one_line(parts.next().unwrap_or_default());
        let mut hint = Vec::new();
        let mut usage = None;
        for part in parts {
            match part.trim_start() {
                tips if tips.starts_with("tip: ") => {
                    hint.extend(
                        tips.lines()
                            .map(|tip| one_line(tip.trim_start().trim_start_matches("tip: "))),
                    );
                }
                line if line.starts_with("Usage: ") => usage = Some(line.replacen('U', "u", 1)),
                _ => {}
            }
        }
        if hint.is_empty() {
            hint.push("`--help` shows what there is".to_owned());
        }
        let fault = fault.trim_start_matches("error: ").to_owned();
        Self { fault, hint: hint.join("; "), usage }
    }
}

fn tell(failure: &Failure, json: bool) {
    if json {
        let _ = json::write(&ErrorDocument::from(failure));
    }
    let screen = Screen::error();
    let text = lines_only(&failure.to_string());
    screen.line(&format!("{} {text}", screen.paint(Tone::Bad, "error:")));
    if let Some(hint) = failure.next_step() {
        screen.line(&format!("{} {}", screen.paint(Tone::Busy, "hint:"), lines_only(hint)));
    }
}

/// The text without anything that a terminal would act on, but for the ends of its lines: what
/// somebody typed, or what a file says, is repeated in failures.
fn lines_only(text: &str) -> String {
    text.lines().map(harmless).collect::<Vec<_>>().join("\n")
}

/// A path as a person would write it from the repository.
pub(crate) fn within(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_are_defined_without_contradiction() {
        definition().debug_assert();
    }

    #[test]
    fn every_command_and_every_flag_is_explained() {
        fn check(command: &clap::Command) {
            let name = command.get_name();
            assert!(command.get_about().is_some(), "`{name}`");
            for arg in command.get_arguments() {
                assert!(arg.get_help().is_some(), "`{name} {}`", arg.get_id());
            }
            command.get_subcommands().filter(|inner| !inner.is_hide_set()).for_each(check);
        }
        check(&definition());
    }

    #[test]
    fn what_clap_says_becomes_a_failure_of_ours() {
        let words = |line: &str| {
            let error = Cli::try_parse_from(line.split(' ')).unwrap_err();
            let words = Words::of(&error.render().to_string());
            [words.fault, words.hint, words.usage.unwrap_or_default()]
        };
        assert_eq!(
            words("x start --jsn"),
            [
                "unexpected argument '--jsn' found",
                "a similar argument exists: '--json'",
                "usage: codex-orch start --json [PIPELINE]",
            ]
        );
        assert_eq!(
            words("x completions fsh")[..2],
            [
                "invalid value 'fsh' for '<SHELL>' [possible values: bash, elvish, fish, powershell, zsh]",
                "a similar value exists: 'fish'",
            ]
        );
    }

    #[test]
    fn json_is_recognised_in_words_that_are_wrong() {
        let asked = |line: &str| json_was_asked_for(line.split(' ').map(OsString::from));
        assert!(asked("strat --json"));
        assert!(asked("strat --format json"));
        assert!(asked("--format=json strat"));
        assert!(!asked("strat --format text"));
        assert!(!asked("exec --nope -- ls --json"));
    }
}
