//! A config that cannot be used, said in one line.

use std::fmt;

/// What is wrong with a config, and where. Nothing has been changed when it is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file as a person would name it, or `--config` or the name of a variable.
    pub file: String,
    /// Where in the file; `None` when it is about the whole of it.
    pub position: Option<Position>,
    /// The fault: lowercase, with the wrong value in it.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

/// A place in a file, as editors count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

impl ConfigError {
    /// About a file as a whole.
    pub(super) fn of_file(file: &str, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), position: None, message: message.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With the nearest right spelling as the hint, or else all that there are.
    pub(super) fn meant<'a>(
        self,
        wrong: &str,
        right: impl IntoIterator<Item = &'a str>,
        all: &str,
    ) -> Self {
        let right: Vec<&str> = right.into_iter().collect();
        match super::nearest::nearest(wrong, right.iter().copied()) {
            Some(near) => self.hint(format!("did you mean `{near}`?")),
            None if right.is_empty() => self,
            None => self.hint(format!("{all}: {}", super::nearest::listed(&right))),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.file)?;
        if let Some(Position { line, column }) = self.position {
            write!(out, ":{line}:{column}")?;
        }
        write!(out, ": {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(out, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ConfigError {}
