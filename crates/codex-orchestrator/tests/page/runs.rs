//! Runs that are looked at and controlled.

use std::fs;

use serde_json::json;

use crate::{
    entered,
    inside::Talker,
    mcp::{Server, text},
    scratch::{Scratch, wait_for},
    tail, talking,
};

const PIPELINES: &str = r#"
[pipelines.ticks]
stages = [{ id = "tick", command = "echo begun; until [ -e go ]; do echo x >> ticks; sleep 0.02; done; echo over" }]
[pipelines.bad]
stages = [{ id = "bad", command = "[ -e good ] || { echo no; exit 3; }; echo yes" }]
"#;

#[test]
fn a_run_is_paused_resumed_and_cancelled_by_buttons() {
    let scratch = Scratch::with(PIPELINES);
    let Some((_page, mut browser)) = entered(&scratch, "controlling") else { return };
    let run = scratch.start("ticks");
    browser.click("#runs a", Some("ticks"));
    browser.see_text(".log", "begun");
    browser.click(".deeds button", Some("Pause"));
    browser.see_text("#said", &format!("run {} is paused", tail(&run)));
    browser.see_text("#run h2", "paused");
    assert_eq!(scratch.status(&run), "paused");
    browser.picture("_paused");
    browser.click(".deeds button", Some("Resume"));
    browser.see_text("#run h2", "running");
    let ticks = scratch.text("ticks").len();
    wait_for("more ticks", || scratch.text("ticks").len() > ticks);
    browser.click(".deeds button", Some("Cancel…"));
    browser.type_in("enough of it");
    browser.click(".panel button", Some("Cancel the run"));
    browser.see_text("#run", "enough of it");
    browser.see_text("#run h2", "cancelled");
    assert_eq!(scratch.status(&run), "cancelled");
    browser.close();
}

#[test]
fn what_a_stage_writes_is_followed_and_one_that_failed_is_tried_again() {
    let scratch = Scratch::with(PIPELINES);
    let Some((_page, mut browser)) = entered(&scratch, "following") else { return };
    scratch.start("ticks");
    browser.click("#runs a", Some("ticks"));
    browser.see_text(".log", "begun");
    fs::write(scratch.at("go"), "").expect("written");
    browser.see_text(".log", "over");
    browser.see_text("#run h2", "succeeded");
    let run = scratch.start("bad");
    assert_eq!(scratch.await_end(&run).code, 1);
    browser.click("#runs a", Some("bad"));
    browser.see_text("#run h2", "failed");
    browser.see_text(".log", "no");
    fs::write(scratch.at("good"), "").expect("written");
    browser.click(".deeds button", Some("Resume at the first unfinished stage"));
    browser.see_text("#run h2", "succeeded");
    browser.see_text(".log", "yes");
    browser.close();
}

#[test]
fn back_escape_and_reload_keep_or_close_the_open_run() {
    let slow = "[pipelines.slow]\nstages = [{ id = \"hold\", command = \"until [ -e go ]; do sleep 0.02; done\" }]\n";
    let scratch = talking(slow);
    let Some((_page, mut browser)) = entered(&scratch, "going") else { return };
    let mut session = Server::of(&scratch, "one");
    let parent = Talker::spawn(&scratch, &mut session, "a", json!({ "delegate_mode": "full" }));
    let mut inside = parent.pipes.connect();
    let child = text(&inside.call("spawn", json!({ "pipeline": "slow" })).given(), "run_id");
    browser.click("#runs a", Some(tail(&parent.run)));
    browser.click("#run .rows a", Some(tail(&child)));
    browser.see_text("#run .facts", tail(&child));
    browser.evaluate("location.reload()");
    browser.see_text("#run .facts", tail(&child));
    browser.evaluate("history.back()");
    browser.see_text("#run .facts", tail(&parent.run));
    browser.see_text("#runs a[aria-current]", tail(&parent.run));
    browser.press("Escape");
    browser.see_text("#run", "No run is open.");
    browser.evaluate("history.back()");
    browser.see_text("#run .facts", tail(&parent.run));
    browser.click("#run button", Some("Close"));
    browser.see_text("#run", "No run is open.");
    // One column, where there is no room for two.
    browser.size(390, 800);
    browser.click("#runs a", Some(tail(&parent.run)));
    browser.see_no("#list", None);
    browser.see_text("#run .facts", tail(&parent.run));
    browser.picture("_narrow");
    browser.click("#run button", Some("← All"));
    browser.see("#list");
    browser.picture("_narrow_list");
    fs::write(scratch.at("go"), "").expect("written");
    scratch.await_end(&child);
    inside.hang_up();
    scratch.await_end(&parent.run);
    browser.close();
}
