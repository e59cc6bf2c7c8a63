//! Runs whose thread does what no thread should: it is silent, says what nobody understands, does
//! not end, or ends too soon. The real client does not do that when it is told to, so that a
//! program stands in its place for a while.

use serde_json::Value;

use crate::{
    desk::Desk,
    model::{hold, say},
    patience::wait_for,
    threads::{await_end, id_of, in_background, runs, status},
};

/// Puts a program in the client's place that does that instead of an app-server, as long as there is
/// a file named `odd`. Gives the words that have it used.
fn instead(desk: &Desk, odd: &str) -> Vec<String> {
    let (mark, client) = (desk.elsewhere().join("odd"), desk.elsewhere().join("bin/codex"));
    let text = format!(
        "#!/bin/sh\nif [ \"$*\" = app-server ] && [ -e '{}' ]; then\n{odd}\nfi\nexec '{}' \"$@\"\n",
        mark.display(),
        client.display()
    );
    desk.write_program("odd-codex", &text);
    std::fs::write(&mark, "").expect("a file");
    let program = desk.elsewhere().join("bin/odd-codex");
    vec!["--config".to_owned(), format!("codex.program={}", program.display())]
}

fn over_with_oddities(desk: &Desk) {
    std::fs::remove_file(desk.elsewhere().join("odd")).expect("a file");
}

fn start(desk: &Desk, words: &[String], prompt: &str) -> String {
    let words: Vec<&str> = ["--here"].into_iter().chain(words.iter().map(String::as_str)).collect();
    in_background(desk, &words, prompt)
}

fn with_idle(mut words: Vec<String>, idle: &str) -> Vec<String> {
    words.extend(["--config".to_owned(), format!("codex.idle={idle}")]);
    words
}

fn error_of(run: &Value) -> String {
    run["commands"][0]["error"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn what_fails_before_its_first_turn_is_told_its_prompt_when_it_is_resumed() {
    let Some(desk) = Desk::registered() else { return };
    desk.model.play("look into it", |_| say("All is well."));
    let refuses =
        r#"read -r line; echo '{"id":1,"error":{"code":-1,"message":"not today"}}'; exit"#;
    let id = start(&desk, &instead(&desk, refuses), "look into it");
    let failed = await_end(&desk, &id);
    assert!(error_of(&failed).contains("not today"), "{failed}");
    over_with_oddities(&desk);
    desk.orch(&["resume", "--detach", &id]);
    let ended = await_end(&desk, &id);
    assert_eq!(ended["status"], "succeeded", "{ended}");
    assert_eq!(ended["codex"]["last_message"], "All is well.");
}

#[test]
fn who_says_nothing_or_nothing_that_is_understood_is_ended_and_why_is_said() {
    let oddities = [
        "exec sleep 1000",
        "while :; do echo 'this is no message'; sleep 0.05; done",
        "exec 0<&-; trap '' TERM; while :; do sleep 0.1; done",
    ];
    for odd in oddities {
        let Some(desk) = Desk::registered() else { return };
        let id = start(&desk, &with_idle(instead(&desk, odd), "1s"), "look into it");
        let failed = await_end(&desk, &id);
        assert!(error_of(&failed).contains("nothing came"), "{odd}: {failed}");
    }
}

#[test]
fn a_silent_thread_is_ended_however_much_others_of_its_run_say() {
    let pipelines = r#"
[codex]
idle = "2s"

[pipelines.two]
stages = [
  { id = "quiet", kind = "codex", prompt = "be quiet", needs = [] },
  { id = "loud", kind = "codex", prompt = "be loud", needs = [] },
]
"#;
    let Some(desk) = Desk::delegating(pipelines) else { return };
    desk.model.play("be quiet", |_| hold());
    let quiet = desk.repo().join("quiet-is-over");
    desk.model.play("be loud", move |seen| match quiet.exists() {
        false => runs(&format!("sleep 0.3; echo {}", seen.outputs().len())),
        true => say("Enough."),
    });
    let id = id_of(&desk.orch(&["start", "two", "--detach"]));
    let of = |run: &Value, id: &str| {
        let stages = run["commands"].as_array().expect("stages").clone();
        stages.into_iter().find(|stage| stage["id"] == id).expect("it")
    };
    wait_for("the end of the silence", || of(&status(&desk, &id), "quiet")["status"] == "failed");
    std::fs::write(desk.repo().join("quiet-is-over"), "").expect("a file");
    let ended = await_end(&desk, &id);
    assert!(of(&ended, "quiet")["error"].to_string().contains("nothing came"), "{ended}");
    assert_eq!(of(&ended, "loud")["status"], "succeeded", "{ended}");
}

#[test]
fn a_line_without_end_is_the_end_of_the_talk_and_not_of_the_runner() {
    let Some(desk) = Desk::registered() else { return };
    let odd = "head -c 100000000 /dev/zero | tr '\\0' a; echo; exec sleep 1000";
    let id = start(&desk, &instead(&desk, odd), "look into it");
    let failed = await_end(&desk, &id);
    assert!(error_of(&failed).contains("too long"), "{failed}");
}

#[test]
fn time_at_work_is_counted_while_a_turn_goes_on() {
    let Some(desk) = Desk::registered() else { return };
    desk.model.play("take your time", |_| hold());
    desk.model.play("You were cut off", |_| say("Done in the end."));
    let words = ["--config", "limits.work_time=2s"].map(str::to_owned);
    let id = start(&desk, &words, "take your time");
    wait_for("the budget", || status(&desk, &id)["waiting"]["for"] == "budget");
    let paused = status(&desk, &id);
    assert!(paused["status_detail"].to_string().contains("of 2s are used"), "{paused}");
    let worked = paused["usage"]["work_ms"].as_u64().expect("a time");
    assert!((2000..20_000).contains(&worked), "{paused}");
    desk.orch(&["resume", &id]);
    assert_eq!(await_end(&desk, &id)["status"], "succeeded");
}
