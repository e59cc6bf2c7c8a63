//! What each command does for whoever types it.

use std::{
    fs,
    io::Write,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::{Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

use crate::{
    processes::Seen,
    scratch::{Done, Running, Scratch, until, wait_for},
};

/// Pipelines that end each in its way. What waits, waits for a file named `go`; what ticks adds a
/// line to the file named by its goal until it is stopped.
const PIPELINES: &str = r#"
run.grace = "1s"
[pipelines.good]
stages = [{ id = "one", command = "echo first" }, { id = "two", command = "printf second" }]
[pipelines.bad]
stages = [{ id = "one", command = "echo why; exit 3" }]
[pipelines.waits]
stages = [{ id = "wait", command = "echo waiting; until [ -e go ]; do sleep 0.02; done; echo gone" }]
[pipelines.ticks]
stages = [{ id = "tick", command = "while :; do echo x >> $CODEX_ORCHESTRATOR_GOAL; sleep 0.02; done" }]
"#;

fn tail(run: &str) -> &str {
    run.rsplit('-').next().expect("a tail")
}

#[test]
fn a_run_has_many_names() {
    let scratch = Scratch::with(PIPELINES);
    let older = scratch.json(&["start", "good", "--task", "one"]).text("run_id");
    let run = scratch.json(&["start", "good", "--task", "demo"]).text("run_id");
    let relative = format!(".runs/demo/cli/{run}/manifest.json");
    let absolute = scratch.at(&relative).display().to_string();
    let folder = format!(".runs/demo/cli/{run}");
    let names =
        [run.as_str(), tail(&run), &tail(&run)[..6], &run[..27], &relative, &absolute, &folder];
    for name in names {
        assert_eq!(scratch.json(&["status", name]).text("run_id"), run, "{name}");
        assert_eq!(scratch.json(&["status", "--run", name]).text("run_id"), run, "{name}");
    }
    assert_eq!(scratch.json(&["status"]).text("run_id"), run, "the latest");
    assert_eq!(scratch.json(&["status", "--task", "one"]).text("run_id"), older);
    let of_task = scratch.run_json(scratch.command(&["status"]).env("MCP_RUNNER_TASK_ID", "one"));
    assert_eq!(of_task.text("run_id"), older);

    // From a folder further down, and from elsewhere.
    fs::create_dir_all(scratch.at("a/b")).unwrap();
    for name in [tail(&run), &relative, &absolute] {
        let below =
            scratch.run_json(scratch.command(&["status", name]).current_dir(scratch.at("a/b")));
        assert_eq!(below.text("run_id"), run, "{name}");
    }
    let repo = scratch.repo().display().to_string();
    let away =
        scratch.run_json(scratch.command(&["status", &relative, "--repo", &repo]).current_dir("/"));
    assert_eq!(away.text("run_id"), run);

    // The path still names the run when what it leads to was deleted, and brings it back.
    fs::remove_dir_all(scratch.at(".runs")).unwrap();
    assert_eq!(scratch.json(&["status", &relative]).text("run_id"), run);
    assert_eq!(scratch.manifest(&run)["status"], json!("succeeded"));

    // What several runs begin with names none of them.
    let year = &run[..4];
    let many = scratch.run(&["status", year]);
    assert_eq!(many.code, 3, "{many:?}");
    assert!(many.stderr.contains(&run) && many.stderr.contains(&older), "{many:?}");
}

#[test]
fn a_path_names_a_run_through_links() {
    let scratch = Scratch::with(PIPELINES);
    fs::create_dir(scratch.folder().join("larger disk")).unwrap();
    symlink("../larger disk", scratch.at(".runs")).unwrap();
    symlink(scratch.repo(), scratch.folder().join("link")).unwrap();
    let run = scratch.start("waits");
    let inside = format!(".runs/demo/cli/{run}/manifest.json");
    let linked = scratch.folder().join("link").join(&inside).display().to_string();
    let real = scratch.folder().join("larger disk").join(&inside[".runs/".len()..]);
    for name in [&inside, &linked, &real.display().to_string()] {
        assert_eq!(scratch.run(&["pause", name]).code, 0, "{name}");
        assert_eq!(scratch.run(&["resume", name]).code, 0, "{name}");
    }
    // Another repository of the same user: a path is enough.
    let other = scratch.folder().join("other");
    fs::create_dir(&other).unwrap();
    let mut cancel = scratch.command(&["cancel", &linked]);
    assert!(cancel.current_dir(&other).output().expect("it runs").status.success());
    assert_eq!(scratch.status(&run), "cancelled");
}

#[test]
fn a_task_comes_from_where_one_stands() {
    let scratch = Scratch::named("my folder");
    scratch.config(PIPELINES);
    let task_of = |words: &[&str], env: &[(&str, &str)]| {
        let mut command = scratch.command(words);
        let answer = scratch.run_json(command.envs(env.iter().copied()));
        let from = answer.document["task_from"].as_str().map(ToOwned::to_owned);
        (answer.text("task_id"), from)
    };
    let said = |text: &str| Some(text.to_owned());
    let start = ["start", "good"];
    let variable = [("MCP_RUNNER_TASK_ID", "1203")];
    assert_eq!(task_of(&start, &[]), ("my-folder".into(), said("the folder's name")));
    scratch.git();
    assert_eq!(task_of(&start, &[]), ("main".into(), said("the branch name")));
    scratch.tell_git(&["checkout", "--quiet", "-b", "feature/Log in".replace(' ', "-").as_str()]);
    assert_eq!(task_of(&start, &[]), ("feature-Log-in".into(), said("the branch name")));
    let commit = scratch.tell_git(&["rev-parse", "HEAD"]).stdout;
    scratch.tell_git(&["checkout", "--quiet", "--detach"]);
    let (task, from) = task_of(&start, &[]);
    assert!(commit.starts_with(&task), "{task} {commit}");
    assert_eq!(from, said("the commit"));
    assert_eq!(task_of(&start, &variable), ("1203".into(), said("MCP_RUNNER_TASK_ID")));
    assert_eq!(task_of(&["start", "good", "--task", "x"], &variable), ("x".into(), None));
}

#[test]
fn exec_passes_everything_through() {
    let scratch = Scratch::new();
    let bytes: Vec<u8> = (0..300_000_u32).map(|at| (at * 7 % 256) as u8).collect();
    let mut cat = scratch
        .command(&["exec", "--", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdin = cat.stdin.take().expect("a pipe");
    let given = bytes.clone();
    let writer = std::thread::spawn(move || stdin.write_all(&given));
    let output = cat.wait_with_output().expect("it ends");
    writer.join().expect("it wrote").expect("all of it");
    assert!(output.status.success());
    assert!(output.stdout == bytes, "what came out is what went in");

    let exec = |words: &[&str]| scratch.run(&[&["exec", "--task", "demo", "--"], words].concat());
    let done = exec(&["sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!((done.code, done.stdout.as_str(), done.stderr.as_str()), (7, "out\n", "err\n"));
    assert_eq!(exec(&["sh", "-c", "kill -KILL $$"]).code, 137);
    assert_eq!(exec(&["true"]).code, 0);
    // Its flags are its own, also without `--`.
    let plain = scratch.run(&["exec", "--task", "demo", "printf", "%s", "--json"]);
    assert_eq!(plain.stdout, "--json", "{plain:?}");

    let answer =
        scratch.json(&["exec", "--task", "demo", "--json", "--", "sh", "-c", "echo hi; exit 9"]);
    assert_eq!((answer.code, &answer.document["exit_code"]), (9, &json!(9)));
    let log = scratch.record(&answer.text("run_id")).join("stages/01-command.log");
    assert_eq!(fs::read_to_string(log).unwrap(), "hi\n");
}

#[test]
fn exec_runs_where_it_was_typed() {
    let scratch = Scratch::new();
    scratch.git();
    fs::create_dir(scratch.at("below")).unwrap();
    let mut command = scratch.command(&["exec", "--", "pwd"]);
    let output = command.current_dir(scratch.at("below")).output().expect("it runs");
    let below = scratch.at("below").display().to_string();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim_end(), below);
}

#[test]
fn exec_minds_who_reads_its_output() {
    let scratch = Scratch::new();
    // Nobody from the beginning: the command runs all the same.
    let closed = |redirection: &str| {
        let program = crate::scratch::program().display().to_string();
        let line = format!(
            "'{program}' exec --task demo -- sh -c 'echo out; echo ran >> ran' {redirection}"
        );
        Done::of(&scratch.elsewhere("sh", &["-c", &line]).output().expect("it runs"))
    };
    for (redirection, times) in [(">&-", 1), (">&- 2>&-", 2), ("<&- >&- 2>&-", 3)] {
        let done = closed(redirection);
        assert_eq!(done.code, 0, "{redirection}: {done:?}");
        assert_eq!(scratch.text("ran").lines().count(), times, "{redirection}");
    }
    // One who has seen enough: the command learns of it.
    let program = crate::scratch::program().display().to_string();
    let line = format!("'{program}' exec -- yes | head -n 1");
    let done = Done::of(&scratch.elsewhere("sh", &["-c", &line]).output().expect("it runs"));
    assert_eq!(done.stdout, "y\n", "{done:?}");
    assert_eq!(scratch.json(&["status"]).text("status"), "failed");
}

#[test]
fn wait_ends_with_the_code_of_the_run() {
    let scratch = Scratch::with(PIPELINES);
    let good = scratch.start("good");
    assert_eq!(scratch.run(&["wait"]).code, 0);
    let bad = scratch.start("bad");
    assert_eq!(scratch.run(&["wait", &bad]).code, 1);
    let waits = scratch.start("waits");
    let late = scratch.json(&["wait", &waits, "--timeout", "10ms"]);
    assert_eq!((late.code, &late.document["timed_out"]), (8, &json!(true)));
    assert_eq!(late.document["runs"][0]["status"], json!("in_progress"));
    assert_eq!(scratch.run(&["wait", "--any", &waits, &good]).code, 0);
    assert_eq!(scratch.run(&["wait", "--any", &waits, &bad]).code, 1);
    let waiting = scratch.spawn(&["wait", &waits]);
    assert_eq!(scratch.run(&["cancel", &waits]).code, 0);
    assert_eq!(waiting.done().code, 5);
}

/// Starts a pipeline that ticks into a file, and waits for its first tick.
fn ticking(scratch: &Scratch, file: &str) -> String {
    let words = ["start", "ticks", "--task", "demo", "--goal", file, "--detach"];
    let run = scratch.json(&words).text("run_id");
    wait_for("a tick", || !scratch.text(file).is_empty());
    run
}

/// Waits until another run has ticked some more: time in which a third could have as well.
fn let_tick(scratch: &Scratch, file: &str) {
    let enough = scratch.text(file).len() + 20;
    wait_for("more ticks", || scratch.text(file).len() > enough);
}

#[test]
fn a_paused_run_stands_still_and_goes_on() {
    let scratch = Scratch::with(PIPELINES);
    let clock = ticking(&scratch, "clock");
    let run = ticking(&scratch, "paused");
    assert_eq!(scratch.json(&["pause", &run]).text("outcome"), "done");
    let before = scratch.text("paused");
    let_tick(&scratch, "clock");
    assert_eq!(scratch.text("paused"), before, "nothing of it runs");
    assert_eq!(scratch.status(&run), "paused");
    assert_eq!(scratch.json(&["pause", &run]).text("outcome"), "already");
    let resumed = scratch.json(&["resume", &run]);
    assert_eq!((resumed.code, resumed.text("status").as_str()), (0, "in_progress"));
    let_tick(&scratch, "paused");
    let again = scratch.run(&["resume", &run]);
    assert_eq!(again.code, 4, "{again:?}");
    assert!(again.stderr.contains("is running: there is nothing to resume"), "{again:?}");
    for run in [&run, &clock] {
        assert_eq!(scratch.json(&["cancel", run]).text("outcome"), "done");
        assert_eq!(scratch.json(&["cancel", run]).text("outcome"), "already");
    }
}

#[test]
fn a_cancel_leaves_nothing_of_a_tree_that_defends_itself() {
    // It ignores signals, leaves its session, drops its environment, and so do its children.
    let hostile = r#"
run.grace = "100ms"
[pipelines.hostile]
stages = [{ id = "defend", command = """
trap '' TERM INT HUP
env -i setsid sh -c 'trap "" TERM HUP; echo $$ > one; (sh -c "echo \\$\\$ > two; exec sleep 1000" &); while :; do sleep 0.02; done' &
echo $$ > zero
while :; do sleep 0.02; done
""" }]
"#;
    let scratch = Scratch::with(hostile);
    let run = scratch.start("hostile");
    let seen = ["zero", "one", "two"]
        .map(|file| until(file, || scratch.text(file).trim().parse().ok().and_then(Seen::at)));
    let cancelled = scratch.json(&["cancel", &run, "--reason", "enough of it"]);
    assert_eq!(cancelled.text("status"), "cancelled");
    assert!(seen.iter().all(|process| !process.lives()), "{seen:?}");
    assert_eq!(scratch.manifest(&run)["status_detail"], json!("enough of it"));
}

#[test]
fn resume_all_takes_up_what_does_not_go_on_by_itself() {
    let scratch = Scratch::with(PIPELINES);
    let (paused, killed) = (scratch.start("waits"), scratch.start("waits"));
    let cancelled = scratch.start("waits");
    assert_eq!(scratch.run(&["pause", &paused]).code, 0);
    assert_eq!(scratch.run(&["cancel", &cancelled]).code, 0);
    let runner = scratch.manifest(&killed)["host"]["pid"].as_i64().expect("a runner");
    kill(Pid::from_raw(i32::try_from(runner).unwrap()), Signal::SIGKILL).expect("it was alive");
    wait_for("its end", || scratch.status(&killed) == "interrupted");
    let resumed = scratch.json(&["resume", "--all"]);
    let runs: Vec<&Value> =
        resumed.document["runs"].as_array().unwrap().iter().map(|run| &run["run_id"]).collect();
    assert_eq!(runs, [&json!(paused), &json!(killed)], "{resumed:?}");
    fs::write(scratch.at("go"), "").unwrap();
    assert_eq!(scratch.run(&["wait", &paused, &killed]).code, 0);
    assert_eq!(scratch.status(&cancelled), "cancelled", "somebody wanted that");
    assert_eq!(scratch.json(&["resume", "--all"]).document["runs"], json!([]));
}

#[test]
fn prune_says_what_it_would_do_and_does_it_when_it_is_told_to() {
    let scratch = Scratch::with(PIPELINES);
    let good = scratch.json(&["start", "good", "--task", "done"]).text("run_id");
    scratch.json(&["start", "bad", "--task", "demo"]);
    let paused = scratch.start("waits");
    assert_eq!(scratch.run(&["pause", &paused]).code, 0);
    assert_eq!(scratch.json(&["prune"]).document["runs"], json!([]), "all are young");
    assert_eq!(scratch.json(&["prune", "--yes"]).document["runs"], json!([]));
    let would = scratch.json(&["prune", "--older-than", "0s"]).document;
    assert_eq!(would["removed"], json!(false));
    assert_eq!(would["runs"].as_array().unwrap().len(), 2, "{would}");
    assert!(would["bytes"].as_u64().unwrap() > 0);
    assert!(scratch.at(".runs/done/cli").join(&good).exists());
    let one = scratch.json(&["prune", "--older-than", "0s", "--task", "done", "--yes"]).document;
    assert_eq!((&one["removed"], &one["runs"][0]["run_id"]), (&json!(true), &json!(good)));
    assert!(!scratch.at(".runs/done").exists(), "the folders of the task go too");
    assert_eq!(scratch.run(&["status", &good]).code, 3);
    let rest = scratch.run(&["prune", "--older-than", "0s", "--yes"]);
    assert!(rest.stdout.contains("removed 1 run, "), "{rest:?}");
    assert_eq!(scratch.status(&paused), "paused", "what is not finished stays");
    assert!(scratch.record(&paused).join("manifest.json").exists());
}

#[test]
fn logs_are_the_bytes_that_the_stages_wrote() {
    let scratch = Scratch::with(PIPELINES);
    let run = scratch.json(&["start", "good", "--task", "demo"]).text("run_id");
    assert_eq!(scratch.run(&["logs"]).stdout, "==> one <==\nfirst\n\n==> two <==\nsecond");
    assert_eq!(scratch.run(&["logs", &run, "-s", "one"]).stdout, "first\n");
    assert_eq!(scratch.run(&["logs", &run, "-s", "2"]).stdout, "second");
    assert_eq!(scratch.run(&["logs", &run, "-s", "one", "-n", "0"]).stdout, "");
    let waits = scratch.start("waits");
    let following = scratch.spawn(&["logs", &waits, "--follow"]);
    let watching = scratch.spawn(&["status", &waits, "--watch"]);
    let counting = scratch.spawn(&["logs", &waits, "--follow", "--json"]);
    wait_for("the stage", || scratch.run(&["logs", &waits]).stdout == "waiting\n");
    fs::write(scratch.at("go"), "").unwrap();
    assert_eq!(following.done().stdout, "waiting\ngone\n");
    let counted = counting.done().answer().document;
    assert_eq!(counted["logs"][0]["bytes"], json!("waiting\ngone\n".len()), "{counted}");
    let watched = watching.done();
    assert_eq!(watched.code, 0);
    assert!(watched.stdout.ends_with("run succeeded\n"), "{watched:?}");
    assert!(!watched.stdout.contains('\x1b'), "{watched:?}");
}

#[test]
fn in_a_pipe_there_are_plain_lines() {
    let scratch = Scratch::with(PIPELINES);
    let mut command = scratch.command(&["start", "bad", "--task", "demo"]);
    let output = command.env_remove("NO_COLOR").env("TERM", "xterm-256color").output();
    let done = Done::of(&output.expect("it runs"));
    assert_eq!(done.code, 1);
    let lines: Vec<&str> = done.stdout.lines().collect();
    assert!(lines[0].ends_with(" of task demo: bad, 1 stage"), "{done:?}");
    assert_eq!(lines[1], "▸ one  echo why; exit 3");
    assert!(lines[2].starts_with("✗ one  ") && lines[2].ends_with("  exit code 3"), "{done:?}");
    assert_eq!(lines[3], "    why");
    assert!(lines[4].starts_with("    log: .runs/demo/cli/"), "{done:?}");
    assert!(scratch.at(lines[4].trim_start().trim_start_matches("log: ")).exists());
    assert!(lines[5].starts_with("✗ failed in "), "{done:?}");
    assert!(!done.stdout.contains('\x1b') && done.stderr.is_empty(), "{done:?}");
    // With JSON, standard output is for the document alone.
    let answer = scratch.json(&["start", "bad", "--task", "demo"]);
    assert!(answer.stderr.contains("✗ one  "), "{answer:?}");
}

#[test]
fn the_bare_command_says_what_to_type_next() {
    let scratch = Scratch::with(PIPELINES);
    let nothing = scratch.run::<&str>(&[]);
    assert!(nothing.stdout.contains("codex-orch start"), "{nothing:?}");
    let bad = scratch.json(&["start", "bad"]).text("run_id");
    let paused = scratch.start("waits");
    assert_eq!(scratch.run(&["pause", &paused]).code, 0);
    let shown = scratch.run::<&str>(&[]).stdout;
    for next in [format!("resume {}", tail(&paused)), format!("logs {}", tail(&bad))] {
        assert!(shown.contains(&format!("codex-orch {next}")), "{next}:\n{shown}");
    }
    // Seen from another repository, the command says which repository it is about.
    let other = scratch.folder().join("other");
    fs::create_dir(&other).unwrap();
    let all = scratch.run_json(scratch.command(&["--all-repos"]).current_dir(&other)).document;
    let next = all["groups"][1]["runs"][0]["next"].as_str().expect("a next step").to_owned();
    let words: Vec<&str> = next.split(' ').skip(1).collect();
    let done = scratch.command(&words).current_dir(&other).output().expect("it runs");
    assert!(done.status.success(), "{next}: {done:?}");
    assert_eq!(scratch.status(&paused), "in_progress");
}

#[test]
fn somebody_elses_record_is_shown_and_left_alone() {
    let scratch = Scratch::with(PIPELINES);
    let run = scratch.json(&["start", "bad", "--task", "demo"]).text("run_id");
    // The same repository, copied to somebody with a state folder of their own.
    let copy = scratch.folder().join("copy");
    let copied = Command::new("cp").args(["-r"]).arg(scratch.repo()).arg(&copy).status();
    assert!(copied.expect("cp").success());
    let elsewhere = |words: &[&str]| {
        let mut command = scratch.command(words);
        command.current_dir(&copy).env("CODEX_ORCHESTRATOR_HOME", scratch.folder().join("theirs"));
        Done::of(&command.output().expect("it runs"))
    };
    for name in [tail(&run).to_owned(), format!(".runs/demo/cli/{run}/manifest.json")] {
        let shown = elsewhere(&["status", &name]);
        assert_eq!(shown.code, 0, "{shown:?}");
        assert!(shown.stdout.contains("foreign record") && shown.stdout.contains("✗ failed"));
        assert_eq!(elsewhere(&["logs", &name]).stdout, "why\n");
        for control in ["resume", "cancel", "pause"] {
            let refused = elsewhere(&[control, &name]);
            assert_eq!(refused.code, 4, "{control}: {refused:?}");
            assert!(refused.stderr.contains("can only be looked at"), "{refused:?}");
        }
    }
    assert!(!scratch.folder().join("theirs").exists(), "looking leaves nothing");
}

#[test]
fn a_plan_is_what_start_does() {
    let scratch = Scratch::with(
        r#"
[pipelines.whole]
stages = [
  { id = "a", command = "echo a >> order" },
  { id = "b", pipeline = "part", needs = ["a"] },
  { id = "c", command = ["sh", "-c", "echo c >> order"], needs = ["b"], timeout = "5m", retries = 2 },
]
[pipelines.part]
stages = [{ id = "x", command = "echo x >> order", env = { K = "v" } }]
"#,
    );
    let plan = scratch.json(&["plan", "whole"]).document;
    assert!(!scratch.at("order").exists() && !scratch.at(".runs").exists(), "nothing is run");
    let started = scratch.json(&["start", "whole", "--task", "demo"]);
    let manifest = scratch.manifest(&started.text("run_id"));
    let ids = |document: &Value| -> Vec<(Value, Value)> {
        let rows = document.as_array().expect("rows").iter();
        rows.map(|row| (row["index"].clone(), row["id"].clone())).collect()
    };
    assert_eq!(ids(&plan["stages"]), ids(&manifest["commands"]));
    assert_eq!(scratch.text("order"), "a\nx\nc\n");
    let shown = scratch.run(&["plan", "whole"]).stdout;
    for piece in ["orchestrator.toml:4", "after b", "K=v", "at most 5m00s", "up to 3 tries"] {
        assert!(shown.contains(piece), "{piece}:\n{shown}");
    }
}

#[test]
fn what_is_for_shells_and_for_man_is_for_both_names() {
    let scratch = Scratch::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = scratch.run(&["completions", shell]).stdout;
        for name in ["codex-orch", "codex-orchestrator", "detach"] {
            assert!(script.contains(name), "{shell}: {name}");
        }
    }
    assert!(scratch.run(&["man"]).stdout.contains(".TH codex-orch 1"));
    let dir = scratch.at("man");
    assert_eq!(scratch.run(&["man", "--dir", &dir.display().to_string()]).code, 0);
    assert!(dir.join("codex-orch.1").exists() && dir.join("codex-orch-start.1").exists());
    assert!(!Path::new(&scratch.state()).exists(), "nothing was to be kept");
}

#[test]
fn a_background_run_does_not_need_who_started_it() {
    let scratch = Scratch::with(PIPELINES);
    let mut command = scratch.command(&["start", "waits", "--task", "demo", "--detach", "--json"]);
    let starter = Running::new(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn());
    let group = starter.pid();
    let answer = starter.done().answer();
    assert_eq!(answer.text("status"), "in_progress");
    let run = answer.text("run_id");
    assert!(scratch.record(&run).join("manifest.json").exists(), "it can be looked at");
    // Nobody is left of whoever started it.
    assert!(Seen::at(group).is_none());
    fs::write(scratch.at("go"), "").unwrap();
    assert_eq!(scratch.run(&["wait", &run]).code, 0);
}

#[test]
fn the_doctor_says_what_is_off_and_what_to_do_about_it() {
    let scratch = Scratch::with(PIPELINES);
    let checks = |answer: &Value| -> Vec<(String, String)> {
        let text = |check: &Value, key: &str| check[key].as_str().unwrap_or_default().to_owned();
        let checks = answer["checks"].as_array().expect("checks").iter();
        checks.map(|check| (text(check, "what"), text(check, "verdict"))).collect()
    };
    let well = scratch.json(&["doctor"]);
    assert_eq!((well.code, &well.document["ok"]), (0, &json!(true)), "{well:?}");
    let mode = fs::metadata(scratch.state()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "the state folder is made for its owner alone");
    let all = checks(&well.document);
    let quick = checks(&scratch.json(&["self-check"]).document);
    assert!(quick.len() < all.len() && all.starts_with(&quick), "{quick:?} {all:?}");
    let rungs = ["cgroup2", "freezer1", "pidns", "subreaper"];
    assert!(rungs.iter().all(|rung| all.iter().any(|(what, _)| what == rung)), "{all:?}");

    // A state folder that is a file, and a config with a fault in it.
    let file = scratch.folder().join("file");
    fs::write(&file, "").unwrap();
    scratch.config("run.grce = '1s'\n");
    let mut command = scratch.command(&["self-check"]);
    let ill = scratch.run_json(command.env("CODEX_ORCHESTRATOR_HOME", &file));
    assert_eq!((ill.code, &ill.document["ok"]), (1, &json!(false)), "{ill:?}");
    let off: Vec<&Value> = ill.document["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["verdict"] == json!("bad"))
        .collect();
    let names: Vec<&Value> = off.iter().map(|check| &check["what"]).collect();
    assert_eq!(names, [&json!("config"), &json!("state folder")], "{ill:?}");
    assert!(off.iter().all(|check| check["remedy"].is_string()), "{off:?}");
}

#[test]
fn a_setting_is_shown_with_where_it_comes_from() {
    let scratch = Scratch::with("run.grace = \"3s\"\nrun.max_parallel = 7\n");
    let mut command = scratch.command(&["config", "--config", "prune.older_than=5d"]);
    command.env("CODEX_CONFIG_OVERRIDES", "run.max_parallel=9");
    let shown = Done::of(&command.output().expect("it runs")).stdout;
    let line = |key: &str| {
        let begins = format!("{key} = ");
        let found = shown.lines().find(|line| line.starts_with(&begins));
        found.unwrap_or_else(|| panic!("{key}:\n{shown}"))
    };
    assert_eq!(line("run.grace"), "run.grace = \"3s\"  # .codex/orchestrator.toml:1");
    assert!(line("run.max_parallel").starts_with("run.max_parallel = 9  # CODEX_CONFIG_OVERRIDES"));
    assert!(line("prune.older_than").starts_with("prune.older_than = \"5d\"  # --config"));
    assert!(line("run.default_pipeline").ends_with("# built in"));
}

#[test]
fn lists_and_prunes_may_be_of_every_repository() {
    let scratch = Scratch::with(PIPELINES);
    let here = scratch.json(&["start", "good", "--task", "demo"]).text("run_id");
    let other = scratch.folder().join("other");
    fs::create_dir(&other).unwrap();
    let there = |words: &[&str]| scratch.run_json(scratch.command(words).current_dir(&other));
    let elsewhere = there(&["exec", "--task", "demo", "--json", "--", "true"]).text("run_id");
    let ids = |document: &Value| -> Vec<String> {
        let runs = document["runs"].as_array().expect("runs").iter();
        let mut ids: Vec<String> =
            runs.map(|run| run["run_id"].as_str().expect("an id").to_owned()).collect();
        ids.sort_unstable();
        ids
    };
    let mut both = vec![here.clone(), elsewhere];
    both.sort_unstable();
    assert_eq!(ids(&there(&["list", "--all-repos"]).document), both);
    assert_eq!(ids(&scratch.json(&["list"]).document), vec![here.clone()]);
    assert_eq!(ids(&scratch.json(&["list", "--status", "failed"]).document), Vec::<String>::new());
    assert_eq!(ids(&scratch.json(&["list", "--status", "succeeded", "-n", "1"]).document), [here]);
    let pruned = there(&["prune", "--all-repos", "--older-than", "0s", "--yes"]);
    assert_eq!(ids(&pruned.document), both);
    assert_eq!(ids(&there(&["list", "--all-repos"]).document), Vec::<String>::new());
}
