//! What a server sends bit by bit: `text/event-stream`, as far as messages are in it.

use std::io::{self, BufRead, Read};

use crate::LONGEST;

/// The data of each event. Whatever else a stream can say is passed over.
pub(crate) struct Events<R> {
    lines: R,
}

impl<R: BufRead> Events<R> {
    pub(crate) fn of(lines: R) -> Self {
        Self { lines }
    }

    /// The next one that has data; nothing at the end, where one that is not whole is none.
    ///
    /// # Errors
    ///
    /// When one is too long, or the stream breaks off.
    pub(crate) fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut data: Option<Vec<u8>> = None;
        loop {
            let mut line = Vec::new();
            let read = (&mut self.lines).take(LONGEST + 1).read_until(b'\n', &mut line)?;
            if read == 0 {
                return Ok(None);
            }
            let so_far = data.as_ref().map_or(0, Vec::len);
            if u64::try_from(so_far + line.len()).is_ok_and(|length| length > LONGEST) {
                return Err(io::Error::other("it says more at once than is heard"));
            }
            while line.last().is_some_and(|byte| [b'\n', b'\r'].contains(byte)) {
                line.pop();
            }
            if line.is_empty() {
                match data.take().filter(|data| !data.is_empty()) {
                    Some(data) => return Ok(Some(data)),
                    None => continue,
                }
            }
            if let Some(more) = line.strip_prefix(b"data:") {
                let more = more.strip_prefix(b" ").unwrap_or(more);
                match &mut data {
                    Some(data) => {
                        data.push(b'\n');
                        data.extend_from_slice(more);
                    }
                    None => data = Some(more.to_vec()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8]) -> Vec<String> {
        let mut events = Events::of(text);
        let next = || events.next().unwrap();
        let all = std::iter::from_fn(next);
        all.map(|data| String::from_utf8(data).unwrap()).collect()
    }

    #[test]
    fn events_have_their_data_whatever_else_is_said() {
        let text = b": hello\n\nid: 1\nevent: message\ndata: {\"a\":\r\ndata:1}\r\n\r\nretry: 5\n\ndata:\n\ndata: b\n\ndata: cut";
        assert_eq!(all(text), ["{\"a\":\n1}", "b"]);
        assert_eq!(all(b""), [""; 0]);
    }

    #[test]
    fn what_never_ends_is_not_heard() {
        let endless = |text: &'static [u8]| {
            let reader = io::BufReader::new(Repeated { text, at: 0 });
            Events::of(reader).next()
        };
        assert!(endless(b"x").is_err());
        assert!(endless(b"data: x\n").is_err());
    }

    struct Repeated {
        text: &'static [u8],
        at: usize,
    }

    impl Read for Repeated {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            for byte in into.iter_mut() {
                *byte = self.text[self.at % self.text.len()];
                self.at += 1;
            }
            Ok(into.len())
        }
    }
}
