//! Taking the entry back: what setup wrote becomes what it was, and what somebody wrote since stays.

use serde_json::{Map, Value as Json};
use toml_edit::Value;

use super::{
    enter::{Change, NoChange, remark},
    memory::Memory,
    server::Server,
    written::{Entry, Fault, Splice, Written, meaning_of, still_says},
};

/// The text without what setup wrote. `None`: there is nothing of it.
pub(crate) fn take_back(
    written: &Written,
    name: &str,
    known: Option<&Memory>,
) -> Result<Option<Change>, NoChange> {
    let entries = written.entries()?;
    let Some(entry) = entries.iter().find(|entry| entry.name == name) else { return Ok(None) };
    if !Server::of(entry).is_ours() {
        return Err(NoChange::Taken(
            written.fault(entry.at(), format!("`{name}` is another server, and stays as it is")),
        ));
    }
    let change = |text, notes| Change {
        name: name.to_owned(),
        text,
        notes,
        memory: known.cloned().unwrap_or_default(),
    };
    match known {
        Some(known) if known.block.is_none() => {
            let (text, notes) = restore(written, entry, known)?;
            Ok((text != written.text()).then(|| change(text, notes)))
        }
        Some(Memory { block: Some(block), .. }) => {
            Ok(Some(change(without(written, entry, block)?, Vec::new())))
        }
        _ => {
            let note = "what was there before setup is not remembered: the whole entry goes";
            Ok(Some(change(without(written, entry, "")?, vec![note.to_owned()])))
        }
    }
}

/// The text without the entry: as it was to the byte, where the entry is as it was put in.
fn without(written: &Written, entry: &Entry<'_>, block: &str) -> Result<String, Fault> {
    let text = written.text();
    let mut places = text.match_indices(block).filter(|_| !block.is_empty());
    if let (Some((at, _)), None) = (places.next(), places.next()) {
        let piece = Splice { at: at..at + block.len(), text: String::new() };
        if let Ok(text) = written.with(vec![piece], entry.name, None) {
            return Ok(text);
        }
    }
    written.with(written.remove_all(entry, &remark(entry.name)), entry.name, None)
}

/// The text with each setting as it was before.
fn restore(
    written: &Written,
    entry: &Entry<'_>,
    known: &Memory,
) -> Result<(String, Vec<String>), Fault> {
    let mut splices = Vec::new();
    let mut notes = Vec::new();
    let mut gone = Vec::new();
    let mut expected = match entry.meaning() {
        Json::Object(settings) => settings,
        _ => Map::new(),
    };
    for setting in &known.settings {
        let Some(item) = entry.get(&setting.key) else { continue };
        let key = setting.key.as_str();
        match &setting.before {
            before if !still_says(item, &setting.wrote) => {
                // Where it is as it was before, there is nothing to say.
                if !before.as_ref().is_some_and(|before| still_says(item, before)) {
                    notes.push(format!("`{key}` was changed since setup, and stays"));
                }
            }
            Some(before) => {
                splices.push(written.replace(item, before));
                let value = before.parse::<Value>();
                expected.insert(key.to_owned(), value.map_or(Json::Null, |v| meaning_of(&v)));
            }
            None => {
                gone.push(key);
                expected.shift_remove(key);
            }
        }
    }
    splices.extend(written.remove(entry, &gone));
    let text = written.with(splices, entry.name, Some(Json::Object(expected)))?;
    Ok((text, notes))
}
