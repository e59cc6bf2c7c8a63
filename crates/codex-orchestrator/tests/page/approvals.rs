//! What only a person allows, decided by a click.

use serde_json::{Value, json};

use crate::{
    confined::{Near, can_be_confined},
    entered,
    mcp::Server,
    scratch::{Scratch, wait_for},
    talking,
    wishes::{boxed, wish, write},
};

const QUICK: &str = "[pipelines.quick]\nstages = [{ id = \"only\", command = \"echo done\" }]\n";

/// What has become of what was wished for.
fn told(server: &mut Server, id: &str) -> Value {
    server.call("question.poll", json!({ "question_id": id, "wait_ms": 60_000 })).given()
}

#[test]
fn what_is_not_committed_is_shown_as_a_diff_and_done_once_it_is_approved() {
    let scratch = talking(QUICK);
    let Some((_page, mut browser)) = entered(&scratch, "confirming") else { return };
    let mut server = boxed(&scratch, "one", true);
    write(&scratch, "echo shown >> ran");
    let words = json!({ "pipeline": "quick", "task_id": "demo" });
    let id = wish(&mut server, words.clone());
    let card = format!("#card-{id}");
    browser.see_text(&card, "Start pipeline `quick`, which is not what is committed?");
    browser.see_text(&format!("{card} .patch .plus"), "echo shown >> ran");
    browser.see_text(&format!("{card} .patch .minus"), "echo done");
    // All of it is there for whoever opens it, and need not be opened.
    browser.see_no(&format!("{card} .long"), None);
    browser.picture("_closed");
    browser.size(390, 800);
    browser.picture("_narrow");
    browser.size(1200, 900);
    browser.click(&format!("{card} summary"), Some("Exactly what is done ("));
    browser.see_text(&format!("{card} .long"), "\"do\": \"spawn\"");
    browser.click(&format!("{card} summary"), None);
    browser.see_no(&format!("{card} .long"), None);
    write(&scratch, "echo written afterwards >> ran");
    browser.click(&format!("{card} button"), Some("Approve"));
    browser.see_text("#said", "is what came of it");
    browser.see_no(&card, None);
    wait_for("what was allowed", || scratch.text("ran") == "shown\n");
    assert_eq!(told(&mut server, &id)["status"], "approved");
    // The next one is not allowed, and the session hears why.
    let id = wish(&mut server, words.clone());
    let card = format!("#card-{id}");
    browser.click(&format!("{card} button"), Some("Deny…"));
    browser.type_in("not on a Friday");
    browser.click(&format!("{card} .panel button"), Some("Deny"));
    browser.see_no(&card, None);
    let said = server.call("spawn", words);
    assert_eq!(said.code(), "refused");
    assert!(said.value.to_string().contains("not on a Friday"), "{said:?}");
    assert_eq!(scratch.text("ran"), "shown\n");
    browser.close();
}

#[test]
fn a_long_diff_has_to_be_unfolded_before_it_is_approved() {
    let scratch = talking(QUICK);
    let Some((_page, mut browser)) = entered(&scratch, "long_diff") else { return };
    let mut server = boxed(&scratch, "one", true);
    let committed = scratch.text(".codex/orchestrator.toml");
    let stage = |number| format!("{{ id = \"s{number}\", command = \"echo {number} >> ran\" }},\n");
    let many: String = (0..60).map(stage).collect();
    scratch.config(
        &committed
            .replace("stages = [{ id = \"only\"", &format!("stages = [{many} {{ id = \"only\"")),
    );
    let id = wish(&mut server, json!({ "pipeline": "quick", "task_id": "demo" }));
    let card = format!("#card-{id}");
    browser.see_text(&format!("{card} button:disabled"), "Approve");
    browser.see_text(&card, "It can be allowed when all of it was shown.");
    browser.click(&format!("{card} button"), Some("show all"));
    browser.see_text(&format!("{card} .patch .plus"), "echo 59 >> ran");
    browser.click(&format!("{card} button"), Some("Approve"));
    wait_for("what was allowed", || scratch.text("ran").lines().count() == 60);
    browser.close();
}

#[test]
fn a_host_is_allowed_for_the_run_by_a_button() {
    if !can_be_confined() {
        return;
    }
    let near = Near::start();
    let host = format!("near.example:{}", near.port);
    let scratch = Scratch::with(&format!(
        "[caps]\nask = true\nmax_network = \"open\"\n[caps.network]\nmode = \"none\"\n[pipelines.try]\n\
         stages = [{{ id = \"it\", command = \"until curl -sS http://{host}/ > reached && grep -q hello reached; \
         do sleep 0.1; done\" }}]\n"
    ));
    scratch.git();
    let Some((_page, mut browser)) = entered(&scratch, "hosts") else { return };
    let pin = "caps.network.pins={\"near.example\"=[\"127.0.0.1\"]}";
    let words = ["start", "try", "--task", "demo", "--detach", "--config", pin];
    let run = scratch.json(&words).text("run_id");
    browser.see_text(".card.approval", &host);
    browser.see_text(".card.approval", "May it reach this host");
    browser.picture("_asked");
    browser.click(".card.approval button", Some("For this run"));
    browser.see_no(".card.approval", None);
    assert_eq!(scratch.await_end(&run).code, 0);
    assert_eq!(scratch.text("reached"), "hello");
    browser.click("#runs a", Some("try"));
    browser.see_text("#run", "Allowed beside that");
    browser.see_text("#run", &host);
    browser.close();
}
