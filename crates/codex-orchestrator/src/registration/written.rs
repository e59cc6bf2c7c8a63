//! Codex's config as a text with places in it. A change puts pieces of text in the place of
//! others, so that whatever is not meant stays byte for byte as it was.

mod change;
mod meaning;
mod parts;

use std::{fmt, ops::Range};

use serde_json::Value as Json;
use toml_edit::{Document, Item, Key, TableLike, Value};

use meaning::meaning;
use parts::{is_dotted, leaves};

pub(crate) use change::Splice;
pub(crate) use meaning::{meaning_of, still_says};

/// The table that Codex's MCP servers are in.
const SERVERS: &str = "mcp_servers";

/// A config that was read.
#[derive(Debug)]
pub(crate) struct Written {
    /// As a person would name the file.
    file: String,
    document: Document<String>,
}

/// What is wrong with a config, or cannot be done to it, and where.
#[derive(Debug)]
pub(crate) struct Fault {
    place: String,
    message: String,
    /// What to do about it.
    pub(crate) hint: Option<String>,
}

/// A server as it is written.
pub(crate) struct Entry<'a> {
    pub(crate) name: &'a str,
    table: &'a dyn TableLike,
    form: Form,
    /// The name where it stands first.
    at: usize,
    /// Name and value, of a server that is within braces.
    whole: Range<usize>,
}

/// The ways to write a server.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    /// `[mcp_servers.x]`, and the lines below it. One without a header has only such as
    /// `[mcp_servers.x.env]`.
    Section { header: Option<Range<usize>> },
    /// Lines that each begin with its path: `mcp_servers.x.command = …`.
    Lines { path: String },
    /// Within braces: `x = { command = … }`, or `{ x.command = … }`, which has a path.
    Braces { path: String, inside: usize },
}

impl Written {
    /// Reads a text.
    pub(crate) fn read(file: &str, text: String) -> Result<Self, Fault> {
        // Broken text has no document to ask for places.
        let copy = text.clone();
        let document = Document::parse(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let message = error.message().trim().replace('\n', "; ");
            Fault {
                place: place(file, &copy, at),
                message: format!("this is not TOML: {message}"),
                hint: Some("mend that first; nothing was changed".to_owned()),
            }
        })?;
        Ok(Self { file: file.to_owned(), document })
    }

    pub(crate) fn text(&self) -> &str {
        self.document.raw()
    }

    /// The fault about what stands at that byte.
    pub(crate) fn fault(&self, at: usize, message: impl Into<String>) -> Fault {
        Fault { place: place(&self.file, self.text(), at), message: message.into(), hint: None }
    }

    fn servers(&self) -> Result<Option<&dyn TableLike>, Fault> {
        let Some(item) = self.document.as_table().get(SERVERS) else { return Ok(None) };
        item.as_table_like().map(Some).ok_or_else(|| {
            self.fault(start(item), format!("`{SERVERS}` is not a table"))
                .hint("Codex cannot read it either: mend that first")
        })
    }

    /// The servers there are, in the order of their names' first places.
    pub(crate) fn entries(&self) -> Result<Vec<Entry<'_>>, Fault> {
        let Some(servers) = self.servers()? else { return Ok(Vec::new()) };
        servers.iter().map(|(name, item)| self.entry(servers, name, item)).collect()
    }

    fn entry<'a>(
        &'a self,
        servers: &'a dyn TableLike,
        name: &'a str,
        item: &'a Item,
    ) -> Result<Entry<'a>, Fault> {
        let key = servers.key(name).and_then(Key::span).unwrap_or_default();
        let Some(table) = item.as_table_like() else {
            return Err(self.fault(key.start, format!("`{SERVERS}.{name}` is not a table")));
        };
        // One that stands right below the name, so that what is before it is the server's path.
        let direct = table.iter().filter(|(_, item)| item.is_value() && !is_dotted(item));
        let first = direct.filter_map(|(name, _)| table.key(name).and_then(Key::span)).next();
        let first = first.map_or(key.end, |key| key.start);
        let form = match item {
            Item::Value(Value::InlineTable(inline)) if inline.is_dotted() => {
                Form::Braces { path: self.text()[key.start..first].to_owned(), inside: first }
            }
            Item::Value(_) => Form::Braces { path: String::new(), inside: start(item) + 1 },
            Item::Table(table) if table.is_dotted() => {
                let path = self.text()[self.line(first).start..first].to_owned();
                Form::Lines { path }
            }
            Item::Table(table) if table.is_implicit() => Form::Section { header: None },
            item => Form::Section { header: item.span() },
        };
        let end = leaves(table).last().map_or(key.end, |leaf| leaf.end);
        let braces = item.span().filter(|_| item.is_inline_table() && !is_dotted(item));
        let end = braces.map_or(end, |span| span.end);
        Ok(Entry { name, table, form, at: key.start, whole: key.start..end.max(key.end) })
    }

    /// The line that a byte is in, with what ends it.
    fn line(&self, at: usize) -> Range<usize> {
        let text = self.text();
        let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let end = text[at..].find('\n').map_or(text.len(), |newline| at + newline + 1);
        // Not a part of the line, but a mark of the file.
        let mark = if start == 0 && text.starts_with('\u{feff}') { 3 } else { 0 };
        start + mark..end.max(start + mark)
    }

    /// What the text says, however it says it.
    fn meaning(&self) -> Json {
        meaning(self.document.as_table())
    }
}

impl Fault {
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.place, self.message)
    }
}

impl std::error::Error for Fault {}

impl Entry<'_> {
    /// Where its name stands.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Item> {
        self.table.get(key)
    }

    /// What it says.
    pub(crate) fn meaning(&self) -> Json {
        meaning(self.table)
    }
}

/// Where an item begins.
pub(crate) fn start(item: &Item) -> usize {
    item.span().unwrap_or_default().start
}

fn place(file: &str, text: &str, at: usize) -> String {
    let before = (0..=at.min(text.len())).rev().find_map(|at| text.get(..at)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default();
    let column = column.trim_start_matches('\u{feff}').chars().count() + 1;
    format!("{file}:{line}:{column}")
}
