//! Arguments that nobody thought of: each call comes to a result or to a fault that says what to do.
//!
//! `PROPTEST_CASES` says how many are tried; by itself a few, in a long night a million.

use std::path::PathBuf;

use proptest::prelude::*;
use rmcp::model::JsonObject;
use serde_json::{Value, json};

use super::ALL;
use crate::{
    caller::Station,
    calls::Stop,
    desk::{Call, Desk, Setup},
};

fn desk(folder: &std::path::Path) -> Desk {
    let repo = folder.join("repo");
    std::fs::create_dir_all(repo.join(".runs")).unwrap();
    Desk::new(Setup {
        state: folder.join("state"),
        home: Some(folder.join("home")),
        user_file: None,
        repo: Some(repo.clone()),
        cwd: repo,
        mode: None,
        overrides: Vec::new(),
        narrowing: Vec::new(),
        passed_over: None,
        environment: Vec::new(),
        path: Default::default(),
        task: None,
        // Nothing that is thought of here names a pipeline, so that nothing is started.
        program: PathBuf::from("/nonexistent"),
        station: Station::Session,
        stage: None,
    })
}

const HOSTILE: &[&str] = &[
    "",
    " ",
    "..",
    "/",
    "/dev/stdin",
    "/proc/self/fd/0",
    ".runs/demo/cli/2026-11-22T10-15-00-123Z-4f9a2c1b/manifest.json",
    ".runs/../cli/2026-11-22T10-15-00-123Z-4f9a2c1b",
    "/.runs/x/cli/2026-11-22T10-15-00-123Z-4f9a2c1b",
    "2026-11-22T10-15-00-123Z-4f9a2c1b",
    "4f9a2c1b",
    "q4f9a2c1b77",
    "q",
    "\u{0}",
    "\u{10ffff}",
    "%' OR 1=1 --",
    "9223372036854775807.9223372036854775807",
    "0a1b2c3d.-1",
    "0a1b2c3d.9223372036854775807+0a1b2c3d.0",
    "fail",
    "high",
    "full",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(HOSTILE).prop_map(ToOwned::to_owned),
        any::<String>(),
        (0..3_usize).prop_map(|times| "x".repeat([5_000, 10_000, 70_000][times])),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 60, 60, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..60).prop_map(Value::from),
            proptest::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|members| json!(members)),
        ]
    })
}

/// For each tool, some of the arguments it knows, and now and then one that it does not.
fn call() -> impl Strategy<Value = (usize, JsonObject)> {
    (0..ALL.len()).prop_flat_map(|tool| {
        let schema = ALL[tool].tool().input_schema;
        let known = schema.get("properties").and_then(Value::as_object);
        let mut names: Vec<String> =
            known.map_or(Vec::new(), |known| known.keys().cloned().collect());
        names.push("unknown".to_owned());
        let arguments = (proptest::sample::select(names), value());
        let arguments = proptest::collection::vec(arguments, 0..6);
        arguments.prop_map(move |arguments| (tool, arguments.into_iter().collect()))
    })
}

/// Nobody waits here.
fn at_once(arguments: &mut JsonObject) {
    // What is nothing is as if it were not said, and then the wait is a minute long.
    let wait = arguments.entry("wait_ms").or_insert(Value::Null);
    if wait.is_u64() || wait.is_null() {
        *wait = json!(0);
    }
}

#[test]
fn whatever_a_tool_is_given_it_answers() {
    let folder = tempfile::tempdir().unwrap();
    let desk = desk(folder.path());
    proptest!(|((tool, mut arguments) in call(), thread in "[ab]")| {
        let entry = &ALL[tool];
        let wants = entry.tool().input_schema;
        if wants["properties"].get("wait_ms").is_some() {
            at_once(&mut arguments);
        }
        let caller = desk.caller(&json!({ "threadId": thread, "sessionId": thread }));
        let stop = Stop::default();
        let call = Call { desk: &desk, caller, forms: None, stop: &stop };
        match (entry.call)(&call, arguments) {
            Ok(value) => prop_assert!(value.is_object(), "{}: {value}", entry.name),
            Err(fault) => {
                prop_assert!(!fault.message.is_empty() && !fault.next_step.is_empty());
                prop_assert!(fault.code != crate::fault::Code::Internal, "{}: {fault:?}", entry.name);
            }
        }
    });
}
