//! A config text and the places in it.

use super::error::{ConfigError, Position};

/// What is written in one place: a file, or one entry of a variable or of the command line.
#[derive(Debug)]
pub(super) struct Text {
    /// As a person would name it.
    pub(super) name: String,
    pub(super) form: Form,
    pub(super) text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Toml,
    /// The older form, which knows some keys more.
    Json,
    /// `K=V`; too short to speak of lines.
    Entry,
}

impl Text {
    pub(super) fn position(&self, at: usize) -> Position {
        // A span may lie between the bytes of a character when the text is broken there.
        let before = (0..=at.min(self.text.len())).rev().find_map(|at| self.text.get(..at));
        let before = before.unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Position {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    /// The error about what stands at that byte.
    pub(super) fn fault(&self, at: usize, message: impl Into<String>) -> ConfigError {
        let position = match self.form {
            Form::Toml | Form::Json => Some(self.position(at)),
            Form::Entry => None,
        };
        ConfigError { file: self.name.clone(), position, message: message.into(), hint: None }
    }

    /// The place as an origin shows it.
    pub(super) fn place(&self, at: usize) -> String {
        match self.form {
            Form::Toml | Form::Json => format!("{}:{}", self.name, self.position(at).line),
            Form::Entry => self.name.clone(),
        }
    }
}
