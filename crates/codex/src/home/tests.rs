//! What becomes of a user's config, and how it lies there.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use tempfile::TempDir;
use toml::Table;

use super::{Home, HomeError, Place, Server, UsersHome, Wishes};
use crate::login::Login;

/// A folder with a user's home in it.
struct Desk(TempDir);

impl Desk {
    fn with(config: &str) -> Self {
        let desk = Self(tempfile::tempdir().expect("a folder"));
        fs::create_dir(desk.path("user")).expect("a folder");
        fs::write(desk.path("user/config.toml"), config).expect("a config");
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn users(&self) -> UsersHome {
        UsersHome::at(Some(&self.path("user")), Path::new("/nobody"))
    }

    fn make(&self, wishes: &Wishes) -> Result<Home, HomeError> {
        Home::make(&self.path("runs/1/codex"), &self.users(), wishes)
    }

    #[track_caller]
    fn made(&self, wishes: &Wishes) -> Table {
        let home = self.make(wishes).expect("a home");
        let text = fs::read_to_string(home.dir().join("config.toml")).expect("a config");
        text.parse().expect("TOML")
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

const USERS: &str = r#"
model = "m"
model_provider = "mine"
model_reasoning_effort = "high"
model_instructions_file = "mine.md"
approval_policy = "never"
sandbox_mode = "danger-full-access"
notify = ["say"]
web_search = "live"

[model_providers.mine]
name = "mine"
base_url = "http://127.0.0.1:1/v1"
env_key = "MY_KEY"
env_http_headers = { X = "MY_HEADER" }

[mcp_servers.a]
command = "a"
enabled = false
enabled_tools = ["one", "two"]
env_vars = ["A_VAR", { name = "B_VAR", source = "local" }]

[mcp_servers.b]
url = "http://127.0.0.1:1/"
bearer_token_env_var = "B_TOKEN"

[projects."/home/me"]
trust_level = "trusted"

[features]
plugins = true
multi_agent_v2 = true

[hooks]
state = {}

[shell_environment_policy]
set = { SECRET = "x" }
"#;

#[test]
fn the_model_is_the_users_and_what_reaches_further_is_not() {
    let desk = Desk::with(USERS);
    let home = desk.make(&Wishes::default()).expect("a home");
    let made = desk.made(&Wishes::default());
    for key in ["model", "model_provider", "model_providers", "model_reasoning_effort"] {
        assert_eq!(made[key], USERS.parse::<Table>().expect("TOML")[key], "{key}");
    }
    let file = desk.path("user/mine.md");
    assert_eq!(made["model_instructions_file"].as_str(), file.to_str());
    for key in ["approval_policy", "sandbox_mode", "notify", "projects", "hooks"] {
        assert!(!made.contains_key(key), "{key}");
    }
    assert_eq!(made["mcp_servers"], Table::new().into());
    assert_eq!(made["web_search"].as_str(), Some("disabled"));
    assert_eq!(made["features"]["plugins"].as_bool(), Some(false));
    assert_eq!(made["features"]["multi_agent"].as_bool(), Some(false));
    assert_eq!(made["shell_environment_policy"]["inherit"].as_str(), Some("core"));
    assert!(!made["shell_environment_policy"].as_table().expect("it").contains_key("set"));
    let inherited = ["MY_VARIABLE", "THEIR_*"].map(str::to_owned).into();
    let made = desk.made(&Wishes { inherited, ..Wishes::default() });
    let policy = made["shell_environment_policy"].as_table().expect("it");
    assert_eq!(policy["inherit"].as_str(), Some("all"));
    let only = policy["include_only"].as_array().expect("names");
    let has = |name: &str| only.iter().any(|only| only.as_str() == Some(name));
    assert!(has("PATH") && has("MY_VARIABLE") && has("THEIR_*"), "{only:?}");
    assert!(home.passed().iter().eq(["MY_HEADER", "MY_KEY"]), "{:?}", home.passed());
}

#[test]
fn what_is_granted_comes_whole_and_no_wider() {
    let desk = Desk::with(USERS);
    let tools = Some(vec!["two".to_owned(), "three".to_owned()]);
    let server = Server {
        command: "/bin/us".to_owned(),
        args: vec!["serve".to_owned()],
        required: true,
        approved: true,
        ..Server::default()
    };
    let wishes = Wishes {
        granted: BTreeMap::from([("a".to_owned(), tools), ("b".to_owned(), None)]),
        servers: BTreeMap::from([("delegation".to_owned(), server)]),
        web_search: true,
        multi_agent: true,
        ..Wishes::default()
    };
    let made = desk.made(&wishes);
    let servers = made["mcp_servers"].as_table().expect("a table");
    assert!(servers.keys().eq(["a", "b", "delegation"]), "{servers}");
    assert_eq!(servers["a"]["enabled"].as_bool(), Some(true));
    assert_eq!(servers["a"]["enabled_tools"], vec![toml::Value::from("two")].into());
    assert_eq!(servers["delegation"]["default_tools_approval_mode"].as_str(), Some("approve"));
    assert_eq!(made["web_search"].as_str(), Some("live"));
    assert!(made["features"].get("multi_agent").is_none());
    assert_eq!(made["features"]["multi_agent_v2"].as_bool(), Some(true));
    let passed = desk.make(&wishes).expect("a home");
    let all = ["A_VAR", "B_TOKEN", "B_VAR", "MY_HEADER", "MY_KEY"];
    assert!(passed.passed().iter().eq(all), "{:?}", passed.passed());

    let unknown = BTreeMap::from([("c".to_owned(), None)]);
    let refused = desk.make(&Wishes { granted: unknown, ..Wishes::default() });
    assert!(matches!(refused, Err(HomeError::NoServer(name)) if name == "c"));
}

#[test]
fn all_servers_are_those_that_the_user_has_on() {
    let desk = Desk::with(&USERS.replace("url =", "required = true\nurl ="));
    let made = desk.made(&Wishes { all_servers: true, ..Wishes::default() });
    let servers = made["mcp_servers"].as_table().expect("a table");
    assert!(servers.keys().eq(["b"]), "{servers}");
    assert_eq!(servers["b"]["required"].as_bool(), Some(false));
    assert_eq!(servers["b"]["bearer_token_env_var"].as_str(), Some("B_TOKEN"));
}

#[test]
fn over_a_bridge_nothing_of_the_server_itself_comes_along() {
    let desk = Desk::with(USERS);
    let bridge = Server {
        command: "/bin/us".to_owned(),
        args: vec!["across".to_owned()],
        env: BTreeMap::from([("S".to_owned(), "s".to_owned())]),
        tool_timeout: Some(90),
        ..Server::default()
    };
    let granted = [("a", Some(vec!["two".to_owned()])), ("b", None)];
    let wishes = Wishes {
        granted: granted.map(|(name, tools)| (name.to_owned(), tools)).into(),
        bridge: Some(bridge),
        ..Wishes::default()
    };
    let servers = desk.made(&wishes)["mcp_servers"].clone();
    let expected: Table = r#"
        a = { enabled = true, required = false, enabled_tools = ["two"], command = "/bin/us", args = ["across", "a"], env = { S = "s" }, tool_timeout_sec = 90 }
        b = { enabled = true, required = false, command = "/bin/us", args = ["across", "b"], env = { S = "s" }, tool_timeout_sec = 90 }
    "#
    .parse()
    .expect("TOML");
    assert_eq!(servers, expected.into());
    let passed = desk.make(&wishes).expect("a home");
    assert!(passed.passed().iter().eq(["MY_HEADER", "MY_KEY"]), "{:?}", passed.passed());
}

#[test]
fn a_server_of_theirs_is_read_as_codex_reads_it() {
    let desk = Desk::with(USERS);
    let servers = desk.users().servers(None).expect("a config");
    let a = &servers["a"];
    assert!(!a.is_on && a.offers("one") && !a.offers("three"));
    let passed = ["PATH", "A_VAR", "B_VAR", "OTHER"].map(|name| a.place.is_passed(name));
    assert_eq!(passed, [true, true, true, false]);
    let Place::Url { url, logs_in, .. } = &servers["b"].place else { panic!("{servers:?}") };
    assert_eq!((url.as_str(), *logs_in), ("http://127.0.0.1:1/", false));
}

#[test]
fn a_call_takes_as_long_as_codex_would_wait() {
    for (said, millis) in
        [("", 300_000), ("tool_timeout_sec = 5", 5000), ("tool_timeout_sec = 0.5", 500)]
    {
        let desk = Desk::with(&format!("[mcp_servers.a]\ncommand = \"a\"\n{said}\n"));
        let servers = desk.users().servers(None).expect("a config");
        assert_eq!(servers["a"].tool_timeout.as_millis(), millis);
    }
}

#[test]
fn a_server_by_http_is_sent_headers_of_which_variables_say_some() {
    let desk = Desk::with(
        "[mcp_servers.a]\nurl = \"http://127.0.0.1:1/\"\nbearer_token_env_var = \"TOKEN\"\n\
         http_headers = { x-one = \"1\" }\nenv_http_headers = { x-two = \"TWO\" }\n\
         [mcp_servers.b]\nurl = \"http://127.0.0.1:1/\"\nauth = \"oauth\"\n",
    );
    let servers = desk.users().servers(None).expect("a config");
    let all = |name: &str| Some(format!("of {name}"));
    let headers = servers["a"].place.headers(all).expect("all are there");
    let headers: Vec<String> = headers.iter().map(|(name, it)| format!("{name}: {it}")).collect();
    assert_eq!(headers, ["x-one: 1", "x-two: of TWO", "authorization: Bearer of TOKEN"]);
    let some = |name: &str| all(name).filter(|_| name != "TOKEN");
    assert_eq!(servers["a"].place.headers(some), Err("TOKEN".to_owned()));
    assert!(matches!(servers["b"].place, Place::Url { logs_in: true, .. }));
}

#[test]
fn a_profile_goes_before_the_rest() {
    let desk = Desk::with(USERS);
    let profile = "model = \"other\"\n[model_providers.mine]\nenv_key = \"OTHER_KEY\"\n";
    fs::write(desk.path("user/deep.config.toml"), profile).expect("a profile");
    let deep = Wishes { profile: Some("deep".to_owned()), ..Wishes::default() };
    let made = desk.made(&deep);
    assert_eq!(made["model"].as_str(), Some("other"));
    assert_eq!(made["model_providers"]["mine"]["env_key"].as_str(), Some("OTHER_KEY"));
    assert_eq!(made["model_providers"]["mine"]["name"].as_str(), Some("mine"));
    let missing = Wishes { profile: Some("none".to_owned()), ..Wishes::default() };
    assert!(matches!(desk.make(&missing), Err(HomeError::Config { .. })));
}

#[test]
fn only_its_owner_looks_into_it() {
    let desk = Desk::with("");
    let login = |name: &str| (name == "CODEX_API_KEY").then(|| "sk-1".to_owned());
    let Ok(Login::ApiKey(key)) = Login::of(&desk.users(), None, login) else { panic!("a key") };
    let with_key = Wishes { key: Some(key), ..Wishes::default() };
    let home = desk.make(&with_key).expect("a home");
    let [config, auth] = ["config.toml", "auth.json"].map(|name| home.dir().join(name));
    assert_eq!((mode(home.dir()), mode(&config), mode(&auth)), (0o700, 0o600, 0o600));
    assert!(fs::read_to_string(&auth).expect("a key").contains("sk-1"));

    // What Codex keeps there stays, and what was opened meanwhile is closed again.
    fs::write(home.dir().join("state"), "x").expect("a file");
    fs::set_permissions(&config, fs::Permissions::from_mode(0o644)).expect("a mode");
    desk.make(&with_key).expect("a home");
    assert_eq!(mode(&config), 0o600);
    assert!(home.dir().join("state").exists());

    desk.make(&Wishes::default()).expect("a home");
    assert!(!auth.exists(), "a key that is not wished any more is gone");
    let left: Vec<_> = fs::read_dir(home.dir()).expect("it is there").flatten().collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn a_home_in_the_temporary_folder_is_refused_before_it_is_made() {
    let desk = Desk::with("");
    fs::create_dir(desk.path("real")).expect("a folder");
    symlink(desk.path("real"), desk.path("runs")).expect("a link");
    let wishes = Wishes { temporary: desk.path("real"), ..Wishes::default() };
    let refused = desk.make(&wishes).expect_err("it is in there");
    assert!(refused.to_string().contains("`TMPDIR`"), "{refused}");
    assert!(!desk.path("real/1").exists());
    let elsewhere = Wishes { temporary: desk.path("tmp"), ..Wishes::default() };
    assert!(desk.make(&elsewhere).is_ok());
}

#[test]
fn what_is_no_folder_of_ours_is_left_alone() {
    let desk = Desk::with("");
    fs::create_dir_all(desk.path("runs/1")).expect("a folder");
    fs::create_dir(desk.path("theirs")).expect("a folder");
    symlink(desk.path("theirs"), desk.path("runs/1/codex")).expect("a link");
    assert!(matches!(desk.make(&Wishes::default()), Err(HomeError::Occupied(_))));
    assert_eq!(fs::read_dir(desk.path("theirs")).expect("it is there").count(), 0);
}

#[test]
fn a_config_that_is_none_is_shown_by_its_line() {
    let desk = Desk::with("model = \"m\"\nmodel = \n");
    let refused = desk.make(&Wishes::default()).expect_err("no TOML");
    assert!(refused.to_string().contains("line 2"), "{refused}");
    assert!(!desk.path("runs").exists());
}
