//! An MCP server of the user's config, for whoever starts it in Codex's place.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use toml::{Table, Value};

use super::config;

/// What Codex passes on to a server without being told to.
const PASSED: [&str; 10] =
    ["HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER"];

/// An MCP server as the user has written it down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TheirServer {
    /// Where it is.
    pub place: Place,
    /// The user has not switched it off.
    pub is_on: bool,
    /// How long a call of one of its tools may take.
    pub tool_timeout: Duration,
    /// The tools that the user offers; none: all.
    enabled: Option<BTreeSet<String>>,
    /// Tools that the user does not offer, whatever else is said.
    disabled: BTreeSet<String>,
}

/// Where an MCP server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// It is a program, which is started for each client.
    Program {
        /// The program.
        command: String,
        /// Its arguments.
        args: Vec<String>,
        /// What is put into its environment.
        env: BTreeMap<String, String>,
        /// What is passed on to it from the environment.
        env_vars: BTreeSet<String>,
        /// Where it runs, if not where the agent works.
        cwd: Option<PathBuf>,
    },
    /// It is somewhere else, and reached by HTTP.
    Url {
        /// Where.
        url: String,
        /// Headers that it is sent, with their values.
        headers: BTreeMap<String, String>,
        /// The same with the variables that have their values.
        env_headers: BTreeMap<String, String>,
        /// The variable of a token that it is sent.
        token: Option<String>,
        /// Codex has to log in there by itself.
        logs_in: bool,
    },
    /// Neither is said.
    Nowhere,
}

/// What Codex takes where the user says nothing.
const TOOL_TIMEOUT: Duration = Duration::from_secs(300);

fn tool_timeout(table: &Table) -> Option<Duration> {
    let seconds = match table.get("tool_timeout_sec")? {
        Value::Float(seconds) => *seconds,
        Value::Integer(seconds) => u32::try_from(*seconds).ok()?.into(),
        _ => return None,
    };
    Duration::try_from_secs_f64(seconds).ok()
}

impl TheirServer {
    pub(super) fn of(table: &Table) -> Self {
        let texts = |key: &str| {
            let array = table.get(key)?.as_array()?;
            Some(array.iter().filter_map(Value::as_str).map(str::to_owned))
        };
        let set = |key: &str| texts(key).map(Iterator::collect::<BTreeSet<_>>);
        let text = |key: &str| table.get(key).and_then(Value::as_str).map(str::to_owned);
        let map = |key: &str| {
            let map = table.get(key).and_then(Value::as_table).into_iter().flatten();
            let map = map.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned())));
            map.collect::<BTreeMap<_, _>>()
        };
        let place = match (text("command"), text("url")) {
            (Some(command), _) => {
                let names = table.get("env_vars").and_then(Value::as_array).into_iter().flatten();
                let names = names.filter_map(|name| name.get("name").unwrap_or(name).as_str());
                let args = texts("args").map(Iterator::collect).unwrap_or_default();
                let cwd = text("cwd").map(PathBuf::from);
                let env_vars = names.map(str::to_owned).collect();
                Place::Program { command, args, env: map("env"), env_vars, cwd }
            }
            (None, Some(url)) => Place::Url {
                url,
                headers: map("http_headers"),
                env_headers: map("env_http_headers"),
                token: text("bearer_token_env_var"),
                logs_in: ["auth", "http_headers_helper", "oauth"]
                    .iter()
                    .any(|key| table.contains_key(*key)),
            },
            (None, None) => Place::Nowhere,
        };
        Self {
            place,
            is_on: config::is_on(table),
            tool_timeout: tool_timeout(table).unwrap_or(TOOL_TIMEOUT),
            enabled: set("enabled_tools"),
            disabled: set("disabled_tools").unwrap_or_default(),
        }
    }

    /// Whether the user offers a tool of that name, if the server has one.
    #[must_use]
    pub fn offers(&self, tool: &str) -> bool {
        let enabled = self.enabled.as_ref();
        enabled.is_none_or(|enabled| enabled.contains(tool)) && !self.disabled.contains(tool)
    }
}

impl Place {
    /// Whether a variable of that name is passed on to a program that is started there.
    #[must_use]
    pub fn is_passed(&self, name: &str) -> bool {
        let Self::Program { env_vars, .. } = self else { return false };
        PASSED.contains(&name) || env_vars.contains(name)
    }

    /// The headers that a server is sent which is reached by HTTP.
    ///
    /// # Errors
    ///
    /// The name of a variable that says one of them, and is not there.
    pub fn headers(
        &self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Vec<(String, String)>, String> {
        let Self::Url { headers, env_headers, token, .. } = self else { return Ok(Vec::new()) };
        let value = |name: &String| variable(name).ok_or_else(|| name.clone());
        let mut all: Vec<_> = headers.clone().into_iter().collect();
        for (header, name) in env_headers {
            all.push((header.clone(), value(name)?));
        }
        if let Some(name) = token {
            all.push(("authorization".to_owned(), format!("Bearer {}", value(name)?)));
        }
        Ok(all)
    }
}
