//! Prompts that a session hands out with wishes of its own.

use serde_json::json;

use crate::{
    desk::Desk,
    model::{call, say},
    story::gets_it_right_at_last,
    threads::{await_end, manifest},
    workflow::{tells, wait},
};

#[test]
fn what_is_to_be_checked_goes_back_to_the_thread_as_often_as_was_wished() {
    for (attempts, status) in [(2, "succeeded"), (1, "failed")] {
        let Some(desk) = Desk::registered() else { return };
        // A person lets sessions have commands run that nobody has looked at.
        let settings = "[delegate]\npipelines = \"any\"\n";
        std::fs::write(desk.codex_home().join("orchestrator.toml"), settings).expect("a config");
        desk.model.play("have it made right", move |seen| match seen.outputs() {
            [] => {
                let check = "grep -q right answer";
                let wish = json!({
                    "prompt": "make it right", "verify": check, "max_attempts": attempts,
                });
                call("delegate.spawn", wish)
            }
            [run, .., waited] if tells(waited, "ended") => say(run["run_id"].to_string()),
            [run, ..] => wait(run),
        });
        gets_it_right_at_last(&desk);
        let ended = desk.delegate("have it made right").succeed();
        let run = await_end(&desk, ended.last().trim_matches('"'));
        assert_eq!(run["status"], status, "{run}");
        let stage = &manifest(&desk, &run)["commands"][0];
        assert_eq!(stage["attempts"], attempts, "{stage}");
    }
}
