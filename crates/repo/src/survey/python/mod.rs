//! Python projects: their own interpreter if they have one, the tools they configure, their tests.

mod interpreter;
mod requirements;
mod tests_of;

use toml::Table;

use self::interpreter::Interpreter;
use super::{
    finding::{Ecosystem, Finding, Role, listed, quoted},
    tools::{Tools, is_program},
    tree::{Folder, Tree},
};

/// What a project says about itself, in the four places where it may.
struct Settings {
    pyproject: Table,
    setup_cfg: String,
    setup_py: String,
    tox: String,
}

impl Settings {
    fn of(folder: &Folder) -> Self {
        let text = |name: &str| folder.text(name).unwrap_or_default();
        Self {
            pyproject: text("pyproject.toml").parse().unwrap_or_default(),
            setup_cfg: text("setup.cfg"),
            setup_py: text("setup.py"),
            tox: text("tox.ini"),
        }
    }

    /// A table of pyproject.toml, by its path.
    fn table(&self, path: &[&str]) -> Option<&toml::Value> {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(self.pyproject.get(*first)?, |value, key| value.get(*key))
    }

    /// Whether a setup.cfg or tox.ini has that section.
    fn section(&self, name: &str) -> bool {
        let head = format!("[{name}]");
        [&self.setup_cfg, &self.tox].iter().any(|text| text.lines().any(|line| line.trim() == head))
    }
}

pub(super) fn look(folder: &Folder, tree: &Tree, tools: &Tools) -> Option<Finding> {
    let told_by = marker(folder)?;
    let settings = Settings::of(folder);
    let mut finding = Finding::new(Ecosystem::Python, "Python project", &told_by);
    let Some(python) = Interpreter::of(folder, tree, tools) else {
        finding.leave_out(
            "lint and test with Python",
            "`python3` is not installed",
            "install Python",
        );
        return Some(finding);
    };
    let sources = sources(folder);

    if !sources.is_empty() {
        let sources = sources.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(" ");
        // No test waits for this: with a mistake in one file, the others can still be tested.
        // The compiled files go to the run's folder, since the project may not ignore them.
        let cache = "PYTHONPYCACHEPREFIX=\"$CODEX_ORCHESTRATOR_RUN_DIR/pycache\"";
        let command = format!("{cache} {} -m compileall -q {sources}", python.command);
        finding.check(Role::Lint, "compile", command);
    }
    lint(&mut finding, folder, &settings, &python, tools, &sources);
    tests_of::look(&mut finding, folder, tree, &settings, &python, &sources);
    if settings.section("tox")
        || settings.table(&["tool", "tox"]).is_some()
        || folder.has("tox.toml")
    {
        finding.leave_out(
            "tox",
            "it makes environments and installs into them",
            "run `tox` by hand, or write a pipeline that does",
        );
    }
    if folder.has("noxfile.py") {
        finding.leave_out(
            "nox",
            "it makes environments and installs into them",
            "run `nox` by hand, or write a pipeline that does",
        );
    }
    Some(finding)
}

/// Whether CMake or Meson, where they are used, are how this project's package is made.
pub(super) fn builds_natively(folder: &Folder) -> bool {
    let settings = Settings::of(folder);
    let backend =
        settings.table(&["build-system", "build-backend"]).and_then(|value| value.as_str());
    let natively = ["scikit_build_core", "mesonpy", "skbuild"];
    backend.is_some_and(|backend| natively.iter().any(|name| backend.starts_with(name)))
        || settings.setup_py.contains("skbuild")
        || settings.setup_py.contains("cmake")
}

/// The file that tells of a Python project.
fn marker(folder: &Folder) -> Option<String> {
    let sure = ["pyproject.toml", "setup.py", "setup.cfg", "Pipfile", "pytest.ini", "tox.ini"];
    let sure = sure.into_iter().find(|name| match *name {
        // JavaScript and other tools have put their settings here too.
        "pyproject.toml" => is_python_pyproject(folder),
        "setup.cfg" | "tox.ini" => folder.has(name) && has_python(folder),
        name => folder.has(name),
    });
    let requirements = || {
        let list = folder
            .files
            .iter()
            .find(|name| name.starts_with("requirements") && name.ends_with(".txt"));
        list.filter(|_| has_python(folder)).cloned()
    };
    // A folder of scripts is a project too, when it is all there is.
    let scripts = || {
        let script = folder.files.iter().find(|name| name.ends_with(".py"));
        script.filter(|_| folder.at.is_empty()).cloned()
    };
    sure.map(str::to_owned).or_else(requirements).or_else(scripts)
}

fn is_python_pyproject(folder: &Folder) -> bool {
    folder.has("pyproject.toml")
        && folder.text("pyproject.toml").is_some_and(|text| match text.parse::<Table>() {
            Ok(table) => {
                table.contains_key("project")
                    || table.contains_key("build-system")
                    || table.get("tool").and_then(|tool| tool.get("poetry")).is_some()
                    || has_python(folder)
            }
            Err(_) => true,
        })
}

fn has_python(folder: &Folder) -> bool {
    let inner = ["src", "tests", "test", "app"];
    folder.files.iter().any(|name| name.ends_with(".py"))
        || folder.folders.iter().any(|name| {
            inner.contains(&name.as_str()) || folder.reaches(&format!("{name}/__init__.py"))
        })
}

/// The packages and modules of a project, by their names in its folder; not its tests.
fn sources(folder: &Folder) -> Vec<String> {
    const NOT_SOURCES: [&str; 7] =
        ["tests", "test", "testing", "docs", "doc", "examples", "benchmarks"];
    let packages = folder.folders.iter().filter(|name| {
        !NOT_SOURCES.contains(&name.as_str()) && folder.reaches(&format!("{name}/__init__.py"))
    });
    let src = folder.folders.iter().filter(|name| {
        *name == "src" && !folder.has("Cargo.toml") && !folder.reaches("src/__init__.py")
    });
    let modules = folder.files.iter().filter(|name| name.ends_with(".py"));
    packages.chain(src).chain(modules).cloned().collect()
}

/// The linters that a project has settings for.
fn lint(
    finding: &mut Finding,
    folder: &Folder,
    settings: &Settings,
    python: &Interpreter,
    tools: &Tools,
    sources: &[String],
) {
    let tool = |name: &str| settings.table(&["tool", name]).is_some();
    let any = |files: &[&str]| files.iter().any(|file| folder.has(file));
    let configured = [
        ("ruff", tool("ruff") || any(&["ruff.toml", ".ruff.toml"])),
        ("flake8", settings.section("flake8") || any(&[".flake8"])),
        ("black", tool("black")),
        ("mypy", tool("mypy") || settings.section("mypy") || any(&["mypy.ini", ".mypy.ini"])),
        ("pyright", tool("pyright") || any(&["pyrightconfig.json"])),
        ("pylint", tool("pylint") || any(&[".pylintrc", "pylintrc"])),
    ];
    for (name, _) in configured.iter().filter(|(_, configured)| *configured) {
        let Some(program) = program(name, python, tools) else {
            let remedy = format!(
                "install `{name}`, for example by `{} -m pip install {name}`",
                python.command
            );
            finding.leave_out(*name, "the project configures it and it is not installed", remedy);
            continue;
        };
        let told = |files: &[&str]| files.iter().any(|file| settings_name(folder, name, file));
        let named = told(&["files", "packages", "modules"]);
        let words = sources
            .iter()
            .filter(|source| *source != "setup.py")
            .map(|name| quoted(name))
            .collect::<Vec<_>>();
        let words = if words.is_empty() { ".".to_owned() } else { words.join(" ") };
        let command = match *name {
            "ruff" => format!("{program} check ."),
            "black" => format!("{program} --check ."),
            "mypy" if named => program,
            "mypy" | "pylint" => format!("{program} {words}"),
            _ => program,
        };
        finding.check(Role::Lint, name, command);
    }
}

/// Whether the settings of `tool` in mypy's files say `key`.
fn settings_name(folder: &Folder, tool: &str, key: &str) -> bool {
    let says = |text: &str| {
        text.lines().any(|line| {
            line.trim_start()
                .strip_prefix(key)
                .is_some_and(|rest| rest.trim_start().starts_with('='))
        })
    };
    let of_toml = folder.text("pyproject.toml").and_then(|text| text.parse::<Table>().ok());
    let of_toml = of_toml.is_some_and(|table| {
        table.get("tool").and_then(|tools| tools.get(tool)?.get(key)).is_some()
    });
    of_toml
        || ["mypy.ini", ".mypy.ini"]
            .iter()
            .any(|file| folder.text(file).is_some_and(|text| says(&text)))
        || folder.text("setup.cfg").is_some_and(|text| {
            text.split(&format!("[{tool}]"))
                .nth(1)
                .is_some_and(|rest| says(rest.split("\n[").next().unwrap_or_default()))
        })
}

/// How a tool is called: the one beside the interpreter, then the interpreter's module, then
/// whatever the PATH has.
fn program(name: &str, python: &Interpreter, tools: &Tools) -> Option<String> {
    if let Some(bin) = &python.bin
        && is_program(&bin.join(name))
        && let Some((folder, _)) = python.command.rsplit_once('/')
    {
        return Some(format!("{folder}/{name}"));
    }
    if python.has(name) == Some(true) {
        return Some(format!("{} -m {name}", python.command));
    }
    tools.has(name).then(|| name.to_owned())
}

/// What is missing, as the reason of something left out.
fn not_installed(names: &[String]) -> String {
    match names {
        [one] => format!("`{one}` is not installed"),
        many => format!("{} are not installed", listed(many)),
    }
}
