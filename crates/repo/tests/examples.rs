//! The projects in `examples/` are what the README says of them: recognised, and healthy with the
//! tools that are installed here. Copies are used, since a run leaves its results behind.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use model::{CommandStage, Stage, StageBody};
use repo::survey::survey;

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if !entry.file_type().unwrap().is_dir() {
            fs::copy(entry.path(), target).unwrap();
        } else if entry.file_name() != "target" {
            copy(&entry.path(), &target);
        }
    }
}

struct Ground {
    kept: tempfile::TempDir,
    work: PathBuf,
}

impl Ground {
    fn with(example: &str) -> Self {
        let kept = tempfile::tempdir().unwrap();
        let work = kept.path().join(example);
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
        copy(&examples.join(example), &work);
        Self { kept, work }
    }

    fn stages(&self) -> Vec<Stage> {
        let found = survey(&self.work, &std::env::var_os("PATH").unwrap());
        for entry in &found.left_out {
            say(&format!("left out: {}: {}", entry.what, entry.why));
        }
        found.pipeline.map(|pipeline| pipeline.stages).unwrap_or_default()
    }

    /// Whether a stage succeeds, run as a run would run it.
    fn run(&self, stage: &CommandStage) -> bool {
        let folder = self.work.join(stage.cwd.as_deref().unwrap_or_default());
        let mut sh = Command::new("sh");
        sh.arg("-c").arg(stage.command.as_typed()).current_dir(folder).envs(&stage.env);
        sh.env("CODEX_ORCHESTRATOR_RUN_DIR", self.kept.path().join("run folder"));
        // A build of this project must not send the example's to its own target folder.
        for name in ["CARGO_TARGET_DIR", "RUSTFLAGS", "NODE_TEST_CONTEXT", "NODE_OPTIONS"] {
            sh.env_remove(name);
        }
        let output = sh.stdin(Stdio::null()).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        say(&format!("{}\n{}", stage.command.as_typed(), String::from_utf8_lossy(&text)));
        output.status.success()
    }
}

/// Shown when the test fails.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn command(stage: &Stage) -> &CommandStage {
    match &stage.body {
        StageBody::Command(command) => command,
        StageBody::Codex(_) | StageBody::Pipeline(_) => panic!("{stage:?}"),
    }
}

/// All stages of a healthy copy succeed, and the test fails once `broken` no longer says what it
/// said; `tests` is the id of the stage that notices. Without `tool` there is nothing to see.
#[track_caller]
fn check(example: &str, tool: &str, tests: &str, broken: &str) {
    let found = Command::new("sh").arg("-c").arg(format!("command -v {tool}")).output().unwrap();
    if !found.status.success() {
        return say(&format!("skipped: `{tool}` is not installed"));
    }
    let ground = Ground::with(example);
    let stages = ground.stages();
    assert!(stages.iter().any(|stage| stage.id.as_str() == tests), "{stages:?}");
    for stage in &stages {
        assert!(ground.run(command(stage)), "{}", stage.id);
    }

    let file = ground.work.join(broken);
    let text = fs::read_to_string(&file).unwrap();
    let changed =
        text.replace("everybody", "nobody").replace("not found", "gone").replace("Upper", "Lower");
    assert_ne!(changed, text, "the example has changed, and this test must");
    fs::write(&file, changed).unwrap();
    for stage in &stages {
        let fails = !ground.run(command(stage));
        assert_eq!(fails, stage.id.as_str() == tests, "{}", stage.id);
    }
}

#[test]
fn rust() {
    // The word is in the test too, which must not follow.
    let ground = Ground::with("rust");
    let stages = ground.stages();
    let ids: Vec<&str> = stages.iter().map(|stage| stage.id.as_str()).collect();
    assert_eq!((ids.first(), ids.last()), (Some(&"build"), Some(&"test")));
    assert!(stages.iter().all(|stage| ground.run(command(stage))));
    let file = ground.work.join("src/lib.rs");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen("everybody!", "nobody!", 1)).unwrap();
    let failed = stages.iter().filter(|stage| !ground.run(command(stage)));
    assert_eq!(failed.map(|stage| stage.id.as_str()).collect::<Vec<_>>(), ["test"]);
}

#[test]
fn node() {
    check("node", "npm", "test", "greeting.js");
}

#[test]
fn python() {
    check("python", "python3", "test", "src/greeting/__init__.py");
}

#[test]
fn go() {
    check("go", "go", "test", "greeting.go");
}

#[test]
fn c_make() {
    check("c-make", "make", "test", "Makefile");
}

#[test]
fn cmake() {
    check("cmake", "ctest", "test", "greeting.c");
}

#[test]
fn monorepo() {
    check("monorepo", "npm", "web:test", "web/title.js");
    check("monorepo", "python3", "service:test", "service/service.py");
}
