//! What the documents must speak of: every command and exit code, every key of a config, every
//! field of the record and every event. And what they tell people to type must be understood.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Says what the documents do not speak of.
pub(super) fn complaints(root: &Path, binary: &Path) -> Result<Vec<String>, String> {
    let ask = |args: &[&str]| {
        let output = Command::new(binary).args(args).output();
        let output = output.map_err(|error| format!("{}: {error}", binary.display()))?;
        Ok::<_, String>(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let schema = |what: &str| -> Result<Value, String> {
        serde_json::from_str(&ask(&["schema", what])?).map_err(|error| error.to_string())
    };
    let duties = [
        ("docs/commands.md", commands(&ask(&["--help"])?)),
        ("docs/commands.md", exit_codes(&ask(&["--help"])?)),
        ("docs/pipelines.md", fields(&schema("config")?)),
        ("docs/record.md", fields(&schema("manifest")?)),
        ("docs/record.md", events(&schema("events")?)),
    ];
    let mut complaints = Vec::new();
    for (page, names) in duties {
        let text =
            std::fs::read_to_string(root.join(page)).map_err(|error| format!("{page}: {error}"))?;
        if names.is_empty() {
            complaints.push(format!("{page}: nothing was found that it should speak of"));
        }
        let missing = names.iter().filter(|name| !speaks_of(&text, name));
        complaints.extend(missing.map(|name| format!("{page}: it does not speak of `{name}`")));
    }
    for page in super::pages(root, &[])? {
        let text = std::fs::read_to_string(&page).map_err(|error| error.to_string())?;
        for line in mentioned(&text) {
            // With it nothing is done, and what cannot be understood is still refused first.
            let words: Vec<&str> = line.split_whitespace().chain(["--help"]).collect();
            let asked = Command::new(binary).args(&words).output();
            if !asked.is_ok_and(|output| output.status.success()) {
                let page = page.strip_prefix(root).unwrap_or(&page).display();
                complaints.push(format!("{page}: `codex-orch {line}` is not understood"));
            }
        }
    }
    Ok(complaints)
}

/// What the text tells people to type, within a line and after the program's name.
fn mentioned(text: &str) -> BTreeSet<String> {
    let spans = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    let typed = spans.filter_map(|span| span.strip_prefix("codex-orch "));
    // What is for the shell, and what is for the command that is run, is not ours.
    let ours = typed.filter(|line| !line.contains(" -- ") && !line.contains('"'));
    let ours = ours.filter_map(|line| line.split(['|', '>', ';']).next());
    ours.map(|line| line.trim().to_owned()).collect()
}

/// Whether the name stands there as a word of code, or in a block of it.
fn speaks_of(text: &str, name: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    text.match_indices(name).any(|(at, _)| {
        let before = text[..at].chars().next_back().is_some_and(word);
        let after = text[at + name.len()..].chars().next().is_some_and(word);
        !before && !after
    })
}

/// The commands that a help lists.
fn commands(help: &str) -> BTreeSet<String> {
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let list = list.take_while(|line| !line.is_empty());
    // Deeper lines go on with the text of the one above.
    let names = list.filter_map(|line| {
        line.strip_prefix("  ")?.split_whitespace().next().filter(|_| !line.starts_with("    "))
    });
    names.map(str::to_owned).collect()
}

/// The exit codes that a help lists, as rows of a table begin with them.
fn exit_codes(help: &str) -> BTreeSet<String> {
    let list = help.lines().skip_while(|line| *line != "Exit codes:").skip(1);
    let codes = list.map_while(|line| line.strip_prefix("  ")?.split_whitespace().next());
    codes.map(|code| format!("| {code} |")).collect()
}

/// The names of all properties in a schema.
fn fields(schema: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    walk(schema, &mut |object| {
        if let Some(Value::Object(properties)) = object.get("properties") {
            // Each key has a second spelling, which nobody needs to be told of one by one.
            let plain = properties.keys().filter(|name| !name.contains(char::is_uppercase));
            names.extend(plain.cloned());
        }
    });
    names
}

/// The names of the events in the schema of a line.
fn events(schema: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    walk(schema, &mut |object| {
        let event = object.get("properties").and_then(|properties| properties.get("event"));
        let name = event.and_then(|event| event.get("const")).and_then(Value::as_str);
        names.extend(name.map(str::to_owned));
    });
    names
}

fn walk(value: &Value, look: &mut impl FnMut(&serde_json::Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            look(object);
            object.values().for_each(|inner| walk(inner, look));
        }
        Value::Array(list) => list.iter().for_each(|inner| walk(inner, look)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_from_the_help() {
        let help =
            "Text\n\nCommands:\n  start   Run\n          it\n  plan    Show\n\nOptions:\n  -h\n";
        assert_eq!(commands(help).into_iter().collect::<Vec<_>>(), ["plan", "start"]);
    }

    #[test]
    fn exit_codes_are_read_from_the_help() {
        let help = "Exit codes:\n  0  succeeded\n  12  failed\nMore\n  3 things\n";
        assert_eq!(exit_codes(help).into_iter().collect::<Vec<_>>(), ["| 0 |", "| 12 |"]);
    }

    #[test]
    fn what_is_to_be_typed_is_found_without_what_is_the_shells() {
        let text = "Try `codex-orch plan` or `codex-orch man > x`, not `codex-orch exec -- x`.\n";
        assert_eq!(mentioned(text).into_iter().collect::<Vec<_>>(), ["man", "plan"]);
    }

    #[test]
    fn a_name_within_another_is_not_spoken_of() {
        assert!(speaks_of("the key `id` of", "id"));
        assert!(!speaks_of("the key `run_id` of", "id"));
    }

    #[test]
    fn fields_and_events_are_read_from_schemas() {
        let schema = serde_json::json!({
            "properties": { "seq": {} },
            "oneOf": [{ "properties": { "event": { "const": "run_started" }, "payload": {} } }],
        });
        assert_eq!(fields(&schema).into_iter().collect::<Vec<_>>(), ["event", "payload", "seq"]);
        assert_eq!(events(&schema).into_iter().collect::<Vec<_>>(), ["run_started"]);
    }
}
