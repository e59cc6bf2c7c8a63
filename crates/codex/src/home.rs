//! A CODEX_HOME of a run's own.
//!
//! Threads in one home share its databases, its history and what it has learnt to allow. So each run
//! has one: the model and its provider are the user's, and everything that reaches further (servers,
//! hooks, plugins, trust, rules) is only what was granted.

mod config;
mod theirs;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use toml::Table;

pub(crate) use self::config::provider;
pub use self::theirs::{Place, TheirServer};
use crate::login::ApiKey;

/// The home in which the user works with Codex. Nothing here ever writes to it.
#[derive(Clone, Debug)]
pub struct UsersHome {
    dir: PathBuf,
}

/// What a home is to have that is not the user's own.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// The temporary folder of the environment in which the app-server will run.
    pub temporary: PathBuf,
    /// The profile of the user's config, as `codex --profile` takes it.
    pub profile: Option<String>,
    /// Every MCP server that the user has switched on is given as it is. None keeps a thread from
    /// beginning.
    pub all_servers: bool,
    /// MCP servers of the user's config that are granted, and which of their tools; none: all.
    pub granted: BTreeMap<String, Option<Vec<String>>>,
    /// What is started in the place of each of those, with the name of the server as its last
    /// argument; none: the server itself.
    pub bridge: Option<Server>,
    /// MCP servers that are ours.
    pub servers: BTreeMap<String, Server>,
    /// The model may have the web searched for it, which happens at its provider's, as far as the
    /// user's config lets it.
    pub web_search: bool,
    /// Codex tries forever to reach a model that is not reached, instead of a few times.
    pub patient: bool,
    /// The agent may have agents of its own, as far as the user's config lets it.
    pub multi_agent: bool,
    /// The agent may ask a person, outside of a plan too.
    pub questions: bool,
    /// Variables of the app-server's environment that commands of the agent have as well, beside the
    /// little that they need: names, or patterns with `*` and `?`.
    pub inherited: BTreeSet<String>,
    /// What the agent logs in with, where that is a key.
    pub key: Option<ApiKey>,
}

/// An MCP server that is ours, with all that Codex is told of it.
#[derive(Clone, Debug, Default)]
pub struct Server {
    /// The program.
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// What is put into its environment.
    pub env: BTreeMap<String, String>,
    /// What is passed on from the app-server's environment.
    pub env_vars: Vec<String>,
    /// Where it runs, if not where the agent works.
    pub cwd: Option<PathBuf>,
    /// A thread does not begin without it.
    pub required: bool,
    /// Codex does not ask before it calls its tools.
    pub approved: bool,
    /// The tools that are offered; none: all.
    pub tools: Option<Vec<String>>,
    /// How long a call may take, in seconds.
    pub tool_timeout: Option<u64>,
}

/// A home that was made.
#[derive(Clone, Debug)]
pub struct Home {
    dir: PathBuf,
    passed: BTreeSet<String>,
}

/// Why there is no home.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// Codex puts no helpers into a home that lies in the temporary folder.
    #[error(
        "`{}` is in the temporary folder `{}`, and Codex runs no sandboxed command from a home there; \
         set `TMPDIR` to another folder, or the state folder", .dir.display(), .temporary.display()
    )]
    Temporary {
        /// The home.
        dir: PathBuf,
        /// The folder.
        temporary: PathBuf,
    },
    /// The user's config is not one.
    #[error("`{}` cannot be read as Codex would read it: {reason}", .path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A server was granted that is not there.
    #[error("the config of Codex has no MCP server `{0}`; `codex mcp list` shows which it has")]
    NoServer(String),
    /// What was there before is not a folder.
    #[error("`{}` is no folder of ours", .0.display())]
    Occupied(PathBuf),
    /// It could not be written.
    #[error("`{}` could not be written", .path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl UsersHome {
    /// Where Codex would look: what `CODEX_HOME` says, or a folder of the user's own.
    pub fn at(codex_home: Option<&Path>, home: &Path) -> Self {
        let dir = codex_home.filter(|dir| !dir.as_os_str().is_empty());
        Self { dir: dir.map_or_else(|| home.join(".codex"), Path::to_owned) }
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the model is that the config names: host and port. None where that cannot be told.
    pub fn endpoint(&self, profile: Option<&str>) -> Result<Option<(String, u16)>, HomeError> {
        const USUAL: &str = "https://api.openai.com/v1";
        let config = self.config(profile)?;
        let table = provider(&config);
        let written = table.and_then(|table| table.get("base_url")?.as_str());
        let written = written.or_else(|| config.get("openai_base_url")?.as_str());
        let url = match written {
            Some(url) => url,
            // An account is served elsewhere than a key.
            None if self.dir.join("auth.json").exists() => {
                let base = config.get("chatgpt_base_url").and_then(toml::Value::as_str);
                base.unwrap_or("https://chatgpt.com/backend-api/")
            }
            None => USUAL,
        };
        let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
        let place = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let place = place.rsplit('@').next().unwrap_or_default();
        let usual = if scheme == "http" { 80 } else { 443 };
        Ok(match place.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() => {
                port.parse().ok().map(|port| (host.to_owned(), port))
            }
            _ => (!place.is_empty()).then(|| (place.to_owned(), usual)),
        })
    }

    /// The MCP servers of the user's config, each as it is written there.
    pub fn servers(
        &self,
        profile: Option<&str>,
    ) -> Result<BTreeMap<String, TheirServer>, HomeError> {
        let config = self.config(profile)?;
        let servers = config.get("mcp_servers").and_then(toml::Value::as_table);
        let servers = servers.into_iter().flatten();
        let tables = servers.filter_map(|(name, server)| Some((name, server.as_table()?)));
        Ok(tables.map(|(name, table)| (name.clone(), TheirServer::of(table))).collect())
    }

    /// The user's config; that of a profile goes before.
    pub(crate) fn config(&self, profile: Option<&str>) -> Result<Table, HomeError> {
        let mut table = self.table("config.toml", false)?;
        if let Some(profile) = profile {
            config::overlay(&mut table, self.table(&format!("{profile}.config.toml"), true)?);
        }
        Ok(table)
    }

    fn table(&self, name: &str, wanted: bool) -> Result<Table, HomeError> {
        let path = self.dir.join(name);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !wanted => String::new(),
            Err(error) => return Err(HomeError::Config { path, reason: error.to_string() }),
        };
        // Where in the file it is wrong says more than what a parser expects there.
        text.parse().map_err(|error: toml::de::Error| {
            let reason = error.message().to_owned();
            let line = error.span().map(|span| text[..span.start].matches('\n').count() + 1);
            let reason = line.map_or(reason.clone(), |line| format!("line {line}: {reason}"));
            HomeError::Config { path, reason }
        })
    }
}

impl Home {
    /// Makes it, or makes it anew as it is wished now. What Codex keeps there stays.
    pub fn make(dir: &Path, users: &UsersHome, wishes: &Wishes) -> Result<Self, HomeError> {
        let config = users.config(wishes.profile.as_deref())?;
        let (text, passed) = config::generated(config, users.dir(), wishes)?;
        // Codex looks at what both really are.
        if !wishes.temporary.as_os_str().is_empty()
            && real(dir).starts_with(real(&wishes.temporary))
        {
            let temporary = wishes.temporary.clone();
            return Err(HomeError::Temporary { dir: dir.to_owned(), temporary });
        }
        folder(dir)?;
        write(&dir.join("config.toml"), &text)?;
        let login = dir.join("auth.json");
        match &wishes.key {
            Some(key) => write(&login, &key.file())?,
            None => match fs::remove_file(&login) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(HomeError::Write { path: login, source: error });
                }
                _ => {}
            },
        }
        Ok(Self { dir: dir.to_owned(), passed })
    }

    /// The folder, which is what `CODEX_HOME` has to say in the app-server's environment.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The variables of the user's environment that the app-server has to be given too: keys of the
    /// provider, and what servers get passed on.
    pub fn passed(&self) -> &BTreeSet<String> {
        &self.passed
    }
}

/// The path without links, as far as it is there.
fn real(path: &Path) -> PathBuf {
    let mut missing = Vec::new();
    for there in path.ancestors() {
        if let Ok(real) = there.canonicalize() {
            return missing.iter().rev().fold(real, |path, name| path.join(name));
        }
        missing.extend(there.file_name());
    }
    path.to_owned()
}

fn folder(dir: &Path) -> Result<(), HomeError> {
    let failed = |source| HomeError::Write { path: dir.to_owned(), source };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| {
        match error.kind() {
            io::ErrorKind::AlreadyExists => HomeError::Occupied(dir.to_owned()),
            _ => failed(error),
        }
    })?;
    let found = fs::symlink_metadata(dir).map_err(failed)?;
    if !found.is_dir() {
        return Err(HomeError::Occupied(dir.to_owned()));
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(failed)
}

/// Writes a file that only we read, as a whole or not at all. One that says the same already is left
/// alone, since an app-server may be looking at it.
fn write(path: &Path, text: &str) -> Result<(), HomeError> {
    let failed = |source| HomeError::Write { path: path.to_owned(), source };
    if fs::read(path).is_ok_and(|there| there == text.as_bytes()) {
        return fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed);
    }
    let mut next = path.as_os_str().to_owned();
    next.push(format!(".{}", std::process::id()));
    let next = PathBuf::from(next);
    let _ = fs::remove_file(&next);
    let written = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&next)
        .and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes()))
        .and_then(|()| fs::rename(&next, path));
    written.map_err(|source| {
        let _ = fs::remove_file(&next);
        failed(source)
    })
}

#[cfg(test)]
mod tests;
