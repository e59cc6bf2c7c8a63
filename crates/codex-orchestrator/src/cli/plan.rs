//! `plan`: shows what `start` would do.

use std::fmt::Write as _;

use model::{CommandStage, LeftOut, Plan, PlannedBody, PlannedStage, Source};
use serde::Serialize;

use super::{Common, Outcome, start};
use crate::render::{
    human, json,
    screen::{Screen, Tone, columns, fit, harmless},
    table,
};

/// Show what `start` would run, and where each stage comes from; nothing is run
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The pipeline; without one, the one that `start` would take
    pipeline: Option<String>,

    /// List the pipelines there are
    #[arg(long, conflicts_with = "pipeline")]
    list: bool,

    /// A setting, as for `start`
    #[arg(long = "config", value_name = "K=V")]
    config: Vec<String>,
}

/// What `plan` prints as JSON.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct Document {
    /// The pipeline.
    pipeline: String,
    /// What people read instead of the id.
    title: String,
    /// Where it was written.
    source: Source,
    /// How many stages may run at one time.
    max_parallel: usize,
    /// In the order they are shown in; a stage runs when what it needs has succeeded.
    stages: Vec<StageDocument>,
    /// What could be checked and is not.
    left_out: Vec<LeftOut>,
}

/// One stage of a plan.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct StageDocument {
    index: u32,
    id: String,
    title: String,
    kind: &'static str,
    command: Option<String>,
    pipeline: Option<String>,
    parent: Option<String>,
    needs: Vec<String>,
    cwd: Option<String>,
    env: std::collections::BTreeMap<String, String>,
    timeout_seconds: Option<f64>,
    retries: u32,
    allow_failure: bool,
    /// What its thread is run with, for a stage that is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    codex: Option<serde_json::Value>,
    source: Source,
}

/// What `plan --list` prints as JSON.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct Pipelines {
    /// Those that are written.
    pipelines: Vec<PipelineEntry>,
}

#[derive(Debug, Serialize, schemars::JsonSchema)]
struct PipelineEntry {
    pipeline: String,
    title: Option<String>,
    description: Option<String>,
    /// As they are written: a sub-pipeline is one of them.
    stages: usize,
    source: Source,
}

pub(crate) fn run(args: &Args, common: &Common) -> Outcome {
    let here = common.here()?;
    let loaded = here.config(&args.config)?;
    let screen = Screen::out();
    for note in &loaded.notes {
        Screen::error().line(&format!("note: {}: {}", note.place, note.text));
    }
    if args.list {
        return list(&loaded, common, screen);
    }
    let name = args.pipeline.as_deref().unwrap_or(&loaded.settings.run.default_pipeline);
    let plan = start::plan_of(&here, &loaded, name)?;
    if common.json() {
        return json::write(&document(&plan));
    }
    show(screen, &plan);
    Ok(())
}

fn list(loaded: &repo::config::Loaded, common: &Common, screen: Screen) -> Outcome {
    if common.json() {
        let entry = |pipeline: &model::Pipeline| PipelineEntry {
            pipeline: pipeline.id.clone(),
            title: pipeline.title.clone(),
            description: pipeline.description.clone(),
            stages: pipeline.stages.len(),
            source: pipeline.source.clone(),
        };
        return json::write(&Pipelines { pipelines: loaded.pipelines().map(entry).collect() });
    }
    // What it is about may be long, and what is last is cut where there is no room.
    let row = |id: &str, stages: String, about: &str, source: String| -> Vec<table::Cell> {
        vec![
            (id.to_owned(), Some(Tone::Strong)),
            (stages, None),
            (source, Some(Tone::Faint)),
            (harmless(about), None),
        ]
    };
    let mut rows: Vec<_> = loaded
        .pipelines()
        .map(|pipeline| {
            let about = pipeline.description.as_deref().or(pipeline.title.as_deref());
            let stages = human::count(pipeline.stages.len(), "stage");
            row(&pipeline.id, stages, about.unwrap_or_default(), pipeline.source.to_string())
        })
        .collect();
    if loaded.pipeline(repo::survey::PIPELINE).is_err() {
        let about = "build, lint and test what is recognised here";
        rows.push(row(repo::survey::PIPELINE, String::new(), about, String::new()));
    }
    table::write(screen, &["pipeline", "stages", "written in", "about"], &rows);
    Ok(())
}

fn document(plan: &Plan) -> Document {
    let stages =
        plan.stages.iter().zip(1..).map(|(stage, index)| stage_document(plan, stage, index));
    Document {
        pipeline: plan.pipeline.clone(),
        title: plan.title.clone(),
        source: plan.source.clone(),
        max_parallel: plan.max_parallel,
        stages: stages.collect(),
        left_out: plan.left_out.clone(),
    }
}

fn stage_document(plan: &Plan, stage: &PlannedStage, index: u32) -> StageDocument {
    let id = |at: &model::StageIndex| plan.stages[at.get()].id.to_string();
    let none = CommandStage {
        command: model::CommandLine::Argv(Vec::new()),
        cwd: None,
        env: std::collections::BTreeMap::new(),
        timeout: None,
        retries: 0,
    };
    let (kind, command, pipeline) = match &stage.body {
        PlannedBody::Command(command) => ("command", Some(command), None),
        PlannedBody::Codex(_) => ("codex", None, None),
        PlannedBody::Pipeline(pipeline) => ("pipeline", None, Some(pipeline.clone())),
    };
    let details = command.unwrap_or(&none);
    StageDocument {
        index,
        id: stage.id.to_string(),
        title: stage.title.clone(),
        kind,
        command: stage.body.line(),
        codex: match &stage.body {
            PlannedBody::Codex(codex) => serde_json::to_value(codex).ok(),
            PlannedBody::Command(_) | PlannedBody::Pipeline(_) => None,
        },
        pipeline,
        parent: stage.within.as_ref().map(id),
        needs: stage.needs.iter().map(id).collect(),
        cwd: details.cwd.clone(),
        env: details.env.clone(),
        timeout_seconds: details.timeout.map(|timeout| timeout.as_secs_f64()),
        retries: details.retries,
        allow_failure: stage.allow_failure,
        source: stage.source.clone(),
    }
}

fn show(screen: Screen, plan: &Plan) {
    let source = screen.paint(Tone::Faint, &plan.source.to_string());
    let title = match plan.title == plan.pipeline {
        true => String::new(),
        false => format!("  {}", harmless(&plan.title)),
    };
    screen.line(&format!("{}{title}  {source}", screen.paint(Tone::Strong, &plan.pipeline)));
    /// Columns for names: a longer one moves only its own line.
    const WIDEST: usize = 24;
    let widths = plan.stages.iter().map(|stage| columns(stage.id.as_str()));
    let widest = widths.filter(|width| *width <= WIDEST).max().unwrap_or(0);
    for (stage, number) in plan.stages.iter().zip(1..) {
        let name = screen.paint(Tone::Strong, stage.id.as_str());
        let depth = stage.id.as_str().matches('/').count();
        let indent = "  ".repeat(depth);
        let what = match &stage.body {
            body @ (PlannedBody::Command(_) | PlannedBody::Codex(_)) => {
                fit(&harmless(&body.line().unwrap_or_default()), 160)
            }
            PlannedBody::Pipeline(pipeline) => format!("pipeline {pipeline}"),
        };
        let gap = " ".repeat(widest.saturating_sub(columns(stage.id.as_str())));
        screen.line(&format!("{indent}{number:>3} {name}{gap}  {what}"));
        let about = details(plan, stage);
        screen.line(&screen.paint(Tone::Faint, &format!("{indent}      {about}")));
    }
    for left in &plan.left_out {
        screen.line(&format!("left out {}: {}; {}", left.what, left.why, left.remedy));
    }
}

/// Everything about a stage that is not its command, on one line.
fn details(plan: &Plan, stage: &PlannedStage) -> String {
    let mut text = stage.source.to_string();
    if !stage.needs.is_empty() {
        let needs: Vec<_> =
            stage.needs.iter().map(|need| plan.stages[need.get()].id.as_str()).collect();
        let _ = write!(text, "; after {}", needs.join(", "));
    }
    if stage.allow_failure {
        text.push_str("; may fail");
    }
    if let PlannedBody::Codex(codex) = &stage.body {
        let _ = write!(text, "; codex, {}", codex.sandbox.unwrap_or_default().as_str());
        for (what, value) in [("model", &codex.model), ("effort", &codex.effort)] {
            if let Some(value) = value {
                let _ = write!(text, "; {what} {}", harmless(value));
            }
        }
        if let Some(verify) = &codex.verify {
            let tries = codex.max_attempts.unwrap_or(1);
            let line = fit(&harmless(&verify.as_typed()), 80);
            let _ = write!(text, "; verified by `{line}`, up to {tries} times");
        }
    }
    if let PlannedBody::Command(command) = &stage.body {
        if let Some(cwd) = &command.cwd {
            let _ = write!(text, "; in {cwd}");
        }
        for (key, value) in &command.env {
            let _ = write!(text, "; {key}={}", fit(&harmless(value), 40));
        }
        if let Some(timeout) = command.timeout {
            let _ = write!(text, "; at most {}", human::length(timeout));
        }
        if command.retries > 0 {
            let _ = write!(text, "; up to {} tries", command.retries + 1);
        }
    }
    text
}
