//! A command that is tried under caps.

use super::{Canary, can_be_confined};
use crate::scratch::Scratch;

const CONFIG: &str = r#"
[caps.network]
allow = ["a.example"]
[pipelines.build]
stages = [
  { id = "fetch", command = "true" },
  { id = "test", command = "true", caps = { network.mode = "none", fs.write = ["@worktree"] } },
]
"#;

#[test]
fn what_a_command_was_denied_is_said_with_the_key_that_would_allow_it() {
    if !can_be_confined() {
        return;
    }
    let scratch = Scratch::with(CONFIG);
    let line = "curl -sS http://far.example/; curl -s http://far.example/ >/dev/null; exit 7";
    let done = scratch.run(&["caps", "check", "--", "sh", "-c", line]);
    assert_eq!(done.code, 7, "{done:?}");
    assert!(done.stdout.contains("codex-orchestrator: "), "its output passes through: {done:?}");
    for words in [
        "it was held to net.listed, ",
        "denied far.example:80 2 times (unlisted)",
        "add \"far.example:80\" to `caps.network.allow`",
    ] {
        assert!(done.stderr.contains(words), "{words}: {done:?}");
    }
    let answer = scratch.run(&["caps", "check", "--json", "--", "sh", "-c", line]).answer();
    assert_eq!((answer.code, answer.document["exit_code"].as_u64()), (7, Some(7)), "{answer:?}");
    assert_eq!(answer.document["denied"][0]["count"], 2, "{answer:?}");
    assert_eq!(answer.document["confined"], true);
    assert_eq!(answer.document["enforced"]["walls"], "ns", "{answer:?}");
    assert!(scratch.run(&["status", &answer.text("run_id")]).stdout.contains("failed"));
}

#[test]
fn a_command_is_tried_under_the_caps_of_a_stage() {
    if !can_be_confined() {
        return;
    }
    let scratch = Scratch::with(CONFIG);
    let canary = Canary::new();
    let reach = format!("curl -sS --noproxy '*' http://127.0.0.1:{}/; touch ../x", canary.port());
    let words =
        ["caps", "check", "--pipeline", "build", "--stage", "test", "--", "sh", "-c", &reach];
    let done = scratch.run(&words);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(!canary.sang());
    assert!(done.stderr.contains("it was held to net.deny, fs.write, "), "{done:?}");
    assert!(done.stderr.contains("`Read-only file system` stands for `caps.fs.write`"), "{done:?}");
    assert!(!scratch.folder().join("x").exists());
    let unknown =
        scratch.run(&["caps", "check", "--pipeline", "build", "--stage", "x", "--", "true"]);
    assert_eq!(unknown.code, 3, "{unknown:?}");
}

#[test]
fn a_command_that_nothing_is_written_for_is_told_to_be_free() {
    let scratch =
        Scratch::with("[pipelines.check]\nstages = [{ id = \"it\", command = \"true\" }]");
    let done = scratch.run(&["caps", "check", "--", "true"]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.stderr.contains("nothing is written"), "{done:?}");
    let shown = scratch.run(&["caps", "--", "check", "it"]);
    assert!(shown.stdout.contains("network.mode = \"open\""), "{shown:?}");
}

#[test]
fn a_command_is_tried_as_in_a_delegated_run() {
    if !can_be_confined() {
        return;
    }
    let scratch = Scratch::with("");
    let words = ["caps", "check", "--", "touch", "../free"];
    assert_eq!(scratch.run(&words).code, 0);
    let words = ["caps", "check", "--delegated", "--", "touch", "../held"];
    // Where it cannot write, or in a folder for temporary files that goes with it.
    let held = scratch.run(&words);
    assert!(held.stderr.contains("it was held to net.deny, fs.write, "), "{held:?}");
    let names = ["free", "held"].map(|name| scratch.folder().join(name).exists());
    assert_eq!(names, [true, false]);
}
