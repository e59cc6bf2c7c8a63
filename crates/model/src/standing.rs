//! Approvals that stand: what a person has allowed to every run of a repository, until they take it back.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Component, Path},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Asks, By, QuestionId, RunId, Timestamp, caps::HostPattern};

/// What such an approval is for: exactly that, and nothing like it.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Subject {
    /// That command line, in that folder.
    Command {
        /// The command line.
        command: String,
        /// The folder: within the work tree of the run, or absolute.
        folder: String,
        /// Only of a thread that its caps hold.
        held: bool,
    },
    /// Changes of all of these files, and of no other.
    Patch {
        /// Within the work tree of the run, or absolute.
        paths: BTreeSet<String>,
        /// Only by a thread that its caps hold.
        held: bool,
    },
    /// Those rights.
    Permissions {
        /// As Codex puts them.
        what: String,
        /// Only for a thread that its caps hold.
        held: bool,
    },
    /// That tool, whatever it is called with.
    Tool {
        /// The server.
        server: String,
        /// The tool.
        tool: String,
    },
    /// That host, at that port.
    Network {
        /// Which.
        host: HostPattern,
    },
}

/// An approval that stands, as it is on record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Standing {
    /// Its name, which is that of the question that was approved.
    pub question_id: QuestionId,
    /// What it is for.
    pub subject: Subject,
    /// Who gave it, and by which door.
    pub by: By,
    /// When.
    pub at: Timestamp,
    /// The run that had asked.
    pub run_id: RunId,
}

impl Standing {
    /// Why something is allowed without asking, for people.
    #[must_use]
    pub fn in_words(&self) -> String {
        let Self { question_id, by, at, .. } = self;
        format!("allowed for this repository, by a {} on {at} ({question_id})", by.as_str())
    }
}

impl Subject {
    /// What a standing approval of that wish would be for, in a run with that work tree, whose thread
    /// its caps hold or nothing does; nothing where there is none that would say exactly what is
    /// allowed.
    #[must_use]
    pub fn of(asks: &Asks, tree: &Path, held: bool) -> Option<Self> {
        Some(match asks {
            Asks::Command { command, cwd, .. } => {
                let folder = folder(cwd.as_deref()?, tree)?;
                Self::Command { command: command.clone(), folder, held }
            }
            Asks::Patch { paths, .. } if paths.is_empty() => return None,
            Asks::Patch { paths, .. } => {
                Self::Patch { paths: paths.iter().cloned().collect(), held }
            }
            Asks::Permissions { what, .. } => {
                let what: Value = serde_json::from_str(what).ok()?;
                Self::Permissions { what: sorted(&what).to_string(), held }
            }
            Asks::Tool { tool, .. } if tool.is_empty() => return None,
            Asks::Tool { server, tool, .. } => {
                Self::Tool { server: server.clone(), tool: tool.clone() }
            }
            Asks::Network { host } => Self::Network { host: host.clone() },
            // What a person has to agree to, they agree to each time; which tools all runs have is
            // for the caps to say.
            Asks::Elicitation { .. } | Asks::Grant { .. } => return None,
        })
    }

    /// The same for threads that nothing holds, which is more.
    #[must_use]
    pub fn without_caps(mut self) -> Option<Self> {
        match &mut self {
            Self::Command { held, .. }
            | Self::Patch { held, .. }
            | Self::Permissions { held, .. } => std::mem::take(held).then_some(self),
            Self::Tool { .. } | Self::Network { .. } => None,
        }
    }

    /// The host that it is about.
    #[must_use]
    pub fn host(&self) -> Option<&HostPattern> {
        match self {
            Self::Network { host } => Some(host),
            _ => None,
        }
    }
}

/// The folder within the work tree, `.` for the tree itself; absolute where it lies elsewhere, and
/// nothing where its name does not say where it is.
fn folder(cwd: &str, tree: &Path) -> Option<String> {
    let cwd = Path::new(cwd);
    let plain = cwd.components().all(|part| !matches!(part, Component::ParentDir));
    if !(cwd.is_absolute() && plain) {
        return None;
    }
    match cwd.strip_prefix(tree) {
        Ok(inside) if inside.as_os_str().is_empty() => Some(".".to_owned()),
        Ok(inside) => inside.to_str().map(ToOwned::to_owned),
        Err(_) => cwd.to_str().map(ToOwned::to_owned),
    }
}

/// The same value with the members of its objects in one order.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let members: BTreeMap<&String, Value> =
                members.iter().map(|(name, value)| (name, sorted(value))).collect();
            members.into_iter().map(|(name, value)| (name.clone(), value)).collect()
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

/// In words, for people.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = match self {
            Self::Command { command, folder, held } => {
                write!(f, "exactly the command `{command}` ")?;
                match folder.as_str() {
                    "." => f.write_str("at the top of a run's work tree")?,
                    absolute if absolute.starts_with('/') => write!(f, "in {absolute}")?,
                    within => write!(f, "in {within} of a run's work tree")?,
                }
                held
            }
            Self::Patch { paths, held } => {
                let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
                write!(f, "changes of exactly {}", paths.join(", "))?;
                held
            }
            Self::Permissions { what, held } => {
                write!(f, "exactly the rights {what}")?;
                held
            }
            Self::Tool { server, tool } => {
                return write!(f, "every call of `{tool}` of {server}, whatever it is called with");
            }
            Self::Network { host } => return write!(f, "reaching {host}"),
        };
        f.write_str(match held {
            true => ", of a thread that its caps hold",
            false => ", also of a thread that nothing else holds",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "/home/you/project";

    fn of(asks: &Asks) -> Option<String> {
        Subject::of(asks, Path::new(TREE), true).map(|subject| subject.to_string())
    }

    fn command(command: &str, cwd: Option<&str>) -> Asks {
        let cwd = cwd.map(ToOwned::to_owned);
        Asks::Command { command: command.to_owned(), cwd, reason: Some("why".to_owned()) }
    }

    #[test]
    fn a_command_is_that_line_in_that_folder_of_whatever_tree_the_run_has() {
        let at =
            |tree: &str, cwd: &str| Subject::of(&command("a", Some(cwd)), Path::new(tree), true);
        assert_eq!(at("/one", "/one/x"), at("/two", "/two/x"));
        assert_ne!(at("/one", "/one/x"), at("/one", "/one"));
        assert_ne!(at("/one", "/one/x"), at("/two", "/one/x"), "that is another place");
        assert_eq!(at("/one", "/one/../x"), None);
        assert_eq!(of(&command("a", None)), None);
        let words = "exactly the command `a; b` in src of a run's work tree, of a thread that its \
            caps hold";
        assert_eq!(of(&command("a; b", Some("/home/you/project/src"))).as_deref(), Some(words));
    }

    #[test]
    fn what_is_allowed_within_caps_is_not_allowed_without_them() {
        let of = |held| Subject::of(&command("a", Some("/one")), Path::new("/one"), held);
        assert_ne!(of(true), of(false));
        assert_eq!(of(true).and_then(Subject::without_caps), of(false));
        assert_eq!(of(false).and_then(Subject::without_caps), None);
        let host = Asks::Network { host: "a.example".parse().unwrap() };
        let host = |held| Subject::of(&host, Path::new("/one"), held);
        assert_eq!(host(true), host(false), "without caps nobody asks");
        assert_eq!(host(true).and_then(Subject::without_caps), None);
    }

    #[test]
    fn what_it_is_for_is_said_and_is_no_more_than_that() {
        let patch = |paths: &[&str]| Asks::Patch {
            paths: paths.iter().map(|&path| path.to_owned()).collect(),
            reason: None,
        };
        assert_eq!(of(&patch(&["b", "a"])), of(&patch(&["a", "b"])));
        assert_ne!(of(&patch(&["a"])), of(&patch(&["a", "b"])));
        assert_eq!(of(&patch(&[])), None, "nobody knows which");
        let rights = |what: &str| Asks::Permissions { what: what.to_owned(), reason: None };
        let one = of(&rights(r#"{"network":{"enabled":true},"a":[{"c":1,"b":2}]}"#));
        assert_eq!(one, of(&rights(r#"{"a":[{"b":2,"c":1}],"network":{"enabled":true}}"#)));
        assert_ne!(one, of(&rights(r#"{"network":{"enabled":true}}"#)));
        let tool = |arguments| Asks::Tool {
            server: "docs".to_owned(),
            tool: "read".to_owned(),
            arguments,
        };
        let words = "every call of `read` of docs, whatever it is called with";
        assert_eq!(of(&tool(serde_json::json!({ "a": 1 }))).as_deref(), Some(words));
        let asks =
            Asks::Elicitation { server: "docs".to_owned(), message: "Sure?".to_owned(), url: None };
        assert_eq!(of(&asks), None);
        let host = Asks::Network { host: "a.example:8443".parse().unwrap() };
        assert_eq!(of(&host).as_deref(), Some("reaching a.example:8443"));
    }
}
