//! The plan of a run that is one prompt.

use std::{collections::BTreeMap, ffi::OsStr};

use model::{
    Budget, CodexStage, CommandLine, CommandStage, PROMPT_PIPELINE, Pipeline, Plan, PlanError,
    PlannedBody, Sandbox, Source, Stage, StageBody, StageId,
};

use crate::{config::Loaded, locate::Place, survey};

/// What whoever delegates a prompt may say beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// The model.
    pub model: Option<String>,
    /// How hard it thinks.
    pub effort: Option<String>,
    /// What Codex lets its commands do.
    pub sandbox: Option<Sandbox>,
    /// What has to succeed before it is done.
    pub verify: Option<CommandLine>,
    /// How often that may fail.
    pub max_attempts: Option<u32>,
    /// A JSON Schema that its last message has to fit.
    pub output_schema: Option<serde_json::Value>,
    /// The folder it works in, relative to the work tree.
    pub cwd: Option<String>,
    /// What is run in its work tree first, with whether it may fail.
    pub setup: Option<(CommandLine, bool)>,
}

/// What makes a fresh work tree ready, and whether that may fail: as it is written, which has to
/// succeed, or as the repository's lock files tell, with the programs that are on `path`.
#[must_use]
pub fn tree_setup(place: &Place, loaded: &Loaded, path: &OsStr) -> Option<(CommandLine, bool)> {
    let settings = &loaded.settings.worktree;
    match (settings.set_up, &settings.setup) {
        (false, _) => None,
        (true, Some(written)) => Some((written.clone(), false)),
        (true, None) => {
            let line = survey::setup(&place.work_tree, path).line()?;
            Some((CommandLine::Shell(line), true))
        }
    }
}

/// The plan of a run that is that prompt.
///
/// # Errors
///
/// None that anybody has seen: it is a plan of one or two stages.
pub fn prompt_plan(loaded: &Loaded, prompt: &str, wishes: Wishes) -> Result<Plan, PlanError> {
    let id = |text: &str| -> StageId { text.parse().expect("a plain word is a stage id") };
    let stage = |name: &str, title: Option<String>, allow_failure, body| Stage {
        id: id(name),
        title,
        needs: None,
        allow_failure,
        summary_hint: None,
        body,
        caps: None,
        source: Source::CommandLine,
    };
    let mut stages = Vec::new();
    if let Some((command, may_fail)) = wishes.setup {
        let title = Some(command.as_typed());
        let body = StageBody::Command(CommandStage::new(command));
        stages.push(stage("setup", title, may_fail, body));
    }
    let codex = CodexStage {
        prompt: prompt.to_owned(),
        prompt_file: None,
        as_is: true,
        model: wishes.model,
        effort: wishes.effort,
        sandbox: wishes.sandbox,
        output_schema: wishes.output_schema,
        verify: wishes.verify,
        max_attempts: wishes.max_attempts,
        limits: Budget::default(),
        cwd: wishes.cwd,
        env: BTreeMap::new(),
        timeout: None,
        idle: None,
    };
    let title = title_of(prompt);
    stages.push(stage("codex", Some(title.clone()), false, StageBody::Codex(Box::new(codex))));
    loaded.plan_of(&Pipeline {
        id: PROMPT_PIPELINE.to_owned(),
        title: Some(title),
        description: None,
        stages,
        max_parallel: None,
        caps: None,
        source: Source::CommandLine,
    })
}

/// A prompt that cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the prompt of stage `{stage}`, {file}: {why}")]
pub struct BadPrompt {
    /// The stage.
    pub stage: StageId,
    /// The file that should say it.
    pub file: String,
    /// What is wrong with it.
    pub why: String,
}

/// Reads the prompts that stand in files of their own.
///
/// # Errors
///
/// The first that cannot be read, says nothing, or has a blank that nothing fills.
pub(crate) fn read_prompts(
    plan: &mut Plan,
    read: impl Fn(&str) -> Result<Option<String>, String>,
) -> Result<(), BadPrompt> {
    for stage in &mut plan.stages {
        let PlannedBody::Codex(codex) = &mut stage.body else { continue };
        let Some(file) = codex.prompt_file.clone() else { continue };
        let bad = |why: String| BadPrompt { stage: stage.id.clone(), file: file.clone(), why };
        let text = read(&file).map_err(bad)?.ok_or_else(|| bad("it is not there".to_owned()))?;
        if text.trim().is_empty() {
            return Err(bad("it is empty".to_owned()));
        }
        model::check_blanks(&text).map_err(|fault| bad(fault.to_string()))?;
        codex.prompt = text;
    }
    Ok(())
}

/// The first line of a prompt, as far as a title goes.
fn title_of(prompt: &str) -> String {
    const LONGEST: usize = 80;
    let line = prompt.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let line: String = line.chars().filter(|c| !c.is_control()).collect();
    match line.chars().count() > LONGEST {
        true => format!("{}…", line.chars().take(LONGEST - 1).collect::<String>().trim_end()),
        false => line,
    }
}
