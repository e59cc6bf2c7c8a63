//! What becomes of a wish to do what nobody has allowed yet: policy, before anybody is asked.

use serde::{Deserialize, Serialize};

use crate::{Asks, choices};

choices! {
    /// What becomes of such a wish. The narrower is the less.
    #[derive(Default, Serialize, Deserialize, schemars::JsonSchema)]
    #[serde(rename_all = "snake_case")]
    Consent {
        /// It is refused.
        Deny = "deny",
        /// Somebody is asked.
        #[default]
        Ask = "ask",
        /// It is granted, once.
        Allow = "allow",
    }
}

/// What becomes of which wish.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ApprovalPolicy {
    /// To run a command outside of the thread's sandbox.
    pub command: Consent,
    /// To change files that it may not change.
    pub patch: Consent,
    /// To have more rights.
    pub permissions: Consent,
    /// To call a tool of an MCP server.
    pub tool: Consent,
    /// Wishes that are granted all the same: `kind:pattern`.
    #[serde(default)]
    pub allow: Vec<String>,
    /// Wishes that are refused whatever else is said.
    #[serde(default)]
    pub deny: Vec<String>,
    /// The agent whose run started the one that asks may answer in the place of a person.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_parent: bool,
    /// How long somebody is asked, in milliseconds; as long as it takes where this is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_ms: Option<u64>,
}

impl ApprovalPolicy {
    /// The policy as far as it grants no more than that one.
    #[must_use]
    pub fn within(&self, bound: &Self) -> Self {
        let granted = self.allow.iter().filter(|pattern| bound.allow.contains(pattern));
        Self {
            command: self.command.min(bound.command),
            patch: self.patch.min(bound.patch),
            permissions: self.permissions.min(bound.permissions),
            tool: self.tool.min(bound.tool),
            allow: granted.cloned().collect(),
            deny: self.deny.iter().chain(&bound.deny).cloned().collect(),
            by_parent: self.by_parent && bound.by_parent,
            expires_in_ms: self.expires_in_ms.or(bound.expires_in_ms),
        }
    }

    /// What becomes of that wish.
    #[must_use]
    pub fn of(&self, asks: &Asks) -> Consent {
        let (kind, subject) = (asks.kind(), asks.subject());
        let named = |patterns: &[String]| patterns.iter().any(|it| matches(it, kind, &subject));
        match (named(&self.deny), named(&self.allow)) {
            (true, _) => Consent::Deny,
            // What a person has to agree to, no pattern agrees to for them.
            (false, _) if matches!(asks, Asks::Elicitation { .. }) => Consent::Ask,
            (false, true) => Consent::Allow,
            (false, false) => match asks {
                Asks::Command { .. } => self.command,
                Asks::Patch { .. } => self.patch,
                Asks::Permissions { .. } => self.permissions,
                Asks::Tool { .. } => self.tool,
                // That it may be asked for is said by its caps.
                Asks::Elicitation { .. } | Asks::Network { .. } => Consent::Ask,
                Asks::Grant { .. } => self.tool.min(Consent::Ask),
            },
        }
    }
}

/// Whether a pattern such as `command:cargo *` names that. A star stands for anything but what lets
/// a shell run something else as well.
fn matches(pattern: &str, kind: &str, subject: &str) -> bool {
    let Some((wanted, pattern)) = pattern.split_once(':') else { return false };
    wanted.trim() == kind && globs(pattern.trim(), subject)
}

fn globs(pattern: &str, text: &str) -> bool {
    const OPERATORS: &[char] = &[';', '&', '|', '<', '>', '$', '`', '(', ')', '\n', '\r'];
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => {
            let Some(rest) = text.strip_prefix(before) else { return false };
            let ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
            ends.take_while(|&at| !rest[..at].contains(OPERATORS))
                .any(|at| globs(after, &rest[at..]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(line: &str) -> Asks {
        Asks::Command { command: line.to_owned(), cwd: None, reason: None }
    }

    #[test]
    fn within_another_policy_nothing_more_is_granted_and_nothing_less_refused() {
        let policy = |allow: &[&str], deny: &[&str], by_parent| ApprovalPolicy {
            allow: allow.iter().map(|&it| it.to_owned()).collect(),
            deny: deny.iter().map(|&it| it.to_owned()).collect(),
            by_parent,
            ..Default::default()
        };
        let mut wish = policy(&["command:a", "command:b"], &["command:c"], true);
        wish.tool = Consent::Allow;
        let bound = policy(&["command:a"], &["command:d"], false);
        let within = wish.within(&bound);
        assert_eq!(within, policy(&["command:a"], &["command:c", "command:d"], false));
    }

    #[test]
    fn what_is_denied_stays_denied_and_a_star_lets_no_second_command_in() {
        let policy = ApprovalPolicy {
            patch: Consent::Deny,
            allow: vec!["command:cargo *".to_owned(), "tool:docs.*".to_owned()],
            deny: vec!["command:cargo publish*".to_owned()],
            ..Default::default()
        };
        for (line, expected) in [
            ("cargo test --workspace", Consent::Allow),
            ("cargo", Consent::Ask),
            ("cargo publish", Consent::Deny),
            ("cargo test; rm -rf x", Consent::Ask),
            ("cargo test $(rm x)", Consent::Ask),
            ("make", Consent::Ask),
        ] {
            assert_eq!(policy.of(&command(line)), expected, "{line}");
        }
        let tool = |server: &str| Asks::Tool {
            server: server.to_owned(),
            tool: "read".to_owned(),
            arguments: serde_json::Value::Null,
        };
        assert_eq!(policy.of(&tool("docs")), Consent::Allow);
        assert_eq!(policy.of(&tool("other")), Consent::Ask);
        // Whoever lets tools be called has not said that there are more of them.
        let grant = |server: &str| Asks::Grant { server: server.to_owned(), tool: "x".to_owned() };
        let lets_call = ApprovalPolicy { tool: Consent::Allow, ..policy.clone() };
        assert_eq!(lets_call.of(&grant("docs")), Consent::Allow);
        assert_eq!(lets_call.of(&grant("other")), Consent::Ask);
        let calls_none = ApprovalPolicy { tool: Consent::Deny, ..policy.clone() };
        assert_eq!(calls_none.of(&grant("other")), Consent::Deny);
        let patch = Asks::Patch { paths: vec!["a".to_owned()], reason: None };
        assert_eq!(policy.of(&patch), Consent::Deny);
        let elicitation = |server: &str| Asks::Elicitation {
            server: server.to_owned(),
            message: "Sure?".to_owned(),
            url: None,
        };
        let policy = ApprovalPolicy {
            allow: vec!["elicitation:*".to_owned()],
            deny: vec!["elicitation:bad*".to_owned()],
            ..Default::default()
        };
        assert_eq!(policy.of(&elicitation("docs")), Consent::Ask, "a person has to agree");
        assert_eq!(policy.of(&elicitation("bad one")), Consent::Deny);
    }
}
