//! What the client's user has to write so that a session can delegate, and when it cannot.

use crate::{
    client::Session,
    desk::{Desk, ENABLED},
    model::{CODE, FUNCTIONS, Offer, SEARCH, call, say},
};

use serde_json::json;

/// Lets a session look at the runs there are, and gives how our tools were offered to it at first.
#[track_caller]
fn offered(desk: &Desk, options: &[&str]) -> Offer {
    desk.model.play("look around", |_| say("seen"));
    let ended = Session::start(desk.exec(options, "look around")).succeed();
    assert_eq!(ended.last(), "seen", "{ended}");
    desk.model.first("look around").offer()
}

#[test]
fn a_session_that_does_not_ask_for_it_has_no_server() {
    let Some(desk) = Desk::registered() else { return };
    assert_eq!(offered(&desk, &[]), Offer::Nothing);
    assert!(desk.served().is_empty(), "and none is started");
}

#[test]
fn the_first_request_has_the_tools_where_the_session_asks_for_them() {
    let Some(desk) = Desk::registered() else { return };
    let Offer::Functions(names) = offered(&desk, &ENABLED) else { panic!("no functions") };
    assert!(names.iter().any(|name| name == "delegate_list"), "{names:?}");
    let served = desk.served();
    assert_eq!(served.len(), 1, "{served:?}");
    assert_eq!(served[0].words(), ["delegate-server"]);
}

#[test]
fn models_that_have_to_look_for_tools_are_told_of_ours() {
    for model in [SEARCH, CODE] {
        let Some(desk) = Desk::registered() else { return };
        let offer = offered(&desk, &[&ENABLED[..], &["-m", model]].concat());
        let Offer::Deferred(line) = offer else { panic!("{model}: {offer:?}") };
        assert!(line.contains("delegate."), "{model}: {line:?} names tools to look for");
    }
}

#[test]
fn a_tool_is_called_with_the_approvals_that_exec_has_by_itself() {
    for model in [FUNCTIONS, SEARCH, CODE] {
        let Some(desk) = Desk::registered() else { return };
        desk.model.play("which runs are there", |seen| match seen.outputs() {
            [] => call("delegate.list", json!({})),
            [listed] => say(format!("{} runs", listed["runs"].as_array().map_or(99, Vec::len))),
            more => panic!("{more:?}"),
        });
        let ended = desk.delegate_with(&["-m", model], "which runs are there").succeed();
        assert_eq!(ended.last(), "0 runs", "{model}: {ended}");
        let calls = ended.calls("delegate.list");
        assert_eq!(calls.len(), 1, "{model}: {ended}");
        assert_eq!(calls[0]["status"], "completed", "{model}: {ended}");
    }
}

#[test]
fn a_registration_by_codex_itself_is_on_in_every_session() {
    let Some(desk) = Desk::new() else { return };
    let repo = desk.repo().display().to_string();
    let server = ["codex-orchestrator", "delegate-server", "--repo", &repo];
    let added = desk.run("codex", &[&["mcp", "add", "delegation", "--"], &server[..]].concat());
    assert!(added.status.success(), "{added:?}");
    assert!(matches!(offered(&desk, &[]), Offer::Functions(_)));
    assert!(matches!(offered(&desk, &ENABLED), Offer::Functions(_)), "and may be asked for too");
    let words: Vec<_> = desk.served().iter().map(|served| served.words().join(" ")).collect();
    let word = format!("delegate-server --repo {repo}");
    assert_eq!(words, [word.clone(), word]);
}

#[test]
fn a_session_that_asks_for_a_server_that_nobody_registered_does_not_start() {
    let Some(desk) = Desk::new() else { return };
    let ended = desk.delegate("look around").end();
    assert_eq!(ended.code(), Ok(1), "{ended}");
    assert!(ended.to_string().contains("invalid transport"), "{ended}");
    assert!(desk.model.requests("look around").is_empty());
}

#[test]
fn a_session_whose_server_cannot_start_says_so_and_ends() {
    let Some(desk) = Desk::new() else { return };
    let broken = crate::desk::REGISTERED.replace("\"codex-orchestrator\"", "\"no-such-program\"");
    desk.configure(&broken);
    let ended = desk.delegate("look around").end();
    assert_eq!(ended.code(), Ok(1), "{ended}");
    assert!(ended.to_string().contains("delegation"), "{ended}");
    assert!(desk.model.requests("look around").is_empty());
}

#[test]
fn the_flag_for_a_session_without_skills_is_not_one_and_another_key_does_it() {
    let Some(desk) = Desk::registered() else { return };
    let skills = |desk: &Desk, cue: &str, option: &str| {
        desk.model.play(cue, |_| say("done"));
        let ended = desk.delegate_with(&["-c", option], cue).succeed();
        let first = desk.model.first(cue);
        assert!(matches!(first.offer(), Offer::Functions(_)), "{option}: {ended}");
        let ignored = ended.complaints().iter().any(|line| line.contains("features.skills"));
        (first.developer().contains("<skills_instructions>"), ignored)
    };
    assert_eq!(skills(&desk, "as written", "features.skills=false"), (true, true));
    assert_eq!(skills(&desk, "as works", "skills.include_instructions=false"), (false, false));
}

#[test]
fn a_session_is_offered_what_its_mode_has() {
    const LOOK: &[&str] = &["status"];
    const ASK: &[&str] = &["wait", "question_enqueue", "question_poll"];
    const STEER: &[&str] =
        &["spawn", "pause", "cancel", "list", "log", "result", "question_list", "question_answer"];
    let modes = [
        ("full", vec![LOOK, ASK, STEER], vec![]),
        ("question_only", vec![LOOK, ASK], vec![STEER]),
        ("status_only", vec![LOOK], vec![&ASK[1..], STEER]),
    ];
    for (mode, has, lacks) in modes {
        let Some(desk) = Desk::delegating("") else { return };
        let words =
            format!(r#"mcp_servers.delegation.args=["delegate-server", "--mode", "{mode}"]"#);
        let offer = offered(&desk, &[&ENABLED[..], &["-c", &words]].concat());
        let Offer::Functions(names) = offer else { panic!("{mode}: {offer:?}") };
        let named = |name: &&str| names.contains(&format!("delegate_{name}"));
        assert!(has.concat().iter().all(named), "{mode}: {names:?}");
        assert!(!lacks.concat().iter().any(named), "{mode}: {names:?}");
    }
}
