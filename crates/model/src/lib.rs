//! What a run is and how it moves. The same inputs always give the same answer.
//!
//! Knows: the names of tasks, runs, stages and questions; pipelines and the plans made from them; caps; runs, and
//! the requests, reports, events and effects that move them.
//! Does not know: clocks, files, processes, SQL, async.
//!
//! A `Request` may be refused, a `Report` is already true; `Run::decide` and `Run::note` turn
//! them into `Event`s, `Run::apply` is the only place where a run changes, and `Run::due` says
//! which `Effect`s are to be performed.

mod approval;
mod authority;
pub mod caps;
mod choices;
mod duration;
mod event;
mod id;
mod message;
mod needs;
mod notice;
mod pipeline;
mod plan;
mod prompt;
mod question;
mod run;
mod shape;
mod spec;
mod stage;
mod standing;
mod status;
mod text;
mod thread;
mod time;

pub use approval::{ApprovalPolicy, Consent};
pub use authority::{Act, Denied, Tie, Verdict, may};
pub use choices::{BadMode, ConfirmCancel, Fallback, Mode};
pub use duration::{BadDuration, LONGEST as LONGEST_DURATION, parse_duration, show_duration};
pub use event::{Actor, Event, Recorded, Runner, Seq, Step};
pub use id::{BadQuestionId, BadRunId, BadStageId, BadTaskId, QuestionId, RunId, StageId, TaskId};
pub use message::{Effect, Refusal, Report, Request, ThreadReport};
pub use needs::{StagesFault, cycle, needs_of};
pub use notice::{Notice, Notify, Way};
pub use pipeline::{CommandLine, CommandStage, Pipeline, Source, Stage, StageBody};
pub use plan::{
    LeftOut, MOST_STAGES, PROMPT as PROMPT_PIPELINE, Plan, PlanError, PlannedBody, PlannedStage,
    StageIndex,
};
pub use prompt::{BadBlank, check_blanks, fill};
pub use question::{Asks, By, Door, Held, Matter, Misfit, Question, Resolution, Scope, Urgency};
pub use run::{
    MadeTree, NotStarted, Phase, Restart, Run, RunOutcome, Waiting, WaitingFor, Widened,
};
pub use shape::{Format, Shape};
pub use spec::{
    CodexFacts, ConfigFacts, Grant, Limits, Origin, OwnTree, RepoFacts, RunSpec, ThreadHome,
};
pub use stage::{Attempt, Ended, Exit, Failure, Halt, Outcome, Running, StageState, StageStatus};
pub use standing::{Standing, Subject};
pub use status::{BadStatus, RunStatus};
pub use text::misleads;
pub use thread::{
    Axis, Budget, Check, CodexStage, Limited, Owed, Part, Reached, Sandbox, Say, Spent, Thread,
    Tokens, Turn, TurnEnd, TurnFault, Used, WhenReached,
};
pub use time::{BadTimestamp, Timestamp};
