//! What a run asks of somebody, and what became of it.

use serde::{Deserialize, Serialize};

use crate::{
    Fallback, QuestionId, RunId, Shape, StageId, Subject, Timestamp,
    caps::{Beyond, HostPattern},
};

/// Something that a run, or a session, wants to know from its parent or from a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Question {
    /// Its name.
    pub question_id: QuestionId,
    /// What a person reads.
    pub prompt: String,
    /// What is to be decided.
    #[serde(flatten)]
    pub matter: Matter,
    /// How soon somebody should look.
    #[serde(default)]
    pub urgency: Urgency,
    /// The stage in which it was asked, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage_id: Option<StageId>,
    /// The Codex thread that asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
    /// When it closes by itself; never where this is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// What is to be decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Matter {
    /// A question; its answer is text.
    Question {
        /// Answers to choose from; any text is an answer where there are none.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        options: Vec<String>,
        /// The answer that is taken for granted by whoever gets none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        default: Option<String>,
        /// What happens to the run when nobody answers in time.
        fallback: Fallback,
        /// The run starts no further stage before it is answered.
        auto_pause: bool,
        /// What an answer has to be, where more is asked of it than to be one of the options.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shape: Option<Shape>,
        /// Who stands still until it is answered; nobody where this is not said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        held: Option<Held>,
    },
    /// Something that an agent may do only if a person says so. It is approved or denied.
    Confirmation {
        /// What is done when it is approved, exactly as it is done then.
        action: serde_json::Value,
        /// SHA-256 of the action in hex: what is approved is this and nothing else.
        digest: String,
    },
    /// Something that a run may do only if it is allowed.
    Approval {
        /// What.
        #[serde(flatten)]
        asks: Asks,
        /// How far an approval may reach.
        scopes: Vec<Scope>,
        /// What an approval for the repository is for, where there can be one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        standing: Option<Subject>,
    },
}

/// Who stands still until a question is answered, and hears nothing of it later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Held {
    /// A thread, in the middle of a turn.
    Thread,
    /// An MCP server, which wants it filled in; the thread that called it does not hear the answer.
    Server {
        /// Its name in the config.
        name: String,
    },
}

/// What a run wants to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "wants", rename_all = "snake_case")]
pub enum Asks {
    /// Run a command outside of its sandbox.
    Command {
        /// The command.
        command: String,
        /// Where.
        cwd: Option<String>,
        /// Why, in its words.
        reason: Option<String>,
    },
    /// Change files that it may not change by itself.
    Patch {
        /// Which.
        paths: Vec<String>,
        /// Why, in its words.
        reason: Option<String>,
    },
    /// Have more rights.
    Permissions {
        /// Which.
        what: String,
        /// Why, in its words.
        reason: Option<String>,
    },
    /// Call a tool of an MCP server.
    Tool {
        /// The server.
        server: String,
        /// The tool.
        tool: String,
        /// With what.
        arguments: serde_json::Value,
    },
    /// Have a person agree to what an MCP server says, or go to an address.
    Elicitation {
        /// The server.
        server: String,
        /// What it says.
        message: String,
        /// The address.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        url: Option<String>,
    },
    /// Reach a host that its caps do not list. Nothing waits for it.
    Network {
        /// Which, at which port.
        host: HostPattern,
    },
    /// Have a tool of an MCP server that its caps do not name. Nothing waits for it.
    Grant {
        /// The server.
        server: String,
        /// The tool.
        tool: String,
    },
}

impl Asks {
    /// The word for it, as policies have it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Command { .. } => "command",
            Self::Patch { .. } => "patch",
            Self::Permissions { .. } => "permissions",
            Self::Tool { .. } | Self::Grant { .. } => "tool",
            Self::Elicitation { .. } => "elicitation",
            Self::Network { .. } => "network",
        }
    }

    /// What patterns are matched with: the command, the paths, the tool, the server, the host.
    #[must_use]
    pub fn subject(&self) -> String {
        match self {
            Self::Command { command, .. } => command.clone(),
            Self::Patch { paths, .. } => paths.join(" "),
            Self::Permissions { what, .. } => what.clone(),
            Self::Tool { server, tool, .. } | Self::Grant { server, tool } => {
                format!("{server}.{tool}")
            }
            Self::Elicitation { server, .. } => server.clone(),
            Self::Network { host } => host.to_string(),
        }
    }

    /// What is to be reached beyond its caps, where it is about that.
    #[must_use]
    pub fn beyond(&self) -> Option<Beyond> {
        match self {
            Self::Network { host } => Some(Beyond::Host(host.clone())),
            Self::Grant { server, tool } => {
                Some(Beyond::Tool { server: server.clone(), tool: tool.clone() })
            }
            Self::Command { .. }
            | Self::Patch { .. }
            | Self::Permissions { .. }
            | Self::Tool { .. }
            | Self::Elicitation { .. } => None,
        }
    }

    /// In a sentence, for people. What a thread does outside of Codex's sandbox is `held` to its caps
    /// all the same, or by nothing.
    #[must_use]
    pub fn sentence(&self, held: bool) -> String {
        let still = match held {
            true => "It stays within its caps",
            false => "It may do then whatever you may",
        };
        let because = |reason: &Option<String>| {
            reason.as_ref().map_or(String::new(), |reason| format!(" ({reason})"))
        };
        match self {
            Self::Command { command, reason, .. } => {
                let why = because(reason);
                format!("may it run `{command}` outside of Codex's sandbox?{why} {still}")
            }
            Self::Patch { paths, reason } => {
                format!("may it change {}?{} {still}", paths.join(", "), because(reason))
            }
            Self::Permissions { what, reason } => {
                format!("may it have {what} in Codex's sandbox?{} {still}", because(reason))
            }
            Self::Tool { server, tool, arguments } => {
                format!("may it call `{tool}` of {server} with {arguments}?")
            }
            Self::Elicitation { server, message, url: None } => {
                format!("MCP server `{server}` asks, and takes yes or no: {message}")
            }
            Self::Elicitation { server, message, url: Some(url) } => format!(
                "MCP server `{server}` wants a person to go to {url} ({message}). Approving tells \
                 it that you do; nothing is opened for you"
            ),
            Self::Network { host } => format!(
                "may it reach {host}, which `caps.network.allow` does not list? Whatever it can \
                 read, it could send there"
            ),
            Self::Grant { server, tool } => format!(
                "may it have `{tool}` of {server}, which `caps.tools.mcp` does not name? It may call \
                 that then with whatever it likes"
            ),
        }
    }
}

/// How far an approval reaches.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// This once.
    #[default]
    Once,
    /// As long as its stage is not over.
    Stage,
    /// As long as the run is at it.
    Run,
    /// For all runs of the repository, until a person takes it back.
    Repo,
}

/// How soon somebody should look at a question. The inbox shows the more urgent ones first.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// Whenever there is time.
    Low,
    /// In its turn.
    #[default]
    Normal,
    /// Now.
    High,
}

impl Urgency {
    /// The word itself.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }
}

/// Who did something to a run or a question, and by which door they came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum By {
    /// A person.
    Person {
        /// How.
        door: Door,
    },
    /// A Codex session of the user's.
    Session {
        /// Its thread, where the client says which.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        thread_id: Option<String>,
        /// The run that stands for the session.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run_id: Option<RunId>,
        /// How.
        door: Door,
    },
    /// A delegated run.
    Run {
        /// Which.
        run_id: RunId,
        /// How.
        door: Door,
    },
}

impl By {
    /// The word for who it is.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Person { .. } => "person",
            Self::Session { .. } => "session",
            Self::Run { .. } => "run",
        }
    }
}

/// By which way somebody reached us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Door {
    /// A command.
    Cli,
    /// The MCP server of a session.
    Mcp,
    /// A form that the client of a session showed to whoever sits there.
    Form,
    /// The local page, in a browser that a person let in.
    Page,
    /// The channel that a runner made for its run.
    Channel,
}

/// What became of a question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Resolution {
    /// Somebody answered.
    Answered {
        /// In these words.
        answer: String,
        /// Who.
        by: By,
    },
    /// Somebody said yes to a confirmation or an approval.
    Approved {
        /// Who.
        by: By,
        /// How far that reaches.
        #[serde(default)]
        scope: Scope,
    },
    /// A person said no to a confirmation.
    Denied {
        /// Who.
        by: By,
        /// Why, in their words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Somebody closed it without an answer, and the run goes on.
    Dismissed {
        /// Who.
        by: By,
        /// Why, in their words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Nobody answered in time.
    Expired {
        /// What happened to the run because of that; none for a confirmation, which is denied.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fallback_action: Option<Fallback>,
    },
    /// The run that asked came to its end.
    RunEnded,
    /// Whoever asked is not there any more to hear it; it asks again when it still wants to know.
    Withdrawn,
}

impl Resolution {
    /// The word for it: what `poll` says a question is.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Answered { .. } => "answered",
            Self::Approved { .. } => "approved",
            Self::Denied { .. } => "denied",
            Self::Dismissed { .. } => "dismissed",
            Self::Expired { .. } => "expired",
            Self::RunEnded | Self::Withdrawn => "closed",
        }
    }

    /// Who resolved it; nobody where it closed by itself.
    #[must_use]
    pub fn by(&self) -> Option<&By> {
        match self {
            Self::Answered { by, .. }
            | Self::Approved { by, .. }
            | Self::Denied { by, .. }
            | Self::Dismissed { by, .. } => Some(by),
            Self::Expired { .. } | Self::RunEnded | Self::Withdrawn => None,
        }
    }
}

impl Question {
    /// Whether nobody but a person resolves it, whatever the settings let agents decide.
    #[must_use]
    pub fn is_for_people(&self) -> bool {
        match &self.matter {
            Matter::Confirmation { .. } => true,
            Matter::Approval { asks, .. } => matches!(asks, Asks::Elicitation { .. }),
            Matter::Question { .. } => false,
        }
    }

    /// Whether a turn of a thread stands still until it is resolved, so that nobody is there to hear
    /// of it when that turn is over.
    #[must_use]
    pub fn is_waited_for(&self) -> bool {
        match &self.matter {
            Matter::Approval { .. } => self.beyond().is_none(),
            Matter::Question { held, .. } => held.is_some(),
            Matter::Confirmation { .. } => false,
        }
    }

    /// Whether its answer is for a thread, which is told of it with its next turn where it did not
    /// hear of it in this one.
    #[must_use]
    pub fn is_for_thread(&self) -> bool {
        !matches!(self.matter, Matter::Question { held: Some(Held::Server { .. }), .. })
    }

    /// What is to be reached beyond its caps, where it is about that.
    #[must_use]
    pub fn beyond(&self) -> Option<Beyond> {
        match &self.matter {
            Matter::Approval { asks, .. } => asks.beyond(),
            Matter::Question { .. } | Matter::Confirmation { .. } => None,
        }
    }

    /// The least that an approval of it reaches.
    #[must_use]
    pub fn least_scope(&self) -> Scope {
        match &self.matter {
            Matter::Approval { scopes, .. } => scopes.first().copied().unwrap_or_default(),
            Matter::Question { .. } | Matter::Confirmation { .. } => Scope::Once,
        }
    }

    /// Whether the run starts no further stage before it is answered.
    #[must_use]
    pub fn holds(&self) -> bool {
        matches!(self.matter, Matter::Question { auto_pause: true, .. })
    }

    /// Whether it closes now because nobody answered in time.
    #[must_use]
    pub fn expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// What becomes of it when nobody answers in time.
    #[must_use]
    pub fn when_expired(&self) -> Resolution {
        let fallback_action = match self.matter {
            Matter::Question { fallback, .. } => Some(fallback),
            Matter::Confirmation { .. } | Matter::Approval { .. } => None,
        };
        Resolution::Expired { fallback_action }
    }

    /// Whether that is a way to resolve it: questions are answered, confirmations approved or denied,
    /// and an answer is one of the options where there are any.
    ///
    /// # Errors
    ///
    /// What would fit instead.
    pub fn fits(&self, resolution: &Resolution) -> Result<(), Misfit> {
        match (&self.matter, resolution) {
            (Matter::Question { options, shape, .. }, Resolution::Answered { answer, .. }) => {
                match shape {
                    Some(shape) if shape.read(answer, options).is_none() => {
                        Err(Misfit::OtherShape { wanted: shape.to_string() })
                    }
                    None if !options.is_empty() && !options.contains(answer) => {
                        Err(Misfit::NotAnOption { options: options.clone() })
                    }
                    Some(_) | None => Ok(()),
                }
            }
            (Matter::Question { .. }, Resolution::Approved { .. } | Resolution::Denied { .. }) => {
                Err(Misfit::WantsAnswer)
            }
            (
                Matter::Confirmation { .. } | Matter::Approval { .. },
                Resolution::Answered { .. },
            ) => Err(Misfit::WantsApproval),
            (Matter::Approval { scopes, .. }, Resolution::Approved { scope, .. })
                if !scopes.contains(scope) =>
            {
                Err(Misfit::NotSoFar)
            }
            (Matter::Confirmation { .. }, Resolution::Approved { scope, .. })
                if *scope != Scope::Once =>
            {
                Err(Misfit::NotSoFar)
            }
            (Matter::Approval { .. }, Resolution::Approved { by, scope: Scope::Repo })
                if !matches!(by, By::Person { .. }) =>
            {
                Err(Misfit::ForPeople)
            }
            _ => Ok(()),
        }
    }
}

/// Why a question cannot be resolved in that way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Misfit {
    /// It has options, and that is none of them.
    #[error("that is not one of the options: {}", .options.join(", "))]
    NotAnOption {
        /// These are.
        options: Vec<String>,
    },
    /// It has to be something else.
    #[error("that does not fit: what is wanted is {wanted}")]
    OtherShape {
        /// What, in words.
        wanted: String,
    },
    /// It is a question.
    #[error("it is a question, which is answered and not approved or denied")]
    WantsAnswer,
    /// It is a confirmation.
    #[error("it is approved or denied, not answered")]
    WantsApproval,
    /// It can be approved to reach that far, but not by an agent.
    #[error("only a person allows something for all runs of a repository")]
    ForPeople,
    /// It can be approved, but not for as long as that.
    #[error("it cannot be approved to reach that far")]
    NotSoFar,
}
