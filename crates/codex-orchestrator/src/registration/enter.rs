//! Entering the server in a config, or bringing its entry up to what it should be.

use std::time::Duration;

use repo::config::OVERRIDE_VARIABLES;
use serde_json::Value as Json;
use toml_edit::{Item, Value};

use super::{
    SERVE, USUAL_NAME,
    memory::{Memory, Setting},
    server::{Server, names, seconds, texts},
    written::{Entry, Fault, Splice, Written, meaning_of, start},
};
use crate::surroundings::{STATE_VARIABLE, TASK_VARIABLE};

/// Stands above the entry.
pub(crate) const REMARK: &str =
    "codex-orch setup: off until a session asks for it with mcp_servers.NAME.enabled=true";

/// No wait of ours is longer than four minutes; a client that gives up sooner would lose none of
/// it, but would have to ask again.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);
/// As long as a busy machine may need; we answer within milliseconds.
pub(crate) const STARTUP: Duration = Duration::from_secs(30);

/// What the text becomes, and what is to be said and remembered about it.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) name: String,
    pub(crate) text: String,
    /// What is no part of the change to see and good to know.
    pub(crate) notes: Vec<String>,
    pub(crate) memory: Memory,
}

/// Why there is no change.
#[derive(Debug)]
pub(crate) enum NoChange {
    /// The config is at fault.
    Fault(Fault),
    /// Another server has the name.
    Taken(Fault),
    /// There are several of ours, and none was named.
    Several(Vec<String>),
}

impl From<Fault> for NoChange {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// The variables that the server reads, which Codex passes on only when they are named.
pub(crate) fn variables() -> Vec<&'static str> {
    let [mcp, codex] = OVERRIDE_VARIABLES;
    vec!["CODEX_HOME", STATE_VARIABLE, TASK_VARIABLE, mcp, codex]
}

/// Which entry is meant: the one of that name; else the only one that is ours.
pub(crate) fn chosen(written: &Written, name: Option<&str>) -> Result<String, NoChange> {
    if let Some(name) = name {
        return Ok(name.to_owned());
    }
    let mut ours: Vec<String> = ours(written)?.into_iter().map(|server| server.name).collect();
    match ours.len() {
        _ if ours.iter().any(|name| name == USUAL_NAME) => Ok(USUAL_NAME.to_owned()),
        0 => Ok(USUAL_NAME.to_owned()),
        1 => Ok(ours.remove(0)),
        _ => Err(NoChange::Several(ours)),
    }
}

/// The entries that are ours.
pub(crate) fn ours(written: &Written) -> Result<Vec<Server>, Fault> {
    let servers = written.entries()?.into_iter().map(|entry| Server::of(&entry));
    Ok(servers.filter(Server::is_ours).collect())
}

/// Enters the server, or mends its entry. `new` is what is remembered of a first time, and `known`
/// what was remembered of an earlier one.
pub(crate) fn set_up(
    written: &Written,
    name: &str,
    command: &str,
    new: Memory,
    known: Option<&Memory>,
) -> Result<Change, NoChange> {
    let entries = written.entries()?;
    let entry = entries.iter().find(|entry| entry.name == name);
    let (splices, settings, block, mut notes) = match entry {
        None => {
            let settings = missing(command);
            let splice = written.append(name, &remark(name), &settings);
            let made = settings.iter().map(|(key, wrote)| Setting {
                key: (*key).to_owned(),
                before: None,
                wrote: wrote.clone(),
            });
            (vec![splice.clone()], made.collect(), Some(splice.text), Vec::new())
        }
        Some(entry) => {
            let server = Server::of(entry);
            if !server.is_ours() {
                return Err(NoChange::Taken(written.fault(
                    entry.at(),
                    format!("`{name}` is another server, and stays as it is"),
                )));
            }
            let (splices, settings) = mend(written, entry, command)?;
            (splices, settings, None, remarks(&server))
        }
    };
    let mut expected = entry.map_or_else(|| Json::Object(serde_json::Map::new()), Entry::meaning);
    for Setting { key, wrote, .. } in &settings {
        // What was written is read again, so that no value is taken for another.
        expected[key.as_str()] = wrote.parse::<Value>().map_or(Json::Null, |v| meaning_of(&v));
    }
    let text = written.with(splices.clone(), name, Some(expected))?;
    let others = ours(written)?.into_iter().filter(|server| server.name != name);
    notes.extend(others.map(|server| {
        let when = if server.enabled { "in every session" } else { "when it is asked for" };
        let name = server.name;
        format!("`{name}` runs this program too, {when}; `codex mcp remove {name}` takes it away")
    }));
    let now = Memory { name: name.to_owned(), block, settings, ..new };
    let memory = match (entry, known) {
        (Some(entry), Some(known)) => known.and(now, written, entry, &splices, &text),
        _ => now,
    };
    Ok(Change { name: name.to_owned(), text, notes, memory })
}

pub(crate) fn remark(name: &str) -> String {
    REMARK.replace("NAME", name)
}

/// Every setting of an entry that is not there yet.
fn missing(command: &str) -> Vec<(&'static str, String)> {
    KEYS.iter().filter_map(|key| Some((*key, value(key, None, command)?))).collect()
}

/// In the order in which they are written.
const KEYS: [&str; 9] = [
    "command",
    "args",
    "enabled",
    "required",
    "env_vars",
    "startup_timeout_sec",
    "tool_timeout_sec",
    "supports_parallel_tool_calls",
    "default_tools_approval_mode",
];

/// What a setting should be; nothing where it may stay as it is.
fn value(key: &str, item: Option<&Item>, command: &str) -> Option<String> {
    let exactly = |wanted: Value| {
        let same = |value: &Value| meaning_of(value) == meaning_of(&wanted);
        let said = item.and_then(Item::as_value).is_some_and(same);
        (!said).then(|| wanted.to_string().trim().to_owned())
    };
    let at_least = |least: Duration| {
        let enough = item.and_then(seconds).is_some_and(|said| said >= least);
        (!enough).then(|| least.as_secs().to_string())
    };
    match key {
        "command" => exactly(command.into()),
        "args" => exactly(words(item).into_iter().collect()),
        // The server costs every session that has it some of its context; and what it can do, no
        // session should be able to do unasked.
        "enabled" => exactly(false.into()),
        // Codex waits a second for a server that is not required, and then leaves its tools out
        // of the first request without a word.
        "required" => exactly(true.into()),
        "env_vars" => {
            let said = item.map(names).unwrap_or_default();
            let all = variables();
            let lack = all.into_iter().filter(|name| !said.iter().any(|said| said == name));
            let lack: Vec<String> = lack.map(|name| Value::from(name).to_string()).collect();
            let more = item.and_then(Item::as_array).is_some_and(|list| !list.is_empty());
            let lack = lack.join(", ");
            // To a list that has names, more of them.
            (!lack.is_empty()).then(|| if more { lack } else { format!("[{lack}]") })
        }
        "startup_timeout_sec" => at_least(STARTUP),
        "tool_timeout_sec" => at_least(PATIENCE),
        // `status` has to answer while a long `wait` is open.
        "supports_parallel_tool_calls" => exactly(true.into()),
        // All our tools say of themselves that they read only, or destroy nothing and stay on
        // this machine; with `auto`, which is Codex's default, `codex exec` therefore runs them.
        // It is written out against a default that is stricter one day: Codex has no such setting
        // for all servers now. A person's own word stands.
        "default_tools_approval_mode" => match item {
            Some(_) => None,
            None => exactly("auto".into()),
        },
        _ => None,
    }
}

/// The words that serve: those that somebody wrote, without a repository.
fn words(item: Option<&Item>) -> Vec<String> {
    let Some(item) = item else { return vec![SERVE[0].to_owned()] };
    let mut words = Vec::new();
    let mut said = texts(item).into_iter();
    while let Some(word) = said.next() {
        match word.as_str() {
            "--repo" => drop(said.next()),
            word if word.starts_with("--repo=") => {}
            word if SERVE.contains(&word) => words.push(SERVE[0].to_owned()),
            _ => words.push(word),
        }
    }
    words
}

/// Changes what is not as it should be, and leaves the rest.
fn mend(
    written: &Written,
    entry: &Entry<'_>,
    command: &str,
) -> Result<(Vec<Splice>, Vec<Setting>), Fault> {
    let mut splices = Vec::new();
    let mut settings = Vec::new();
    let mut lacking = Vec::new();
    for key in KEYS {
        let item = entry.get(key);
        if let Some(item) = item
            && !item.is_value()
        {
            return Err(written.fault(start(item), format!("`{key}` is a table")));
        }
        // An entry that says it in the older unit would say it twice.
        if key == "startup_timeout_sec"
            && item.is_none()
            && entry.get("startup_timeout_ms").is_some()
        {
            continue;
        }
        let Some(value) = value(key, item, command) else { continue };
        let Some(item) = item else {
            settings.push(Setting { key: key.to_owned(), before: None, wrote: value.clone() });
            lacking.push((key, value));
            continue;
        };
        let before = written.text()[item.span().unwrap_or_default()].to_owned();
        let names = item.as_array().filter(|_| key == "env_vars");
        let splice = match names.and_then(|list| list.iter().last()?.span()) {
            Some(last) => Splice { at: last.end..last.end, text: format!(", {value}") },
            None => written.replace(item, &value),
        };
        let from = start(item);
        let mut wrote = before.clone();
        wrote.replace_range(splice.at.start - from..splice.at.end - from, &splice.text);
        settings.push(Setting { key: key.to_owned(), before: Some(before), wrote });
        splices.push(splice);
    }
    if !lacking.is_empty() {
        splices.push(written.add(entry, &lacking));
    }
    Ok((splices, settings))
}

/// What is to be said about an entry that was there.
fn remarks(server: &Server) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(repo) = server.pinned() {
        notes.push(format!(
            "without `--repo {repo}` the server belongs to the repository that a session is in"
        ));
    }
    if let Some(folder) = &server.cwd {
        notes.push(format!(
            "`cwd` stays: the server starts in {folder}, whatever folder the session is in"
        ));
    }
    let strict = server.approval.iter().filter(|mode| is_strict(mode));
    notes.extend(strict.map(|mode| {
        format!(
            "`default_tools_approval_mode = \"{mode}\"` stays: with it `codex exec` refuses tools"
        )
    }));
    let strict = server.approvals.iter().filter(|(_, mode)| is_strict(mode));
    notes.extend(strict.map(|(tool, mode)| {
        format!("`approval_mode = \"{mode}\"` of `{tool}` stays: `codex exec` may refuse it")
    }));
    if server.narrowed {
        notes.push("`enabled_tools` or `disabled_tools` stays: some tools are left out".to_owned());
    }
    notes
}

/// Whether `codex exec`, which never asks, refuses some of our tools for it.
pub(crate) fn is_strict(mode: &str) -> bool {
    !matches!(mode, "auto" | "approve")
}
