//! A value and where it stands, whichever language it was written in.

use super::{
    error::ConfigError,
    text::{Form, Text},
};

/// A value at a byte of its text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) at: usize,
    pub(super) value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// JSON's `null`: as if the key were not there.
    Null,
    Truth(bool),
    Whole(i64),
    Fraction(f64),
    Text(String),
    /// A TOML date or time, of which we have no use.
    Date(String),
    List(Vec<Node>),
    Table(Vec<(Key, Node)>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Key {
    pub(super) at: usize,
    pub(super) name: String,
}

impl Key {
    /// The spelling that we use: `allowFailure` is `allow_failure`.
    pub(super) fn snake(&self) -> String {
        snake(&self.name)
    }
}

fn snake(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 2);
    for c in name.chars() {
        if c.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    // `StageSets` and `ALL` are nobody's spelling.
    if name.starts_with(|c: char| c.is_ascii_uppercase()) { name.to_owned() } else { snake }
}

impl Node {
    /// Reads a whole text.
    pub(super) fn read(text: &Text) -> Result<Self, ConfigError> {
        match text.form {
            Form::Toml | Form::Entry => super::toml::read(text),
            Form::Json => super::json::read(text),
        }
    }

    /// What stands at a key of a table, in either spelling.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        let found = self.pairs().iter().find(|(key, _)| key.name == name || key.snake() == name);
        found.map(|(_, node)| node).filter(|node| node.value != Value::Null)
    }

    pub(super) fn pairs(&self) -> &[(Key, Self)] {
        match &self.value {
            Value::Table(pairs) => pairs,
            _ => &[],
        }
    }

    pub(super) fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn truth(&self) -> Option<bool> {
        match self.value {
            Value::Truth(truth) => Some(truth),
            _ => None,
        }
    }

    pub(super) fn count(&self) -> Option<u64> {
        match self.value {
            Value::Whole(number) => u64::try_from(number).ok(),
            _ => None,
        }
    }

    /// The value as JSON has it.
    pub(super) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Truth(truth) => (*truth).into(),
            Value::Whole(number) => (*number).into(),
            Value::Fraction(number) => (*number).into(),
            Value::Text(text) | Value::Date(text) => text.clone().into(),
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Table(pairs) => {
                let pairs = pairs.iter().map(|(key, value)| (key.name.clone(), value.to_json()));
                pairs.collect::<serde_json::Map<_, _>>().into()
            }
        }
    }

    /// The value as an error shows it.
    pub(super) fn shown(&self) -> String {
        let short = |text: &str| {
            let cut: String = text.chars().take(40).collect();
            let dots = if cut.len() < text.len() { "…" } else { "" };
            format!("{}{dots}", cut.escape_debug())
        };
        match &self.value {
            Value::Null => "`null`".to_owned(),
            Value::Truth(truth) => format!("`{truth}`"),
            Value::Whole(number) => format!("`{number}`"),
            Value::Fraction(number) => format!("`{number}`"),
            Value::Text(text) => format!("`\"{}\"`", short(text)),
            Value::Date(date) => format!("the date `{}`", short(date)),
            Value::List(_) => "a list".to_owned(),
            Value::Table(_) => "a table".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_are_one_key() {
        assert_eq!(snake("allowFailure"), "allow_failure");
        assert_eq!(snake("allow_failure"), "allow_failure");
        assert_eq!(snake("Stages"), "Stages");
        assert_eq!(snake("timeoutMs"), "timeout_ms");
    }
}
