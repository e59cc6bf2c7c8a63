//! A line of `events.jsonl`.

use model::{Actor, Event, PlannedBody, Recorded, RunId, RunSpec, Seq, TaskId, Timestamp};
use serde::Serialize;

/// One event, as it stands on a line of `events.jsonl`.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct EventLine {
    /// The version of this form: 1.
    pub schema_version: u32,
    /// Its number in its run, from 1 without holes.
    pub seq: Seq,
    /// When it was written down.
    pub timestamp: Timestamp,
    /// The run's task.
    pub task_id: TaskId,
    /// The run.
    pub run_id: RunId,
    /// What happened: `event` is its name and `payload` the rest.
    #[serde(flatten)]
    pub event: Event,
    /// Who made it happen.
    pub actor: Actor,
}

/// Appends the event's line to `out`.
pub(crate) fn write_line(spec: &RunSpec, recorded: &Recorded, out: &mut Vec<u8>) {
    let line = EventLine {
        schema_version: 1,
        seq: recorded.seq,
        timestamp: recorded.at,
        task_id: spec.task_id.clone(),
        run_id: spec.run_id.clone(),
        event: recorded.event.clone(),
        actor: recorded.actor,
    };
    // Writing values of ours to memory cannot fail; a line is never left half written.
    let Ok(mut value) = serde_json::to_value(&line) else { return };
    describe(spec, &recorded.event, &mut value);
    if serde_json::to_writer(&mut *out, &value).is_ok() {
        out.push(b'\n');
    }
}

/// Adds to a stage's events what readers of the older form look for: its title and kind.
fn describe(spec: &RunSpec, event: &Event, value: &mut serde_json::Value) {
    let (Event::StepStarted { step }
    | Event::StepCompleted { step, .. }
    | Event::StepFailed { step, .. }) = event
    else {
        return;
    };
    let Some(planned) = spec.plan.stages.get(step.index().get()) else { return };
    let kind = match planned.body {
        PlannedBody::Command(_) => "command",
        PlannedBody::Codex(_) => "codex",
        PlannedBody::Pipeline(_) => "pipeline",
    };
    if let Some(payload) = value.get_mut("payload").and_then(serde_json::Value::as_object_mut) {
        payload.insert("title".to_owned(), planned.title.clone().into());
        payload.insert("kind".to_owned(), kind.into());
    }
}

/// The number of the event on a line; `None` when the line is not one of ours.
pub(crate) fn seq_of(line: &[u8]) -> Option<Seq> {
    #[derive(serde::Deserialize)]
    struct Head {
        seq: u64,
    }
    let head: Head = serde_json::from_slice(line).ok()?;
    Some(Seq(head.seq))
}
