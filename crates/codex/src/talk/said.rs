//! What is told of a thread, and what may be answered.

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use serde_json::{Number, Value};

/// What came of a line that was heard.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Heard {
    /// Lines to be written to the app-server, each with its line feed, in this order.
    pub say: Vec<String>,
    /// What the line said, in this order.
    pub told: Vec<Said>,
}

/// Something that the app-server has told of our thread.
///
/// What is not said here is not told: deltas, for example, of which the app-server is asked to
/// send none. So a model that thinks for minutes is silent for minutes.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// There is a thread, begun or taken up again. Its turn is asked for in the same breath.
    ThreadReady {
        /// By which it can be resumed.
        thread_id: String,
        /// The model that will be asked.
        model: String,
    },
    /// A turn runs. It is told once for each turn.
    TurnBegan {
        /// What to name when it is steered or interrupted, which a [`Talk`](super::Talk) does by itself.
        turn_id: String,
    },
    /// The agent said something, in full.
    Message {
        /// Its words.
        text: String,
        /// Whether they are its answer or a remark on the way; many models do not say which.
        last: Option<bool>,
    },
    /// A summary of what the model thought.
    Reasoning {
        /// Its paragraphs.
        summary: Vec<String>,
    },
    /// A command of the agent's began or ended.
    Command {
        /// What both have in common.
        id: String,
        /// As a shell would read it.
        command: String,
        /// Where it runs.
        cwd: String,
        /// Which of the two it was.
        state: CommandState,
    },
    /// Files were changed by the agent's own tool for it, or were not.
    Patch {
        /// What both this and a request for approval of it have in common.
        id: String,
        /// Which files.
        paths: Vec<String>,
        /// What became of it.
        status: PatchStatus,
    },
    /// A tool of an MCP server was called, or gave its result.
    ToolCall {
        /// What both have in common.
        id: String,
        /// The server's name in the config.
        server: String,
        /// The name that the server gave it.
        tool: String,
        /// Where the call stands.
        status: ToolStatus,
        /// Why it failed.
        error: Option<String>,
    },
    /// The agent's list of things to do, as a whole.
    Plan {
        /// In their order.
        steps: Vec<Step>,
    },
    /// All that the turn has changed in files so far.
    Diff {
        /// In git's format.
        unified: String,
    },
    /// What has been used, told after each answer of the model.
    Usage {
        /// Whose: ours, or that of a thread that ours has begun by itself.
        thread_id: String,
        /// By the last answer.
        last: Usage,
        /// By the thread, since it was begun and not since it was resumed.
        total: Usage,
        /// How many tokens the model can take at once.
        context_window: Option<u64>,
    },
    /// How much of one of the account's allowances is used up.
    RateLimits {
        /// Which one.
        window: RateWindow,
        /// In percent of it.
        used_percent: f64,
        /// When it begins anew, in seconds since 1970.
        resets_at: Option<i64>,
        /// Nothing is left of it.
        reached: bool,
    },
    /// The agent waits for an answer, and its turn with it.
    Asks {
        /// For [`Talk::answer`](super::Talk::answer).
        id: AskId,
        /// For what.
        wants: Wants,
    },
    /// An answer is not waited for any more.
    AskWithdrawn {
        /// To what.
        id: AskId,
    },
    /// A message to the running turn was taken, and will be read after what it is at now.
    Steered {
        /// The message.
        text: String,
    },
    /// A message to the running turn was not taken: it has to be said in a turn of its own.
    NotSteered {
        /// The message.
        text: String,
        /// Why not.
        reason: String,
    },
    /// A request to the model failed.
    Trouble {
        /// In the words of Codex.
        message: String,
        /// What kind of failure it is.
        class: ErrorClass,
        /// Codex tries again by itself. If not, the turn is over in a moment.
        will_retry: bool,
    },
    /// Something that a person may want to know, and that ends nothing.
    Warning {
        /// In the words of Codex.
        message: String,
    },
    /// The agent did something of which there is no more to say than this.
    Deed {
        /// A few words, as in `searched the web for x`.
        what: String,
    },
    /// The turn is over.
    TurnOver {
        /// Which one. None if it was interrupted before it had begun.
        turn_id: Option<String>,
        /// How it ended.
        outcome: Outcome,
    },
    /// The access token of the account is not taken any more, and the turn waits for a newer one
    /// by [`Talk::tokens`](super::Talk::tokens). Codex waits for ten seconds.
    WantsTokens {
        /// For the answer, which is an [`Answer::Deny`] if there are none.
        id: AskId,
    },
    /// The app-server refused what it has to do for us, or spoke nonsense.
    Unfit {
        /// Why, and what may help.
        reason: String,
        /// Nothing more will come of this talk.
        over: bool,
    },
}

/// Where a command stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandState {
    /// It runs, or waits for an approval.
    Begun,
    /// It is over.
    Ended {
        /// None if it never ran.
        exit_code: Option<i64>,
        /// How long it took.
        duration: Option<Duration>,
        /// The end of its output.
        output: String,
        /// That there was more output before this.
        cut: bool,
        /// Somebody refused to let it run.
        declined: bool,
    },
}

/// What became of a change of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchStatus {
    /// The files are changed.
    Applied,
    /// It could not be applied.
    Failed,
    /// Somebody refused it.
    Declined,
}

/// Where a tool call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToolStatus {
    /// It runs, or waits for an approval.
    Begun,
    /// It gave a result.
    Completed,
    /// It gave an error, or was refused.
    Failed,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What.
    pub step: String,
    /// Where it stands.
    pub status: StepStatus,
}

/// Where a thing to do stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepStatus {
    /// It was not begun.
    Pending,
    /// It is what is done now.
    Begun,
    /// It is done.
    Completed,
}

/// Tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Sent to the model.
    pub input: u64,
    /// That of it which the model had at hand.
    pub cached: u64,
    /// Said by the model.
    pub output: u64,
    /// That of it which was thought only.
    pub reasoning: u64,
    /// All of them.
    pub total: u64,
}

/// One of an account's allowances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateWindow {
    /// What Codex calls it, as in `codex/primary`.
    pub name: String,
    /// How long it lasts.
    pub minutes: Option<u64>,
}

/// An ask of one talk. Another talk's asks have the same numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskId(pub u64);

impl fmt::Display for AskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What the agent wants to be told.
#[derive(Clone, Debug, PartialEq)]
pub enum Wants {
    /// Whether a command may run.
    Command {
        /// As a shell would read it. None if only its reach into the network is asked for.
        command: Option<String>,
        /// Where.
        cwd: Option<String>,
        /// Why it is asked for, in the agent's words or Codex's.
        reason: Option<String>,
        /// The host that it wants to reach, if that is what is asked for.
        host: Option<String>,
        /// The first words of commands that Codex would not ask for again after an
        /// [`Answer::Rule`].
        rule: Option<Vec<String>>,
        /// What it wants beyond its sandbox, as Codex puts it.
        beyond: Option<Value>,
    },
    /// Whether files may be changed.
    Patch {
        /// Which ones.
        paths: Vec<String>,
        /// Why it is asked for.
        reason: Option<String>,
        /// The folder that would be open for writing from then on.
        grant_root: Option<String>,
    },
    /// Whether it may do more from now on.
    Permissions {
        /// What, as Codex puts it.
        what: Value,
        /// Why it is asked for.
        reason: Option<String>,
    },
    /// Whether a tool of an MCP server may be called.
    Tool {
        /// The server's name in the config.
        server: String,
        /// The name that the server gave it.
        tool: Option<String>,
        /// What Codex would show a person.
        message: String,
        /// What it is called with.
        arguments: Option<Value>,
        /// What the server says of its tool.
        annotations: Option<Value>,
        /// For how long an approval can be given beyond this call.
        persist: Vec<String>,
    },
    /// Answers of a person.
    Input {
        /// To these.
        questions: Vec<Question>,
    },
    /// Something that an MCP server wants to know from a person.
    Elicitation {
        /// The server's name in the config.
        server: String,
        /// What it asks.
        message: String,
        /// How it is to be answered.
        form: Form,
    },
}

/// How an MCP server wants to be answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Form {
    /// With a yes or a no.
    Empty,
    /// With these filled in, by their names. It cannot be accepted without those that are required.
    Fields(Vec<Question>),
    /// By somebody who goes to an address; what they do there, only the server knows.
    Visit {
        /// The address.
        url: String,
    },
    /// In a way that nobody here understands.
    Strange,
}

/// A question of the agent's to a person, or a field of a form of a server's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// By which it is answered.
    pub id: String,
    /// What it is about, in a word.
    pub header: String,
    /// The question.
    pub question: String,
    /// Answers to choose from, each with what it means; none where anything may be said.
    pub options: Vec<(String, String)>,
    /// What an answer has to be.
    pub wanted: Wanted,
    /// Whether it has to be answered for anything to be.
    pub required: bool,
    /// What is answered by whoever changes nothing.
    pub default: Vec<String>,
    /// Whether nobody else may see the answer.
    pub secret: bool,
}

/// What an answer has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Text of so many characters.
    Text {
        /// At least so many.
        least: Option<u64>,
        /// At most so many.
        most: Option<u64>,
        /// `date` and the like, by what JSON Schema calls it.
        format: Option<String>,
    },
    /// A number.
    Number {
        /// One without a fraction.
        whole: bool,
        /// At least that.
        least: Option<Number>,
        /// At most that.
        most: Option<Number>,
    },
    /// One of the options.
    One,
    /// One of the options, or any other text.
    Other,
    /// Some of the options.
    Several {
        /// At least so many.
        least: Option<u64>,
        /// At most so many.
        most: Option<u64>,
    },
}

/// What is answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Yes, this time. To an elicitation: yes, and there is nothing to fill in.
    Once,
    /// Yes, and do not ask for the very same again while this thread is open. Where Codex cannot
    /// do that, it is yes this time.
    Session,
    /// Yes, and never ask again, in this home, for a command that begins with the words that
    /// [`Wants::Command`] proposes. Where it proposes none, it is as `Session`.
    Rule,
    /// No; the agent goes on without it.
    Deny,
    /// No, and the turn ends.
    Cancel,
    /// To questions and forms: what was answered, by the questions' ids or the fields' names.
    Input {
        /// One answer, or several where that is possible.
        answers: BTreeMap<String, Vec<String>>,
    },
    /// Nobody wants to answer; the agent goes on without it.
    Decline,
}

/// How a turn ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// By itself.
    Completed {
        /// The agent's answer.
        last_message: Option<String>,
    },
    /// Because it was asked to.
    Interrupted,
    /// Because it could not go on.
    Failed {
        /// In the words of Codex.
        message: String,
        /// What kind of failure it is.
        class: ErrorClass,
        /// When the allowance that is used up begins anew, in seconds since 1970, if Codex said so.
        resets_at: Option<i64>,
    },
}

/// Kinds of failure, as far as something different is done about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// The account's allowance is used up.
    UsageLimit,
    /// There were too many requests in too little time.
    RateLimit,
    /// The thread is too long for the model.
    ContextWindow,
    /// There is no login, or it is not taken.
    Unauthorized,
    /// The model's endpoint is not reached, or the connection was cut.
    Network,
    /// The model's endpoint has a failure of its own.
    Server,
    /// The model's endpoint does not want such a request.
    BadRequest,
    /// The sandbox for commands cannot be set up.
    Sandbox,
    /// The model has too much to do.
    Overloaded,
    /// Whatever else.
    Other,
}

/// What an account is used with. The token that renews it is not among it, and never here.
#[derive(Clone, PartialEq, Eq)]
pub struct AccountTokens {
    /// The access token, a JWT.
    pub access_token: String,
    /// The workspace that it is used for.
    pub account_id: String,
    /// The plan, if it is known.
    pub plan: Option<String>,
}

/// Without the token.
impl fmt::Debug for AccountTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("AccountTokens");
        shown
            .field("account_id", &self.account_id)
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}

/// What a thread is begun with, or taken up again.
#[derive(Clone, Debug)]
pub struct Opening {
    /// The thread to take up again, or a new one.
    pub thread: Option<String>,
    /// Where the agent works.
    pub cwd: PathBuf,
    /// What the first turn is asked to do.
    pub input: String,
    /// The model, if it is not the one of the config.
    pub model: Option<String>,
    /// How hard it thinks, likewise.
    pub effort: Option<String>,
    /// What commands can reach.
    pub sandbox: Sandbox,
    /// What is asked for.
    pub approvals: Approvals,
    /// What the model is told before the user's words.
    pub developer_instructions: Option<String>,
    /// More of the config, for this thread, by dotted keys.
    pub config: serde_json::Map<String, Value>,
    /// The form that the answer must have.
    pub output_schema: Option<Value>,
    /// What an account is used with, if the login is one and the home has none.
    pub tokens: Option<AccountTokens>,
}

/// What commands of the agent's can reach by Codex's own sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sandbox {
    /// They change nothing.
    ReadOnly {
        /// They may speak with anybody.
        network: bool,
    },
    /// They may write in the working folder and in temporary ones.
    WorkspaceWrite {
        /// They may speak with anybody.
        network: bool,
        /// Other folders in which they may write.
        writable_roots: Vec<PathBuf>,
    },
    /// There is none.
    DangerFullAccess,
}

/// What Codex asks for before it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approvals {
    /// What goes beyond the sandbox.
    OnRequest,
    /// Nothing: what would need asking is refused.
    Never,
    /// All but what is known to change nothing.
    Untrusted,
}
