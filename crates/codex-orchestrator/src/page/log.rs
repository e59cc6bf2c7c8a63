//! What a stage wrote, piece by piece.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use model::RunId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Desk, value};
use crate::failure::{Failure, FailureKind};

/// The most that is given at once.
const PIECE: u64 = 64 * 1024;
/// How much of the end is given where nobody says.
const TAIL: u64 = 16 * 1024;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Log {
    repo: String,
    run: RunId,
    /// Its id.
    stage: String,
    /// The byte to begin with; without it the end is given, from the beginning of a line.
    #[serde(default)]
    from: Option<u64>,
    /// How many bytes of the end.
    #[serde(default)]
    tail: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Piece {
    stage: String,
    from: u64,
    /// Where the next piece begins.
    next: u64,
    size: u64,
    text: String,
    /// There was one, and somebody has deleted it.
    deleted: bool,
}

impl Desk {
    pub(super) fn log(&self, ask: &Log) -> Result<Value, Failure> {
        let snapshot = self.run(&ask.repo, &ask.run)?.snapshot(&ask.run)?;
        let entry = snapshot.manifest.commands.iter().find(|entry| entry.id == ask.stage);
        let Some(entry) = entry else {
            return Err(Failure::not_found(format!("the run has no stage `{}`", ask.stage)));
        };
        let none = |deleted| {
            let text = String::new();
            Piece { stage: ask.stage.clone(), from: 0, next: 0, size: 0, text, deleted }
        };
        let Some(log) = &entry.log_path else { return value(none(false)) };
        let path = snapshot.paths.root().join(log);
        let read = open(&path).and_then(|mut file| piece(&mut file, ask.from, ask.tail));
        value(match read {
            Ok((from, next, size, text)) => {
                Piece { stage: ask.stage.clone(), from, next, size, text, deleted: false }
            }
            // One that is running has not written anything yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                none(entry.completed_at.is_some())
            }
            Err(error) => {
                let text = format!("{log}: {error}");
                return Err(Failure::new(FailureKind::Internal, text));
            }
        })
    }
}

/// A stage may have put something else in the place of its log, which would be waited for.
fn open(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is no file any more")),
    }
}

fn piece(
    file: &mut File,
    from: Option<u64>,
    tail: Option<u64>,
) -> io::Result<(u64, u64, u64, String)> {
    let size = file.metadata()?.len();
    let start = match from {
        // It was made anew.
        Some(from) if from > size => 0,
        Some(from) => from,
        // With the byte before it, which says whether a line begins there.
        None => size.saturating_sub(tail.unwrap_or(TAIL).min(PIECE) + 1),
    };
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(PIECE).read_to_end(&mut bytes)?;
    let cut = match from {
        None if start > 0 => {
            let begins = bytes.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
            // Of one line that is longer than that, its end is shown, and not nothing.
            begins.filter(|at| *at < bytes.len()).unwrap_or(0)
        }
        _ => 0,
    };
    let bytes = &bytes[cut..];
    let start = start + cut as u64;
    let whole = whole_characters(bytes);
    let text = String::from_utf8_lossy(&bytes[..whole]).into_owned();
    Ok((start, start + whole as u64, size, text))
}

/// How much of it ends with a whole character: the rest of the last one may be yet to come.
fn whole_characters(bytes: &[u8]) -> usize {
    let begins = |byte: &u8| byte & 0b1100_0000 != 0b1000_0000;
    let Some(back) = bytes.iter().rev().take(4).position(begins) else { return bytes.len() };
    let last = bytes.len() - 1 - back;
    let wanted = match bytes[last] {
        0b1100_0000..=0b1101_1111 => 2,
        0b1110_0000..=0b1110_1111 => 3,
        0b1111_0000..=0b1111_0111 => 4,
        _ => 1,
    };
    // A piece that is nothing but that would never get any longer.
    if back + 1 < wanted && last > 0 { last } else { bytes.len() }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn check(text: &[u8], from: Option<u64>, tail: Option<u64>, expected: (u64, u64, &str)) {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(text).expect("written");
        let (from, next, size, text) = piece(&mut file, from, tail).expect("read");
        assert_eq!((from, next, text.as_str()), expected);
        assert_eq!(size, file.metadata().expect("there").len());
    }

    #[test]
    fn a_log_is_read_on_from_where_it_was_left_off() {
        check(b"one\ntwo\n", Some(4), None, (4, 8, "two\n"));
        check(b"one\ntwo\n", Some(8), None, (8, 8, ""));
        check(b"one\n", Some(9), None, (0, 4, "one\n"));
        let long = "x".repeat(100_000);
        check(long.as_bytes(), Some(0), None, (0, 65536, &long[..65536]));
    }

    #[test]
    fn the_end_begins_with_a_line() {
        check(b"one\ntwo\nthree\n", None, Some(9), (8, 14, "three\n"));
        check(b"one\ntwo\n", None, None, (0, 8, "one\ntwo\n"));
        check(b"one\ntwo\n", None, Some(4), (4, 8, "two\n"));
        check(b"onetwo", None, Some(3), (2, 6, "etwo"));
        check(b"onetwo\n", None, Some(3), (3, 7, "two\n"));
    }

    #[test]
    fn no_character_is_torn() {
        let text = "añ".as_bytes();
        check(&text[..2], Some(0), None, (0, 1, "a"));
        check(&text[..1], Some(0), None, (0, 1, "a"));
        check("日".as_bytes(), Some(0), None, (0, 3, "日"));
        check(b"a\xff", Some(0), None, (0, 2, "a\u{fffd}"));
        check(&"ñ".as_bytes()[..1], Some(0), None, (0, 1, "\u{fffd}"));
    }
}
