//! A project's tests: which runner they are for, and whether all that they import is there.

use std::collections::BTreeSet;

use super::{
    Settings,
    interpreter::{Installed, Interpreter},
    not_installed, requirements,
};
use crate::survey::{
    finding::{Finding, Role},
    tree::{Folder, Tree},
};

/// How many test files are read to see what they import.
const SAMPLE: usize = 200;

/// What the test files have in common.
#[derive(Default)]
struct Tests {
    count: usize,
    /// Some of them cannot do without pytest.
    for_pytest: bool,
    /// The modules that they import, or the first parts of their names.
    imports: BTreeSet<String>,
    /// The folders they are in, relative to the project.
    folders: BTreeSet<String>,
    /// Some are not named `test*.py`.
    named_behind: bool,
}

pub(super) fn look(
    finding: &mut Finding,
    folder: &Folder,
    tree: &Tree,
    settings: &Settings,
    python: &Interpreter,
    sources: &[String],
) {
    let configured = settings.table(&["tool", "pytest"]).is_some()
        || folder.has("pytest.ini")
        || settings.section("pytest")
        || settings.section("tool:pytest");
    let tests = tests(folder, tree);
    if tests.count == 0 {
        finding.leave_out(
            "tests",
            "there are no `test_*.py` or `*_test.py` files",
            "write some for `pytest` or `unittest`",
        );
        return;
    }
    let pip = format!("{} -m pip install", python.command);
    let install = match () {
        () if folder.has("uv.lock") => "run `uv sync`".to_owned(),
        () if folder.has("poetry.lock") => {
            "run `poetry install`, with the environment in the project".to_owned()
        }
        () if folder.has("Pipfile") => {
            "run `pipenv install --dev`, with the environment in the project".to_owned()
        }
        () if folder.has("pyproject.toml") || folder.has("setup.py") => format!("run `{pip} -e .`"),
        () => format!("run `{pip} -r requirements.txt`"),
    };

    let project = settings
        .table(&["project", "name"])
        .or_else(|| settings.table(&["tool", "poetry", "name"]));
    let project = project.and_then(|name| name.as_str());
    let known = project.is_some_and(|name| python.has_distribution(name) == Some(true));
    let installed = project.and_then(|name| python.installed_from(name, folder.path()));
    if installed.is_none()
        && let Some(why) = wants_installing(folder, tree, settings, sources, known)
    {
        finding.leave_out("tests", why, install);
        return;
    }
    let missing = requirements::missing(folder, settings, python);
    if !missing.is_empty() {
        finding.lack("tests", not_installed(&missing), install);
        return;
    }

    let pytest = python.has("pytest") == Some(true);
    let unittest = !configured && !tests.for_pytest;
    if !pytest && !unittest {
        finding.leave_out(
            "tests",
            "they are for `pytest`, which is not installed",
            format!("run `{pip} pytest`"),
        );
        return;
    }
    let mut absent = absent(&tests, folder, tree, python);
    absent.extend(
        plugins(folder, settings)
            .into_iter()
            .filter(|_| pytest)
            .filter(|name| python.has(name) == Some(false)),
    );
    if !absent.is_empty() {
        finding.lack("tests", not_installed(&absent), format!("run `{pip} {}`", absent.join(" ")));
        return;
    }

    let src = folder.folders.contains("src") && !folder.reaches("src/__init__.py");
    // What was compiled is only where the project was installed; everything else is tested as it
    // is now.
    let elsewhere = match installed {
        Some(Installed::Linked) => false,
        Some(Installed::Copied) => !has_compiled_parts(settings),
        None => true,
    };
    let path = if src && elsewhere { "PYTHONPATH=\"src${PYTHONPATH:+:$PYTHONPATH}\" " } else { "" };
    let command = if pytest {
        format!("{path}{} -m pytest", python.command)
    } else {
        unittest_command(path, &python.command, folder, &tests)
    };
    finding.check(Role::Test, "test", command);
}

fn unittest_command(path: &str, python: &str, folder: &Folder, tests: &Tests) -> String {
    // Discovery goes into packages only, so that a folder of tests that is none must be named.
    let plain = ["tests", "test"].into_iter().find(|name| {
        let holds = tests.folders.iter().any(|at| at == name);
        holds && !folder.reaches(&format!("{name}/__init__.py"))
    });
    let start = plain.map(|name| format!(" -s {name}")).unwrap_or_default();
    let pattern = if tests.named_behind { " -p '*test*.py'" } else { "" };
    format!("{path}{python} -m unittest discover{start}{pattern}")
}

/// The test files of a project; those of projects within it are theirs.
fn tests(folder: &Folder, tree: &Tree) -> Tests {
    let mut tests = Tests::default();
    let within = tree.within(folder).filter(|inner| {
        inner.at == folder.at
            || !tree.upwards(inner).take_while(|above| above.at != folder.at).any(|above| {
                above.has("pyproject.toml") || above.has("setup.py") || above.has("package.json")
            })
    });
    for inner in within {
        for name in inner.files.iter().filter(|name| name.ends_with(".py")) {
            let behind = name.ends_with("_test.py") || *name == "tests.py";
            let is_test = name.starts_with("test_")
                || behind
                || name.starts_with("test") && folder_of_tests(&inner.at);
            if !is_test && name != "conftest.py" {
                continue;
            }
            if is_test {
                tests.count += 1;
                tests.named_behind |= behind && !name.starts_with("test");
                let at = inner.at.strip_prefix(&folder.at).unwrap_or(&inner.at);
                tests.folders.insert(at.trim_start_matches('/').to_owned());
            }
            if tests.count <= SAMPLE
                && let Some(text) = inner.text(name)
            {
                take_imports(&text, &mut tests.imports);
                let functions = text
                    .lines()
                    .any(|line| line.starts_with("def test") || line.starts_with("async def test"));
                let cases = text.contains("TestCase") || !functions;
                tests.for_pytest |= name == "conftest.py" || is_test && !cases;
            }
        }
    }
    tests.for_pytest |= tests.imports.contains("pytest");
    tests
}

fn folder_of_tests(at: &str) -> bool {
    at.split('/').any(|part| matches!(part, "tests" | "test"))
}

/// The modules that a text imports unconditionally: at the beginning of a line.
fn take_imports(text: &str, imports: &mut BTreeSet<String>) {
    let mut add = |name: &str| {
        let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
        if end > 0 {
            imports.insert(name[..end].to_owned());
        }
    };
    // What stands in a text of several lines is not imported.
    let mut in_text = false;
    for line in text.lines() {
        let marks = line.matches("\"\"\"").count() + line.matches("'''").count();
        if !in_text && marks == 0 {
            if let Some(names) = line.strip_prefix("import ") {
                names.split(',').for_each(|name| add(name.trim()));
            } else if let Some(name) = line.strip_prefix("from ") {
                add(name);
            }
        }
        in_text ^= marks % 2 == 1;
    }
}

/// The modules that the tests import and nothing has.
fn absent(tests: &Tests, folder: &Folder, tree: &Tree, python: &Interpreter) -> Vec<String> {
    let own = |module: &str| {
        tree.within(folder)
            .any(|inner| inner.has(&format!("{module}.py")) || inner.folders.contains(module))
    };
    let absent = tests.imports.iter().filter(|module| {
        python.has(module) == Some(false)
            && python.comes_with(module) == Some(false)
            && !own(module)
    });
    absent.cloned().collect()
}

/// The plugins that pytest's settings cannot do without, by their modules.
fn plugins(folder: &Folder, settings: &Settings) -> Vec<String> {
    let options = settings.table(&["tool", "pytest", "ini_options", "addopts"]);
    let options = match options {
        Some(toml::Value::String(options)) => options.clone(),
        Some(toml::Value::Array(words)) => {
            words.iter().filter_map(|word| word.as_str()).collect::<Vec<_>>().join(" ")
        }
        _ => String::new(),
    };
    let addopts = |text: &str| {
        let mut lines = text.lines().skip_while(|line| !line.starts_with("addopts"));
        let first = lines.next().unwrap_or_default().to_owned();
        lines
            .take_while(|line| line.starts_with([' ', '\t']))
            .fold(first, |all, line| all + " " + line)
    };
    let ini = folder.text("pytest.ini").unwrap_or_default();
    let all =
        [options, addopts(&ini), addopts(&settings.setup_cfg), addopts(&settings.tox)].join(" ");
    let plugins = [
        ("--cov", "pytest_cov"),
        ("-n ", "xdist"),
        ("-nauto", "xdist"),
        ("--numprocesses", "xdist"),
        ("--timeout", "pytest_timeout"),
        ("--benchmark", "pytest_benchmark"),
        ("--mypy", "pytest_mypy"),
        ("--flake8", "pytest_flake8"),
        ("--reruns", "pytest_rerunfailures"),
        ("--randomly", "pytest_randomly"),
        ("--isort", "pytest_isort"),
        ("--black", "pytest_black"),
    ];
    plugins
        .iter()
        .filter(|(option, _)| all.contains(option))
        .map(|(_, module)| (*module).to_owned())
        .collect()
}

/// Why the tests cannot run from the sources alone. `known`: some version of the project is
/// installed.
fn wants_installing(
    folder: &Folder,
    tree: &Tree,
    settings: &Settings,
    sources: &[String],
    known: bool,
) -> Option<String> {
    if has_compiled_parts(settings) {
        return Some("the project has compiled parts, which have not been built".to_owned());
    }
    // A package that asks for its own version, or whose version is written when it is built,
    // cannot be imported before.
    let scm = settings
        .table(&["tool", "setuptools_scm"])
        .is_some_and(|table| table.get("write_to").or_else(|| table.get("version_file")).is_some())
        || settings.table(&["tool", "hatch", "build", "hooks", "vcs"]).is_some();
    let packages = sources.iter().flat_map(|name| {
        let name =
            if folder.at.is_empty() { name.clone() } else { format!("{}/{name}", folder.at) };
        let below = tree
            .folders
            .iter()
            .filter(move |inner| inner.at == name || inner.at.starts_with(&format!("{name}/")));
        below.filter(|inner| inner.has("__init__.py")).take(20)
    });
    for package in packages {
        let text = package.text("__init__.py").unwrap_or_default();
        // A function that asks does so when it is called, and any installed version will do.
        let first = |words: &[&str]| {
            text.lines().any(|line| {
                !line.starts_with([' ', '\t', '#']) && words.iter().any(|word| line.contains(word))
            })
        };
        let asks = first(&["importlib.metadata", "importlib_metadata", "pkg_resources"]);
        if asks && first(&["version(", "get_distribution("]) && !known {
            return Some("the package asks for its own version, and is not installed".to_owned());
        }
        let written = text.contains("_version import") && !text.contains("except");
        let there = package.has("_version.py")
            || package.has("version.py")
            || package.folders.contains("_version");
        if scm && written && !there {
            return Some("the package's version is written when it is installed".to_owned());
        }
    }
    None
}

fn has_compiled_parts(settings: &Settings) -> bool {
    let backend =
        settings.table(&["build-system", "build-backend"]).and_then(|value| value.as_str());
    let compiled = ["maturin", "scikit_build_core", "mesonpy", "py_build_cmake", "pdm_build_zig"];
    let backend = backend.unwrap_or_default();
    compiled.iter().any(|name| backend.starts_with(name))
        || settings.setup_py.contains("ext_modules")
        || settings.setup_py.contains("rust_extensions")
        || settings.setup_py.contains("cffi_modules")
}
