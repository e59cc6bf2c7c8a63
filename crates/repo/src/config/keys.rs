//! Every key that a config may have. Reading, the preferences' layers and the JSON Schema all work
//! from these tables: a new key is a line here, and for a preference one in `settings.rs`.

use model::{
    Consent, Sandbox, WhenReached,
    caps::{Caches, Inherit, NetworkMode, OnMissing, Tmp, UnixSockets},
};

use super::{
    rules::{
        ADDRESSES, DELEGATE_TOOLS, ENDPOINTS, HOST, HOSTS, OWNERS, PATHS, PROGRAMS, Rule, TOOLS,
        VARIABLES,
    },
    settings::{ConfirmCancel, Fallback, Mode, Notice, PipelineTrust, WhenFull, WhenLimited},
};

/// A key of a table.
#[derive(Debug)]
pub(super) struct Key {
    /// With `_` between words; the spelling with capitals is read as well.
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) about: &'static str,
    pub(super) role: Role,
    /// Of a preference: what several layers that say it come to.
    pub(super) merge: Merge,
}

/// What a preference comes to that several layers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Merge {
    /// What the last of them says.
    Last,
    /// The narrowest that any of them says.
    Narrowest,
    /// A person's layers say what they like, and whatever else says it can only narrow that.
    PersonWidens,
    /// Only a person's layers may say it at all; whatever else says one of these values narrows it.
    PersonOnly { but: &'static [&'static str] },
}

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Something that is read where it stands.
    Read,
    /// It must be there.
    Needed,
    /// A table of preferences, which come in layers.
    Preferences,
    /// Part of the older JSON form only; read there, or known to mean nothing here.
    Older,
    /// Of an older version: refused, with what to write instead.
    Gone(&'static str),
    /// Of another version, older or to come: checked, and carried out by nothing yet. A note says so.
    Idle(&'static str),
}

/// A table's keys and what an error calls it.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) what: &'static str,
    pub(super) keys: &'static [Key],
}

/// What may stand at a key.
#[derive(Debug)]
pub(super) enum Shape {
    /// Text that is not blank.
    Text,
    /// The name of a pipeline, stage or stage set.
    Name,
    Truth,
    /// A whole number.
    Count {
        least: u64,
        most: u64,
    },
    /// `10m`, or a number of seconds.
    Time {
        zero: bool,
    },
    /// The same, or `never`.
    Expiry,
    OneOf(&'static [&'static str]),
    /// A list of these.
    SomeOf(&'static [&'static str]),
    /// A line for the shell, or a program and its arguments.
    Command,
    /// A folder within the work tree.
    Folder,
    /// A list of folders, which may be anywhere.
    Folders,
    /// The address of something on the web.
    Url,
    /// A list of names.
    Names,
    /// A list of texts.
    Texts,
    /// A list of texts that have a rule of their own.
    Each(&'static Rule),
    /// Such lists by names that have a rule, too.
    EachBy {
        names: &'static Rule,
        texts: &'static Rule,
    },
    /// Names and texts of environment variables.
    Env,
    Table(&'static Table),
    /// Pipelines by name, or a list of pipelines with an `id`.
    Pipelines,
    /// Stages by the name of their set.
    StageSets,
    /// Stages in order.
    Stages,
    Anything,
}

const fn key(name: &'static str, shape: Shape, about: &'static str) -> Key {
    Key { name, shape, about, role: Role::Read, merge: Merge::Last }
}

impl Key {
    const fn needed(self) -> Self {
        Self { role: Role::Needed, ..self }
    }

    const fn preferences(self) -> Self {
        Self { role: Role::Preferences, ..self }
    }

    const fn older(self) -> Self {
        Self { role: Role::Older, ..self }
    }

    const fn merged(self, merge: Merge) -> Self {
        Self { merge, ..self }
    }

    const fn gone(self, instead: &'static str) -> Self {
        Self { role: Role::Gone(instead), ..self }
    }

    const fn idle(self, why: &'static str) -> Self {
        Self { role: Role::Idle(why), ..self }
    }
}

/// The most stages that may be asked to run at one time.
pub(super) const MOST_PARALLEL: u64 = 1024;

const NETWORK: &str =
    "write `caps.network.mode = \"none\"`, or `\"list\"` with `caps.network.allow`";
const SERVERS: &str =
    "write `caps.tools.mcp = { name = [\"tool\"] }`; `[\"*\"]` is every tool of a server";
const NOT_OURS: &str = "nothing here reads it; it can be removed";

/// The whole file.
pub(super) static FILE: Table = Table {
    what: "a config",
    keys: &[
        key("pipelines", Shape::Pipelines, "named lists of stages"),
        key("stage_sets", Shape::StageSets, "lists of stages that pipelines share by name"),
        key("run", Shape::Table(&RUN), "how runs are run").preferences(),
        key("supervision", Shape::Table(&SUPERVISION), "how processes are held").preferences(),
        key("prune", Shape::Table(&PRUNE), "what is cleaned up").preferences(),
        key("delegate", Shape::Table(&DELEGATE), "what agents may start and control").preferences(),
        key("limits", Shape::Table(&LIMITS), "how many runs agents may start").preferences(),
        key("questions", Shape::Table(&QUESTIONS), "what runs ask").preferences(),
        key("confirm", Shape::Table(&CONFIRM), "what a person has to allow").preferences(),
        key("codex", Shape::Table(&CODEX), "how Codex threads are run").preferences(),
        key("approvals", Shape::Table(&APPROVALS), "what becomes of what threads ask")
            .preferences(),
        key("worktree", Shape::Table(&WORKTREE), "work trees that are made for runs").preferences(),
        key("notify", Shape::Table(&NOTIFY), "how a person is told").preferences(),
        key("caps", Shape::Table(&CAPS), "what runs may do"),
        key("default_pipeline", Shape::Name, "the older name of `run.default_pipeline`").older(),
        key("runtime_mode", Shape::OneOf(&["cli", "appserver"]), "how Codex was run").older(),
        key("sandbox", Shape::Table(&SANDBOX), "").gone(NETWORK),
        key("rlm", Shape::Anything, "").idle(NOT_OURS),
        key("runner", Shape::Anything, "").idle(NOT_OURS),
        key("ui", Shape::Anything, "").idle(NOT_OURS),
        key("github", Shape::Anything, "").idle(NOT_OURS),
        key("paths", Shape::Anything, "").idle(NOT_OURS),
    ],
};

static RUN: Table = Table {
    what: "`run`",
    keys: &[
        key("default_pipeline", Shape::Name, "the pipeline that `start` runs when none is named"),
        key("grace", Shape::Time { zero: true }, "from asking a process to end to ending it"),
        key(
            "max_parallel",
            Shape::Count { least: 1, most: MOST_PARALLEL },
            "how many stages run at one time where their `needs` allow it",
        ),
    ],
};

/// How a process tree can be held, after trying them in turn.
pub(super) const RUNGS: &[&str] = &["auto", "cgroup2", "freezer1", "pidns", "subreaper"];

static SUPERVISION: Table = Table {
    what: "`supervision`",
    keys: &[key("rung", Shape::OneOf(RUNGS), "what holds a stage's processes; `auto` tries each")],
};

static PRUNE: Table = Table {
    what: "`prune`",
    keys: &[key("older_than", Shape::Time { zero: true }, "how old a run is before it may go")],
};

static SANDBOX: Table =
    Table { what: "`sandbox`", keys: &[key("network", Shape::Truth, "the network for agents")] };

/// What runs may do. What is said here is said of network, files, environment and tools.
pub(super) static CAPS: Table = Table {
    what: "`caps`",
    keys: &[
        key("network", Shape::Table(&CAPS_NETWORK), "what can be reached"),
        key("fs", Shape::Table(&CAPS_FS), "files and folders"),
        key("env", Shape::Table(&CAPS_ENV), "variables of the environment"),
        key("tools", Shape::Table(&CAPS_TOOLS), "what an agent is given"),
        key(
            "max_network",
            Shape::OneOf(NetworkMode::NAMES),
            "how much of the network delegated runs may ask for; without it, what there is",
        ),
        key(
            "on_missing",
            Shape::OneOf(OnMissing::NAMES),
            "what happens where a cap cannot be kept",
        )
        .merged(Merge::PersonOnly { but: &["refuse"] }),
        key("ask", Shape::Truth, "whether what is denied may become a question"),
    ],
};

static CAPS_NETWORK: Table = Table {
    what: "`caps.network`",
    keys: &[
        key(
            "mode",
            Shape::OneOf(NetworkMode::NAMES),
            "how much of it there is: nothing, the hosts of `allow`, or everything",
        ),
        key(
            "allow",
            Shape::Each(&HOSTS),
            "hosts such as `a.example`, `a.example:8443`, `*.example` and `**.example`; the port is \
             443 where none is said",
        ),
        key(
            "forward",
            Shape::Each(&ENDPOINTS),
            "addresses of this machine such as `127.0.0.1:8080`",
        ),
        key(
            "pins",
            Shape::EachBy { names: &HOST, texts: &ADDRESSES },
            "where hosts are that may be near: `{ \"git.corp.example\" = [\"10.0.0.7\"] }`",
        )
        .merged(Merge::PersonOnly { but: &[] }),
    ],
};

static CAPS_FS: Table = Table {
    what: "`caps.fs`",
    keys: &[
        key(
            "write",
            Shape::Each(&PATHS),
            "what can be written: absolute, `~/...`, `@worktree`, `@tmp`, or relative to the work tree",
        ),
        key("protect", Shape::Each(&PATHS), "what within that cannot, such as `@git` and `@runs`"),
        key("hide", Shape::Each(&PATHS), "what cannot be read either, such as `@logins`"),
        key("tmp", Shape::OneOf(Tmp::NAMES), "whose folder for temporary files it is"),
        key(
            "caches",
            Shape::OneOf(Caches::NAMES),
            "which caches of package managers may be changed: none, or its repository's own",
        ),
        key(
            "unix_sockets",
            Shape::OneOf(UnixSockets::NAMES),
            "which sockets of the file system may be used",
        ),
    ],
};

static CAPS_ENV: Table = Table {
    what: "`caps.env`",
    keys: &[
        key(
            "inherit",
            Shape::OneOf(Inherit::NAMES),
            "which variables are there without being named",
        ),
        key("pass", Shape::Each(&VARIABLES), "variables that are there besides"),
        key(
            "secrets",
            Shape::EachBy { names: &PROGRAMS, texts: &VARIABLES },
            "variables that only one program is given: `{ codex = [\"OPENAI_API_KEY\"] }`",
        ),
    ],
};

static CAPS_TOOLS: Table = Table {
    what: "`caps.tools`",
    keys: &[
        key(
            "mcp",
            Shape::EachBy { names: &OWNERS, texts: &TOOLS },
            "MCP servers with their tools: `{ alpha = [\"read\"], beta = [\"*\"] }`",
        ),
        key(
            "may_ask",
            Shape::EachBy { names: &OWNERS, texts: &TOOLS },
            "the same, of which a person may be asked for what `mcp` does not name",
        ),
        key(
            "delegate",
            Shape::Each(&DELEGATE_TOOLS),
            "tools of our own server, such as `status` or `delegate.status`",
        ),
        key("web_search", Shape::Truth, "whether the model's provider may search the web"),
        key("subagents", Shape::Truth, "whether there may be agents that are not runs"),
    ],
};

static DELEGATE: Table = Table {
    what: "`delegate`",
    keys: &[
        key("mode", Shape::OneOf(Mode::NAMES), "what a session may do: the narrowest that is said")
            .merged(Merge::Narrowest),
        key("child_mode", Shape::OneOf(Mode::NAMES), "what a delegated run may do")
            .merged(Merge::PersonWidens),
        key(
            "pipelines",
            Shape::OneOf(PipelineTrust::NAMES),
            "what a sandboxed session may start by itself: pipelines as they are committed, or any",
        )
        .merged(Merge::PersonOnly { but: &["committed"] }),
        key(
            "allowed_repos",
            Shape::Folders,
            "folders of other repositories in which runs may be started: absolute, `~/...`, or \
             relative to the repository",
        )
        .merged(Merge::PersonOnly { but: &[] }),
        key("allowed_tool_servers", Shape::Texts, "servers that a child may use").gone(SERVERS),
        key("tool_profile", Shape::Texts, "servers that a child gets").gone(SERVERS),
        key("allow_nested", Shape::Truth, "").idle("write `delegate.child_mode` instead"),
        key("question_expiry_fallback", Shape::Text, "").idle("write `questions.fallback` instead"),
        key("expiry_fallback", Shape::Text, "").idle("write `questions.fallback` instead"),
    ],
};

static LIMITS: Table = Table {
    what: "`limits`",
    keys: &[
        key(
            "depth",
            Shape::Count { least: 0, most: 64 },
            "how deep runs may be below the session that began; 0 starts none",
        ),
        key(
            "children",
            Shape::Count { least: 0, most: 1_000_000 },
            "how many runs a session or a run may start in all",
        ),
        key(
            "at_once",
            Shape::Count { least: 1, most: MOST_PARALLEL },
            "how many of them may go on at one time",
        ),
        key("when_full", Shape::OneOf(WhenFull::NAMES), "what happens to one more"),
        key(
            "tokens",
            Shape::Count { least: 1, most: MOST_TOKENS },
            "how many tokens the threads of a run and of those below it may use",
        ),
        key("turns", Shape::Count { least: 1, most: 1_000_000 }, "how many turns they may take"),
        key("work_time", Shape::Time { zero: false }, "how long they may be at work in all"),
        key(
            "when_spent",
            Shape::OneOf(WhenReached::NAMES),
            "what becomes of a run that has used that up",
        ),
        key(
            "on_usage_limit",
            Shape::OneOf(WhenLimited::NAMES),
            "what a run does when the account's own limit is lifted again",
        ),
        key(
            "stalled_after",
            Shape::Expiry,
            "how long a run may do and print nothing before whoever waits for it is told",
        ),
    ],
};

const MOST_TOKENS: u64 = 1_000_000_000_000;

static CODEX: Table = Table {
    what: "`codex`",
    keys: &[
        key("program", Shape::Text, "the Codex program: a path, or a name that is looked up")
            .merged(Merge::PersonOnly { but: &[] }),
        key("model", Shape::Text, "the model of threads that name none"),
        key("effort", Shape::Text, "how hard threads think that do not say"),
        key(
            "sandbox",
            Shape::OneOf(Sandbox::NAMES),
            "what Codex lets the commands of threads do that do not say",
        )
        .merged(Merge::PersonWidens),
        key(
            "idle",
            Shape::Time { zero: false },
            "a thread is stopped when that long nothing comes from it",
        ),
        key(
            "max_attempts",
            Shape::Count { least: 1, most: 100 },
            "how often `verify` may fail before its stage does",
        ),
    ],
};

static APPROVALS: Table = Table {
    what: "`approvals`",
    keys: &[
        key("command", CONSENT, "what becomes of a wish to run a command outside of the sandbox")
            .merged(Merge::PersonWidens),
        key("patch", CONSENT, "what becomes of a wish to change other files")
            .merged(Merge::PersonWidens),
        key("permissions", CONSENT, "what becomes of a wish for more rights")
            .merged(Merge::PersonWidens),
        key("tool", CONSENT, "what becomes of a wish to call a tool of an MCP server")
            .merged(Merge::PersonWidens),
        key("allow", Shape::Texts, "wishes that are granted: `command:cargo *`, `tool:docs.*`")
            .merged(Merge::PersonOnly { but: &[] }),
        key("deny", Shape::Texts, "wishes that are refused whatever else is said"),
        key("by_parent", Shape::Truth, "whether the agent that started a run may grant its wishes")
            .merged(Merge::PersonOnly { but: &[] }),
        key("expires_in", Shape::Expiry, "how long somebody is asked before it is refused"),
    ],
};

const CONSENT: Shape = Shape::OneOf(Consent::NAMES);

static WORKTREE: Table = Table {
    what: "`worktree`",
    keys: &[
        key("carry", Shape::Texts, "ignored files that come along, such as `.env`"),
        // It is run outside of any sandbox, so that whoever writes the repository does not say it.
        key("setup", Shape::Command, "what is run in it first; recognised where it is not said")
            .merged(Merge::PersonOnly { but: &[] }),
        key("set_up", Shape::Truth, "whether anything is run in it first"),
    ],
};

static QUESTIONS: Table = Table {
    what: "`questions`",
    keys: &[
        key("expires_in", Shape::Expiry, "how long a question is open, where it does not say"),
        key(
            "fallback",
            Shape::OneOf(Fallback::NAMES),
            "what follows when nobody has answered by then",
        ),
        key("auto_pause", Shape::Truth, "whether a run that asks waits for the answer"),
        key(
            "forms",
            Shape::Truth,
            "whether whoever sits at a session is shown what its runs ask, before its agent is told",
        ),
    ],
};

static CONFIRM: Table = Table {
    what: "`confirm`",
    keys: &[
        key(
            "cancel",
            Shape::OneOf(ConfirmCancel::NAMES),
            "which cancels of an agent a person has to allow: all, those of runs that are not its \
             own, or none",
        )
        .merged(Merge::PersonWidens),
        key("expires_in", Shape::Time { zero: false }, "how long a person may be asked"),
        key("auto_pause", Shape::Truth, "").idle(NOT_OURS),
        key("max_pending", Shape::Count { least: 0, most: 1_000_000 }, "").idle(NOT_OURS),
        key("expires_in_ms", Shape::Anything, "").idle("write `confirm.expires_in` instead"),
    ],
};

static NOTIFY: Table = Table {
    what: "`notify`",
    keys: &[
        key("command", Shape::Command, "a line for `sh -c`, or a program and its arguments")
            .merged(Merge::PersonOnly { but: &[] }),
        key("webhook", Shape::Url, "an address that is sent each notice")
            .merged(Merge::PersonOnly { but: &[] }),
        key("on", Shape::SomeOf(Notice::NAMES), "what is worth a notice"),
        key(
            "retries",
            Shape::Count { least: 0, most: 100 },
            "how often a notice is tried again that failed",
        ),
        key("timeout", Shape::Time { zero: false }, "how long one try may take"),
    ],
};

/// One pipeline.
pub(super) static PIPELINE: Table = Table {
    what: "a pipeline",
    keys: &[
        key("id", Shape::Name, "its name, where it is not the key of its table"),
        key("title", Shape::Text, "what people read instead of the name"),
        key("description", Shape::Text, "what it is for, in a sentence"),
        key(
            "max_parallel",
            Shape::Count { least: 1, most: MOST_PARALLEL },
            "how many of its stages run at one time",
        ),
        key("stages", Shape::Stages, "what it does, in order").needed(),
        STEP_CAPS,
        key("tags", Shape::Anything, "").older(),
        key("guardrails_required", Shape::Anything, "").older(),
        key("metadata", Shape::Anything, "").older(),
    ],
};

/// A stage set that says more than its stages.
pub(super) static STAGE_SET: Table = Table {
    what: "a stage set",
    keys: &[key("stages", Shape::Stages, "the stages that stand for it, in order").needed()],
};

/// A kind of stage.
#[derive(Debug)]
pub(super) struct Kind {
    /// How `kind` may say it, ours first.
    pub(super) names: &'static [&'static str],
    /// The key that only this kind has, and must have.
    pub(super) mark: &'static str,
    pub(super) table: Table,
}

/// The kinds of stages that this version runs.
pub(super) static KINDS: [Kind; 4] = [
    Kind {
        names: &["command"],
        mark: "command",
        table: Table { what: "a command stage", keys: COMMAND_STAGE },
    },
    Kind {
        names: &["codex"],
        mark: "prompt",
        table: Table { what: "a codex stage", keys: CODEX_STAGE },
    },
    Kind {
        names: &["pipeline", "subpipeline"],
        mark: "pipeline",
        table: Table { what: "a pipeline stage", keys: PIPELINE_STAGE },
    },
    Kind {
        names: &["stage-set", "stage_set"],
        mark: "ref",
        table: Table { what: "a stage-set stage", keys: SET_STAGE },
    },
];

const KIND: Key = key("kind", Shape::Text, "what kind of stage it is; told by its other keys");
const ID: Key = key("id", Shape::Name, "its name; else made from the title or the place");
const TITLE: Key = key("title", Shape::Text, "what people read instead of the name");
const NEEDS: Key = key(
    "needs",
    Shape::Names,
    "the stages that must have succeeded before; without it, the stage written just before",
);
const ALLOW_FAILURE: Key =
    key("allow_failure", Shape::Truth, "whether its failure leaves the run going");
const SUMMARY_HINT: Key =
    key("summary_hint", Shape::Text, "a sentence that stands for its output when it succeeds");
const STEP_CAPS: Key = key("caps", Shape::Table(&CAPS), "what it may do");
const SESSION: Key = key("session", Shape::Anything, "").older();
const PLAN: Key = key("plan", Shape::Anything, "").older();
const EXECUTION_MODE: Key = key("execution_mode", Shape::Anything, "").older();
const MODE: Key = key("mode", Shape::Anything, "").older();
const REQUIRES_CLOUD: Key = key("requires_cloud", Shape::Anything, "").older();
const CLOUD_ENV_ID: Key = key("cloud_env_id", Shape::Anything, "").older();

const COMMAND_STAGE: &[Key] = &[
    KIND,
    ID,
    TITLE,
    key("command", Shape::Command, "a line for `sh -c`, or a program and its arguments").needed(),
    key("cwd", Shape::Folder, "the folder it runs in, relative to the work tree"),
    key("env", Shape::Env, "added to the environment"),
    key("timeout", Shape::Time { zero: false }, "it is stopped when it has run that long"),
    key("retries", Shape::Count { least: 0, most: 100 }, "how often it is tried again"),
    NEEDS,
    ALLOW_FAILURE,
    SUMMARY_HINT,
    STEP_CAPS,
    key("timeout_ms", Shape::Count { least: 1, most: 3_000_000_000_000 }, "`timeout`, in ms")
        .older(),
    SESSION,
    PLAN,
    EXECUTION_MODE,
    MODE,
    REQUIRES_CLOUD,
    CLOUD_ENV_ID,
];

const CODEX_STAGE: &[Key] = &[
    KIND,
    ID,
    TITLE,
    key(
        "prompt",
        Shape::Text,
        "what the thread is told; {{goal}} and {{stages.ID.summary}} are filled",
    ),
    key("prompt_file", Shape::Folder, "the file in the work tree that says it instead"),
    key("model", Shape::Text, "the model; else the user's own"),
    key("effort", Shape::Text, "how hard it thinks"),
    key("sandbox", Shape::OneOf(Sandbox::NAMES), "what Codex lets its commands do"),
    key("output_schema", Shape::Anything, "a JSON Schema that its last message has to fit"),
    key("verify", Shape::Command, "what has to succeed before the stage does"),
    key(
        "max_attempts",
        Shape::Count { least: 1, most: 100 },
        "how often `verify` may fail before the stage does",
    ),
    key("limits", Shape::Table(&STAGE_LIMITS), "what its thread may use up"),
    key("idle", Shape::Time { zero: false }, "it is stopped when that long nothing comes from it"),
    key("cwd", Shape::Folder, "the folder it works in, relative to the work tree"),
    key("env", Shape::Env, "added to the environment"),
    key("timeout", Shape::Time { zero: false }, "it is stopped when it has run that long"),
    NEEDS,
    ALLOW_FAILURE,
    SUMMARY_HINT,
    STEP_CAPS,
];

static STAGE_LIMITS: Table = Table {
    what: "the limits of a stage",
    keys: &[
        key("tokens", Shape::Count { least: 1, most: MOST_TOKENS }, "how many tokens"),
        key("turns", Shape::Count { least: 1, most: 1_000_000 }, "how many turns"),
        key("work_time", Shape::Time { zero: false }, "how long it may be at work"),
    ],
};

const PIPELINE_STAGE: &[Key] = &[
    KIND,
    ID,
    TITLE,
    key("pipeline", Shape::Name, "the pipeline that it runs, as part of the same run").needed(),
    NEEDS,
    ALLOW_FAILURE,
    key("optional", Shape::Truth, "another name of `allow_failure`"),
    SUMMARY_HINT,
    STEP_CAPS,
    PLAN,
    EXECUTION_MODE,
    MODE,
    REQUIRES_CLOUD,
    CLOUD_ENV_ID,
];

const SET_STAGE: &[Key] =
    &[KIND, key("ref", Shape::Name, "the stage set whose stages stand in its place").needed()];

/// Each preference: its table and its key. A table of preferences may have idle keys, too.
pub(super) fn preferences() -> impl Iterator<Item = (&'static Key, &'static Key)> {
    let tables = FILE.keys.iter().filter(|key| key.role == Role::Preferences);
    tables.flat_map(|table| {
        let keys = match table.shape {
            Shape::Table(inner) => inner.keys,
            _ => &[],
        };
        let held = keys.iter().filter(|key| !matches!(key.role, Role::Idle(_) | Role::Gone(_)));
        held.map(move |key| (table, key))
    })
}
