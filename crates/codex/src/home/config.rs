//! What of the user's config a run's is made of, and what is added.

use std::{collections::BTreeSet, path::Path};

use toml::{Table, Value};

use super::{HomeError, Server, Wishes};

/// What says which model is asked, where, and how. Everything else of the user's config is about
/// what may be reached, or about screens, and is not a run's unless it was granted.
const KEPT: [&str; 24] = [
    "analytics",
    "chatgpt_base_url",
    "forced_chatgpt_workspace_id",
    "forced_login_method",
    "hide_agent_reasoning",
    "model",
    "model_auto_compact_token_limit",
    "model_catalog_json",
    "model_context_window",
    "model_instructions_file",
    "model_provider",
    "model_providers",
    "model_reasoning_effort",
    "model_reasoning_summary",
    "model_verbosity",
    "openai_base_url",
    "oss_provider",
    "personality",
    "project_doc_fallback_filenames",
    "project_doc_max_bytes",
    "project_root_markers",
    "service_tier",
    "show_raw_agent_reasoning",
    "tool_output_token_limit",
];

/// Those of them that name a file, from the user's home if not from the root.
const FILES: [&str; 2] = ["model_catalog_json", "model_instructions_file"];

/// What Codex can do that has no place in a run: it belongs to a screen, reaches further than what
/// was granted, or begins turns that nobody has asked for.
const OFF: [&str; 8] = [
    "apps",
    "browser_use",
    "computer_use",
    "goals",
    "hooks",
    "plugins",
    "skill_mcp_dependency_install",
    "tool_suggest",
];

/// Which of the two kinds of agents a model gets depends on the model.
const AGENTS: [&str; 2] = ["multi_agent", "multi_agent_v2"];

/// What stays of what the user says of a server that is reached over a bridge.
const STAYING: [&str; 8] = [
    "default_tools_approval_mode",
    "disabled_tools",
    "enabled",
    "enabled_tools",
    "startup_timeout_ms",
    "startup_timeout_sec",
    "tool_timeout_sec",
    "tools",
];

/// What Codex means by the `core` of an environment.
const CORE: [&str; 11] = [
    "HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "PATH", "SHELL", "TEMP", "TMP", "TMPDIR",
    "USER",
];

/// The text of the config, and the variables that its servers and its provider want.
pub(super) fn generated(
    mut users: Table,
    users_home: &Path,
    wishes: &Wishes,
) -> Result<(String, BTreeSet<String>), HomeError> {
    let servers = servers(&users, wishes)?;
    let searches = users.remove("web_search").filter(|_| wishes.web_search);
    let theirs = users.remove("features");
    let mut config = Table::new();
    for key in KEPT {
        if let Some(value) = users.remove(key) {
            config.insert(key.to_owned(), value);
        }
    }
    for key in FILES {
        if let Some(Value::String(path)) = config.get_mut(key)
            && let Some(whole) = users_home.join(&path).to_str()
        {
            *path = whole.to_owned();
        }
    }
    let passed = passed(&config, &servers);
    // What was handed in is kept in memory only; what is in a file was put there by us.
    let store = if wishes.key.is_some() { "file" } else { "ephemeral" };
    set(&mut config, "cli_auth_credentials_store", store);
    set(&mut config, "check_for_update_on_startup", false);
    set(&mut config, "suppress_unstable_features_warning", true);
    // What the user's config does not say is what Codex makes of it.
    if let Some(how) = searches.or_else(|| (!wishes.web_search).then(|| "disabled".into())) {
        set(&mut config, "web_search", how);
    }
    set(&mut config, "history", table([("persistence", Value::from("none"))]));
    let features = OFF.into_iter().map(|feature| (feature, Value::from(false)));
    let agents = AGENTS.into_iter().filter_map(|feature| match wishes.multi_agent {
        true => Some((feature, theirs.as_ref()?.get(feature)?.clone())),
        false => Some((feature, Value::from(false))),
    });
    let questions = ("default_mode_request_user_input", Value::from(wishes.questions));
    let patience = ("unbounded_connection_retries", Value::from(wishes.patient));
    set(&mut config, "features", table(features.chain(agents).chain([questions, patience])));
    set(&mut config, "shell_environment_policy", environment(&wishes.inherited));
    set(&mut config, "mcp_servers", servers);
    let text = toml::to_string(&config).map_err(|error| HomeError::Config {
        path: users_home.join("config.toml"),
        reason: error.to_string(),
    })?;
    Ok((format!("# Made for one run, and made anew when it goes on.\n{text}"), passed))
}

/// What commands have of the app-server's environment.
fn environment(inherited: &BTreeSet<String>) -> Table {
    let named: Vec<Value> = inherited.iter().map(|name| name.as_str().into()).collect();
    if named.is_empty() {
        return table([
            ("inherit", Value::from("core")),
            ("ignore_default_excludes", false.into()),
        ]);
    }
    let only: Vec<Value> = CORE.into_iter().map(Value::from).chain(named).collect();
    table([
        ("inherit", Value::from("all")),
        // What is named is meant, also if its name is that of a key.
        ("ignore_default_excludes", true.into()),
        ("include_only", Value::from(only)),
    ])
}

fn set(config: &mut Table, key: &str, value: impl Into<Value>) {
    config.insert(key.to_owned(), value.into());
}

fn table<'a>(entries: impl IntoIterator<Item = (&'a str, Value)>) -> Table {
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// What one says goes before what the other says, key by key.
pub(super) fn overlay(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Table(under)), Value::Table(over)) => overlay(under, over),
            (_, value) => drop(under.insert(key, value)),
        }
    }
}

fn servers(users: &Table, wishes: &Wishes) -> Result<Table, HomeError> {
    let theirs = users.get("mcp_servers").and_then(Value::as_table);
    let mut servers = Table::new();
    if wishes.all_servers {
        let tables = theirs.into_iter().flatten();
        let tables = tables.filter_map(|(name, server)| Some((name, server.as_table()?.clone())));
        for (name, mut server) in tables.filter(|(_, table)| is_on(table)) {
            set(&mut server, "required", false);
            set(&mut servers, name, server);
        }
    }
    for (name, tools) in &wishes.granted {
        let server = theirs.and_then(|theirs| theirs.get(name)?.as_table());
        let mut server = server.ok_or_else(|| HomeError::NoServer(name.clone()))?.clone();
        set(&mut server, "enabled", true);
        if let Some(bridge) = &wishes.bridge {
            cross(&mut server, bridge, name);
        }
        if let Some(tools) = tools {
            narrow(&mut server, tools);
        }
        set(&mut servers, name, server);
    }
    for (name, server) in &wishes.servers {
        set(&mut servers, name, server.table());
    }
    Ok(servers)
}

/// Whether the user has not switched it off.
pub(super) fn is_on(server: &Table) -> bool {
    server.get("enabled").and_then(Value::as_bool) != Some(false)
}

/// Puts the bridge where the server was. How long things may take, unless the bridge says that, and what
/// the user is asked before stays; how the server is reached is nobody's business on this side, its secrets above all.
fn cross(server: &mut Table, bridge: &Server, name: &str) {
    server.retain(|key, _| STAYING.contains(&key));
    set(server, "required", false);
    let mut bridge = bridge.clone();
    bridge.args.push(name.to_owned());
    let bridge = bridge.table();
    let said = ["command", "args", "env", "tool_timeout_sec"];
    server.extend(bridge.into_iter().filter(|(key, _)| said.contains(&key.as_str())));
}

/// Offers what is granted, and nothing that the user does not offer either.
fn narrow(server: &mut Table, tools: &[String]) {
    let offered = server.get("enabled_tools").and_then(Value::as_array);
    let is_offered = |tool: &&String| {
        offered.is_none_or(|offered| offered.iter().any(|name| name.as_str() == Some(tool)))
    };
    let both: Vec<Value> =
        tools.iter().filter(is_offered).map(|t| Value::from(t.as_str())).collect();
    set(server, "enabled_tools", both);
}

impl Server {
    fn table(&self) -> Table {
        let texts =
            |texts: &[String]| texts.iter().map(|text| Value::from(text.as_str())).collect();
        let mut table = Table::new();
        set(&mut table, "command", self.command.as_str());
        set(&mut table, "args", Value::Array(texts(&self.args)));
        set(&mut table, "required", self.required);
        if !self.env_vars.is_empty() {
            set(&mut table, "env_vars", Value::Array(texts(&self.env_vars)));
        }
        if let Some(cwd) = self.cwd.as_deref().and_then(Path::to_str) {
            set(&mut table, "cwd", cwd);
        }
        if self.approved {
            set(&mut table, "default_tools_approval_mode", "approve");
        }
        if let Some(tools) = &self.tools {
            set(&mut table, "enabled_tools", Value::Array(texts(tools)));
        }
        if let Some(seconds) = self.tool_timeout {
            set(&mut table, "tool_timeout_sec", seconds.cast_signed());
        }
        if !self.env.is_empty() {
            let env: Table =
                self.env.iter().map(|(k, v)| (k.clone(), Value::from(v.as_str()))).collect();
            set(&mut table, "env", env);
        }
        table
    }
}

/// The names of variables that are looked up when a model is asked or a server is started.
fn passed(config: &Table, servers: &Table) -> BTreeSet<String> {
    let mut passed = BTreeSet::new();
    let mut add = |name: &Value| passed.extend(name.as_str().map(str::to_owned));
    if let Some(provider) = provider(config) {
        provider.get("env_key").into_iter().for_each(&mut add);
        let headers = provider.get("env_http_headers").and_then(Value::as_table);
        headers.into_iter().flat_map(Table::values).for_each(&mut add);
    }
    for server in servers.values().filter_map(Value::as_table) {
        server.get("bearer_token_env_var").into_iter().for_each(&mut add);
        let headers = server.get("env_http_headers").and_then(Value::as_table);
        headers.into_iter().flat_map(Table::values).for_each(&mut add);
        let names = server.get("env_vars").and_then(Value::as_array);
        for name in names.into_iter().flatten() {
            add(name.get("name").unwrap_or(name));
        }
    }
    passed
}

/// The provider that is asked, if the config describes it.
pub(crate) fn provider(config: &Table) -> Option<&Table> {
    let name = config.get("model_provider")?.as_str()?;
    config.get("model_providers")?.get(name)?.as_table()
}
