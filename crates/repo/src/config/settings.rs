//! The preferences, with their built-in values.

mod asking;
mod choices;
mod codex;
mod delegation;

use std::time::Duration;

use model::{ApprovalPolicy, Consent, Sandbox, WhenReached, show_duration};
use serde_json::{Value as Json, json};

use super::{
    check::time,
    keys::{RUNGS, preferences},
    node::{Node, Value},
    pipelines::command_line,
};

pub(super) use asking::is_url;
pub use asking::{NotifySettings, QuestionSettings, Webhook};
pub use choices::{PipelineTrust, WhenFull, WhenLimited};
pub use codex::{CodexSettings, WorktreeSettings};
pub use delegation::{ConfirmSettings, DelegateSettings, LimitSettings};
pub use model::{ConfirmCancel, Fallback, Mode, Notice};

/// Every preference with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `[run]`: how runs are run.
    pub run: RunSettings,
    /// `[supervision]`: how processes are held.
    pub supervision: SupervisionSettings,
    /// `[prune]`: what is cleaned up.
    pub prune: PruneSettings,
    /// `[delegate]`: what agents may start and control.
    pub delegate: DelegateSettings,
    /// `[limits]`: how many runs agents may start.
    pub limits: LimitSettings,
    /// `[questions]`: what runs ask.
    pub questions: QuestionSettings,
    /// `[confirm]`: what a person has to allow.
    pub confirm: ConfirmSettings,
    /// `[codex]`: how Codex threads are run.
    pub codex: CodexSettings,
    /// `[approvals]`: what becomes of what threads ask.
    pub approvals: ApprovalPolicy,
    /// `[worktree]`: work trees that are made for runs.
    pub worktree: WorktreeSettings,
    /// `[notify]`: how a person is told.
    pub notify: NotifySettings,
}

/// `[run]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunSettings {
    /// What `start` runs when no pipeline is named.
    pub default_pipeline: String,
    /// From asking a process to end to ending it.
    pub grace: Duration,
    /// How many stages run at one time where their needs allow it; at least 1.
    pub max_parallel: usize,
}

/// `[supervision]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SupervisionSettings {
    /// What holds a stage's processes.
    pub rung: Rung,
}

/// `[prune]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PruneSettings {
    /// How old a run is before it may go.
    pub older_than: Duration,
}

/// What may hold a stage's processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rung {
    /// The first of the others that works here.
    #[default]
    Auto,
    /// A leaf of the version 2 control groups.
    Cgroup2,
    /// A version 1 freezer group.
    Freezer1,
    /// A pid namespace.
    Pidns,
    /// A subreaper that looks for the processes.
    Subreaper,
}

impl Rung {
    /// In the order of the names in a config.
    const ALL: [Self; 5] =
        [Self::Auto, Self::Cgroup2, Self::Freezer1, Self::Pidns, Self::Subreaper];

    /// As it is written in a config.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Cgroup2 => "cgroup2",
            Self::Freezer1 => "freezer1",
            Self::Pidns => "pidns",
            Self::Subreaper => "subreaper",
        }
    }

    fn named(text: &str) -> Option<Self> {
        RUNGS.contains(&text).then(|| Self::ALL.into_iter().find(|rung| rung.as_str() == text))?
    }
}

/// More stages than this at one time is for those who ask for it.
const MOST_UNASKED: usize = 8;

impl Settings {
    /// What holds where nothing is written, on a machine with that many CPUs.
    #[must_use]
    pub fn built_in(cpus: usize) -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self {
            run: RunSettings {
                default_pipeline: "diagnostics".to_owned(),
                grace: Duration::from_secs(10),
                max_parallel: cpus.clamp(1, MOST_UNASKED),
            },
            supervision: SupervisionSettings { rung: Rung::Auto },
            prune: PruneSettings { older_than: 30 * DAY },
            delegate: DelegateSettings {
                mode: Mode::Full,
                child_mode: Mode::QuestionOnly,
                pipelines: PipelineTrust::Committed,
                allowed_repos: vec![],
            },
            limits: LimitSettings {
                depth: 4,
                children: 200,
                at_once: 16,
                when_full: WhenFull::Refuse,
                tokens: None,
                turns: None,
                work_time: None,
                when_spent: WhenReached::Pause,
                on_usage_limit: WhenLimited::Resume,
                stalled_after: Some(Duration::from_secs(15 * 60)),
            },
            questions: QuestionSettings {
                expires_in: None,
                fallback: Fallback::Pause,
                auto_pause: true,
                forms: false,
            },
            confirm: ConfirmSettings { cancel: ConfirmCancel::Owned, expires_in: DAY },
            codex: CodexSettings {
                program: "codex".to_owned(),
                model: None,
                effort: None,
                sandbox: Sandbox::WorkspaceWrite,
                idle: Duration::from_secs(15 * 60),
                max_attempts: 3,
            },
            approvals: ApprovalPolicy::default(),
            worktree: WorktreeSettings { carry: vec![], setup: None, set_up: true },
            notify: NotifySettings {
                command: None,
                webhook: None,
                on: Notice::ALL.iter().copied().collect(),
                retries: 3,
                timeout: Duration::from_secs(10),
            },
        }
    }

    /// Takes a value that has passed its check. `None`: there is no preference of that name.
    pub(super) fn set(&mut self, name: &str, node: &Node) -> Option<()> {
        match name {
            "run.default_pipeline" => self.run.default_pipeline = node.text()?.to_owned(),
            "run.grace" => self.run.grace = time(node)?,
            "run.max_parallel" => self.run.max_parallel = usize::try_from(node.count()?).ok()?,
            "supervision.rung" => self.supervision.rung = Rung::named(node.text()?)?,
            "prune.older_than" => self.prune.older_than = time(node)?,
            "delegate.mode" => self.delegate.mode = Mode::named(node.text()?)?,
            "delegate.child_mode" => self.delegate.child_mode = Mode::named(node.text()?)?,
            "delegate.pipelines" => {
                self.delegate.pipelines = PipelineTrust::named(node.text()?)?;
            }
            "delegate.allowed_repos" => self.delegate.allowed_repos = texts(node)?,
            "limits.depth" => self.limits.depth = usize::try_from(node.count()?).ok()?,
            "limits.children" => self.limits.children = usize::try_from(node.count()?).ok()?,
            "limits.at_once" => self.limits.at_once = usize::try_from(node.count()?).ok()?,
            "limits.when_full" => self.limits.when_full = WhenFull::named(node.text()?)?,
            "limits.tokens" => self.limits.tokens = Some(node.count()?),
            "limits.turns" => self.limits.turns = Some(node.count()?),
            "limits.work_time" => self.limits.work_time = Some(time(node)?),
            "limits.when_spent" => self.limits.when_spent = WhenReached::named(node.text()?)?,
            "limits.on_usage_limit" => {
                self.limits.on_usage_limit = WhenLimited::named(node.text()?)?;
            }
            "codex.program" => self.codex.program = node.text()?.to_owned(),
            "codex.model" => self.codex.model = Some(node.text()?.to_owned()),
            "codex.effort" => self.codex.effort = Some(node.text()?.to_owned()),
            "codex.sandbox" => self.codex.sandbox = Sandbox::named(node.text()?)?,
            "codex.idle" => self.codex.idle = time(node)?,
            "codex.max_attempts" => {
                self.codex.max_attempts = u32::try_from(node.count()?).ok()?;
            }
            "approvals.command" => self.approvals.command = Consent::named(node.text()?)?,
            "approvals.patch" => self.approvals.patch = Consent::named(node.text()?)?,
            "approvals.permissions" => self.approvals.permissions = Consent::named(node.text()?)?,
            "approvals.tool" => self.approvals.tool = Consent::named(node.text()?)?,
            "approvals.allow" => self.approvals.allow = texts(node)?,
            "approvals.deny" => self.approvals.deny = texts(node)?,
            "approvals.by_parent" => self.approvals.by_parent = node.truth()?,
            "approvals.expires_in" => {
                let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
                self.approvals.expires_in_ms = expiry(node)?.map(millis);
            }
            "worktree.carry" => self.worktree.carry = texts(node)?,
            "worktree.setup" => self.worktree.setup = Some(command_line(node)?),
            "worktree.set_up" => self.worktree.set_up = node.truth()?,
            "limits.stalled_after" => self.limits.stalled_after = expiry(node)?,
            "questions.expires_in" => self.questions.expires_in = expiry(node)?,
            "questions.fallback" => self.questions.fallback = Fallback::named(node.text()?)?,
            "questions.auto_pause" => self.questions.auto_pause = node.truth()?,
            "questions.forms" => self.questions.forms = node.truth()?,
            "confirm.cancel" => self.confirm.cancel = ConfirmCancel::named(node.text()?)?,
            "confirm.expires_in" => self.confirm.expires_in = time(node)?,
            "notify.command" => self.notify.command = Some(command_line(node)?),
            "notify.webhook" => self.notify.webhook = Some(Webhook::new(node.text()?)),
            "notify.on" => {
                let names = texts(node)?;
                self.notify.on =
                    names.iter().map(|name| Notice::named(name)).collect::<Option<_>>()?;
            }
            "notify.retries" => self.notify.retries = u32::try_from(node.count()?).ok()?,
            "notify.timeout" => self.notify.timeout = time(node)?,
            _ => return None,
        }
        Some(())
    }

    /// How far a preference reaches that can be narrowed; the number means nothing beside another
    /// one of the same name.
    pub(super) fn reach(&self, name: &str) -> Option<usize> {
        match name {
            "delegate.mode" => Some(self.delegate.mode as usize),
            "delegate.child_mode" => Some(self.delegate.child_mode as usize),
            "delegate.pipelines" => Some(self.delegate.pipelines as usize),
            "confirm.cancel" => Some(self.confirm.cancel as usize),
            "codex.sandbox" => Some(self.codex.sandbox as usize),
            "approvals.command" => Some(self.approvals.command as usize),
            "approvals.patch" => Some(self.approvals.patch as usize),
            "approvals.permissions" => Some(self.approvals.permissions as usize),
            "approvals.tool" => Some(self.approvals.tool as usize),
            _ => None,
        }
    }

    /// A preference as it would be written, but for what may be secret. `None`: there is none of
    /// that name.
    pub(super) fn get(&self, name: &str) -> Option<Json> {
        Some(match name {
            "run.default_pipeline" => json!(self.run.default_pipeline),
            "run.grace" => json!(show_duration(self.run.grace)),
            "run.max_parallel" => json!(self.run.max_parallel),
            "supervision.rung" => json!(self.supervision.rung.as_str()),
            "prune.older_than" => json!(show_duration(self.prune.older_than)),
            "delegate.mode" => json!(self.delegate.mode.as_str()),
            "delegate.child_mode" => json!(self.delegate.child_mode.as_str()),
            "delegate.pipelines" => json!(self.delegate.pipelines.as_str()),
            "delegate.allowed_repos" => json!(self.delegate.allowed_repos),
            "limits.depth" => json!(self.limits.depth),
            "limits.children" => json!(self.limits.children),
            "limits.at_once" => json!(self.limits.at_once),
            "limits.when_full" => json!(self.limits.when_full.as_str()),
            "limits.tokens" => json!(self.limits.tokens),
            "limits.turns" => json!(self.limits.turns),
            "limits.work_time" => json!(self.limits.work_time.map(show_duration)),
            "limits.when_spent" => json!(self.limits.when_spent.as_str()),
            "limits.on_usage_limit" => json!(self.limits.on_usage_limit.as_str()),
            "codex.program" => json!(self.codex.program),
            "codex.model" => json!(self.codex.model),
            "codex.effort" => json!(self.codex.effort),
            "codex.sandbox" => json!(self.codex.sandbox.as_str()),
            "codex.idle" => json!(show_duration(self.codex.idle)),
            "codex.max_attempts" => json!(self.codex.max_attempts),
            "approvals.command" => json!(self.approvals.command.as_str()),
            "approvals.patch" => json!(self.approvals.patch.as_str()),
            "approvals.permissions" => json!(self.approvals.permissions.as_str()),
            "approvals.tool" => json!(self.approvals.tool.as_str()),
            "approvals.allow" => json!(self.approvals.allow),
            "approvals.deny" => json!(self.approvals.deny),
            "approvals.by_parent" => json!(self.approvals.by_parent),
            "approvals.expires_in" => {
                show_expiry(self.approvals.expires_in_ms.map(Duration::from_millis))
            }
            "worktree.carry" => json!(self.worktree.carry),
            "worktree.setup" => {
                json!(self.worktree.setup.as_ref().map(model::CommandLine::as_typed))
            }
            "worktree.set_up" => json!(self.worktree.set_up),
            "limits.stalled_after" => show_expiry(self.limits.stalled_after),
            "questions.expires_in" => show_expiry(self.questions.expires_in),
            "questions.fallback" => json!(self.questions.fallback.as_str()),
            "questions.auto_pause" => json!(self.questions.auto_pause),
            "questions.forms" => json!(self.questions.forms),
            "confirm.cancel" => json!(self.confirm.cancel.as_str()),
            "confirm.expires_in" => json!(show_duration(self.confirm.expires_in)),
            "notify.command" => json!(self.notify.shown_command()),
            "notify.webhook" => json!(self.notify.webhook.as_ref().map(ToString::to_string)),
            "notify.on" => self.notify.on.iter().map(|notice| notice.as_str()).collect(),
            "notify.retries" => json!(self.notify.retries),
            "notify.timeout" => json!(show_duration(self.notify.timeout)),
            _ => return None,
        })
    }

    /// Every preference as it would be written, in its table.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let mut all = json!({});
        for (table, key) in preferences() {
            let name = format!("{}.{}", table.name, key.name);
            all[table.name][key.name] = self.get(&name).unwrap_or_default();
        }
        all
    }
}

/// An expiry that does not come.
pub(super) const NEVER: &str = "never";

fn expiry(node: &Node) -> Option<Option<Duration>> {
    match node.text() {
        Some(NEVER) => Some(None),
        _ => time(node).map(Some),
    }
}

fn show_expiry(expiry: Option<Duration>) -> Json {
    expiry.map_or_else(|| json!(NEVER), |time| json!(show_duration(time)))
}

fn texts(node: &Node) -> Option<Vec<String>> {
    match &node.value {
        Value::List(items) => items.iter().map(|item| item.text().map(str::to_owned)).collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys::{Merge, Shape};

    #[test]
    fn every_preference_in_the_table_can_be_set_and_is_shown() {
        for (table, key) in preferences() {
            let name = format!("{}.{}", table.name, key.name);
            let mut settings = Settings::built_in(2);
            let before = settings.get(&name).unwrap_or_else(|| panic!("`{name}` is not shown"));
            let text = |text: &str| Value::Text(text.to_owned());
            let list = |word: &str| Value::List(vec![Node { at: 0, value: text(word) }]);
            // Each is right for the key, and one of them differs from what is built in.
            let values = match &key.shape {
                Shape::OneOf(names) => names.iter().map(|name| text(name)).collect(),
                Shape::SomeOf(names) => vec![list(names[0])],
                Shape::Folders | Shape::Texts => vec![list("x")],
                Shape::Truth => vec![Value::Truth(true), Value::Truth(false)],
                Shape::Count { .. } | Shape::Time { .. } | Shape::Expiry => vec![Value::Whole(77)],
                Shape::Url => vec![text("http://x")],
                Shape::Name | Shape::Command | Shape::Text => vec![text("x")],
                other => panic!("no preference has been {other:?} yet"),
            };
            let set = values.into_iter().any(|value| {
                settings.set(&name, &Node { at: 0, value }).is_some()
                    && settings.get(&name).as_ref() != Some(&before)
            });
            assert!(set, "`{name}` cannot be set");
            let narrowed = key.merge != Merge::Last && matches!(key.shape, Shape::OneOf(_));
            assert_eq!(settings.reach(&name).is_some(), narrowed, "`{name}`");
        }
        assert_eq!(RUNGS, Rung::ALL.map(Rung::as_str));
    }

    #[test]
    fn a_large_machine_is_not_filled_unasked() {
        let parallel = |cpus| Settings::built_in(cpus).run.max_parallel;
        assert_eq!((parallel(0), parallel(2), parallel(64)), (1, 2, 8));
    }
}
