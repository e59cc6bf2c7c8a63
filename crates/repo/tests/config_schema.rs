//! The printed schema and the reader say the same about every key.

use std::{fs, path::Path};

use repo::config::{self, Inputs};
use serde_json::{Value, json};

fn everything() -> Value {
    toml::from_str(include_str!("files/everything.toml")).unwrap()
}

/// Reads it as the user's own file, where every key may stand.
fn read(folder: &Path, config: &Value) -> Result<(), String> {
    let path = folder.join("orchestrator.toml");
    // Some file systems wait for the disk when a file is written over.
    let _ = fs::remove_file(&path);
    fs::write(&path, toml::to_string(config).unwrap()).unwrap();
    let inputs = Inputs { user_file: Some(path), cpus: 1, ..Inputs::default() };
    config::load(&inputs).map(|_| ()).map_err(|error| error.message)
}

/// What no schema can say: it is about more than one value.
fn is_about_more(message: &str) -> bool {
    let said = [
        "there is no stage",
        "there is no pipeline",
        "need each other",
        "runs itself",
        "has another stage",
        "has the `id`",
        "has a stage set within it",
    ];
    said.iter().any(|said| message.contains(said))
}

#[test]
fn the_schema_is_one_and_the_file_with_every_key_conforms_to_it() {
    let schema = config::schema();
    assert!(jsonschema::meta::is_valid(&schema));
    let schema = jsonschema::validator_for(&schema).unwrap();
    let faults: Vec<_> = schema.iter_errors(&everything()).map(|fault| fault.to_string()).collect();
    assert_eq!(faults, [""; 0]);
    assert_eq!(read(tempfile::tempdir().unwrap().path(), &everything()), Ok(()));
}

#[test]
fn every_tool_of_ours_can_be_named_in_both_ways() {
    let schema = jsonschema::validator_for(&config::schema()).unwrap();
    let with = |tool: &str| json!({ "caps": { "tools": { "delegate": [tool] } } });
    for tool in model::caps::DelegateTools::KNOWN {
        assert!(
            schema.is_valid(&with(tool)) && schema.is_valid(&with(&format!("delegate.{tool}")))
        );
    }
    assert!(!schema.is_valid(&with("question")) && !schema.is_valid(&with("delegate.")));
}

/// Every key in the schema, and whether it is one to use. What is within an old key is old.
fn keys(schema: &Value, current: bool, found: &mut Vec<(String, bool)>) {
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        for (name, about) in properties {
            let current = current && about.get("deprecated").is_none();
            found.push((name.clone(), current));
            keys(about, current, found);
        }
    }
    match schema {
        Value::Object(map) => {
            let others = map.iter().filter(|(name, _)| *name != "properties");
            others.for_each(|(_, value)| keys(value, current, found));
        }
        Value::Array(items) => items.iter().for_each(|value| keys(value, current, found)),
        _ => {}
    }
}

#[test]
fn the_file_with_every_key_has_every_key() {
    let file = include_str!("files/everything.toml");
    let mut found = vec![];
    keys(&config::schema(), true, &mut found);
    let current: Vec<_> = found.iter().filter(|(_, current)| *current).collect();
    assert!(current.len() > 30, "{current:?}");
    for (name, _) in current {
        assert!(file.contains(name.as_str()), "`{name}` is not in the file");
    }
}

#[test]
fn whatever_stands_at_a_key_the_schema_and_the_reader_agree() {
    let schema = jsonschema::validator_for(&config::schema()).unwrap();
    let values = [
        json!(1),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(5000),
        json!(true),
        json!(""),
        json!(" "),
        json!("x"),
        json!("build"),
        json!("a b"),
        json!("a..b"),
        json!("/x"),
        json!("5s"),
        json!("0"),
        json!("1h 5m"),
        json!("5m1h"),
        json!("pidns"),
        json!("command"),
        json!("full"),
        json!("never"),
        json!("https://x.example/y"),
        json!("ftp://x"),
        json!(["~/x"]),
        json!(["~x"]),
        json!(["failed"]),
        json!([]),
        json!(["build"]),
        json!(["a b"]),
        json!([1]),
        json!(["*"]),
        json!(["*.example"]),
        json!(["**.example:80"]),
        json!(["a.example."]),
        json!(["a.1"]),
        json!(["0x7f.1"]),
        json!(["127.0.0.1:80"]),
        json!(["010.0.0.1"]),
        json!(["[::1]:80"]),
        json!(["10.0.0.7"]),
        json!(["@worktree/x"]),
        json!(["@work"]),
        json!(["a/../b"]),
        json!([".."]),
        json!(["A_1"]),
        json!({"x": ["A"]}),
        json!({"x": []}),
        json!({"x": ["10.0.0.7"]}),
        json!({"*": ["*"]}),
        json!({"*": ["x"]}),
        json!({"a b": ["x"]}),
        json!("none"),
        json!("open"),
        json!("private"),
        json!("warn"),
        json!({}),
        json!({"A": "1"}),
        json!({"A": 1}),
        json!({"stages": [{"command": "x"}]}),
        json!({"p": {"stages": [{"command": "x"}]}}),
        json!([{"command": "x"}]),
        json!([{"id": "p", "stages": [{"command": "x"}]}]),
        json!({"s": [{"command": "x"}]}),
    ];
    let tables = [
        ("", json!({})),
        ("/run", json!({})),
        ("/supervision", json!({})),
        ("/prune", json!({})),
        ("/caps", json!({})),
        ("/caps/network", json!({})),
        ("/caps/fs", json!({})),
        ("/caps/env", json!({})),
        ("/caps/tools", json!({})),
        ("/delegate", json!({})),
        ("/limits", json!({})),
        ("/questions", json!({})),
        ("/confirm", json!({})),
        ("/notify", json!({})),
        ("/pipelines/ci", json!({"stages": [{"command": "x"}]})),
        ("/stage_sets/docs", json!({"stages": [{"command": "x"}]})),
        ("/pipelines/ci/stages/0", json!({"id": "build", "command": "x"})),
        ("/pipelines/ci/stages/1", json!({"ref": "checks"})),
        ("/pipelines/ci/stages/2", json!({"pipeline": "docs"})),
    ];
    let mut found = vec![];
    keys(&config::schema(), true, &mut found);
    let mut keys: Vec<String> = found.into_iter().map(|(name, _)| name).collect();
    keys.extend(["zzz", "Title", "tags"].map(str::to_owned));
    keys.sort();
    keys.dedup();

    let base = json!({
        "stage_sets": {"checks": [{"command": "x"}], "docs": [{"command": "x"}]},
        "pipelines": {
            "ci": {"stages": [{"id": "build", "command": "x"}, {"ref": "checks"}, {"pipeline": "docs"}]},
            "docs": {"stages": [{"command": "x"}]},
        },
        "run": {}, "supervision": {}, "prune": {}, "delegate": {},
        "caps": {"network": {}, "fs": {}, "env": {}, "tools": {}},
        "limits": {}, "questions": {}, "confirm": {}, "notify": {},
    });
    let repo = tempfile::tempdir().unwrap();
    let (mut good, mut bad) = (0, 0);
    for (place, table) in &tables {
        for key in &keys {
            for value in &values {
                let mut config = base.clone();
                let mut table = table.clone();
                table[key] = value.clone();
                *config.pointer_mut(place).unwrap() = table;
                let conforms = schema.is_valid(&config);
                match read(repo.path(), &config) {
                    Ok(()) => {
                        assert!(conforms, "{place} {key}={value} is read");
                        good += 1;
                    }
                    Err(message) if is_about_more(&message) => {}
                    Err(message) => {
                        assert!(!conforms, "{place} {key}={value}: {message}");
                        bad += 1;
                        if message.starts_with("unknown key") {
                            break; // Whatever its value.
                        }
                    }
                }
            }
        }
    }
    assert!(good > 100 && bad > 500, "{good} {bad}");
}
