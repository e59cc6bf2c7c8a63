//! How threads of the real client are let in where they ask a model, and that nobody is logged out
//! by it.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
    thread,
};

use codex::{Account, Login, Opening, Outcome, Said, Wishes};
use serde_json::{Value, json};

use crate::{
    client::Session,
    desk::Desk,
    issuer::Issuer,
    model::{Reply, refuse, say},
    patience::wait_for,
    thread::{Thread, completed, opening},
};

/// The client asks its model with its own login.
fn with_login(desk: &Desk, more: &str) {
    let config =
        desk.configured().replace("requires_openai_auth = false", "requires_openai_auth = true");
    fs::write(desk.codex_home().join("config.toml"), format!("{more}{config}")).expect("a config");
}

fn log_in(desk: &Desk, login: &Value) {
    fs::write(desk.codex_home().join("auth.json"), login.to_string()).expect("a login");
}

fn login(desk: &Desk) -> Login {
    Login::of(&desk.users(), None, |_| None).expect("a login")
}

fn let_in_by(expected: &'static str) -> impl Fn(&crate::model::Request) -> Reply {
    move |seen| if seen.login() == expected { say("hello") } else { no_entry() }
}

fn no_entry() -> Reply {
    refuse("401 Unauthorized", &[], json!({ "message": "not you", "code": "token_expired" }))
}

#[test]
fn a_key_is_used_in_the_home_of_a_run() {
    let Some(desk) = Desk::new() else { return };
    with_login(&desk, "");
    log_in(&desk, &json!({ "auth_mode": "apikey", "OPENAI_API_KEY": "sk-test" }));
    let Login::ApiKey(key) = login(&desk) else { panic!("a key") };
    let home = desk.home_for("1", &Wishes { key: Some(key), ..desk.wishes() });
    desk.model.play("hi", let_in_by("Bearer sk-test"));
    let mut thread = Thread::spawn(desk.app_server_in(&home), opening(&desk, "hi"));
    assert_eq!(thread.over(), completed("hello"));
}

#[test]
fn a_provider_with_a_key_of_its_own_needs_no_login() {
    let Some(desk) = Desk::new() else { return };
    desk.configure("env_key = \"SCRIPT_KEY\"\n");
    let expected = Login::Provider { variable: Some("SCRIPT_KEY".to_owned()) };
    assert_eq!(login(&desk), expected);
    let home = desk.home_for("1", &desk.wishes());
    assert!(home.passed().contains("SCRIPT_KEY"));
    desk.model.play("hi", let_in_by("Bearer of-its-own"));
    let mut command = desk.app_server_in(&home);
    command.env("SCRIPT_KEY", "of-its-own");
    let mut thread = Thread::spawn(command, opening(&desk, "hi"));
    assert_eq!(thread.over(), completed("hello"));
}

/// A desk whose user is logged in with an account.
fn with_account() -> Option<(Desk, &'static Issuer)> {
    let desk = Desk::new()?;
    let issuer: &'static Issuer = Box::leak(Box::new(Issuer::listen()));
    with_login(&desk, &format!("chatgpt_base_url = \"{}\"\n", issuer.backend()));
    log_in(&desk, &issuer.login());
    desk.model
        .play("hi", |seen| if issuer.lets_in(seen.login()) { say("hello") } else { no_entry() });
    Some((desk, issuer))
}

/// The user's own client, and where it would renew the login.
fn users_codex(desk: &Desk, issuer: &Issuer) -> Command {
    let mut command = desk.command("codex", &[]);
    command.env("CODEX_REFRESH_TOKEN_URL_OVERRIDE", issuer.url());
    command
}

fn run_in_home_of_its_own(desk: &Desk, issuer: &Issuer, account: &Account, run: &str) -> Thread {
    let home = desk.home_for(run, &desk.wishes());
    let mut command = desk.app_server_in(&home);
    command.env("CODEX_REFRESH_TOKEN_URL_OVERRIDE", issuer.url());
    let tokens = Some(account.tokens().expect("tokens"));
    Thread::spawn(command, Opening { tokens, ..opening(desk, "hi") })
}

/// Waits for the end of the turn, and hands out newer tokens where they are wanted.
#[track_caller]
fn over(thread: &mut Thread, newer: impl Fn(&mut Thread) -> codex::AccountTokens) -> Outcome {
    loop {
        let said = thread.until("tokens or the end", |said| match said {
            Said::WantsTokens { id } => Some(Err(*id)),
            Said::TurnOver { outcome, .. } => Some(Ok(outcome.clone())),
            _ => None,
        });
        match said {
            Ok(outcome) => return outcome,
            Err(id) => {
                let tokens = newer(thread);
                let lines = thread.talk.tokens(&id, tokens);
                thread.say(&lines);
            }
        }
    }
}

#[test]
fn twenty_threads_use_an_account_and_its_login_is_renewed_once_by_its_own_codex() {
    let Some((desk, issuer)) = with_account() else { return };
    let Login::Account(account) = login(&desk) else { panic!("an account") };
    let before = [issuer.access(), issuer.renewing()];
    let lock = desk.elsewhere().join("renewing.lock");
    let barrier = std::sync::Barrier::new(21);
    thread::scope(|scope| {
        for number in 0..20 {
            let (desk, account, lock, barrier) = (&desk, &account, &lock, &barrier);
            scope.spawn(move || {
                let mut thread = run_in_home_of_its_own(desk, issuer, account, &number.to_string());
                let first = over(&mut thread, |_| panic!("these are good"));
                barrier.wait();
                barrier.wait();
                thread.turn("hi");
                let second = over(&mut thread, |thread| {
                    let refused = thread.talk.tokens_in_use().expect("tokens");
                    account.newer(refused, lock, users_codex(desk, issuer)).expect("newer")
                });
                assert_eq!([first, second], [completed("hello"), completed("hello")]);
            });
        }
        barrier.wait();
        assert_eq!(issuer.asked(), (0, 0), "nobody renews what is good");
        issuer.expire();
        barrier.wait();
    });
    assert_eq!(issuer.asked(), (1, 0), "once, and by somebody who may");
    let stored = fs::read(desk.codex_home().join("auth.json")).expect("a login");
    let stored: Value = serde_json::from_slice(&stored).expect("JSON");
    assert_eq!(stored["tokens"]["refresh_token"], issuer.renewing());

    let secrets = [&before[..], &[issuer.access(), issuer.renewing()]].concat();
    let found = holding(&desk.elsewhere().join("runs"), &secrets);
    assert!(found.is_empty(), "tokens lie in {found:?}");

    // The user goes on as if nothing had happened, also when the login has to be renewed once more.
    for renewals in [1, 2] {
        let mut command = desk.exec(&[], "hi");
        command.env("CODEX_REFRESH_TOKEN_URL_OVERRIDE", issuer.url());
        assert_eq!(Session::start(command).succeed().last(), "hello");
        assert_eq!(issuer.asked(), (renewals, 0));
        issuer.expire();
    }
}

#[test]
fn a_renewal_is_finished_and_written_down_when_whoever_asked_for_it_is_gone() {
    let Some((desk, issuer)) = with_account() else { return };
    issuer.hold(true);
    let mut command = users_codex(&desk, issuer);
    command.arg("app-server").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let client = json!({ "name": "tests", "version": "1" });
    let lines = [
        json!({ "id": 1, "method": "initialize", "params": { "clientInfo": client } }),
        json!({ "method": "initialized" }),
        json!({ "id": 2, "method": "account/read", "params": { "refreshToken": true } }),
    ];
    for line in lines {
        writeln!(child.stdin.as_mut().expect("a pipe"), "{line}").expect("it listens");
    }
    wait_for("that the issuer is asked", || issuer.waited_for());
    // All that it knows of us goes away, as when we are killed.
    drop((child.stdin.take(), child.stdout.take(), child.stderr.take()));
    issuer.hold(false);
    child.wait().expect("it ends by itself");
    assert_eq!(issuer.asked(), (1, 0));
    let stored = fs::read(desk.codex_home().join("auth.json")).expect("a login");
    let stored: Value = serde_json::from_slice(&stored).expect("JSON");
    assert_eq!(stored["tokens"]["refresh_token"], issuer.renewing());
}

#[test]
fn an_account_that_cannot_be_renewed_fails_the_turn_and_says_what_to_do() {
    let Some((desk, issuer)) = with_account() else { return };
    let Login::Account(account) = login(&desk) else { panic!("an account") };
    // Somebody else has used up what renews it.
    let mut stolen = issuer.login();
    stolen["tokens"]["refresh_token"] = json!("used before");
    log_in(&desk, &stolen);
    issuer.expire();
    let refused = account.tokens().expect("tokens");
    let lock = desk.elsewhere().join("renewing.lock");
    let error = account.newer(&refused, &lock, users_codex(&desk, issuer)).expect_err("no");
    assert!(error.to_string().contains("codex login"), "{error}");
    assert_eq!(issuer.asked(), (0, 1));

    let home = desk.home_for("1", &desk.wishes());
    let mut config = fs::read_to_string(home.dir().join("config.toml")).expect("a config");
    config = config.replace(
        "requires_openai_auth = true",
        "requires_openai_auth = true\nstream_max_retries = 0",
    );
    fs::write(home.dir().join("config.toml"), config).expect("a config");
    let opening = Opening { tokens: Some(refused), ..opening(&desk, "hi") };
    let mut thread = Thread::spawn(desk.app_server_in(&home), opening);
    let outcome = loop {
        let said = thread.until("tokens or the end", |said| match said {
            Said::WantsTokens { id } => Some(Err(*id)),
            Said::TurnOver { outcome, .. } => Some(Ok(outcome.clone())),
            _ => None,
        });
        match said {
            Ok(outcome) => break outcome,
            Err(id) => thread.answer(&id, codex::Answer::Deny),
        }
    };
    let Outcome::Failed { class, message, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(class, codex::ErrorClass::Unauthorized, "{message}");
}

/// The files below there that have one of these in them.
fn holding(folder: &Path, secrets: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let kind = entry.file_type().expect("a kind");
        if kind.is_dir() {
            found.extend(holding(&path, secrets));
        }
        // Links lead to the client itself.
        if !kind.is_file() {
            continue;
        }
        let bytes = fs::read(&path).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        if secrets.iter().any(|secret| text.contains(secret)) {
            found.push(path.display().to_string());
        }
    }
    found
}
