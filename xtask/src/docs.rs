//! Keeps the documents honest: what they show is run, and must come out as they show it.
//!
//! In `README.md` and below `docs/`, a block marked `console` holds commands after `$ ` and what
//! they print; a block marked with a language and a path, as in `toml .codex/orchestrator.toml`,
//! is a file. A page is a story: its blocks happen one after the other in one new repository.
//! Blocks marked `shellsession` need a Codex client, and are held by a test that has one,
//! `tests/codex/tour.rs`. Other blocks are only looked at by people.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Args;

mod cover;
mod page;
mod shape;
mod story;

/// How the documents are to be kept honest.
#[derive(Args)]
pub(crate) struct Options {
    /// Put what was printed in the place of what is shown.
    #[arg(long)]
    write: bool,
    /// Only these pages.
    pages: Vec<PathBuf>,
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a chore talks to a person")]
pub(crate) fn run(root: &Path, options: &Options) -> ExitCode {
    let complaints = build(root).and_then(|binary| {
        let mut complaints = Vec::new();
        for page in pages(root, &options.pages)? {
            complaints.extend(hold(root, &binary, &page, options.write)?);
        }
        if options.pages.is_empty() {
            complaints.extend(cover::complaints(root, &binary)?);
        }
        Ok(complaints)
    });
    match complaints {
        Ok(complaints) if complaints.is_empty() => ExitCode::SUCCESS,
        Ok(complaints) => {
            complaints.iter().for_each(|complaint| println!("{complaint}"));
            println!("\n`cargo xtask docs --write` shows what is printed now");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("docs: {error}");
            ExitCode::from(2)
        }
    }
}

/// Builds the program, and says where it is. Everything is built with it, because cargo builds
/// a package by itself with other features of what it depends on, and so once more.
fn build(root: &Path) -> Result<PathBuf, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--quiet", "--workspace", "--all-targets", "--message-format=json"])
        .current_dir(root)
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|error| format!("`cargo` could not be started: {error}"))?;
    if !output.status.success() {
        return Err("the program could not be built".to_owned());
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let built = messages.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let path = message.get("executable")?.as_str()?;
        path.ends_with("codex-orch").then(|| PathBuf::from(path))
    });
    built.ok_or_else(|| "cargo built no `codex-orch`".to_owned())
}

/// The documents there are, or those that were named.
fn pages(root: &Path, named: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    if !named.is_empty() {
        return Ok(named.to_vec());
    }
    let folder = root.join("docs");
    let entries = std::fs::read_dir(&folder)
        .map_err(|error| format!("{} cannot be read: {error}", folder.display()))?;
    let mut pages: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    pages.push(root.join("README.md"));
    pages.sort();
    Ok(pages)
}

/// Runs a page and says where it is wrong; with `write`, mends it instead.
fn hold(root: &Path, binary: &Path, path: &Path, write: bool) -> Result<Vec<String>, String> {
    let name = path.strip_prefix(root).unwrap_or(path).display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
    let page = page::read(&text).map_err(|fault| format!("{name}:{fault}"))?;
    let differences =
        story::tell(root, binary, &page).map_err(|fault| format!("{name}: {fault}"))?;
    if write {
        let mended = page::with(&text, &differences);
        std::fs::write(path, mended).map_err(|error| format!("{name}: {error}"))?;
        return Ok(Vec::new());
    }
    let complaints = differences.iter().map(|difference| {
        let printed: String =
            difference.printed.iter().map(|line| format!("    {line}\n")).collect();
        format!("{name}:{}: `{}` printed\n{printed}", difference.line, difference.command)
    });
    Ok(complaints.collect())
}
