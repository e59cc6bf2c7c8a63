//! What a project says about checking itself: the recipes of its justfile, its Makefile or its
//! scripts, and which of them are worth running.

use std::collections::{BTreeMap, BTreeSet};

use model::LeftOut;

use super::{
    commands::Commands,
    finding::{Check, Role, left_out},
};

/// The recipes of one file.
#[derive(Clone)]
pub(super) struct Recipes {
    /// The file's name in its folder.
    pub(super) file: String,
    /// What runs one, as typed before its name: `just`, `make`, `npm run`.
    pub(super) runner: String,
    pub(super) all: BTreeMap<String, Recipe>,
}

/// One recipe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Recipe {
    /// The recipes that run before it.
    pub(super) needs: Vec<String>,
    pub(super) commands: Commands,
    /// It cannot be run without saying more.
    pub(super) wants_arguments: bool,
}

/// The names that say what a recipe is for, the usual ones first. Of one row only the first
/// that is there is run.
const BUILDS: &[&[&str]] = &[&["build"]];
const LINTS: &[&[&str]] =
    &[&["lint"], &["typecheck", "type-check", "check-types", "check:types", "types:check"]];
const TESTS: &[&[&str]] = &[&["test", "tests"]];

impl Recipes {
    /// What `name` runs in the end, with the names of the other recipes that it goes through.
    pub(super) fn all_of(&self, name: &str) -> (Commands, BTreeSet<&str>) {
        let mut commands = Commands::default();
        let mut seen = BTreeSet::new();
        let mut ahead = vec![name];
        while let Some(name) = ahead.pop() {
            let Some((name, recipe)) = self.all.get_key_value(name) else { continue };
            if seen.insert(name.as_str()) {
                let known = |word: &str| self.all.contains_key(word);
                ahead.extend(recipe.commands.calls(known));
                ahead.extend(recipe.needs.iter().map(String::as_str));
                commands.extend(recipe.commands.clone());
            }
        }
        seen.remove(name);
        (commands, seen)
    }

    /// The checks that the recipes make, and the recipes that look like checks and are not run.
    /// `also` may refuse one for its own reason, with the remedy.
    pub(super) fn checks(
        &self,
        also: impl Fn(&str, &Commands) -> Option<(String, String)>,
    ) -> (Vec<Check>, Vec<LeftOut>) {
        let mut refused = Vec::new();
        let mut fit = |name: &str| -> Option<Commands> {
            let recipe = self.all.get(name)?;
            let (commands, _) = self.all_of(name);
            let pipeline = "run it by hand, or write a pipeline that does";
            let why = if recipe.wants_arguments {
                Some(("it wants arguments".to_owned(), pipeline.to_owned()))
            } else if let Some(objection) = commands.objection() {
                Some((format!("it {objection}"), pipeline.to_owned()))
            } else if commands.watches() {
                Some(("it waits for changes and does not end".to_owned(), pipeline.to_owned()))
            } else {
                also(name, &commands)
            };
            match why {
                None => Some(commands),
                Some((why, remedy)) => {
                    refused.push(left_out(format!("`{} {name}`", self.runner), why, remedy));
                    None
                }
            }
        };

        if let Some(commands) = fit("ci")
            && !commands.is_empty()
        {
            return (vec![self.check(Role::Whole, "ci", commands)], refused);
        }
        let mut picks = Vec::new();
        for (role, rows) in [(Role::Build, BUILDS), (Role::Lint, LINTS), (Role::Test, TESTS)] {
            for names in rows {
                let name = names.iter().find(|name| self.all.contains_key(**name));
                picks.extend(name.and_then(|name| Some((role, *name, fit(name)?))));
            }
        }
        if let Some(commands) = fit("check") {
            // In many projects `check` is the word for looking without running. Where it tests,
            // it is the choice of what to test, and `test` is often the longer one.
            let role = if commands.only_lints() { Role::Lint } else { Role::Whole };
            if role == Role::Whole && commands.tests() {
                picks.retain(|(role, _, _)| *role != Role::Test);
            }
            picks.push((role, "check", commands));
        }
        self.without_repeats(&mut picks);
        picks.sort_by_key(|(role, _, _)| *role);
        let checks =
            picks.into_iter().map(|(role, name, commands)| self.check(role, name, commands));
        (checks.collect(), refused)
    }

    /// Drops what another pick runs anyway, or says in the same words.
    fn without_repeats(&self, picks: &mut Vec<(Role, &str, Commands)>) {
        let names: Vec<&str> = picks.iter().map(|(_, name, _)| *name).collect();
        let mut dropped: BTreeSet<&str> = BTreeSet::new();
        for (at, name) in names.iter().enumerate().rev() {
            let (_, through) = self.all_of(name);
            if dropped.contains(name) {
                continue;
            }
            dropped
                .extend(names.iter().filter(|other| *other != name && through.contains(**other)));
            let own = &self.all[*name];
            let twins = names[..at]
                .iter()
                .filter(|other| !own.commands.is_empty() && self.all[**other] == *own);
            dropped.extend(twins);
        }
        picks.retain(|(_, name, _)| !dropped.contains(name));
    }

    /// The check that runs a recipe.
    pub(super) fn check(&self, role: Role, name: &str, commands: Commands) -> Check {
        let mut check = Check::new(role, name, format!("{} {name}", self.runner), &self.file);
        check.recipe = Some(commands);
        check
    }
}

/// A file of recipes as its unindented lines, each with the indented ones below it.
pub(super) fn blocks(text: &str, indents: &[char]) -> Vec<(String, String)> {
    let joined = text.replace("\r\n", "\n");
    let mut blocks: Vec<(String, String)> = Vec::new();
    let mut lines = joined.lines();
    while let Some(line) = lines.next() {
        match blocks.last_mut() {
            Some((_, body)) if line.starts_with(indents) => {
                body.push_str(line);
                body.push('\n');
            }
            _ if line.trim().is_empty() => {}
            _ => {
                let mut head = line.to_owned();
                while head.ends_with('\\') {
                    head.pop();
                    head.push_str(lines.next().unwrap_or_default());
                }
                blocks.push((head, String::new()));
            }
        }
    }
    blocks
}
