//! What a person would allow, and a parent may where the settings say so.

use serde_json::{Value, json};

use super::{
    inside::Talker,
    mcp::{Server, text},
    wishes::boxed,
};
use crate::{
    caps::{Near, can_be_confined},
    scratch::{Scratch, program, wait_for},
};

/// A repository whose runs have no network and may ask for one host, which is near.
fn asking(near: &Near, by_parent: bool) -> Scratch {
    let port = near.port;
    let scratch = Scratch::with(&format!(
        r#"
[caps]
ask = true
max_network = "list"
[caps.network]
mode = "none"
allow = ["near.example:{port}"]
[caps.fs]
tmp = "shared" # This program may lie there.
[pipelines.reaches]
stages = [{{ id = "it", command = "until curl -sS http://near.example:{port}/ | tee reached | grep -q hello; do sleep 0.1; done" }}]
[pipelines.talks]
stages = [{{ id = "it", command = "'{}' delegate-server < ask.a > told.a" }}]
"#,
        program().display()
    ));
    scratch.git();
    let pins = "[caps.network]\npins = { \"near.example\" = [\"127.0.0.1\"] }\n";
    let approvals = if by_parent { "[approvals]\nby_parent = true\n" } else { "" };
    scratch.own_config(&format!("{pins}{approvals}"));
    scratch
}

/// Starts what reaches for the host, and waits until that is asked; the run, and what was told.
fn asked(server: &mut Server) -> (String, Value) {
    let wish = json!({ "pipeline": "reaches", "task_id": "demo" });
    let run = text(&server.call("spawn", wish).given(), "run_id");
    let waited = server.call("wait", json!({ "wait_ms": 60_000 })).given();
    let told = waited["events"].as_array().expect("events").last().expect("one").clone();
    assert_eq!((&told["kind"], &told["run_id"]), (&"approval".into(), &run.clone().into()));
    (run, told)
}

fn answer(server: &mut Server, told: &Value, word: &str) -> Value {
    let words = json!({ "question_id": told["question_id"], "answer": word });
    server.call("question.answer", words).value
}

#[test]
fn whoever_started_a_run_allows_what_it_asks_for_only_where_the_settings_say_so() {
    if !can_be_confined() {
        return;
    }
    let near = Near::start();
    let scratch = asking(&near, false);
    let mut session = boxed(&scratch, "one", true);
    let (_, told) = asked(&mut session);
    assert!(told["options"].is_null(), "{told:#}");
    let error = answer(&mut session, &told, "approve")["error"].clone();
    assert_eq!(error["code"], "refused", "{error:#}");
    assert!(error["message"].to_string().contains("only a person"), "{error:#}");

    let scratch = asking(&near, true);
    let mut session = boxed(&scratch, "one", true);
    let (run, told) = asked(&mut session);
    assert_eq!(told["options"], json!(["approve", "approve_run", "deny"]));
    let mut other = boxed(&scratch, "two", true);
    let error = answer(&mut other, &told, "approve")["error"].clone();
    assert_eq!(error["code"], "refused", "{error:#}");
    assert_eq!(answer(&mut session, &told, "maybe")["error"]["code"], "invalid");
    assert_eq!(answer(&mut session, &told, "approve")["status"], "approved");
    assert_eq!(scratch.await_end(&run).code, 0);
    let manifest = scratch.manifest(&run);
    let by = &manifest["caps"]["widened"][0]["by"];
    assert_eq!((&by["kind"], &by["door"]), (&"session".into(), &"mcp".into()), "{manifest:#}");
}

#[test]
fn a_run_allows_nothing_that_it_does_not_reach_itself() {
    if !can_be_confined() {
        return;
    }
    let near = Near::start();
    let scratch = asking(&near, true);
    let mut session = boxed(&scratch, "one", true);
    let parent = Talker::spawn(&scratch, &mut session, "a", json!({ "delegate_mode": "full" }));
    let mut inner = parent.pipes.connect();
    let (run, told) = asked(&mut inner);
    let error = answer(&mut inner, &told, "approve")["error"].clone();
    assert_eq!(error["code"], "refused", "{error:#}");
    assert!(error["message"].to_string().contains("only a person"), "{error:#}");
    // Who stands above both has no caps that would keep it from that.
    assert_eq!(answer(&mut session, &told, "approve_run")["status"], "approved");
    assert_eq!(scratch.await_end(&run).code, 0);
    inner.hang_up();
    drop(inner);
    wait_for("the end of the parent", || scratch.status(&parent.run) == "succeeded");
}

/// What becomes of wishes of a run, as it was started with.
fn approvals(scratch: &Scratch, run: &str) -> Value {
    let journal = rusqlite::Connection::open(scratch.journal()).expect("a journal");
    let spec = journal.query_row(
        "SELECT spec FROM specs JOIN runs ON run = id WHERE run_id = ?1",
        [run],
        |row| row.get::<_, String>(0),
    );
    let spec: Value = serde_json::from_str(&spec.expect("a run")).expect("JSON");
    spec["config"]["approvals"].clone()
}

#[test]
fn an_agent_that_types_a_command_grants_itself_nothing_by_its_words() {
    let scratch = super::scratch("");
    let words = ["start", "quick", "--task", "demo"];
    let more = ["--config", "approvals.by_parent=true", "--config", "approvals.command=allow"];
    let words = [&words[..], &more].concat();
    let of_a_person = approvals(&scratch, &scratch.json(&words).text("run_id"));
    assert_eq!(
        (&of_a_person["command"], &of_a_person["by_parent"]),
        (&"allow".into(), &true.into())
    );
    let mut typed = scratch.command(&words);
    typed.env("CODEX_THREAD_ID", "agent").env("CODEX_SESSION_ID", "agent");
    let of_an_agent = approvals(&scratch, &scratch.run_json(&mut typed).text("run_id"));
    assert_eq!((&of_an_agent["command"], &of_an_agent["by_parent"]), (&"ask".into(), &Value::Null));
}
