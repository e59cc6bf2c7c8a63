//! What the app-server tells without being asked.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::{
    said::{CommandState, PatchStatus, RateWindow, Said, Step, StepStatus, ToolStatus, Usage},
    trouble::TurnError,
};

/// How much of a command's output is told.
const TAIL: usize = 8 << 10;

/// What a notification says, as far as somebody here acts on it.
pub(super) enum Notice {
    TurnStarted {
        thread: String,
        turn: String,
    },
    TurnCompleted {
        thread: String,
        turn: Turn,
    },
    ItemStarted {
        thread: String,
        item: Item,
    },
    ItemCompleted {
        thread: String,
        item: Item,
    },
    Error {
        thread: String,
        error: TurnError,
        will_retry: bool,
    },
    Usage {
        thread: String,
        turn: String,
        last: Usage,
        total: Usage,
        context_window: Option<u64>,
    },
    RateLimits(Vec<Said>),
    Plan {
        thread: String,
        steps: Vec<Step>,
    },
    Diff {
        thread: String,
        unified: String,
    },
    Resolved {
        request: Value,
    },
    Closed {
        thread: String,
    },
    Warning {
        thread: Option<String>,
        message: String,
    },
    /// Nobody asked for it, or it is of a kind that nobody knew when this was written.
    Nothing,
}

/// What is read here. All of it has to be there, or a turn would end without a word.
pub(super) const READ: [&str; 13] = [
    "account/rateLimits/updated",
    "error",
    "item/completed",
    "item/started",
    "mcpServer/startupStatus/updated",
    "serverRequest/resolved",
    "thread/closed",
    "thread/tokenUsage/updated",
    "turn/completed",
    "turn/diff/updated",
    "turn/plan/updated",
    "turn/started",
    "warning",
];

pub(super) fn read(method: &str, params: &str) -> Result<Notice, serde_json::Error> {
    Ok(match method {
        "turn/started" => {
            let InTurn { thread_id, turn } = serde_json::from_str(params)?;
            Notice::TurnStarted { thread: thread_id, turn: turn.id }
        }
        "turn/completed" => {
            let InTurn { thread_id, turn } = serde_json::from_str(params)?;
            Notice::TurnCompleted { thread: thread_id, turn }
        }
        "item/started" => {
            let OfItem { thread_id, item } = serde_json::from_str(params)?;
            Notice::ItemStarted { thread: thread_id, item }
        }
        "item/completed" => {
            let OfItem { thread_id, item } = serde_json::from_str(params)?;
            Notice::ItemCompleted { thread: thread_id, item }
        }
        "error" => {
            let Failed { thread_id, error, will_retry } = serde_json::from_str(params)?;
            Notice::Error { thread: thread_id, error, will_retry }
        }
        "thread/tokenUsage/updated" => {
            let Used { thread_id, turn_id, token_usage: used } = serde_json::from_str(params)?;
            Notice::Usage {
                thread: thread_id,
                turn: turn_id,
                last: used.last.into(),
                total: used.total.into(),
                context_window: used.model_context_window,
            }
        }
        "account/rateLimits/updated" => {
            let Limits { rate_limits } = serde_json::from_str(params)?;
            Notice::RateLimits(rate_limits.told())
        }
        "turn/plan/updated" => {
            let Planned { thread_id, plan } = serde_json::from_str(params)?;
            Notice::Plan { thread: thread_id, steps: plan.into_iter().map(Step::from).collect() }
        }
        "turn/diff/updated" => {
            let Changed { thread_id, diff } = serde_json::from_str(params)?;
            Notice::Diff { thread: thread_id, unified: diff }
        }
        "serverRequest/resolved" => {
            let Resolved { request_id } = serde_json::from_str(params)?;
            Notice::Resolved { request: request_id }
        }
        "thread/closed" => {
            let Closed { thread_id } = serde_json::from_str(params)?;
            Notice::Closed { thread: thread_id }
        }
        "warning" | "guardianWarning" => {
            let Warned { thread_id, message } = serde_json::from_str(params)?;
            Notice::Warning { thread: thread_id, message }
        }
        "configWarning" | "deprecationNotice" => {
            let Noted { summary, details } = serde_json::from_str(params)?;
            let details = details.map(|details| format!(": {details}")).unwrap_or_default();
            Notice::Warning { thread: None, message: format!("{summary}{details}") }
        }
        "model/rerouted" => {
            let Rerouted { thread_id, from_model, to_model } = serde_json::from_str(params)?;
            let message = format!("{to_model} was asked instead of {from_model}");
            Notice::Warning { thread: Some(thread_id), message }
        }
        "mcpServer/startupStatus/updated" => {
            let Server { thread_id, name, status, error } = serde_json::from_str(params)?;
            match status.as_str() {
                "failed" => {
                    let why = error.unwrap_or_else(|| "no reason was given".to_owned());
                    let message = format!("the MCP server `{name}` did not start: {why}");
                    Notice::Warning { thread: thread_id, message }
                }
                _ => Notice::Nothing,
            }
        }
        _ => Notice::Nothing,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InTurn {
    thread_id: String,
    turn: Turn,
}

/// A turn, as it is when it ends.
#[derive(Deserialize)]
pub(super) struct Turn {
    pub(super) id: String,
    #[serde(default)]
    pub(super) status: String,
    pub(super) error: Option<TurnError>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfItem {
    thread_id: String,
    item: Item,
}

/// What an agent does, as far as it is told.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum Item {
    AgentMessage {
        text: String,
        phase: Option<String>,
    },
    Plan {
        text: String,
    },
    Reasoning {
        #[serde(default)]
        summary: Vec<String>,
    },
    CommandExecution {
        id: String,
        command: String,
        #[serde(default)]
        cwd: String,
        #[serde(default)]
        status: String,
        aggregated_output: Option<String>,
        exit_code: Option<i64>,
        duration_ms: Option<u64>,
    },
    FileChange {
        id: String,
        #[serde(default)]
        changes: Vec<Change>,
        #[serde(default)]
        status: String,
    },
    McpToolCall {
        id: String,
        server: String,
        tool: String,
        #[serde(default)]
        status: String,
        error: Option<ToolError>,
    },
    DynamicToolCall {
        tool: String,
    },
    CollabAgentToolCall {
        tool: String,
    },
    WebSearch {
        #[serde(default)]
        query: String,
    },
    ImageView {
        path: String,
    },
    ImageGeneration {},
    EnteredReviewMode {},
    ExitedReviewMode {},
    ContextCompaction {},
    /// Of no interest, or unknown.
    #[serde(other)]
    Nothing,
}

#[derive(Deserialize)]
pub(super) struct Change {
    pub(super) path: String,
}

#[derive(Deserialize)]
pub(super) struct ToolError {
    #[serde(default)]
    message: String,
}

impl Item {
    /// What there is to tell when it begins.
    pub(super) fn begun(self) -> Option<Said> {
        match self {
            Self::CommandExecution { id, command, cwd, .. } => {
                Some(Said::Command { id, command, cwd, state: CommandState::Begun })
            }
            Self::McpToolCall { id, server, tool, .. } => {
                Some(Said::ToolCall { id, server, tool, status: ToolStatus::Begun, error: None })
            }
            _ => None,
        }
    }

    /// What there is to tell when it ends.
    pub(super) fn ended(self) -> Option<Said> {
        let deed = |what: String| Some(Said::Deed { what });
        match self {
            Self::AgentMessage { text, phase } => {
                let last = phase.map(|phase| phase == "final_answer");
                Some(Said::Message { text, last })
            }
            Self::Plan { text } => Some(Said::Message { text, last: None }),
            Self::Reasoning { summary } if summary.is_empty() => None,
            Self::Reasoning { summary } => Some(Said::Reasoning { summary }),
            Self::CommandExecution {
                id,
                command,
                cwd,
                status,
                aggregated_output,
                exit_code,
                duration_ms,
            } => {
                let output = aggregated_output.unwrap_or_default();
                let (output, cut) = tail(&output);
                let state = CommandState::Ended {
                    exit_code,
                    duration: duration_ms.map(Duration::from_millis),
                    output: output.to_owned(),
                    cut,
                    declined: status == "declined",
                };
                Some(Said::Command { id, command, cwd, state })
            }
            Self::FileChange { id, changes, status } => Some(Said::Patch {
                id,
                paths: changes.into_iter().map(|change| change.path).collect(),
                status: match status.as_str() {
                    "completed" => PatchStatus::Applied,
                    "declined" => PatchStatus::Declined,
                    _ => PatchStatus::Failed,
                },
            }),
            Self::McpToolCall { id, server, tool, status, error } => Some(Said::ToolCall {
                id,
                server,
                tool,
                status: match status.as_str() {
                    "completed" => ToolStatus::Completed,
                    _ => ToolStatus::Failed,
                },
                error: error.map(|error| error.message),
            }),
            Self::DynamicToolCall { tool } => deed(format!("called the tool `{tool}`")),
            Self::CollabAgentToolCall { tool } => deed(format!("used its own agents: {tool}")),
            Self::WebSearch { query } => deed(format!("searched the web for {query}")),
            Self::ImageView { path } => deed(format!("looked at {path}")),
            Self::ImageGeneration {} => deed("made an image".to_owned()),
            Self::EnteredReviewMode {} => deed("began a review".to_owned()),
            Self::ExitedReviewMode {} => deed("ended its review".to_owned()),
            Self::ContextCompaction {} => deed("made its thread shorter".to_owned()),
            Self::Nothing => None,
        }
    }
}

/// The end of a text, and whether there was more before it.
fn tail(text: &str) -> (&str, bool) {
    let mut from = text.len().saturating_sub(TAIL);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    (&text[from..], from > 0)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Failed {
    thread_id: String,
    error: TurnError,
    #[serde(default)]
    will_retry: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Used {
    thread_id: String,
    turn_id: String,
    token_usage: TokenUsage,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TokenUsage {
    total: Tokens,
    last: Tokens,
    model_context_window: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Tokens {
    total_tokens: i64,
    input_tokens: i64,
    cached_input_tokens: i64,
    output_tokens: i64,
    reasoning_output_tokens: i64,
}

impl From<Tokens> for Usage {
    fn from(tokens: Tokens) -> Self {
        // Codex counts with a sign. Fewer tokens than none would give a budget back.
        let count = |tokens: i64| u64::try_from(tokens).unwrap_or(0);
        Self {
            input: count(tokens.input_tokens),
            cached: count(tokens.cached_input_tokens),
            output: count(tokens.output_tokens),
            reasoning: count(tokens.reasoning_output_tokens),
            total: count(tokens.total_tokens),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Limits {
    rate_limits: Snapshot,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Snapshot {
    limit_id: Option<String>,
    primary: Option<Window>,
    secondary: Option<Window>,
    rate_limit_reached_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Window {
    used_percent: f64,
    window_duration_mins: Option<u64>,
    resets_at: Option<i64>,
}

impl Snapshot {
    fn told(self) -> Vec<Said> {
        let limit = self.limit_id.unwrap_or_else(|| "codex".to_owned());
        let windows = [("primary", self.primary), ("secondary", self.secondary)];
        let there: Vec<_> =
            windows.into_iter().filter_map(|(name, window)| Some((name, window?))).collect();
        let full = |window: &Window| window.used_percent >= 100.0;
        // Codex says that something is used up, and not which window of it. Where none is full,
        // each may be.
        let some_full = there.iter().any(|(_, window)| full(window));
        let reached = self.rate_limit_reached_type.is_some();
        let told = there.into_iter().map(|(name, window)| Said::RateLimits {
            reached: full(&window) || (reached && !some_full),
            used_percent: window.used_percent,
            resets_at: window.resets_at,
            window: RateWindow {
                name: format!("{limit}/{name}"),
                minutes: window.window_duration_mins,
            },
        });
        told.collect()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Planned {
    thread_id: String,
    plan: Vec<PlanStep>,
}

#[derive(Deserialize)]
struct PlanStep {
    step: String,
    #[serde(default)]
    status: String,
}

impl From<PlanStep> for Step {
    fn from(step: PlanStep) -> Self {
        let status = match step.status.as_str() {
            "completed" => StepStatus::Completed,
            "inProgress" => StepStatus::Begun,
            _ => StepStatus::Pending,
        };
        Self { step: step.step, status }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Changed {
    thread_id: String,
    diff: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resolved {
    request_id: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Closed {
    thread_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Warned {
    thread_id: Option<String>,
    message: String,
}

#[derive(Deserialize)]
struct Noted {
    summary: String,
    details: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rerouted {
    thread_id: String,
    from_model: String,
    to_model: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Server {
    thread_id: Option<String>,
    name: String,
    status: String,
    error: Option<String>,
}
