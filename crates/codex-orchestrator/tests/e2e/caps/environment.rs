//! Which variables a stage is given.

use super::{can_be_confined, denials};
use crate::scratch::Scratch;

/// Prints its own environment, and those of all processes that it can see.
const LOOK: &str = r#"
[pipelines.try]
stages = [{ id = "it", command = "env > seen; cat /proc/[0-9]*/environ > all; true" }]
"#;

fn look(caps: &str, settings: &[&str]) -> (Scratch, String) {
    let scratch = Scratch::with(&format!("{caps}\n{LOOK}"));
    let mut command = scratch.command(&["start", "try", "--task", "demo"]);
    for setting in settings {
        command.args(["--config", setting]);
    }
    command
        .env("DEPLOY_TOKEN", "the-token")
        .env("WANTED", "the-wanted")
        .env("LD_LIBRARY_PATH", "/the-hook")
        .env("OPENAI_API_KEY", "the-key");
    let answer = scratch.run_json(&mut command);
    assert_eq!(answer.code, 0, "{answer:?}");
    assert_eq!(denials(&scratch, &answer.text("run_id")), []);
    let seen = scratch.text("seen");
    (scratch, seen)
}

#[test]
fn only_what_is_common_and_what_is_named_is_there() {
    if !can_be_confined() {
        return;
    }
    let caps = "[caps.env]\ninherit = \"core\"\npass = [\"WANTED\"]";
    let (scratch, seen) = look(caps, &[]);
    let all = scratch.text("all");
    for secret in ["the-token", "the-hook", "the-key"] {
        assert!(!seen.contains(secret) && !all.contains(secret), "{secret}: {seen}");
    }
    for there in ["WANTED=the-wanted", "PATH=", "HOME=", "CODEX_ORCHESTRATOR_RUN_ID="] {
        assert!(seen.contains(there), "{there}: {seen}");
    }
}

#[test]
fn a_secret_of_another_program_is_not_given_to_a_command() {
    if !can_be_confined() {
        return;
    }
    let caps = "[caps.env]\nsecrets = { codex = [\"OPENAI_API_KEY\"] }";
    let (scratch, seen) = look(caps, &[]);
    assert!(!seen.contains("the-key") && !scratch.text("all").contains("the-key"), "{seen}");
    assert!(seen.contains("the-token"), "of that nothing was said: {seen}");
}

#[test]
fn programs_are_told_where_the_way_out_is() {
    if !can_be_confined() {
        return;
    }
    let (_scratch, seen) = look("[caps.network]\nmode = \"none\"", &[]);
    for name in ["http_proxy", "HTTPS_PROXY", "all_proxy"] {
        assert!(seen.contains(&format!("{name}=http://127.0.0.1:1000\n")), "{seen}");
    }
    assert!(seen.contains("no_proxy=127.0.0.1,localhost,::1\n"), "{seen}");
    assert!(seen.contains("the-token"), "{seen}");
}
