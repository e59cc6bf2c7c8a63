//! Paths and words that name a run, and all that only looks as if it did: refused at once, without
//! anything being opened that lies there.

use std::{fs, os::unix::fs::symlink};

use nix::{sys::stat::Mode, unistd::mkfifo};
use serde_json::json;

use super::{
    mcp::{Server, text},
    scratch,
};

#[test]
fn a_run_is_named_by_its_manifest_or_by_a_part_of_its_id() {
    let scratch = scratch("");
    let mut server = Server::of(&scratch, "one");
    let wish = json!({ "pipeline": "quick", "task_id": "demo" });
    let run = text(&server.call("spawn", wish).given(), "run_id");
    let record = scratch.record(&run);
    let relative = format!(".runs/demo/cli/{run}");
    let link = scratch.folder().join("link");
    symlink(scratch.repo(), &link).unwrap();
    let tail = run.rsplit('-').next().unwrap();
    for name in [
        format!("{}/manifest.json", record.display()),
        record.display().to_string(),
        format!("{relative}/manifest.json"),
        format!("./{relative}/"),
        format!("{}/{relative}/manifest.json", link.display()),
        run.clone(),
        tail.to_owned(),
        run[..30].to_owned(),
    ] {
        let status = server.call("status", json!({ "manifest_path": name })).given();
        assert_eq!(status["run_id"], json!(run), "{name}");
    }
}

#[test]
fn what_only_looks_like_a_manifest_is_refused_and_not_opened() {
    let scratch = scratch("");
    let mut server = Server::of(&scratch, "one");
    let wish = json!({ "pipeline": "quick", "task_id": "demo" });
    let run = text(&server.call("spawn", wish).given(), "run_id");
    scratch.await_end(&run);
    let fake = scratch.at(".runs/demo/cli/2026-11-22T10-15-00-123Z-4f9a2c1b");
    let hard = scratch.at(".runs/demo/cli/2026-11-22T10-15-00-123Z-4f9a2c1c");
    let away = scratch.folder().join("away");
    for folder in [&fake, &hard, &away.join(format!(".runs/demo/cli/{run}"))] {
        fs::create_dir_all(folder).unwrap();
    }
    let pipe = fake.join("manifest.json");
    mkfifo(&pipe, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    fs::hard_link(scratch.record(&run).join("manifest.json"), hard.join("manifest.json")).unwrap();
    let long = "x/".repeat(5000);
    let inner = format!(".runs/demo/cli/{run}/manifest.json");
    let repo = scratch.repo().display();
    let bad = [
        pipe.display().to_string(),
        hard.join("manifest.json").display().to_string(),
        away.join(&inner).display().to_string(),
        format!("../repo/{inner}"),
        format!("{repo}/.runs/demo/../demo/cli/{run}/manifest.json"),
        format!("{repo}/./../repo/{inner}"),
        format!(".runs/other/cli/{run}/manifest.json"),
        format!("{repo}/{inner}\u{0}"),
        format!(".runs/demo/cli/{run}\u{0}/manifest.json"),
        format!("/home/other/{inner}"),
        format!("/home/somebody/repo/{inner}"),
        "/dev/stdin".to_owned(),
        "/dev/zero".to_owned(),
        "/dev/stdin/manifest.json".to_owned(),
        "/proc/kmsg".to_owned(),
        "manifest.json".to_owned(),
        "\u{fffd}\u{feff}".to_owned(),
        "%".to_owned(),
        "_".repeat(33),
        String::new(),
        " ".to_owned(),
        "x".repeat(10_000),
        long.clone(),
        format!("/{long}{inner}"),
        format!("{}{inner}", "./".repeat(5000)),
    ];
    for name in &bad {
        let run = json!({ "manifest_path": name });
        let parent = json!({ "pipeline": "quick", "parent_manifest_path": name });
        let asks = json!({ "prompt": "x", "parent_manifest_path": name });
        for (tool, words) in [
            ("status", run.clone()),
            ("log", run.clone()),
            ("result", run.clone()),
            ("cancel", run.clone()),
            ("question.list", run),
            ("spawn", parent),
            ("wait", json!({ "manifest_paths": [name] })),
            ("question.enqueue", asks),
        ] {
            let shown: String = name.chars().take(60).collect();
            let said = server.call(tool, words);
            let code = said.code();
            assert!(
                ["invalid", "not_found", "refused"].contains(&code),
                "{tool} {shown}: {said:?}"
            );
            // A model is to read it.
            assert!(said.value.to_string().len() < 2000, "{tool} {shown}");
        }
    }
    // A pipe, a device and a folder of somebody else's are no repositories.
    let pipe = pipe.display().to_string();
    for repo in
        ["/dev/zero", "/dev/stdin", "/proc/self/mem", &pipe, "\u{0}", "..", "/", &long[..5000]]
    {
        let said = server.call("spawn", json!({ "pipeline": "quick", "repo": repo }));
        let code = said.code();
        assert!(["invalid", "not_found", "refused"].contains(&code), "{repo:?}: {said:?}");
    }
    assert_eq!(super::spawns::runs(&scratch).len(), 1);
}
