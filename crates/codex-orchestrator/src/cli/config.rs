//! `config`: the settings in effect, and where they come from.

use serde::Serialize;

use super::{Common, Outcome, start};
use crate::{
    render::{
        json,
        screen::{Screen, Tone},
    },
    surroundings::Surroundings,
};

/// Show every setting in effect, and where it comes from
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,

    /// A setting, as for `start`
    #[arg(long = "config", value_name = "K=V")]
    config: Vec<String>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Read every config file and pipeline, and say what is wrong with them; for CI
    Check,
}

/// What `config` prints as JSON.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct Document {
    /// Every setting, where it comes from, and the name of all that holds.
    #[serde(flatten)]
    facts: model::ConfigFacts,
    /// The pipelines as they would be written, each with where it was.
    pipelines: serde_json::Value,
    /// What is no fault and may be a surprise.
    notes: Vec<NoteEntry>,
    /// The config files that there are.
    files: Vec<String>,
    /// What the override variables say to Codex and not to us.
    for_codex: Vec<String>,
}

/// What `config check` prints as JSON.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct Checked {
    /// The config files that there are.
    files: Vec<String>,
    pipelines: usize,
    /// The stages of all pipelines.
    stages: usize,
    /// What is no fault and may be a surprise.
    notes: Vec<NoteEntry>,
}

#[derive(Debug, Serialize, schemars::JsonSchema)]
struct NoteEntry {
    place: String,
    text: String,
}

pub(crate) fn run(args: &Args, common: &Common) -> Outcome {
    let here = common.here()?;
    let loaded = here.config(&args.config)?;
    if let Some(Command::Check) = args.command {
        return check(&here, &loaded, common);
    }
    if common.json() {
        return json::write(&document(&loaded));
    }
    let screen = Screen::out();
    let facts = loaded.facts();
    for (name, origin) in &loaded.origins {
        let value = name
            .split('.')
            .try_fold(&*facts.effective, |value, key| value.get(key))
            .map_or(String::new(), ToString::to_string);
        // The place says which layer it is of.
        let from = match origin.place.is_empty() {
            true => origin.layer.as_str(),
            false => &origin.place,
        };
        screen.line(&format!(
            "{name} = {value}  {}",
            screen.paint(Tone::Faint, &format!("# {from}"))
        ));
    }
    for note in &loaded.notes {
        screen.line(&format!("note: {}: {}", note.place, note.text));
    }
    Ok(())
}

fn document(loaded: &repo::config::Loaded) -> Document {
    Document {
        facts: loaded.facts(),
        pipelines: loaded.to_json()["pipelines"].take(),
        notes: loaded.notes.iter().map(note).collect(),
        files: loaded.files.clone(),
        for_codex: loaded.for_codex.clone(),
    }
}

fn note(note: &repo::config::Note) -> NoteEntry {
    NoteEntry { place: note.place.to_string(), text: note.text.clone() }
}

/// Plans every pipeline, so that what only planning finds is found too.
fn check(here: &Surroundings, loaded: &repo::config::Loaded, common: &Common) -> Outcome {
    let mut stages = 0;
    for pipeline in loaded.pipelines() {
        let plan = start::plan_of(here, loaded, &pipeline.id)?;
        stages += plan.stages.len();
    }
    let pipelines = loaded.pipelines().count();
    if common.json() {
        return json::write(&Checked {
            files: loaded.files.clone(),
            pipelines,
            stages,
            notes: loaded.notes.iter().map(note).collect(),
        });
    }
    let screen = Screen::out();
    for note in &loaded.notes {
        screen.line(&format!("note: {}: {}", note.place, note.text));
    }
    let files = match loaded.files.as_slice() {
        [] => "no config files".to_owned(),
        files => files.join(", "),
    };
    screen.line(&format!(
        "{} {files}: {}, {}",
        screen.paint(Tone::Good, "✓"),
        crate::render::human::count(pipelines, "pipeline"),
        crate::render::human::count(stages, "stage"),
    ));
    Ok(())
}
