//! What a thread's app-server is started with: the program, a home of the run's own, the login.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    path::PathBuf,
    process::{Command, Stdio},
};

use codex::{
    Account, AccountTokens, AskId, Home, Installed, Login, Place, Server, UsersHome, Wishes,
};
use model::{
    Attempt, StageIndex,
    caps::{Names, Table, ToolCaps},
};

use super::{Message, Runner};
use crate::EngineError;

/// Names the state folder where it is not in its usual place.
const STATE_VARIABLE: &str = "CODEX_ORCHESTRATOR_HOME";

/// What a thread knows our own server as.
pub(crate) const OURS: &str = "delegation";

/// As good as no limit, in seconds: thirty days.
const LONG: u64 = 30 * 24 * 60 * 60;

/// What an app-server is started with.
pub(super) struct Outfit {
    pub(super) argv: Vec<OsString>,
    /// What it sees whatever else is said.
    pub(super) env: Vec<(OsString, OsString)>,
    /// The account whose tokens it is handed, if the login is one.
    pub(super) account: Option<(Account, AccountTokens)>,
    /// The program, with all that belongs to it.
    pub(super) package: PathBuf,
    /// Its home.
    pub(super) home: PathBuf,
    /// Where its model is: host and port.
    pub(super) endpoint: Option<(String, u16)>,
}

impl Runner<'_, '_, '_> {
    /// Makes the home, and looks that all is there.
    pub(super) fn outfit(&self, stage: StageIndex) -> Result<Outfit, String> {
        let facts = self.spec.codex.as_ref().ok_or("the record does not say how")?;
        let variable = |name: &str| self.variable(name).and_then(OsStr::to_str).map(str::to_owned);
        let path = self.variable("PATH").unwrap_or_default();
        let cache = self.engine.state().join("codex");
        let installed = Installed::find(OsStr::new(&facts.program), path, &cache);
        let installed = installed.map_err(|error| full(&error))?;
        let users = UsersHome::at(Some(facts.users_home.as_ref()), "/".as_ref());
        let login = Login::of(&users, None, variable).map_err(|error| full(&error))?;
        let (key, account) = match login {
            Login::Provider { .. } => (None, None),
            Login::ApiKey(key) => (Some(key), None),
            Login::Account(account) => {
                let tokens = account.tokens().map_err(|error| full(&error))?;
                (None, Some((account, tokens)))
            }
            Login::Keyring => {
                return Err(
                    "Codex keeps its login in the system's keyring, where a run cannot use \
                            it; set `cli_auth_credentials_store = \"file\"` in Codex's config.toml \
                            and log in again with `codex login`"
                        .to_owned(),
                );
            }
            Login::Nothing => {
                return Err("Codex is not logged in; log in with `codex login`".to_owned());
            }
        };
        let all = self.spec.caps_of(stage).map_err(|error| error.to_string())?.caps;
        let (asks, caps) = (self.may_grant(&all), all.tools);
        let temporary = self.variable("TMPDIR").filter(|folder| !folder.is_empty());
        let wishes = Wishes {
            temporary: temporary.map_or_else(|| PathBuf::from("/tmp"), PathBuf::from),
            servers: self.server().map(|server| (OURS.to_owned(), server)).into_iter().collect(),
            all_servers: caps.mcp == Table::All,
            granted: granted(&caps, asks, &users)?,
            bridge: self.bridge(),
            web_search: caps.web_search,
            multi_agent: caps.subagents,
            questions: true,
            inherited: self.inherited(stage),
            key,
            ..Wishes::default()
        };
        let folder = self.engine.codex_home(&self.spec).ok_or("the record does not say how")?;
        let home = Home::make(&folder, &users, &wishes).map_err(|error| full(&error))?;
        Ok(Outfit {
            package: installed.package(),
            argv: vec![installed.program.into(), "app-server".into()],
            env: vec![("CODEX_HOME".into(), home.dir().into())],
            account,
            endpoint: users.endpoint(None).map_err(|error| full(&error))?,
            home: home.dir().to_owned(),
        })
    }

    fn variable(&self, name: &str) -> Option<&OsStr> {
        let found = self.setup.env.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_os_str())
    }

    /// Our server, over the channel of this run. A thread is known by that, and by nothing that it
    /// says.
    fn server(&self) -> Option<Server> {
        let state = self.engine.state().to_string_lossy().into_owned();
        Some(Server {
            command: self.setup.server.first()?.to_str()?.to_owned(),
            args: vec!["delegate-server".to_owned()],
            env: [(STATE_VARIABLE.to_owned(), state)].into(),
            required: true,
            // Whether a call is allowed, the server judges by itself.
            approved: true,
            ..Server::default()
        })
    }

    /// What stands in a thread's config in the place of a server of the user's. That is started by its
    /// runner, outside of all that holds the thread, and heard through a filter.
    fn bridge(&self) -> Option<Server> {
        let ours = self.server()?;
        let args = vec!["__across".to_owned()];
        // A call may wait for a person, of whom a thread's Codex knows nothing: the bridge sees to time.
        let tool_timeout = (!self.spec.no_input).then_some(LONG);
        Some(Server {
            command: ours.command,
            args,
            env: ours.env,
            tool_timeout,
            ..Server::default()
        })
    }

    /// Begins to get newer tokens of the account: the user's own Codex renews the login, and nobody
    /// else does.
    pub(super) fn renew(&mut self, stage: StageIndex, attempt: Attempt, ask: AskId) {
        let Some(conversation) = self.conversation(stage) else { return };
        let Some((account, refused)) = conversation.account() else {
            return conversation.answer(&ask, codex::Answer::Deny);
        };
        let facts = self.spec.codex.as_ref();
        let mut program = Command::new(facts.map_or("codex", |facts| facts.program.as_str()));
        program.env_clear().envs(self.setup.env.iter().cloned()).stderr(Stdio::null());
        let lock = self.engine.state().join("login.lock");
        let sender = self.sender.clone();
        self.scope.spawn(move || {
            let newer = account.newer(&refused, &lock, program).map_err(|error| full(&error));
            let _ = sender.send(Message::Tokens(stage, attempt, ask, newer));
        });
    }

    pub(super) fn hear_tokens(
        &mut self,
        stage: StageIndex,
        attempt: Attempt,
        ask: &AskId,
        newer: Result<AccountTokens, String>,
    ) -> Result<(), EngineError> {
        if self.live_at(stage, attempt).is_some()
            && let Some(conversation) = self.conversation(stage)
        {
            match newer {
                Ok(tokens) => conversation.hand(ask, tokens),
                Err(error) => {
                    conversation.note(&format!("! {error}"));
                    conversation.answer(ask, codex::Answer::Deny);
                }
            }
        }
        Ok(())
    }
}

/// The servers of the user's that are given by name, with those tools, and those that may be asked for.
/// What the user does not have is not there for a thread either.
fn granted(
    caps: &ToolCaps,
    asks: bool,
    users: &UsersHome,
) -> Result<BTreeMap<String, Option<Vec<String>>>, String> {
    let Table::Only(table) = &caps.mcp else { return Ok(BTreeMap::new()) };
    let theirs = users.servers(None).map_err(|error| full(&error))?;
    let mut granted = BTreeMap::new();
    for (name, tools) in table {
        let Some(server) = theirs.get(name).filter(|_| name != OURS) else { continue };
        match server.place {
            Place::Program { .. } | Place::Url { logs_in: false, .. } => {}
            Place::Url { logs_in: true, .. } => {
                return Err(format!(
                    "Codex logs in at the MCP server `{name}` by itself, and nobody else can in its \
                     place; give it a `bearer_token_env_var` or `env_http_headers` instead of `auth`, \
                     `oauth` and `http_headers_helper`, or take it out of `caps.tools.mcp`"
                ));
            }
            Place::Nowhere => {
                return Err(format!(
                    "the MCP server `{name}` has neither a `command` nor a `url` in Codex's config"
                ));
            }
        }
        let more = if asks { caps.may_be_asked_for(name) } else { Names::NONE };
        let tools = match tools.and(&more) {
            Names::All => None,
            Names::Only(tools) => Some(tools.into_iter().collect()),
        };
        granted.insert(name.clone(), tools);
    }
    Ok(granted)
}

/// An error with what caused it.
fn full(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
