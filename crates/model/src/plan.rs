//! What a run is going to do: a pipeline with its sub-pipelines put in their places.

use serde::{Deserialize, Serialize};

use crate::{CommandStage, Source, StageId};

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The id of the pipeline.
    pub pipeline: String,
    /// What people read instead of the id.
    pub title: String,
    /// Where the pipeline was written.
    pub source: Source,
    /// How many stages that run a command may run at one time; at least 1.
    pub max_parallel: usize,
    /// At least one.
    pub stages: Vec<PlannedStage>,
    /// What could have been checked and is not, for a recognised pipeline.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
}

/// One stage of a plan. Its needs, and the stage it is within, stand before it or beside it; a
/// plan never has a cycle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Where it was written.
    pub source: Source,
}

/// What a planned stage does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlannedBody {
    /// It runs a command.
    Command(CommandStage),
    /// It stands for a sub-pipeline of that id, whose stages are `within` it.
    Pipeline(String),
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
