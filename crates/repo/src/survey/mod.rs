//! What kind of project a work tree holds, and how it is built, linted and tested.
//!
//! The project's own recipes come before our guesses, nothing is installed, and what could be
//! checked and is not is said with its reason and its remedy. Nothing is run to find out: files
//! are read, and the `PATH` is searched.

mod advice;
mod commands;
mod finding;
mod go;
mod just;
mod make;
mod native;
mod node;
mod others;
mod programs;
mod python;
mod recipe;
mod rust;
mod stages;
mod tools;
mod tree;

use std::{ffi::OsStr, path::Path};

use model::{LeftOut, Pipeline};

use self::{
    finding::{Check, Ecosystem, Finding, Role, left_out},
    tools::Tools,
    tree::{Folder, Tree},
};

/// What was recognised in a work tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// The checks, as the pipeline `diagnostics`; `None` when there is nothing to run, and
    /// [`Survey::advice`] then says why.
    pub pipeline: Option<Pipeline>,
    /// The projects, those nearest to the root first.
    pub projects: Vec<Project>,
    /// What could have been checked and is not.
    pub left_out: Vec<LeftOut>,
}

/// Something that is built and tested by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// Its folder, relative to the work tree; `.` for the work tree itself.
    pub path: String,
    /// What it is: `Rust workspace`, `npm package`.
    pub what: String,
}

/// More projects than these are no longer looked through by anybody.
const MOST_PROJECTS: usize = 16;

/// Looks at `work_tree` with the programs that are on `path`.
#[must_use]
pub fn survey(work_tree: &Path, path: &OsStr) -> Survey {
    let tools = Tools::on(path);
    let tree = Tree::of(work_tree);
    let mut sites: Vec<Site<'_>> = Vec::new();
    let mut left_out = Vec::new();
    let mut too_many = 0;
    for folder in &tree.folders {
        if is_part_of_another(folder, &sites, &tree) {
            continue;
        }
        let site = Site::look(folder, &tree, &tools, &sites);
        match site {
            Some(_) if sites.len() >= MOST_PROJECTS => too_many += 1,
            Some(site) => sites.push(site),
            None => {}
        }
    }
    leave_to_the_root(&mut sites, &mut left_out);
    let projects = sites.iter().flat_map(Site::projects).collect();
    for site in &mut sites {
        left_out.extend(site.take_left_out());
    }
    if too_many > 0 {
        left_out.push(finding::left_out(
            format!("{too_many} more projects"),
            format!("only the first {MOST_PROJECTS} are looked at"),
            "write a pipeline for them",
        ));
    }
    if !tree.whole {
        left_out.push(finding::left_out(
            "the rest of the folders",
            "the work tree is too large to look through",
            "write a pipeline for what is missing",
        ));
    }
    Survey { pipeline: stages::pipeline(sites), projects, left_out }
}

/// A folder with projects, and all that is to be run for them.
struct Site<'a> {
    folder: &'a Folder,
    findings: Vec<Finding>,
}

impl<'a> Site<'a> {
    fn look(folder: &'a Folder, tree: &Tree, tools: &Tools, sites: &[Site<'_>]) -> Option<Self> {
        let above =
            |ecosystem| sites.iter().rev().find(|site| site.holds(folder) && site.has(ecosystem));
        let mut findings = Vec::new();
        let part = above(Ecosystem::Rust).is_some_and(|site| rust::is_part_of(folder, site.folder));
        findings.extend(rust::look(folder, tree, tools).filter(|_| !part));
        let part =
            above(Ecosystem::Node).is_some_and(|site| node::is_part_of(folder, site.folder, tree));
        let node = node::look(folder, tree, tools).filter(|_| !part);
        // Below another project, one without scripts is only a mark for Node.
        findings.extend(node.filter(|node| {
            folder.at.is_empty() || !node.checks.is_empty() || node::has_scripts(folder)
        }));
        findings.extend(python::look(folder, tree, tools));
        findings.extend(go::look(folder, tree, tools));

        // Recipes and build files below a project that has some are parts of it.
        let covered = above(Ecosystem::Native).is_some() || above(Ecosystem::Recipes).is_some();
        if !covered {
            let built_by_python =
                findings.iter().any(|finding| finding.ecosystem == Ecosystem::Python)
                    && python::builds_natively(folder);
            if !built_by_python {
                findings.extend(native::look(folder, tools));
            }
        }
        let alone = findings.is_empty();
        let recipes_count = !alone || !covered && sites.iter().all(|site| !site.holds(folder));
        if recipes_count {
            apply_recipes(folder, tools, &mut findings);
        }
        findings.extend(others::look(folder).filter(|_| alone && findings.is_empty()));
        (!findings.is_empty()).then_some(Self { folder, findings })
    }

    fn holds(&self, folder: &Folder) -> bool {
        tree::is_within(&folder.at, &self.folder.at)
    }

    fn has(&self, ecosystem: Ecosystem) -> bool {
        self.findings.iter().any(|finding| finding.ecosystem == ecosystem)
    }

    fn checks(&self) -> impl Iterator<Item = &Check> {
        self.findings.iter().flat_map(|finding| &finding.checks)
    }

    fn projects(&self) -> impl Iterator<Item = Project> {
        let path = self.path().to_owned();
        // Recipes beside a project are how it is checked, and no project of their own.
        let only = self.findings.len() == 1;
        let projects = self
            .findings
            .iter()
            .filter(move |finding| only || finding.ecosystem != Ecosystem::Recipes);
        projects.map(move |finding| Project { path: path.clone(), what: finding.what.clone() })
    }

    fn path(&self) -> &str {
        if self.folder.at.is_empty() { "." } else { &self.folder.at }
    }

    fn take_left_out(&mut self) -> Vec<LeftOut> {
        let place = match self.folder.at.as_str() {
            "" => String::new(),
            at => format!(" in {at}/"),
        };
        let all =
            self.findings.iter_mut().flat_map(|finding| std::mem::take(&mut finding.left_out));
        all.map(|entry| LeftOut { what: format!("{}{place}", entry.what), ..entry }).collect()
    }
}

/// Whether a folder is no place to look for projects, given those that were found above it.
fn is_part_of_another(folder: &Folder, sites: &[Site<'_>], tree: &Tree) -> bool {
    const NOT_PROJECTS: [&str; 19] = [
        "example",
        "examples",
        "sample",
        "samples",
        "demo",
        "demos",
        "fixture",
        "fixtures",
        "testdata",
        "test-data",
        "tests",
        "test",
        "__tests__",
        "spec",
        "bench",
        "benches",
        "benchmarks",
        "templates",
        "fuzz",
    ];
    let name =
        |folder: &Folder| folder.at.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let inside = tree.upwards(folder).any(|above| NOT_PROJECTS.contains(&name(above).as_str()));
    let docs = tree.upwards(folder).any(|above| matches!(name(above).as_str(), "doc" | "docs"));
    (inside || docs && !folder.has("package.json")) && sites.iter().any(|site| site.holds(folder))
}

/// Puts the recipes of a folder in the place of the guesses that they make unnecessary.
fn apply_recipes(folder: &Folder, tools: &Tools, findings: &mut Vec<Finding>) {
    let mut checks: Vec<Check> = Vec::new();
    let mut refused = Vec::new();
    let makefile = make::makefile(folder);
    let sets = [just::recipes(folder), makefile.as_ref().map(|makefile| makefile.recipes.clone())];
    for recipes in sets.into_iter().flatten() {
        // Those who have both have the one call the other.
        if checks.iter().any(|check| matches!(check.role, Role::Whole | Role::Test)) {
            break;
        }
        let (found, not_run) = recipes.checks(|_, commands| {
            let missing = commands.missing(tools)?;
            Some((
                format!("it calls `{missing}`, which is not installed"),
                format!("install `{missing}`"),
            ))
        });
        if tools.has(&recipes.runner) {
            checks.extend(
                found
                    .into_iter()
                    .filter(|check| checks.iter().all(|other| other.name != check.name))
                    .collect::<Vec<_>>(),
            );
            refused.extend(not_run);
        } else {
            let runner = &recipes.runner;
            refused.extend(found.iter().map(|check| {
                left_out(
                    format!("`{}`", check.command),
                    format!("`{runner}` is not installed"),
                    format!("install `{runner}`"),
                )
            }));
        }
    }
    let tested = checks.iter().any(|check| matches!(check.role, Role::Whole | Role::Test));
    let native = findings.iter().any(|finding| finding.ecosystem == Ecosystem::Native);
    if native && !tested {
        // Beside CMake and its like, a Makefile without tests is a stand-in.
        checks.clear();
    } else if (findings.is_empty() || native)
        && tools.has("make")
        && !checks.iter().any(|check| check.role == Role::Build)
        && !checks.iter().any(|check| check.command == "make ci")
        && let Some(makefile) = &makefile
    {
        let reached =
            checks.iter().any(|check| makefile.recipes.all_of(&check.name).1.contains("all"));
        checks.extend(makefile.build().filter(|_| !reached));
    }
    if checks.is_empty() && refused.is_empty() {
        if let Some(makefile) = makefile.filter(|_| findings.is_empty()) {
            let mut finding =
                Finding::new(Ecosystem::Recipes, "Make project", &makefile.recipes.file);
            finding.leave_out(
                "`make`",
                "no target is called `ci`, `check`, `test`, `build` or `all`",
                "name one so, or write a pipeline",
            );
            findings.push(finding);
        }
        return;
    }
    checks.sort_by_key(|check| check.role);

    for finding in findings.iter_mut() {
        let ecosystem = finding.ecosystem;
        finding
            .checks
            .retain(|guess| !checks.iter().any(|recipe| replaces(recipe, guess, ecosystem)));
        let tested = checks.iter().any(|recipe| {
            matches!(recipe.role, Role::Whole | Role::Test) && speaks_of(recipe, ecosystem)
        });
        if tested {
            // What kept us from guessing does not keep the recipe.
            finding.left_out.clear();
        }
    }
    let told_by = checks.first().map(|check| check.told_by.clone());
    let told_by = told_by
        .or_else(|| makefile.map(|makefile| makefile.recipes.file))
        .unwrap_or_else(|| "justfile".to_owned());
    match findings.as_mut_slice() {
        [only] => {
            only.left_out.extend(refused);
            only.checks.extend(checks);
            only.checks.sort_by_key(|check| check.role);
        }
        _ => {
            let tool = if told_by.to_ascii_lowercase().contains("just") { "just" } else { "Make" };
            let what = format!("{tool} project");
            let mut finding = Finding::new(Ecosystem::Recipes, &what, &told_by);
            finding.checks = checks;
            finding.left_out = refused;
            findings.insert(0, finding);
        }
    }
}

/// Whether a recipe makes a guess unnecessary.
fn replaces(recipe: &Check, guess: &Check, ecosystem: Ecosystem) -> bool {
    let role = match recipe.role {
        Role::Whole => true,
        // A test of what was built elsewhere than the guess would build it.
        Role::Test if ecosystem == Ecosystem::Native => true,
        role => role == guess.role,
    };
    role && speaks_of(recipe, ecosystem)
}

/// Whether a recipe is about an ecosystem's project: it runs its tools, or no tool that would
/// tell of another one.
fn speaks_of(recipe: &Check, ecosystem: Ecosystem) -> bool {
    use Ecosystem::{Go, Native, Node, Python, Rust};
    let Some(commands) = &recipe.recipe else { return false };
    recipe.name == "ci"
        || commands.mentions(ecosystem)
        || ![Rust, Node, Python, Go, Native].into_iter().any(|other| commands.mentions(other))
}

/// Takes out what the root's own recipes run in the folders below it.
fn leave_to_the_root(sites: &mut Vec<Site<'_>>, left_out: &mut Vec<LeftOut>) {
    let Some(root) = sites.first().filter(|site| site.folder.at.is_empty()) else { return };
    let recipes = root.checks().filter_map(|check| Some((check, check.recipe.clone()?)));
    let recipes: Vec<(String, String, Role, String, commands::Commands)> = recipes
        .map(|(check, commands)| {
            (check.command.clone(), check.name.clone(), check.role, check.told_by.clone(), commands)
        })
        .collect();
    sites.retain_mut(|site| {
        let at = site.folder.at.clone();
        if at.is_empty() {
            return true;
        }
        for (command, name, role, told_by, commands) in &recipes {
            // A justfile's or a Makefile's `ci` is the whole repository's; a script is a package's.
            let all = name == "ci" && told_by != "package.json";
            let named = commands.names(&at);
            if all && !named && site.checks().next().is_some() {
                left_out.push(finding::left_out(
                    format!("checks of {at}/"),
                    format!("`{command}` is taken to check the whole repository"),
                    "if it does not, write a pipeline that runs both",
                ));
            }
            if all || named && *role == Role::Whole {
                return false;
            }
            if named {
                for finding in &mut site.findings {
                    finding.checks.retain(|check| check.role != *role);
                }
            }
        }
        true
    });
}
