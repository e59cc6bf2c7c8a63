//! What a new run is started with, in repositories that git itself made.

use std::{
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use repo::{
    config::{self, Inputs, Loaded, NoPlan},
    locate::{Place, locate},
    prepare::{self, TASK_VARIABLE, TaskFrom},
};

/// A folder `name` in a folder of its own, and what keeps that.
fn folder(name: &OsStr) -> (tempfile::TempDir, PathBuf) {
    let kept = tempfile::tempdir().unwrap();
    let folder = fs::canonicalize(kept.path()).unwrap().join(name);
    fs::create_dir(&folder).unwrap();
    (kept, folder)
}

fn git(folder: &Path, words: &[&str]) -> String {
    let mut git = Command::new("git");
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"GIT_") {
            git.env_remove(name);
        }
    }
    let output = git
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .args(["-c", "user.name=A", "-c", "user.email=a@b.c"])
        .args(words)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "git {words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

fn place(folder: &Path) -> Place {
    locate(folder, None).unwrap()
}

fn load(folder: &Path) -> Loaded {
    config::load(&Inputs { repo: Some(folder), cpus: 2, ..Inputs::default() }).unwrap()
}

fn write_config(folder: &Path, text: &str) {
    fs::create_dir_all(folder.join(".codex")).unwrap();
    fs::write(folder.join(config::REPO_FILE), text).unwrap();
}

/// The stages of the plan of that name, or why there is none.
fn plan(folder: &Path, name: &str) -> Result<Vec<String>, NoPlan> {
    // Any file will do as a program: nothing is run to find out.
    let path = folder.with_file_name("bin");
    fs::create_dir_all(&path).unwrap();
    let cargo = path.join("cargo");
    fs::write(&cargo, "").unwrap();
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(cargo, permissions).unwrap();
    let plan = prepare::plan(&place(folder), &load(folder), name, path.as_os_str())?;
    assert_eq!(plan.pipeline, name);
    Ok(plan.stages.iter().map(|stage| stage.id.to_string()).collect())
}

#[test]
fn diagnostics_are_recognised_where_they_are_not_written() {
    let (_kept, at) = folder(OsStr::new("r"));
    let Err(NoPlan::NothingRecognised { advice }) = plan(&at, "diagnostics") else {
        panic!("there is nothing to recognise")
    };
    assert!(advice.starts_with("nothing was recognised here"), "{advice}");

    fs::write(at.join("Cargo.toml"), "[package]\nname = 'x'\nversion = '1.0.0'\n").unwrap();
    fs::create_dir(at.join("src")).unwrap();
    fs::write(at.join("src/lib.rs"), "").unwrap();
    let recognised = plan(&at, "diagnostics").unwrap();
    assert!(recognised.contains(&"build".to_owned()), "{recognised:?}");
    write_config(
        &at,
        "[pipelines.all]\nstages = [{ command = 'x' }, { pipeline = 'diagnostics' }]",
    );
    let all = plan(&at, "all").unwrap();
    assert!(all.contains(&"diagnostics/build".to_owned()), "{all:?}");

    write_config(&at, "[pipelines.diagnostics]\nstages = [{ id = 'own', command = 'x' }]");
    assert_eq!(plan(&at, "diagnostics"), Ok(vec!["own".to_owned()]));
}

#[test]
fn why_there_is_no_plan_is_one_of_three_reasons() {
    let (_kept, at) = folder(OsStr::new("r"));
    write_config(&at, "[pipelines.ci]\nstages = [{ command = 'x' }]");
    let Err(NoPlan::Unknown(unknown)) = plan(&at, "cj") else { panic!("there is no `cj`") };
    assert_eq!(unknown.hint().as_deref(), Some("did you mean `ci`?"));

    // What the user's own file runs may be there in other repositories only.
    let user = at.with_file_name("user");
    fs::write(&user, "[pipelines.mine]\nstages = [{ pipeline = 'theirs' }]").unwrap();
    let inputs = Inputs { repo: Some(&at), user_file: Some(user), cpus: 1, ..Inputs::default() };
    let loaded = config::load(&inputs).unwrap();
    let planned = prepare::plan(&place(&at), &loaded, "mine", OsStr::new(""));
    assert!(matches!(planned, Err(NoPlan::Unplannable(_))), "{planned:?}");
}

#[test]
fn the_facts_are_those_of_the_repository_and_of_what_holds_there() {
    let (_kept, at) = folder(OsStr::new("r"));
    git(&at, &["init", "-q", "-b", "topic"]);
    write_config(&at, "[run]\ngrace = '3s'\n[supervision]\nrung = 'subreaper'");
    git(&at, &["add", "."]);
    git(&at, &["commit", "-q", "-m", "first"]);
    let facts = |at: &Path| {
        let here = place(at);
        let asked = prepare::ask_git(&here);
        prepare::facts(&here, &load(at), asked, Duration::from_secs(30))
    };
    let found = facts(&at).unwrap();
    assert_eq!((found.grace_ms, found.supervision.as_str()), (3000, "subreaper"));
    assert_eq!(found.config.hash, load(&at).hash());
    assert_eq!(found.repo.root, at.to_str().unwrap());
    assert_eq!(found.repo.worktree, found.repo.root);
    assert_eq!(found.repo.branch.as_deref(), Some("topic"));
    assert_eq!(found.repo.commit, Some(git(&at, &["rev-parse", "HEAD"])));
    assert_eq!(found.repo.dirty, Some(false));
    fs::write(at.join("new"), "").unwrap();
    assert_eq!(facts(&at).unwrap().repo.dirty, Some(true));

    let (_kept, odd) = folder(OsStr::from_bytes(b"caf\xe9"));
    let error = facts(&odd).unwrap_err().to_string();
    assert!(error.ends_with("is not UTF-8, and records are"), "{error}");
    let (_kept, plain) = folder(OsStr::new("plain"));
    let plain = facts(&plain).unwrap().repo;
    assert_eq!((plain.branch, plain.commit, plain.dirty), (None, None, None));
}

#[test]
fn the_task_is_the_one_that_was_said_or_has_the_name_of_what_is_checked_out() {
    let (_kept, at) = folder(OsStr::new("The folder"));
    let task = |said, variable| {
        let (task, from) = prepare::task(&place(&at), said, variable).unwrap();
        (task.to_string(), from)
    };
    let named = |name: &str, from| (name.to_owned(), from);
    assert_eq!(task(None, None), named("The-folder", TaskFrom::Folder));
    git(&at, &["init", "-q", "-b", "feature/login"]);
    git(&at, &["commit", "-q", "--allow-empty", "-m", "first"]);
    assert_eq!(task(None, Some("")), named("feature-login", TaskFrom::Branch));
    git(&at, &["checkout", "-q", "--detach"]);
    let commit = git(&at, &["rev-parse", "HEAD"]);
    assert_eq!(task(None, None), named(&commit[..10], TaskFrom::Commit));
    assert_eq!(task(None, Some("1203")), named("1203", TaskFrom::Variable));
    assert_eq!(task(Some("7"), Some("1203")), named("7", TaskFrom::Said));

    let bad = prepare::task(&place(&at), None, Some("../x")).unwrap_err();
    assert_eq!(bad.from.as_str(), TASK_VARIABLE);
    assert!(bad.to_string().contains("../x"), "{bad}");
    assert!(prepare::task(&place(&at), Some(""), Some("1203")).is_err());
}
