//! A person is told of what happens, whoever is killed meanwhile, and no run waits for that.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

use crate::{
    hooks::{Deaf, Hook, Reply, take},
    processes::Seen,
    scratch::{Scratch, until, wait_for},
};

const PIPELINES: &str = r#"
[pipelines.good]
stages = [{ id = "one", command = "true" }]
[pipelines.bad]
stages = [{ id = "one", command = "echo why >&2; exit 3" }]
[pipelines.long]
stages = [{ id = "one", command = "until [ -e go ]; do sleep 0.02; done" }]
"#;

/// A repository with these pipelines, and what its user's own file says of notices.
fn scratch(notify: &str) -> Scratch {
    let scratch = Scratch::with(PIPELINES);
    set(&scratch, notify);
    scratch
}

fn set(scratch: &Scratch, notify: &str) {
    scratch.own_config(&format!("[notify]\n{notify}"));
}

/// The notices that a command has put into the file `told` of the repository, whole or not at all.
fn told(scratch: &Scratch) -> Vec<Value> {
    let text = scratch.text("told");
    text.lines().map(|line| serde_json::from_str(line).expect("a whole notice")).collect()
}

/// What puts them there.
fn keeps(scratch: &Scratch) -> String {
    format!("cat >> '{}'", scratch.at("told").display())
}

fn kinds(notices: &[Value]) -> Vec<String> {
    let kind = |notice: &Value| notice["kind"].as_str().expect("a kind").to_owned();
    notices.iter().map(kind).collect()
}

/// The process that tells people, if there is one.
fn notifier(scratch: &Scratch) -> Option<Seen> {
    let is_one = |pid: &i32| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.split(|&byte| byte == 0).any(|word| word == b"__notify")
    };
    scratch.processes().into_iter().filter(is_one).find_map(Seen::at)
}

/// Waits until nothing is left to be told, and nobody is at it.
fn all_told(scratch: &Scratch) {
    wait_for("the end of telling", || {
        let journal = rusqlite::Connection::open(scratch.journal()).expect("a journal");
        let left = journal.query_row("SELECT count(*) FROM notices", [], |row| row.get(0));
        left == Ok(0_i64) && notifier(scratch).is_none()
    });
}

/// What `doctor` finds of something, and whether that is good.
fn doctor(scratch: &Scratch, what: &str) -> Option<(bool, String)> {
    let answer = scratch.json(&["doctor", "--quick"]);
    let checks = answer.document["checks"].as_array().expect("checks").clone();
    let check = checks.into_iter().find(|check| check["what"] == what)?;
    Some((check["verdict"] == "good", check["found"].as_str().expect("a text").to_owned()))
}

/// A session with the delegation server.
struct Session {
    server: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    calls: u64,
}

impl Session {
    fn new(scratch: &Scratch) -> Self {
        let mut command: Command = scratch.command(&["delegate-server"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut server = command.spawn().expect("a server");
        let (to, from) = (server.stdin.take(), server.stdout.take());
        let from = BufReader::new(from.expect("its output"));
        let mut session = Self { server, to: to.expect("its input"), from, calls: 0 };
        let client = json!({"name": "test", "version": "1"});
        session.request(
            "initialize",
            &json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client}),
        );
        session.say(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        session
    }

    fn say(&mut self, message: &Value) {
        writeln!(self.to, "{message}").expect("it listens");
    }

    fn request(&mut self, method: &str, params: &Value) -> Value {
        self.calls += 1;
        let id = self.calls;
        self.say(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        loop {
            let mut line = String::new();
            assert_ne!(self.from.read_line(&mut line).expect("it answers"), 0, "{method}");
            let message: Value = serde_json::from_str(&line).expect("a message");
            if message["id"] == id {
                return message["result"].clone();
            }
        }
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> Value {
        let answer = self.request("tools/call", &json!({"name": tool, "arguments": arguments}));
        answer["structuredContent"].clone()
    }

    fn ask(&mut self, prompt: &str) -> String {
        let asked = self.call("delegate.question.enqueue", &json!({"prompt": prompt}));
        asked["question_id"].as_str().unwrap_or_else(|| panic!("{asked}")).to_owned()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[test]
fn a_person_is_told_of_questions_approvals_ends_and_failures() {
    let scratch = scratch("");
    let variables = "for name in KIND RUN_ID TASK_ID STATUS SUMMARY QUESTION_ID PROMPT \
        MANIFEST_PATH REPO_ROOT; do eval echo \"$name=\\$CODEX_ORCHESTRATOR_NOTICE_$name\"; done";
    let file = scratch.at("variables");
    let line = format!("{}; ({variables}) > '{}'", keeps(&scratch), file.display());
    let asks = "[confirm]\ncancel = 'always'";
    set(&scratch, &format!("command = '''{line}'''\n{asks}"));

    assert_eq!(scratch.run(&["start", "good", "--task", "demo"]).code, 0);
    assert_eq!(scratch.run(&["start", "bad", "--task", "demo"]).code, 1);
    let long = scratch.start("long");
    let mut session = Session::new(&scratch);
    let question = session.ask("Which port?");
    session.call("delegate.cancel", &json!({"manifest_path": long}));
    assert_eq!(scratch.run(&["cancel", &long]).code, 0);
    all_told(&scratch);

    let notices = told(&scratch);
    assert_eq!(kinds(&notices), ["ended", "failed", "question", "approval", "ended"]);
    let schema = scratch.json(&["schema", "notice"]).document;
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    for notice in &notices {
        assert!(validator.is_valid(notice), "{notice:#}");
        let manifest = notice["manifest"].as_str().expect("a path");
        let manifest = fs::read(manifest).expect("it is there");
        let manifest: Value = serde_json::from_slice(&manifest).expect("a manifest");
        assert_eq!(manifest["run_id"], notice["run_id"]);
    }
    let statuses: Vec<&Value> = notices.iter().map(|notice| &notice["status"]).collect();
    assert_eq!(statuses, ["succeeded", "failed", "succeeded", "succeeded", "cancelled"]);
    assert_eq!(notices[2]["question"]["question_id"], question);
    assert_eq!(notices[2]["question"]["prompt"], "Which port?");
    assert_eq!(notices[2]["next"], format!("codex-orch answer {question} TEXT"));
    let text = notices[1]["text"].as_str().expect("a text");
    assert!(text.contains("of task demo") && text.contains("`one` failed"), "{text}");
    // The variables are those of the last one.
    let said = scratch.text("variables");
    for line in ["KIND=ended", &format!("RUN_ID={long}"), "TASK_ID=demo", "STATUS=cancelled"] {
        assert!(said.lines().any(|said| said == line), "{line}: {said}");
    }
    assert!(said.contains(&format!("REPO_ROOT={}\n", scratch.repo().display())), "{said}");
    assert!(said.contains("PROMPT=\n"), "{said}");
    let manifest = scratch.record(&long).join("manifest.json");
    assert!(said.contains(&format!("MANIFEST_PATH={}\n", manifest.display())), "{said}");
    assert!(doctor(&scratch, "notify.command").expect("it is checked").0);
    assert_eq!(doctor(&scratch, "notices"), None);
}

#[test]
fn only_what_is_wanted_is_told_and_nobody_where_nothing_is_set() {
    let scratch = scratch("");
    set(&scratch, &format!("command = \"{}\"\non = ['failed']", keeps(&scratch)));
    scratch.run(&["start", "good"]);
    scratch.run(&["start", "bad"]);
    // What is given for one run is for that one alone.
    let elsewhere = format!("notify.command=cat >> '{}'", scratch.at("elsewhere").display());
    scratch.run(&["start", "bad", "--config", &elsewhere]);
    scratch.run(&["start", "bad", "--config", "notify.on=[]"]);
    all_told(&scratch);
    assert_eq!(kinds(&told(&scratch)), ["failed"]);
    assert_eq!(scratch.text("elsewhere").lines().count(), 1);

    let silent = Scratch::with(PIPELINES);
    silent.run(&["start", "bad"]);
    assert_eq!(notifier(&silent), None);
    assert_eq!(doctor(&silent, "notify.command"), None);
    all_told(&silent);
}

#[test]
fn nothing_of_a_repository_makes_a_command_run() {
    let scratch = scratch("");
    scratch.config(&format!("[notify]\ncommand = \"{}\"\n{PIPELINES}", keeps(&scratch)));
    let done = scratch.run(&["start", "good"]);
    assert_eq!(done.code, 2, "{done:?}");
    assert!(done.stderr.contains("a repository cannot say `notify.command`"), "{done:?}");
    assert!(!scratch.at("told").exists());
}

#[test]
fn an_address_that_fails_at_first_is_sent_it_again() {
    let hook = Hook::new(&[Reply::Status(500), Reply::Status(503), Reply::Status(200)]);
    let scratch = scratch(&format!("webhook = \"{}\"", hook.url()));
    scratch.run(&["start", "bad"]);
    scratch.run(&["start", "good"]);
    all_told(&scratch);
    let got = hook.got();
    assert_eq!(kinds(&got), ["failed", "failed", "failed", "ended"]);
    assert_eq!(got[0], got[2], "the same notice, with the same id");
    let (good, found) = doctor(&scratch, "notify.webhook").expect("it is checked");
    assert!(good && !found.contains("secret"), "{found}");
}

#[test]
fn an_address_behind_tls_is_sent_it_where_its_certificate_is_trusted() {
    let hook = Hook::secure(&[Reply::Status(200)]);
    let scratch = scratch(&format!("webhook = \"{}\"\nretries = 0", hook.url()));
    let authority = scratch.folder().join("authority.pem");
    fs::write(&authority, hook.authority.as_ref().expect("one")).expect("a file");
    scratch.run(&["start", "good"]);
    all_told(&scratch);
    assert_eq!(hook.got(), Vec::<Value>::new());
    let (good, found) = doctor(&scratch, "notify.webhook").expect("it is checked");
    assert!(!good && found.contains("1 notice given up"), "{found}");
    assert!(found.to_lowercase().contains("certificate"), "{found}");

    let mut command = scratch.command(&["start", "good"]);
    command.env("SSL_CERT_FILE", &authority).output().expect("it runs");
    all_told(&scratch);
    assert_eq!(kinds(&hook.got()), ["ended"]);
    assert!(doctor(&scratch, "notify.webhook").expect("it is checked").0);
}

#[test]
fn whoever_does_not_answer_holds_up_neither_a_run_nor_the_other_way() {
    let hook = Hook::new(&[Reply::Silence]);
    let webhook = format!("webhook = \"{}\"\ntimeout = '1h'", hook.url());
    let scratch = scratch(&webhook);
    set(&scratch, &format!("{webhook}\ncommand = \"{}\"", keeps(&scratch)));
    assert_eq!(scratch.run(&["start", "good"]).code, 0);
    wait_for("the first notice", || hook.got().len() == 1);
    // The address is still being waited for, for an hour; a run goes its way all the same, and so
    // does the command.
    assert_eq!(scratch.run(&["start", "bad"]).code, 1);
    wait_for("the other way", || kinds(&told(&scratch)) == ["ended", "failed"]);
    assert_eq!(hook.got().len(), 1);
    let (_, found) = doctor(&scratch, "notices").expect("some are left");
    assert!(found.starts_with("2 notices to be told"), "{found}");
}

#[test]
fn a_command_that_hangs_is_nothing_to_a_run() {
    let scratch = scratch("");
    let quiet = scratch.json(&["start", "bad", "--task", "demo"]);
    let begun = scratch.at("begun");
    let hangs = format!("echo >> '{}'; exec sleep 3600", begun.display());
    set(&scratch, &format!("command = \"{hangs}\"\ntimeout = '1h'"));
    let told = scratch.json(&["start", "bad", "--task", "demo"]);
    assert_eq!(told.code, quiet.code);
    wait_for("the command", || begun.exists());
    // It is still at it, and the run is over, has all its events, and left nobody of its own.
    assert!(notifier(&scratch).is_some());
    let events = |answer: &crate::scratch::Answer| {
        let events = scratch.events(&answer.text("run_id"));
        events.iter().map(|event| event["event"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(events(&told), events(&quiet));
    assert_eq!(scratch.status(&told.text("run_id")), "failed");
    assert_eq!(scratch.processes_of(&told.text("run_id")), Vec::<i32>::new());
}

#[test]
fn an_address_that_is_down_is_given_up_and_that_is_seen_until_it_works_again() {
    let deaf = Deaf::new();
    let scratch = scratch(&format!("webhook = \"{}\"\nretries = 0", deaf.url()));
    scratch.run(&["start", "good"]);
    scratch.run(&["start", "good"]);
    all_told(&scratch);
    let (good, found) = doctor(&scratch, "notify.webhook").expect("it is checked");
    assert!(!good && found.contains("2 notices given up"), "{found}");
    assert!(!found.contains("secret"), "{found}");
    let inbox = scratch.run(&["inbox"]);
    assert!(inbox.stderr.contains("you are not told"), "{inbox:?}");
    assert_eq!(inbox.stdout, "nothing waits for you\n");

    let listener = deaf.listens();
    scratch.run(&["start", "bad"]);
    let (stream, _) = listener.accept().expect("somebody comes");
    assert_eq!(take(stream).expect("a notice")["kind"], "failed");
    all_told(&scratch);
    assert!(doctor(&scratch, "notify.webhook").expect("it is checked").0);
    assert_eq!(scratch.run(&["inbox"]).stderr, "");
}

#[test]
fn whoever_tells_may_be_killed_and_it_is_told_at_the_next_look() {
    let scratch = scratch("");
    let (begun, go) = (scratch.at("begun"), scratch.at("go"));
    let line = format!(
        "echo >> '{}'; until [ -e '{}' ]; do sleep 0.02; done; {}",
        begun.display(),
        go.display(),
        keeps(&scratch)
    );
    set(&scratch, &format!("command = \"{line}\"\ntimeout = '1h'"));
    scratch.run(&["start", "good"]);
    scratch.run(&["start", "bad"]);
    for round in 1..=3 {
        let lines = || scratch.text("begun").lines().count();
        wait_for("another try", || lines() == round);
        let victim = until("whoever tells", || notifier(&scratch));
        kill(Pid::from_raw(victim.pid), Signal::SIGKILL).expect("it lives");
        wait_for("its end", || !victim.lives());
        // What it ran goes as well, so that only another one can tell.
        for pid in scratch.processes() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        wait_for("the end of all", || scratch.processes().is_empty());
        assert_eq!(told(&scratch), Vec::<Value>::new());
        if round == 3 {
            fs::write(&go, "").expect("a file");
        }
        assert_eq!(scratch.run(&["list"]).code, 0);
    }
    all_told(&scratch);
    assert_eq!(kinds(&told(&scratch)), ["ended", "failed"]);
}

#[test]
fn fifty_at_once_are_told_in_order() {
    let hook = Hook::new(&[Reply::Status(200)]);
    let scratch = scratch("");
    let ways = format!("command = \"{}\"\nwebhook = \"{}\"", keeps(&scratch), hook.url());
    set(&scratch, &ways);
    let mut session = Session::new(&scratch);
    let asked: Vec<String> = (0..50).map(|number| session.ask(&number.to_string())).collect();
    all_told(&scratch);
    for notices in [told(&scratch), hook.got()] {
        let ids: Vec<&str> = notices
            .iter()
            .filter_map(|notice| notice["question"]["question_id"].as_str())
            .collect();
        assert_eq!(ids, asked);
    }
}

#[test]
fn while_a_persons_file_cannot_be_read_nothing_is_lost() {
    let scratch = scratch("");
    let good = format!("command = \"{}\"", keeps(&scratch));
    set(&scratch, &good);
    let long = scratch.start("long");
    set(&scratch, "command = [[");
    fs::write(scratch.at("go"), "").expect("a file");
    scratch.await_end(&long);
    let journal = || rusqlite::Connection::open(scratch.journal()).expect("a journal");
    let failure = "SELECT failure FROM ways WHERE way = 'command'";
    let found = until("the failure", || {
        journal().query_row(failure, [], |row| row.get::<_, String>(0)).ok()
    });
    assert!(found.contains("orchestrator.toml"), "{found}");
    wait_for("the end of trying", || notifier(&scratch).is_none());
    assert_eq!(told(&scratch), Vec::<Value>::new());

    set(&scratch, &good);
    scratch.run(&["list"]);
    all_told(&scratch);
    assert_eq!(kinds(&told(&scratch)), ["ended"]);
}
