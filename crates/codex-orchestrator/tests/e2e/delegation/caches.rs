//! What a delegated run has of what its user has downloaded.

use std::{collections::BTreeMap, fs, path::Path, time::SystemTime};

use serde_json::{Value, json};

use super::mcp::{Server, text};
use crate::{
    caps::can_be_confined,
    packages::{Registry, toolchain},
    scratch::{Scratch, done},
};

/// A program that says what a crate tells it, and the pipelines that build it.
fn program(registry: &Registry) -> Scratch {
    let scratch = Scratch::with(
        r#"
[pipelines.build]
stages = [{ id = "it", command = "cargo build --offline && target/debug/app > said" }]
[pipelines.look]
stages = [{ id = "it", command = "ls ~/.cargo/registry/src/*/ > seen; touch ~/.cargo/bin/cargo" }]
"#,
    );
    let write = |name: &str, said: &str| {
        let path = scratch.at(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, said).expect("a file");
    };
    write(
        "Cargo.toml",
        "[package]\nname = \"app\"\nedition = \"2024\"\n[dependencies]\ntiny = \"1\"\n[workspace]\n",
    );
    write("src/main.rs", "fn main() { println!(\"{}\", tiny::HELLO); }\n");
    write(".gitignore", "/target\n/said\n/seen\n");
    let settings = scratch.folder().join(".cargo");
    fs::create_dir_all(settings.join("bin")).expect("a folder");
    fs::write(settings.join("config.toml"), registry.cargo_settings()).expect("settings");
    scratch
}

/// Every file below, with what it says and when it was written.
fn all(folder: &Path) -> BTreeMap<String, (Vec<u8>, SystemTime)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let written = path.metadata().and_then(|data| data.modified()).expect("a time");
        if path.is_dir() {
            found.extend(all(&path));
        }
        found.insert(path.display().to_string(), (fs::read(&path).unwrap_or_default(), written));
    }
    found
}

#[test]
fn a_delegated_run_builds_with_what_its_user_has_downloaded_and_changes_none_of_it() {
    if !can_be_confined() {
        return;
    }
    let tools = toolchain();
    let registry = Registry::start();
    let scratch = program(&registry);
    let mut fetch = scratch.elsewhere("cargo", &["fetch"]);
    let fetched = done(fetch.env("PATH", &tools));
    assert_eq!(fetched.code, 0, "{fetched:?}");
    scratch.git();
    let mine = scratch.folder().join(".cargo");
    // It has to be unpacked once more, which writes.
    fs::remove_dir_all(mine.join("registry/src")).expect("what was unpacked");
    let before = all(&mine);
    assert!(before.keys().any(|path| path.ends_with("tiny-1.0.0.crate")), "it was downloaded");
    let asked = registry.asked();

    let mut command = scratch.command(&["delegate-server"]);
    command.env("PATH", &tools);
    let mut session = Server::start(command, super::mcp::session("one"));
    let mut run = |pipeline: &str, caps: Value| {
        let wish = json!({ "pipeline": pipeline, "task_id": "demo", "caps": caps });
        let run = text(&session.call("spawn", wish).given(), "run_id");
        scratch.await_end(&run);
        run
    };
    let none = run("build", json!({ "fs": { "caches": "none" } }));
    assert_eq!(scratch.status(&none), "failed", "it cannot be unpacked");
    let built = run("build", json!({}));
    let log = scratch.run(&["logs", &built]);
    assert_eq!(scratch.status(&built), "succeeded", "{log:?}");
    assert_eq!(scratch.text("said"), "hello from tiny\n");
    assert_eq!(registry.asked(), asked, "nobody was asked for anything");
    let manifest = scratch.manifest(&built);
    assert_eq!(manifest["caps"]["effective"]["it"]["network"]["mode"], "none");
    let told = &manifest["caps"]["enforced"]["it"]["caches"];
    assert_eq!(told[0]["way"], "overlay", "{told:#}");
    assert!(all(&mine) == before, "what is the user's is as it was");

    let looked = run("look", json!({}));
    assert_eq!(scratch.status(&looked), "failed", "programs on the search path are not its own");
    assert_eq!(scratch.text("seen"), "tiny-1.0.0\n", "the next run finds what the last has made");
    assert!(all(&mine) == before, "and still is");
}

/// Says what is in caches, one that its user has and one that is only its own, and leaves something.
const LEAVE: &str = r#"
[caps.fs]
write = ["@worktree"]
[pipelines.leave]
stages = [{ id = "it", command = "for at in $GOMODCACHE ~/.npm; do mkdir -p $at; ls -A $at; date > $at/left; done > seen" }]
"#;

#[test]
fn what_a_delegated_run_leaves_in_a_cache_no_stage_of_a_person_sees_nor_the_other_way_round() {
    if !can_be_confined() {
        return;
    }
    let scratch = Scratch::with(LEAVE);
    let npm = scratch.folder().join(".npm");
    fs::create_dir(&npm).expect("a folder");
    fs::write(npm.join("mine"), "").expect("a file");
    scratch.git();
    let mut session = Server::of(&scratch, "one");
    let mut delegate = || {
        let wish = json!({ "pipeline": "leave", "task_id": "demo" });
        text(&session.call("spawn", wish).given(), "run_id")
    };
    let seen = |run: String| {
        scratch.await_end(&run);
        assert_eq!(scratch.status(&run), "succeeded", "{:?}", scratch.run(&["logs", &run]));
        scratch.text("seen")
    };
    let (nothing, own) = ("mine\n", "left\nleft\nmine\n");
    assert_eq!(seen(delegate()), nothing);
    assert_eq!(seen(scratch.start("leave")), nothing, "what an agent has left");
    assert_eq!(seen(delegate()), own, "the next delegated run is warm");
    assert_eq!(seen(scratch.start("leave")), own, "so is the next of a person");

    assert_eq!(scratch.run(&["prune", "--caches", "--yes"]).code, 0);
    assert_eq!(seen(delegate()), nothing, "all of them go");
    assert_eq!(seen(scratch.start("leave")), nothing);
    assert!(!npm.join("left").exists());
}
