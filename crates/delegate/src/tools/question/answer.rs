//! `delegate.question.answer`: answers what one of the caller's runs asks.

use model::{Act, Denied, Matter, Mode, QuestionId, Resolution, RunId, RunStatus};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{consent, find};
use crate::{desk::Call, fault::Fault, tools::Offer};

pub(crate) struct Answer;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// The question, as wait or list named it.
    question_id: String,
    /// The answer; one of the options where there are any. At most 8000 characters. An approval that
    /// is yours to decide has options as well.
    answer: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Output {
    question_id: QuestionId,
    status: &'static str,
    /// The run that asked.
    run_id: RunId,
    run_status: RunStatus,
    /// It had been interrupted, and goes on now with the answer.
    resumed: bool,
}

const LONGEST: usize = 8000;

impl Offer for Answer {
    type Input = Input;
    type Output = Output;
    const NAME: &'static str = "delegate.question.answer";
    const TITLE: &'static str = "Answer a question";
    const ABOUT: &'static str = "Answers a question that one of your runs asked. The first answer \
        counts, and the run goes on with it; a run that was interrupted is taken up again. What you \
        asked yourself, you cannot answer, and confirmations are for a person; so are approvals, unless \
        list shows options with them.";
    const READ_ONLY: bool = false;
    const IDEMPOTENT: bool = false;
    const LEAST: Mode = Mode::Full;

    fn call(call: &Call<'_>, input: Input) -> Result<Output, Fault> {
        if input.answer.trim().is_empty() || input.answer.chars().count() > LONGEST {
            let text = format!("an answer has 1 to {LONGEST} characters");
            return Err(Fault::invalid(text, "answer again"));
        }
        let asked = find(call, &input.question_id)?;
        let asked_by = asked.row.question.thread_id.as_ref();
        if asked_by.is_some() && asked_by == call.caller.thread.as_ref() {
            return Err(Fault::denied(Denied::OwnQuestion));
        }
        let by = call.by()?;
        let answer = match &asked.row.question.matter {
            Matter::Approval { scopes, .. } => {
                consent::allowed(call, &asked)?;
                consent::read(&input.answer, scopes, by)?
            }
            Matter::Question { .. } | Matter::Confirmation { .. } => {
                call.allowed(Act::Answer, &asked.by())?;
                Resolution::Answered { answer: input.answer, by }
            }
        };
        let id = asked.row.question.question_id;
        call.at(&asked.root, |engine| {
            let row = engine.resolve(&id, answer)?;
            let resumed = engine.take_up_again(call.desk.runner(), &row.run_id)?;
            Ok(Output {
                question_id: id,
                status: row
                    .resolved
                    .as_ref()
                    .map_or("queued", |(resolution, _)| resolution.as_str()),
                run_status: engine.status(&row.run_id)?,
                run_id: row.run_id,
                resumed,
            })
        })
    }
}
