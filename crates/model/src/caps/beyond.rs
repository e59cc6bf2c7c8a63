//! What caps do not name, and somebody may be let through to all the same.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::pattern::{BadPattern, HostPattern};

/// Something beyond the caps of a run: `files.example:8443`, a host at a port, or `server/tool`, a tool
/// of an MCP server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub enum Beyond {
    /// A host, and at which port.
    Host(HostPattern),
    /// A tool.
    Tool {
        /// Of which MCP server.
        server: String,
        /// Which.
        tool: String,
    },
}

impl Beyond {
    /// The host, where it is one.
    #[must_use]
    pub fn host(&self) -> Option<&HostPattern> {
        match self {
            Self::Host(host) => Some(host),
            Self::Tool { .. } => None,
        }
    }
}

impl fmt::Display for Beyond {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => host.fmt(out),
            Self::Tool { server, tool } => write!(out, "{server}/{tool}"),
        }
    }
}

impl FromStr for Beyond {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        // There is no such sign in the name of a host, nor in that of a server.
        match text.split_once('/') {
            Some((server, tool)) => {
                Ok(Self::Tool { server: server.to_owned(), tool: tool.to_owned() })
            }
            None => text.parse().map(Self::Host),
        }
    }
}

impl TryFrom<String> for Beyond {
    type Error = BadPattern;

    fn try_from(text: String) -> Result<Self, BadPattern> {
        text.parse()
    }
}

impl From<Beyond> for String {
    fn from(beyond: Beyond) -> Self {
        beyond.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_and_a_tool_are_told_apart_by_how_they_are_written() {
        let read = |text: &str| text.parse::<Beyond>().unwrap();
        let tool = Beyond::Tool { server: "a".to_owned(), tool: "b/c".to_owned() };
        assert_eq!((read("a/b/c"), read("a/b/c").host()), (tool, None));
        assert!(read("a.example:80").host().is_some());
        for text in ["a/b/c", "a.example:80", "a.example"] {
            assert_eq!(read(text).to_string(), text);
        }
        assert!("no host".parse::<Beyond>().is_err());
    }
}
