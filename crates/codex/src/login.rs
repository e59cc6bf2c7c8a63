//! Which login the user of Codex has, and how a run uses it.
//!
//! An API key is a text that may be in several places. An account is not: the token that renews it
//! is used up by being used, and whoever uses it twice is logged out. So nothing here keeps or copies
//! it; a run is handed access tokens, and where they are not taken any more, the user's
//! own Codex renews the login in the user's own home, one at a time.

use std::{
    fmt, fs, io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde::Deserialize;
use serde_json::json;
use toml::Value;

use crate::{
    briefly::{self, Late},
    home::{HomeError, UsersHome, provider},
    talk::{self, AccountTokens},
};

/// How long the user's Codex may take to renew the login. It asks one endpoint once.
const RENEWING: Duration = Duration::from_secs(60);

/// How the model's provider is made to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// It needs no login of Codex's: it has a key of its own, in that variable, or none.
    Provider {
        /// The variable, which the app-server has to be given.
        variable: Option<String>,
    },
    /// A key.
    ApiKey(ApiKey),
    /// An account.
    Account(Account),
    /// It is in the system's keyring, where only Codex itself can get at it.
    Keyring,
    /// There is none.
    Nothing,
}

/// A key for the model's provider.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

/// Without the key.
impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(..)")
    }
}

/// An account that the user is logged in with, in the user's own home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    home: PathBuf,
}

/// Why a login cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The config that says where it is cannot be read.
    #[error(transparent)]
    Config(#[from] HomeError),
    /// What should have it does not have it.
    #[error("`{}` is not what Codex writes when somebody logs in: {reason}; log in again with `codex login`", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The lock that keeps renewals apart cannot be taken.
    #[error("the lock `{}` cannot be taken", .path.display())]
    Lock {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The user's Codex did not renew it.
    #[error(
        "the login could not be renewed: {reason}; look with `codex login status`, or log in again with `codex login`"
    )]
    NotRenewed {
        /// What Codex said.
        reason: String,
    },
}

/// What Codex writes when somebody logs in, as far as it is looked at.
#[derive(Deserialize)]
struct File {
    #[serde(rename = "OPENAI_API_KEY")]
    key: Option<String>,
    tokens: Option<Tokens>,
    auth_mode: Option<String>,
}

#[derive(Deserialize)]
struct Tokens {
    access_token: String,
    account_id: Option<String>,
}

impl Login {
    /// Looks which one it is. `variable` is the user's environment.
    pub fn of(
        users: &UsersHome,
        profile: Option<&str>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, LoginError> {
        let config = users.config(profile)?;
        let named = config.get("model_provider").and_then(Value::as_str).unwrap_or("openai");
        let table = provider(&config);
        let of_codex = match table {
            Some(table) => {
                table.get("requires_openai_auth").and_then(Value::as_bool).unwrap_or(false)
            }
            None => named == "openai",
        };
        let own = table.and_then(|table| Some(table.get("env_key")?.as_str()?.to_owned()));
        if !of_codex || own.is_some() {
            return Ok(Self::Provider { variable: own });
        }
        let set = |name: &str| variable(name).filter(|key| !key.trim().is_empty());
        if let Some(key) = set("CODEX_API_KEY") {
            return Ok(Self::ApiKey(ApiKey(key)));
        }
        if let Some(login) = Self::stored(users.dir())? {
            return Ok(login);
        }
        let store = config.get("cli_auth_credentials_store").and_then(Value::as_str);
        if matches!(store, Some("keyring" | "auto")) {
            return Ok(Self::Keyring);
        }
        Ok(set("OPENAI_API_KEY").map_or(Self::Nothing, |key| Self::ApiKey(ApiKey(key))))
    }

    fn stored(home: &Path) -> Result<Option<Self>, LoginError> {
        let Some(file) = File::read(home)? else { return Ok(None) };
        let key = file.key.filter(|key| !key.trim().is_empty());
        let by_key = file.auth_mode.as_deref() == Some("apikey") || file.tokens.is_none();
        Ok(match key {
            Some(key) if by_key => Some(Self::ApiKey(ApiKey(key))),
            _ => file.tokens.map(|_| Self::Account(Account { home: home.to_owned() })),
        })
    }
}

impl File {
    fn read(home: &Path) -> Result<Option<Self>, LoginError> {
        let path = home.join("auth.json");
        match fs::read(&path) {
            Ok(text) => match serde_json::from_slice(&text) {
                Ok(file) => Ok(Some(file)),
                // What a parser says may show what it has read.
                Err(error) => {
                    let reason = format!("line {} is not as expected", error.line());
                    Err(LoginError::File { path, reason })
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(LoginError::File { path, reason: error.to_string() }),
        }
    }
}

impl ApiKey {
    /// What Codex writes for it.
    pub(crate) fn file(&self) -> String {
        json!({ "auth_mode": "apikey", "OPENAI_API_KEY": self.0 }).to_string()
    }
}

impl Account {
    /// What it is used with at the moment.
    pub fn tokens(&self) -> Result<AccountTokens, LoginError> {
        let path = self.home.join("auth.json");
        let failed =
            |reason: &str| LoginError::File { path: path.clone(), reason: reason.to_owned() };
        let file = File::read(&self.home)?.ok_or_else(|| failed("it is gone"))?;
        let tokens = file.tokens.ok_or_else(|| failed("it has no tokens"))?;
        let account_id = tokens.account_id.ok_or_else(|| failed("it names no account"))?;
        Ok(AccountTokens { access_token: tokens.access_token, account_id, plan: None })
    }

    /// Something newer than what was refused. The user's own Codex renews the login, unless somebody
    /// has done that since.
    ///
    /// `codex` is that program with the user's environment; `lock` is a file that all who call this
    /// for this home name alike. While one renews, the others wait.
    pub fn newer(
        &self,
        refused: &AccountTokens,
        lock: &Path,
        mut codex: Command,
    ) -> Result<AccountTokens, LoginError> {
        let failed = |source| LoginError::Lock { path: lock.to_owned(), source };
        let mut options = fs::OpenOptions::new();
        let held = options.create(true).append(true).mode(0o600).open(lock).map_err(failed)?;
        held.lock().map_err(failed)?;
        let there = self.tokens()?;
        if there.access_token != refused.access_token {
            return Ok(there);
        }
        codex.arg("app-server").env("CODEX_HOME", &self.home);
        // It is never killed: between being given a new token and having written it down, it is the
        // only one who has it. At the end of its input it finishes what it is at, and ends.
        let answered = |said: &str| said.lines().any(talk::answers_renewal);
        let renewal = talk::renewal();
        let answer = briefly::run(&mut codex, &renewal, answered, RENEWING, Late::Leave);
        let now = self.tokens()?;
        if now.access_token != refused.access_token {
            return Ok(now);
        }
        let reason = match answer {
            Ok(ended) => {
                talk::refusal_in(&ended.said).unwrap_or_else(|| "it gave no reason".to_owned())
            }
            Err(error) => error.to_string(),
        };
        Err(LoginError::NotRenewed { reason })
    }
}

#[cfg(test)]
mod tests;
