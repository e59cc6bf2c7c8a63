//! Changes of a config, as pieces of text that take the place of others.

use std::ops::Range;

use serde_json::Value as Json;
use toml_edit::{Item, Key, Value};

use super::{
    Entry, Fault, Form, SERVERS, Written,
    meaning::without_empty,
    parts::{Leaf, headers, leaves},
};

/// A piece of text that takes the place of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Splice {
    pub(crate) at: Range<usize>,
    pub(crate) text: String,
}

impl Written {
    /// What ends the lines of this file.
    pub(crate) fn newline(&self) -> &'static str {
        match self.text().find('\n') {
            Some(at) if self.text()[..at].ends_with('\r') => "\r\n",
            _ => "\n",
        }
    }

    /// A setting of a server gets another value.
    pub(crate) fn replace(&self, item: &Item, value: &str) -> Splice {
        Splice { at: item.span().unwrap_or_default(), text: value.to_owned() }
    }

    /// A server gets further settings, after those that it has.
    pub(crate) fn add(&self, entry: &Entry<'_>, settings: &[(&str, String)]) -> Splice {
        let leaves = leaves(entry.table);
        let last = leaves.last().cloned();
        let pair = |path: &str, (key, value): &(&str, String)| format!("{path}{key} = {value}");
        let (at, path) = match &entry.form {
            Form::Braces { path, inside } => {
                let pairs: Vec<String> = settings.iter().map(|both| pair(path, both)).collect();
                let pairs = pairs.join(", ");
                return match last {
                    Some(leaf) => Splice { at: leaf.end..leaf.end, text: format!(", {pairs}") },
                    None => Splice { at: *inside..*inside, text: format!(" {pairs} ") },
                };
            }
            Form::Lines { path } => (last.map_or(entry.at, |leaf| leaf.end), path.clone()),
            Form::Section { header } => match last {
                Some(leaf) => (leaf.end, self.indent(leaf.start)),
                None => (header.as_ref().map_or(entry.at, |header| header.end), String::new()),
            },
        };
        let end = self.line(at).end;
        let newline = self.newline();
        // A last line that nothing ends stays one.
        let open = !self.text()[..end].ends_with('\n');
        let line = |both: &(&str, String)| match open {
            true => format!("{newline}{}", pair(&path, both)),
            false => format!("{}{newline}", pair(&path, both)),
        };
        Splice { at: end..end, text: settings.iter().map(line).collect() }
    }

    fn indent(&self, at: usize) -> String {
        let line = &self.text()[self.line(at)];
        line.chars().take_while(|c| matches!(c, ' ' | '\t')).collect()
    }

    /// A server that was not there: a section at the end, or a part of the braces that all
    /// servers are in.
    pub(crate) fn append(&self, name: &str, remark: &str, settings: &[(&str, String)]) -> Splice {
        let pairs = settings.iter().map(|(key, value)| format!("{key} = {value}"));
        if let Some(Item::Value(Value::InlineTable(servers))) =
            self.document.as_table().get(SERVERS)
        {
            let pairs = pairs.collect::<Vec<_>>().join(", ");
            let server = format!("{name} = {{ {pairs} }}");
            return match leaves(servers).last() {
                Some(leaf) => Splice { at: leaf.end..leaf.end, text: format!(", {server}") },
                None => {
                    let inside = servers.span().unwrap_or_default().start + 1;
                    Splice { at: inside..inside, text: format!(" {server} ") }
                }
            };
        }
        let newline = self.newline();
        let text = self.text();
        let mut section = String::new();
        if !matches!(text, "" | "\u{feff}") {
            let open = !text.ends_with('\n');
            section.push_str(if open { newline } else { "" });
            let blank = text.ends_with("\n\n") || text.ends_with("\n\r\n");
            section.push_str(if blank { "" } else { newline });
        }
        let head = [format!("# {remark}"), format!("[{SERVERS}.{name}]")];
        section.extend(head.into_iter().chain(pairs).map(|line| format!("{line}{newline}")));
        Splice { at: text.len()..text.len(), text: section }
    }

    /// Settings of a server go, each with its line.
    pub(crate) fn remove(&self, entry: &Entry<'_>, keys: &[&str]) -> Vec<Splice> {
        let leaves = leaves(entry.table);
        let is_of = |leaf: &Leaf| {
            let item = |key: &&str| entry.table.get(key).and_then(Item::span);
            keys.iter().filter_map(item).any(|span| span.end == leaf.end)
        };
        match &entry.form {
            Form::Braces { .. } => self.cut(&leaves, is_of),
            Form::Lines { .. } | Form::Section { .. } => {
                let lines = leaves.iter().filter(|leaf| is_of(leaf));
                self.without(lines.map(|leaf| self.lines(leaf.clone())).collect())
            }
        }
    }

    /// A server goes, with all that is below its name.
    pub(crate) fn remove_all(&self, entry: &Entry<'_>, remark: &str) -> Vec<Splice> {
        match &entry.form {
            Form::Braces { .. } => match self.document.as_table().get(SERVERS) {
                // `x = { … }` on a line of its own.
                Some(Item::Table(_)) => self.without(vec![self.lines(entry.whole.clone())]),
                Some(item) => {
                    let all = item.as_table_like().map(leaves).unwrap_or_default();
                    self.cut(&all, |leaf| entry.whole.contains(&leaf.start))
                }
                None => Vec::new(),
            },
            Form::Lines { .. } => {
                let lines = leaves(entry.table).into_iter().map(|leaf| self.lines(leaf));
                self.without(lines.chain(self.sections(entry, remark)).collect())
            }
            Form::Section { .. } => self.without(self.sections(entry, remark)),
        }
    }

    /// Everything below the headers of a server, blank lines between them too.
    fn sections(&self, entry: &Entry<'_>, remark: &str) -> Vec<Range<usize>> {
        let mut headed = Vec::new();
        if let Form::Section { header: Some(header) } = &entry.form {
            headed.push((header.clone(), leaves(entry.table)));
        }
        headers(entry.table, &mut headed);
        let section = |(header, leaves): (Range<usize>, Vec<Leaf>)| {
            let end = leaves.last().map_or(header.end, |leaf| leaf.end);
            let mut lines = self.lines(header.start..end);
            if let Some(above) = self.above(lines.start)
                && self.text()[above.clone()].trim_end() == format!("# {remark}")
            {
                lines.start = above.start;
            }
            self.with_blank(lines)
        };
        headed.into_iter().map(section).collect()
    }

    /// The lines that something stands on.
    fn lines(&self, span: Range<usize>) -> Range<usize> {
        self.line(span.start).start..self.line(span.end).end
    }

    /// The line above the one that begins there.
    fn above(&self, start: usize) -> Option<Range<usize>> {
        let before = self.text()[..start].trim_start_matches('\u{feff}');
        (!before.is_empty()).then(|| self.line(start - 1))
    }

    /// With the blank lines above, where another one or nothing is left below.
    fn with_blank(&self, mut lines: Range<usize>) -> Range<usize> {
        let is_blank = |line: Range<usize>| self.text()[line].trim().is_empty();
        let nothing_below = lines.end == self.text().len() || is_blank(self.line(lines.end));
        while nothing_below
            && let Some(above) = self.above(lines.start)
            && is_blank(above.clone())
        {
            lines.start = above.start;
        }
        lines
    }

    /// The text without these lines. A last line that nothing ended is still followed by nothing.
    fn without(&self, mut lines: Vec<Range<usize>>) -> Vec<Splice> {
        lines.sort_by_key(|lines| lines.start);
        let mut joined: Vec<Range<usize>> = Vec::new();
        for lines in lines {
            match joined.last_mut() {
                Some(last) if lines.start <= last.end => last.end = last.end.max(lines.end),
                _ => joined.push(lines),
            }
        }
        let text = self.text();
        if let Some(last) = joined.last_mut()
            && last.end == text.len()
            && !text.ends_with('\n')
        {
            let before = &text[..last.start];
            let before = before.strip_suffix('\n').unwrap_or(before);
            last.start = before.strip_suffix('\r').unwrap_or(before).len();
        }
        joined.into_iter().map(|at| Splice { at, text: String::new() }).collect()
    }

    /// Parts of braces go, each with a comma.
    fn cut(&self, all: &[Leaf], goes: impl Fn(&Leaf) -> bool) -> Vec<Splice> {
        let gone = |at: Range<usize>| Splice { at, text: String::new() };
        // What is before a key may be a path.
        let begin = |leaf: &Leaf| {
            let before = &self.text()[..leaf.start];
            let after = before.rfind([',', '{', '\n']).map_or(0, |at| at + 1);
            after + before[after..].len() - before[after..].trim_start().len()
        };
        let first = all.iter().take_while(|leaf| goes(leaf)).count();
        let mut splices = Vec::new();
        if first > 0 {
            let end = all.get(first).map_or(all[first - 1].end, begin);
            splices.push(gone(begin(&all[0])..end));
        }
        let pairs = all.windows(2).skip(first.saturating_sub(1)).filter(|pair| goes(&pair[1]));
        splices.extend(pairs.map(|pair| gone(pair[0].end..pair[1].end)));
        splices
    }

    /// The text with these changes. What comes of it must say what is expected of the servers,
    /// and of everything else what it said before.
    pub(crate) fn with(
        &self,
        mut splices: Vec<Splice>,
        name: &str,
        expected: Option<Json>,
    ) -> Result<String, Fault> {
        splices.sort_by_key(|splice| splice.at.start);
        let mut text = String::new();
        let mut done = 0;
        for Splice { at, text: piece } in &splices {
            text.push_str(self.text().get(done..at.start).unwrap_or_default());
            text.push_str(piece);
            done = at.end;
        }
        text.push_str(&self.text()[done..]);
        let mut meant = self.meaning();
        if let Some(Json::Object(servers)) = meant.get_mut(SERVERS) {
            servers.shift_remove(name);
        }
        if let Some(server) = expected {
            meant[SERVERS][name] = server;
        }
        let said = Self::read(&self.file, text.clone()).map(|after| after.meaning());
        match said {
            Ok(said) if without_empty(said.clone()) == without_empty(meant) => Ok(text),
            _ => {
                let at = self.document.as_table().key(SERVERS).and_then(Key::span);
                let at = at.unwrap_or_default().start;
                let message =
                    format!("`{SERVERS}` is written in a way that is not changed for you");
                let hint = format!("write it as `[{SERVERS}.{name}]` with a line for each setting");
                Err(self.fault(at, message).hint(hint))
            }
        }
    }
}
