//! What a run is going to do: a pipeline with its sub-pipelines put in their places.

mod resolve;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{CodexStage, CommandStage, Source, StageId, caps::WrittenCaps, needs::cycle};

pub use resolve::{MOST_STAGES, PlanError};

/// A stage's place in its plan, counted from 0.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct StageIndex(pub u32);

impl StageIndex {
    /// As an index into `Plan::stages`.
    #[must_use]
    pub fn get(self) -> usize {
        self.0 as usize
    }

    /// The number that people see, from 1.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0 + 1
    }
}

/// The stages of one run, flat: a stage that runs a pipeline is followed by that pipeline's stages.
///
/// A plan is made by `resolve`, or read from JSON that passes the same check; no other crate can
/// put one together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
#[non_exhaustive]
pub struct Plan {
    /// The id of the pipeline.
    pub pipeline: String,
    /// What people read instead of the id.
    pub title: String,
    /// Where the pipeline was written.
    pub source: Source,
    /// How many stages that run a command may run at one time; at least 1.
    pub max_parallel: usize,
    /// What the pipeline says of what its stages may do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub caps: Vec<WrittenCaps>,
    /// At least one, but for the plan of a session.
    pub stages: Vec<PlannedStage>,
    /// What could have been checked and is not, for a recognised pipeline.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
}

/// One stage of a plan. Its needs stand beside it, in any order, and the stage it is within stands
/// before it; a plan never has a cycle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PlannedStage {
    /// Its full id, `checks/build` for a stage of a sub-pipeline.
    pub id: StageId,
    /// What people read instead of the id.
    pub title: String,
    /// The stage that runs the sub-pipeline this stage is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<StageIndex>,
    /// Stages of the same pipeline that must have succeeded before (or may fail and have ended).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<StageIndex>,
    /// Its failure is recorded and fails nothing else.
    #[serde(default)]
    pub allow_failure: bool,
    /// A sentence that stands in for its summary when it succeeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary_hint: Option<String>,
    /// What it does.
    pub body: PlannedBody,
    /// What is said of what it may do, by itself and by the pipeline that it runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub caps: Vec<WrittenCaps>,
    /// Where it was written.
    pub source: Source,
}

/// What a planned stage does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlannedBody {
    /// It runs a command.
    Command(CommandStage),
    /// It runs a Codex thread.
    Codex(Box<CodexStage>),
    /// It stands for a sub-pipeline of that id, whose stages are `within` it.
    Pipeline(String),
}

impl PlannedBody {
    /// Whether it has processes of its own; a sub-pipeline's are those of its stages.
    #[must_use]
    pub fn has_processes(&self) -> bool {
        match self {
            Self::Command(_) | Self::Codex(_) => true,
            Self::Pipeline(_) => false,
        }
    }

    /// The command as it could be typed, or the first line of the prompt.
    #[must_use]
    pub fn line(&self) -> Option<String> {
        match self {
            Self::Command(command) => Some(command.command.as_typed()),
            Self::Codex(codex) => {
                let lines = codex.prompt.lines().map(str::trim);
                Some(lines.into_iter().find(|line| !line.is_empty()).unwrap_or_default().to_owned())
            }
            Self::Pipeline(_) => None,
        }
    }
}

/// Something that was recognised and is not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LeftOut {
    /// The check, such as `mypy` or `lint of web/`.
    pub what: String,
    /// Why it is not run.
    pub why: String,
    /// What to do so that it is.
    pub remedy: String,
}

/// A plan as it stands in JSON, before anyone has looked at it.
#[derive(Deserialize)]
struct Unchecked {
    pipeline: String,
    title: String,
    source: Source,
    max_parallel: usize,
    #[serde(default)]
    caps: Vec<WrittenCaps>,
    stages: Vec<PlannedStage>,
    #[serde(default)]
    left_out: Vec<LeftOut>,
}

/// The stored plan is none that we would have made.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the plan of `{pipeline}` is broken: {fault}")]
struct BrokenPlan {
    pipeline: String,
    fault: String,
}

impl TryFrom<Unchecked> for Plan {
    type Error = BrokenPlan;

    fn try_from(read: Unchecked) -> Result<Self, BrokenPlan> {
        let Unchecked { pipeline, title, source, max_parallel, caps, stages, left_out } = read;
        let plan = Self { pipeline, title, source, max_parallel, caps, stages, left_out };
        match plan.fault() {
            None => Ok(plan),
            Some(fault) => Err(BrokenPlan { pipeline: plan.pipeline, fault }),
        }
    }
}

/// The pipeline of runs that are one prompt. Nobody can write one of that name.
pub const PROMPT: &str = "prompt";

/// The pipeline of runs that stand for a session.
const SESSION: &str = "session";

impl Plan {
    /// The plan of a run that stands for a session: it does nothing by itself.
    #[must_use]
    pub fn of_session(title: String) -> Self {
        Self {
            pipeline: SESSION.to_owned(),
            title,
            source: Source::BuiltIn,
            max_parallel: 1,
            caps: Vec::new(),
            stages: Vec::new(),
            left_out: Vec::new(),
        }
    }

    /// The plan of a run that goes on with the thread of that stage, by another instruction.
    #[must_use]
    pub fn following(&self, stage: StageIndex, text: &str) -> Self {
        let mut plan = self.clone();
        let mut next = plan.stages.swap_remove(stage.get());
        let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        let title: String = line.chars().take(80).collect();
        if let Ok(id) = "codex".parse() {
            next.id = id;
        }
        if let PlannedBody::Codex(codex) = &mut next.body {
            text.clone_into(&mut codex.prompt);
            codex.as_is = true;
            codex.prompt_file = None;
        }
        // What its caps were where it stood, they are here.
        next.caps = self.caps_of(stage);
        plan.caps = Vec::new();
        next.title.clone_from(&title);
        (next.within, next.needs) = (None, Vec::new());
        PROMPT.clone_into(&mut plan.pipeline);
        plan.title = title;
        plan.left_out = Vec::new();
        plan.stages = vec![next];
        plan
    }

    /// Whether it is the plan of a session; every other has stages.
    #[must_use]
    pub fn is_session(&self) -> bool {
        self.pipeline == SESSION && self.stages.is_empty() && self.source == Source::BuiltIn
    }

    /// The place of the stage with that full id.
    #[must_use]
    pub fn find(&self, id: &StageId) -> Option<StageIndex> {
        (0..).map(StageIndex).zip(&self.stages).find(|(_, stage)| stage.id == *id).map(|(at, _)| at)
    }

    /// Whether the run goes on when that stage fails: it may fail, or what it is within may.
    #[must_use]
    pub fn excuses(&self, stage: StageIndex) -> bool {
        let stage = &self.stages[stage.get()];
        stage.allow_failure || stage.within.is_some_and(|group| self.excuses(group))
    }

    /// All that the plan says of what a stage may do: what is said of it, and of all it is within.
    #[must_use]
    pub fn caps_of(&self, stage: StageIndex) -> Vec<WrittenCaps> {
        let stage = &self.stages[stage.get()];
        let mut all = match stage.within {
            Some(outer) => self.caps_of(outer),
            None => self.caps.clone(),
        };
        all.extend(stage.caps.iter().cloned());
        all
    }

    /// The first thing that makes it no plan. Whoever walks a plan relies on each of these.
    fn fault(&self) -> Option<String> {
        if self.max_parallel == 0 {
            return Some("nothing may run at any time".to_owned());
        }
        if self.stages.is_empty() && !self.is_session() {
            return Some("it has no stages".to_owned());
        }
        if self.stages.len() > MOST_STAGES {
            return Some("it has too many stages".to_owned());
        }
        let mut ids = BTreeSet::new();
        let mut filled = BTreeSet::new();
        for (place, stage) in self.stages.iter().enumerate() {
            let id = &stage.id;
            if !ids.insert(id) {
                return Some(format!("two stages are `{id}`"));
            }
            let outer = match stage.within {
                None => None,
                Some(outer) if outer.get() >= place => {
                    return Some(format!("`{id}` is within a stage that does not stand before it"));
                }
                Some(outer) => Some(&self.stages[outer.get()]),
            };
            if outer.is_some_and(|outer| !matches!(outer.body, PlannedBody::Pipeline(_))) {
                return Some(format!("`{id}` is within a stage that runs no pipeline"));
            }
            if id.outer() != outer.map(|outer| outer.id.as_str()) {
                return Some(format!("`{id}` does not carry the id of the stage it is within"));
            }
            let before = place.checked_sub(1).map(|before| self.stages[before].id.as_str());
            let beside = |outer: &PlannedStage| {
                before.is_some_and(|before| {
                    let rest = before.strip_prefix(outer.id.as_str());
                    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                })
            };
            if outer.is_some_and(|outer| !beside(outer)) {
                return Some(format!("`{id}` stands apart from the stage it is within"));
            }
            filled.extend(stage.within);
            for need in &stage.needs {
                match self.stages.get(need.get()) {
                    None => return Some(format!("`{id}` needs a stage that does not exist")),
                    Some(needed) if needed.within != stage.within => {
                        return Some(format!("`{id}` needs a stage of another pipeline"));
                    }
                    Some(_) => {}
                }
            }
        }
        let hollow = self.stages.iter().enumerate().find(|(place, stage)| {
            let place = u32::try_from(*place).map(StageIndex);
            matches!(stage.body, PlannedBody::Pipeline(_))
                && place.is_ok_and(|place| !filled.contains(&place))
        });
        if let Some((_, stage)) = hollow {
            return Some(format!("`{}` runs a pipeline without stages", stage.id));
        }
        let needs = |stage: &PlannedStage| stage.needs.iter().map(|need| need.get()).collect();
        let needs: Vec<Vec<usize>> = self.stages.iter().map(needs).collect();
        cycle(&needs).map(|ring| format!("`{}` needs itself", self.stages[ring[0]].id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn sound() -> Value {
        let source = json!({"from": "built_in"});
        let command = json!({"command": {"command": {"shell": "true"}, "retries": 0}});
        json!({
            "pipeline": "ci", "title": "CI", "source": source, "max_parallel": 2,
            "stages": [
                {"id": "a", "title": "a", "needs": [], "body": {"pipeline": "x"}, "source": source},
                {"id": "a/b", "title": "b", "within": 0, "body": command, "source": source},
                {"id": "c", "title": "c", "within": null, "needs": [0], "body": command, "source": source},
            ],
        })
    }

    #[test]
    fn a_sound_plan_is_read_back_as_it_was() {
        let plan: Plan = serde_json::from_value(sound()).unwrap();
        let again: Plan = serde_json::from_value(serde_json::to_value(&plan).unwrap()).unwrap();
        assert_eq!(again, plan);
    }

    #[test]
    fn the_stages_of_a_sub_pipeline_stand_together() {
        let mut plan = sound();
        let stages = plan["stages"].as_array_mut().unwrap();
        stages.swap(1, 2);
        stages[1]["needs"] = json!([]);
        let error = serde_json::from_value::<Plan>(plan).unwrap_err().to_string();
        assert!(error.ends_with("`a/b` stands apart from the stage it is within"), "{error}");
    }

    #[test]
    fn a_broken_plan_is_not_read() {
        let breaks: &[(&str, Value, &str)] = &[
            ("/max_parallel", json!(0), "nothing may run at any time"),
            ("/stages", json!([]), "it has no stages"),
            ("/stages/2/id", json!("a"), "two stages are `a`"),
            ("/stages/1/within", json!(2), "`a/b` is within a stage that does not stand before it"),
            ("/stages/1/within", json!(1), "`a/b` is within a stage that does not stand before it"),
            (
                "/stages/1/within",
                json!(null),
                "`a/b` does not carry the id of the stage it is within",
            ),
            ("/stages/2/within", json!(1), "`c` is within a stage that runs no pipeline"),
            ("/stages/2/within", json!(0), "`c` does not carry the id of the stage it is within"),
            ("/stages/2/id", json!("a/c"), "`a/c` does not carry the id of the stage it is within"),
            ("/stages/2/needs", json!([9]), "`c` needs a stage that does not exist"),
            ("/stages/2/needs", json!([1]), "`c` needs a stage of another pipeline"),
            ("/stages/0/needs", json!([2]), "`a` needs itself"),
            ("/stages/2/body", json!({"pipeline": "y"}), "`c` runs a pipeline without stages"),
        ];
        for (place, broken, why) in breaks {
            let mut plan = sound();
            *plan.pointer_mut(place).unwrap_or_else(|| panic!("{place}")) = broken.clone();
            let error = serde_json::from_value::<Plan>(plan).unwrap_err().to_string();
            assert_eq!(error, format!("the plan of `ci` is broken: {why}"), "{place}");
        }
    }
}
