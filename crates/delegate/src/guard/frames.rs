//! Bytes become messages: one a line, or with a header that says how long they are.

use serde_json::Value;
use tokio_util::bytes::{Buf, BytesMut};

use super::skim::Skim;

/// How much is asked of the client's stream at once.
const CHUNK: usize = 16 * 1024;

/// How one message is told from the next. A client that writes headers reads them as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Framing {
    #[default]
    Lines,
    Length,
}

#[derive(Debug)]
pub(super) enum Frame {
    Message(BytesMut),
    /// Longer than the limit. It was not kept.
    TooLong {
        id: Value,
    },
    /// A header that does not say how long its message is.
    NoLength,
}

/// What has come of the client's stream, up to the end of the last frame that was taken.
#[derive(Debug)]
pub(super) struct Frames {
    bytes: BytesMut,
    /// So many of them have no line's end in them.
    searched: usize,
    state: State,
    longest: usize,
}

#[derive(Debug)]
enum State {
    Line,
    Header {
        length: Option<usize>,
    },
    Body {
        length: usize,
    },
    /// What is too long goes by: so many bytes, or up to the end of the line.
    Passing {
        skim: Skim,
        rest: Option<usize>,
        told: bool,
    },
}

enum Step {
    Took(Framing, Frame),
    Again,
    NeedsMore,
}

impl Frames {
    pub(super) fn new(longest: usize) -> Self {
        Self { bytes: BytesMut::new(), searched: 0, state: State::Line, longest }
    }

    /// Where to put what comes next.
    pub(super) fn space(&mut self) -> &mut BytesMut {
        if self.bytes.is_empty() {
            // A long message is not to be paid for ever after.
            self.bytes = BytesMut::new();
        }
        self.bytes.reserve(CHUNK);
        &mut self.bytes
    }

    /// The next message, if all of it is there.
    pub(super) fn next(&mut self) -> Option<(Framing, Frame)> {
        loop {
            let step = match self.state {
                State::Line => self.line(),
                State::Header { length } => self.header(length),
                State::Body { length } => self.body(length),
                State::Passing { .. } => self.passing(),
            };
            match step {
                Step::Took(framing, frame) => return Some((framing, frame)),
                Step::Again => {}
                Step::NeedsMore => return None,
            }
        }
    }

    /// What is left when nothing more comes: a last line without its end, or half a message.
    pub(super) fn last(&mut self) -> Option<(Framing, Frame)> {
        let rest = std::mem::take(&mut self.bytes);
        self.searched = 0;
        match std::mem::replace(&mut self.state, State::Line) {
            State::Passing { told: true, .. } => None,
            State::Passing { skim, rest, .. } => Some((framing(rest), too_long(&skim))),
            _ if content(&rest).is_empty() => None,
            State::Body { .. } => Some((Framing::Length, Frame::Message(rest))),
            State::Line | State::Header { .. } => Some((Framing::Lines, Frame::Message(rest))),
        }
    }

    fn line(&mut self) -> Step {
        let line = match self.take_line() {
            Ok(line) => line,
            Err(step) => return step,
        };
        match Field::read(content(&line)) {
            Some(field) if field.begins => {
                self.state = State::Header { length: field.length };
                Step::Again
            }
            _ if content(&line).is_empty() => Step::Again,
            _ => Step::Took(Framing::Lines, Frame::Message(line)),
        }
    }

    fn header(&mut self, length: Option<usize>) -> Step {
        let line = match self.take_line() {
            Ok(line) => line,
            Err(step) => return step,
        };
        if content(&line).is_empty() {
            self.state = State::Line;
            return match length {
                None => Step::Took(Framing::Length, Frame::NoLength),
                Some(0) => Step::Again,
                Some(length) if length > self.longest => self.let_pass(Some(length)),
                Some(length) => {
                    self.state = State::Body { length };
                    Step::Again
                }
            };
        }
        match Field::read(content(&line)) {
            Some(field) => {
                self.state = State::Header { length: field.length.or(length) };
                Step::Again
            }
            // A header that nothing separates from its message.
            None => {
                self.state = State::Line;
                Step::Took(Framing::Lines, Frame::Message(line))
            }
        }
    }

    fn body(&mut self, length: usize) -> Step {
        if self.bytes.len() < length {
            return Step::NeedsMore;
        }
        self.state = State::Line;
        Step::Took(Framing::Length, Frame::Message(self.bytes.split_to(length)))
    }

    fn passing(&mut self) -> Step {
        let State::Passing { skim, rest, told } = &mut self.state else { return Step::Again };
        let framing = framing(*rest);
        let (count, over) = match rest {
            Some(left) => {
                let count = self.bytes.len().min(*left);
                *left -= count;
                (count, *left == 0)
            }
            None => match self.bytes.iter().position(|byte| *byte == b'\n') {
                Some(at) => (at + 1, true),
                None => (self.bytes.len(), false),
            },
        };
        skim.read(&self.bytes[..count]);
        self.bytes.advance(count);
        let tell = !*told && (over || skim.id().is_some());
        *told |= tell;
        let frame = too_long(skim);
        if over {
            self.state = State::Line;
        }
        match (tell, over) {
            (true, _) => Step::Took(framing, frame),
            (false, true) => Step::Again,
            (false, false) => Step::NeedsMore,
        }
    }

    fn take_line(&mut self) -> Result<BytesMut, Step> {
        let end = self.bytes[self.searched..].iter().position(|byte| *byte == b'\n');
        let length = end.map_or(self.bytes.len(), |at| self.searched + at);
        if length > self.longest {
            return Err(self.let_pass(None));
        }
        if end.is_none() {
            self.searched = length;
            return Err(Step::NeedsMore);
        }
        self.searched = 0;
        Ok(self.bytes.split_to(length + 1))
    }

    fn let_pass(&mut self, rest: Option<usize>) -> Step {
        self.searched = 0;
        self.state = State::Passing { skim: Skim::default(), rest, told: false };
        Step::Again
    }
}

/// A line of a header.
struct Field {
    /// A header may begin with it: no message does.
    begins: bool,
    length: Option<usize>,
}

impl Field {
    fn read(line: &[u8]) -> Option<Self> {
        let (name, value) = std::str::from_utf8(line).ok()?.split_once(':')?;
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return None;
        }
        let is = |wanted| name.eq_ignore_ascii_case(wanted);
        let length = is("content-length").then(|| value.trim().parse().ok()).flatten();
        Some(Self { begins: is("content-length") || is("content-type"), length })
    }
}

fn framing(rest: Option<usize>) -> Framing {
    if rest.is_some() { Framing::Length } else { Framing::Lines }
}

fn too_long(skim: &Skim) -> Frame {
    Frame::TooLong { id: skim.id().cloned().unwrap_or_default() }
}

/// A message without what may stand around it: a byte order mark and white space.
pub(super) fn content(message: &[u8]) -> &[u8] {
    message.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(message).trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is taken from a stream that comes as a whole, and from one that comes byte by byte.
    fn check(stream: &str, expected: &[&str]) {
        for chunk in [stream.len().max(1), 1] {
            let mut frames = Frames::new(40);
            let mut taken = Vec::new();
            for bytes in stream.as_bytes().chunks(chunk) {
                frames.space().extend_from_slice(bytes);
                while let Some(frame) = frames.next() {
                    taken.push(show(frame));
                }
            }
            taken.extend(frames.last().map(show));
            assert!(frames.next().is_none() && frames.last().is_none());
            assert_eq!(taken, expected, "in chunks of {chunk}: {stream:?}");
        }
    }

    fn show((framing, frame): (Framing, Frame)) -> String {
        let what = match frame {
            Frame::Message(message) => String::from_utf8_lossy(content(&message)).into_owned(),
            Frame::TooLong { id } => format!("too long, id {id}"),
            Frame::NoLength => "no length".to_owned(),
        };
        format!("{framing:?}: {what}")
    }

    #[test]
    fn a_line_is_a_message_whatever_ends_or_surrounds_it() {
        check(
            "a\nb\r\n\n \r\n\u{feff}c\n  d \ne",
            &["Lines: a", "Lines: b", "Lines: c", "Lines: d", "Lines: e"],
        );
    }

    #[test]
    fn a_header_says_how_long_its_message_is() {
        check("Content-Length: 3\r\n\r\na\nbcontent-length:1\n\nd", &["Length: a\nb", "Length: d"]);
        check(
            "Content-Type: x; y=z\r\nX-Other: 7\r\nCONTENT-LENGTH: 1\r\n\r\na\r\n\r\nb\n",
            &["Length: a", "Lines: b"],
        );
    }

    #[test]
    fn lines_and_headers_may_alternate() {
        check(
            "a\nContent-Length: 1\r\n\r\nb\nc\nContent-Length: 0\r\n\r\nd\n",
            &["Lines: a", "Length: b", "Lines: c", "Lines: d"],
        );
    }

    #[test]
    fn a_broken_header_costs_no_more_than_itself() {
        check("Content-Type: x\n\na\n", &["Length: no length", "Lines: a"]);
        check("Content-Length: -1\r\n\r\na\n", &["Length: no length", "Lines: a"]);
        check("Content-Length: 5\n{a}\nb\n", &["Lines: {a}", "Lines: b"]);
        check("Content-Length: 5\r\n\r\nabc", &["Length: abc"]);
        check("Content-Length: 5\r\n\r\n", &[]);
    }

    #[test]
    fn what_is_too_long_goes_by_and_leaves_its_id() {
        let long = "x".repeat(50);
        check(
            &format!("{{\"id\":7,\"a\":\"{long}\"}}\nb\n"),
            &["Lines: too long, id 7", "Lines: b"],
        );
        check(
            &format!("{{\"a\":\"{long}\",\"id\":7}}\r\nb\n"),
            &["Lines: too long, id 7", "Lines: b"],
        );
        check(&format!("{long}\nb"), &["Lines: too long, id null", "Lines: b"]);
        check(&long, &["Lines: too long, id null"]);
        check(
            &format!("Content-Length: 59\r\n\r\n{{\"id\":1,\"{long}b\n"),
            &["Length: too long, id 1", "Lines: b"],
        );
    }

    #[test]
    fn a_line_that_is_too_long_is_refused_before_it_ends() {
        let mut frames = Frames::new(40);
        frames.space().extend_from_slice(b"{\"id\":7,\"a\":\"");
        assert!(frames.next().is_none());
        frames.space().extend_from_slice(&[b'x'; 40]);
        assert_eq!(frames.next().map(show).as_deref(), Some("Lines: too long, id 7"));
        frames.space().extend_from_slice(&[b'x'; 40]);
        assert!(frames.next().is_none());
        assert!(frames.bytes.is_empty());
    }
}
