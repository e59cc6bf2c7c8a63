//! The two tools, and how each is called.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::scratch::Scratch;

/// A tool that runs pipelines.
pub(super) struct Contender {
    pub(super) name: &'static str,
    /// The program and what precedes its own arguments.
    call: Vec<OsString>,
}

const OTHER: &str = "@kbediako/codex-orchestrator";
const OTHER_VERSION: &str = "0.2.1";

/// Our program, built as it is shipped.
pub(super) fn ours(root: &Path) -> Result<Contender, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--release", "--package", "codex-orchestrator"])
        .current_dir(root)
        .status()
        .map_err(|error| format!("cargo could not be started: {error}"))?;
    if !built.success() {
        return Err("it does not build".to_owned());
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or("target".into(), PathBuf::from);
    let binary = root.join(target).join("release/codex-orch");
    Ok(Contender { name: "ours", call: vec![binary.into()] })
}

/// The other tool, installed once into a folder of its own.
pub(super) fn other(folder: &Path) -> Result<Contender, String> {
    let home = folder.join("other");
    let program = home.join("node_modules").join(OTHER).join("bin/codex-orchestrator.js");
    if !program.exists() {
        std::fs::create_dir_all(&home).map_err(|error| error.to_string())?;
        let output = Command::new("npm")
            .args(["install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"])
            .arg(&home)
            .arg(format!("{OTHER}@{OTHER_VERSION}"))
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("`npm` could not be started: {error}"))?;
        if !output.status.success() {
            return Err(format!("`npm install` failed: {}", last_line(&output.stderr)));
        }
    }
    Ok(Contender { name: "other", call: vec!["node".into(), program.into()] })
}

/// What the report says about who was measured.
pub(super) fn versions() -> String {
    format!("the other tool is npm `{OTHER}` {OTHER_VERSION}, on node {}", first_line("node"))
}

fn first_line(program: &str) -> String {
    let output = Command::new(program).arg("--version").output();
    let said = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    said.ok()
        .and_then(|said| said.lines().next().map(str::to_owned))
        .unwrap_or_else(|| "(none)".to_owned())
}

impl Contender {
    /// A command of this tool in a scratch repository, seeing nothing of the caller's own runs.
    pub(super) fn command(&self, scratch: &Scratch, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.call[0]);
        command.args(&self.call[1..]).args(arguments);
        scratch.enter(&mut command);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts a pipeline, waits for its end, and gives back what it said about the run.
    pub(super) fn start(&self, scratch: &Scratch, pipeline: &str) -> Result<Value, String> {
        let said =
            self.ask(scratch, &["start", pipeline, "--format", "json", "--task", "bench"])?;
        match word(&said, "status")? {
            "succeeded" => Ok(said),
            status => Err(format!("the run ended as `{status}`")),
        }
    }

    /// Starts a pipeline and does not wait, in whatever way the tool has.
    pub(super) fn begin(
        &self,
        scratch: &Scratch,
        pipeline: &str,
    ) -> Result<std::process::Child, String> {
        self.command(scratch, &["start", pipeline, "--format", "json", "--task", "bench"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("`{}` could not be started: {error}", self.name))
    }

    /// Runs a command that must succeed, and reads the document it prints.
    pub(super) fn ask(&self, scratch: &Scratch, arguments: &[&str]) -> Result<Value, String> {
        let output = self
            .command(scratch, arguments)
            .output()
            .map_err(|error| format!("`{}` could not be started: {error}", self.name))?;
        let verb = arguments.first().copied().unwrap_or_default();
        if !output.status.success() {
            let said = last_line(&output.stderr);
            return Err(format!("`{verb}` ended with {}: {said}", output.status));
        }
        document(&output.stdout).ok_or_else(|| format!("`{verb}` printed no JSON"))
    }
}

/// The JSON document at the end of what was printed; the other tool's log lines precede its own.
fn document(printed: &[u8]) -> Option<Value> {
    let printed = String::from_utf8_lossy(printed);
    let begins = |at: &usize| printed[*at..].starts_with(['{', '[']);
    let starts = std::iter::once(0).chain(printed.match_indices('\n').map(|(at, _)| at + 1));
    starts.filter(begins).find_map(|at| serde_json::from_str(&printed[at..]).ok())
}

fn last_line(bytes: &[u8]) -> String {
    let said = String::from_utf8_lossy(bytes);
    said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("(nothing)").trim().to_owned()
}

/// A word of a document that a tool printed.
pub(super) fn word<'a>(document: &'a Value, key: &str) -> Result<&'a str, String> {
    document.get(key).and_then(Value::as_str).ok_or_else(|| format!("it does not say `{key}`"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn a_document_may_follow_log_lines() {
        let printed = b"[log] {not this}\n[log] nor this\n{\n  \"run_id\": \"a\"\n}\n";
        assert_eq!(super::document(printed), Some(json!({ "run_id": "a" })));
    }

    #[test]
    fn log_lines_alone_are_no_document() {
        assert_eq!(super::document(b"[log] one\n"), None);
        assert_eq!(super::document(b""), None);
    }
}
