//! What the processes of a run would like to do and may not, whatever they do to their environment,
//! their session and their parents.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::Path,
};

use serde_json::{Value, json};

use super::{
    inside::{Pipes, Talker},
    mcp::{Server, text},
    questions::{ask, entry, look},
    scratch,
};
use crate::scratch::{Scratch, say, wait_for};

/// A run that asks something, and whose stage then runs a script.
struct Doer {
    scratch: Scratch,
    run: String,
    inside: Server,
    question: String,
}

/// What a repository says so that its delegated runs are free, as far as it may say that.
const FULL_TRUST: &str = r#"
[caps]
network.mode = "open"
fs = { write = ["/"], tmp = "shared", unix_sockets = "allow" }
env.inherit = "all"
"#;

/// A repository whose delegated runs nothing holds but the rules of who may do what. They may be
/// delegated with every tool.
pub(super) fn free(settings: &str) -> Scratch {
    let scratch = scratch(&format!("{FULL_TRUST}{settings}"));
    scratch.own_config("delegate.child_mode = 'full'\ncaps.fs = { protect = [], hide = [] }\n");
    scratch
}

impl Doer {
    /// Nothing holds it but the rules of who may do what: caps, which would keep it from most of what
    /// it tries, are lifted.
    fn new(settings: &str, mode: &str) -> Self {
        let scratch = free(settings);
        fs::write(scratch.at("deed"), "until [ -e now ]; do sleep 0.01; done\n. ./now\n").unwrap();
        let mut session = Server::of(&scratch, "one");
        let grant = json!({ "pipeline": "does", "delegate_mode": mode });
        let child = Talker::spawn(&scratch, &mut session, "a", grant);
        let mut inside = child.pipes.connect();
        let question = ask(&mut inside, "may I?", json!({}));
        Self { scratch, run: child.run, inside, question }
    }

    /// What the script says, which is run in the stage.
    fn does(&self, script: &str) -> String {
        let orch = format!("orch='{}'\n", crate::scratch::program().display());
        // Whole at once: it is run as soon as it is there.
        let made = self.scratch.at("making");
        fs::write(&made, format!("{orch}{script}\necho the end\n")).unwrap();
        fs::rename(made, self.scratch.at("now")).unwrap();
        wait_for("the end of the script", || self.scratch.text("said").contains("the end"));
        self.scratch.text("said")
    }
}

/// Ways in which somebody who is in a tree pretends not to be, each in front of a command line in
/// quotes.
const DISGUISES: [&str; 8] = [
    "sh -c",
    "env -u CODEX_ORCHESTRATOR_RUN_ID sh -c",
    "env -i HOME=$HOME CODEX_ORCHESTRATOR_HOME=$CODEX_ORCHESTRATOR_HOME PATH=$PATH sh -c",
    "env CODEX_ORCHESTRATOR_RUN_ID=2026-11-22T10-15-00-123Z-4f9a2c1b sh -c",
    "env -i HOME=$HOME CODEX_ORCHESTRATOR_HOME=$CODEX_ORCHESTRATOR_HOME PATH=$PATH setsid -w sh -c",
    "prlimit --rttime=unlimited env -i HOME=$HOME CODEX_ORCHESTRATOR_HOME=$CODEX_ORCHESTRATOR_HOME PATH=$PATH sh -c",
    "forks_twice",
    "has_a_terminal",
];

/// Those that are commands of ours. What forks twice has no parent left but the one that holds its
/// tree; it is waited for by a file.
const OWN_DISGUISES: &str = r#"
forks_twice() {
  rm -f forked
  (env -i HOME=$HOME CODEX_ORCHESTRATOR_HOME=$CODEX_ORCHESTRATOR_HOME PATH=$PATH setsid sh -c "$1; touch forked" < /dev/null &)
  until [ -e forked ]; do sleep 0.01; done
}
has_a_terminal() { script -qec "$1" /dev/null < /dev/null; }
"#;

#[test]
fn no_process_of_a_run_answers_or_allows_what_the_run_asked() {
    let other = "[pipelines.other]\nstages = [{ id = 'x', command = 'true' }]";
    let doer = Doer::new(other, "full");
    let other = doer.scratch.start("slow");
    // Something that a person has to allow.
    let meta = json!({ "threadId": "boxed", "sessionId": "boxed" });
    let mut boxed = Server::start(doer.scratch.command(&["delegate-server"]), meta);
    let config = fs::read_to_string(doer.scratch.at(".codex/orchestrator.toml")).unwrap();
    doer.scratch.config(&config.replace("command = 'true'", "command = 'touch evil'"));
    assert_eq!(boxed.call("spawn", json!({ "pipeline": "other" })).code(), "confirmation_required");
    let confirmation = confirmation(&doer.scratch);
    let mut script = OWN_DISGUISES.to_owned();
    let orch = crate::scratch::program();
    for (at, disguise) in DISGUISES.iter().enumerate() {
        for deed in [
            format!("answer {} mine", doer.question),
            format!("dismiss {}", doer.question),
            format!("approve {confirmation}"),
            format!("deny {confirmation}"),
            format!("cancel {other}"),
            format!("pause {other}"),
            format!("cancel {}", doer.run),
            format!("pause {}", doer.run),
            "trust other --yes".to_owned(),
            "start slow --detach --task stolen".to_owned(),
        ] {
            // That it ran at all is seen by what it says.
            let line = format!(
                "{} {deed} > by.{at} 2>&1 && echo done: {at} {deed}; cat by.{at}",
                orch.display()
            );
            script += &format!("{disguise} \"{line}\"\n");
        }
    }
    let said = doer.does(&script);
    assert!(!said.contains("done:"), "{said}");
    // What has forked twice, or has a terminal of its own, need not be heard in time.
    assert!(said.matches("error:").count() >= (DISGUISES.len() - 2) * 10, "{said}");
    assert_eq!(entry(&doer.scratch, &doer.question)["status"], "open", "{said}");
    assert_eq!(entry(&doer.scratch, &confirmation)["status"], "open", "{said}");
    assert_eq!(doer.scratch.status(&other), "in_progress");
    assert_eq!(doer.scratch.status(&doer.run), "in_progress");
    let trusted = doer.scratch.json(&["trust", "other"]);
    assert_eq!(trusted.document["trusted"], false, "{trusted:?}");
    let stolen = doer.scratch.json(&["list", "--task", "stolen"]).document;
    assert_eq!(stolen["runs"], json!([]));
    // Whoever may, still may.
    assert_eq!(doer.scratch.json(&["answer", &doer.question, "you may not"]).code, 0);
}

/// The id of what a person is asked to allow.
fn confirmation(scratch: &Scratch) -> String {
    let inbox: Value = scratch.json(&["inbox"]).document;
    let asked = inbox["questions"].as_array().unwrap();
    text(asked.iter().find(|it| it["kind"] == "confirmation").unwrap(), "question_id")
}

/// The first words of a client, and one call.
fn words(scratch: &Scratch, method: &str, params: Value) {
    let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": { "name": "e2e", "version": "0" },
    }});
    let call = json!({ "jsonrpc": "2.0", "id": 2, "method": method, "params": params });
    fs::write(scratch.at("words"), format!("{hello}\n{call}\n")).unwrap();
}

/// A command in a stage that has lost its environment is a command of that stage all the same: it
/// reaches the run's own channel, and what it starts is the run's child.
#[test]
fn a_process_without_environment_is_still_of_its_run() {
    for disguise in &DISGUISES[1..6] {
        let mut doer = Doer::new("", "full");
        words(&doer.scratch, "tools/call", json!({ "name": "delegate.status", "arguments": {} }));
        // It hears the end of its input only when it has answered.
        let script = format!(
            "touch heard\n\
             {disguise} \"(cat words; until grep -q run_id heard; do sleep 0.01; done) | $orch delegate-server > heard\"\n\
             {disguise} \"$orch start quick --task demo > /dev/null\"\n"
        );
        let said = doer.does(&script);
        let heard = doer.scratch.text("heard");
        assert!(heard.contains(&format!("\"run_id\":\"{}\"", doer.run)), "{disguise}: {heard}");
        let status = doer.scratch.json(&["status", &doer.run]).document;
        let children = status["child_runs"].as_array().unwrap();
        assert_eq!(children.len(), 1, "{disguise}: {said}");
        assert_eq!(look(&mut doer.inside, &doer.question)["status"], "queued");
    }
}

/// What a child may that only asks.
const ASK: [&str; 4] = ["status", "wait", "question.enqueue", "question.poll"];

#[test]
fn a_run_does_not_make_itself_more_than_it_was_granted() {
    let wide = "delegate.child_mode = 'full'";
    let grants = [
        (json!({}), &ASK[..]),
        (json!({ "delegate_mode": "question_only" }), &ASK[..]),
        (json!({ "delegate_mode": "status_only" }), &ASK[..1]),
    ];
    for (grant, expected) in grants {
        let scratch = scratch("");
        let mut session = Server::of(&scratch, "one");
        let child = Talker::spawn(&scratch, &mut session, "a", grant);
        let config = fs::read_to_string(scratch.at(".codex/orchestrator.toml")).unwrap();
        let mut inside = child.pipes.connect();
        assert_eq!(inside.offered(), expected);
        // By writing what it wants into the config, or by breaking it.
        for text in [format!("{wide}\n{config}"), "[[[ broken".to_owned()] {
            scratch.config(&text);
            assert_eq!(inside.offered(), expected);
            let params = json!({ "name": "delegate.list", "arguments": {} });
            let id = inside.ask("tools/call", params);
            assert_eq!(inside.await_answer(id).unwrap()["error"]["code"], -32602);
        }
    }
    // Whoever a person started may what the config said then, and not what it says now.
    let scratch = scratch("");
    let pipes = Pipes::of(&scratch, "p");
    let started = scratch.json(&["start", "talks", "--goal", "p", "--task", "demo", "--detach"]);
    assert_eq!(started.code, 0, "{started:?}");
    let mut inside = pipes.connect();
    let config = fs::read_to_string(scratch.at(".codex/orchestrator.toml")).unwrap();
    for text in [format!("{wide}\n{config}"), "[[[ broken".to_owned()] {
        scratch.config(&text);
        assert_eq!(inside.offered(), ASK);
    }
}

/// By words on the command line of the server in the stage, and by its environment.
#[test]
fn a_server_in_a_stage_is_asked_for_more_in_vain() {
    let doer = Doer::new("", "question_only");
    words(&doer.scratch, "tools/list", json!({}));
    let wishes = [
        "$orch delegate-server --mode full",
        "$orch delegate-server --config delegate.mode=full --config delegate.child_mode=full",
        "env CODEX_CONFIG_OVERRIDES=delegate.child_mode=full $orch delegate-server --mode full",
        "env CODEX_MCP_CONFIG_OVERRIDES=delegate.child_mode=full $orch delegate-server --repo /",
    ];
    let script = wishes.iter().enumerate().map(|(at, wish)| {
        let until = format!("until grep -q outputSchema heard.{at}; do sleep 0.01; done");
        format!("touch heard.{at}\n(cat words; {until}) | {wish} > heard.{at}\n")
    });
    doer.does(&script.collect::<String>());
    for at in 0..wishes.len() {
        let heard = doer.scratch.text(&format!("heard.{at}"));
        assert!(heard.contains("delegate.question.poll"), "{at}: {heard}");
        assert!(!heard.contains("\"delegate.spawn\""), "{at}: {heard}");
    }
}

/// Is run in a stage, by the test below: connects what `VISIT` names, and says whether anybody
/// answers.
#[test]
#[ignore = "it is run by another one"]
fn visits_a_channel() {
    let Some(path) = std::env::var_os("VISIT") else { return };
    let mut channel = UnixStream::connect(Path::new(&path)).expect("a channel");
    let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": { "name": "e2e", "version": "0" },
    }});
    // Who is not welcome may be cut off before.
    let _ = writeln!(channel, "{hello}");
    let mut line = String::new();
    let _ = BufReader::new(channel).read_line(&mut line);
    let heard = line.contains("serverInfo");
    fs::write(std::env::var_os("VISITED").expect("a file"), heard.to_string()).unwrap();
}

#[test]
fn a_process_of_one_run_does_not_reach_the_channel_of_another() {
    let doer = Doer::new("", "question_only");
    let channels = || -> Vec<_> {
        let entries = fs::read_dir(doer.scratch.state().join("ch")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    let own = channels();
    assert_eq!(own.len(), 1);
    let other = doer.scratch.start("slow");
    wait_for("the other channel", || channels().len() == 2);
    let foreign = channels().into_iter().find(|path| !own.contains(path)).unwrap();
    let number = u64::from_str_radix(foreign.file_name().unwrap().to_str().unwrap(), 16).unwrap();
    let test = std::env::current_exe().unwrap().display().to_string();
    let words = ["--exact", "delegation::authority::visits_a_channel", "--ignored"];
    let visit = |path: &Path, name: &str, around: &str| {
        let (path, words) = (path.display(), words.join(" "));
        format!(
            "VISIT='{path}' VISITED=visited.{name} {around} '{test}' {words} > /dev/null 2>&1\n"
        )
    };
    let pretend = format!("env CODEX_ORCHESTRATOR_RUN_ID={other}");
    let script = [
        visit(&own[0], "own", ""),
        visit(&foreign, "plain", ""),
        visit(&foreign, "env", &pretend),
        visit(&foreign, "brand", &format!("{pretend} prlimit --rttime={number}:")),
        visit(&foreign, "none", &format!("{pretend} prlimit --rttime=unlimited:")),
    ];
    let said = doer.does(&script.concat());
    assert_eq!(doer.scratch.text("visited.own"), "true", "{said}");
    for name in ["plain", "env", "brand", "none"] {
        assert_eq!(doer.scratch.text(&format!("visited.{name}")), "false", "{name}: {said}");
    }
    // Nor does anybody who is in no tree at all.
    let mut command = doer.scratch.elsewhere(&test, &words);
    command.env("VISIT", &foreign).env("VISITED", doer.scratch.at("visited.outside"));
    command.env("CODEX_ORCHESTRATOR_RUN_ID", &other);
    assert!(command.output().unwrap().status.success());
    assert_eq!(doer.scratch.text("visited.outside"), "false");
}

/// A command in the shell of a Codex session is that session, and no person.
#[test]
fn a_command_of_a_session_does_not_answer_or_allow_for_a_person() {
    let scratch = scratch("");
    let mut session = Server::of(&scratch, "one");
    let id = ask(&mut session, "may I?", json!({}));
    let in_its_shell = |words: &[&str]| {
        let mut command = scratch.command(words);
        command.env("CODEX_THREAD_ID", "one").env("CODEX_SESSION_ID", "one");
        scratch.run_json(&mut command).code
    };
    assert_eq!(in_its_shell(&["answer", &id, "mine"]), 4);
    assert_eq!(in_its_shell(&["dismiss", &id]), 4);
    assert_eq!(look(&mut session, &id)["status"], "queued");
    // The same by what it descends from, at a terminal.
    let codex = scratch.folder().join("codex");
    std::os::unix::fs::symlink("/bin/sh", &codex).unwrap();
    let meta = json!({ "threadId": "boxed", "sessionId": "boxed" });
    let mut boxed = Server::start(scratch.command(&["delegate-server"]), meta);
    let config = fs::read_to_string(scratch.at(".codex/orchestrator.toml")).unwrap();
    scratch.config(&config.replace("echo done", "touch evil"));
    let said = boxed.call("spawn", json!({ "pipeline": "quick" }));
    assert_eq!(said.code(), "confirmation_required");
    let confirmation = confirmation(&scratch);
    for deed in [format!("approve {confirmation}"), "trust quick --yes".to_owned()] {
        let orch = crate::scratch::program();
        let line = format!("'{}' {deed} && touch allowed; true", orch.display());
        let line = format!("'{}' -c \"{line}\"", codex.display());
        let Ok(done) = scratch.elsewhere("script", &["-qec", &line, "/dev/null"]).output() else {
            say("skipped: `script` is not installed");
            return;
        };
        assert!(!scratch.at("allowed").exists(), "{deed}: {done:?}");
    }
    assert_eq!(entry(&scratch, &confirmation)["status"], "open");
    assert!(!scratch.at("evil").exists());
}
