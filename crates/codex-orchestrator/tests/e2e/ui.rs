//! The local page: to whom it is shown, what it shows, and what is done from it.

use std::{fs, net::TcpStream, process::Command};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{
    browser::{Browser, exchange},
    opened::key_of,
    person::Person,
    scratch::{Scratch, done, until, wait_for},
};

const PIPELINES: &str = r#"
[pipelines.ticks]
stages = [{ id = "tick", command = "echo begun; until [ -e go ]; do echo x >> ticks; sleep 0.02; done; echo over" }]
[pipelines.quick]
stages = [{ id = "say", command = "echo said" }]
[pipelines.bad]
stages = [{ id = "bad", command = "until [ -e good ]; do echo no; exit 3; done; echo yes" }]
"#;

/// That run, as the page names it.
fn named(scratch: &Scratch, run: &str) -> Value {
    json!({ "repo": scratch.repo(), "run": run })
}

/// The same and more.
fn with(mut body: Value, more: Value) -> Value {
    let more = more.as_object().expect("an object").clone();
    body.as_object_mut().expect("an object").extend(more);
    body
}

/// The runs of a group.
fn group<'a>(shown: &'a Value, name: &str) -> Vec<&'a str> {
    let groups = shown["groups"].as_array().expect("groups");
    let group = groups.iter().find(|group| group["group"] == name).expect("there is one");
    let runs = group["runs"].as_array().expect("runs").iter();
    runs.map(|run| run["run_id"].as_str().expect("an id")).collect()
}

#[test]
fn the_link_is_shown_to_a_person_at_a_terminal_and_to_nobody_else() {
    let scratch = Scratch::with(PIPELINES);
    let refused = |mut command: Command, why: &str| {
        let said = done(&mut command);
        assert_eq!((said.code, said.stdout.as_str()), (4, ""), "{said:?}");
        assert!(said.stderr.contains(why), "{said:?}");
        assert!(said.stderr.contains("hint: type `codex-orch ui`"), "{said:?}");
    };
    refused(scratch.command(&["ui"]), "at a terminal, and this is none");
    let mut session = scratch.command(&["ui"]);
    session.env("CODEX_THREAD_ID", "019a");
    refused(session, "the page is for a person");
    // Nor to a stage of a run, whatever it has for a terminal.
    let Some(person) = Person::at(&scratch) else { return };
    let stage =
        format!("exec -- script -qec \"'{}' ui\" /dev/null", crate::scratch::program().display());
    let said = person.types(&stage);
    assert_eq!(said.code, 4, "{said:?}");
    assert!(said.stdout.contains("the page is for a person"), "{said:?}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("it has one").port();
    let said = person.types(&format!("ui --port {port}"));
    assert_eq!(said.code, 4, "{said:?}");
    assert!(said.stdout.contains(&format!("port {port} is in use")), "{said:?}");
}

#[test]
fn a_key_lets_one_browser_in_and_enter_gives_another() {
    let scratch = Scratch::with(PIPELINES);
    let Some(mut page) = Browser::open(&scratch, "") else { return };
    assert_eq!(page.sees()["title"], "repo");
    page.page.press("\r");
    let link = page.page.hears("#k=");
    let key = key_of(&link);
    assert!(link.contains(&format!("127.0.0.1:{}", page.port)), "{link}");
    page.enter(&key).expect("it is good once");
    let (status, wrong) = page.enter(&key).expect_err("and no more than once");
    assert_eq!((status, wrong["code"].as_str()), (401, Some("unauthorized")));
    // Whoever has no token is told nothing.
    assert_eq!(page.ask("look", json!({})).expect_err("it is out").0, 401);
    assert_eq!(page.ask("nothing", json!({})).expect_err("it is out").0, 401);
    page.page.press("\u{3}");
    assert_eq!(page.page.ends(), 0);
    assert!(TcpStream::connect(("127.0.0.1", page.port)).is_err(), "nobody is there");
}

#[test]
fn what_happens_is_shown_as_it_happens() {
    let scratch = Scratch::with(PIPELINES);
    let Some(page) = Browser::open(&scratch, "") else { return };
    let empty = page.sees();
    assert!(group(&empty, "running").is_empty(), "{empty:#}");
    let same = page.does("look", json!({ "seen": empty["seen"], "wait_ms": 1 }));
    assert_eq!(same, json!({ "seen": empty["seen"], "unchanged": true }));
    let run = scratch.start("ticks");
    let shown =
        page.sees_that("it runs", json!({}), |shown| group(shown, "running") == [run.as_str()]);
    assert_eq!(shown["run"], Value::Null);
    // The same documents as commands print.
    let open = named(&scratch, &run);
    let status = |shown: &Value| shown["run"]["status"].as_str().map(ToOwned::to_owned);
    let shown = page.sees_that("it is open", open.clone(), |shown| status(shown).is_some());
    let printed = scratch.json(&["status", &run]).document;
    let names = |it: &Value| it.as_object().expect("one").keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&shown["run"]), names(&printed));
    fs::write(scratch.at("go"), "").expect("written");
    page.sees_that("it is over", open, |shown| {
        status(shown).as_deref() == Some("succeeded")
            && group(shown, "ready to be looked at") == [run.as_str()]
    });
    let wrong = page.does(
        "look",
        json!({ "repo": scratch.repo(), "run": "2026-11-23T08-31-48-668Z-71ab5e02" }),
    );
    assert!(
        wrong["run_error"]["message"].as_str().is_some_and(|text| text.contains("71ab5e02")),
        "{wrong:#}"
    );
}

#[test]
fn runs_are_controlled_and_go_on_without_the_page() {
    let scratch = Scratch::with(PIPELINES);
    let Some(page) = Browser::open(&scratch, "") else { return };
    let run = scratch.start("ticks");
    let it = named(&scratch, &run);
    wait_for("a tick", || !scratch.text("ticks").is_empty());
    let said = page.does("pause", it.clone());
    assert!(said["said"].as_str().is_some_and(|said| said.ends_with("is paused")), "{said}");
    let events = scratch.events(&run);
    let paused = events.iter().find(|event| event["event"] == "pause_requested").expect("one");
    assert_eq!(paused["actor"], "user", "{paused:#}");
    page.does("resume", it.clone());
    let ticks = scratch.text("ticks").len();
    wait_for("more ticks", || scratch.text("ticks").len() > ticks);
    page.is_refused("resume", it.clone(), "conflict");
    let wrong =
        page.is_refused("message", with(it.clone(), json!({ "text": "hello" })), "conflict");
    assert!(wrong["message"].as_str().is_some(), "{wrong}");
    page.is_refused("message", with(it.clone(), json!({ "text": " " })), "usage");
    // One that was killed is taken up again, in the background.
    scratch.kill_runner(&run);
    page.sees_that("it is interrupted", json!({}), |shown| {
        group(shown, "interrupted") == [run.as_str()]
    });
    page.does("resume", it.clone());
    assert_eq!(scratch.status(&run), "in_progress");
    // Whatever becomes of the page.
    drop(page);
    let ticks = scratch.text("ticks").len();
    wait_for("more ticks", || scratch.text("ticks").len() > ticks);
    let Some(page) = Browser::open(&scratch, "") else { return };
    page.does("cancel", with(it.clone(), json!({ "reason": "enough of it" })));
    assert_eq!(scratch.status(&run), "cancelled");
    let detail = &page.does("look", it.clone())["run"]["status_detail"];
    assert!(detail.as_str().is_some_and(|detail| detail.contains("enough of it")), "{detail}");
    let again = page.does("cancel", it);
    assert!(again["said"].as_str().is_some_and(|said| said.ends_with("already")), "{again}");
    // One that failed is tried again.
    let run = scratch.start("bad");
    let it = named(&scratch, &run);
    assert_eq!(scratch.await_end(&run).code, 1);
    fs::write(scratch.at("good"), "").expect("written");
    page.does("resume", it.clone());
    page.sees_that("it succeeds", it, |shown| shown["run"]["status"] == "succeeded");
}

#[test]
fn a_log_is_read_piece_by_piece() {
    let scratch = Scratch::with(PIPELINES);
    let Some(page) = Browser::open(&scratch, "") else { return };
    let run = scratch.start("ticks");
    let log = with(named(&scratch, &run), json!({ "stage": "tick" }));
    let begun = until("its first line", || {
        let piece = page.does("log", log.clone());
        (piece["text"] == "begun\n").then_some(piece)
    });
    assert_eq!((&begun["from"], &begun["next"]), (&json!(0), &json!(6)));
    fs::write(scratch.at("go"), "").expect("written");
    assert_eq!(scratch.await_end(&run).code, 0);
    let rest = page.does("log", with(log.clone(), json!({ "from": 6 })));
    assert_eq!(rest["text"], "over\n");
    assert_eq!(page.does("log", with(log.clone(), json!({ "tail": 5 })))["text"], "over\n");
    page.is_refused("log", with(log.clone(), json!({ "stage": "none" })), "not_found");
    page.is_refused("log", with(log.clone(), json!({ "from": -1 })), "usage");
    // What lies there instead is not waited for.
    let path = scratch.record(&run).join("stages");
    let path = fs::read_dir(path).expect("a folder").next().expect("a log").expect("it").path();
    fs::remove_file(&path).expect("removed");
    assert_eq!(page.does("log", log.clone())["deleted"], true);
    assert!(Command::new("mkfifo").arg(&path).status().expect("it runs").success());
    page.is_refused("log", log, "internal");
}

#[test]
fn it_is_for_one_repository_or_for_all() {
    let (one, other) = (Scratch::with(PIPELINES), Scratch::named("other"));
    other.config(PIPELINES);
    let run = one.json(&["start", "quick", "--task", "demo"]).text("run_id");
    let mut start = one.command(&["start", "quick", "--task", "demo", "--json"]);
    let there = done(start.current_dir(other.repo())).answer().text("run_id");
    let of_other = named(&other, &there);
    let Some(page) = Browser::open(&one, "") else { return };
    assert_eq!(group(&page.sees(), "ready to be looked at"), [run.as_str()]);
    let wrong =
        page.is_refused("log", with(of_other.clone(), json!({ "stage": "say" })), "not_found");
    assert!(
        wrong["next_step"].as_str().is_some_and(|next| next.contains("--all-repos")),
        "{wrong}"
    );
    page.is_refused("log", json!({ "repo": "/nowhere", "run": run, "stage": "say" }), "not_found");
    page.is_refused("diff", named(&one, &run), "not_found");
    drop(page);
    let Some(page) = Browser::open(&one, "--all-repos") else { return };
    assert_eq!(group(&page.sees(), "ready to be looked at"), [there.as_str(), run.as_str()]);
    assert_eq!(page.does("log", with(of_other, json!({ "stage": "say" })))["text"], "said\n");
}

/// A program that sends what it reads to a port, and prints what comes back; as another user, if one is
/// named. What it needs of its own it has read by then.
const SENDS: &str = "\
import os, socket, sys
'x'.encode('idna')
if len(sys.argv) > 2:
    os.setuid(int(sys.argv[2]))
there = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
there.sendall(sys.stdin.buffer.read())
print(there.makefile().read(), end='')
";

#[test]
fn no_agent_comes_in_though_it_has_the_token() {
    let scratch = Scratch::with(
        "pipelines.sends = { stages = [{ id = \"send\", command = \"python3 send.py $CODEX_ORCHESTRATOR_GOAL < request\" }] }",
    );
    fs::write(scratch.at("send.py"), SENDS).expect("written");
    let Some(page) = Browser::open(&scratch, "") else { return };
    let request = page.request("look", &json!({}));
    fs::write(scratch.at("request"), &request).expect("written");
    let send = |user: &[&str], thread: Option<&str>| {
        let port = page.port.to_string();
        let words = [&["send.py", &port], user].concat();
        let mut command = scratch.elsewhere("python3", &words);
        if let Some(thread) = thread {
            command.env("CODEX_THREAD_ID", thread);
        }
        command.stdin(fs::File::open(scratch.at("request")).expect("it is there"));
        done(&mut command).stdout
    };
    // The same bytes, from a program of the user's own.
    let answer = send(&[], None);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let answer = send(&[], Some("019a"));
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert!(answer.contains("is a Codex session's, which started it"), "{answer}");
    // A stage that is not confined can connect, and comes no further.
    let port = page.port.to_string();
    let run = scratch.json(&["start", "sends", "--task", "demo", "--goal", &port]).text("run_id");
    let said = scratch.run(&["logs", &run]).stdout;
    assert!(said.starts_with("HTTP/1.1 403"), "{said}");
    assert!(said.contains("is a run's, and this page is for a person"), "{said}");
    page.page.hears("turned away: ");
    // Nor does another user.
    if nix::unistd::geteuid().is_root() {
        let answer = send(&["65534"], None);
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
        assert!(answer.contains("another user's"), "{answer}");
    }
}

#[test]
fn no_page_of_another_origin_asks_in_its_name() {
    let scratch = Scratch::with(PIPELINES);
    let Some(page) = Browser::open(&scratch, "") else { return };
    let request = page.request("look", &json!({}));
    let send = |request: &str| {
        let stream = TcpStream::connect(("127.0.0.1", page.port)).expect("it is served");
        exchange(stream, request).expect("an answer").0
    };
    assert_eq!(send(&request), 200);
    let origin = format!("Origin: http://127.0.0.1:{}", page.port);
    assert_eq!(send(&request.replace(&origin, "Origin: http://127.0.0.1:1")), 403);
    assert_eq!(send(&request.replace(&origin, "X: y")), 403);
    let host = format!("Host: 127.0.0.1:{}", page.port);
    assert_eq!(send(&request.replace(&host, "Host: rebound.example")), 421);
}

#[test]
fn a_page_in_the_background_is_served_on() {
    let scratch = Scratch::with(PIPELINES);
    let program = crate::scratch::program();
    let line = format!(
        "set -m; '{}' ui --json > link & until [ -s link ]; do sleep 0.01; done; sleep 1000",
        program.display()
    );
    let mut command =
        scratch.elsewhere("script", &["-qec", &format!("bash -c \"{line}\""), "/dev/null"]);
    let Ok(mut shell) = command.spawn() else { return };
    let link = until("the link", || {
        serde_json::from_str::<Value>(&scratch.text("link"))
            .ok()
            .filter(|link| link["pid"].is_u64())
    });
    let pid = i32::try_from(link["pid"].as_i64().expect("a pid")).expect("a pid");
    let port = u16::try_from(link["port"].as_u64().expect("a port")).expect("a port");
    // What is typed is for the shell in front; reading it would stop the page.
    for _ in 0..3 {
        let request =
            format!("GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("it is served");
        assert_eq!(exchange(stream, &request).expect("an answer").0, 200);
        assert!(!crate::crowd::is_stopped(pid));
    }
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGTERM);
    wait_for("its end", || crate::processes::Seen::at(pid).is_none());
    let _ = shell.kill();
    let _ = shell.wait();
}
