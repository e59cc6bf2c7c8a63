//! `delegate.list`: the runs of this caller, or of the repository.

use model::{Mode, RunId, TaskId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Filter;

use super::{Offer, shown::RunShown};
use crate::{
    caller::Station,
    desk::Call,
    fault::{Code, Fault},
};

pub(super) struct List;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// Every run of the repository, and not only those that you started.
    #[serde(default)]
    all: bool,
    /// Only those of that task.
    task_id: Option<String>,
    /// The newest so many: 1 to 50; 20 when not said.
    limit: Option<u32>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Output {
    /// The newest first.
    runs: Vec<RunShown>,
    /// The run that stands for you: parent of what you spawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    own_run_id: Option<RunId>,
    repo_root: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

impl Offer for List {
    type Input = Input;
    type Output = Output;
    const NAME: &'static str = "delegate.list";
    const TITLE: &'static str = "List runs";
    const ABOUT: &'static str = "The runs that you started, the newest first, each with its status \
        and manifest path; with all=true those that others started in this repository as well. limit: \
        1 to 50, 20 when not said.";
    const READ_ONLY: bool = true;
    const IDEMPOTENT: bool = true;
    const LEAST: Mode = Mode::Full;

    fn call(call: &Call<'_>, input: Input) -> Result<Output, Fault> {
        let own = call.own()?;
        let root = call.root()?;
        let task: Option<TaskId> = match &input.task_id {
            Some(text) => Some(text.parse().map_err(|bad: model::BadTaskId| {
                Fault::invalid(bad, "task ids are short names such as `fix-login`")
            })?),
            None => None,
        };
        let mut output = Output {
            runs: Vec::new(),
            own_run_id: own.clone(),
            repo_root: root.to_string_lossy().into_owned(),
            note: call.desk.elsewhere(),
        };
        // What others started is nothing to a delegated run.
        let all = input.all && call.caller.station == Station::Session;
        if !all && own.is_none() {
            return Ok(output);
        }
        let filter = Filter {
            parent: own.filter(|_| !all),
            task,
            limit: Some(input.limit.unwrap_or(20).clamp(1, 50) as usize),
            ..Filter::default()
        };
        let listed = call.here(|engine| {
            let rows = engine.list(&filter)?;
            Ok(rows.into_iter().map(|row| RunShown::of(row, call, engine)).collect())
        });
        match listed {
            Ok(runs) => output.runs = runs,
            // Nothing was ever run here.
            Err(Fault { code: Code::NotFound, .. }) => {}
            Err(fault) => return Err(fault),
        }
        Ok(output)
    }
}
