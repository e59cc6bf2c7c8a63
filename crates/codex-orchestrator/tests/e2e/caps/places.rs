//! Where a cage cannot be had, nothing runs without one unless its user wants it so.

use std::fs;

use super::can_be_confined;
use crate::scratch::{Done, Scratch, done, program};

const CAPS: &str = r#"
[caps.network]
mode = "none"
[caps.fs]
write = ["@worktree"]
protect = ["@git"]
[pipelines.try]
stages = [{ id = "it", command = "touch ran" }]
"#;

/// The program where no user namespace can be made any more, as in many containers.
fn without_namespaces(scratch: &Scratch, words: &[&str]) -> Done {
    let line = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"";
    let program = program();
    let before = ["--user", "--map-root-user", "sh", "-c", line, "sh"];
    let mut command = scratch.elsewhere("unshare", &before);
    done(command.arg(program).args(words))
}

#[test]
fn where_a_cage_cannot_be_had_nothing_runs_and_the_way_out_is_said() {
    if !can_be_confined() {
        return;
    }
    let scratch = Scratch::with(CAPS);
    scratch.git();
    let refused = without_namespaces(&scratch, &["start", "try", "--task", "demo"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(!scratch.at("ran").exists(), "nothing of it ran");
    let said = format!("{}{}", refused.stdout, refused.stderr);
    for words in ["`net.deny`", "`fs.protect`", "(ENOSPC)", "max_user_namespaces"] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn whoever_wants_it_to_run_all_the_same_says_so_and_the_record_says_that_nothing_held_it() {
    if !can_be_confined() {
        return;
    }
    let scratch = Scratch::with(CAPS);
    scratch.git();
    let refused =
        scratch.run(&["start", "try", "--task", "demo", "--config", "caps.on_missing=warn"]);
    assert_eq!(refused.code, 0, "where there is a cage it is used: {refused:?}");
    fs::remove_file(scratch.at("ran")).expect("it ran");
    let own = scratch.folder().join(".codex");
    fs::create_dir(&own).expect("a folder");
    fs::write(own.join("orchestrator.toml"), "caps.on_missing = \"warn\"\n").expect("a config");
    let answer =
        without_namespaces(&scratch, &["start", "try", "--task", "demo", "--json"]).answer();
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(scratch.at("ran").exists());
    let manifest = scratch.manifest(&answer.text("run_id"));
    let enforced = manifest["caps"]["enforced"].as_object().expect("caps were asked for");
    assert_eq!(enforced.get("it"), Some(&serde_json::Value::Null), "{manifest:#}");
    assert!(answer.stderr.contains("not confined"), "{answer:?}");
}

#[test]
fn a_repository_does_not_say_that_it_runs_all_the_same() {
    let scratch = Scratch::with(
        &CAPS.replace("[caps.network]", "[caps]\non_missing = \"warn\"\n[caps.network]"),
    );
    let refused = scratch.run(&["start", "try", "--task", "demo"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("on_missing"), "{refused:?}");
    assert!(!scratch.at("ran").exists());
}

#[test]
fn the_doctor_tries_cages_and_says_what_is_missing_and_what_to_do() {
    if !can_be_confined() {
        return;
    }
    let scratch = Scratch::with(CAPS);
    let caps = |done: Done| {
        let document = done.answer().document;
        let checks = document["checks"].as_array().expect("checks").clone();
        let about = |check: &serde_json::Value| check["what"] == "caps";
        checks.into_iter().find(about)
    };
    let well = caps(scratch.run(&["doctor", "--json"])).expect("it is tried");
    assert_eq!(well["verdict"], "good", "{well:#}");
    let ill = caps(without_namespaces(&scratch, &["doctor", "--json"])).expect("it is tried");
    assert_eq!(ill["verdict"], "limited", "{ill:#}");
    assert!(ill["found"].as_str().is_some_and(|found| found.contains("`net.deny`")), "{ill:#}");
    let remedy = ill["remedy"].as_str().expect("a way out");
    assert!(remedy.contains("max_user_namespaces") && remedy.contains("--on-missing"), "{remedy}");
    assert_eq!(caps(scratch.run(&["doctor", "--quick", "--json"])), None);
}
