//! Runs and questions as tools show them.

use model::{
    Matter, QuestionId, Resolution, RunId, RunStatus, TaskId, Timestamp, Urgency, Waiting,
};
use schemars::JsonSchema;
use serde::Serialize;
use store::{QuestionRow, RunRow};

use super::question::options;
use crate::desk::Call;

/// A run in a list.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RunShown {
    pub(super) run_id: RunId,
    pub(super) task_id: TaskId,
    pub(super) pipeline_id: String,
    pub(super) status: RunStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status_detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) waiting: Option<Waiting>,
    pub(super) manifest_path: String,
    pub(super) started_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) completed_at: Option<Timestamp>,
}

impl RunShown {
    pub(super) fn of(row: RunRow, call: &Call<'_>, engine: &engine::Engine) -> Self {
        let relative = engine.paths(&row.task_id, &row.run_id).relative("manifest.json");
        Self {
            manifest_path: call.shown(engine.root(), &relative),
            run_id: row.run_id,
            task_id: row.task_id,
            pipeline_id: row.pipeline_id,
            status: row.status,
            status_detail: row.detail,
            waiting: row.waiting,
            started_at: row.started_at,
            completed_at: row.ended_at,
        }
    }
}

/// A question in a list.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct QuestionShown {
    pub(super) question_id: QuestionId,
    /// `question`; `confirmation`, which only a person resolves; or `approval`, which is a person's
    /// as well unless it has options.
    pub(super) kind: &'static str,
    pub(super) prompt: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) options: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) default: Option<String>,
    pub(super) urgency: Urgency,
    /// The run that asks.
    pub(super) run_id: RunId,
    /// Its manifest.
    pub(super) manifest_path: String,
    pub(super) asked_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expires_at: Option<Timestamp>,
    /// `open`, `answered`, `expired`, `dismissed`, `approved`, `denied` or `closed`.
    pub(super) status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) answer: Option<String>,
}

impl QuestionShown {
    pub(super) fn of(row: QuestionRow, call: &Call<'_>, engine: &engine::Engine) -> Self {
        let relative = engine.paths(&row.task_id, &row.run_id).relative("manifest.json");
        let for_people = row.question.is_for_people();
        let (kind, options, default) = match row.question.matter {
            Matter::Question { options, default, .. } => ("question", options, default),
            Matter::Confirmation { .. } => ("confirmation", Vec::new(), None),
            Matter::Approval { scopes, .. } => {
                // Those that are a person's have none.
                let spec = engine.journal().spec(&row.run_id);
                let by_parent = spec.is_ok_and(|spec| spec.config.approvals.by_parent);
                let options = match by_parent && !for_people {
                    true => options(&scopes),
                    false => Vec::new(),
                };
                ("approval", options, None)
            }
        };
        Self {
            question_id: row.question.question_id,
            kind,
            prompt: row.question.prompt,
            options,
            default,
            urgency: row.question.urgency,
            manifest_path: call.shown(engine.root(), &relative),
            run_id: row.run_id,
            asked_at: row.asked_at,
            expires_at: row.question.expires_at,
            status: row.resolved.as_ref().map_or("open", |(resolution, _)| resolution.as_str()),
            answer: row.resolved.and_then(|(resolution, _)| match resolution {
                Resolution::Answered { answer, .. } => Some(answer),
                _ => None,
            }),
        }
    }
}

/// Text that is cut to so many bytes, at its end, with a mark that says so.
pub(super) fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = (0..=most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}…", &text[..end])
}
