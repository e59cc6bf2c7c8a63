//! Preferences that come as `K=V`: from the command line, and from variables that hold many.

use super::{
    error::ConfigError,
    keys::FILE,
    node::Node,
    text::{Form, Text},
};

/// The variables that hold preferences, weakest first. Codex reads them too.
pub const OVERRIDE_VARIABLES: [&str; 2] = ["CODEX_MCP_CONFIG_OVERRIDES", "CODEX_CONFIG_OVERRIDES"];

/// The entries of a variable: they are separated by `,`, `;` or a line's end, except within quotes
/// and brackets.
pub(super) fn split(variable: &str) -> Vec<&str> {
    let mut entries = vec![];
    let (mut start, mut depth, mut quote, mut escaped) = (0, 0_usize, None, false);
    for (at, c) in variable.char_indices() {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            // Only in double quotes does TOML escape.
            (Some('"'), '\\') => escaped = true,
            (Some(open), c) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '[' | '{') => depth += 1,
            (None, ']' | '}') => depth = depth.saturating_sub(1),
            (None, ',' | ';' | '\n') if depth == 0 => {
                entries.push(&variable[start..at]);
                start = at + 1;
            }
            (None, _) => {}
        }
    }
    entries.push(&variable[start..]);
    entries.into_iter().map(str::trim).filter(|entry| !entry.is_empty()).collect()
}

/// Reads one entry: a key, possibly dotted, and a TOML value. What is no TOML value is a text, as
/// Codex has it: `run.grace=5s`.
pub(super) fn read(name: &str, entry: &str) -> Result<(Text, Node), ConfigError> {
    let name = format!("{name} `{}`", shown(entry));
    let fault = |message: &str| {
        let fault = ConfigError::of_file(&name, message);
        fault.hint("write it as `key=value`, such as `run.grace=5s`")
    };
    let Some((key, value)) = entry.split_once('=') else {
        return Err(fault("there is no `=` in it"));
    };
    let (key, value) = (key.trim(), value.trim());
    if key.is_empty() || key.contains(['\n', '[', '#']) {
        return Err(fault("there is no key in it"));
    }
    let written = Text::new(name.clone(), Form::Entry, format!("{key} = {value}"));
    if let Ok(root) = Node::read(&written)
        && root.pairs().len() == 1
    {
        return Ok((written, root));
    }
    let text = format!("{key} = {}", quoted(value));
    let written = Text::new(name.clone(), Form::Entry, text);
    match Node::read(&written) {
        Ok(root) => Ok((written, root)),
        Err(_) => Err(fault("there is no key in it")),
    }
}

fn shown(entry: &str) -> String {
    let cut: String = entry.chars().take(60).collect();
    let dots = if cut.len() < entry.len() { "…" } else { "" };
    format!("{}{dots}", cut.escape_debug())
}

/// A text as TOML has it, and JSON: `\u` escapes whatever stands in no line.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// Whether an entry of a variable is meant for Codex, which has the variables for itself as well:
/// its first key is none of ours, nor like one of ours.
pub(super) fn is_for_codex(root: &Node) -> bool {
    let ours = |name: &str| FILE.keys.iter().any(|key| key.name == name);
    // One slip in a word of some length; `tui` is a key of Codex, and not our `ui`.
    let like_ours = |name: &str| {
        let like = |key: &str| strsim::osa_distance(name, key) <= 1;
        name.len() >= 4 && FILE.keys.iter().any(|key| key.name.len() >= 3 && like(key.name))
    };
    root.pairs().iter().all(|(key, _)| !ours(&key.snake()) && !like_ours(&key.snake()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::node::Value;

    #[test]
    fn a_variable_holds_many_entries() {
        assert_eq!(split(""), [""; 0]);
        assert_eq!(split(" a=1, b=2;c=3\nd=4;; "), ["a=1", "b=2", "c=3", "d=4"]);
        assert_eq!(split("a=[1,2],b={x=1,y=2}"), ["a=[1,2]", "b={x=1,y=2}"]);
        assert_eq!(split(r#"a="x,\"y",b='\',c=1"#), [r#"a="x,\"y""#, r"b='\'", "c=1"]);
    }

    #[test]
    fn what_is_no_toml_value_is_a_text() {
        let value = |entry: &str| {
            let (_, root) = read("--config", entry).unwrap();
            root.get("a").and_then(|a| a.get("b")).unwrap().value.clone()
        };
        assert_eq!(value("a.b=1"), Value::Whole(1));
        assert_eq!(value("a.b = true"), Value::Truth(true));
        assert_eq!(value("a.b='5s'"), Value::Text("5s".to_owned()));
        assert_eq!(value("a.b=5s"), Value::Text("5s".to_owned()));
        assert_eq!(value("a.b=say \"x\\y\"\u{7f}"), Value::Text("say \"x\\y\"\u{7f}".to_owned()));
        assert_eq!(value("a.b=1\nc=2"), Value::Text("1\nc=2".to_owned()));
        assert_eq!(value("a.b=x=y"), Value::Text("x=y".to_owned()));
    }

    #[test]
    fn what_is_no_entry_is_refused() {
        for bad in ["run.grace", "=1", "[run]\ngrace=1", "a b=1", "a..b=1", "#a=1"] {
            let error = read("--config", bad).unwrap_err().to_string();
            assert!(error.starts_with("--config `") && error.contains("key=value"), "{error}");
        }
    }

    #[test]
    fn what_codex_reads_is_left_to_codex() {
        let codex = |entry| is_for_codex(&read("X", entry).unwrap().1);
        for theirs in ["mcp_servers.delegation.enabled=true", "features.skills=false", "tui.x=1"] {
            assert!(codex(theirs), "{theirs}");
        }
        for ours in ["run.grace=1", "sandbx.network=true", "sandbox.network=true", "prun.x=1"] {
            assert!(!codex(ours), "{ours}");
        }
    }
}
