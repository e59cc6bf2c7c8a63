//! The name of another machine, in the one form in which it is judged and dialled.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

/// A host: a name in small letters without a dot at its end, or an address.
///
/// There is one form for each host, so that whoever judges it and whoever connects to it cannot
/// mean different ones.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
pub struct Host(Form);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Form {
    Name(String),
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

/// The text names no host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no host: {why}")]
pub struct BadHost {
    /// The text, with nothing in it for a terminal to act on.
    pub text: String,
    /// What is wrong with it, and how to write it.
    pub why: &'static str,
}

/// The longest name that there is.
const LONGEST: usize = 253;

impl Host {
    /// Reads a name or an address; one of version 6 with or without its brackets.
    pub fn read(text: &str) -> Result<Self, BadHost> {
        let bad = |why| BadHost { text: shown(text), why };
        if !text.is_ascii() {
            return Err(bad("names from outside of ASCII are written as `xn--...`"));
        }
        let bare = match text.strip_prefix('[') {
            Some(rest) => Some(rest.strip_suffix(']').unwrap_or_default()),
            None => text.contains(':').then_some(text),
        };
        if let Some(bare) = bare {
            // A zone is of one machine's interfaces, and is nothing to be listed.
            return match bare.parse() {
                Ok(address) => Ok(Self(Form::V6(address))),
                Err(_) => Err(bad("an address with `:` is one such as `[2001:db8::1]`")),
            };
        }
        if let Ok(address) = text.parse() {
            return Ok(Self(Form::V4(address)));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        if name.is_empty() || name.len() > LONGEST {
            return Err(bad("a name has between 1 and 253 characters"));
        }
        let letters = |label: &str| {
            label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if name.split('.').any(|label| label.is_empty() || label.len() > 63 || !letters(label)) {
            return Err(bad("its parts are of letters, digits and `-`, with a `.` between them"));
        }
        // Resolvers read `127.1`, `0x7f.1` and `2130706433` as addresses.
        let last = name.rsplit('.').next().unwrap_or_default();
        let hexadecimal = last
            .strip_prefix("0x")
            .is_some_and(|digits| digits.bytes().all(|c| c.is_ascii_hexdigit()));
        if hexadecimal || last.bytes().all(|c| c.is_ascii_digit()) {
            return Err(bad("an address is written with four numbers, such as `192.0.2.1`"));
        }
        Ok(Self(Form::Name(name)))
    }

    /// The address that it is, if it is one.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        match &self.0 {
            Form::Name(_) => None,
            Form::V4(address) => Some(IpAddr::V4(*address)),
            Form::V6(address) => Some(IpAddr::V6(*address)),
        }
    }

    /// The name that it is, if it is one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match &self.0 {
            Form::Name(name) => Some(name),
            Form::V4(_) | Form::V6(_) => None,
        }
    }

    /// Whether it is a name within that one, and not that one itself.
    #[must_use]
    pub fn is_below(&self, other: &Self) -> bool {
        let (Some(name), Some(other)) = (self.name(), other.name()) else { return false };
        name.strip_suffix(other).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
    }
}

/// What somebody else wrote, in a line to be shown.
pub(super) fn shown(text: &str) -> String {
    const MOST: usize = 80;
    let cut: String = text.chars().take(MOST).collect();
    let dots = if cut.len() < text.len() { "…" } else { "" };
    format!("{}{dots}", cut.escape_debug())
}

impl fmt::Display for Host {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Name(name) => out.write_str(name),
            Form::V4(address) => write!(out, "{address}"),
            Form::V6(address) => write!(out, "[{address}]"),
        }
    }
}

impl FromStr for Host {
    type Err = BadHost;

    fn from_str(text: &str) -> Result<Self, BadHost> {
        Self::read(text)
    }
}

impl TryFrom<String> for Host {
    type Error = BadHost;

    fn try_from(text: String) -> Result<Self, BadHost> {
        Self::read(&text)
    }
}

impl From<Host> for String {
    fn from(host: Host) -> Self {
        host.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let read = Host::read(text).map_or_else(|bad| bad.why.to_owned(), |host| host.to_string());
        assert!(read.contains(expected), "{text:?}: {read}");
    }

    #[test]
    fn there_is_one_form_of_each() {
        check("API.Example.COM.", "api.example.com");
        check("xn--bcher-kva.example", "xn--bcher-kva.example");
        check("192.0.2.1", "192.0.2.1");
        check("[2001:DB8:0:0::1]", "[2001:db8::1]");
        check("2001:db8::1", "[2001:db8::1]");
    }

    #[test]
    fn what_somebody_might_read_as_something_else_is_none() {
        check("bücher.example", "xn--");
        check("a.example..", "its parts");
        check("a\0.example", "its parts");
        check("a.example\0.other.example", "its parts");
        check("-a.example", "its parts");
        check("a_b.example", "its parts");
        check("", "between 1 and 253");
        check(".", "between 1 and 253");
        for number in
            ["127.1", "0x7f.1", "2130706433", "0x7f000001", "017700000001", "1.2.3.4.", "010.0.0.1"]
        {
            check(number, "four numbers");
        }
        check("[::1", "with `:`");
        check("fe80::1%eth0", "with `:`");
        check("a:b", "with `:`");
        check(&"a".repeat(64), "its parts");
        check(&"a.".repeat(140), "between 1 and 253");
    }

    #[test]
    fn below_is_at_a_dot() {
        let host = |text| Host::read(text).unwrap();
        assert!(host("a.b.example").is_below(&host("b.example")));
        assert!(!host("ab.example").is_below(&host("b.example")));
        assert!(!host("b.example").is_below(&host("b.example")));
        assert!(!host("1.2.3.4").is_below(&host("example")));
    }
}
