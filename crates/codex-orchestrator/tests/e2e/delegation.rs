//! The doctor about delegating: what a registration says, and what its server does when it is
//! started as Codex would start it.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::scratch::{Answer, Scratch};

/// What a server does that works. What stands in braces is put in by each test.
const SERVER: &str = r#"#!/bin/sh
{first}
while read -r line; do
  case $line in
    *'"initialize"'*) {hello}; echo '{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"codex-orchestrator","version":"{version}"}}}' ;;
    *'"tools/list"'*) echo '{"jsonrpc":"2.0","id":1,"result":{"tools":[{tools}]}}' ;;
    *'"tools/call"'*) echo '{"jsonrpc":"2.0","id":2,"result":{answer}}' ;;
  esac
done
{last}
"#;

const LIST: &str = r#"{"name":"delegate.cancel","inputSchema":{"type":"object"},"annotations":{"readOnlyHint":false}},{"name":"delegate.list","inputSchema":{"type":"object"},"annotations":{"readOnlyHint":true}}"#;

/// An entry as setup writes it, of a program that a test wrote.
const ENTRY: &str = r#"[mcp_servers.delegation]
command = "{program}"
args = ["delegate-server"]
enabled = false
required = true
env_vars = ["CODEX_HOME", "CODEX_ORCHESTRATOR_HOME", "MCP_RUNNER_TASK_ID", "CODEX_MCP_CONFIG_OVERRIDES", "CODEX_CONFIG_OVERRIDES"]
tool_timeout_sec = 300
supports_parallel_tool_calls = true
"#;

fn program(scratch: &Scratch) -> PathBuf {
    scratch.folder().join("bin/codex-orchestrator")
}

/// Writes a program.
fn install(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Writes the server, changed here and there, and nothing in the places that are left.
fn serve(scratch: &Scratch, changes: &[(&str, &str)]) {
    let mut text = SERVER.to_owned();
    let rest = [
        ("{first}", ""),
        ("{hello}", ":"),
        ("{last}", ""),
        ("{version}", env!("CARGO_PKG_VERSION")),
    ];
    let rest = rest.into_iter().chain([("{tools}", LIST), ("{answer}", "{\"content\":[]}")]);
    for (place, what) in changes.iter().copied().chain(rest) {
        text = text.replace(place, what);
    }
    install(&program(scratch), &text);
    register(scratch, "");
}

/// Writes the entry, with further settings.
fn register(scratch: &Scratch, more: &str) {
    let text = ENTRY.replace("{program}", &program(scratch).display().to_string());
    write(scratch, &format!("{text}{more}"));
}

fn write(scratch: &Scratch, text: &str) {
    fs::create_dir_all(scratch.folder().join(".codex")).unwrap();
    fs::write(scratch.folder().join(".codex/config.toml"), text).unwrap();
}

/// What the doctor says of the entry and the server: verdict, what was found, and the remedy.
fn findings(answer: &Answer) -> Vec<String> {
    let checks = answer.document["checks"].as_array().expect("checks").iter();
    let ours = checks.filter(|check| check["what"] == "registration" || check["what"] == "server");
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    ours.map(|check| {
        format!("{} {}; {}", text(&check["verdict"]), text(&check["found"]), text(&check["remedy"]))
    })
    .collect()
}

/// The doctor finds these things, in this order, and nothing else; and it leaves nothing running.
#[track_caller]
fn finds(scratch: &Scratch, code: i32, expected: &[&[&str]]) {
    let answer = scratch.json(&["doctor"]);
    let found = findings(&answer);
    assert_eq!(answer.code, code, "{found:#?}");
    let fits = |(line, pieces): (&String, &&[&str])| {
        line.starts_with(pieces[0]) && pieces.iter().all(|piece| line.contains(piece))
    };
    let all = found.len() == expected.len() && found.iter().zip(expected).all(fits);
    assert!(all, "{found:#?} is not {expected:#?}");
    assert_eq!(scratch.processes(), Vec::<i32>::new(), "nothing is left");
}

const GOOD: &[&str] = &["good `delegation` in ", "off until a session asks"];

#[test]
fn a_server_that_works_is_proved_to_work_as_codex_would_use_it() {
    let scratch = Scratch::new();
    let seen = scratch.folder().join("seen");
    let note = format!(
        "exec 3> {}; env >&3; echo \"cwd=$(pwd)\" >&3; echo \"group=$(ps -o pgid= -p $$ | tr -d ' ') pid=$$\" >&3",
        seen.display()
    );
    let echo = format!("{note}; echo \"$line\" >&3");
    serve(&scratch, &[("{hello}", &echo), ("{last}", "echo ended >&3")]);
    register(&scratch, "env = { OWN = 'set' }\n");
    let mut command = scratch.command(&["doctor"]);
    command.env("OPENAI_API_KEY", "secret").env("MCP_RUNNER_TASK_ID", "demo").env("TZ", "UTC");
    let answer = scratch.run_json(&mut command);
    let found = findings(&answer);
    assert_eq!((answer.code, found.len()), (0, 2), "{found:#?}");
    let version = env!("CARGO_PKG_VERSION");
    let tools = format!("good codex-orchestrator {version}: 2 tools after ");
    assert!(
        found[1].starts_with(&tools) && found[1].contains("`delegate.list` answers"),
        "{found:?}"
    );

    let seen = fs::read_to_string(seen).unwrap();
    let value = |name: &str| {
        let line = seen.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.map(str::to_owned)
    };
    assert_eq!(value("OPENAI_API_KEY"), None, "{seen}");
    assert_eq!(value("NO_COLOR"), None, "{seen}");
    assert_eq!(value("MCP_RUNNER_TASK_ID").as_deref(), Some("demo"), "{seen}");
    assert_eq!((value("TZ").as_deref(), value("OWN").as_deref()), (Some("UTC"), Some("set")));
    assert_eq!(value("cwd"), Some(scratch.repo().display().to_string()), "{seen}");
    let (group, pid) = value("group")
        .unwrap()
        .split_once(" pid=")
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    assert_eq!(group, pid, "a group of its own");
    assert!(seen.contains("\"codex-mcp-client\"") && seen.ends_with("ended\n"), "{seen}");
}

#[test]
fn a_quick_look_starts_no_server() {
    let scratch = Scratch::new();
    serve(&scratch, &[("{first}", "touch started")]);
    let quick = scratch.json(&["self-check"]);
    assert_eq!(findings(&quick).len(), 1, "{quick:?}");
    assert!(!scratch.at("started").exists());
    finds(&scratch, 0, &[GOOD, &["good codex-orchestrator "]]);
    assert!(scratch.at("started").exists());
}

#[test]
fn a_server_that_does_not_answer_is_given_up() {
    let scratch = Scratch::new();
    serve(&scratch, &[("{hello}", "continue")]);
    register(&scratch, "startup_timeout_sec = 1\n");
    let silent = &["bad `delegation`: no answer to `initialize` within 1 s;", "by hand"][..];
    finds(&scratch, 1, &[GOOD, silent]);
    // Words that are no message are no answer.
    serve(&scratch, &[("{hello}", "echo welcome; echo '[]'; continue")]);
    register(&scratch, "startup_timeout_sec = 1\n");
    finds(
        &scratch,
        1,
        &[
            GOOD,
            &["bad `delegation`: no answer to `initialize`", "but `welcome`, which is no message"],
        ],
    );
    // It neither reads nor ends, and its child neither.
    serve(&scratch, &[("{first}", "trap '' TERM; sleep 600 & while :; do sleep 600; done")]);
    register(&scratch, "startup_timeout_sec = 1\n");
    finds(&scratch, 1, &[GOOD, silent]);
    serve(&scratch, &[("{first}", "exec yes | tr -d '\\n'")]);
    finds(
        &scratch,
        1,
        &[GOOD, &["bad `delegation`: it writes a line to standard output that does not end"]],
    );
}

#[test]
fn a_server_that_ends_is_repeated_with_its_last_words() {
    let scratch = Scratch::new();
    serve(&scratch, &[("{first}", "echo starting >&2; echo 'no journal' >&2; exit 3")]);
    finds(
        &scratch,
        1,
        &[
            GOOD,
            &[
                "bad `delegation`: it ended before it answered `initialize` (exit status: 3); it said: no journal",
            ],
        ],
    );
    serve(&scratch, &[("{hello}", "kill -9 $$")]);
    finds(
        &scratch,
        1,
        &[GOOD, &["bad `delegation`: it ended before it answered `initialize` (signal: 9"]],
    );
    serve(&scratch, &[("{answer}", "{}}'; exit 0; echo '{")]);
    finds(&scratch, 0, &[GOOD, &["good codex-orchestrator "]]);
}

#[test]
fn what_is_odd_about_a_server_that_works_is_said() {
    let scratch = Scratch::new();
    let good: &[&str] = &["good codex-orchestrator "];
    serve(&scratch, &[("{hello}", "echo 'debug: on'")]);
    finds(
        &scratch,
        0,
        &[
            GOOD,
            good,
            &["limited `delegation`: it writes to standard output what is no message: `debug: on`"],
        ],
    );
    serve(&scratch, &[("{last}", "exec sleep 600")]);
    finds(&scratch, 0, &[GOOD, good, &["limited `delegation`: it does not end with its session"]]);
    serve(&scratch, &[("{last}", "trap '' TERM; while :; do sleep 600; done")]);
    finds(
        &scratch,
        0,
        &[GOOD, good, &["limited `delegation`: it does not even end when it is told to"]],
    );
    serve(&scratch, &[("{version}", "0.0.1")]);
    finds(&scratch, 0, &[GOOD, good, &["limited `delegation`: it is version 0.0.1, and this is "]]);
    serve(&scratch, &[("{tools}", "")]);
    finds(
        &scratch,
        0,
        &[
            GOOD,
            &["good codex-orchestrator ", ": 0 tools "],
            &["limited `delegation`: it has no tools"],
        ],
    );
    serve(
        &scratch,
        &[(
            "{answer}",
            "{\"isError\":true,\"content\":[{\"type\":\"text\",\"text\":\"no journal\"}]}",
        )],
    );
    finds(
        &scratch,
        0,
        &[GOOD, good, &["limited `delegation`: `delegate.list` answers with an error: no journal"]],
    );
    // Asked by the server, a client answers.
    serve(
        &scratch,
        &[(
            "{hello}",
            "echo '{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\"}'; read -r pong; case $pong in *'\"id\":7'*) ;; *) exit 1 ;; esac",
        )],
    );
    finds(&scratch, 0, &[GOOD, good]);
}

#[test]
fn a_server_that_is_not_required_must_not_take_a_second() {
    let scratch = Scratch::new();
    serve(&scratch, &[("{hello}", "sleep 1.2")]);
    finds(&scratch, 0, &[GOOD, &["good codex-orchestrator "]]);
    let text = ENTRY.replace("{program}", &program(&scratch).display().to_string());
    write(&scratch, &text.replace("required = true\n", ""));
    finds(
        &scratch,
        0,
        &[
            &["limited `delegation`: not `required`", "`codex-orch setup --yes`"],
            &["good codex-orchestrator "],
            &["limited `delegation`: it answers after 1.", "without its tools"],
        ],
    );
}

#[test]
fn a_plain_registration_works_and_what_it_lacks_is_said() {
    let scratch = Scratch::new();
    serve(&scratch, &[]);
    let plain = "[mcp_servers.orch]\ncommand = '{program}'\nargs = ['delegate-server', '--repo', '/x']\ncwd = '/'\ntool_timeout_sec = 60\ndefault_tools_approval_mode = 'writes'\n";
    write(&scratch, &plain.replace("{program}", &program(&scratch).display().to_string()));
    let setup = "`codex-orch setup --name orch --yes`";
    finds(
        &scratch,
        0,
        &[
            &["limited `orch`: its tools are in every session", setup],
            &["limited `orch`: not `required`", setup],
            &["limited `orch`: Codex does not pass CODEX_HOME, ", setup],
            &["limited `orch`: Codex gives a call up after 60 s", setup],
            &["limited `orch`: its calls wait for each other", setup],
            &["limited `orch`: it belongs to /x", setup],
            &["limited `orch`: it starts in /", "take `cwd` out"],
            &["limited `orch`: with the approval mode `writes`"],
            &["good codex-orchestrator "],
        ],
    );
}

#[test]
fn a_program_that_cannot_be_started_is_said_with_what_to_do() {
    let scratch = Scratch::new();
    register(&scratch, "");
    let bad = |what: &'static str| [["bad `delegation`: `/", what], ["bad `delegation`: `/", what]];
    let check = |what| {
        let [entry, server] = bad(what);
        finds(&scratch, 1, &[&entry, &server]);
    };
    check("` is not there; `codex-orch setup --yes`".split(';').next().unwrap());
    install(&program(&scratch), "");
    fs::set_permissions(program(&scratch), fs::Permissions::from_mode(0o644)).unwrap();
    check("` is no program that can be run");
    write(&scratch, "a = \n");
    finds(&scratch, 1, &[&["bad ", "config.toml:1:5: this is not TOML"]]);
    write(&scratch, "");
    finds(&scratch, 0, &[&["limited none in ", "`codex-orch setup` registers the server"]]);
}

#[test]
fn the_client_is_looked_for_and_asked_for_its_version() {
    let scratch = Scratch::new();
    let client = |path: &str| {
        let mut command = scratch.command(&["self-check"]);
        let answer = scratch.run_json(command.env("PATH", path));
        let checks = answer.document["checks"].as_array().expect("checks").clone();
        let check = checks.iter().find(|check| check["what"] == "codex").expect("codex").clone();
        format!("{} {}", check["verdict"].as_str().unwrap(), check["found"].as_str().unwrap())
    };
    let bin = scratch.folder().join("client");
    let path = format!("{}:/usr/bin:/bin", bin.display());
    assert_eq!(client("/nowhere"), "limited not found");
    install(&bin.join("codex"), "#!/bin/sh\necho codex-cli 0.169.0\n");
    assert_eq!(client(&path), "good codex-cli 0.169.0");
    install(&bin.join("codex"), "#!/bin/sh\necho codex-cli 0.99.3\n");
    assert!(client(&path).starts_with("limited codex-cli 0.99.3, which is older"));
    install(&bin.join("codex"), "#!/bin/sh\necho no node >&2; exit 1\n");
    assert_eq!(client(&path), "limited `codex --version` does not say one: no node");
}
