//! What the app-server asks, and how what is answered is put.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    form::Elicitation,
    said::{AccountTokens, Answer, Question, Wanted, Wants},
    wire,
};

/// A request that somebody has yet to answer.
#[derive(Debug)]
pub(super) struct Ask {
    /// The app-server's own number of it.
    pub(super) request: Value,
    /// The turn that waits, if it is one.
    pub(super) turn: Option<String>,
    how: How,
}

/// What an answer to it has to look like.
#[derive(Debug)]
enum How {
    Command { rule: Option<Value> },
    Patch,
    Permissions { asked: Value },
    Tool { persists: bool },
    Input,
    Elicitation(Elicitation),
    Tokens,
}

/// What a request is to us.
pub(super) enum Asked {
    /// Somebody has to answer.
    Wants(Ask, Box<Wants>),
    /// An account's tokens are wanted.
    Tokens(Ask),
    /// Nobody here can, with the number of the error and why.
    Unanswerable(i64, String),
}

pub(super) fn read(
    request: &Value,
    method: &str,
    params: &str,
    patches: &BTreeMap<String, Vec<String>>,
) -> Asked {
    let ask = |turn, how| Ask { request: request.clone(), turn, how };
    let asked = match method {
        "item/commandExecution/requestApproval" => {
            serde_json::from_str(params).map(|asked: Command| {
                Asked::Wants(ask(asked.turn_id.clone(), asked.how()), asked.wants().into())
            })
        }
        "item/fileChange/requestApproval" => serde_json::from_str(params).map(|asked: Patch| {
            let paths = asked.item_id.and_then(|item| patches.get(&item)).cloned();
            let wants = Wants::Patch {
                paths: paths.unwrap_or_default(),
                reason: asked.reason,
                grant_root: asked.grant_root,
            };
            Asked::Wants(ask(asked.turn_id, How::Patch), wants.into())
        }),
        "item/permissions/requestApproval" => {
            serde_json::from_str(params).map(|asked: Permissions| {
                let how = How::Permissions { asked: asked.permissions.clone() };
                let wants = Wants::Permissions { what: asked.permissions, reason: asked.reason };
                Asked::Wants(ask(asked.turn_id, how), wants.into())
            })
        }
        "item/tool/requestUserInput" => serde_json::from_str(params).map(|asked: Input| {
            let questions = asked.questions.into_iter().map(Question::from).collect();
            Asked::Wants(ask(asked.turn_id, How::Input), Wants::Input { questions }.into())
        }),
        "mcpServer/elicitation/request" => serde_json::from_str(params).map(|asked: Elicited| {
            let turn = asked.turn_id.clone();
            let (how, wants) = asked.taken_apart();
            Asked::Wants(ask(turn, how), wants.into())
        }),
        "account/chatgptAuthTokens/refresh" => Ok(Asked::Tokens(ask(None, How::Tokens))),
        _ => Ok(Asked::Unanswerable(
            wire::UNKNOWN_METHOD,
            format!("this client does not do `{method}`"),
        )),
    };
    asked.unwrap_or_else(|error| {
        Asked::Unanswerable(wire::BAD_PARAMS, format!("`{method}` was not understood: {error}"))
    })
}

impl Ask {
    /// Whether a cancel has to be followed by an interrupt.
    pub(super) fn cancels_not_by_itself(&self) -> bool {
        !matches!(self.how, How::Command { .. } | How::Patch | How::Tokens)
    }

    /// The line that answers it. None if that is no answer to it.
    pub(super) fn answered(&self, answer: &Answer) -> Option<String> {
        let result = match &self.how {
            // What Codex offers depends on the command; it takes this one for each.
            How::Command { rule } => json!({ "decision": match answer {
                Answer::Once => json!("accept"),
                Answer::Session => json!("acceptForSession"),
                Answer::Rule => rule.clone().unwrap_or_else(|| json!("acceptForSession")),
                Answer::Deny | Answer::Decline => json!("decline"),
                Answer::Cancel => json!("cancel"),
                Answer::Input { .. } => return None,
            }}),
            How::Patch => json!({ "decision": match answer {
                Answer::Once => "accept",
                Answer::Session | Answer::Rule => "acceptForSession",
                Answer::Deny | Answer::Decline => "decline",
                Answer::Cancel => "cancel",
                Answer::Input { .. } => return None,
            }}),
            How::Permissions { asked } => match answer {
                Answer::Once => json!({ "permissions": granted(asked), "scope": "turn" }),
                Answer::Session | Answer::Rule => {
                    json!({ "permissions": granted(asked), "scope": "session" })
                }
                Answer::Deny | Answer::Decline | Answer::Cancel => {
                    json!({ "permissions": {}, "scope": "turn" })
                }
                Answer::Input { .. } => return None,
            },
            How::Tool { persists } => match answer {
                Answer::Once => elicited("accept", json!({}), Value::Null),
                Answer::Session | Answer::Rule if *persists => {
                    elicited("accept", json!({}), json!({ "persist": "session" }))
                }
                Answer::Session | Answer::Rule => elicited("accept", json!({}), Value::Null),
                Answer::Deny | Answer::Decline => elicited("decline", Value::Null, Value::Null),
                Answer::Cancel => elicited("cancel", Value::Null, Value::Null),
                Answer::Input { .. } => return None,
            },
            How::Input => match answer {
                Answer::Input { answers } => {
                    let one = |(id, said): (&String, &Vec<String>)| {
                        (id.clone(), json!({ "answers": said }))
                    };
                    let answers: serde_json::Map<_, _> = answers.iter().map(one).collect();
                    json!({ "answers": answers })
                }
                Answer::Deny | Answer::Decline | Answer::Cancel => json!({ "answers": {} }),
                Answer::Once | Answer::Session | Answer::Rule => return None,
            },
            How::Elicitation(asked) => {
                let (action, content) = asked.outcome(answer);
                elicited(action, content, Value::Null)
            }
            How::Tokens => match answer {
                Answer::Deny | Answer::Decline | Answer::Cancel => {
                    let why = "there are no newer tokens";
                    return Some(wire::refusal(&self.request, wire::FAILED, why));
                }
                Answer::Once | Answer::Session | Answer::Rule | Answer::Input { .. } => {
                    return None;
                }
            },
        };
        Some(wire::result(&self.request, &result))
    }

    /// The line that hands out tokens. None if that is not what is asked for.
    pub(super) fn handed(&self, tokens: &AccountTokens) -> Option<String> {
        let How::Tokens = self.how else { return None };
        let result = json!({
            "accessToken": tokens.access_token,
            "chatgptAccountId": tokens.account_id,
            "chatgptPlanType": tokens.plan,
        });
        Some(wire::result(&self.request, &result))
    }
}

/// What is granted has no member where nothing was asked for, instead of a null.
pub(super) fn granted(asked: &Value) -> Value {
    let members = asked.as_object().into_iter().flatten();
    members.filter(|(_, value)| !value.is_null()).map(|(k, v)| (k.clone(), v.clone())).collect()
}

fn elicited(action: &str, content: Value, meta: Value) -> Value {
    json!({ "action": action, "content": content, "_meta": meta })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Command {
    turn_id: Option<String>,
    reason: Option<String>,
    network_approval_context: Option<Reached>,
    command: Option<String>,
    cwd: Option<String>,
    additional_permissions: Option<Value>,
    proposed_execpolicy_amendment: Option<Vec<String>>,
    available_decisions: Option<Vec<Value>>,
}

#[derive(Deserialize)]
struct Reached {
    host: String,
}

impl Command {
    fn how(&self) -> How {
        let mut offered = self.available_decisions.iter().flatten();
        let allows = |decision: &&Value| {
            decision.get("acceptWithExecpolicyAmendment").is_some()
                || decision["applyNetworkPolicyAmendment"]["network_policy_amendment"]["action"]
                    == "allow"
        };
        How::Command { rule: offered.find(allows).cloned() }
    }

    fn wants(self) -> Wants {
        Wants::Command {
            command: self.command,
            cwd: self.cwd,
            reason: self.reason,
            host: self.network_approval_context.map(|reached| reached.host),
            rule: self.proposed_execpolicy_amendment,
            beyond: self.additional_permissions,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Patch {
    turn_id: Option<String>,
    item_id: Option<String>,
    reason: Option<String>,
    grant_root: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Permissions {
    turn_id: Option<String>,
    reason: Option<String>,
    permissions: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    turn_id: Option<String>,
    questions: Vec<InputQuestion>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InputQuestion {
    id: String,
    #[serde(default)]
    header: String,
    #[serde(default)]
    question: String,
    options: Option<Vec<InputOption>>,
    #[serde(default)]
    is_other: bool,
    #[serde(default)]
    is_secret: bool,
}

#[derive(Deserialize)]
struct InputOption {
    label: String,
    #[serde(default)]
    description: String,
}

impl From<InputQuestion> for Question {
    fn from(asked: InputQuestion) -> Self {
        let options = asked.options.into_iter().flatten();
        let options: Vec<_> = options.map(|option| (option.label, option.description)).collect();
        Self {
            id: asked.id,
            header: asked.header,
            question: asked.question,
            wanted: match (options.is_empty(), asked.is_other) {
                (true, _) => Wanted::Text { least: None, most: None, format: None },
                (false, true) => Wanted::Other,
                (false, false) => Wanted::One,
            },
            options,
            required: false,
            default: Vec::new(),
            secret: asked.is_secret,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Elicited {
    turn_id: Option<String>,
    server_name: String,
    #[serde(default, rename = "_meta")]
    meta: Value,
    #[serde(default)]
    message: String,
    #[serde(default)]
    requested_schema: Value,
    url: Option<String>,
}

impl Elicited {
    fn taken_apart(self) -> (How, Wants) {
        if self.meta["codex_approval_kind"] != "mcp_tool_call" {
            let (message, schema, url) = (self.message, self.requested_schema, self.url);
            let asked = Elicitation { message, schema, url };
            let wants = Wants::Elicitation {
                server: self.server_name,
                message: asked.message.clone(),
                form: asked.form(),
            };
            return (How::Elicitation(asked), wants);
        }
        let some = |name: &str| self.meta.get(name).filter(|value| !value.is_null()).cloned();
        let persist: Vec<String> = match &self.meta["persist"] {
            Value::String(one) => vec![one.clone()],
            Value::Array(several) => {
                several.iter().filter_map(|one| Some(one.as_str()?.to_owned())).collect()
            }
            _ => Vec::new(),
        };
        let persists = persist.iter().any(|how| how == "session");
        let wants = Wants::Tool {
            tool: self.meta["tool_name"].as_str().map(str::to_owned),
            arguments: some("tool_params"),
            annotations: some("tool_annotations"),
            persist,
            server: self.server_name,
            message: self.message,
        };
        (How::Tool { persists }, wants)
    }
}
