//! What has happened to a run, as its journal keeps it and `events.jsonl` shows it.

use serde::{Deserialize, Serialize};

use crate::{
    Attempt, By, Exit, Failure, Matter, Plan, Question, QuestionId, Reached, Resolution, RunId,
    StageId, StageIndex, Standing, Timestamp, Tokens, TurnEnd, caps::Beyond,
};

/// A fact about a run. The names are those that readers of `events.jsonl` know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "event", content = "payload", rename_all = "snake_case")]
pub enum Event {
    /// The run was written down.
    RunQueued {
        /// The pipeline it runs.
        pipeline_id: String,
        /// What people read instead of the id.
        pipeline_title: String,
        /// How many stages its plan has.
        stages: u32,
    },
    /// A runner took it up for the first time.
    RunStarted {
        /// Who.
        runner: Runner,
    },
    /// A try at a stage is about to be made.
    StepStarted {
        /// Which.
        #[serde(flatten)]
        step: Step,
    },
    /// The processes of a try are there.
    StepLaunched {
        /// Which.
        #[serde(flatten)]
        step: Step,
        /// What finds the processes again after a crash.
        tree: serde_json::Value,
    },
    /// The processes of a try are confined, or could not be and run all the same.
    StepConfined {
        /// Which.
        #[serde(flatten)]
        step: Step,
        /// By what, and to what.
        cage: serde_json::Value,
    },
    /// The processes of a try reached for something that they may not have.
    CapDenied {
        /// Which.
        #[serde(flatten)]
        step: Step,
        /// What: a host and port (`elsewhere` and `...` for what is one of too many), a tool of our
        /// own server (`delegate.spawn`), or another MCP server and one of its tools (`server/tool`).
        what: String,
        /// Why not, in a word.
        why: String,
        /// How often since that was said last.
        count: u64,
    },
    /// A host or a tool may be reached from here on that its caps do not name.
    CapWidened {
        /// Which.
        what: Beyond,
        /// The stage that may; all of the run where none is said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stage_id: Option<StageId>,
        /// Who said so; the settings where it is nobody.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<By>,
        /// What they were asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        question_id: Option<QuestionId>,
    },
    /// An MCP server that a stage's thread is granted tools of did not start.
    ServerNotStarted {
        /// The stage.
        #[serde(flatten)]
        step: Step,
        /// The server.
        server: String,
        /// Why, as far as can be told from here. What it said itself may be secret, and is kept elsewhere.
        reason: String,
    },
    /// A stage ran longer than it may, and is being stopped.
    StepTimedOut {
        /// Which.
        #[serde(flatten)]
        step: Step,
        /// What it was given.
        limit_ms: u64,
    },
    /// Nothing came from a stage's thread for too long, and it is being stopped.
    StepSilent {
        /// Which.
        #[serde(flatten)]
        step: Step,
        /// What it was given.
        limit_ms: u64,
    },
    /// Some of a stage's output could not be kept.
    StepOutputLost {
        /// Which.
        #[serde(flatten)]
        step: Step,
        /// What the system said.
        reason: String,
    },
    /// A stage ended well.
    StepCompleted {
        /// Which.
        #[serde(flatten)]
        step: Step,
        /// 0; none for a sub-pipeline.
        exit_code: Option<i32>,
        /// What it said last.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        summary: Option<String>,
    },
    /// A try at a stage failed.
    StepFailed {
        /// Which.
        #[serde(flatten)]
        step: Step,
        /// As a shell gives it; none for a sub-pipeline or when nobody knows.
        exit_code: Option<i32>,
        /// How its command ended, when it has one.
        exit: Option<Exit>,
        /// Why.
        failure: Failure,
        /// The same, for people.
        error: String,
        /// What it said last.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        summary: Option<String>,
        /// The end of what the command printed that verifies.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output: Option<String>,
        /// Another try follows.
        retry: bool,
        /// The stage may fail, so nothing else does.
        allowed: bool,
    },
    /// A stage will not be run.
    StepSkipped {
        /// Which; its attempt is 0.
        #[serde(flatten)]
        step: Step,
        /// Why.
        reason: String,
    },
    /// A stage was stopped because its run is being cancelled.
    StepCancelled {
        /// Which.
        #[serde(flatten)]
        step: Step,
        /// How its command ended.
        exit: Exit,
    },
    /// Somebody asked for a pause; nothing new is launched from here on.
    PauseRequested {
        /// Threads are frozen in the middle of their turns, too.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        freeze: bool,
    },
    /// Every process of the run is frozen.
    RunPaused {},
    /// A try was left off at the end of a turn, to be gone on with in another one.
    StepSuspended {
        /// Which.
        #[serde(flatten)]
        step: Step,
    },
    /// The command that verifies a thread's work is about to be run.
    VerifyStarted {
        /// Which.
        #[serde(flatten)]
        step: Step,
    },
    /// A thread has begun, or goes on.
    ThreadStarted {
        /// Which stage's.
        #[serde(flatten)]
        step: Step,
        /// Its name.
        thread_id: String,
        /// The model that it runs on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<String>,
    },
    /// A turn of a thread has begun.
    TurnStarted {
        /// Which stage's.
        #[serde(flatten)]
        step: Step,
        /// Its name.
        turn_id: String,
    },
    /// A turn of a thread is over.
    TurnEnded {
        /// Which stage's.
        #[serde(flatten)]
        step: Step,
        /// How.
        #[serde(flatten)]
        end: TurnEnd,
    },
    /// A thread said something.
    AgentMessage {
        /// Which stage's.
        #[serde(flatten)]
        step: Step,
        /// What.
        text: String,
    },
    /// A thread called a tool.
    ToolCalled {
        /// Which stage's.
        #[serde(flatten)]
        step: Step,
        /// The MCP server.
        server: String,
        /// The tool.
        tool: String,
        /// Whether that went well.
        ok: bool,
    },
    /// A thread ran a command.
    CommandRun {
        /// Which stage's.
        #[serde(flatten)]
        step: Step,
        /// The command.
        command: String,
        /// How it ended; none when it was refused.
        exit_code: Option<i32>,
    },
    /// A thread changed files.
    FilesChanged {
        /// Which stage's.
        #[serde(flatten)]
        step: Step,
        /// Which, relative to its work tree.
        paths: Vec<String>,
    },
    /// A thread has a plan.
    PlanUpdated {
        /// Which stage's.
        #[serde(flatten)]
        step: Step,
        /// Its steps, each with how far it is.
        steps: Vec<(String, String)>,
    },
    /// A thread has used tokens.
    TokensUsed {
        /// Which stage's.
        #[serde(flatten)]
        step: Step,
        /// Since that was said last.
        #[serde(flatten)]
        tokens: Tokens,
    },
    /// A thread was at work.
    TimeWorked {
        /// Which stage's.
        #[serde(flatten)]
        step: Step,
        /// Milliseconds since that was said last.
        ms: u64,
    },
    /// What a thread did was committed.
    WorkCommitted {
        /// Which stage's.
        #[serde(flatten)]
        step: Step,
        /// The commit.
        commit: String,
    },
    /// What a thread did could not be committed. It lies in the work tree all the same.
    WorkNotCommitted {
        /// Which stage's.
        #[serde(flatten)]
        step: Step,
        /// What was in the way.
        error: String,
    },
    /// Somebody has something to say to a thread.
    MessageSent {
        /// What.
        text: String,
    },
    /// A thread took the oldest of the messages that waited for it.
    MessagesHeard {
        /// Which stage's.
        #[serde(flatten)]
        step: Step,
        /// How many.
        count: usize,
    },
    /// A budget is used up.
    BudgetReached {
        /// Which.
        #[serde(flatten)]
        reached: Reached,
        /// The run above whose budget it is; none where it is its own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        of: Option<RunId>,
    },
    /// The account that the threads use has used up what it may.
    UsageLimited {
        /// When that is lifted, where the provider says so.
        until: Option<Timestamp>,
        /// The run goes on by itself then.
        goes_on: bool,
    },
    /// The work tree of its own is there.
    WorktreeMade {
        /// Where.
        path: String,
        /// The branch in it.
        branch: String,
        /// The commit that it began with.
        base: String,
    },
    /// The run could not be frozen and goes on.
    PauseFailed {
        /// What was in the way.
        reason: String,
    },
    /// The run goes on.
    RunResumed {
        /// The new runner, when the run is restarted; none when it is thawed.
        runner: Option<Runner>,
        /// The first stage that is run again, when the run is restarted.
        stage_id: Option<StageId>,
    },
    /// Somebody asked for the run's end.
    CancelRequested {
        /// Why, in their words.
        reason: Option<String>,
    },
    /// The run asks something.
    QuestionQueued {
        /// What.
        #[serde(flatten)]
        question: Question,
    },
    /// Its question was answered.
    QuestionAnswered {
        /// Which.
        question_id: QuestionId,
        /// How.
        #[serde(flatten)]
        resolution: Resolution,
    },
    /// Its question was closed without an answer.
    QuestionClosed {
        /// Which.
        question_id: QuestionId,
        /// How.
        #[serde(flatten)]
        resolution: Resolution,
    },
    /// An agent wants to do what only a person may allow.
    ConfirmationRequired {
        /// What.
        #[serde(flatten)]
        question: Question,
    },
    /// A person allowed it or did not, or did not say in time.
    ConfirmationResolved {
        /// Which.
        question_id: QuestionId,
        /// How.
        #[serde(flatten)]
        resolution: Resolution,
    },
    /// A run wants to do what it may not by itself.
    ApprovalRequired {
        /// What.
        #[serde(flatten)]
        question: Question,
    },
    /// It was allowed or not, or nobody said so in time.
    ApprovalResolved {
        /// Which.
        question_id: QuestionId,
        /// How.
        #[serde(flatten)]
        resolution: Resolution,
    },
    /// It was allowed without asking, since a person has allowed it for the repository.
    ApprovalStood {
        /// Which try.
        #[serde(flatten)]
        step: Step,
        /// What was allowed, by whom, when and under which name.
        standing: Standing,
    },
    /// The run is to end as failed, because of something that is none of its stages.
    FailRequested {
        /// Why.
        error: String,
    },
    /// The runner is gone and the run is not done.
    RunInterrupted {
        /// What became of the runner.
        reason: String,
    },
    /// Every stage that had to succeed did.
    RunCompleted {},
    /// A stage that had to succeed did not, or the run was ended as failed.
    RunFailed {
        /// The first such stage; none where it was no stage's fault.
        stage_id: Option<StageId>,
        /// Why it failed.
        error: String,
    },
    /// The run was cancelled, and all of it is stopped.
    RunCanceled {
        /// Why, in the words of whoever asked.
        reason: Option<String>,
    },
}

impl Event {
    /// That something is asked.
    #[must_use]
    pub fn asked(question: Question) -> Self {
        match question.matter {
            Matter::Question { .. } => Self::QuestionQueued { question },
            Matter::Confirmation { .. } => Self::ConfirmationRequired { question },
            Matter::Approval { .. } => Self::ApprovalRequired { question },
        }
    }

    /// What became of what was asked.
    #[must_use]
    pub fn resolved(question: &Question, resolution: Resolution) -> Self {
        let question_id = question.question_id.clone();
        match (&question.matter, &resolution) {
            (Matter::Confirmation { .. }, _) => {
                Self::ConfirmationResolved { question_id, resolution }
            }
            (Matter::Approval { .. }, _) => Self::ApprovalResolved { question_id, resolution },
            (Matter::Question { .. }, Resolution::Answered { .. }) => {
                Self::QuestionAnswered { question_id, resolution }
            }
            (Matter::Question { .. }, _) => Self::QuestionClosed { question_id, resolution },
        }
    }

    /// Whether it only tells what goes on, so that it may be lost when the machine goes down: the
    /// processes there mean nothing then, and what a thread said and did stands in its own record.
    #[must_use]
    pub fn is_trace(&self) -> bool {
        matches!(
            self,
            Self::StepLaunched { .. }
                | Self::StepConfined { .. }
                | Self::CapDenied { .. }
                | Self::ServerNotStarted { .. }
                | Self::AgentMessage { .. }
                | Self::ToolCalled { .. }
                | Self::CommandRun { .. }
                | Self::FilesChanged { .. }
                | Self::PlanUpdated { .. }
                | Self::TokensUsed { .. }
                | Self::TimeWorked { .. }
        )
    }

    /// Whether others than those who look at its run may wait for it: an end, something asked, what
    /// became of that, or that a wish to pause is done.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        matches!(
            self,
            Self::RunPaused {}
                | Self::PauseFailed { .. }
                | Self::RunResumed { .. }
                | Self::RunCompleted {}
                | Self::RunFailed { .. }
                | Self::RunCanceled { .. }
                | Self::RunInterrupted { .. }
                | Self::QuestionQueued { .. }
                | Self::QuestionAnswered { .. }
                | Self::QuestionClosed { .. }
                | Self::ConfirmationRequired { .. }
                | Self::ConfirmationResolved { .. }
                | Self::ApprovalRequired { .. }
                | Self::ApprovalResolved { .. }
                | Self::BudgetReached { .. }
                | Self::UsageLimited { .. }
        )
    }

    /// The first event of every run.
    #[must_use]
    pub fn queued(plan: &Plan) -> Self {
        Self::RunQueued {
            pipeline_id: plan.pipeline.clone(),
            pipeline_title: plan.title.clone(),
            stages: u32::try_from(plan.stages.len()).unwrap_or(u32::MAX),
        }
    }
}

/// Which try at which stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Step {
    /// The stage's name.
    pub stage_id: StageId,
    /// The stage's number in the run, from 1.
    pub stage_index: u32,
    /// The try, from 1; 0 when there was none.
    pub attempt: u32,
}

impl Step {
    /// That try at that stage of that plan.
    #[must_use]
    pub fn new(plan: &Plan, stage: StageIndex, attempt: u32) -> Self {
        let stage_id = plan.stages[stage.get()].id.clone();
        Self { stage_id, stage_index: stage.number(), attempt }
    }

    /// The stage's place in its plan.
    #[must_use]
    pub fn index(&self) -> StageIndex {
        StageIndex(self.stage_index.saturating_sub(1))
    }

    /// The try.
    #[must_use]
    pub fn attempt(&self) -> Attempt {
        Attempt(self.attempt)
    }
}

/// The process that runs a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Runner {
    /// Its process id on its host.
    pub pid: u32,
    /// The boot it lives in, as the kernel names it.
    pub boot_id: String,
    /// The machine's name.
    pub hostname: String,
}

/// Where an event stands among those of its run: from 1, without holes.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// The one after this.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Who made something happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// The process that runs the run.
    Runner,
    /// A person, by a command.
    User,
    /// A Codex session, by its MCP server.
    Session,
    /// A delegated run, by its channel.
    Child,
    /// Whoever looked at the run and found its runner gone, or a question out of time.
    Observer,
}

impl From<&By> for Actor {
    fn from(by: &By) -> Self {
        match by {
            By::Person { .. } => Self::User,
            By::Session { .. } => Self::Session,
            By::Run { .. } => Self::Child,
        }
    }
}

impl Actor {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Runner => "runner",
            Self::User => "user",
            Self::Session => "session",
            Self::Child => "child",
            Self::Observer => "observer",
        }
    }
}

/// An event in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Its number.
    pub seq: Seq,
    /// When it was written down.
    pub at: Timestamp,
    /// Who made it happen.
    pub actor: Actor,
    /// What happened.
    pub event: Event,
}
