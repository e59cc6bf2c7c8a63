//! The preferences, with their built-in values.

use std::time::Duration;

use model::show_duration;
use serde_json::{Value as Json, json};

use super::{
    check::time,
    keys::{RUNGS, preferences},
    node::Node,
};

/// Every preference with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `[run]`: how runs are run.
    pub run: RunSettings,
    /// `[supervision]`: how processes are held.
    pub supervision: SupervisionSettings,
    /// `[prune]`: what is cleaned up.
    pub prune: PruneSettings,
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
            _ => return None,
        }
        Some(())
    }

    /// A preference as it would be written. `None`: there is none of that name.
    pub(super) fn get(&self, name: &str) -> Option<Json> {
        Some(match name {
            "run.default_pipeline" => json!(self.run.default_pipeline),
            "run.grace" => json!(show_duration(self.run.grace)),
            "run.max_parallel" => json!(self.run.max_parallel),
            "supervision.rung" => json!(self.supervision.rung.as_str()),
            "prune.older_than" => json!(show_duration(self.prune.older_than)),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::node::Value;

    #[test]
    fn every_preference_in_the_table_can_be_set_and_is_shown() {
        for (table, key) in preferences() {
            let name = format!("{}.{}", table.name, key.name);
            let mut settings = Settings::built_in(2);
            let before = settings.get(&name).unwrap_or_else(|| panic!("`{name}` is not shown"));
            // One of these has the right type, and differs from what is built in.
            let values =
                [Value::Whole(77), Value::Text("pidns".to_owned()), Value::Text("x".to_owned())];
            let set = values.into_iter().any(|value| {
                settings.set(&name, &Node { at: 0, value }).is_some()
                    && settings.get(&name).as_ref() != Some(&before)
            });
            assert!(set, "`{name}` cannot be set");
        }
        assert_eq!(RUNGS, Rung::ALL.map(Rung::as_str));
    }

    #[test]
    fn a_large_machine_is_not_filled_unasked() {
        let parallel = |cpus| Settings::built_in(cpus).run.max_parallel;
        assert_eq!((parallel(0), parallel(2), parallel(64)), (1, 2, 8));
    }
}
