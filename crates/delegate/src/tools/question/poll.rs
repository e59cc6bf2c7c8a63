//! `delegate.question.poll`: looks for an answer.

use std::time::{Duration, Instant};

use engine::Nudge;
use model::{Act, Fallback, Mode, QuestionId, Resolution, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::find;
use crate::{desk::Call, fault::Fault, tools::Offer};

pub(crate) struct Poll;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// The question, as enqueue named it.
    question_id: String,
    /// Accepted and not needed: the question knows who asked it.
    #[expect(dead_code, reason = "prompts that people write give it with every question tool")]
    parent_manifest_path: Option<String>,
    /// Wait for the answer so long, in milliseconds: 0 to 240000; 0 when not said.
    wait_ms: Option<u64>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Output {
    question_id: QuestionId,
    /// `queued` (no answer yet, which is no error), `answered`, `expired`, `dismissed`, `approved`,
    /// `denied` or `closed`.
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<String>,
    /// Who answered: `person`, `session` or `run`.
    #[serde(skip_serializing_if = "Option::is_none")]
    answered_by: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answered_at: Option<Timestamp>,
    /// What happens to the run because nobody answered in time.
    #[serde(skip_serializing_if = "Option::is_none")]
    fallback_action: Option<Fallback>,
    /// Why it was dismissed or denied, in the words of whoever did.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Offer for Poll {
    type Input = Input;
    type Output = Output;
    const NAME: &'static str = "delegate.question.poll";
    const TITLE: &'static str = "Look for an answer";
    const ABOUT: &'static str = "What has become of a question that you asked; with wait_ms (0 to \
        240000) waits for it. Status `queued` means that nobody has answered yet: poll again. Every \
        poll after the answer gives the same answer.";
    const READ_ONLY: bool = true;
    const IDEMPOTENT: bool = true;
    const LEAST: Mode = Mode::QuestionOnly;

    fn call(call: &Call<'_>, input: Input) -> Result<Output, Fault> {
        let wait = input.wait_ms.unwrap_or(0).min(crate::tools::wait::LONGEST_MS);
        let deadline = Instant::now() + Duration::from_millis(wait);
        let asked = find(call, &input.question_id)?;
        call.allowed(Act::Look, &asked.by())?;
        let id = asked.row.question.question_id;
        let nudge = Nudge::new().ok();
        if let Some(nudge) = nudge.clone() {
            call.stop.on_stop(move || nudge.now());
        }
        let stopped = || call.stop.stopped();
        let row = call
            .at(&asked.root, |engine| Ok(engine.await_question(&id, deadline, nudge, &stopped)?))?;
        let mut output = Output {
            question_id: id,
            status: row.resolved.as_ref().map_or("queued", |(resolution, _)| resolution.as_str()),
            answer: None,
            answered_by: None,
            answered_at: row.resolved.as_ref().map(|(_, at)| *at),
            fallback_action: None,
            reason: None,
        };
        if let Some((resolution, _)) = row.resolved {
            output.answered_by = resolution.by().map(model::By::as_str);
            match resolution {
                Resolution::Answered { answer, .. } => output.answer = Some(answer),
                Resolution::Expired { fallback_action } => output.fallback_action = fallback_action,
                Resolution::Denied { reason, .. } | Resolution::Dismissed { reason, .. } => {
                    output.reason = reason;
                }
                Resolution::Approved { .. } | Resolution::RunEnded | Resolution::Withdrawn => {}
            }
        }
        Ok(output)
    }
}
