//! Hosts that a stage reaches for and a person is asked for.

use serde_json::Value;

use super::{Near, can_be_confined, denials};
use crate::{
    person::Person,
    scratch::{Scratch, wait_for},
};

const PIN: &str = "caps.network.pins={\"near.example\"=[\"127.0.0.1\"]}";

/// A repository that lets a person be asked for all hosts, or for some.
fn asking(most: &str, stages: &str) -> Scratch {
    let scratch = Scratch::with(&format!(
        "[caps]\nask = true\nmax_network = \"{most}\"\n[caps.network]\nmode = \"none\"\n\
         allow = [\"near.example:9\", \"b.example\"]\n[pipelines.try]\nmax_parallel = 2\nstages = [{stages}]\n"
    ));
    scratch.git();
    scratch
}

/// A stage that runs that line.
fn stage(id: &str, line: &str) -> String {
    format!("{{ id = \"{id}\", command = \"\"\"{line}\"\"\" }},")
}

/// Asks for a page until it is there.
fn until_reached(port: u16, to: &str) -> String {
    format!(
        "until curl -sS http://near.example:{port}/ > {to} && grep -q hello {to}; do sleep 0.1; done"
    )
}

fn begun(scratch: &Scratch) -> String {
    scratch.json(&["start", "try", "--task", "demo", "--detach", "--config", PIN]).text("run_id")
}

/// What is asked and not answered.
fn open(scratch: &Scratch) -> Vec<Value> {
    let inbox = scratch.json(&["inbox"]).document;
    inbox["questions"].as_array().expect("questions").clone()
}

/// Waits until so much is asked.
#[track_caller]
fn wait_for_open(scratch: &Scratch, count: usize) -> Vec<Value> {
    wait_for("what is asked", || open(scratch).len() == count);
    open(scratch)
}

/// Answers all that is asked with that word.
#[track_caller]
fn answers(person: &Person<'_>, asked: &[Value], word: &str, more: &str) {
    for one in asked {
        let id = one["question_id"].as_str().expect("an id");
        let done = person.types(&format!("{word} {id} {more}"));
        assert_eq!(done.code, 0, "{done:?}");
    }
}

fn widened(scratch: &Scratch, run: &str) -> Vec<Value> {
    let events = scratch.events(run).into_iter();
    let widened = events.filter(|event| event["event"] == "cap_widened");
    widened.map(|event| event["payload"].clone()).collect()
}

#[test]
fn who_is_allowed_meanwhile_goes_on_where_they_waited_and_it_is_on_record_who_said_so() {
    let near = Near::start();
    let line = until_reached(near.port, "reached");
    let scratch = asking("open", &stage("it", &line));
    let Some(person) = Person::at(&scratch).filter(|_| can_be_confined()) else { return };
    let run = begun(&scratch);
    let asked = wait_for_open(&scratch, 1);
    let host = format!("near.example:{}", near.port);
    assert_eq!((&asked[0]["wants"], &asked[0]["host"]), (&"network".into(), &host.clone().into()));
    assert!(asked[0]["prompt"].to_string().contains("stage `it`"), "{asked:?}");
    let status = scratch.json(&["status", &run]).document;
    assert_eq!((&status["status"], &status["waiting"]), (&"in_progress".into(), &Value::Null));
    assert!(scratch.run(&["status", &run]).stdout.contains("asks     1 question"));
    // A program that types for somebody is not that somebody.
    let id = asked[0]["question_id"].as_str().unwrap();
    assert_eq!(scratch.run(&["approve", id]).code, 4);
    answers(&person, &asked, "approve", "");
    assert_eq!(scratch.await_end(&run).code, 0);
    assert_eq!(scratch.text("reached"), "hello");
    let event = &widened(&scratch, &run)[0];
    assert_eq!((&event["what"], &event["stage_id"]), (&host.clone().into(), &"it".into()));
    assert_eq!(event["by"], serde_json::json!({ "kind": "person", "door": "cli" }));
    let manifest = scratch.manifest(&run);
    assert_eq!(manifest["caps"]["widened"][0]["what"], host, "{manifest:#}");
    assert_eq!(manifest["caps"]["widened"][0]["by"]["door"], "cli");
    assert_eq!(manifest["caps"]["enforced"]["it"]["standings"][0]["guarantee"], "net.listed");
    assert!(scratch.run(&["status", &run]).stdout.contains("stage it may reach near.example"));
}

#[test]
fn one_stage_is_allowed_alone_or_all_of_the_run_is_also_after_a_crash() {
    let near = Near::start();
    let (one, two) = (until_reached(near.port, "one"), until_reached(near.port, "two"));
    let stages =
        stage("one", &one) + &stage("two", &format!("{two}; until test -e go; do sleep 0.1; done"));
    let scratch = asking("open", &stages);
    let Some(person) = Person::at(&scratch).filter(|_| can_be_confined()) else { return };
    let run = begun(&scratch);
    let asked = wait_for_open(&scratch, 1);
    let first = asked[0]["stage_id"].as_str().unwrap().to_owned();
    answers(&person, &asked, "approve", "");
    let of_other = || open(&scratch).first().is_some_and(|one| one["stage_id"] != first.as_str());
    wait_for("the other stage to ask", of_other);
    answers(&person, &open(&scratch), "approve", "--run");
    wait_for("both to reach it", || scratch.text("one") + &scratch.text("two") == "hellohello");
    scratch.kill_runner(&run);
    std::fs::remove_file(scratch.at("two")).unwrap();
    assert_eq!(scratch.run(&["resume", &run, "--detach"]).code, 0);
    wait_for("it to reach it again", || scratch.text("two") == "hello");
    std::fs::write(scratch.at("go"), "").unwrap();
    assert_eq!(scratch.await_end(&run).code, 0);
    assert_eq!(widened(&scratch, &run).len(), 2, "nobody was asked again");
}

#[test]
fn what_a_person_denies_is_told_at_once_and_not_asked_again() {
    let scratch = asking(
        "open",
        &stage(
            "it",
            "curl -sS -m 60 http://far.example/ > said; curl -sS http://far.example/ >> said",
        ),
    );
    let Some(person) = Person::at(&scratch).filter(|_| can_be_confined()) else { return };
    let run = begun(&scratch);
    answers(&person, &wait_for_open(&scratch, 1), "deny", "");
    assert_eq!(scratch.await_end(&run).code, 0);
    let said = scratch.text("said");
    assert_eq!(said.matches("whoever was asked did not say yes").count(), 2, "{said}");
    assert!(denials(&scratch, &run).iter().all(|denied| denied.1 == "refused"));
    let asked = scratch.manifest(&run)["questions"]["total"].clone();
    assert_eq!((asked, widened(&scratch, &run).len()), (1.into(), 0));
}

#[test]
fn nobody_is_asked_beyond_what_may_be_asked_for_or_where_nobody_is_to_be_asked() {
    if !can_be_confined() {
        return;
    }
    let beyond =
        "curl -sS http://far.example/; curl -sS http://1.1.1.1/; curl -sS http://localhost/; true";
    let scratch = asking("list", &stage("it", beyond));
    let run = scratch.json(&["start", "try", "--task", "demo", "--config", PIN]).text("run_id");
    assert_eq!(scratch.manifest(&run)["questions"]["total"], 0);
    assert!(denials(&scratch, &run).iter().all(|denied| denied.1 == "unlisted"));
    let within = "curl -sS http://near.example:9/; curl -sS http://far.example/; true";
    let scratch = asking("list", &stage("it", within));
    let run = scratch.json(&["start", "try", "--task", "demo", "--config", PIN]).text("run_id");
    assert_eq!(scratch.manifest(&run)["questions"]["total"], 1);
    let why: Vec<String> = denials(&scratch, &run).into_iter().map(|denied| denied.1).collect();
    assert_eq!(why, ["asked", "unlisted"]);
    let words = ["start", "try", "--task", "demo", "--no-input", "--config", PIN];
    let run = scratch.json(&words).text("run_id");
    assert_eq!(scratch.manifest(&run)["questions"]["total"], 0);
}

#[test]
fn a_tree_that_reaches_for_many_hosts_asks_for_few() {
    let many = "for n in 1 2 3 4 5 6 7 8 9 10 11 12; do curl -sS http://h$n.example/ & done; \
                wait; until test -e go; do sleep 0.1; done; curl -sS http://late.example/; true";
    let scratch = asking("open", &stage("it", many));
    let Some(person) = Person::at(&scratch).filter(|_| can_be_confined()) else { return };
    let run = begun(&scratch);
    wait_for("all to be told", || denials(&scratch, &run).len() == 12);
    let asked = open(&scratch);
    assert_eq!(asked.len(), 5, "{asked:?}");
    let of = |why: &str| denials(&scratch, &run).iter().filter(|denied| denied.1 == why).count();
    assert_eq!((of("asked"), of("unlisted")), (5, 7));
    answers(&person, &asked[..1], "deny", "");
    std::fs::write(scratch.at("go"), "").unwrap();
    let late = || open(&scratch).iter().any(|one| one["host"] == "late.example:80");
    wait_for("room for another one", late);
    assert_eq!(scratch.await_end(&run).code, 0);
    assert!(open(&scratch).is_empty(), "what a stage asks ends with it");
}

#[test]
fn all_runs_of_a_repository_together_ask_for_few() {
    let many = "for n in 1 2 3 4 5; do curl -sS http://h$n.example/ & done; wait; \
                until test -e go; do sleep 0.1; done";
    let scratch = asking("open", &stage("it", many));
    let Some(person) = Person::at(&scratch).filter(|_| can_be_confined()) else { return };
    let mut runs: Vec<String> = (0..4).map(|_| begun(&scratch)).collect();
    wait_for_open(&scratch, 20);
    let late = begun(&scratch);
    wait_for("all to be told", || denials(&scratch, &late).len() == 5);
    assert!(denials(&scratch, &late).iter().all(|denied| denied.1 == "unlisted"));
    assert_eq!(open(&scratch).len(), 20, "nobody is asked for more");

    // Where there is room again, the next is asked for.
    std::fs::write(scratch.at("go"), "").unwrap();
    runs.push(late);
    for run in &runs {
        assert_eq!(scratch.await_end(run).code, 0);
    }
    let next = begun(&scratch);
    answers(&person, &wait_for_open(&scratch, 5)[..1], "deny", "");
    assert_eq!(scratch.await_end(&next).code, 0);
}

#[test]
fn the_settings_may_answer_in_the_place_of_a_person() {
    if !can_be_confined() {
        return;
    }
    let near = Near::start();
    let line = format!(
        "curl -sS http://near.example:{}/ > reached; curl -sS http://far.example/ > far; true",
        near.port
    );
    let scratch = asking("open", &stage("it", &line));
    let (allow, deny) =
        ("approvals.allow=[\"network:near.*\"]", "approvals.deny=[\"network:far.*\"]");
    let words =
        ["start", "try", "--task", "demo", "--config", PIN, "--config", allow, "--config", deny];
    let run = scratch.json(&words).text("run_id");
    assert_eq!(scratch.text("reached"), "hello");
    assert!(scratch.text("far").contains("did not say yes"), "{}", scratch.text("far"));
    assert_eq!(scratch.manifest(&run)["questions"]["total"], 0);
    assert!(widened(&scratch, &run)[0]["by"].is_null());
}

#[test]
fn a_host_that_is_allowed_for_the_repository_is_reached_by_other_runs_without_asking() {
    let near = Near::start();
    let reach = format!("curl -sS -m 30 http://near.example:{}/ > reached; true", near.port);
    let scratch = asking("open", &stage("it", &reach));
    let Some(person) = Person::at(&scratch).filter(|_| can_be_confined()) else { return };
    let run = begun(&scratch);
    let asked = wait_for_open(&scratch, 1);
    let id = asked[0]["question_id"].as_str().expect("an id").to_owned();
    answers(&person, &asked, "approve", "--standing");
    scratch.await_end(&run);

    let starts = |more: &[&str]| {
        std::fs::write(scratch.at("reached"), "").expect("a file");
        let words = [&["start", "try", "--task", "demo", "--config", PIN], more].concat();
        let run = scratch.json(&words).text("run_id");
        (scratch.text("reached"), run)
    };
    // Nobody has to be there for it.
    let (reached, next) = starts(&["--no-input"]);
    assert_eq!(reached, "hello");
    let mut events = scratch.events(&next).into_iter();
    let stood = events.find(|event| event["event"] == "approval_stood").expect("why");
    let standing = &stood["payload"]["standing"];
    assert_eq!(
        (&standing["question_id"], &stood["payload"]["stage_id"]),
        (&id.as_str().into(), &"it".into())
    );
    assert_eq!(standing["by"], serde_json::json!({ "kind": "person", "door": "cli" }));
    assert_eq!(scratch.manifest(&next)["questions"]["total"], 0);

    // It reaches no further than what may be asked for, and settings that refuse it come first.
    assert_ne!(starts(&["--config", "caps.max_network=none"]).0, "hello");
    let deny = "approvals.deny=[\"network:near.*\"]";
    assert_ne!(starts(&["--config", deny]).0, "hello");

    let shown = scratch.run(&["inbox", "--standing"]).stdout;
    let what = format!("reaching near.example:{}", near.port);
    assert!(shown.contains(&what) && shown.contains(&id), "{shown}");
    let taken = scratch.run(&["dismiss", &id[..6]]);
    assert!(taken.code == 0 && taken.stdout.contains("is taken back"), "{taken:?}");
    assert_ne!(starts(&["--no-input"]).0, "hello");
    assert!(scratch.run(&["inbox", "--standing"]).stdout.starts_with("nothing is allowed"));
}
