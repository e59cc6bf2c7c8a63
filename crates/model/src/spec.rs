//! What a run was started with. It never changes, also when the run is resumed.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    ApprovalPolicy, Budget, By, Mode, Notify, Plan, PlannedBody, RunId, StageIndex, TaskId,
    WhenReached,
    caps::{
        AsksForMore, CapsFrom, CapsLayer, CapsOrigin, DelegateTools, Effective, Standing, ToolCaps,
        WrittenCaps,
    },
};

/// Everything a run was started with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSpec {
    /// Its name.
    pub run_id: RunId,
    /// The task it belongs to.
    pub task_id: TaskId,
    /// The run that started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_run_id: Option<RunId>,
    /// How it was asked for.
    pub origin: Origin,
    /// The name that was given to the wish for it, with whose wish it is: the same key is the same
    /// run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Who delegated it, and what it may do by itself; none where a person started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<Grant>,
    /// Nobody is to be asked: what it asks takes its fallback at once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_input: bool,
    /// What it does.
    pub plan: Plan,
    /// What it is to achieve, in the words of whoever started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goal: Option<String>,
    /// The repository as it was.
    pub repo: RepoFacts,
    /// The settings as they were.
    pub config: ConfigFacts,
    /// What a person is to be told of it; none where nobody is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify: Option<Notify>,
    /// What its threads may use up, together with those of the runs below it.
    #[serde(default)]
    pub limits: Limits,
    /// The work tree of its own that is to be made for it; none where it works in the one it was
    /// started in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_tree: Option<OwnTree>,
    /// How its threads are run; none where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codex: Option<CodexFacts>,
    /// The thread that it goes on with; none where it begins its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follows: Option<ThreadHome>,
    /// How long a stage that is asked to end may take, in milliseconds.
    pub grace_ms: u64,
    /// The way its process trees are to be held: `auto`, or the name of one.
    pub supervision: String,
}

impl RunSpec {
    /// Who started it, as far as caps go: an agent, or a person who let one do something.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        match self.grant {
            Some(_) => Standing::Delegated,
            None => Standing::Free,
        }
    }

    /// What a stage may do. Nothing that was written since the run was started has a part in it.
    pub fn caps_of(&self, stage: StageIndex) -> Result<Effective, Box<AsksForMore>> {
        let mut written = self.config.caps.clone();
        written.extend(self.plan.caps_of(stage));
        Effective::of(self.standing(), &written)
    }

    /// Whether that stage is kept to something. Caps that contradict each other keep it from starting.
    #[must_use]
    pub fn is_confined(&self, stage: StageIndex) -> bool {
        self.caps_of(stage).map_or(true, |effective| !effective.caps.is_free())
    }

    /// Whether tools are kept from that stage: from a thread any, from a command those of our own server,
    /// since it is given no others.
    #[must_use]
    pub fn narrows_tools(&self, stage: StageIndex) -> bool {
        self.caps_of(stage).map_or(true, |effective| self.are_narrow(stage, &effective.caps.tools))
    }

    /// The same of tools that are known already.
    #[must_use]
    pub fn are_narrow(&self, stage: StageIndex, tools: &ToolCaps) -> bool {
        match self.plan.stages[stage.get()].body {
            PlannedBody::Codex(_) => !tools.is_free(),
            PlannedBody::Command(_) => tools.delegate != DelegateTools::ALL,
            PlannedBody::Pipeline(_) => false,
        }
    }

    /// Which tools of our own server the processes of a stage have, of those that its mode has. Where
    /// nobody can tell which stage they are of, it is what all of them have.
    ///
    /// # Errors
    ///
    /// When the caps contradict each other.
    pub fn delegate_tools(
        &self,
        stage: Option<StageIndex>,
    ) -> Result<DelegateTools, Box<AsksForMore>> {
        if let Some(stage) = stage {
            return Ok(self.caps_of(stage)?.caps.tools.delegate);
        }
        let mut least = CapsLayer::default();
        for (at, stage) in (0..).map(StageIndex).zip(&self.plan.stages) {
            if stage.body.has_processes() {
                least = least.meet(&self.caps_of(at)?.caps.to_layer());
            }
        }
        Ok(least.tools.delegate.unwrap_or(DelegateTools::ALL))
    }

    /// What a run may do at most that is started by this one; nothing where that is all that a person
    /// may, and where it stands for a session, which has no caps of ours.
    ///
    /// Whoever asks for it speaks for the run, and not for one of its stages: so it is what all of
    /// them may.
    pub fn bound_below(&self) -> Result<Option<WrittenCaps>, Box<AsksForMore>> {
        let mut least = CapsLayer::default();
        for (at, stage) in (0..).map(StageIndex).zip(&self.plan.stages) {
            if stage.body.has_processes() {
                least = least.meet(&self.held(at)?);
            }
        }
        let place = format!("run {}", self.run_id.tail());
        let origin = CapsOrigin { from: CapsFrom::Parent, place };
        Ok((least != CapsLayer::default()).then_some(WrittenCaps { origin, caps: least }))
    }

    /// What a stage is held to, as a bound for what it starts.
    fn held(&self, stage: StageIndex) -> Result<CapsLayer, Box<AsksForMore>> {
        if self.is_confined(stage) {
            return Ok(self.caps_of(stage)?.caps.grant());
        }
        let mut written = self.config.caps.clone();
        written.extend(self.plan.caps_of(stage));
        let caps = Effective::of(Standing::Free, &written)?.caps;
        // That nobody has said anything is no opinion, and so it is no bound.
        let free = caps == Standing::Free.built_in();
        Ok(if free { CapsLayer::default() } else { caps.grant() })
    }

    /// Adds what others than the config say of its caps.
    ///
    /// # Errors
    ///
    /// When a stage would have to be held to less than somebody asks for it.
    pub fn held_to(
        mut self,
        layers: impl IntoIterator<Item = WrittenCaps>,
    ) -> Result<Self, Box<AsksForMore>> {
        for layer in layers {
            if !self.config.caps.contains(&layer) {
                self.config.caps.push(layer);
            }
        }
        let mut stages = (0..).map(StageIndex).take(self.plan.stages.len());
        stages.try_for_each(|stage| self.caps_of(stage).map(drop))?;
        Ok(self)
    }
}

/// How a run was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A pipeline was started.
    Start,
    /// One command was to be run and recorded.
    Exec,
    /// A pipeline was delegated by an agent.
    Delegate,
    /// It stands for a Codex session, so that what the session starts has a parent.
    Session,
}

/// What a delegated run may do through its own delegation server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Grant {
    /// Who delegated it.
    pub by: By,
    /// Which tools its server offers.
    pub mode: Mode,
    /// How many runs stand above it: 1 for what a session started.
    pub depth: u32,
    /// The repository of its parent, where that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_root: Option<String>,
    /// The sandbox of the caller, as its client told it; unread, for the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller_sandbox: Option<serde_json::Value>,
}

/// The repository as it was when the run was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RepoFacts {
    /// The absolute path of the main work tree, or of the folder where there is no git.
    pub root: String,
    /// The absolute path of the work tree that the stages run in.
    pub worktree: String,
    /// The branch that was checked out; none when detached or without git.
    pub branch: Option<String>,
    /// The commit that was checked out; none when unborn or without git.
    pub commit: Option<String>,
    /// Whether there was uncommitted work; none when nobody could tell in time.
    pub dirty: Option<bool>,
}

/// The settings as they were when the run was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ConfigFacts {
    /// Every setting in effect.
    // These two are most of a spec, and every copy of it and every manifest has the same.
    pub effective: Arc<serde_json::Value>,
    /// Where each of them came from.
    pub origins: Arc<serde_json::Value>,
    /// A hash of what was in effect.
    pub hash: String,
    /// What was written of caps, and for a delegated run also what its parent had and what was wished
    /// for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub caps: Vec<WrittenCaps>,
    /// What becomes of wishes to do more.
    #[serde(default)]
    pub approvals: ApprovalPolicy,
}

impl ConfigFacts {
    /// The same where no person has typed the command: what it says of caps is a wish, which widens
    /// nothing.
    #[must_use]
    pub fn wished(mut self) -> Self {
        let typed = self.caps.iter_mut().map(|written| &mut written.origin.from);
        typed
            .filter(|from| **from == CapsFrom::CommandLine)
            .for_each(|from| *from = CapsFrom::Spawn);
        self
    }
}

/// What the threads of a run may use up, together with those of the runs below it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct Limits {
    /// How much.
    #[serde(flatten)]
    pub budget: Budget,
    /// What follows when that is used up.
    #[serde(default)]
    pub then: WhenReached,
    /// When the account's own limit is reached and lifted again, it waits for somebody to say so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stays_limited: bool,
}

/// How the threads of a run are run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodexFacts {
    /// The program: a path, or a name that is looked up.
    pub program: String,
    /// The user's own CODEX_HOME, whose settings and login are used.
    pub users_home: String,
}

/// A work tree that is to be made for a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct OwnTree {
    /// Where it is to be; an absolute path outside of the repository.
    pub path: String,
    /// Uncommitted work comes along.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub with_changes: bool,
    /// Ignored files that come along.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub carry: Vec<String>,
    /// It is that of another run, and is there already.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub of_another: bool,
}

/// A thread that another run began, and the run whose home it is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ThreadHome {
    /// The run whose CODEX_HOME holds it, and in whose work tree it works.
    pub run_id: RunId,
    /// The thread.
    pub thread_id: String,
}
