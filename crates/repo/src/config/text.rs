//! A config text and the places in it.

use super::error::{ConfigError, Position};

/// What is written in one place: a file, or one entry of a variable or of the command line.
#[derive(Debug)]
pub(super) struct Text {
    /// As a person would name it.
    pub(super) name: String,
    pub(super) form: Form,
    pub(super) text: String,
    /// Where each line begins; a large file is asked for thousands of positions.
    lines: Vec<usize>,
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
    pub(super) fn new(name: String, form: Form, text: String) -> Self {
        let after = text.match_indices('\n').map(|(newline, _)| newline + 1);
        let lines = std::iter::once(0).chain(after).collect();
        Self { name, form, text, lines }
    }

    pub(super) fn position(&self, at: usize) -> Position {
        let at = at.min(self.text.len());
        let line = self.lines.partition_point(|start| *start <= at);
        let start = self.lines[line - 1];
        // A span may end between the bytes of a character when the text is broken there.
        let before = (start..=at).rev().find_map(|at| self.text.get(start..at));
        Position { line, column: before.unwrap_or_default().chars().count() + 1 }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_as_editors_do() {
        let text = Text::new("x".to_owned(), Form::Toml, "ab\né=1\n".to_owned());
        let at = |at| {
            let Position { line, column } = text.position(at);
            (line, column)
        };
        assert_eq!([at(0), at(1), at(2)], [(1, 1), (1, 2), (1, 3)]);
        // Within `é`, which has two bytes, and behind it.
        assert_eq!([at(3), at(4), at(5)], [(2, 1), (2, 1), (2, 2)]);
        assert_eq!([at(8), at(99)], [(3, 1), (3, 1)]);
    }
}
