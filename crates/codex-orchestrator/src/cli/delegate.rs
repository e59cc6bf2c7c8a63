//! `delegate`: a prompt as a run of one Codex stage.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use model::{By, CommandLine, Door, Grant, Origin, OwnTree, RunSpec, Sandbox};
use repo::{
    config::Loaded,
    prepare::{self, Wishes},
};

use super::{
    Common, Outcome,
    start::{self, Kin, What},
};
use crate::{failure::Failure, leave, render::screen::Screen, surroundings::Surroundings};

/// Have Codex work on something in the background or here, in a work tree of its own
///
/// What it changes is committed on a branch of its own and stays there until you look at it. What
/// it may not do by itself, it asks for: see `codex-orch inbox`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What it is to do; `-` reads it from standard input
    prompt: String,

    #[command(flatten)]
    what: What,

    /// Work in a git work tree and on a branch of its own [the default]
    #[arg(long, conflicts_with = "here")]
    worktree: bool,

    /// Work in the work tree that you are in
    #[arg(long)]
    here: bool,

    /// Take uncommitted work along into the work tree
    #[arg(long, conflicts_with = "here")]
    with_changes: bool,

    /// Run it in the background, and come back as soon as it is started
    #[arg(long)]
    detach: bool,

    /// The model [default: the one of your settings for Codex]
    #[arg(long, value_name = "NAME")]
    model: Option<String>,

    /// How hard it thinks, such as low, medium or high
    #[arg(long, value_name = "EFFORT")]
    effort: Option<String>,

    /// What Codex lets its commands do: read-only, workspace-write or danger-full-access
    #[arg(long, value_name = "SANDBOX", value_parser = sandbox)]
    sandbox: Option<Sandbox>,

    /// A command that has to succeed before it is done; what fails goes back to it
    #[arg(long, value_name = "COMMAND")]
    verify: Option<String>,

    /// How often that may fail before the run does
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    max_attempts: Option<u32>,

    /// A file with a JSON Schema that its last message has to fit
    #[arg(long, value_name = "FILE")]
    output_schema: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  codex-orch delegate \"Mend the flaky test in crates/net\" --detach
  codex-orch delegate --verify 'cargo test' \"Port the parser to winnow\"
  codex-orch delegate --here --sandbox read-only \"Where is the cache invalidated?\"
  codex-orch delegate --config limits.tokens=500000 - < task.md";

fn sandbox(text: &str) -> Result<Sandbox, String> {
    Sandbox::named(text).ok_or_else(|| format!("it is one of {}", Sandbox::NAMES.join(", ")))
}

pub(crate) fn run(args: &Args, common: &Common) -> Outcome {
    let here = common.here()?;
    let dirty = start::git_state(&here);
    let loaded = here.config(&args.what.config)?;
    let (task, from) = here.task(args.what.task.as_deref())?;
    let prompt = match args.prompt.as_str() {
        "-" => {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .map_err(|error| Failure::usage(format!("standard input: {error}")))?;
            text
        }
        text => text.to_owned(),
    };
    if prompt.trim().is_empty() {
        return Err(Failure::usage("the prompt is empty").hint("say what is to be done"));
    }
    let screen = if common.json() { Screen::error() } else { Screen::out() };
    let wishes = Wishes {
        model: args.model.clone(),
        effort: args.effort.clone(),
        sandbox: args.sandbox,
        verify: args.verify.clone().map(CommandLine::Shell),
        max_attempts: args.max_attempts,
        output_schema: args.output_schema.as_deref().map(schema).transpose()?,
        cwd: super::exec::cwd_within(&here),
        setup: match args.here {
            true => None,
            false => prepare::tree_setup(
                &here.place,
                &loaded,
                &std::env::var_os("PATH").unwrap_or_default(),
            ),
        },
    };
    let plan = prepare::prompt_plan(&loaded, &prompt, wishes).map_err(Failure::usage)?;
    // What a person or an agent says in words is nothing that somebody else has written.
    let above = leave::above(&here, &loaded, &args.what, None)?;
    if !args.here {
        own_tree_is_possible(&here)?;
    }
    let mut engine = start::open(&here)?;
    let kin = Kin { task, above: &above };
    let spec = start::spec(&here, &loaded, plan, Origin::Delegate, kin, &args.what, dirty)?;
    let own_tree = (!args.here).then(|| OwnTree {
        path: engine.own_tree(&spec.run_id).to_string_lossy().into_owned(),
        with_changes: args.with_changes,
        carry: loaded.settings.worktree.carry.clone(),
        of_another: false,
    });
    let grant = spec.grant.or(Some(of_a_person(&loaded)));
    let spec = RunSpec { own_tree, grant, ..spec };
    above.note(&engine, &spec.run_id)?;
    let from = (args.what.task.is_none()).then_some(from);
    let undertaking = above.undertaking(spec);
    match args.detach {
        true => start::in_background(&mut engine, undertaking, from, common, screen),
        false => start::in_foreground(&mut engine, undertaking, from, common, screen),
    }
}

fn schema(path: &Path) -> Result<serde_json::Value, Failure> {
    let bad = |why: String| Failure::usage(format!("{}: {why}", path.display()));
    let text = fs::read(path).map_err(|error| bad(error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| bad(format!("it is no JSON: {error}")))
}

/// What a run has that a person delegates.
pub(super) fn of_a_person(loaded: &Loaded) -> Grant {
    Grant {
        by: By::Person { door: Door::Cli },
        mode: loaded.settings.delegate.child_mode,
        depth: 1,
        parent_root: None,
        caller_sandbox: None,
    }
}

/// A work tree begins with a commit.
fn own_tree_is_possible(here: &Surroundings) -> Outcome {
    let head = here.place.git.as_ref().map(repo::git::head);
    let fault = match head {
        None => "there is no git repository here to make a work tree of",
        Some(Some(head)) if head.commit().is_none() => {
            "nothing is committed here yet that a work tree could begin with"
        }
        Some(_) => return Ok(()),
    };
    Err(Failure::usage(fault).hint("commit something first, or work right here with `--here`"))
}
