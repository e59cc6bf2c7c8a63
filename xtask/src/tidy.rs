//! The structure that no compiler checks.
//!
//! Each rule is a function from the repository's text to complaints, so that its tests are
//! a few lines of text. `run` reads the tree, applies the rules and prints; a complaint fails
//! the chore, what merely has grown is shown for a person to look at.

use std::path::Path;
use std::process::{Command, ExitCode};

mod arrows;
mod code;
mod grown;
mod lints;
mod manifest;
mod maps;
mod words;

/// One tracked text file: its path from the root, and what it says.
struct File {
    path: String,
    text: String,
}

/// Where something is wrong, and what.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Complaint {
    path: String,
    line: usize,
    words: String,
}

impl std::fmt::Display for Complaint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.words)
    }
}

type Rule = fn(&[File]) -> Vec<Complaint>;

const RULES: [Rule; 5] = [maps::check, arrows::check, manifest::check, lints::check, words::check];

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a chore talks to a person")]
pub(crate) fn run(root: &Path) -> ExitCode {
    let files = match tracked(root) {
        Ok(files) => files,
        Err(error) => {
            eprintln!("tidy: {error}");
            return ExitCode::from(2);
        }
    };
    print!("{}", grown::report(&files));
    let mut complaints: Vec<_> = RULES.iter().flat_map(|rule| rule(&files)).collect();
    complaints.sort();
    for complaint in &complaints {
        println!("{complaint}");
    }
    if complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What git tracks or would track, so that a new file is looked at before it is added.
fn tracked(root: &Path) -> Result<Vec<File>, String> {
    let listing = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .map_err(|error| format!("`git` could not be started: {error}"))?;
    if !listing.status.success() {
        return Err(String::from_utf8_lossy(&listing.stderr).trim().to_owned());
    }
    let names = String::from_utf8_lossy(&listing.stdout).into_owned();
    let mut files = Vec::new();
    for path in names.split_terminator('\0') {
        // What is listed but gone was deleted in the work tree; what is not UTF-8 is not text.
        if let Ok(text) = std::fs::read_to_string(root.join(path)) {
            files.push(File { path: path.to_owned(), text });
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

/// What all rules' tests share: a little tree, and the complaints one rule has about it.
#[cfg(test)]
fn complaints(rule: Rule, files: &[(&str, &str)]) -> String {
    let files: Vec<_> = files
        .iter()
        .map(|(path, text)| File { path: (*path).to_owned(), text: (*text).to_owned() })
        .collect();
    rule(&files).iter().map(|complaint| format!("{complaint}\n")).collect()
}
