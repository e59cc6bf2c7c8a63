//! What holds for every config, tried on many that nobody thought of.

use std::fs;

use model::Plan;
use proptest::prelude::*;
use repo::config::{self, ConfigError, Inputs, Loaded};
use serde_json::{Map, Value, json};

const EVERYTHING: &str = include_str!("files/everything.toml");
const OLDER: &str = include_str!("files/older.json");

/// Only a person's own file may have every key.
const USER_FILE: &str = "user.toml";

fn load(file: &str, text: impl AsRef<[u8]>) -> Result<Loaded, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    let user_file = Some(folder.path().join(USER_FILE));
    config::load(&Inputs { repo: Some(folder.path()), user_file, cpus: 2, ..Inputs::default() })
}

/// The plan without the places where it was written.
fn plan(loaded: &Loaded, name: &str) -> Value {
    let plan: Plan = loaded.plan(name).unwrap();
    let mut plan = serde_json::to_value(&plan).unwrap();
    plan["source"] = json!(null);
    plan["stages"]
        .as_array_mut()
        .unwrap()
        .iter_mut()
        .for_each(|stage| stage["source"] = json!(null));
    plan
}

/// The keys as the older form has them.
fn in_capitals(value: &Value) -> Value {
    let camel = |name: &str| {
        let mut words = name.split('_');
        let first = words.next().unwrap_or_default().to_owned();
        words.fold(first, |name, word| name + &word[..1].to_uppercase() + &word[1..])
    };
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (camel(key), in_capitals(value)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items.iter().map(in_capitals).collect(),
        other => other.clone(),
    }
}

/// A sound stage; it needs stages written before it, and runs pipelines written after its own.
fn stage(at: usize, pipelines_after: Vec<String>) -> impl Strategy<Value = Value> {
    let words = "[a-zA-Z \"'\\\\éß日]{0,12}x";
    let run = if pipelines_after.is_empty() {
        Just(None).boxed()
    } else {
        proptest::option::weighted(0.3, proptest::sample::select(pipelines_after)).boxed()
    };
    (
        run,
        proptest::option::of(words),
        proptest::option::of(proptest::collection::vec(0..at.max(1), 0..3)),
        proptest::option::of(any::<bool>()),
        proptest::option::of(words),
        prop_oneof![words.prop_map(|line| json!(line)), Just(json!(["a", "", "b c"]))],
        proptest::option::of(0_u64..90_000),
        0_u64..3,
    )
        .prop_map(move |(run, title, needs, allow, hint, command, timeout, retries)| {
            let mut stage = json!({"id": format!("s{at}")});
            let mut put = |key: &str, value: Option<Value>| {
                if let Some(value) = value {
                    stage[key] = value;
                }
            };
            put("title", title.map(Value::from));
            let names = |needs: Vec<usize>| needs.iter().map(|need| format!("s{need}")).collect();
            put("needs", needs.filter(|_| at > 0).map(names));
            put("allow_failure", allow.map(Value::from));
            put("summary_hint", hint.map(Value::from));
            match run {
                Some(target) => put("pipeline", Some(json!(target))),
                None => {
                    put("command", Some(command));
                    put("timeout", timeout.map(|millis| json!(format!("{}ms", millis + 1))));
                    put("retries", (retries > 0).then(|| json!(retries)));
                }
            }
            stage
        })
}

/// Sound pipelines `p0`, `p1`..., by name.
fn pipelines() -> impl Strategy<Value = Value> {
    proptest::collection::vec(1_usize..5, 1..4).prop_flat_map(|sizes| {
        let many = sizes.len();
        let pipelines: Vec<_> = sizes
            .into_iter()
            .enumerate()
            .map(|(at, size)| {
                let after: Vec<_> = (at + 1..many).map(|after| format!("p{after}")).collect();
                let stages: Vec<_> = (0..size).map(|at| stage(at, after.clone())).collect();
                (stages, proptest::option::of(1_u64..9)).prop_map(move |(stages, most)| {
                    let mut pipeline = json!({"stages": stages});
                    if let Some(most) = most {
                        pipeline["max_parallel"] = json!(most);
                    }
                    (format!("p{at}"), pipeline)
                })
            })
            .collect();
        pipelines.prop_map(|all| Value::Object(all.into_iter().collect()))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn all_ways_to_write_pipelines_give_the_same_plans(pipelines in pipelines()) {
        let all = json!({"pipelines": pipelines});
        let named = pipelines.as_object().unwrap();
        let list: Value = named
            .iter()
            .map(|(id, pipeline)| {
                let mut pipeline = in_capitals(pipeline);
                pipeline["id"] = json!(id);
                pipeline
            })
            .collect();

        let ours = load(config::REPO_FILE, toml::to_string(&all).unwrap()).unwrap();
        let older = load(config::OLDER_REPO_FILE, json!({"pipelines": list}).to_string()).unwrap();
        prop_assert_eq!(&ours.hash(), &older.hash());
        // And what `config` shows could be written as it is.
        let mut shown = ours.to_json()["pipelines"].clone();
        shown.as_object_mut().unwrap().values_mut().for_each(|pipeline| {
            pipeline.as_object_mut().unwrap().remove("source");
        });
        let again = load(config::OLDER_REPO_FILE, json!({"pipelines": shown}).to_string()).unwrap();
        prop_assert_eq!(&ours.hash(), &again.hash());
        for name in named.keys() {
            prop_assert_eq!(plan(&ours, name), plan(&older, name));
            prop_assert_eq!(plan(&ours, name), plan(&again, name));
        }
    }

    #[test]
    fn a_damaged_config_is_read_or_refused_in_one_line(
        older in any::<bool>(),
        damage in proptest::collection::vec(
            (any::<proptest::sample::Index>(), 0_usize..20, proptest::collection::vec(any::<u8>(), 0..6)),
            1..4,
        ),
    ) {
        let (file, text) = match older {
            true => (config::OLDER_REPO_FILE, OLDER),
            false => (USER_FILE, EVERYTHING),
        };
        let mut bytes = text.as_bytes().to_vec();
        for (at, gone, put) in damage {
            let at = at.index(bytes.len().max(1)).min(bytes.len());
            let end = (at + gone).min(bytes.len());
            bytes.splice(at..end, put);
        }
        check(load(file, bytes))?;
    }

    #[test]
    fn a_config_of_moved_words_is_read_or_refused_in_one_line(
        older in any::<bool>(),
        swaps in proptest::collection::vec((any::<proptest::sample::Index>(), any::<proptest::sample::Index>()), 1..6),
    ) {
        let (file, text) = match older {
            true => (config::OLDER_REPO_FILE, OLDER),
            false => (USER_FILE, EVERYTHING),
        };
        let mut words: Vec<&str> = text.split_inclusive(|c: char| !c.is_alphanumeric()).collect();
        for (one, other) in swaps {
            let (one, other) = (one.index(words.len()), other.index(words.len()));
            words.swap(one, other);
        }
        check(load(file, words.concat()))?;
    }

    #[test]
    fn any_bytes_are_read_or_refused_in_one_line(bytes in any::<Vec<u8>>(), text in ".{0,60}") {
        for file in [config::REPO_FILE, config::OLDER_REPO_FILE] {
            check(load(file, &bytes))?;
            check(load(file, &text))?;
        }
        let environment = [("CODEX_CONFIG_OVERRIDES".to_owned(), text.clone())];
        let inputs = Inputs { environment: &environment, cpus: 1, ..Inputs::default() };
        check(config::load(&inputs))?;
        check(config::load(&Inputs { command_line: &[text], cpus: 1, ..Inputs::default() }))?;
    }
}

fn check(loaded: Result<Loaded, ConfigError>) -> Result<(), TestCaseError> {
    match loaded {
        Ok(loaded) => {
            let _ = loaded.to_json();
            for pipeline in loaded.pipelines() {
                let _ = loaded.plan_of(pipeline);
            }
        }
        Err(error) => {
            let said = error.to_string();
            prop_assert!(!said.chars().any(char::is_control), "{said:?}");
            prop_assert!(said.len() < 600, "{said}");
        }
    }
    Ok(())
}

#[test]
fn the_older_example_is_read_and_planned() {
    let loaded = load(config::OLDER_REPO_FILE, OLDER).unwrap();
    assert_eq!(loaded.settings.run.default_pipeline, "gate");
    assert_eq!(loaded.plan("gate").unwrap().stages.len(), 6);
    assert_eq!(loaded.notes, []);
}
