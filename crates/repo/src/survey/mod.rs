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
mod precedence;
mod programs;
mod python;
mod recipe;
mod rust;
mod setup;
mod stages;
mod tools;
mod tree;

pub use setup::{Setup, SetupStep, setup};

use std::{ffi::OsStr, path::Path};

use model::{LeftOut, Pipeline};

use self::{
    finding::{Check, Ecosystem, Finding},
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

/// The name of the pipeline that is recognised.
pub const PIPELINE: &str = "diagnostics";

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
    precedence::leave_to_the_root(&mut sites, &mut left_out);
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
            folder.at.is_empty() || !node.checks.is_empty() || node::is_project(folder)
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
            precedence::put_recipes_first(folder, tools, &mut findings);
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
    let docs = |above: &Folder| matches!(name(above).as_str(), "doc" | "docs");
    let inside = tree.upwards(folder).any(is_a_sample);
    let docs = tree.upwards(folder).any(docs);
    (inside || docs && !folder.has("package.json")) && sites.iter().any(|site| site.holds(folder))
}

/// Whether what is in a folder of that name is there to be looked at or tested with.
fn is_a_sample(folder: &Folder) -> bool {
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
    NOT_PROJECTS.contains(&name(folder).as_str())
}

/// A folder's own name, in small letters.
fn name(folder: &Folder) -> String {
    folder.at.rsplit('/').next().unwrap_or_default().to_ascii_lowercase()
}
