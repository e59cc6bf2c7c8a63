//! `caps check`: tries a command under caps, and says what they kept from it.

use std::collections::BTreeMap;

use engine::{Progress, Watcher};
use model::{Event, Run, RunSpec, StageIndex};
use repo::config::Loaded;
use serde::Serialize;

use super::{Common, Outcome, no_stage, start};
use crate::{
    cli::{delegate, exec},
    failure::Failure,
    render::{
        json,
        screen::{Screen, harmless},
    },
    surroundings::Surroundings,
};

/// Try a command under the caps of a stage, and say what they kept from it
///
/// It is run and recorded as by `exec`, and its exit code is the exit code. A pipeline that is
/// called `check` is shown by `caps -- check`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Under the caps of this pipeline [default: those that are written for all of them]
    #[arg(long, value_name = "NAME")]
    pipeline: Option<String>,

    /// Under those of this stage of it
    #[arg(long, value_name = "ID", requires = "pipeline")]
    stage: Option<String>,

    /// As it would be in a run that an agent has delegated
    #[arg(long)]
    delegated: bool,

    #[command(flatten)]
    what: start::What,

    /// The command and its arguments; after `--`, so that its flags are not taken for ours
    #[arg(trailing_var_arg = true, required = true, value_name = "CMD")]
    command: Vec<String>,
}

const EXAMPLES: &str = "\
Examples:
  codex-orch caps check -- cargo test
  codex-orch caps check --delegated -- cargo test
  codex-orch caps check --pipeline build --stage fetch -- cargo fetch --locked
  codex-orch caps check --config caps.network.mode=none -- curl https://example.com";

/// What `caps check` prints as JSON.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct Tried {
    /// The run of the command.
    #[serde(flatten)]
    run: start::Document,
    /// Whether something is written that it has to be kept to.
    confined: bool,
    /// What it was kept to, and whether that was proven; `null` where nothing held it.
    enforced: Option<serde_json::Value>,
    /// What it reached for and did not get.
    denied: Vec<Denial>,
}

/// A host that was not reached.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct Denial {
    /// Which, with its port.
    what: String,
    /// Why not, in a word.
    why: String,
    /// How often.
    count: u64,
    /// What would let it through.
    remedy: Option<String>,
}

pub(super) fn run(args: &Args, common: &Common) -> Outcome {
    let here = common.here()?;
    let mut loaded = here.config(&args.what.config)?;
    let more = match &args.pipeline {
        None => Vec::new(),
        Some(name) => of_stage(&here, &loaded, name, args.stage.as_deref())?,
    };
    loaded.caps.extend(more);
    let mut seen = Seen::default();
    let grant = args.delegated.then(|| delegate::of_a_person(&loaded));
    let ran = exec::carry_out(&here, &loaded, &args.what, &args.command, common, grant, &mut seen)?;
    let tried = Tried {
        run: ran.document,
        confined: ran.spec.is_confined(StageIndex(0)),
        enforced: ran.run.cage(StageIndex(0)).0.and_then(|cage| cage.get("enforced").cloned()),
        denied: seen.denials(),
    };
    if common.json() {
        json::write(&tried)?;
        return ran.ended.map_err(|failure| Failure::said(failure.kind));
    }
    show(&tried, ran.ended.is_err());
    ran.ended
}

/// What is written for a pipeline, and for a stage of it.
fn of_stage(
    here: &Surroundings,
    loaded: &Loaded,
    name: &str,
    stage: Option<&str>,
) -> Result<Vec<model::caps::WrittenCaps>, Failure> {
    let plan = start::plan_of(here, loaded, name)?;
    let Some(id) = stage else { return Ok(plan.caps.clone()) };
    let all = (0..).map(StageIndex).zip(&plan.stages);
    let found = all.into_iter().find(|(_, stage)| stage.id.to_string() == id);
    let (at, _) = found.ok_or_else(|| no_stage(&plan, id))?;
    Ok(plan.caps_of(at))
}

/// What was denied, as it is written down.
#[derive(Default)]
struct Seen(BTreeMap<(String, String), u64>);

impl Watcher for Seen {
    fn saw(&mut self, _: &RunSpec, _: &Run, progress: &Progress<'_>) {
        match progress {
            Progress::Trouble(text) => Screen::error().line(&format!("codex-orch: {text}")),
            Progress::Happened(events) => {
                for recorded in *events {
                    if let Event::CapDenied { what, why, count, .. } = &recorded.event {
                        *self.0.entry((what.clone(), why.clone())).or_default() += count;
                    }
                }
            }
            _ => {}
        }
    }
}

impl Seen {
    fn denials(self) -> Vec<Denial> {
        let denial = |((what, why), count): ((String, String), u64)| {
            let remedy = engine::remedy(&what, &why);
            Denial { what, why, count, remedy }
        };
        self.0.into_iter().map(denial).collect()
    }
}

fn show(tried: &Tried, failed: bool) {
    let screen = Screen::error();
    let say = |text: &str| screen.line(&format!("codex-orch: {text}"));
    if !tried.confined {
        return say("nothing is written that it has to be kept to: it may do what you may");
    }
    match tried.enforced.as_ref().map(held) {
        Some(held) if !held.is_empty() => say(&format!("it was held to {}", held.join(", "))),
        _ => say("nothing held it to its caps"),
    }
    for Denial { what, why, count, remedy } in &tried.denied {
        let often = if *count > 1 { format!(" {count} times") } else { String::new() };
        say(&format!("denied {}{often} ({why})", harmless(what)));
        if let Some(remedy) = remedy {
            say(&format!("  {remedy}"));
        }
    }
    // The kernel tells nobody but the command what it keeps from it in files.
    if failed && tried.denied.is_empty() {
        say("no host was denied; where it was refused a file, `Read-only file system` stands for \
             `caps.fs.write` and `caps.fs.protect`, and what is missing for `caps.fs.hide`, \
             `caps.fs.tmp` and `caps.env`");
    }
}

/// The names of the guarantees that it was held to.
fn held(enforced: &serde_json::Value) -> Vec<String> {
    let all = enforced["standings"].as_array().into_iter().flatten();
    all.filter_map(|one| one["guarantee"].as_str().map(ToOwned::to_owned)).collect()
}
