//! Servers, runners and those between them are killed at random instants while questions and answers
//! fly. Whatever was killed and whenever: every question is there once and answered once, every poll
//! gives the answer that was acknowledged, and a parent that goes on with its cursor has heard of
//! everything once.
//!
//! `E2E_ROUNDS` says how many rounds to play and `E2E_SEED` which ones; a failure names its seed.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering},
    thread,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

use super::{
    mcp::{Said, Server, session, text},
    rounds,
};
use crate::{
    chance::Chance,
    scratch::{Running, Scratch, say, wait_for},
};

const CHILDREN: usize = 3;
const QUESTIONS: usize = 3;
/// So many are killed in a round.
const KILLS: usize = 8;

/// The stages are this program again, at the tests below that are ignored otherwise.
fn config() -> String {
    let test = std::env::current_exe().expect("a path");
    let test = test.display();
    let stage =
        |name: &str| format!("'{test}' --exact delegation::faults::{name} --ignored --nocapture");
    format!(
        r#"
[run]
grace = "100ms"
[pipelines.asks]
stages = [{{ id = "asks", command = "{}" }}, {{ id = "after", command = "true" }}]
[pipelines.leads]
stages = [{{ id = "leads", command = "{}" }}]
"#,
        stage("asks_in_a_stage"),
        stage("leads_in_a_stage"),
    )
}

fn rest() {
    thread::park_timeout(Duration::from_millis(10));
}

/// A server in a stage: it has its runner start the real one.
fn relay() -> Server {
    let mut command = Command::new(crate::scratch::program());
    command.arg("delegate-server").stderr(Stdio::null());
    Server::start(command, Value::Null)
}

/// Whoever writes a line may be killed while it does: what is torn is not there, and the next one
/// begins anew.
fn append(path: &Path, line: &Value) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).expect("a file");
    file.write_all(format!("\n{line}\n").as_bytes()).expect("room");
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// What a child does: it asks some questions, and keeps the answers.
#[test]
#[ignore = "it is a stage of the runs below"]
fn asks_in_a_stage() {
    let Ok(run) = std::env::var("CODEX_ORCHESTRATOR_RUN_ID") else { return };
    for each in 0..QUESTIONS {
        let wish = json!({
            "prompt": format!("{run} {each}?"), "key": format!("key {each}"),
            "auto_pause": each % 2 == 0,
        });
        let (id, answer) = 'answered: loop {
            let mut server = relay();
            let Some(asked) = server.try_call("question.enqueue", wish.clone()) else {
                rest();
                continue;
            };
            let id = text(&asked.given(), "question_id");
            let poll = json!({ "question_id": id, "wait_ms": 60_000 });
            while let Some(told) = server.try_call("question.poll", poll.clone()) {
                let told = told.given();
                match told["status"].as_str() {
                    Some("queued") => {}
                    Some("answered") => break 'answered (id, told["answer"].clone()),
                    other => panic!("{other:?}: {told:#}"),
                }
            }
        };
        append(Path::new("heard"), &json!({ "run": run, "id": id, "answer": answer }));
    }
}

#[test]
#[ignore = "it is a stage of the runs below"]
fn leads_in_a_stage() {
    if std::env::var_os("CODEX_ORCHESTRATOR_RUN_ID").is_some() {
        lead(Path::new(""), &mut relay, &AtomicI32::new(0));
    }
}

/// What a parent does: it starts its children, and answers until all of them are over. What it has
/// heard and said is written down as soon as it is, and it goes on from there when it begins anew.
fn lead(folder: &Path, start: &mut dyn FnMut() -> Server, pid: &AtomicI32) {
    let mut server = start();
    let mut call = |tool: &str, words: Value| -> Said {
        loop {
            pid.store(server.pid(), Ordering::Relaxed);
            if let Some(said) = server.try_call(tool, words.clone()) {
                return said;
            }
            rest();
            server = start();
        }
    };
    let mut children = Vec::new();
    for each in 0..CHILDREN {
        let wish = json!({ "pipeline": "asks", "key": format!("child {each}"), "task_id": "demo" });
        let spawned = loop {
            let said = call("spawn", wish.clone());
            // Its runner may be killed before there is a run: then there is none. So may git, while
            // it is still a fork of the server, when it is asked what is committed.
            let excused = ["internal", "confirmation_required"];
            match said.failed {
                false => break said.value,
                true => assert!(excused.contains(&said.code()), "{said:?}"),
            }
        };
        children.push(text(&spawned, "run_id"));
    }
    append(&folder.join("spawned"), &json!(children));
    let record = folder.join("told");
    let mut cursor = lines(&record).last().map_or(Value::Null, |last| last["cursor"].clone());
    loop {
        let told = call("wait", json!({ "cursor": cursor, "wait_ms": 60_000 })).given();
        cursor = told["cursor"].clone();
        // Before this is written down, it is told again to whoever goes on.
        append(&record, &told);
        // All that is open, and not only what is new: who was told of it may be dead.
        let listed = call("question.list", json!({ "limit": 50 })).given();
        let asked = listed["questions"].as_array().unwrap().iter();
        for asked in asked.filter(|asked| asked["kind"] == "question") {
            let id = text(asked, "question_id");
            let answer = format!("answer to {id}, number {}", number());
            let said = call("question.answer", json!({ "question_id": id, "answer": answer }));
            match said.failed {
                false => append(&folder.join("said"), &json!({ "id": id, "answer": answer })),
                // Somebody else was first; or it was heard, and nobody was left to say so.
                true => assert!(["conflict", "internal"].contains(&said.code()), "{said:?}"),
            }
        }
        let mut over = 0;
        for run in &children {
            let status = call("status", json!({ "manifest_path": run })).given();
            match status["status"].as_str() {
                Some("succeeded") => over += 1,
                // An answer may have taken it up just now.
                Some("interrupted") => {
                    call("pause", json!({ "manifest_path": run, "paused": false }));
                }
                Some("in_progress" | "paused" | "queued") => {}
                other => panic!("{other:?}: {status:#}"),
            }
        }
        if over == CHILDREN && have_all_ended(&record, &children) {
            return;
        }
    }
}

/// A number that is in no other answer.
fn number() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{}.{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Whether the ends of all of them have been told.
fn have_all_ended(record: &Path, children: &[String]) -> bool {
    let told = lines(record);
    let events = told.iter().flat_map(|told| told["events"].as_array().unwrap());
    let ended: Vec<&str> = events
        .filter(|event| event["kind"] == "ended")
        .map(|event| event["run_id"].as_str().unwrap())
        .collect();
    children.iter().all(|run| ended.contains(&run.as_str()))
}

/// Who leads.
#[derive(Clone, Copy, Debug)]
enum Parent {
    /// This test, as a session with a server that is killed and started again.
    Session,
    /// A run, which is killed with its stage and all, and resumed.
    Run,
}

#[test]
fn a_session_and_its_children_are_killed_at_any_instant_and_lose_nothing() {
    play(Parent::Session);
}

#[test]
fn a_run_and_its_children_are_killed_at_any_instant_and_lose_nothing() {
    play(Parent::Run);
}

fn play(parent: Parent) {
    let first = Chance::seed();
    for seed in first..first + rounds::count(4) {
        if let Err(fault) = std::panic::catch_unwind(|| Round::new(seed).play(parent)) {
            say(&format!("that was {parent:?} with E2E_SEED={seed} E2E_ROUNDS=1"));
            std::panic::resume_unwind(fault);
        }
    }
}

struct Round {
    scratch: Scratch,
    seed: u64,
}

impl Round {
    fn new(seed: u64) -> Self {
        let scratch = Scratch::delegating(&config());
        scratch.git();
        Self { scratch, seed }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.scratch.at(name)
    }

    fn play(&self, parent: Parent) {
        let over = AtomicBool::new(false);
        let server = AtomicI32::new(0);
        let killed = thread::scope(|scope| {
            let killer = scope.spawn(|| self.kill_some(&server, &over));
            // A panic has to end the other thread, too.
            let led = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| match parent {
                Parent::Session => self.lead_here(&server),
                Parent::Run => self.lead_by_a_run(),
            }));
            over.store(true, Ordering::Relaxed);
            let killed = killer.join().expect("nothing fails there");
            led.unwrap_or_else(|fault| std::panic::resume_unwind(fault));
            killed
        });
        self.check();
        let told = lines(&self.at("told")).len();
        say(&format!("seed {}: {told} waits, killed {}", self.seed, killed.join(", ")));
    }

    /// Kills one of those at random, now and then; says whom.
    fn kill_some(&self, server: &AtomicI32, over: &AtomicBool) -> Vec<String> {
        let mut chance = Chance::of(self.seed);
        let mut killed = Vec::new();
        while killed.len() < KILLS && !over.load(Ordering::Relaxed) {
            thread::park_timeout(Duration::from_micros(chance.below(120_000)));
            let server = server.load(Ordering::Relaxed);
            let others = self.scratch.processes().into_iter().filter(|pid| *pid != server);
            let doomed: Vec<(i32, &str)> =
                others.filter_map(|pid| Some((pid, name_of(pid)?))).collect();
            let (pid, name) = match chance.below(3) {
                0 if server > 0 => (server, "the parent's server"),
                _ if doomed.is_empty() => continue,
                _ => doomed[usize::try_from(chance.below(doomed.len() as u64)).unwrap()],
            };
            let signal = if chance.below(4) == 0 { Signal::SIGTERM } else { Signal::SIGKILL };
            if kill(Pid::from_raw(pid), signal).is_ok() {
                killed.push(format!("{name} by {signal}"));
            }
        }
        killed
    }

    /// Leads from here, while a person now and then answers first.
    fn lead_here(&self, server: &AtomicI32) {
        let mut chance = Chance::of(self.seed + 1);
        let mut people: Vec<(String, String, Running)> = Vec::new();
        let mut start = || {
            let inbox = self.scratch.run(&["inbox", "--json"]);
            let inbox: Value = serde_json::from_str(&inbox.stdout).unwrap_or_default();
            for asked in inbox["questions"].as_array().into_iter().flatten() {
                if chance.below(2) == 0 {
                    let id = text(asked, "question_id");
                    let answer = format!("answer to {id} by person {}", people.len());
                    let person = self.scratch.spawn(&["answer", &id, &answer, "--json"]);
                    people.push((id, answer, person));
                }
            }
            Server::start(self.scratch.command(&["delegate-server"]), session("one"))
        };
        lead(self.scratch.repo(), &mut start, server);
        for (id, answer, person) in people {
            let done = person.done();
            match done.code {
                0 => append(&self.at("said"), &json!({ "id": id, "answer": answer })),
                code => assert!([4, 9].contains(&code), "{done:?}"),
            }
        }
        server.store(0, Ordering::Relaxed);
    }

    fn lead_by_a_run(&self) {
        let server = || Server::start(self.scratch.command(&["delegate-server"]), session("one"));
        let wish = json!({
            "pipeline": "leads", "task_id": "demo", "key": "parent", "delegate_mode": "full",
        });
        let run = loop {
            match server().try_call("spawn", wish.clone()) {
                Some(said) if !said.failed => break text(&said.value, "run_id"),
                // It was killed, or its runner before it could say that it had begun.
                _ => rest(),
            }
        };
        wait_for("the parent's end", || {
            let status = self.scratch.json(&["status", &run]);
            match status.document["status"].as_str() {
                Some("succeeded") => true,
                Some("interrupted") => {
                    self.scratch.run(&["resume", &run, "--detach"]);
                    false
                }
                Some("in_progress" | "paused" | "queued") => false,
                _ => panic!("{}: {}", status.document, self.scratch.run(&["logs", &run]).stdout),
            }
        });
    }

    fn check(&self) {
        let children = lines(&self.at("spawned"));
        assert!(children.iter().all(|it| *it == children[0]), "one key is one run: {children:?}");
        let children: Vec<String> = serde_json::from_value(children[0].clone()).unwrap();
        // What is on record.
        let inbox = self.scratch.json(&["inbox", "--all", "--limit", "1000"]).document;
        let mut answers = BTreeMap::new();
        let asked = inbox["questions"].as_array().unwrap().iter();
        for asked in asked.filter(|asked| asked["kind"] == "question") {
            assert_eq!(asked["status"], "answered", "{asked:#}");
            let answer = asked["resolution"]["answer"].clone();
            assert_eq!(answers.insert(text(asked, "question_id"), answer), None);
        }
        assert_eq!(answers.len(), CHILDREN * QUESTIONS, "{inbox:#}");
        // What was acknowledged is what is on record, and nothing was acknowledged twice.
        let mut acknowledged = BTreeMap::new();
        for said in lines(&self.at("said")) {
            let id = text(&said, "id");
            assert_eq!(answers[&id], said["answer"], "it was acknowledged");
            assert_eq!(acknowledged.insert(id, said), None, "acknowledged twice");
        }
        // What every child has heard, however often it asked.
        for heard in lines(&self.at("heard")) {
            assert_eq!(answers[&text(&heard, "id")], heard["answer"], "{heard}");
        }
        // What the parent was told, against what has happened.
        let mut happened: BTreeMap<(String, String, Option<String>), usize> = BTreeMap::new();
        for run in &children {
            for event in self.scratch.events(run) {
                let kind = match event["event"].as_str().unwrap() {
                    "question_queued" => "question",
                    "run_interrupted" => "interrupted",
                    "run_completed" => "ended",
                    _ => continue,
                };
                let id = event["payload"]["question_id"].as_str().map(ToOwned::to_owned);
                *happened.entry((run.clone(), kind.to_owned(), id)).or_default() += 1;
            }
        }
        let mut told = BTreeMap::new();
        for event in lines(&self.at("told")).iter().flat_map(|it| it["events"].as_array().unwrap())
        {
            let id = event["question_id"].as_str().map(ToOwned::to_owned);
            *told.entry((text(event, "run_id"), text(event, "kind"), id)).or_default() += 1;
        }
        assert_eq!(told, happened, "each once, in any number of waits");
        let once = |kind: &str| {
            let of = happened.iter().filter(|((_, of, _), _)| of == kind);
            assert!(of.clone().all(|(_, count)| *count == 1), "{kind}: {happened:#?}");
            of.count()
        };
        assert_eq!((once("question"), once("ended")), (CHILDREN * QUESTIONS, CHILDREN));
    }
}

/// What a process is, if it is one to be killed. A stage that is killed by itself has failed, which
/// is another story.
fn name_of(pid: i32) -> Option<&'static str> {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = String::from_utf8_lossy(&words);
    let names = [("\0__run", "runner"), ("\0__serve", "server"), ("\0delegate-server", "relay")];
    names.into_iter().find(|(word, _)| words.contains(word)).map(|(_, name)| name)
}
