//! What the Codex CLI does to a server that it starts, as measured with version 0.169.

use std::{
    ffi::{OsStr, OsString},
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value as Json, json};

use super::{
    program,
    server::Server,
    talk::{Heard, Talk},
};

/// The version that all this was measured with.
pub(crate) const MEASURED: [u64; 3] = [0, 169, 0];

/// All that a server sees of the environment, unless its registration names more.
const PASSED: [&str; 16] = [
    "HOME",
    "LOGNAME",
    "PATH",
    "SHELL",
    "USER",
    "LANG",
    "LC_ALL",
    "TERM",
    "TMPDIR",
    "TZ",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
];

/// After so long, the first request of a session goes out without the tools of a server that is
/// not required.
pub(crate) const GRACE: Duration = Duration::from_secs(1);

/// The environment that Codex, which has `all`, gives to a server.
pub(crate) fn environment(
    all: &[(OsString, OsString)],
    server: &Server,
) -> Vec<(OsString, OsString)> {
    let passes = |name: &OsStr| {
        PASSED.iter().any(|passed| name == *passed)
            || server.env_vars.iter().any(|passed| name == passed.as_str())
    };
    let own = |name: &OsStr| server.env.iter().any(|(own, _)| name == own.as_str());
    let passed = all.iter().filter(|(name, _)| passes(name) && !own(name)).cloned();
    let set = server.env.iter().map(|(name, value)| (name.into(), value.into()));
    passed.chain(set).collect()
}

/// The first thing that it says.
pub(crate) fn initialize() -> Json {
    let [major, minor, patch] = MEASURED;
    json!({
        "protocolVersion": "2025-06-18",
        "capabilities": {
            "experimental": { "codex/auth-change": {} },
            "elicitation": { "form": {}, "url": {} },
        },
        "clientInfo": {
            "name": "codex-mcp-client",
            "title": "Codex",
            "version": format!("{major}.{minor}.{patch}"),
        },
    })
}

/// The `codex` that is found by name, and its version.
#[derive(Debug)]
pub(crate) enum Client {
    Missing,
    /// It is there, and does not say its version.
    Silent(String),
    Found {
        /// As it says it.
        line: String,
        older: bool,
    },
}

/// Asks `codex` for its version.
pub(crate) fn client(env: &[(OsString, OsString)], folder: &Path) -> Client {
    const LONGEST: Duration = Duration::from_secs(10);
    let path = env.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.as_os_str());
    let Ok(found) = program::find("codex", path, folder) else { return Client::Missing };
    let mut talk = match Talk::start(&found, &["--version".to_owned()], env, folder) {
        Ok(talk) => talk,
        Err(error) => return Client::Silent(format!("{}: {error}", found.display())),
    };
    let heard = talk.hear(Instant::now() + LONGEST);
    match heard {
        Heard::Line(line) => {
            let line = String::from_utf8_lossy(&line).trim().to_owned();
            match version(&line) {
                Some(version) => Client::Found { older: version < MEASURED, line },
                None => Client::Silent(format!("`codex --version` says `{line}`")),
            }
        }
        Heard::Nothing => Client::Silent("`codex --version` did not answer in 10 s".to_owned()),
        Heard::End | Heard::TooLong => {
            let said = talk.last_words().map(|line| format!(": {line}")).unwrap_or_default();
            Client::Silent(format!("`codex --version` does not say one{said}"))
        }
    }
}

/// `codex-cli 0.169.0`, with or without something behind it.
fn version(line: &str) -> Option<[u64; 3]> {
    let mut numbers = line.strip_prefix("codex")?.rsplit(' ').next()?.splitn(3, '.');
    let mut number = || {
        let text = numbers.next()?;
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        text[..end].parse().ok()
    };
    Some([number()?, number()?, number()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_sees_what_is_passed_to_it_and_nothing_else() {
        let all: Vec<(OsString, OsString)> = ["HOME", "CODEX_HOME", "OPENAI_API_KEY", "PATH", "TZ"]
            .map(|name| (name.into(), "outside".into()))
            .into();
        let server = Server {
            env_vars: vec!["CODEX_HOME".to_owned(), "NOT_SET".to_owned()],
            env: vec![("PATH".to_owned(), "own".to_owned()), ("A".to_owned(), "b".to_owned())],
            ..Server::default()
        };
        let seen: Vec<String> = environment(&all, &server)
            .into_iter()
            .map(|(name, value)| format!("{}={}", name.display(), value.display()))
            .collect();
        assert_eq!(seen, ["HOME=outside", "CODEX_HOME=outside", "TZ=outside", "PATH=own", "A=b"]);
    }

    #[test]
    fn versions_are_read_as_codex_says_them() {
        assert_eq!(version("codex-cli 0.169.0"), Some([0, 169, 0]));
        assert_eq!(version("codex-cli 1.2.3-alpha.4"), Some([1, 2, 3]));
        assert_eq!(version("codex-cli"), None);
        assert_eq!(version("command not found: 1.2.3"), None);
    }
}
