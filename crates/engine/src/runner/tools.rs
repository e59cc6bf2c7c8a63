//! What holds a stage to the tools that its caps name, for its record.

use model::{
    PlannedBody, RunSpec, StageIndex,
    caps::{DelegateTools, Table},
};
use serde_json::{Value, json};

/// What is said of each cap of tools that keeps something from that stage, in the form of what is
/// said of its cage.
pub(super) fn standings(spec: &RunSpec, stage: StageIndex, is_caged: bool) -> Option<Vec<Value>> {
    if !spec.narrows_tools(stage) {
        return None;
    }
    let caps = spec.caps_of(stage).ok()?.caps.tools;
    let is_thread = matches!(spec.plan.stages[stage.get()].body, PlannedBody::Codex(_));
    // Whoever is in no cage does not need us for what it does.
    let way_around = |text: &'static str| (!is_caged).then_some(text);
    let each_call = "it is judged at each call, outside of what holds it, and not tried before";
    let asked = "Codex is told so by its config, and not tried";
    let mut all = Vec::new();
    let mut held = |guarantee: &str, by: &str, why: &str, gap: Option<&str>| {
        all.push(json!({
            "guarantee": guarantee, "by": [by], "proof": { "unproven": why }, "gap": gap,
        }));
    };
    if is_thread && caps.mcp != Table::All {
        let gap = way_around("it can start a server of the user's by itself");
        held("tools.mcp", "bridge", each_call, gap);
    }
    if caps.delegate != DelegateTools::ALL {
        let gap = way_around("it can open the journal by itself");
        held("tools.delegate", "channel", each_call, gap);
    }
    if is_thread && !caps.web_search {
        let gap = "what the provider of its model does is no connection from here";
        held("tools.web_search", "configured", asked, Some(gap));
    }
    if is_thread && !caps.subagents {
        let gap = "an agent that it begins all the same is held to what it is held to";
        held("tools.subagents", "configured", asked, Some(gap));
    }
    Some(all)
}
