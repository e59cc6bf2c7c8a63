//! JSON as nodes.

use jsonc_parser::{CollectOptions, ParseOptions, ast, common::Ranged, parse_to_ast};

use super::{
    error::ConfigError,
    node::{Key, Node, Value},
    text::Text,
};

/// JSON as its standard has it; other readers of the same file know no more.
const STRICT: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

pub(super) fn read(text: &Text) -> Result<Node, ConfigError> {
    let read = parse_to_ast(&text.text, &CollectOptions::default(), &STRICT);
    let read = read.map_err(|error| {
        let said = error.kind().to_string();
        let mut letters = said.chars();
        let first = letters.next().map(|first| first.to_ascii_lowercase());
        let said: String = first.into_iter().chain(letters).collect();
        text.fault(error.range().start, format!("this is not JSON: {said}"))
    })?;
    match read.value {
        Some(value) => node(text, value),
        None => Err(text.fault(0, "this is not JSON: it is empty").hint("write `{}`")),
    }
}

fn node(text: &Text, value: ast::Value<'_>) -> Result<Node, ConfigError> {
    let at = value.range().start;
    let value = match value {
        ast::Value::StringLit(written) => Value::Text(written.value.into_owned()),
        ast::Value::NumberLit(number) => match number.value.parse() {
            Ok(number) => Value::Whole(number),
            Err(_) => Value::Fraction(number.value.parse().unwrap_or(f64::NAN)),
        },
        ast::Value::BooleanLit(truth) => Value::Truth(truth.value),
        ast::Value::NullKeyword(_) => Value::Null,
        ast::Value::Array(list) => {
            let items = list.elements.into_iter().map(|item| node(text, item));
            Value::List(items.collect::<Result<_, _>>()?)
        }
        ast::Value::Object(object) => {
            let mut seen = std::collections::HashSet::new();
            let mut pairs = Vec::with_capacity(object.properties.len());
            for property in object.properties {
                let at = property.name.range().start;
                let name = property.name.into_string();
                if !seen.insert(name.clone()) {
                    return Err(text.fault(at, format!("`{}` is there twice", name.escape_debug())));
                }
                pairs.push((Key { at, name }, node(text, property.value)?));
            }
            Value::Table(pairs)
        }
    };
    Ok(Node { at, value })
}
