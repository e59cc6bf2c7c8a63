//! Bad input gets one clear error, the documented exit code, and changes nothing.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    os::unix::{ffi::OsStringExt, fs::symlink},
    path::{Path, PathBuf},
};

use nix::{sys::stat::Mode, unistd::mkfifo};
use serde_json::{Value, json};

use crate::scratch::Scratch;

/// A pipeline that would leave a trace in the repository if it were run.
const TRACE: &str = r#"
[pipelines.trace]
stages = [{ id = "leave", command = "echo ran >> trace" }]
"#;

/// Everything below a folder, with what is in it. What SQLite keeps beside a database while it is
/// read is nobody's record.
fn everything(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let entry = entry.expect("an entry");
            let kind = entry.file_type().expect("a kind");
            let path = entry.path();
            if entry.file_name().to_string_lossy().starts_with("journal.db") {
                continue;
            }
            if kind.is_dir() {
                folders.push(path.clone());
            }
            let held =
                if kind.is_file() { fs::read(&path).unwrap_or_default() } else { Vec::new() };
            found.insert(path, held);
        }
    }
    found
}

/// The words are refused with that code; what is said holds all of the given pieces; nothing is
/// changed by it, neither with `--json` nor without.
#[track_caller]
fn refused(scratch: &Scratch, words: &[&str], code: i32, says: &[&str]) {
    let words: Vec<OsString> = words.iter().map(OsString::from).collect();
    refused_with(scratch, &words, &[], code, says);
}

#[track_caller]
fn refused_with(
    scratch: &Scratch,
    words: &[OsString],
    env: &[(&str, &str)],
    code: i32,
    says: &[&str],
) {
    let before = everything(scratch.folder());
    let mut command = scratch.command(words);
    let output = command.envs(env.iter().copied()).output().expect("it runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{words:?}: {stderr}");
    assert_eq!(output.stdout, b"", "{words:?}");
    for piece in says {
        assert!(stderr.contains(piece), "{words:?}: `{piece}` is not in:\n{stderr}");
    }
    let errors = stderr.lines().filter(|line| line.starts_with("error: ")).count();
    assert_eq!(errors, 1, "{words:?}: one error:\n{stderr}");
    let plain = stderr.chars().all(|c| c == '\n' || !c.is_control());
    assert!(plain && stderr.len() < 2500, "{words:?}: a person reads it:\n{stderr:?}");

    let mut with_json = words.to_vec();
    with_json.insert(1, "--json".into());
    let mut command = scratch.command(&with_json);
    let output = command.envs(env.iter().copied()).output().expect("it runs");
    let document: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{with_json:?}: {error}: {output:?}"));
    assert_eq!(document["error"]["exit_code"], json!(code), "{with_json:?}: {document}");
    assert_eq!(output.status.code(), Some(code), "{with_json:?}");

    let after = everything(scratch.folder());
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>(), "{words:?}");
    assert!(before == after, "{words:?} changed what is in a file");
}

#[test]
fn a_task_id_that_could_be_no_folder() {
    let scratch = Scratch::with(TRACE);
    let long = "x".repeat(300);
    for (task, says) in [
        ("../x", "`../x` is not a task id: it has `..`"),
        ("", "it is empty"),
        (" ", "it is blank"),
        (&long, "it is too long"),
        ("a\u{7}b", r"`a\u{7}b` is not a task id: it has a control character"),
        ("a\nb", r"`a\nb` is not a task id"),
        ("-x", "`-x` is not a task id: it begins with something else"),
        ("a/b", "it has another character"),
        (".x", "it begins with something else"),
        ("日本", "it begins with something else"),
    ] {
        refused(&scratch, &["start", "trace", "--task", task], 2, &[says, "--task"]);
        refused(&scratch, &["exec", "--task", task, "--", "touch", "trace"], 2, &[says]);
        if !task.is_empty() {
            let words = ["start", "trace"].map(OsString::from);
            let variable = "MCP_RUNNER_TASK_ID";
            refused_with(&scratch, &words, &[(variable, task)], 2, &[says, variable]);
        }
    }
}

#[test]
fn a_word_that_no_command_knows() {
    let scratch = Scratch::with(TRACE);
    for (words, says) in [
        (&["strat"][..], &["unrecognized subcommand 'strat'", "'start'"][..]),
        (&["start", "trace", "--jsn"], &["unexpected argument '--jsn'", "'--json'"]),
        (&["start", "trace", "--detatch"], &["'--detatch'", "'--detach'"]),
        (&["start", "trace", "again"], &["unexpected argument 'again'"]),
        (&["start", "--format", "xml"], &["'xml'", "text, json"]),
        (&["wait", "--timeout", "soon"], &["`soon` is not a length of time", "`90s`"]),
        (&["wait", "--timeout", "-1s"], &["-1"]),
        (&["status", "--interval", "3"], &["--watch"]),
        (&["status", "a", "--run", "b"], &["cannot be used with"]),
        (&["resume", "a", "--all"], &["cannot be used with '--all'"]),
        (&["list", "--status", "failde"], &["`failde` is not a status", "failed"]),
        (&["list", "--limit", "many"], &["'many'"]),
        (&["list", "--task", "../x"], &["`../x` is not a task id"]),
        (&["prune", "--status", "in_progress"], &["are not finished, and stay"]),
        (&["prune", "--older-than", "x"], &["`x` is not a length of time"]),
        (&["schema", "manifst"], &["'manifst'", "'manifest'"]),
        (&["completions", "fsh"], &["'fsh'", "'fish'"]),
        (&["status", ""], &["the name of a run is empty"]),
        (&["status", "  "], &["the name of a run is empty"]),
        (&["exec"], &["<CMD>"]),
        (&["exec", "--"], &["<CMD>"]),
        (&["exec", "--", ""], &["the command is empty"]),
    ] {
        refused(&scratch, words, 2, says);
    }
    let bytes = [OsString::from("exec"), "--".into(), OsString::from_vec(vec![b'a', 0xff])];
    refused_with(&scratch, &bytes, &[], 2, &["invalid UTF-8"]);
}

#[test]
fn a_setting_that_is_none() {
    let scratch = Scratch::with(TRACE);
    for (setting, says) in [
        ("run.grce=1s", &["unknown key `grce`", "did you mean `grace`?"][..]),
        ("rnu.grace=1s", &["unknown key `rnu`", "did you mean `run`?"]),
        ("run.grace=abc", &["`\"abc\"`", "`90s`"]),
        ("run.grace", &["there is no `=` in it"]),
        ("", &["there is no `=` in it"]),
        ("run.max_parallel=-1", &["max_parallel"]),
        ("run.max_parallel=0", &["max_parallel"]),
        ("run.max_parallel=many", &["max_parallel"]),
    ] {
        let says: Vec<&str> = says.iter().copied().chain(["--config"]).collect();
        refused(&scratch, &["start", "trace", "--config", setting], 2, &says);
        refused(&scratch, &["config", "--config", setting], 2, &says);
    }
    let words = ["start", "trace"].map(OsString::from);
    for variable in ["CODEX_MCP_CONFIG_OVERRIDES", "CODEX_CONFIG_OVERRIDES"] {
        refused_with(&scratch, &words, &[(variable, "run.grce=1s")], 2, &[variable, "`grace`"]);
    }
}

#[test]
fn a_config_with_a_fault_in_it() {
    let file = ".codex/orchestrator.toml";
    for (fault, says) in [
        ("[pipelines.trace\n", &["orchestrator.toml:1:"][..]),
        ("x = \"\n", &["orchestrator.toml:1:"]),
        ("\nrun.grce = '1s'\n", &["orchestrator.toml:2:", "`grce`", "`grace`"]),
        ("run = 3\n", &["orchestrator.toml:1:", "`run` cannot be `3`"]),
        ("[pipelines.p]\nstages = 'a'\n", &["orchestrator.toml:2:", "`stages`"]),
        ("[pipelines.p]\nstages = []\n", &["orchestrator.toml:", "`p`", "no stages"]),
        ("[pipelines.p]\n", &["orchestrator.toml:1:", "stages"]),
        ("[pipelines.p]\nstages = [{ id = 'a' }]\n", &["orchestrator.toml:2:", "command"]),
        (
            "[pipelines.p]\nstages = [{ id = 'a', kind = 'comand', command = 'x' }]\n",
            &["orchestrator.toml:2:30:", "`\"comand\"`", "did you mean `command`?"],
        ),
        (
            "[pipelines.p]\nstages = [{ id = 'a', comand = 'x' }]\n",
            &["orchestrator.toml:2:", "`comand`", "`command`"],
        ),
        (
            "[pipelines.p]\nstages = [{ id = 'a', command = 'x' }, { id = 'a', command = 'x' }]\n",
            &["orchestrator.toml:2:", "`a`"],
        ),
        (
            "[pipelines.p]\nstages = [{ id = 'a', command = 'x', needs = ['bb'] }, { id = 'b', command = 'x' }]\n",
            &["orchestrator.toml:2:", "`bb`", "`b`"],
        ),
        (
            "[pipelines.p]\nstages = [{ id = 'a', command = 'x', needs = ['b'] }, { id = 'b', command = 'x', needs = ['a'] }]\n",
            &["orchestrator.toml:", "`a`", "`b`"],
        ),
        (
            "[pipelines.p]\nstages = [{ id = 'a', command = 'x', needs = ['a'] }]\n",
            &["orchestrator.toml:2:", "`a`"],
        ),
        (
            "[pipelines.p]\nstages = [{ id = 'a', pipeline = 'q' }]\n[pipelines.q]\nstages = [{ id = 'b', pipeline = 'p' }]\n",
            &["orchestrator.toml:", "`p`", "`q`"],
        ),
        (
            "[pipelines.p]\nstages = [{ id = 'a', pipeline = 'p' }]\n",
            &["orchestrator.toml:", "`p`"],
        ),
        (
            "[pipelines.p]\nstages = [{ id = 'a', pipeline = 'trcae' }]\n",
            &["orchestrator.toml:2:", "`trcae`", "`trace`"],
        ),
        (
            "[pipelines.p]\nstages = [{ id = '../a', command = 'x' }]\n",
            &["orchestrator.toml:2:18:", "`\"../a\"`"],
        ),
        (
            "[pipelines.p]\nstages = [{ id = 'a', command = 'x', timeout = 'soon' }]\n",
            &["orchestrator.toml:2:48:", "`\"soon\"`"],
        ),
        (
            "[pipelines.p]\nstages = [{ id = 'a', command = 'x', retries = -1 }]\n",
            &["orchestrator.toml:2:", "`retries`"],
        ),
        (
            "[pipelines.p]\nstages = [{ id = 'a', command = 7 }]\n",
            &["orchestrator.toml:2:", "`command`"],
        ),
    ] {
        // Where the pipeline itself is right, the fault stands before it: nothing is half read.
        let scratch = Scratch::with(&format!("{fault}{TRACE}"));
        refused(&scratch, &["start", "trace"], 2, says);
        refused(&scratch, &["plan", "trace"], 2, says);
        refused(&scratch, &["config", "check"], 2, says);
        assert!(scratch.at(file).exists());
    }
}

#[test]
fn an_older_config_with_a_fault_in_it() {
    for (text, says) in [
        ("{", &["codex.orchestrator.json:1:"][..]),
        ("{\n  \"pipelines\": [,]\n}", &["codex.orchestrator.json:2:"]),
        ("[]", &["codex.orchestrator.json"]),
        (
            "{\"pipelines\": [{\"id\": \"p\", \"stages\": [{\"id\": \"a\", \"kind\": \"comand\"}]}]}",
            &["codex.orchestrator.json:1:59:", "did you mean `command`?"],
        ),
        ("{\"pipelines\": [{\"id\": \"p\", \"stages\": []}]}", &["`p`", "no stages"]),
        (
            "{\"pipelines\": [{\"id\": \"p\", \"stages\": [{\"kind\": \"stage-set\", \"ref\": \"nope\"}]}]}",
            &["`nope`"],
        ),
    ] {
        let scratch = Scratch::new();
        fs::write(scratch.at("codex.orchestrator.json"), text).unwrap();
        refused(&scratch, &["start", "p"], 2, says);
        refused(&scratch, &["config", "check"], 2, says);
    }
}

#[test]
fn a_config_that_is_no_file() {
    for make in [
        (|path: &Path| fs::create_dir_all(path).unwrap()) as fn(&Path),
        |path| mkfifo(path, Mode::from_bits_truncate(0o644)).unwrap(),
        |path| symlink("/dev/zero", path).unwrap(),
        |path| fs::write(path, [0xff, 0xfe, b'x']).unwrap(),
    ] {
        for name in [".codex/orchestrator.toml", "codex.orchestrator.json"] {
            let scratch = Scratch::new();
            fs::create_dir(scratch.at(".codex")).unwrap();
            make(&scratch.at(name));
            refused(&scratch, &["start"], 2, &[name]);
            refused(&scratch, &["config", "check"], 2, &[name]);
        }
    }
}

#[test]
fn what_is_not_there() {
    let scratch = Scratch::with(TRACE);
    let long = "a".repeat(10_000);
    let deep = "/aaaaaaaaa".repeat(1_000);
    for (words, code, says) in [
        (&["start", "trcae"][..], 3, &["no pipeline `trcae`", "did you mean `trace`?"][..]),
        (&["plan", "\u{1b}[31mred"], 3, &[r"no pipeline `\u{1b}[31mred`", "`trace`"]),
        (&["start", &long], 3, &["no pipeline `aaa"]),
        (&["start", "trace", "--parent-run", "zzz"], 3, &["nothing has been run in"]),
        (&["exec", "--parent-run", "zzz", "--", "true"], 3, &["nothing has been run in"]),
        (&["status"], 3, &["nothing has been run in", "codex-orch start"]),
        (&["status", "zzz"], 3, &["nothing has been run in"]),
        (&["logs"], 3, &["nothing has been run in"]),
        (&["wait"], 3, &["nothing has been run in"]),
        (&["pause"], 3, &["nothing has been run in"]),
        (&["resume"], 3, &["nothing has been run in"]),
        (&["cancel"], 3, &["nothing has been run in"]),
        (&["status", "--repo", "/nope"], 3, &["`/nope`"]),
        (&["status", "--repo", "/dev/null"], 3, &["`/dev/null` is not a folder"]),
        (&["status", "nope/manifest.json"], 3, &["there is no manifest at `nope/manifest.json`"]),
        (&["status", &deep], 2, &["is too long"]),
        (&["status", "/dev/null"], 2, &["it is not a regular file"]),
        (&["status", "/dev/zero"], 2, &["it is not a regular file"]),
        (&["exec", "--", "no-such-program"], 127, &["`no-such-program` was not found"]),
        (&["exec", "fix the login bug"], 127, &["was not found", "codex exec 'fix the login bug'"]),
        (&["exec", "--", "ls | wc"], 127, &["sh -c"]),
        (&["exec", "--", "./.codex"], 126, &["is a folder"]),
        (&["exec", "--", "./.codex/orchestrator.toml"], 126, &["is not executable"]),
    ] {
        refused(&scratch, words, code, says);
    }
}

#[test]
fn a_repository_in_which_nothing_is_recognised() {
    let scratch = Scratch::new();
    refused(&scratch, &["start"], 2, &["nothing was recognised", "[pipelines.diagnostics]"]);
    refused(&scratch, &["plan"], 2, &["nothing was recognised", ".codex/orchestrator.toml"]);
}

#[test]
fn a_name_that_is_not_quite_that_of_a_run() {
    let scratch = Scratch::with(TRACE);
    let run = scratch.json(&["start", "trace", "--task", "demo"]).text("run_id");
    let tail = run.rsplit('-').next().expect("a tail");
    let near = format!("{}{}", &tail[..7], if tail.ends_with('0') { '1' } else { '0' });
    let hint = format!("did you mean `{tail}`?");
    for command in ["status", "logs", "wait", "pause", "resume", "cancel"] {
        refused(&scratch, &[command, &near], 3, &[&format!("no run `{near}` here"), &hint]);
    }
    refused(&scratch, &["status", "\u{1b}[31m"], 3, &[r"no run `\u{1b}[31m` here"]);
    refused(&scratch, &["status", "%"], 3, &["no run `%` here"]);
    refused(&scratch, &["status", "--task", "other"], 3, &["task `other` has no runs here"]);
    refused(&scratch, &["logs", &run, "--stage", "laeve"], 3, &["no stage `laeve`", "`leave`"]);
    refused(&scratch, &["pause", &run], 4, &["the run has ended already"]);
    refused(&scratch, &["resume", &run], 4, &["succeeded"]);
    refused(&scratch, &["cancel", &run], 4, &["the run has ended already"]);
    assert_eq!(scratch.text("trace"), "ran\n");
}

#[test]
fn a_manifest_that_is_none() {
    let scratch = Scratch::with(TRACE);
    let run = scratch.json(&["start", "trace", "--task", "demo"]).text("run_id");
    let good = fs::read(scratch.record(&run).join("manifest.json")).unwrap();
    let at = |name: &str| scratch.folder().join(name);
    fs::write(at("empty.json"), "").unwrap();
    fs::write(at("torn.json"), &good[..good.len() / 2]).unwrap();
    fs::write(at("other.json"), "{\"version\": 1}").unwrap();
    fs::write(at("binary.json"), [0xff, 0, 1]).unwrap();
    mkfifo(&at("fifo.json"), Mode::from_bits_truncate(0o644)).unwrap();
    fs::create_dir(at("folder.json")).unwrap();
    symlink(at("loop.json"), at("loop.json")).unwrap();
    symlink("/dev/zero", at("endless.json")).unwrap();
    for (name, code) in [
        ("empty", 2),
        ("torn", 2),
        ("other", 2),
        ("binary", 2),
        ("fifo", 2),
        ("endless", 2),
        ("folder", 3),
        ("loop", 3),
    ] {
        let path = at(&format!("{name}.json")).display().to_string();
        for command in ["status", "logs", "cancel", "resume"] {
            refused(&scratch, &[command, &path], code, &[&path]);
        }
    }
    // One that could be ours, and lies elsewhere, can be looked at and nothing else.
    fs::write(at("copy.json"), &good).unwrap();
    let path = at("copy.json").display().to_string();
    refused(&scratch, &["cancel", &path], 4, &["can only be looked at"]);
    refused(&scratch, &["resume", &path], 4, &["can only be looked at"]);
    let shown = scratch.json(&["status", &path]);
    assert_eq!(shown.document["foreign"], json!(true), "{shown:?}");
}
