//! Whose word counts: a folder's own recipes before our guesses, and the root's recipes before
//! those of the folders below that they speak of.

use model::LeftOut;

use super::{
    Site,
    commands::Commands,
    finding::{Check, Ecosystem, Finding, Role, left_out},
    just,
    make::{self, Makefile},
    tools::Tools,
    tree::Folder,
};

/// Puts the recipes of a folder in the place of the guesses that they make unnecessary.
pub(super) fn put_recipes_first(folder: &Folder, tools: &Tools, findings: &mut Vec<Finding>) {
    let makefile = make::makefile(folder);
    let (mut checks, refused) = recipe_checks(folder, tools, findings, makefile.as_ref());
    let native = findings.iter().any(|finding| finding.ecosystem == Ecosystem::Native);
    if native && !checks.iter().any(tests) {
        // Beside CMake and its like, a Makefile without tests is a stand-in.
        checks.clear();
    } else if findings.is_empty() || native {
        let makefile = makefile.as_ref().filter(|_| tools.has("make"));
        checks.extend(makefile.and_then(|makefile| build_check(makefile, &checks)));
    }
    checks.sort_by_key(|check| check.role);
    for finding in findings.iter_mut() {
        yield_to(&checks, finding);
    }

    let told_by = checks.first().map(|check| check.told_by.clone());
    let told_by = told_by.or_else(|| just::recipes(folder).map(|recipes| recipes.file));
    let told_by = told_by.or_else(|| makefile.map(|makefile| makefile.recipes.file));
    match (findings.as_mut_slice(), told_by) {
        ([only], _) => {
            only.left_out.extend(refused);
            only.checks.extend(checks);
            only.checks.sort_by_key(|check| check.role);
        }
        ([], None) => {}
        ([_, ..], _) if checks.is_empty() && refused.is_empty() => {}
        (_, told_by) => {
            let told_by = told_by.unwrap_or_default();
            let just = told_by.to_ascii_lowercase().ends_with("justfile");
            let what = if just { "just project" } else { "Make project" };
            let mut finding = Finding::new(Ecosystem::Recipes, what, &told_by);
            if checks.is_empty() && refused.is_empty() {
                finding.leave_out(
                    format!("recipes of the {told_by}"),
                    "none is called `ci`, `check`, `test`, `lint` or `build`",
                    "name one so, or write a pipeline",
                );
            }
            finding.checks = checks;
            finding.left_out.extend(refused);
            findings.insert(0, finding);
        }
    }
}

/// What the folder's justfile and Makefile say is to be run, and what of it cannot be.
fn recipe_checks(
    folder: &Folder,
    tools: &Tools,
    findings: &[Finding],
    makefile: Option<&Makefile>,
) -> (Vec<Check>, Vec<LeftOut>) {
    let mut checks: Vec<Check> = Vec::new();
    let mut refused = Vec::new();
    let sets = [just::recipes(folder), makefile.map(|makefile| makefile.recipes.clone())];
    for recipes in sets.into_iter().flatten() {
        // Those who have both let the one call the other.
        if checks.iter().any(tests) {
            break;
        }
        let runner = recipes.runner.as_str();
        let (mut found, not_run) = recipes.checks(|_, commands| {
            let missing = commands.missing(folder, tools).map(|name| {
                (format!("it calls `{name}`, which is not installed"), format!("install `{name}`"))
            });
            missing.or_else(|| lacking(commands, findings))
        });
        if tools.has(runner) {
            found.retain(|check| checks.iter().all(|other| other.name != check.name));
            checks.extend(found);
            refused.extend(not_run);
        } else {
            refused.extend(found.iter().map(|check| {
                let why = format!("`{runner}` is not installed");
                left_out(format!("`{}`", check.command), why, format!("install `{runner}`"))
            }));
        }
    }
    (checks, refused)
}

/// Why a recipe would fail for want of the packages of a project beside it.
fn lacking(commands: &Commands, findings: &[Finding]) -> Option<(String, String)> {
    let speaks = |finding: &&Finding| {
        // Python's linters do without the packages of the project.
        let lints = finding.ecosystem == Ecosystem::Python && commands.only_lints();
        commands.mentions(finding.ecosystem) && !lints
    };
    findings.iter().filter(speaks).find_map(|finding| finding.lacks.clone())
}

/// The check that builds by `make` alone, where no other one does.
fn build_check(makefile: &Makefile, checks: &[Check]) -> Option<Check> {
    let built = |check: &Check| {
        check.role == Role::Build
            || check.name == "ci"
            || makefile.recipes.all_of(&check.name).1.contains("all")
    };
    if checks.iter().any(built) { None } else { makefile.build() }
}

fn tests(check: &Check) -> bool {
    matches!(check.role, Role::Whole | Role::Test)
}

/// Takes out of a finding what the recipes do instead.
fn yield_to(recipes: &[Check], finding: &mut Finding) {
    let ecosystem = finding.ecosystem;
    finding.checks.retain(|guess| !recipes.iter().any(|recipe| replaces(recipe, guess, ecosystem)));
    let speaking = || recipes.iter().filter(|recipe| speaks_of(recipe, ecosystem));
    if speaking().any(|recipe| recipe.role == Role::Whole) {
        // What kept us from guessing does not keep the recipe.
        finding.left_out.clear();
    } else if speaking().any(|recipe| recipe.role == Role::Test) {
        finding.left_out.retain(|entry| {
            !entry.what.contains("test") && !matches!(entry.what.as_str(), "tox" | "nox")
        });
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
pub(super) fn leave_to_the_root(sites: &mut Vec<Site<'_>>, left_out: &mut Vec<LeftOut>) {
    let Some((root, below)) = sites.split_first_mut() else { return };
    if !root.folder.at.is_empty() {
        return;
    }
    for site in below {
        let at = site.folder.at.as_str();
        for recipe in root.findings.iter().flat_map(|finding| &finding.checks) {
            let Some(commands) = &recipe.recipe else { continue };
            let named = commands.names(at);
            // A justfile's or a Makefile's `ci` is the whole repository's; a script is a package's.
            let all = recipe.name == "ci" && recipe.told_by != "package.json";
            if all && !named && site.checks().next().is_some() {
                left_out.push(super::finding::left_out(
                    format!("checks of {at}/"),
                    format!("`{}` is taken to check the whole repository", recipe.command),
                    "if it does not, write a pipeline that runs both",
                ));
            }
            for finding in &mut site.findings {
                if all || named && recipe.role == Role::Whole {
                    finding.checks.clear();
                    finding.left_out.clear();
                } else if named {
                    finding.checks.retain(|check| check.role != recipe.role);
                }
            }
        }
    }
}
