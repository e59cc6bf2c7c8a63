//! What configs say of caps, who may say it, and what it comes to for a stage.

use std::fs;

use model::{
    StageIndex,
    caps::{CAPS, Effective, Standing},
};
use repo::config::{self, ConfigError, Inputs, Loaded};

const PIPELINE: &str = "[pipelines.ci]\nstages = [{ id = 'a', command = 'x' }]\n";

/// A file `user` is the user's own.
fn load(
    files: &[(&str, &str)],
    environment: &str,
    command_line: &[&str],
) -> Result<Loaded, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let entries: Vec<String> = command_line.iter().map(|&entry| entry.to_owned()).collect();
    config::load(&Inputs {
        repo: Some(folder.path()),
        user_file: Some(folder.path().join("user")),
        environment: &[("CODEX_CONFIG_OVERRIDES".to_owned(), environment.to_owned())],
        command_line: &entries,
        cpus: 1,
    })
}

fn repo(text: &str) -> Result<Loaded, ConfigError> {
    load(&[(config::REPO_FILE, &format!("{text}\n{PIPELINE}"))], "", &[])
}

fn effective(loaded: &Loaded, stage: u32, standing: Standing) -> Effective {
    let plan = loaded.plan("ci").unwrap();
    loaded.caps_of(&plan, StageIndex(stage), standing).unwrap()
}

/// A cap as JSON, with where it is from.
fn shown(effective: &Effective, cap: &str) -> String {
    let json = serde_json::to_value(&effective.caps).unwrap();
    let value = cap.split('.').fold(&json, |value, key| &value[key]).to_string();
    let from = effective.origins[cap].iter().map(ToString::to_string);
    format!("{value} {}", from.collect::<Vec<_>>().join(", ")).replace(config::REPO_FILE, "FILE")
}

fn fault(loaded: Result<Loaded, ConfigError>) -> String {
    let fault = loaded.map(|loaded| loaded.hash()).unwrap_err().to_string();
    fault.replace(&format!("{}:", config::REPO_FILE), "")
}

#[test]
fn every_cap_is_read_as_it_is_written() {
    let loaded = load(&[("user", include_str!("files/everything.toml"))], "", &[]).unwrap();
    let [written] = loaded.caps.as_slice() else { panic!("{:?}", loaded.caps) };
    assert_eq!(written.caps.said(), CAPS);
    let json = serde_json::to_value(&written.caps).unwrap();
    assert_eq!(json["network"]["allow"][1], "**.example.org");
    assert_eq!(json["network"]["pins"]["git.corp.example"][0], "10.0.0.7");
    assert_eq!(json["fs"]["protect"][0], "@worktree/.codex");
    assert_eq!(json["tools"]["mcp"]["alpha"][0], "read_a");
    assert_eq!(json["tools"]["delegate"], serde_json::json!(["question.poll", "status"]));
    assert_eq!(json["env"]["secrets"]["codex"][0], "OPENAI_API_KEY");
}

#[test]
fn both_spellings_are_read_and_names_that_somebody_gave_stay() {
    let loaded = repo(
        "[caps]\nmaxNetwork = 'list'\n[caps.fs]\nunixSockets = 'private'\n[caps.tools]\nwebSearch = false\n\
         mcp = { myServer = ['doIt'] }",
    )
    .unwrap();
    let caps = effective(&loaded, 0, Standing::Delegated);
    assert_eq!(shown(&caps, "tools.mcp"), r#"{"myServer":["doIt"]} the repository (FILE:1)"#);
    assert_eq!(shown(&caps, "fs.unix_sockets"), r#""private" the repository (FILE:1)"#);
    assert_eq!(shown(&caps, "max_network"), r#""list" the repository (FILE:1)"#);
}

#[test]
fn a_slip_is_shown_with_its_place_and_the_nearest_spelling() {
    for (text, expected) in [
        (
            "[caps.network]\nallwo = []",
            "2:1: unknown key `allwo` in `caps.network`; did you mean `allow`?",
        ),
        (
            "[caps.network]\nmode = 'lists'",
            "2:8: `mode` cannot be `\"lists\"`; did you mean `list`?",
        ),
        (
            "[caps.network]\nallow = ['a.example', '*']",
            "2:23: `allow` cannot be `\"*\"`; a `*` stands for whole names before a domain: `*.example.com`",
        ),
        (
            "[caps.network]\nallow = ['https://a.example']",
            "2:10: `allow` cannot be `\"https://a.example\"`; write the host alone, without `https://`",
        ),
        (
            "[caps.network]\nforward = ['10.0.0.1:80']",
            "2:12: `forward` cannot be `\"10.0.0.1:80\"`; it is an address of this machine, such as `127.0.0.1:8080`",
        ),
        (
            "[caps.fs]\nwrite = ['@home']",
            "2:10: `write` cannot be `\"@home\"`; places are `@worktree`, `@tmp`, `@git`, `@config`, `@runs` and `@logins`",
        ),
        (
            "[caps.env]\npass = ['LD_PRELOAD']",
            "2:9: `pass` cannot be `\"LD_PRELOAD\"`; it makes programs load something, or leads outside: \
             it is never passed on",
        ),
        (
            "[caps.tools]\nmcp = { '*' = ['read'] }",
            "2:15: `*` cannot be a list; every server has every tool: `\"*\" = [\"*\"]`",
        ),
        (
            "[caps.tools]\ndelegate = ['status', 'delegate.ask']",
            "2:23: `delegate` cannot be `\"delegate.ask\"`; the tools are `spawn`, `status`, `wait`, `message`, \
             `pause`, `cancel`, `list`, `log`, `result`, `question.enqueue`, `question.poll`, `question.list`, \
             `question.answer`, and `*` is every tool",
        ),
        ("[caps.tools]\nmcp = ['a']", "2:7: `mcp` cannot be a list; it is a table of servers"),
        (
            "[caps]\nmax_network = 'none'\n[caps.network]\nmode = 'list'",
            "4:8: `mode` is `list`, and `max_network` only `none`; raise the one or lower the other",
        ),
        (
            "[caps.network]\nmode = 'open'\nallow = ['a.example']",
            "3:9: `allow` says nothing where `mode` is `open`; write `mode = \"list\"`, or leave it out",
        ),
        ("caps = 1", "1:8: `caps` cannot be `1`; it is a table"),
    ] {
        assert_eq!(fault(repo(text)), expected);
    }
}

#[test]
fn where_names_are_and_going_on_without_caps_are_for_persons_to_say() {
    let hint = "say it in your own `orchestrator.toml`, or with `--config`";
    let pins = "network.pins = { 'a.example' = ['10.0.0.7'] }";
    assert_eq!(
        fault(repo(&format!("[caps]\n{pins}"))),
        format!("2:16: a repository cannot say `caps.network.pins`; {hint}")
    );
    assert_eq!(
        fault(repo("[caps]\non_missing = 'warn'")),
        format!("2:14: a repository can say of `caps.on_missing` only `refuse`; {hint}")
    );
    assert!(repo("[caps]\non_missing = 'refuse'").is_ok());
    let stage = "[pipelines.x]\nstages = [{ command = 'x', caps = { on_missing = 'warn' } }]";
    assert_eq!(
        fault(repo(stage)),
        format!("2:50: a stage can say of `caps.on_missing` only `refuse`; {hint}")
    );
    let variable = load(&[], "caps.on_missing=warn", &[]).unwrap_err().to_string();
    assert!(
        variable.contains("the environment can say of `caps.on_missing` only `refuse`"),
        "{variable}"
    );
    let both =
        load(&[("user", &format!("[caps]\n{pins}"))], "", &["caps.on_missing=warn"]).unwrap();
    assert_eq!(both.caps.len(), 2);
}

#[test]
fn a_stage_has_what_all_that_it_is_within_leaves_it() {
    let loaded = load(
        &[
            (
                config::REPO_FILE,
                "[caps.network]\nallow = ['**.example']\n\
                 [pipelines.ci]\ncaps = { network = { allow = ['*.example'] } }\n\
                 stages = [{ id = 'a', command = 'x' }, { pipeline = 'inner', caps = { fs = { tmp = 'private' } } }]\n\
                 [pipelines.inner]\n\
                 stages = [{ id = 'b', command = 'x', caps.network.allow = ['a.example'] }]",
            ),
            ("user", "[caps.env]\ninherit = 'core'"),
        ],
        "",
        &["caps.fs.unix_sockets=private", "caps.tools.web_search=false"],
    )
    .unwrap();
    let first = effective(&loaded, 0, Standing::Free);
    assert_eq!(shown(&first, "network.allow"), r#"["*.example"] the pipeline (FILE:3)"#);
    assert_eq!(shown(&first, "fs.tmp"), r#""shared" what is built in"#);
    assert_eq!(shown(&first, "network.mode"), r#""list" the repository (FILE:1)"#);
    let inner = effective(&loaded, 2, Standing::Free);
    assert_eq!(shown(&inner, "network.allow"), r#"["a.example"] the stage (FILE:7)"#);
    assert_eq!(shown(&inner, "fs.tmp"), r#""private" the stage (FILE:5)"#);
    assert!(shown(&inner, "env.inherit").starts_with(r#""core" the user's file ("#));
    let line = "the command line (--config `caps.fs.unix_sockets=private`, --config `caps.tools.web_search=false`)";
    assert_eq!(shown(&inner, "fs.unix_sockets"), format!(r#""private" {line}"#));
    assert_eq!(shown(&inner, "tools.web_search"), format!("false {line}"));
}

#[test]
fn a_plan_that_asks_for_more_than_it_may_have_is_none() {
    let loaded = load(
        &[(
            config::REPO_FILE,
            "[caps.network]\nmode = 'none'\n[pipelines.ci]\n\
             stages = [{ command = 'x' }, { id = 'b', command = 'x', caps.network.mode = 'list' }]",
        )],
        "",
        &[],
    )
    .unwrap();
    let file = config::REPO_FILE;
    assert_eq!(
        loaded.plan("ci").unwrap_err().to_string(),
        format!(
            "stage `b`: the stage ({file}:4) asks for `caps.network.mode` list, which is more than the repository \
             ({file}:1) allows"
        )
    );
}

#[test]
fn what_is_written_of_caps_has_a_part_in_the_hash() {
    let hash = |text: &str| repo(text).unwrap().hash();
    assert_eq!(hash("[caps.network]\nmode = 'none'"), hash("# a line\ncaps.network.mode = 'none'"));
    assert_ne!(hash("[caps.network]\nmode = 'none'"), hash(""));
    assert_ne!(hash("[caps.network]\nmode = 'none'"), hash("[caps.network]\nmode = 'list'"));
}
