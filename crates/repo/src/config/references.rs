//! Whether pipelines that run others can.

use std::collections::BTreeMap;

use model::{PlanError, cycle};

use super::{Layer, error::ConfigError, pipelines::Written};

/// The one name that may be run without being written: what is recognised in a repository.
pub(super) const RECOGNISED: &str = "diagnostics";

/// Checks every place that names a pipeline. The user's own pipelines may name some that only
/// other repositories have; that is looked at when they are run.
pub(super) fn check(pipelines: &BTreeMap<String, (Layer, Written)>) -> Result<(), ConfigError> {
    let all: Vec<&(Layer, Written)> = pipelines.values().collect();
    let places: BTreeMap<&str, usize> =
        pipelines.keys().enumerate().map(|(place, id)| (id.as_str(), place)).collect();
    for (layer, written) in &all {
        for named in &written.runs {
            let target = named.target.as_str();
            if places.contains_key(target) || target == RECOGNISED || *layer == Layer::User {
                continue;
            }
            let fault = ConfigError {
                file: named.file.clone(),
                position: Some(named.position),
                message: format!("there is no pipeline `{target}`"),
                hint: None,
            };
            return Err(fault.meant(
                target,
                pipelines.keys().map(String::as_str),
                "the pipelines are",
            ));
        }
    }
    let runs = |(_, written): &&(Layer, Written)| {
        let targets = written.runs.iter();
        targets.filter_map(|named| places.get(named.target.as_str()).copied()).collect()
    };
    let Some(ring) = cycle(&all.iter().map(runs).collect::<Vec<Vec<usize>>>()) else {
        return Ok(());
    };
    let id = |&place: &usize| all[place].1.pipeline.id.clone();
    let next = ring.get(1).unwrap_or(&ring[0]);
    let named = all[ring[0]].1.runs.iter().find(|named| named.target == id(next));
    let message = PlanError::PipelineCycle { pipelines: ring.iter().map(id).collect() }.to_string();
    Err(ConfigError {
        file: named.map(|named| named.file.clone()).unwrap_or_default(),
        position: named.map(|named| named.position),
        message,
        hint: None,
    })
}
