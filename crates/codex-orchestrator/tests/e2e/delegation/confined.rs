//! A delegation server in a stage that is held to caps.

use serde_json::json;

use super::inside::Pipes;
use crate::{
    caps::can_be_confined,
    scratch::{Scratch, program},
};

#[test]
fn a_confined_stage_speaks_with_its_run() {
    if !can_be_confined() {
        return;
    }
    let scratch = Scratch::with(&format!(
        r#"
[caps.network]
mode = "none"
[pipelines.talks]
stages = [{{ id = "it", command = "'{}' delegate-server < ask.a > told.a" }}]
"#,
        program().display()
    ));
    scratch.git();
    let pipes = Pipes::of(&scratch, "a");
    let run = scratch.start("talks");
    let mut server = pipes.connect();
    let asked = server.call(
        "question.enqueue",
        json!({ "prompt": "Well?", "auto_pause": false, "expires_in_ms": 60_000 }),
    );
    let question = asked.given();
    assert_eq!(scratch.json(&["inbox"]).document["questions"][0]["prompt"], "Well?", "{question}");
    let status = server.call("status", json!({})).given();
    assert_eq!(status["run_id"].as_str().unwrap_or_default(), run, "{status:#}");
    server.hang_up();
    drop(server);
    scratch.await_end(&run);
    assert_eq!(scratch.status(&run), "succeeded");
    assert!(scratch.manifest(&run)["caps"]["enforced"]["it"].is_object());
}
