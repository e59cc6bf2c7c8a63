//! TOML as nodes.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    error::ConfigError,
    node::{Key, Node, Value},
    text::Text,
};

pub(super) fn read(text: &Text) -> Result<Node, ConfigError> {
    let root = DeTable::parse(&text.text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let message = error.message().trim().replace('\n', "; ");
        text.fault(at, format!("this is not TOML: {message}"))
    })?;
    let at = root.span().start;
    Ok(Node { at, value: Value::Table(pairs(root.into_inner())) })
}

fn pairs(table: DeTable<'_>) -> Vec<(Key, Node)> {
    let pair = |(key, value): (Spanned<_>, Spanned<_>)| {
        let at = key.span().start;
        let key = Key { at, name: String::from(key.into_inner()) };
        (key, node(value))
    };
    table.into_iter().map(pair).collect()
}

fn node(value: Spanned<DeValue<'_>>) -> Node {
    let at = value.span().start;
    let value = match value.into_inner() {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Whole(number),
            // Larger than any number that we take; as a fraction it is refused like one.
            Err(_) => Value::Fraction(number.as_str().parse().unwrap_or(f64::INFINITY)),
        },
        DeValue::Float(number) => Value::Fraction(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(truth) => Value::Truth(truth),
        DeValue::Datetime(date) => Value::Date(date.to_string()),
        DeValue::Array(items) => Value::List(items.into_iter().map(node).collect()),
        DeValue::Table(table) => Value::Table(pairs(table)),
    };
    Node { at, value }
}
