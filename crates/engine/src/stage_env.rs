//! The environment of a stage.

use std::{collections::BTreeMap, ffi::OsString, path::Path};

use model::RunSpec;
use store::RunPaths;

/// By this entry, every process of a run is known as one of it.
pub(crate) const MARK: &str = "CODEX_ORCHESTRATOR_RUN_ID";

/// What every stage of the run sees, on top of the environment of its runner.
pub(crate) fn of_run(
    spec: &RunSpec,
    paths: &RunPaths,
    inherited: &[(OsString, OsString)],
) -> Vec<(OsString, OsString)> {
    let own = [
        ("CODEX_ORCHESTRATOR_TASK_ID", OsString::from(spec.task_id.as_str())),
        (MARK, OsString::from(spec.run_id.as_str())),
        ("CODEX_ORCHESTRATOR_PIPELINE_ID", OsString::from(&spec.plan.pipeline)),
        ("CODEX_ORCHESTRATOR_MANIFEST_PATH", paths.manifest().into_os_string()),
        ("CODEX_ORCHESTRATOR_RUN_DIR", paths.absolute("").into_os_string()),
        ("MCP_RUNNER_TASK_ID", OsString::from(spec.task_id.as_str())),
    ];
    let ours = |key: &OsString| own.iter().any(|(own, _)| key == own);
    let inherited = inherited.iter().filter(|(key, _)| !ours(key)).cloned();
    let goal = spec.goal.iter().map(|goal| ("CODEX_ORCHESTRATOR_GOAL".into(), goal.into()));
    let own = own.iter().map(|(key, value)| (OsString::from(key), value.clone()));
    inherited.chain(own).chain(goal).collect()
}

/// That, with what the stage itself says, and the folder it runs in.
pub(crate) fn of_stage(
    run: &[(OsString, OsString)],
    stage: &BTreeMap<String, String>,
    cwd: &Path,
) -> Vec<(OsString, OsString)> {
    let replaced =
        |key: &OsString| key == "PWD" || key.to_str().is_some_and(|key| stage.contains_key(key));
    let kept = run.iter().filter(|(key, _)| !replaced(key)).cloned();
    let pwd = (OsString::from("PWD"), cwd.as_os_str().to_owned());
    let own = stage.iter().map(|(key, value)| (key.into(), value.into()));
    kept.chain([pwd]).chain(own).collect()
}
