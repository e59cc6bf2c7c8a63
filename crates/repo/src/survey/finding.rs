//! What one ecosystem's rules make of one folder.

use std::collections::BTreeMap;

use model::LeftOut;

use super::commands::Commands;

/// A family of tools that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ecosystem {
    Rust,
    Node,
    Python,
    Go,
    /// C, C++ and everything else that Make, CMake and their like build.
    Native,
    /// Nothing but recipes.
    Recipes,
}

impl Ecosystem {
    /// How a stage's id names it.
    pub(super) fn tag(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Node => "npm",
            Self::Python => "python",
            Self::Go => "go",
            Self::Native => "native",
            Self::Recipes => "recipes",
        }
    }
}

/// A project, what is to be run for it, and what is not.
pub(super) struct Finding {
    pub(super) ecosystem: Ecosystem,
    /// `Rust workspace`.
    pub(super) what: String,
    /// The file that told, by its name in the folder.
    pub(super) told_by: String,
    pub(super) checks: Vec<Check>,
    pub(super) left_out: Vec<LeftOut>,
    /// Why its tests would fail for want of something, whoever runs them, and the remedy.
    pub(super) lacks: Option<(String, String)>,
}

impl Finding {
    pub(super) fn new(ecosystem: Ecosystem, what: &str, told_by: &str) -> Self {
        Self {
            ecosystem,
            what: what.to_owned(),
            told_by: told_by.to_owned(),
            checks: Vec::new(),
            left_out: Vec::new(),
            lacks: None,
        }
    }

    /// One more check, guessed from the file that told of the project.
    pub(super) fn check(
        &mut self,
        role: Role,
        name: &str,
        command: impl Into<String>,
    ) -> &mut Check {
        self.checks.push(Check::new(role, name, command.into(), &self.told_by));
        let last = self.checks.len() - 1;
        &mut self.checks[last]
    }

    /// Says that something is not run, and would not go well if anybody else ran it.
    pub(super) fn lack(&mut self, what: &str, why: String, remedy: String) {
        self.lacks = Some((why.clone(), remedy.clone()));
        self.leave_out(what, why, remedy);
    }

    /// Says that something is not run.
    pub(super) fn leave_out(
        &mut self,
        what: impl Into<String>,
        why: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.left_out.push(left_out(what, why, remedy));
    }
}

pub(super) fn left_out(
    what: impl Into<String>,
    why: impl Into<String>,
    remedy: impl Into<String>,
) -> LeftOut {
    LeftOut { what: what.into(), why: why.into(), remedy: remedy.into() }
}

/// What a check is for; in the order in which they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Configure,
    Build,
    Lint,
    /// A recipe that is all the checking its project wants.
    Whole,
    Test,
}

/// One command to run.
pub(super) struct Check {
    pub(super) role: Role,
    /// The last part of the stage's id.
    pub(super) name: String,
    pub(super) command: String,
    pub(super) env: BTreeMap<String, String>,
    pub(super) allow_failure: bool,
    /// It makes no use of what was built, and runs also when that failed.
    pub(super) alone: bool,
    /// The file that told, by its name in the folder.
    pub(super) told_by: String,
    /// What the project's own recipe runs; `None` for a guess of ours.
    pub(super) recipe: Option<Commands>,
}

impl Check {
    pub(super) fn new(role: Role, name: &str, command: String, told_by: &str) -> Self {
        Self {
            role,
            name: name.to_owned(),
            command,
            env: BTreeMap::new(),
            allow_failure: false,
            alone: false,
            told_by: told_by.to_owned(),
            recipe: None,
        }
    }

    pub(super) fn env(&mut self, name: &str, value: &str) -> &mut Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// A failure is shown and does not count: the project did not ask for this check.
    pub(super) fn may_fail(&mut self) -> &mut Self {
        self.allow_failure = true;
        self
    }

    pub(super) fn alone(&mut self) -> &mut Self {
        self.alone = true;
        self
    }
}

/// `` `a`, `b` and 3 more ``.
pub(super) fn listed(names: &[String]) -> String {
    const SHOWN: usize = 3;
    let shown = names.iter().take(SHOWN).map(|name| format!("`{name}`"));
    let shown = shown.collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// A word as it is typed at a shell.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
