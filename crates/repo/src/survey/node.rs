//! Packages with a `package.json`: what their scripts say, run by their own package manager.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    commands::Commands,
    finding::{Check, Ecosystem, Finding, Role, listed, quoted},
    recipe::{Recipe, Recipes},
    tools::Tools,
    tree::{Folder, Tree},
};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Manager {
    Npm,
    Pnpm,
    Yarn,
    Bun,
}

impl Manager {
    fn name(self) -> &'static str {
        match self {
            Self::Npm => "npm",
            Self::Pnpm => "pnpm",
            Self::Yarn => "yarn",
            Self::Bun => "bun",
        }
    }

    fn by_name(name: &str) -> Option<Self> {
        [Self::Npm, Self::Pnpm, Self::Yarn, Self::Bun]
            .into_iter()
            .find(|manager| manager.name() == name)
    }

    fn install(self, folder: &Folder) -> &'static str {
        match self {
            Self::Npm if folder.has("package-lock.json") => "npm ci",
            Self::Npm => "npm install",
            Self::Pnpm => "pnpm install",
            Self::Yarn => "yarn install",
            Self::Bun => "bun install",
        }
    }
}

/// The lockfile of a folder, and whose it is. Of several, the one that package.json names.
pub(super) fn lockfile(folder: &Folder) -> Option<(&'static str, Manager)> {
    let lockfiles = [
        ("pnpm-lock.yaml", Manager::Pnpm),
        ("yarn.lock", Manager::Yarn),
        ("bun.lock", Manager::Bun),
        ("bun.lockb", Manager::Bun),
        ("package-lock.json", Manager::Npm),
        ("npm-shrinkwrap.json", Manager::Npm),
    ];
    let there = || lockfiles.into_iter().filter(|(file, _)| folder.has(file));
    let package = || serde_json::from_str(&folder.text("package.json")?).ok();
    let named = || {
        let manager = named(&package()?)?;
        there().find(|(_, owner)| *owner == manager)
    };
    let mut all = there();
    let first = all.next()?;
    if all.next().is_some() { named().or(Some(first)) } else { Some(first) }
}

/// The manager that a package.json asks for.
fn named(package: &Value) -> Option<Manager> {
    let name = package.get("packageManager")?.as_str()?;
    Manager::by_name(name.split('@').next()?)
}

pub(super) fn look(folder: &Folder, tree: &Tree, tools: &Tools) -> Option<Finding> {
    let text = folder.text("package.json").filter(|_| folder.has("package.json"))?;
    // One that cannot be read has no scripts; npm would say so to whoever runs it.
    let package: Value = match serde_json::from_str(&text) {
        Ok(package) => package,
        Err(error) => {
            let mut finding = Finding::new(Ecosystem::Node, "npm package", "package.json");
            finding.leave_out(
                "scripts of package.json",
                format!("it is not JSON: {error}"),
                "correct it",
            );
            return Some(finding);
        }
    };
    let manager = manager(folder, tree, &package);
    let members = members(folder, tree, &package);
    let kind = if members.is_empty() { "package" } else { "workspace" };
    let mut finding =
        Finding::new(Ecosystem::Node, &format!("{} {kind}", manager.name()), "package.json");

    let mut recipes = scripts(&package, &format!("{} run", manager.name()));
    drop_placeholders(&mut recipes, &mut finding);
    let across = across(&members, &recipes, tools);
    if recipes.all.is_empty() && across.is_empty() {
        finding.leave_out(
            "scripts of package.json",
            "there is no `build`, `lint`, `typecheck`, `check` or `test` among them",
            "add a `test` script",
        );
        return Some(finding);
    }
    if !tools.has(manager.name()) || manager != Manager::Bun && !tools.has("node") {
        let name =
            if tools.has("node") || manager == Manager::Bun { manager.name() } else { "node" };
        let remedy = match manager {
            Manager::Pnpm | Manager::Yarn => {
                format!("install `{name}`, for example by `corepack enable`")
            }
            Manager::Npm | Manager::Bun => format!("install `{name}`"),
        };
        finding.leave_out("scripts of package.json", format!("`{name}` is not installed"), remedy);
        return Some(finding);
    }
    let missing = missing_packages(folder, tree, &package);
    if !missing.is_empty() {
        finding.lack(
            "scripts of package.json",
            format!("{} of its packages are not installed: {}", missing.len(), listed(&missing)),
            format!("run `{}`", manager.install(folder)),
        );
        return Some(finding);
    }

    let (checks, refused) = recipes.checks(|name, commands| {
        let absent = commands.programs().find(|program| !runnable(program, folder, tree, tools))?;
        Some((
            format!("its `{name}` calls `{absent}`, which is not installed"),
            format!("run `{}`", manager.install(folder)),
        ))
    });
    finding.checks = checks;
    finding.left_out.extend(refused);
    if !finding.checks.iter().any(|check| check.role == Role::Whole) {
        let covered: BTreeSet<String> =
            finding.checks.iter().map(|check| check.name.clone()).collect();
        let names = across.into_iter().filter(|(name, _)| !covered.contains(*name));
        finding
            .checks
            .extend(names.map(|(name, members)| check_across(manager, folder, name, &members)));
        finding.checks.sort_by_key(|check| check.role);
    }
    if finding.checks.is_empty() && finding.left_out.is_empty() {
        finding.leave_out(
            "scripts of package.json",
            "there is no `build`, `lint`, `typecheck`, `check` or `test` among them",
            "add a `test` script",
        );
    }
    for check in &mut finding.checks {
        // With it test runners run once instead of waiting for changes. Not for builds: some
        // take every warning for an error then.
        if matches!(check.role, Role::Test | Role::Whole) {
            check.env("CI", "true");
        }
        // Else `npx` and corepack fetch what is not there.
        check.env("NPM_CONFIG_YES", "false").env("COREPACK_ENABLE_NETWORK", "0");
    }
    Some(finding)
}

fn manager(folder: &Folder, tree: &Tree, package: &Value) -> Manager {
    let above = |folder: &Folder| {
        let package: Option<Value> = serde_json::from_str(&folder.text("package.json")?).ok();
        package.as_ref().and_then(named)
    };
    named(package)
        .or_else(|| {
            tree.upwards(folder).find_map(|folder| {
                lockfile(folder).map(|(_, manager)| manager).or_else(|| above(folder))
            })
        })
        .unwrap_or(Manager::Npm)
}

/// The scripts of a package as recipes.
fn scripts(package: &Value, runner: &str) -> Recipes {
    let scripts = package.get("scripts").and_then(Value::as_object);
    let scripts =
        scripts.into_iter().flatten().filter_map(|(name, text)| Some((name, text.as_str()?)));
    let mut all: std::collections::BTreeMap<String, Recipe> = scripts
        .map(|(name, text)| {
            (name.clone(), Recipe { commands: Commands::read(text), ..Recipe::default() })
        })
        .collect();
    let names: Vec<String> = all.keys().cloned().collect();
    for name in &names {
        let around = [format!("pre{name}"), format!("post{name}")];
        let needs = around.into_iter().filter(|hook| names.contains(hook)).collect();
        all.entry(name.clone()).and_modify(|recipe| recipe.needs = needs);
    }
    Recipes { file: "package.json".to_owned(), runner: runner.to_owned(), all }
}

/// Drops the scripts that test nothing, and says so of `test`.
fn drop_placeholders(recipes: &mut Recipes, finding: &mut Finding) {
    let empty: Vec<String> = recipes
        .all
        .iter()
        .filter(|(name, recipe)| {
            recipe.needs.is_empty() && recipe.commands.only_speaks() && !name.starts_with("pre")
        })
        .map(|(name, _)| name.clone())
        .collect();
    for name in empty {
        recipes.all.remove(&name);
        if name == "test" {
            finding.leave_out(
                "`npm test`",
                "the `test` script tests nothing",
                "write tests and a script that runs them",
            );
        }
    }
    // Where `test` only makes sense with more words, there is often one for machines.
    let watches = recipes.all.get("test").is_some_and(|_| recipes.all_of("test").0.watches());
    if watches || !recipes.all.contains_key("test") {
        let instead = ["test:ci", "test:run", "test:once", "test:unit", "unit"];
        if let Some(name) = instead.into_iter().find(|name| recipes.all.contains_key(*name)) {
            let needs = vec![name.to_owned()];
            let commands = Commands::read(&format!("npm run {name}"));
            recipes.all.insert("test".to_owned(), Recipe { needs, commands, ..Recipe::default() });
        }
    }
}

/// Whether the package has a script worth running, or cannot be read; others are only marks.
pub(super) fn is_project(folder: &Folder) -> bool {
    let Some(text) = folder.text("package.json") else { return false };
    let Ok(package) = serde_json::from_str::<Value>(&text) else { return true };
    let names = ["build", "lint", "test", "check", "ci", "typecheck"];
    let recipes = scripts(&package, "npm run");
    let mut named = recipes.all.iter().filter(|(name, _)| names.contains(&name.as_str()));
    named.any(|(_, recipe)| !recipe.commands.only_speaks())
}

/// The packages that are asked for and not there.
fn missing_packages(folder: &Folder, tree: &Tree, package: &Value) -> Vec<String> {
    if tree.upwards(folder).any(|above| above.has(".pnp.cjs") || above.has(".pnp.js")) {
        return Vec::new();
    }
    let optional = package.get("optionalDependencies").and_then(Value::as_object);
    let lists = ["dependencies", "devDependencies"];
    let wanted =
        lists.iter().filter_map(|list| package.get(list)?.as_object()).flat_map(|list| list.keys());
    let wanted =
        wanted.filter(|name| !optional.is_some_and(|optional| optional.contains_key(*name)));
    let there = |name: &str| {
        tree.upwards(folder).any(|above| above.reaches(&format!("node_modules/{name}")))
    };
    wanted.filter(|name| !there(name)).cloned().collect()
}

/// Whether a script's program would be found.
fn runnable(program: &str, folder: &Folder, tree: &Tree, tools: &Tools) -> bool {
    tools.has(program)
        || tree.upwards(folder).any(|above| above.reaches(&format!("node_modules/.bin/{program}")))
        || tree.upwards(folder).any(|above| above.has(".pnp.cjs"))
}

/// The folders of a workspace's packages.
fn members<'a>(folder: &'a Folder, tree: &'a Tree, package: &Value) -> Vec<&'a Folder> {
    let listed = match package.get("workspaces") {
        Some(Value::Object(object)) => object.get("packages"),
        other => other,
    };
    let listed = listed.and_then(Value::as_array).into_iter().flatten();
    let mut patterns: Vec<String> = listed.filter_map(Value::as_str).map(str::to_owned).collect();
    if let Some(text) = folder.text("pnpm-workspace.yaml") {
        patterns.extend(pnpm_patterns(&text));
    }
    let (without, with): (Vec<&str>, Vec<&str>) =
        patterns.iter().map(String::as_str).partition(|pattern| pattern.starts_with('!'));
    let fits = |inner: &Folder, pattern: &str| {
        let pattern = pattern.trim_start_matches("./").trim_end_matches('/');
        let path = if folder.at.is_empty() {
            &inner.at
        } else {
            inner.at.strip_prefix(&folder.below("")).unwrap_or("")
        };
        !path.is_empty() && glob(pattern, path)
    };
    let inside =
        tree.within(folder).filter(|inner| inner.at != folder.at && inner.has("package.json"));
    inside
        .filter(|inner| with.iter().any(|pattern| fits(inner, pattern)))
        .filter(|inner| !without.iter().any(|pattern| fits(inner, &pattern[1..])))
        .collect()
}

/// Whether the package in `folder` is a member of the workspace in `outer`.
pub(super) fn is_part_of(folder: &Folder, outer: &Folder, tree: &Tree) -> bool {
    let package = outer.text("package.json").and_then(|text| serde_json::from_str(&text).ok());
    package.is_some_and(|package: Value| {
        members(outer, tree, &package)
            .iter()
            .any(|member| super::tree::is_within(&folder.at, &member.at))
    })
}

/// The `packages` list of a pnpm-workspace.yaml, which is always written as a plain list.
fn pnpm_patterns(text: &str) -> Vec<String> {
    let lines = text.lines().skip_while(|line| !line.starts_with("packages:")).skip(1);
    let items = lines.map_while(|line| {
        let line = line.split(" #").next().unwrap_or_default().trim();
        if line.is_empty() || line.starts_with('#') {
            Some(String::new())
        } else {
            line.strip_prefix('-').map(|item| item.trim().trim_matches(['\'', '"']).to_owned())
        }
    });
    items.filter(|item| !item.is_empty()).collect()
}

/// Whether a path fits a pattern with `*` for a part of it and `**` for any number of parts.
fn glob(pattern: &str, path: &str) -> bool {
    fn parts(pattern: &[&str], path: &[&str]) -> bool {
        match (pattern, path) {
            ([], []) => true,
            (["**", rest @ ..], _) => (0..=path.len()).any(|skipped| parts(rest, &path[skipped..])),
            ([first, pattern @ ..], [name, path @ ..]) => part(first, name) && parts(pattern, path),
            _ => false,
        }
    }
    fn part(pattern: &str, name: &str) -> bool {
        match pattern.split_once('*') {
            None => pattern == name,
            Some((before, after)) => name.strip_prefix(before).is_some_and(|rest| {
                rest.char_indices()
                    .map(|(at, _)| at)
                    .chain([rest.len()])
                    .any(|at| part(after, &rest[at..]))
            }),
        }
    }
    let pattern: Vec<&str> = pattern.split('/').collect();
    let path: Vec<&str> = path.split('/').collect();
    parts(&pattern, &path)
}

/// The scripts that members have and the root does not, each with the members that have it.
fn across<'a>(
    members: &[&'a Folder],
    root: &Recipes,
    tools: &Tools,
) -> Vec<(&'static str, Vec<&'a Folder>)> {
    const NAMES: [&str; 4] = ["build", "lint", "typecheck", "test"];
    let names = NAMES.into_iter().filter(|name| !root.all.contains_key(*name));
    let having = names.map(|name| {
        let have = members.iter().copied().filter(|member| {
            let package =
                member.text("package.json").and_then(|text| serde_json::from_str(&text).ok());
            package.is_some_and(|package: Value| {
                let recipes = scripts(&package, "npm run");
                let (commands, _) = recipes.all_of(name);
                let refused = commands.objection().is_some()
                    || commands.watches()
                    || commands.missing(member, tools).is_some();
                recipes.all.contains_key(name) && !commands.only_speaks() && !refused
            })
        });
        (name, have.collect::<Vec<_>>())
    });
    having.filter(|(_, have)| !have.is_empty()).collect()
}

/// One check that runs a script in those members that have it.
fn check_across(manager: Manager, folder: &Folder, name: &str, members: &[&Folder]) -> Check {
    let path = |member: &Folder| {
        let path =
            if folder.at.is_empty() { &member.at[..] } else { &member.at[folder.at.len() + 1..] };
        quoted(path)
    };
    let every = |each: &dyn Fn(&Folder) -> String, between: &str| {
        members.iter().map(|member| each(member)).collect::<Vec<_>>().join(between)
    };
    let command = match manager {
        Manager::Npm => {
            format!("npm run {name} {}", every(&|member| format!("-w {}", path(member)), " "))
        }
        Manager::Pnpm => {
            format!(
                "pnpm {} run {name}",
                every(&|member| format!("--filter ./{}", path(member)), " ")
            )
        }
        Manager::Yarn => every(&|member| format!("yarn --cwd {} run {name}", path(member)), " && "),
        Manager::Bun => every(&|member| format!("bun run --cwd {} {name}", path(member)), " && "),
    };
    let role = match name {
        "build" => Role::Build,
        "test" => Role::Test,
        _ => Role::Lint,
    };
    let mut check = Check::new(role, name, command, "package.json");
    check.recipe = Some(Commands::default());
    check
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_workspaces_fit_as_they_do_for_npm() {
        assert!(glob("packages/*", "packages/a") && !glob("packages/*", "packages/a/b"));
        assert!(glob("packages/**", "packages/a/b") && glob("apps/web-*", "apps/web-x"));
        assert!(!glob("apps/web", "apps/webs"));
    }

    #[test]
    fn the_packages_of_a_pnpm_workspace_are_read() {
        let text = "# x\npackages:\n  # all\n  - 'packages/*'\n  - \"!**/test/**\" # not\ncatalog:\n  - x\n";
        assert_eq!(pnpm_patterns(text), ["packages/*", "!**/test/**"]);
    }
}
