//! What a fresh work tree needs before anything in it can be built: what its lock files name, and
//! exactly that.

use std::{ffi::OsStr, path::Path};

use model::LeftOut;

use super::{
    finding::{left_out, quoted},
    is_a_sample,
    node::{self, Manager},
    tools::Tools,
    tree::{Folder, Tree},
};

/// How a work tree is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// What to run, in this order, those nearest to the root first.
    pub steps: Vec<SetupStep>,
    /// What a lock file asks for and cannot be done here.
    pub left_out: Vec<LeftOut>,
}

/// One command that fetches or installs what a lock file names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetupStep {
    /// Where to run it, relative to the work tree; `.` for the work tree itself.
    pub at: String,
    /// `pnpm install --frozen-lockfile`.
    pub command: String,
    /// The file that told, by its name in the folder.
    pub told_by: &'static str,
}

impl Setup {
    /// All of it as one line for a shell in the work tree; `None` when there is nothing to do.
    #[must_use]
    pub fn line(&self) -> Option<String> {
        let each = self.steps.iter().map(|step| match step.at.as_str() {
            "." => step.command.clone(),
            at => format!("(cd {} && {})", quoted(at), step.command),
        });
        let line = each.collect::<Vec<_>>().join(" && ");
        (!line.is_empty()).then_some(line)
    }
}

/// More than these is not the setup of one project.
const MOST: usize = 8;

/// Looks how `work_tree` is set up with the programs that are on `path`.
#[must_use]
pub fn setup(work_tree: &Path, path: &OsStr) -> Setup {
    let (tree, tools) = (Tree::of(work_tree), Tools::on(path));
    let mut setup = Setup { steps: Vec::new(), left_out: Vec::new() };
    for folder in &tree.folders {
        if tree.upwards(folder).any(is_a_sample) {
            continue;
        }
        for wanted in [rust(folder), node(folder), python(folder), go(folder)].into_iter().flatten()
        {
            let at = if folder.at.is_empty() { "." } else { &folder.at };
            let lacks = wanted.programs.iter().find(|program| !tools.has(program));
            let what = match at {
                "." => format!("`{}`", wanted.command),
                at => format!("`{}` in {at}/", wanted.command),
            };
            if let Some(program) = lacks {
                let why = format!("`{program}` is not installed");
                setup.left_out.push(left_out(what, why, format!("install `{program}`")));
            } else if setup.steps.len() >= MOST {
                let why = format!("only the first {MOST} are done");
                setup.left_out.push(left_out(what, why, "name the commands in the config"));
            } else {
                let (command, told_by) = (wanted.command.to_owned(), wanted.told_by);
                setup.steps.push(SetupStep { at: at.to_owned(), command, told_by });
            }
        }
    }
    setup
}

/// What a folder's lock file asks for.
struct Wanted {
    command: &'static str,
    programs: &'static [&'static str],
    told_by: &'static str,
}

/// The first of these whose file is in the folder.
fn first(
    folder: &Folder,
    known: &[(&'static str, &'static str, &'static [&'static str])],
) -> Option<Wanted> {
    let found = known.iter().find(|(file, ..)| folder.has(file));
    found.map(|&(told_by, command, programs)| Wanted { command, programs, told_by })
}

fn rust(folder: &Folder) -> Option<Wanted> {
    let known = [("Cargo.lock", "cargo fetch --locked", &["cargo"][..])];
    first(folder, &known).filter(|_| folder.has("Cargo.toml"))
}

fn go(folder: &Folder) -> Option<Wanted> {
    // A module that needs nothing has no such file.
    first(folder, &[("go.sum", "go mod download", &["go"])]).filter(|_| folder.has("go.mod"))
}

fn python(folder: &Folder) -> Option<Wanted> {
    let known = [
        ("uv.lock", "uv sync --frozen", &["uv"][..]),
        ("poetry.lock", "poetry install --no-interaction", &["poetry"]),
        ("pdm.lock", "pdm sync --no-self", &["pdm"]),
        ("Pipfile.lock", "pipenv sync --dev", &["pipenv"]),
    ];
    first(folder, &known)
}

fn node(folder: &Folder) -> Option<Wanted> {
    let lockfile = node::lockfile(folder)?;
    let (command, programs): (_, &[_]) = match lockfile.1 {
        Manager::Npm => ("npm ci", &["npm", "node"]),
        Manager::Pnpm => ("pnpm install --frozen-lockfile", &["pnpm", "node"]),
        Manager::Yarn if is_modern_yarn(folder) => ("yarn install --immutable", &["yarn", "node"]),
        Manager::Yarn => ("yarn install --frozen-lockfile", &["yarn", "node"]),
        Manager::Bun => ("bun install --frozen-lockfile", &["bun"]),
    };
    Some(Wanted { command, programs, told_by: lockfile.0 }).filter(|_| folder.has("package.json"))
}

/// Whether its lock file is of a yarn since version 2, which knows other words.
fn is_modern_yarn(folder: &Folder) -> bool {
    let lock = folder.text("yarn.lock").unwrap_or_default();
    folder.has(".yarnrc.yml") || lock.lines().any(|line| line.starts_with("__metadata:"))
}
