//! What a stage reaches.

use super::{Canary, Near, can_be_confined, denials, standing, tried};
use crate::scratch::Scratch;

/// Asks that address for a page, by way of no proxy, and the same by way of one, also nearby.
const DIRECTLY: &str = "curl -sS -m 10 --noproxy '*'";
const POLITELY: &str = "curl -sS -m 10 --noproxy ''";

fn trying(caps: &str, command: &str) -> Scratch {
    let scratch = Scratch::with(&format!(
        "{caps}\n[pipelines.try]\nstages = [{{ id = \"it\", command = \"\"\"{command}\"\"\" }}]\n"
    ));
    scratch.git();
    scratch
}

#[test]
fn with_the_whole_network_a_stage_reaches_what_is_near() {
    let canary = Canary::new();
    let port = canary.port();
    let scratch = trying("", &format!("{DIRECTLY} -m 1 http://127.0.0.1:{port}/; true"));
    let run = tried(&scratch);
    assert!(canary.sang(), "what the other stories tell would be no wonder");
    assert!(scratch.manifest(&run)["caps"].is_null());
}

#[test]
fn without_a_network_a_stage_reaches_nobody_and_is_told_which_cap_it_is() {
    if !can_be_confined() {
        return;
    }
    let canary = Canary::new();
    let port = canary.port();
    let scratch = trying(
        "[caps.network]\nmode = \"none\"",
        &format!(
            "{DIRECTLY} http://127.0.0.1:{port}/; {POLITELY} http://127.0.0.1:{port}/ > near; \
             {POLITELY} http://far.example/ > far; {POLITELY} https://far.example/; true"
        ),
    );
    let run = tried(&scratch);
    assert!(!canary.sang(), "nobody comes");
    let told = scratch.text("far");
    assert!(told.contains("\"far.example:80\" to `caps.network.allow`"), "{told}");
    assert!(scratch.text("near").contains("caps.network"), "{}", scratch.text("near"));
    let unlisted = |what: &str| (what.to_owned(), "unlisted".to_owned(), 1);
    let denied = denials(&scratch, &run);
    assert_eq!(
        denied,
        [
            unlisted(&format!("127.0.0.1:{port}")),
            unlisted("far.example:80"),
            unlisted("far.example:443"),
        ]
    );
    let manifest = scratch.manifest(&run);
    assert_eq!(manifest["caps"]["effective"]["it"]["network"]["mode"], "none");
    assert_eq!(manifest["caps"]["denied"]["it"], 3);
    assert_eq!(manifest["caps"]["requested"][0]["origin"]["from"], "repo");
    let held = standing(&scratch, &run, "net.deny");
    assert!(held["proof"]["proven"].is_string(), "{held:#}");
    assert!(scratch.events(&run).iter().any(|event| event["event"] == "step_confined"));
}

#[test]
fn a_list_lets_through_what_is_on_it_and_nothing_else() {
    if !can_be_confined() {
        return;
    }
    let (near, canary) = (Near::start(), Canary::new());
    let (open, shut) = (near.port, canary.port());
    let scratch = trying(
        &format!("[caps.network]\nallow = [\"inner.example:{open}\", \"inner.example:{shut}\"]"),
        &format!(
            "{POLITELY} http://inner.example:{open}/ > reached; \
             {POLITELY} http://127.0.0.1:{open}/ > literal; \
             {POLITELY} http://other.example:{open}/ > other; \
             {DIRECTLY} http://127.0.0.1:{shut}/; true"
        ),
    );
    let unpinned = tried(&scratch);
    assert!(!scratch.text("reached").contains("hello"));
    assert_eq!(denials(&scratch, &unpinned).len(), 2, "a name that leads nowhere is none of them");
    let pins = "caps.network.pins={\"inner.example\"=[\"127.0.0.1\"]}";
    let answer = scratch.json(&["start", "try", "--task", "demo", "--config", pins]);
    assert_eq!(answer.code, 0, "{answer:?}");
    let run = answer.text("run_id");
    assert_eq!(scratch.text("reached"), "hello");
    for (name, host) in [("literal", "127.0.0.1"), ("other", "other.example")] {
        let told = scratch.text(name);
        assert!(told.contains(&format!("add \"{host}:{open}\" to")), "{told}");
    }
    assert!(!canary.sang(), "what is listed is reached through the proxy alone");
    assert_eq!(denials(&scratch, &run).len(), 2);
    assert_eq!(standing(&scratch, &run, "net.listed")["guarantee"], "net.listed");
}

#[test]
fn each_of_many_attempts_is_counted_and_few_are_told_by_themselves() {
    if !can_be_confined() {
        return;
    }
    let scratch = trying(
        "[caps.network]\nmode = \"none\"",
        "for _ in 1 2 3 4 5 6 7; do curl -sS http://far.example/; done; true",
    );
    let run = tried(&scratch);
    let counts: Vec<u64> = denials(&scratch, &run).iter().map(|denied| denied.2).collect();
    assert_eq!(counts.iter().sum::<u64>(), 7, "{counts:?}");
    assert!(counts.len() < 7, "{counts:?}");
    assert_eq!(scratch.manifest(&run)["caps"]["denied"]["it"], 7);
    let status = scratch.run(&["status", &run]).stdout;
    assert!(status.contains("denied   7 times, it"), "{status}");
}

#[test]
fn what_is_forwarded_is_where_it_is_outside() {
    if !can_be_confined() {
        return;
    }
    let (near, canary) = (Near::start(), Canary::new());
    let (open, shut) = (near.port, canary.port());
    let scratch = trying(
        &format!("[caps.network]\nmode = \"none\"\nforward = [\"127.0.0.1:{open}\"]"),
        &format!(
            "curl -sS -m 10 http://127.0.0.1:{open}/ > reached; \
             {DIRECTLY} http://127.0.0.1:{shut}/; true"
        ),
    );
    tried(&scratch);
    assert_eq!(scratch.text("reached"), "hello");
    assert!(!canary.sang());
}

#[test]
fn a_stage_that_is_held_to_nothing_runs_beside_one_that_is() {
    if !can_be_confined() {
        return;
    }
    let canary = Canary::new();
    let port = canary.port();
    let scratch = Scratch::with(&format!(
        r#"
[pipelines.try]
stages = [
  {{ id = "it", command = "{DIRECTLY} http://127.0.0.1:{port}/; true", caps.network.mode = "none" }},
  {{ id = "free", command = "{DIRECTLY} -m 1 http://127.0.0.1:{port}/; touch free" }},
]
"#
    ));
    let run = tried(&scratch);
    assert!(canary.sang(), "the second one");
    assert!(!canary.sang(), "and not the first");
    let manifest = scratch.manifest(&run);
    let confined: Vec<&String> =
        manifest["caps"]["effective"].as_object().expect("some").keys().collect();
    assert_eq!(confined, ["it"]);
}

#[test]
fn a_stage_that_rewrites_the_config_changes_nothing_for_its_run() {
    if !can_be_confined() {
        return;
    }
    let canary = Canary::new();
    let port = canary.port();
    let scratch = Scratch::with(&format!(
        r#"
[caps.network]
mode = "none"
[pipelines.try]
stages = [
  {{ id = "edit", command = "echo > .codex/orchestrator.toml" }},
  {{ id = "it", command = "{DIRECTLY} http://127.0.0.1:{port}/; true" }},
]
"#
    ));
    let run = tried(&scratch);
    assert_eq!(scratch.text(".codex/orchestrator.toml"), "\n", "it was edited");
    assert!(!canary.sang());
    assert_eq!(scratch.manifest(&run)["caps"]["effective"]["it"]["network"]["mode"], "none");
}
