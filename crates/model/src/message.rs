//! What a run is asked, what it is told, and what it wants done.

use serde::{Deserialize, Serialize};

use crate::{
    Attempt, Exit, Misfit, Part, Question, QuestionId, Reached, Resolution, RunId, Runner,
    StageIndex, Standing, Timestamp, Tokens, TurnEnd, WhenReached, caps::Beyond,
};

/// A wish; it may be refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "request")]
pub enum Request {
    /// Take the run up: for the first time, or again at its first unfinished stage.
    Run {
        /// Who will run it.
        runner: Runner,
    },
    /// Freeze everything that runs, and launch nothing more. A thread comes to the end of its turn
    /// first, since a stream that is frozen dies.
    Pause {
        /// Its threads, too, at once.
        #[serde(default)]
        freeze: bool,
    },
    /// Let a paused run go on.
    Thaw,
    /// Stop everything and end.
    Cancel {
        /// Why, in the asker's words.
        reason: Option<String>,
    },
    /// Tell its thread something.
    Message {
        /// What.
        text: String,
    },
    /// Put a question down, for somebody to answer.
    Ask {
        /// The question.
        question: Box<Question>,
    },
    /// Answer or close a question. The first to do so is the one who did.
    Resolve {
        /// Which.
        question_id: QuestionId,
        /// How.
        resolution: Resolution,
    },
}

/// Why a wish is not granted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// It has not been taken up by a runner.
    #[error("the run has not started yet")]
    NotStarted,
    /// It is running.
    #[error("the run is running already")]
    AlreadyRunning,
    /// It is paused, or about to be.
    #[error("the run is paused already")]
    AlreadyPaused,
    /// It is not paused.
    #[error("the run is not paused")]
    NotPaused,
    /// It is being cancelled.
    #[error("the run is being cancelled already")]
    AlreadyCancelling,
    /// It came to an end.
    #[error("the run has ended already")]
    Ended,
    /// It came to a good end, so nothing of it is left to do.
    #[error("the run has succeeded; there is nothing left to resume")]
    Succeeded,
    /// Its runner is gone.
    #[error("the run was interrupted and nothing of it is running")]
    Interrupted,
    /// It is being stopped, to end as failed.
    #[error("the run is being stopped because it failed")]
    Failing,
    /// It starts nothing before a question is answered.
    #[error("the run waits for the answer to question {0}")]
    WaitsForAnswer(QuestionId),
    /// It has asked enough.
    #[error("the run has {0} open questions, and may not have more")]
    TooManyQuestions(usize),
    /// None of its stages is a thread that could hear it.
    #[error("none of the run's stages is a Codex thread that could still be told anything")]
    NoThread,
    /// It has been told enough.
    #[error("{0} messages wait for the thread already")]
    TooManyMessages(usize),
    /// The question is not open, or not one of this run.
    #[error("question {0} is not open")]
    NotOpen(QuestionId),
    /// That is no way to resolve it.
    #[error(transparent)]
    Unfit(#[from] Misfit),
}

/// A fact that the model has not heard of yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// A try is about to be launched.
    Launching {
        /// The stage.
        stage: StageIndex,
        /// The try.
        attempt: Attempt,
    },
    /// Its processes are there.
    Launched {
        /// The stage.
        stage: StageIndex,
        /// The try.
        attempt: Attempt,
        /// What finds the processes again.
        tree: serde_json::Value,
    },
    /// It has run longer than it may.
    Overran {
        /// The stage.
        stage: StageIndex,
        /// The try.
        attempt: Attempt,
    },
    /// Some of its output could not be kept.
    OutputLost {
        /// The stage.
        stage: StageIndex,
        /// The try.
        attempt: Attempt,
        /// What the system said.
        reason: String,
    },
    /// Its command ended and all of its processes are gone.
    Exited {
        /// The stage.
        stage: StageIndex,
        /// The try.
        attempt: Attempt,
        /// How.
        exit: Exit,
        /// The last line that it printed.
        last_line: Option<String>,
        /// The end of what it printed, of a command that verifies.
        output: Option<String>,
    },
    /// Something came from its thread.
    Thread {
        /// The stage.
        stage: StageIndex,
        /// The try.
        attempt: Attempt,
        /// What.
        report: ThreadReport,
    },
    /// Nothing has come from its thread for as long as that may be.
    Silent {
        /// The stage.
        stage: StageIndex,
        /// The try.
        attempt: Attempt,
    },
    /// Its processes are confined.
    Confined {
        /// The stage.
        stage: StageIndex,
        /// The try.
        attempt: Attempt,
        /// By what, and to what.
        cage: serde_json::Value,
    },
    /// They reached for something that they may not have.
    Denied {
        /// The stage.
        stage: StageIndex,
        /// The try.
        attempt: Attempt,
        /// What.
        what: String,
        /// Why not, in a word.
        why: String,
        /// How often since that was said last.
        count: u64,
    },
    /// An MCP server outside of them did not start.
    ServerNotStarted {
        /// The stage.
        stage: StageIndex,
        /// The try.
        attempt: Attempt,
        /// The server.
        server: String,
        /// Why.
        reason: String,
    },
    /// They reached for something that the settings let somebody through to who asks.
    Widened {
        /// The stage.
        stage: StageIndex,
        /// The try.
        attempt: Attempt,
        /// What.
        what: Beyond,
    },
    /// They wished for what a person has allowed for the repository.
    Stood {
        /// The stage.
        stage: StageIndex,
        /// The try.
        attempt: Attempt,
        /// What the approval is.
        standing: Standing,
    },
    /// A budget is used up: its own, or that of a run above it.
    Spent {
        /// Which.
        reached: Reached,
        /// The run above whose budget it is; none where it is its own.
        of: Option<RunId>,
        /// What follows.
        then: WhenReached,
    },
    /// The account that its threads use has used up what it may, as is known from elsewhere.
    Limited {
        /// When that is lifted.
        until: Timestamp,
        /// Whether the run is to go on by itself then.
        goes_on: bool,
    },
    /// The work tree of its own is there.
    TreeMade {
        /// Where.
        path: String,
        /// The branch in it.
        branch: String,
        /// The commit that it began with.
        base: String,
    },
    /// What it needs before its first stage cannot be had.
    Unprepared {
        /// Why.
        error: String,
    },
    /// Everything that runs is frozen.
    Froze,
    /// So late it is: what is not answered by now is not answered in time.
    Time {
        /// The time of day.
        now: Timestamp,
    },
    /// Something would not freeze.
    FreezeFailed {
        /// What was in the way.
        reason: String,
    },
    /// The runner is dead, and everything that it ran is gone.
    RunnerLost {
        /// What became of it.
        reason: String,
    },
}

/// Something to be done to a stage. All but `Launch` describe how its processes should be, and
/// are due for as long as that is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Write the try down, then launch that part of it.
    Launch(StageIndex, Attempt, Part),
    /// Its processes should be running.
    Thaw(StageIndex),
    /// Its processes should be frozen.
    Freeze(StageIndex),
    /// Its processes should be stopped.
    Stop(StageIndex),
}

/// What comes from a thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ThreadReport {
    /// It is there.
    Ready {
        /// Its name.
        thread_id: String,
        /// The model that it runs on.
        model: Option<String>,
    },
    /// It begins a turn.
    TurnBegan {
        /// The turn's name.
        turn_id: String,
    },
    /// It took so many of the messages that waited for it.
    Heard {
        /// How many.
        count: usize,
    },
    /// It said something.
    Said {
        /// What.
        text: String,
    },
    /// It called a tool of a server.
    Called {
        /// The server.
        server: String,
        /// The tool.
        tool: String,
        /// Whether that went well.
        ok: bool,
    },
    /// It ran a command.
    Ran {
        /// The command.
        command: String,
        /// How it ended; none when it was refused.
        exit_code: Option<i32>,
    },
    /// It changed files.
    Changed {
        /// Which.
        paths: Vec<String>,
    },
    /// It has a plan.
    Planned {
        /// Its steps, each with how far it is.
        steps: Vec<(String, String)>,
    },
    /// It used tokens up.
    Used {
        /// How many since this was said last.
        tokens: Tokens,
    },
    /// So long it was at work since this was said last.
    Worked {
        /// Milliseconds.
        ms: u64,
    },
    /// Its turn is over.
    TurnOver {
        /// How.
        end: TurnEnd,
        /// When the account's limit is lifted, where that ended it.
        until: Option<Timestamp>,
        /// Whether the run is to go on by itself then.
        goes_on: bool,
    },
    /// What it did was committed.
    Committed {
        /// The commit.
        commit: String,
    },
    /// What it did could not be committed.
    NotCommitted {
        /// What was in the way.
        error: String,
    },
}
