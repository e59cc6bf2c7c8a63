//! What the other end of a stream can show.

use std::{
    env,
    io::{self, IsTerminal, Write},
};

use unicode_width::UnicodeWidthChar;

/// A stream that is written to, and what it can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Screen {
    /// It is a terminal on which lines can be written over.
    pub(crate) live: bool,
    /// It shows colours.
    pub(crate) colour: bool,
    stream: Stream,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    Out,
    Error,
}

/// A colour, by what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Bad,
    Warning,
    Busy,
    Faint,
    Strong,
}

impl Tone {
    fn code(self) -> &'static str {
        match self {
            Self::Good => "32",
            Self::Bad => "31",
            Self::Warning => "33",
            Self::Busy => "36",
            Self::Faint => "2",
            Self::Strong => "1",
        }
    }
}

impl Screen {
    /// Standard output.
    pub(crate) fn out() -> Self {
        Self::of(Stream::Out, io::stdout().is_terminal())
    }

    /// Standard error.
    pub(crate) fn error() -> Self {
        Self::of(Stream::Error, io::stderr().is_terminal())
    }

    fn of(stream: Stream, terminal: bool) -> Self {
        let dumb = env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        let plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        // The terminal of a build machine is a log that nobody watches.
        let logged = env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
        let shown = terminal && !dumb;
        Self { live: shown && !logged, colour: shown && !plain, stream }
    }

    /// The text in a colour, where there are colours.
    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        match self.colour {
            true => format!("\x1b[{}m{text}\x1b[0m", tone.code()),
            false => text.to_owned(),
        }
    }

    /// Columns of the terminal.
    pub(crate) fn width(self) -> usize {
        let size = match self.stream {
            Stream::Out => rustix::termios::tcgetwinsize(rustix::stdio::stdout()),
            Stream::Error => rustix::termios::tcgetwinsize(rustix::stdio::stderr()),
        };
        size.ok().map(|size| usize::from(size.ws_col)).filter(|&width| width > 0).unwrap_or(80)
    }

    /// Rows of the terminal.
    pub(crate) fn height(self) -> usize {
        let size = match self.stream {
            Stream::Out => rustix::termios::tcgetwinsize(rustix::stdio::stdout()),
            Stream::Error => rustix::termios::tcgetwinsize(rustix::stdio::stderr()),
        };
        size.ok().map(|size| usize::from(size.ws_row)).filter(|&height| height > 0).unwrap_or(24)
    }

    /// Writes text as it is. A reader that has gone away is nobody's failure.
    pub(crate) fn write(self, text: &str) {
        let _ = match self.stream {
            Stream::Out => {
                let mut out = io::stdout().lock();
                out.write_all(text.as_bytes()).and_then(|()| out.flush())
            }
            Stream::Error => io::stderr().lock().write_all(text.as_bytes()),
        };
    }

    /// Writes a line.
    pub(crate) fn line(self, text: &str) {
        self.write(&format!("{text}\n"));
    }
}

/// As much of a plain text as fits into so many columns, with `…` where something was cut.
pub(crate) fn fit(text: &str, columns: usize) -> String {
    let width = |c: char| c.width().unwrap_or(0);
    let total: usize = text.chars().map(width).sum();
    if total <= columns {
        return text.to_owned();
    }
    let mut used = 0;
    let mut cut = String::new();
    for c in text.chars() {
        if used + width(c) + 1 > columns {
            break;
        }
        used += width(c);
        cut.push(c);
    }
    cut.push('…');
    cut
}

/// The text without anything that a terminal would act on, or that would have it show another text
/// than there is: what is approved is what was read.
pub(crate) fn harmless(text: &str) -> String {
    let shown = |c: char| match c {
        c if c.is_control() => ' ',
        c if model::misleads(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.chars().map(shown).collect()
}

/// A word that somebody gave, as a failure repeats it: on one line, and not longer than one reads.
pub(crate) fn quoted(word: &str) -> String {
    const MOST: usize = 80;
    let mut shown: String = word.chars().take(MOST).collect();
    if shown.len() < word.len() {
        shown.push('…');
    }
    format!("`{}`", shown.escape_debug())
}

/// Columns that a plain text takes.
pub(crate) fn columns(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// Columns that a text takes whose only escape sequences are our own colours.
pub(crate) fn painted_columns(text: &str) -> usize {
    let mut pieces = text.split('\x1b');
    let first = pieces.next().map_or(0, columns);
    let after = |piece: &str| columns(piece.split_once('m').map_or(piece, |(_, shown)| shown));
    first + pieces.map(after).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_what_there_is() {
        assert_eq!(harmless("a\x1b[2Jb\tc"), "a [2Jb c");
        assert_eq!(harmless("rm \u{202e}cba\u{202c} #\u{200b}x\u{e0041}"), "rm �cba� #�x�");
        assert_eq!(harmless("نمی\u{200c}خواهم"), "نمی\u{200c}خواهم");
    }

    #[test]
    fn a_text_is_cut_by_columns_and_not_by_bytes() {
        assert_eq!(fit("héllo", 5), "héllo");
        assert_eq!(fit("héllo!", 5), "héll…");
        assert_eq!(fit("日本語", 5), "日本…");
        assert_eq!(columns("日本語"), 6);
        assert_eq!(painted_columns("a\x1b[1mmm\x1b[0mb"), 4);
    }

    #[test]
    fn a_word_is_repeated_on_one_line_and_not_whole_when_it_is_long() {
        assert_eq!(quoted("a\n\x1b[31mb"), r"`a\n\u{1b}[31mb`");
        assert_eq!(quoted(&"x".repeat(200)), format!("`{}…`", "x".repeat(80)));
    }
}
