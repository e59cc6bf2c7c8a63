//! `config`: the settings in effect, and where they come from.

use super::{Common, Outcome};
use crate::render::{
    json,
    screen::{Screen, Tone},
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

pub(crate) fn run(args: &Args, common: &Common) -> Outcome {
    let here = common.here()?;
    let loaded = here.config(&args.config)?;
    if let Some(Command::Check) = args.command {
        return check(&loaded, common);
    }
    if common.json() {
        return json::write(&loaded.to_json());
    }
    let screen = Screen::out();
    let facts = loaded.facts();
    for (name, origin) in &loaded.origins {
        let value = name
            .split('.')
            .try_fold(&facts.effective, |value, key| value.get(key))
            .map_or(String::new(), ToString::to_string);
        let from = match origin.place.is_empty() {
            true => origin.layer.as_str().to_owned(),
            false => format!("{}: {}", origin.layer.as_str(), origin.place),
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

/// Plans every pipeline, so that what only planning finds is found too.
fn check(loaded: &repo::config::Loaded, common: &Common) -> Outcome {
    let mut stages = 0;
    for pipeline in loaded.pipelines() {
        let plan = loaded.plan_of(pipeline).map_err(crate::failure::Failure::usage)?;
        stages += plan.stages.len();
    }
    let pipelines = loaded.pipelines().count();
    if common.json() {
        let notes: Vec<_> = loaded
            .notes
            .iter()
            .map(|note| serde_json::json!({ "place": note.place, "text": note.text }))
            .collect();
        return json::write(&serde_json::json!({
            "files": loaded.files, "pipelines": pipelines, "stages": stages, "notes": notes,
        }));
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
