//! Tools of our own server, as caps name them.

use serde::{Deserialize, Serialize};

use super::{axis::Axis, names::Names};

/// Some of the tools of the delegation server, or all. Each is named with or without what all of
/// their names begin with, and kept without it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(from = "Names", into = "Names")]
pub struct DelegateTools(Names);

/// What all of their names begin with.
const PREFIX: &str = "delegate.";

impl DelegateTools {
    /// Every tool.
    pub const ALL: Self = Self(Names::All);
    /// No tool.
    pub const NONE: Self = Self(Names::NONE);

    /// The tools that there are.
    pub const KNOWN: [&str; 13] = [
        "spawn",
        "status",
        "wait",
        "message",
        "pause",
        "cancel",
        "list",
        "log",
        "result",
        "question.enqueue",
        "question.poll",
        "question.list",
        "question.answer",
    ];

    /// Whether a tool is in it, which is named either way.
    #[must_use]
    pub fn has(&self, tool: &str) -> bool {
        self.0.has(plain(tool))
    }

    /// What is wrong with the name of a tool, as a hint that says which there are.
    #[must_use]
    pub fn fault(name: &str) -> Option<String> {
        let plain = plain(name);
        if plain == "*" || Self::KNOWN.contains(&plain) {
            return None;
        }
        let known = Self::KNOWN.map(|name| format!("`{name}`")).join(", ");
        Some(format!("the tools are {known}, and `*` is every tool"))
    }
}

fn plain(name: &str) -> &str {
    name.strip_prefix(PREFIX).unwrap_or(name)
}

impl From<Names> for DelegateTools {
    fn from(names: Names) -> Self {
        match names {
            Names::All => Self::ALL,
            Names::Only(names) => Self(names.iter().map(|name| plain(name).to_owned()).collect()),
        }
    }
}

impl From<DelegateTools> for Names {
    fn from(tools: DelegateTools) -> Self {
        tools.0
    }
}

impl Axis for DelegateTools {
    fn meet(&self, other: &Self) -> Self {
        Self(self.0.meet(&other.0))
    }

    fn beyond(&self, bound: &Self) -> Option<String> {
        self.0.beyond(&bound.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tools(json: &str) -> DelegateTools {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_tool_is_the_same_by_either_name() {
        let one = tools(r#"["delegate.status", "wait"]"#);
        assert_eq!(serde_json::to_string(&one).unwrap(), r#"["status","wait"]"#);
        for name in ["status", "delegate.status", "delegate.wait"] {
            assert!(one.has(name), "{name}");
        }
        for name in ["spawn", "delegate.spawn", "delegate.delegate.status", "Status", ""] {
            assert!(!one.has(name), "{name}");
        }
        assert_eq!(one.meet(&tools(r#"["status", "spawn"]"#)), tools(r#"["delegate.status"]"#));
        assert_eq!(one.beyond(&tools(r#"["delegate.wait"]"#)), Some("status".to_owned()));
        assert_eq!(tools(r#"["delegate.*"]"#), DelegateTools::ALL);
        assert_eq!(tools("[]"), DelegateTools::NONE);
    }

    #[test]
    fn what_is_no_tool_is_told_which_there_are() {
        for name in ["spawn", "delegate.spawn", "question.poll", "*"] {
            assert_eq!(DelegateTools::fault(name), None);
        }
        for name in ["spwan", "delegate.", "delegate", "question.*", ""] {
            let fault = DelegateTools::fault(name).unwrap();
            assert!(DelegateTools::KNOWN.iter().all(|known| fault.contains(known)), "{fault}");
        }
    }
}
