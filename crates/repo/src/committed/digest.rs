//! The name of what a plan does.

use model::Plan;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The same for all plans that do the same, wherever and however they are written: SHA-256 in hex.
#[must_use]
pub fn plan_digest(plan: &Plan) -> String {
    let digest = Sha256::digest(canonical(plan).to_string());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The same for a person, over many lines.
pub(super) fn shown(plan: &Plan) -> String {
    serde_json::to_string_pretty(&canonical(plan)).unwrap_or_default()
}

/// All that a run of it would do and show, with the keys in the order of the alphabet.
fn canonical(plan: &Plan) -> Value {
    let mut plan = plan.clone();
    // What was not to be run is no part of what is.
    plan.left_out.clear();
    let mut value = serde_json::to_value(plan).expect("a plan is plain data");
    without_sources(&mut value);
    sorted(value)
}

/// Where something was written moves with every line above it.
fn without_sources(plan: &mut Value) {
    let stages = plan.get_mut("stages").and_then(Value::as_array_mut);
    let stages = stages.into_iter().flatten().filter_map(Value::as_object_mut);
    stages.for_each(|stage| {
        stage.remove("source");
    });
    if let Some(plan) = plan.as_object_mut() {
        plan.remove("source");
    }
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut pairs: Vec<_> = map.into_iter().collect();
            pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
            pairs.into_iter().map(|(key, value)| (key, sorted(value))).collect()
        }
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        other => other,
    }
}
