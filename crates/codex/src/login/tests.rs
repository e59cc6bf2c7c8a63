//! Which login it is, and how it is renewed, with a Codex that is a script.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use tempfile::TempDir;

use super::{Account, Login, LoginError};
use crate::{home::UsersHome, talk::AccountTokens};

struct Desk(TempDir);

const ACCOUNT: &str = r#"{"auth_mode":"chatgpt","OPENAI_API_KEY":null,"tokens":{"id_token":"i","access_token":"one","refresh_token":"r","account_id":"a"},"last_refresh":"2026-01-01T00:00:00Z"}"#;

impl Desk {
    fn with(config: &str, auth: Option<&str>) -> Self {
        let desk = Self(tempfile::tempdir().expect("a folder"));
        fs::write(desk.path("config.toml"), config).expect("a config");
        if let Some(auth) = auth {
            fs::write(desk.path("auth.json"), auth).expect("a login");
        }
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn login(&self, variables: &[(&str, &str)]) -> Result<Login, LoginError> {
        let users = UsersHome::at(Some(self.0.path()), Path::new("/nobody"));
        let value = |name: &str| {
            let mut set = variables.iter().filter(|(set, _)| *set == name);
            set.next().map(|(_, value)| (*value).to_owned())
        };
        Login::of(&users, None, value)
    }

    fn account(&self) -> Account {
        let Ok(Login::Account(account)) = self.login(&[]) else { panic!("an account") };
        account
    }

    /// A Codex that does this when it is asked to renew the login.
    fn codex(&self, does: &str) -> Command {
        let script = format!(
            "#!/bin/sh\ntest \"$1\" = app-server || exit 1\nread one; read two; read three; echo \"$three\" > asked\necho x >> renewals\n{does}\n\
             echo '{{\"id\":2,\"result\":{{}}}}'\ncat > rest\n"
        );
        let path = self.path("codex");
        fs::write(&path, script).expect("a program");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode");
        self.command()
    }

    fn command(&self) -> Command {
        // The program is written while other tests start theirs, which then hold it open.
        let mut command = Command::new("sh");
        command.arg(self.path("codex")).current_dir(self.0.path());
        command
    }
}

const RENEWS: &str = "sed -i 's/\"one\"/\"two\"/' \"$CODEX_HOME/auth.json\"";

#[track_caller]
fn check(config: &str, auth: Option<&str>, variables: &[(&str, &str)], expected: &str) {
    let login = Desk::with(config, auth).login(variables);
    let shown = match login.expect("a login") {
        Login::Provider { variable } => format!("provider {variable:?}"),
        Login::ApiKey(key) => format!("key {}", key.0),
        Login::Account(_) => "account".to_owned(),
        Login::Keyring => "keyring".to_owned(),
        Login::Nothing => "nothing".to_owned(),
    };
    assert_eq!(shown, expected);
}

#[test]
fn each_login_is_what_codex_would_use() {
    let key = r#"{"auth_mode":"apikey","OPENAI_API_KEY":"sk-file"}"#;
    let own = "model_provider = \"x\"\n[model_providers.x]\nname = \"x\"\nenv_key = \"X_KEY\"\n";
    let free = "model_provider = \"x\"\n[model_providers.x]\nname = \"x\"\n";
    let same =
        "model_provider = \"x\"\n[model_providers.x]\nname = \"x\"\nrequires_openai_auth = true\n";
    let ring = "cli_auth_credentials_store = \"keyring\"\n";
    check("", None, &[], "nothing");
    check("", Some(key), &[], "key sk-file");
    check("", Some(r#"{"OPENAI_API_KEY":"sk-old"}"#), &[], "key sk-old");
    check("", Some(ACCOUNT), &[], "account");
    check("", Some(ACCOUNT), &[("OPENAI_API_KEY", "sk-env")], "account");
    check("", Some(ACCOUNT), &[("CODEX_API_KEY", "sk-env")], "key sk-env");
    check("", None, &[("OPENAI_API_KEY", "sk-env")], "key sk-env");
    check("", None, &[("OPENAI_API_KEY", " ")], "nothing");
    check(own, Some(ACCOUNT), &[], "provider Some(\"X_KEY\")");
    check(free, Some(ACCOUNT), &[], "provider None");
    check(same, Some(ACCOUNT), &[], "account");
    check("model_provider = \"ollama\"\n", None, &[], "provider None");
    check(ring, None, &[], "keyring");
}

#[test]
fn a_login_that_is_damaged_is_said_to_be_without_being_shown() {
    let desk = Desk::with("", Some("{\"tokens\": \"secret\"}"));
    let error = desk.login(&[]).expect_err("it is damaged").to_string();
    assert!(error.contains("codex login") && !error.contains("secret"), "{error}");
    let whole = format!("{:?}", desk.login(&[]));
    assert!(!whole.contains("secret"), "{whole}");
}

#[test]
fn tokens_and_keys_are_not_shown() {
    let desk = Desk::with("", Some(ACCOUNT));
    let tokens = desk.account().tokens().expect("tokens");
    assert_eq!((tokens.access_token.as_str(), tokens.account_id.as_str()), ("one", "a"));
    assert!(!format!("{tokens:?}").contains("\"one\""));
    let key = desk.login(&[("CODEX_API_KEY", "sk-env")]);
    assert!(!format!("{key:?}").contains("sk-env"));
}

#[test]
fn twenty_who_want_newer_tokens_have_the_login_renewed_once() {
    let desk = Desk::with("", Some(ACCOUNT));
    desk.codex(RENEWS);
    let account = desk.account();
    let refused = account.tokens().expect("tokens");
    let renewed: Vec<AccountTokens> = thread::scope(|scope| {
        let one = || account.newer(&refused, &desk.path("lock"), desk.command()).expect("newer");
        let all: Vec<_> = (0..20).map(|_| scope.spawn(one)).collect();
        all.into_iter().map(|one| one.join().expect("no panic")).collect()
    });
    assert!(renewed.iter().all(|tokens| tokens.access_token == "two"));
    assert_eq!(fs::read_to_string(desk.path("renewals")).expect("it was asked"), "x\n");
    let asked = fs::read_to_string(desk.path("asked")).expect("it was asked");
    assert!(asked.contains(r#""refreshToken":true"#), "{asked}");
}

#[test]
fn a_login_that_is_not_renewed_says_why_and_stays_as_it_is() {
    let desk = Desk::with("", Some(ACCOUNT));
    let refuses =
        r#"echo '{"id":2,"error":{"code":-1,"message":"your refresh token has expired"}}'"#;
    let codex = desk.codex(refuses);
    let refused = desk.account().tokens().expect("tokens");
    let error = desk.account().newer(&refused, &desk.path("lock"), codex).expect_err("refused");
    assert!(error.to_string().contains("your refresh token has expired"), "{error}");
    assert_eq!(fs::read_to_string(desk.path("auth.json")).expect("a login"), ACCOUNT);

    // Codex also says no after it has renewed it, when something else of it failed.
    let codex = desk.codex(&format!("{RENEWS}\n{refuses}"));
    let newer = desk.account().newer(&refused, &desk.path("lock"), codex).expect("newer");
    assert_eq!(newer.access_token, "two");
}

#[test]
fn without_a_codex_nothing_is_renewed() {
    let desk = Desk::with("", Some(ACCOUNT));
    let refused = desk.account().tokens().expect("tokens");
    let missing = Command::new("/no/such/codex");
    let error = desk.account().newer(&refused, &desk.path("lock"), missing).expect_err("none");
    assert!(error.to_string().contains("it could not be started"), "{error}");
}
