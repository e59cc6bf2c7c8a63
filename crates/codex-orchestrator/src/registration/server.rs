//! What a server's registration says, as Codex understands it.

use std::time::Duration;

use toml_edit::{Item, TableLike, Value};

use super::{PROGRAMS, SERVE, written::Entry};

/// A server on stdio.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) command: Option<String>,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    /// The variables that are passed on, by name.
    pub(crate) env_vars: Vec<String>,
    pub(crate) cwd: Option<String>,
    pub(crate) enabled: bool,
    pub(crate) required: bool,
    /// Whether calls need not wait for each other.
    pub(crate) parallel: bool,
    pub(crate) startup: Duration,
    /// After which Codex gives a call up.
    pub(crate) patience: Duration,
    /// What Codex asks before it runs a tool, where somebody wrote that.
    pub(crate) approval: Option<String>,
    /// The same of single tools.
    pub(crate) approvals: Vec<(String, String)>,
    /// Whether some of its tools are left out.
    pub(crate) narrowed: bool,
}

/// What holds in Codex where nothing is written.
const STARTUP: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(300);

impl Server {
    /// Reads what is written. What Codex would not take is as if it were not there.
    pub(crate) fn of(entry: &Entry<'_>) -> Self {
        let text = |key: &str| entry.get(key).and_then(Item::as_str).map(str::to_owned);
        let truth = |key: &str| entry.get(key).and_then(Item::as_bool);
        let startup = entry.get("startup_timeout_sec").and_then(seconds);
        let millis = entry.get("startup_timeout_ms").and_then(Item::as_integer);
        let millis = millis.and_then(|millis| u64::try_from(millis).ok());
        let tools = entry.get("tools").and_then(Item::as_table_like);
        let approval = |(tool, item): (&str, &Item)| {
            let mode = item.as_table_like()?.get("approval_mode")?.as_str()?;
            Some((tool.to_owned(), mode.to_owned()))
        };
        Self {
            name: entry.name.to_owned(),
            command: text("command"),
            args: entry.get("args").map(texts).unwrap_or_default(),
            env: entry.get("env").and_then(Item::as_table_like).map(pairs).unwrap_or_default(),
            env_vars: entry.get("env_vars").map(names).unwrap_or_default(),
            cwd: text("cwd"),
            enabled: truth("enabled").unwrap_or(true),
            required: truth("required").unwrap_or(false),
            parallel: truth("supports_parallel_tool_calls").unwrap_or(false),
            startup: startup.or(millis.map(Duration::from_millis)).unwrap_or(STARTUP),
            patience: entry.get("tool_timeout_sec").and_then(seconds).unwrap_or(PATIENCE),
            approval: text("default_tools_approval_mode"),
            approvals: tools.into_iter().flat_map(TableLike::iter).filter_map(approval).collect(),
            narrowed: ["enabled_tools", "disabled_tools"]
                .iter()
                .any(|key| entry.get(key).is_some()),
        }
    }

    /// Whether it is this program that is registered, wherever it is.
    pub(crate) fn is_ours(&self) -> bool {
        let program = self.command.as_deref().and_then(|command| command.rsplit('/').next());
        program.is_some_and(|name| PROGRAMS.contains(&name))
            && self.args.iter().any(|word| SERVE.contains(&word.as_str()))
    }

    /// The repository that its words name.
    pub(crate) fn pinned(&self) -> Option<&str> {
        let next = |at: usize| self.args.get(at + 1).map_or("", String::as_str);
        self.args.iter().enumerate().find_map(|(at, word)| match word.strip_prefix("--repo") {
            Some("") => Some(next(at)),
            Some(rest) => rest.strip_prefix('='),
            None => None,
        })
    }

    /// As a person would type it.
    pub(crate) fn line(&self) -> String {
        let words = self.command.iter().chain(&self.args);
        words.map(|word| shown(word)).collect::<Vec<_>>().join(" ")
    }
}

/// A word as the shell has it.
pub(crate) fn shown(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@%+,~".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// A number of seconds, whole or not.
pub(crate) fn seconds(item: &Item) -> Option<Duration> {
    match item.as_value()? {
        Value::Integer(whole) => u64::try_from(*whole.value()).ok().map(Duration::from_secs),
        Value::Float(number) => Duration::try_from_secs_f64(*number.value()).ok(),
        _ => None,
    }
}

/// The texts of a list.
pub(crate) fn texts(item: &Item) -> Vec<String> {
    let items = item.as_array().into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Names of variables: each is a text, or has one as its name.
pub(crate) fn names(item: &Item) -> Vec<String> {
    let name = |value: &Value| match value {
        Value::InlineTable(table) => table.get("name")?.as_str().map(str::to_owned),
        value => value.as_str().map(str::to_owned),
    };
    item.as_array().into_iter().flatten().filter_map(name).collect()
}

fn pairs(table: &dyn TableLike) -> Vec<(String, String)> {
    let pair = |(key, item): (&str, &Item)| Some((key.to_owned(), item.as_str()?.to_owned()));
    table.iter().filter_map(pair).collect()
}
