//! What a text says, however it says it.

use serde_json::{Value as Json, json};
use toml_edit::{Item, TableLike, Value};

use super::SERVERS;

/// What a table says.
pub(super) fn meaning(table: &dyn TableLike) -> Json {
    let pairs = table.iter().map(|(key, item)| {
        let value = match item {
            Item::Value(value) => meaning_of(value),
            Item::ArrayOfTables(tables) => tables.iter().map(|table| meaning(table)).collect(),
            item => item.as_table_like().map_or(Json::Null, meaning),
        };
        (key.to_owned(), value)
    });
    Json::Object(pairs.collect())
}

/// What a value says.
pub(crate) fn meaning_of(value: &Value) -> Json {
    match value {
        Value::String(text) => json!(text.value()),
        Value::Integer(number) => json!(number.value()),
        // Numbers that JSON has no word for are told apart all the same.
        Value::Float(number) => json!({ "float": number.value().to_string() }),
        Value::Boolean(truth) => json!(truth.value()),
        Value::Datetime(date) => json!({ "date": date.value().to_string() }),
        Value::Array(items) => items.iter().map(meaning_of).collect(),
        Value::InlineTable(table) => meaning(table),
    }
}

/// Whether a value still says what was written, however Codex has written it anew: `30` as `30.0`.
pub(crate) fn still_says(item: &Item, wrote: &str) -> bool {
    let (Some(said), Ok(wrote)) = (item.as_value(), wrote.parse::<Value>()) else { return false };
    match (said, &wrote) {
        (Value::Float(said), Value::Integer(wrote)) => *said.value() == *wrote.value() as f64,
        (said, wrote) => meaning_of(said) == meaning_of(wrote),
    }
}

/// Having no servers, and having none in a table, are the same.
pub(super) fn without_empty(mut meaning: Json) -> Json {
    if let Some(all) = meaning.as_object_mut()
        && all.get(SERVERS).and_then(Json::as_object).is_some_and(serde_json::Map::is_empty)
    {
        all.shift_remove(SERVERS);
    }
    meaning
}
