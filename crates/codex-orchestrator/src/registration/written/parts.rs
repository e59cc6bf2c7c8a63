//! What stands where in a table.

use std::ops::Range;

use toml_edit::{Item, Key, Table, TableLike, Value};

/// A setting where it stands: from its key, without a path, to the end of its value.
pub(super) type Leaf = Range<usize>;

/// The settings of a table that stand in its own part of the text, in their order.
pub(super) fn leaves(table: &dyn TableLike) -> Vec<Leaf> {
    let mut found = Vec::new();
    collect(table, &mut found);
    found.sort_by_key(|leaf| leaf.start);
    found
}

fn collect(table: &dyn TableLike, found: &mut Vec<Leaf>) {
    for (name, item) in table.iter() {
        match item {
            item if is_dotted(item) => {
                item.as_table_like().into_iter().for_each(|inner| collect(inner, found))
            }
            Item::Value(value) => {
                let key = table.key(name).and_then(Key::span).unwrap_or_default();
                found.push(key.start..value.span().unwrap_or_default().end);
            }
            Item::Table(_) | Item::ArrayOfTables(_) | Item::None => {}
        }
    }
}

/// Whether it is a table only because of keys with dots.
pub(super) fn is_dotted(item: &Item) -> bool {
    match item {
        Item::Table(table) => table.is_dotted(),
        Item::Value(Value::InlineTable(table)) => table.is_dotted(),
        _ => false,
    }
}

/// The headers below a table, each with what stands below it.
pub(super) fn headers(table: &dyn TableLike, found: &mut Vec<(Range<usize>, Vec<Leaf>)>) {
    let mut one = |table: &Table| {
        if let Some(header) = table.span().filter(|_| !table.is_implicit() && !table.is_dotted()) {
            found.push((header, leaves(table)));
        }
        headers(table, found);
    };
    for (_, item) in table.iter() {
        match item {
            Item::Table(inner) => one(inner),
            Item::ArrayOfTables(tables) => tables.iter().for_each(&mut one),
            Item::Value(_) | Item::None => {}
        }
    }
}
