//! The id of a message that is too long to be kept.

use serde_json::Value;

/// An id longer than this is not looked for.
const LONGEST_TOKEN: usize = 1024;

/// Reads a message as it passes by, and remembers nothing of it but its id.
#[derive(Debug, Default)]
pub(super) struct Skim {
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// The name or the value that is being read, where it stands in the message itself.
    token: Vec<u8>,
    /// What comes next is the value of `id`.
    named: bool,
    id: Option<Value>,
}

impl Skim {
    /// The id, once it has passed by.
    pub(super) fn id(&self) -> Option<&Value> {
        self.id.as_ref()
    }

    pub(super) fn read(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.id.is_some() {
                return;
            }
            self.step(byte);
        }
    }

    fn step(&mut self, byte: u8) {
        if self.in_string {
            self.keep(byte);
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return;
        }
        match byte {
            b'"' => {
                self.in_string = true;
                self.keep(byte);
            }
            b'{' | b'[' => {
                self.depth += 1;
                self.token.clear();
            }
            b'}' | b']' => {
                self.end_of_value();
                self.depth = self.depth.saturating_sub(1);
            }
            b',' => self.end_of_value(),
            b':' if self.depth == 1 => {
                self.named = self.token == b"\"id\"";
                self.token.clear();
            }
            byte if byte.is_ascii_whitespace() => {}
            byte => self.keep(byte),
        }
    }

    fn keep(&mut self, byte: u8) {
        if self.depth == 1 && self.token.len() <= LONGEST_TOKEN {
            self.token.push(byte);
        }
    }

    fn end_of_value(&mut self) {
        if self.depth == 1 && std::mem::take(&mut self.named) {
            let value = serde_json::from_slice(&self.token).ok();
            self.id = value.filter(|value: &Value| value.is_string() || value.is_number());
        }
        self.token.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message: &str, expected: &str) {
        let mut skim = Skim::default();
        for byte in message.as_bytes() {
            skim.read(std::slice::from_ref(byte));
        }
        assert_eq!(skim.id().map_or("-".to_owned(), Value::to_string), expected, "{message}");
    }

    #[test]
    fn an_id_is_found_wherever_it_stands() {
        check(r#"{"jsonrpc":"2.0","id":7,"params":{"#, "7");
        check(r#"{"params":{"a":[1,{"b":"}"}]},"jsonrpc":"2.0","id":"a\"b"}"#, r#""a\"b""#);
        check("{ \"id\" : 1.5 ,", "1.5");
    }

    #[test]
    fn an_id_of_something_else_is_not_taken_for_it() {
        check(r#"{"params":{"id":7},"method":"id","x":7,"#, "-");
        check(r#"{"a":"\"id\":7,","#, "-");
        check(r#"{"id":{"id":7},"a":1}"#, "-");
    }

    #[test]
    fn an_id_that_is_none_or_has_not_ended_is_none() {
        check(r#"{"id":null,"a":1}"#, "-");
        check(r#"{"id":7"#, "-");
        check(&format!(r#"{{"id":"{}"}}"#, "x".repeat(2 * LONGEST_TOKEN)), "-");
    }
}
