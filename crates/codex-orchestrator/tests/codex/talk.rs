//! What we say to a thread of the real client, and what it says to us.

use std::net::TcpListener;

use codex::{
    Answer, CommandState, ErrorClass, Opening, Outcome, PatchStatus, Said, Sandbox, ToolStatus,
    Wants,
};
use nix::sys::signal::Signal;
use serde_json::json;

use crate::{
    desk::{Desk, ENABLED},
    model::{Reply, Request, call, cut, function, hold, refuse, say},
    thread::{Thread, completed, opening},
};

/// Runs a command first, and then says how it went.
pub(crate) fn running(command: &'static str, escalated: bool) -> impl Fn(&Request) -> Reply {
    move |seen| match seen.outputs() {
        [] => {
            let mut words = json!({ "cmd": command });
            if escalated {
                words["sandbox_permissions"] = json!("require_escalated");
                words["justification"] = json!("it is outside");
            }
            function("", "exec_command", &words)
        }
        [.., last] => say(last.to_string()),
    }
}

#[test]
fn a_turn_is_told_from_its_beginning_to_its_end() {
    let Some(desk) = Desk::confining() else { return };
    desk.model.play("count", running("echo one; exit 3", false));
    let mut thread = Thread::start(&desk, opening(&desk, "count"));
    let outcome = thread.over();
    assert!(
        matches!(&outcome, Outcome::Completed { last_message: Some(said) } if said.contains("one"))
    );
    let commands = thread.all(|said| match said {
        Said::Command { state: CommandState::Ended { exit_code, output, .. }, .. } => {
            Some((*exit_code, output.clone()))
        }
        _ => None,
    });
    assert_eq!(commands, [(Some(3), "one\n".to_owned())]);
    let totals = thread.all(|said| match said {
        Said::Usage { last, total, .. } => Some((last.total, total.total)),
        _ => None,
    });
    assert_eq!(totals, [(2, 2), (2, 4)]);
    let kinds = thread.all(|said| match said {
        Said::ThreadReady { .. } => Some("ready"),
        Said::TurnBegan { .. } => Some("began"),
        Said::TurnOver { .. } => Some("over"),
        _ => None,
    });
    assert_eq!(kinds, ["ready", "began", "over"]);
}

#[test]
fn a_thread_whose_client_was_killed_in_a_turn_goes_on_where_it_was() {
    let Some(desk) = Desk::new() else { return };
    desk.model.play("first", |_| say("one"));
    desk.model.play("second", |_| hold());
    desk.model.play("third", |_| say("three"));
    let mut thread = Thread::start(&desk, opening(&desk, "first"));
    assert_eq!(thread.over(), completed("one"));
    thread.turn("second");
    thread.begun();
    desk.model.first("second");
    let id = thread.talk.thread_id().expect("a thread").to_owned();
    thread.running.signal(Signal::SIGKILL);
    drop(thread);

    let again = Opening { thread: Some(id.clone()), ..opening(&desk, "third") };
    let mut thread = Thread::start(&desk, again);
    assert_eq!(thread.over(), completed("three"));
    assert_eq!(thread.talk.thread_id(), Some(id.as_str()));
    assert_eq!(desk.model.requests("second").len(), 1, "the lost turn is not asked for again");
    let usage = thread.all(|said| match said {
        Said::Usage { last, total, .. } => Some((last.total, total.total)),
        _ => None,
    });
    assert_eq!(usage, [(2, 4)], "what was used before is in the total, and is not told again");
}

#[test]
fn a_turn_can_be_interrupted_as_soon_as_it_is_told_of() {
    let Some(desk) = Desk::new() else { return };
    desk.model.play("wait", |_| hold());
    let mut thread = Thread::start(&desk, opening(&desk, "wait"));
    for _ in 0..20 {
        thread.begun();
        thread.interrupt();
        assert_eq!(thread.over(), Outcome::Interrupted);
        thread.turn("wait");
        // This one is interrupted before it is told of.
        thread.interrupt();
        assert_eq!(thread.over(), Outcome::Interrupted);
        thread.turn("wait");
    }
}

#[test]
fn a_message_reaches_the_turn_that_runs() {
    let Some(desk) = Desk::new() else { return };
    let go = desk.repo().join("go");
    let command = "while [ ! -e go ]; do sleep 0.05; done";
    desk.model.play("work", running(command, false));
    desk.model.play("use the other one", |seen| say(seen.prompt()));
    let mut thread = Thread::start(&desk, opening(&desk, "work"));
    thread.until("a command", |said| match said {
        Said::Command { state: CommandState::Begun, .. } => Some(()),
        _ => None,
    });
    let lines = thread.talk.steer("use the other one");
    thread.say(&lines);
    thread.until("that it is taken", |said| match said {
        Said::Steered { .. } => Some(()),
        _ => None,
    });
    std::fs::write(go, "").expect("a file");
    assert_eq!(thread.over(), completed("use the other one"));
}

#[test]
fn a_command_beyond_the_sandbox_runs_if_somebody_says_so() {
    let Some(desk) = Desk::new() else { return };
    let outside = desk.elsewhere().join("outside");
    let command: &'static str = format!("touch '{}'", outside.display()).leak();
    desk.model.play("outside", running(command, true));
    let mut thread = Thread::start(&desk, opening(&desk, "outside"));
    for (answer, made, outcome) in [
        (Answer::Deny, false, None),
        (Answer::Cancel, false, Some(Outcome::Interrupted)),
        (Answer::Once, true, None),
        (Answer::Session, true, None),
    ] {
        let (id, wants) = thread.asked();
        let Wants::Command { command: Some(asked), cwd, reason, .. } = wants else {
            panic!("{wants:?}")
        };
        assert!(asked.contains(command), "{asked}");
        assert_eq!(cwd.as_deref(), desk.repo().to_str());
        assert_eq!(reason.as_deref(), Some("it is outside"));
        thread.answer(&id, answer.clone());
        let over = thread.over();
        assert!(outcome.is_none_or(|outcome| over == outcome), "{answer:?}: {over:?}");
        assert_eq!(outside.exists(), made, "{answer:?}");
        let _ = std::fs::remove_file(&outside);
        thread.turn("outside");
    }
    // The same command again was allowed for as long as the thread is open.
    thread.over();
    assert!(outside.exists());
    let declined = thread.all(|said| match said {
        Said::Command { state: CommandState::Ended { declined: true, .. }, .. } => Some(()),
        _ => None,
    });
    assert_eq!(declined.len(), 2);
}

#[test]
fn a_file_beyond_the_sandbox_is_changed_if_somebody_says_so() {
    let Some(desk) = Desk::confining() else { return };
    let outside = desk.elsewhere().join("outside.txt");
    let patch = format!(
        "apply_patch <<'EOF'\n*** Begin Patch\n*** Add File: {}\n+hello\n*** End Patch\nEOF",
        outside.display()
    );
    desk.model.play("patch", running(patch.leak(), false));
    // The desk may well stand in a temporary folder, where everybody may write.
    let sandbox = Sandbox::ReadOnly { network: false };
    let mut thread = Thread::start(&desk, Opening { sandbox, ..opening(&desk, "patch") });
    for (answer, status) in
        [(Answer::Deny, PatchStatus::Declined), (Answer::Once, PatchStatus::Applied)]
    {
        let (id, wants) = thread.asked();
        let Wants::Patch { paths, .. } = wants else { panic!("{wants:?}") };
        assert_eq!(paths, [outside.display().to_string()]);
        thread.answer(&id, answer);
        let told = thread.until("the patch", |said| match said {
            Said::Patch { status, .. } => Some(*status),
            _ => None,
        });
        assert_eq!(told, status);
        thread.over();
        thread.turn("patch");
    }
    assert_eq!(std::fs::read_to_string(outside).expect("a file"), "hello\n");
    let diffs = thread.all(|said| match said {
        Said::Diff { unified } => Some(unified.clone()),
        _ => None,
    });
    assert_eq!(diffs.len(), 1, "{diffs:?}");
    assert!(diffs[0].contains("+hello"), "{diffs:?}");
}

#[test]
fn what_a_repository_says_of_itself_starts_nothing() {
    let Some(desk) = Desk::confining() else { return };
    let started = desk.elsewhere().join("started");
    let config =
        format!("[mcp_servers.theirs]\ncommand = \"touch\"\nargs = [\"{}\"]\n", started.display());
    std::fs::create_dir(desk.repo().join(".codex")).expect("a folder");
    std::fs::write(desk.repo().join(".codex/config.toml"), config).expect("a config");
    let before = desk.configured();
    desk.model.play("write", running("touch made", false));
    for sandbox in [
        Sandbox::WorkspaceWrite { network: false, writable_roots: Vec::new() },
        Sandbox::DangerFullAccess,
    ] {
        let mut thread = Thread::start(&desk, Opening { sandbox, ..opening(&desk, "write") });
        assert!(matches!(thread.over(), Outcome::Completed { .. }));
        assert!(desk.repo().join("made").exists(), "it may write there");
        assert!(!started.exists(), "nobody has said that the repository is trusted");
        assert_eq!(desk.configured(), before, "nor has it been written down");
        std::fs::remove_file(desk.repo().join("made")).expect("a file");
    }
}

#[test]
fn a_tool_is_called_if_somebody_says_so() {
    let Some(desk) = Desk::registered() else { return };
    let no_run = json!({ "manifest_path": ".runs/t/cli/r/manifest.json" });
    desk.model.play("cancel", move |seen| match seen.outputs() {
        [] => call("delegate.cancel", no_run.clone()),
        [.., last] => say(last.to_string()),
    });
    let writes = ["-c", "mcp_servers.delegation.default_tools_approval_mode=\"writes\""];
    let words = [&["app-server"][..], &ENABLED, &writes].concat();
    let mut thread = Thread::with(&desk, &words, opening(&desk, "cancel"));
    for (answer, rejected) in [(Answer::Deny, true), (Answer::Session, false)] {
        let (id, wants) = thread.asked();
        let Wants::Tool { server, tool, arguments, annotations, persist, .. } = wants else {
            panic!("{wants:?}")
        };
        assert_eq!((server.as_str(), tool.as_deref()), ("delegation", Some("delegate.cancel")));
        assert_eq!(arguments.expect("arguments")["manifest_path"], ".runs/t/cli/r/manifest.json");
        assert_eq!(annotations.expect("annotations")["readOnlyHint"], false);
        // In this mode Codex asks for each call, whatever was said before.
        assert!(persist.is_empty(), "{persist:?}");
        thread.answer(&id, answer);
        let error = thread.until("the call's end", |said| match said {
            Said::ToolCall { status: ToolStatus::Failed, error, .. } => Some(error.clone()),
            _ => None,
        });
        let said = error.unwrap_or_default();
        assert_eq!(said.contains("rejected"), rejected, "{said}");
        thread.over();
        thread.turn("cancel");
    }
    let (id, _) = thread.asked();
    thread.answer(&id, Answer::Cancel);
    assert_eq!(thread.over(), Outcome::Interrupted);
    assert!(thread.talk.answer(&id, Answer::Once).is_empty(), "it was answered");
}

/// How a turn ends whose model does that.
#[track_caller]
fn failed(
    reply: impl Fn() -> Reply + Send + Sync + 'static,
) -> Option<(ErrorClass, Option<i64>, String)> {
    let desk = Desk::new()?;
    // Codex tries again five times by itself, which is as it likes and not what this is about.
    desk.configure("request_max_retries = 0\nstream_max_retries = 1\n");
    desk.model.play("go", move |_| reply());
    let mut thread = Thread::start(&desk, opening(&desk, "go"));
    match thread.over() {
        Outcome::Failed { message, class, resets_at } => Some((class, resets_at, message)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_model_refuses_is_a_bad_request() {
    let error = json!({ "message": "no such tool", "type": "invalid_request_error" });
    let Some(failed) = failed(move || refuse("400 Bad Request", &[], error.clone())) else {
        return;
    };
    assert_eq!(failed, (ErrorClass::BadRequest, None, "no such tool".to_owned()));
}

#[test]
fn a_login_that_is_not_taken_is_named() {
    let error =
        json!({ "message": "bad key", "type": "invalid_request_error", "code": "invalid_api_key" });
    let Some(failed) = failed(move || refuse("401 Unauthorized", &[], error.clone())) else {
        return;
    };
    assert_eq!(failed.0, ErrorClass::Unauthorized, "{failed:?}");
}

#[test]
fn a_model_that_is_broken_is_named() {
    let Some(failed) =
        failed(|| refuse("500 Internal Server Error", &[], json!({ "message": "x" })))
    else {
        return;
    };
    assert_eq!(failed.0, ErrorClass::Server, "{failed:?}");
    let failed =
        super::talk::failed(|| refuse("503 Service Unavailable", &[], json!({ "message": "x" })));
    assert_eq!(failed.map(|failed| failed.0), Some(ErrorClass::Server));
}

#[test]
fn too_many_requests_are_named() {
    let error = json!({ "message": "slow down", "type": "rate_limit_exceeded" });
    let Some(failed) = failed(move || refuse("429 Too Many Requests", &[], error.clone())) else {
        return;
    };
    assert_eq!(failed.0, ErrorClass::RateLimit, "{failed:?}");
}

#[test]
fn a_used_up_allowance_says_when_it_begins_anew() {
    let headers = &[
        ("x-codex-primary-used-percent", "100"),
        ("x-codex-primary-window-minutes", "300"),
        ("x-codex-primary-reset-at", "1795650000"),
        ("x-codex-secondary-used-percent", "40"),
        ("x-codex-secondary-window-minutes", "10080"),
        ("x-codex-secondary-reset-at", "1796000000"),
    ];
    let error = json!({ "type": "usage_limit_reached", "message": "x", "plan_type": "plus", "resets_at": 1_795_650_000 });
    let Some(failed) = failed(move || refuse("429 Too Many Requests", headers, error.clone()))
    else {
        return;
    };
    assert_eq!((failed.0, failed.1), (ErrorClass::UsageLimit, Some(1_795_650_000)), "{failed:?}");
}

#[test]
fn a_quota_that_is_used_up_is_named() {
    let error =
        json!({ "message": "x", "type": "insufficient_quota", "code": "insufficient_quota" });
    let Some(failed) = failed(move || refuse("429 Too Many Requests", &[], error.clone())) else {
        return;
    };
    assert_eq!((failed.0, failed.1), (ErrorClass::UsageLimit, None), "{failed:?}");
}

#[test]
fn a_stream_that_is_cut_is_the_network() {
    let Some(failed) = failed(cut) else { return };
    assert_eq!(failed.0, ErrorClass::Network, "{failed:?}");
}

#[test]
fn a_model_that_nobody_serves_is_told_of_and_can_be_given_up() {
    let Some(desk) = Desk::new() else { return };
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|held| held.local_addr());
    let address = nobody.expect("a port that nobody serves any more");
    let elsewhere = format!("model_providers.script.base_url=\"http://{address}/v1\"");
    let words = ["app-server", "-c", &elsewhere];
    let mut thread = Thread::with(&desk, &words, opening(&desk, "go"));
    let (class, will_retry) = thread.until("trouble", |said| match said {
        Said::Trouble { class, will_retry, .. } => Some((*class, *will_retry)),
        _ => None,
    });
    assert_eq!((class, will_retry), (ErrorClass::Network, true));
    thread.interrupt();
    assert_eq!(thread.over(), Outcome::Interrupted);

    // One that is not to try forever fails the turn.
    let words = [&words[..], &["-c", "features.unbounded_connection_retries=false"]].concat();
    let few = "model_providers.script.stream_max_retries=1";
    let words = [&words[..], &["-c", few]].concat();
    let mut thread = Thread::with(&desk, &words, opening(&desk, "go"));
    let outcome = thread.over();
    let Outcome::Failed { class, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(class, ErrorClass::Network);
}
