//! The plan of a pipeline: one that is written, or the diagnostics of a repository that has none.

use std::ffi::OsStr;

use model::{Pipeline, Plan, PlanError};

use super::read_prompts;
use crate::{
    config::{self, Loaded, NoPlan},
    locate::Place,
    survey,
};

/// The plan of the pipeline of that name. Where no `diagnostics` are written, and it is or runs
/// those, they are recognised with the programs that are on `path`, and what they leave out stands
/// in the plan.
pub fn plan(place: &Place, loaded: &Loaded, name: &str, path: &OsStr) -> Result<Plan, NoPlan> {
    let mut plan = plan_without_prompts(place, loaded, name, path)?;
    read_prompts(&mut plan, |file| config::read_text(&place.work_tree.join(file), file))?;
    Ok(plan)
}

/// The same, but that prompts in files of their own are not read.
pub(crate) fn plan_without_prompts(
    place: &Place,
    loaded: &Loaded,
    name: &str,
    path: &OsStr,
) -> Result<Plan, NoPlan> {
    match loaded.plan(name) {
        Err(NoPlan::Unknown(_)) if name == survey::PIPELINE => {
            recognised(place, path, |diagnostics| loaded.plan_of(diagnostics))
        }
        Err(NoPlan::Unplannable(PlanError::UnknownPipeline { target, .. }))
            if target == survey::PIPELINE =>
        {
            let pipeline = loaded.pipeline(name)?;
            recognised(place, path, |diagnostics| loaded.plan_beside(pipeline, Some(diagnostics)))
        }
        planned => planned,
    }
}

fn recognised(
    place: &Place,
    path: &OsStr,
    plan: impl FnOnce(&Pipeline) -> Result<Plan, PlanError>,
) -> Result<Plan, NoPlan> {
    let found = survey::survey(&place.work_tree, path);
    let Some(diagnostics) = &found.pipeline else {
        let advice = found.advice().unwrap_or_else(|| "nothing was recognised".to_owned());
        return Err(NoPlan::NothingRecognised { advice });
    };
    let mut plan = plan(diagnostics)?;
    plan.left_out = found.left_out;
    Ok(plan)
}
