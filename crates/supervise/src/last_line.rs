//! The last line of a stream, fit to be shown.

/// How much of a stream's end is kept to find its last line in.
const KEPT: usize = 2048;
const LONGEST_SHOWN: usize = 500;

/// Remembers the end of a stream.
#[derive(Debug, Default)]
pub(crate) struct LastLine {
    tail: Vec<u8>,
}

impl LastLine {
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(KEPT)..];
        let excess = (self.tail.len() + bytes.len()).saturating_sub(KEPT);
        self.tail.drain(..excess);
        self.tail.extend_from_slice(bytes);
    }

    /// The last line that has anything to see in it. A carriage return begins a new one, which is
    /// how progress bars write.
    pub(crate) fn shown(&self) -> String {
        // The oldest byte kept may be in the middle of a character.
        let whole = self.tail.iter().position(|byte| byte & 0xc0 != 0x80).unwrap_or_default();
        let text = String::from_utf8_lossy(&self.tail[whole..]);
        let plain = without_escapes(&text);
        let lines = plain.rsplit(['\n', '\r']);
        let mut visible = lines.map(str::trim).filter(|line| !line.is_empty());
        visible.next().unwrap_or_default().chars().take(LONGEST_SHOWN).collect()
    }
}

fn without_escapes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(char) = rest.next() {
        match char {
            '\n' | '\r' => plain.push(char),
            '\t' => plain.push(' '),
            '\u{1b}' => skip_escape(&mut rest),
            // What turns the direction of writing can make a line say what it does not.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            char if char.is_control() => {}
            char => plain.push(char),
        }
    }
    plain
}

/// Skips what follows an escape character and belongs to it.
fn skip_escape(rest: &mut std::str::Chars<'_>) {
    match rest.next() {
        // A control sequence ends with a letter or the like.
        Some('[') => while rest.next().is_some_and(|char| !('@'..='~').contains(&char)) {},
        // A string ends with a bell, or with an escape and a backslash.
        Some(']' | 'P' | 'X' | '^' | '_') => {
            while let Some(char) = rest.next() {
                match char {
                    '\u{7}' => break,
                    '\u{1b}' => {
                        rest.next();
                        break;
                    }
                    _ => {}
                }
            }
        }
        Some(' '..='/') => {
            rest.next();
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(written: &[&[u8]], shown: &str) {
        let mut last = LastLine::default();
        written.iter().for_each(|bytes| last.feed(bytes));
        assert_eq!(last.shown(), shown);
    }

    #[test]
    fn an_empty_line_is_not_the_last() {
        check(&[b"one\ntwo\n", b"\n\n"], "two");
    }

    #[test]
    fn a_line_may_come_in_pieces() {
        check(&[b"half ", b"and half"], "half and half");
    }

    #[test]
    fn a_progress_bar_shows_its_latest_state() {
        check(&[b"10%\r20%\r30%"], "30%");
    }

    #[test]
    fn colours_titles_and_bells_are_not_shown() {
        check(
            &[b"\x1b[1;31mred\x1b[0m\x1b]0;title\x07\x07 \x1b(Bplain\x1b]8;;x\x1b\\!"],
            "red plain!",
        );
    }

    #[test]
    fn a_long_line_begins_with_a_whole_character() {
        let long = "ä".repeat(KEPT);
        check(&[&long.as_bytes()[1..]], &"ä".repeat(LONGEST_SHOWN));
    }
}
