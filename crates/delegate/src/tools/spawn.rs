//! `delegate.spawn`: starts a run in the background.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use engine::{Access, Spawned};
use model::{
    Act, ApprovalPolicy, Budget, CommandLine, Grant, Limits, Mode, Notify, Origin, OwnTree, RunId,
    RunSpec, RunStatus, Sandbox, TaskId,
    caps::{AsksForMore, CapsFrom, CapsOrigin, WrittenCaps},
};
use repo::{
    committed::{Committed, changed_settings, committed, plan_digest},
    config::{Inputs, Loaded, NoPlan, PipelineTrust, WhenFull, read_caps},
    locate::Place,
    prepare,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use store::{Admission, Household};

use super::{Offer, shown::cut};
use crate::{
    caller::Station,
    confirm::{self, Action, Changed, Decided, Difference},
    desk::{Call, Target},
    fault::{Code, Fault},
    mode::Offered,
    typed::narrow,
};

pub(super) struct Spawn;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// The pipeline to run. `diagnostics` builds, lints and tests any repository. Either this or
    /// `prompt`.
    pipeline: Option<String>,
    /// What a Codex thread of its own is to work on, in words. Its last message is its report.
    prompt: Option<String>,
    /// For a prompt: a git work tree and branch of its own (the usual), or yours with `false`.
    worktree: Option<bool>,
    /// For a prompt: the model.
    model: Option<String>,
    /// For a prompt: how hard it thinks.
    effort: Option<String>,
    /// For a prompt: `read-only` or `workspace-write`; never more than the settings say.
    sandbox: Option<Sandbox>,
    /// What its threads, and those of the runs below it, may use up; never more than the settings
    /// say.
    limits: Option<LimitsWish>,
    /// What it may do, as `[caps]` of the config says it, such as
    /// `{"network": {"mode": "none"}}`; never more than the settings and your own caps allow.
    #[schemars(with = "Option<Map<String, Value>>")]
    caps: Option<Value>,
    /// For a prompt: a command that has to succeed before it is done; its failing output goes back to
    /// the thread.
    verify: Option<String>,
    /// For a prompt: how often that may fail, up to 100.
    max_attempts: Option<u32>,
    /// The task it belongs to; your own when not said.
    task_id: Option<String>,
    /// Another repository's folder, if the settings allow it; yours when not said.
    repo: Option<String>,
    /// The run in whose name it is started; your own when not said.
    parent_manifest_path: Option<String>,
    /// A name for this wish, within your task: asking again with the same name, also from a later
    /// session, gives the same run.
    key: Option<String>,
    /// What it is to achieve, for its stages to read.
    goal: Option<String>,
    /// What the run may do by its own delegation server: `question_only` (the usual), `status_only`,
    /// or `full`; never more than you may.
    delegate_mode: Option<Mode>,
    /// Accepted, and always so: spawn never waits for the end.
    #[expect(dead_code, reason = "prompts that people write give it")]
    start_only: Option<bool>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LimitsWish {
    /// Tokens.
    tokens: Option<u64>,
    /// Turns.
    turns: Option<u64>,
    /// Seconds at work.
    work_seconds: Option<u64>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Output {
    run_id: RunId,
    task_id: TaskId,
    status: RunStatus,
    /// For every other tool.
    manifest_path: String,
    parent_run_id: RunId,
    /// It was started before, for the same key.
    existing: bool,
    /// Its place among those that wait for their turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_position: Option<u32>,
    repo_root: String,
    log_path: String,
    events_path: String,
    next_step: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// How long git may take to say whether there is uncommitted work: a spawn is quick.
const GIT_PATIENCE: Duration = Duration::from_millis(200);
const LONGEST_PROMPT: usize = 200_000;
const LONGEST_GOAL: usize = 20_000;
const LONGEST_CAPS: usize = 20_000;
const LONGEST_COMMAND: usize = 20_000;
const MOST_ATTEMPTS: u32 = 100;
const LONGEST_KEY: usize = 200;
const LONGEST_PATH: usize = 4096;

impl Offer for Spawn {
    type Input = Input;
    type Output = Output;
    const NAME: &'static str = "delegate.spawn";
    const TITLE: &'static str = "Start a run in the background";
    const ABOUT: &'static str = "Starts a pipeline of this repository, or a prompt for a Codex thread \
        of its own, as a run in the background and comes back at once with its manifest path. The run goes on when this session ends. Then call \
        delegate.wait. A pipeline that differs from what is committed has to be approved by a person \
        first. With `key` a repeated call gives the same run.";
    const READ_ONLY: bool = false;
    const IDEMPOTENT: bool = false;
    const LEAST: Mode = Mode::Full;

    fn call(call: &Call<'_>, input: Input) -> Result<Output, Fault> {
        check(&input)?;
        let wish = input.caps.as_ref().map(wished).transpose()?;
        let place = place(call, input.repo.as_deref())?;
        let named = match input.parent_manifest_path.as_deref() {
            Some(text) => Some(call.find(text)?),
            None => None,
        };
        if let Some(parent) = &named {
            call.allowed(Act::Spawn, parent)?;
        }
        let loaded = call.desk.config(&place.root)?;
        let plan = plan(call, &place, &loaded, &input)?;
        let is_prompt = input.prompt.is_some();
        let git = prepare::ask_git(&place);
        let is_named = named.is_some();
        let parent = match named {
            Some(parent) => parent,
            None => Target { root: call.root()?.to_owned(), run: call.own_or_new(None)? },
        };
        let leave = leave(call, &place, &loaded, &parent, input.delegate_mode)?;
        let differs = match is_prompt {
            true => unseen(call, &place, &loaded, &input),
            false => difference(call, &place, &loaded, &plan),
        };
        let task_id = call.task(&place, input.task_id.as_deref(), Some(&parent))?;
        let facts = prepare::facts(&place, &loaded, git, GIT_PATIENCE)
            .map_err(|error| Fault::invalid(error, "use a repository whose path is UTF-8"))?;
        let codex = prepare::codex_facts(&plan, &loaded).map_err(|error| {
            Fault::new(Code::Conflict, error, "tell the user to set CODEX_HOME")
        })?;
        let run_id = engine::new_run_id();
        let own_tree = match is_prompt && input.worktree != Some(false) {
            true => Some(own_tree(call, &place, &loaded, &run_id)?),
            false => None,
        };
        let above =
            call.at(&parent.root, |engine| Ok(engine.journal().spec(&parent.run)?.limits))?;
        let spec = RunSpec {
            run_id,
            key: input.key.map(|key| scoped(call, is_named, &task_id, &parent, &key)),
            task_id,
            parent_run_id: Some(parent.run.clone()),
            origin: Origin::Delegate,
            grant: Some(leave.grant),
            no_input: leave.no_input,
            plan,
            goal: input.goal,
            repo: facts.repo,
            config: facts.config,
            notify: facts.notify,
            limits: narrowest(facts.limits, above, input.limits.as_ref()),
            own_tree,
            codex,
            follows: None,
            grace_ms: facts.grace_ms,
            supervision: facts.supervision,
        };
        let Leave { admission, queue, caps, .. } = leave;
        let spec =
            spec.held_to(caps.into_iter().chain(wish)).map_err(|more| asks_for_more(&more))?;
        if let Some(difference) = differs {
            // What waits for consent is on record where everybody can read it.
            let notify = spec.notify.map(Notify::without_secrets);
            let spec = RunSpec { notify, ..spec };
            let action = Action::Spawn { spec: Box::new(spec), admission, queue, difference };
            return match confirm::decided(call, &action)? {
                Decided::Run(run) => shown(call, &place.root, &parent, &Spawned::Same(run)),
                Decided::Not => Err(confirm::require(call, &action)?),
            };
        }
        let spawned = start(call, &place.root, &parent, spec, admission, queue)?;
        shown(call, &place.root, &parent, &spawned)
    }
}

/// A key with whose wish it is. Sessions come and go, so that theirs are those of their task: a
/// session that begins anew finds what the one before it has started. What is started in the name
/// of a run is that run's.
fn scoped(call: &Call<'_>, is_named: bool, task: &TaskId, parent: &Target, key: &str) -> String {
    match is_named || call.caller.station != Station::Session {
        true => format!("run {} {key}", parent.run),
        false => format!("task {task} {key}"),
    }
}

fn check(input: &Input) -> Result<(), Fault> {
    let long = |text: &Option<String>, most| text.as_ref().is_some_and(|text| text.len() > most);
    let blank = |text: &Option<String>| text.as_ref().is_some_and(|text| text.trim().is_empty());
    let fault = if input.pipeline.is_some() == input.prompt.is_some() {
        "it takes either a pipeline or a prompt"
    } else if blank(&input.pipeline) {
        "the name of the pipeline is empty"
    } else if blank(&input.prompt) || long(&input.prompt, LONGEST_PROMPT) {
        "the prompt is empty, or has more than 200000 bytes"
    } else if input.pipeline.is_some() && says_how(input) {
        "worktree, model, effort, sandbox, verify and max_attempts are for a prompt"
    } else if blank(&input.verify) || long(&input.verify, LONGEST_COMMAND) {
        "the command that verifies is empty, or has more than 20000 bytes"
    } else if input.max_attempts.is_some_and(|most| !(1..=MOST_ATTEMPTS).contains(&most)) {
        "max_attempts is from 1 to 100"
    } else if long(&input.goal, LONGEST_GOAL) {
        "the goal has more than 20000 bytes"
    } else if long(&input.key, LONGEST_KEY) || input.key.as_deref() == Some("") {
        "the key is empty, or has more than 200 bytes"
    } else if long(&input.repo, LONGEST_PATH) {
        "the path of the repository is too long"
    } else {
        return Ok(());
    };
    Err(Fault::invalid(fault, "call it again, shorter or better"))
}

/// What is wished for, of which each key is one that the config has as well.
fn wished(caps: &Value) -> Result<WrittenCaps, Fault> {
    let next = "say it as `[caps]` of a config does; `codex-orch caps` shows every cap there is";
    if caps.to_string().len() > LONGEST_CAPS {
        return Err(Fault::invalid("the caps have more than 20000 bytes", next));
    }
    let caps = read_caps(caps, "the wish").map_err(|fault| Fault::invalid(fault, next))?;
    let origin = CapsOrigin { from: CapsFrom::Spawn, place: String::new() };
    Ok(WrittenCaps { origin, caps })
}

fn says_how(input: &Input) -> bool {
    input.worktree.is_some()
        || input.verify.is_some()
        || input.max_attempts.is_some()
        || input.model.is_some()
        || input.effort.is_some()
        || input.sandbox.is_some()
}

fn plan(
    call: &Call<'_>,
    place: &Place,
    loaded: &Loaded,
    input: &Input,
) -> Result<model::Plan, Fault> {
    if let Some(pipeline) = &input.pipeline {
        return prepare::plan(place, loaded, pipeline, &call.desk.setup.path).map_err(no_plan);
    }
    let own = input.worktree != Some(false);
    let setup = own.then(|| prepare::tree_setup(place, loaded, &call.desk.setup.path)).flatten();
    let wishes = prepare::Wishes {
        model: input.model.clone(),
        effort: input.effort.clone(),
        sandbox: Some(sandbox(call, loaded, input)),
        verify: input.verify.clone().map(CommandLine::Shell),
        max_attempts: input.max_attempts,
        setup,
        ..prepare::Wishes::default()
    };
    let prompt = input.prompt.as_deref().unwrap_or_default();
    prepare::prompt_plan(loaded, prompt, wishes)
        .map_err(|error| Fault::invalid(error, "say it in other words"))
}

/// What Codex lets the commands of a prompt do: never more than the settings say. In a work tree
/// that is not its own it only reads, where its caller is in a sandbox itself.
fn sandbox(call: &Call<'_>, loaded: &Loaded, input: &Input) -> Sandbox {
    let free = call.caller.station == Station::Session && call.caller.is_free();
    let most = match input.worktree != Some(false) || free {
        true => loaded.settings.codex.sandbox,
        false => Sandbox::ReadOnly,
    };
    input.sandbox.map_or(most, |wish| wish.min(most))
}

/// The work tree that is made for a prompt.
fn own_tree(
    call: &Call<'_>,
    place: &Place,
    loaded: &Loaded,
    run: &RunId,
) -> Result<OwnTree, Fault> {
    let head = place.git.as_ref().and_then(repo::git::head);
    if head.as_ref().and_then(repo::git::Head::commit).is_none() {
        let text = "there is no commit here that a work tree of its own could begin with";
        return Err(Fault::new(Code::Conflict, text, "call it with worktree=false"));
    }
    let path = call.desk.engines.with(&place.root, Access::Run, |engine| {
        Ok::<_, engine::EngineError>(engine.own_tree(run))
    })?;
    Ok(OwnTree {
        path: path.to_string_lossy().into_owned(),
        with_changes: false,
        carry: loaded.settings.worktree.carry.clone(),
        of_another: false,
    })
}

/// The narrowest of what the settings say, what the parent has, and what was wished for.
fn narrowest(own: Limits, above: Limits, wish: Option<&LimitsWish>) -> Limits {
    let wished = wish.map_or(Budget::default(), |wish| Budget {
        tokens: wish.tokens,
        turns: wish.turns,
        work_ms: wish.work_seconds.map(|seconds| seconds.saturating_mul(1000)),
    });
    Limits { budget: own.budget.and(above.budget).and(wished), ..own }
}

/// Where the run is to be: here, or where the settings allow it.
fn place(call: &Call<'_>, named: Option<&str>) -> Result<Place, Fault> {
    let own = call.desk.place()?;
    let Some(text) = named else { return Ok(own.clone()) };
    let place = call.desk.locate(&own.work_tree.join(PathBuf::from(text)))?;
    if place.root == own.root || call.allows(&place.root)? {
        return Ok(place);
    }
    let text = format!("runs may not be started in {}", place.root.display());
    Err(Fault::new(Code::Refused, text, "a person adds it to delegate.allowed_repos"))
}

fn no_plan(none: NoPlan) -> Fault {
    match none {
        NoPlan::Unknown(unknown) => {
            let text = format!("there is no pipeline `{}`", cut(&unknown.name, 100).escape_debug());
            Fault::new(Code::NotFound, text, unknown.hint().unwrap_or_default())
        }
        NoPlan::NothingRecognised { advice } => {
            Fault::new(Code::Conflict, "nothing is recognised in this repository", advice)
        }
        NoPlan::BadPrompt(fault) => Fault::invalid(fault, "tell the user to mend the prompt"),
        NoPlan::Unplannable(fault) => Fault::invalid(fault, "tell the user to mend the config"),
    }
}

/// What whoever starts a run in the name of another gives it, and has to keep to.
#[derive(Clone, Debug)]
pub struct Leave {
    /// What the run is granted.
    pub grant: Grant,
    /// How many runs its parent may have.
    pub admission: Admission,
    /// It waits for its turn.
    pub queue: bool,
    /// Nobody is to be asked, since nobody is to be asked by its parent.
    pub no_input: bool,
    /// What its parent is held to, and it as well.
    pub caps: Option<WrittenCaps>,
    /// What may become of its wishes at most; a word of an agent's command grants none.
    pub approvals: ApprovalPolicy,
}

/// Somebody asks for more than somebody else allows.
pub(super) fn asks_for_more(more: &AsksForMore) -> Fault {
    Fault::new(Code::Refused, more, "ask for less, or have a person widen what does not allow it")
}

/// The leave to start a run in that place in the name of that parent.
pub(crate) fn leave(
    call: &Call<'_>,
    place: &Place,
    loaded: &Loaded,
    parent: &Target,
    wish: Option<Mode>,
) -> Result<Leave, Fault> {
    let elsewhere = parent.root != place.root;
    let mut limits = loaded.settings.limits.clone();
    if elsewhere {
        narrow(&mut limits, &call.desk.config(&parent.root)?.settings.limits);
    }
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let depth = call.at(&parent.root, |engine| Ok(engine.depth(&parent.run)))? + 1;
    if depth > count(limits.depth) {
        let text =
            format!("the run would be {depth} deep, and may be {} (`limits.depth`)", limits.depth);
        return Err(Fault::new(Code::Limit, text, "do it yourself instead of delegating it"));
    }
    let above = call.at(&parent.root, |engine| Ok(engine.journal().spec(&parent.run)?))?;
    Ok(Leave {
        caps: above.bound_below().map_err(|more| asks_for_more(&more))?,
        approvals: loaded.settings.approvals.clone(),
        grant: Grant {
            by: call.by()?,
            mode: granted(call, loaded, wish),
            depth,
            parent_root: elsewhere.then(|| parent.root.to_string_lossy().into_owned()),
            caller_sandbox: call.caller.sandbox.clone(),
        },
        admission: Admission {
            parent: parent.run.clone(),
            children: count(limits.children),
            at_once: count(limits.at_once),
            household: Some(Household {
                state: call.desk.setup.state.clone(),
                root: parent.root.clone(),
            }),
        },
        queue: limits.when_full == WhenFull::Queue,
        no_input: above.no_input,
    })
}

/// What the run may do by itself: what was wished for, cut down to what the caller has.
fn granted(call: &Call<'_>, loaded: &Loaded, wish: Option<Mode>) -> Mode {
    let usual = loaded.settings.delegate.child_mode;
    wish.unwrap_or(usual).min(Offered::now(call.desk).mode()).min(loaded.settings.delegate.mode)
}

fn starts_anything(call: &Call<'_>, loaded: &Loaded) -> bool {
    let any = loaded.settings.delegate.pipelines == PipelineTrust::Any;
    any || (call.caller.station == Station::Session && call.caller.is_free())
}

/// What a person has to look at before a prompt is begun. The prompt is no code: what it leads to is
/// held by the sandbox of its thread. What verifies it is, and runs outside of that; and settings say
/// how far all of it is held.
fn unseen(call: &Call<'_>, place: &Place, loaded: &Loaded, input: &Input) -> Option<Difference> {
    if starts_anything(call, loaded) {
        return None;
    }
    let verify = input.verify.as_ref().map(|verify| format!("+ verify = {verify:?}\n"));
    let settings = changed_settings(place, &call.desk.inputs(&place.root), loaded);
    let of = match (&verify, &settings) {
        (Some(_), Some(_)) => Changed::VerifyAndSettings,
        (Some(_), None) => Changed::Verify,
        (None, Some(_)) => Changed::Settings,
        (None, None) => return None,
    };
    Some(Difference { of, text: verify.into_iter().chain(settings).collect() })
}

/// What a person has to look at before it is run; nothing where it may be run as it is.
///
/// A caller in a sandbox may be able to write into the repository what it may not run: so it starts
/// only what is committed, what is built in, or what a person trusts.
fn difference(
    call: &Call<'_>,
    place: &Place,
    loaded: &Loaded,
    plan: &model::Plan,
) -> Option<Difference> {
    if starts_anything(call, loaded) {
        return None;
    }
    untrusted(call, place, &call.desk.inputs(&place.root), loaded, plan)
}

/// How a plan, or what it is held to, differs from what is committed, unless a person trusts the plan
/// as it is.
pub(crate) fn untrusted(
    call: &Call<'_>,
    place: &Place,
    inputs: &Inputs<'_>,
    loaded: &Loaded,
    plan: &model::Plan,
) -> Option<Difference> {
    let pipeline = match committed(place, inputs, loaded, plan, &call.desk.setup.path) {
        Committed::Same | Committed::BuiltIn | Committed::FromUser => None,
        Committed::Differs { diff } => Some(diff),
        Committed::NoHead { why } => Some(format!("(nothing to compare it with: {why})")),
    };
    let is_trusted = || store::is_trusted(&call.desk.setup.state, &place.root, &plan_digest(plan));
    let pipeline = pipeline.filter(|_| !is_trusted());
    let (of, text) = match (pipeline, changed_settings(place, inputs, loaded)) {
        (None, None) => return None,
        (Some(text), None) => (Changed::Pipeline, text),
        (None, Some(text)) => (Changed::Settings, text),
        // They stand in the same files.
        (Some(_), Some(text)) => (Changed::PipelineAndSettings, text),
    };
    Some(Difference { of, text })
}

pub(super) fn start(
    call: &Call<'_>,
    root: &Path,
    parent: &Target,
    spec: RunSpec,
    admission: Admission,
    queue: bool,
) -> Result<Spawned, Fault> {
    let program = call.desk.runner();
    call.desk.engines.with(root, Access::Run, |engine| match parent.root == root {
        true => Ok(engine.spawn(program, spec, admission, queue, None)?),
        false => call.at(&parent.root, |parents| {
            Ok(engine.spawn(program, spec, admission, queue, Some(parents))?)
        }),
    })
}

fn shown(
    call: &Call<'_>,
    root: &Path,
    parent: &Target,
    spawned: &Spawned,
) -> Result<Output, Fault> {
    call.at(root, |engine| {
        let run = spawned.run_id();
        let status = engine.status(run)?;
        let row = engine.journal().row(run)?;
        let paths = engine.paths(&row.task_id, run);
        let place = engine.journal().place_in_queue(run)?;
        let path = |name: &str| call.shown(root, &paths.relative(name));
        Ok(Output {
            run_id: run.clone(),
            task_id: row.task_id,
            status,
            manifest_path: path("manifest.json"),
            parent_run_id: parent.run.clone(),
            existing: matches!(spawned, Spawned::Same(_)),
            queue_position: (place > 0).then_some(place),
            repo_root: root.to_string_lossy().into_owned(),
            log_path: path("stages"),
            events_path: path("events.jsonl"),
            next_step: "call delegate.wait; it comes back when this run ends or asks something",
            note: call.desk.elsewhere(),
        })
    })
}
