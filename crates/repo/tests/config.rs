//! Configs as they are written, and what comes of them.

use std::{fs, path::Path};

use model::{CommandLine, PlannedBody};
use repo::config::{self, ConfigError, Inputs, Layer, Loaded, Rung};

/// A repository with these files, and what is read from it.
fn load(files: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    load_with(files, &[], &[])
}

/// The same with `--config` entries and variables. A file `user` is the user's own.
fn load_with(
    files: &[(&str, &str)],
    command_line: &[&str],
    environment: &[(&str, &str)],
) -> Result<Loaded, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let command_line: Vec<String> = command_line.iter().map(|&entry| entry.to_owned()).collect();
    let environment: Vec<(String, String)> =
        environment.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    config::load(&Inputs {
        repo: Some(folder.path()),
        user_file: Some(folder.path().join("user")),
        environment: &environment,
        command_line: &command_line,
        cpus: 4,
    })
}

fn toml(text: &str) -> Result<Loaded, ConfigError> {
    load(&[(config::REPO_FILE, text)])
}

fn json(text: &str) -> Result<Loaded, ConfigError> {
    load(&[(config::OLDER_REPO_FILE, text)])
}

/// What is wrong, without the name of the file, which is always the same.
fn fault(loaded: Result<Loaded, ConfigError>) -> String {
    let error = loaded.map(|loaded| loaded.to_json().to_string()).unwrap_err().to_string();
    assert!(!error.contains('\n'), "{error}");
    let short = error.strip_prefix(config::REPO_FILE).map(|rest| rest.trim_start_matches(':'));
    let short = short.or_else(|| error.strip_prefix("codex.orchestrator.json:"));
    short.unwrap_or(&error).trim_start().to_owned()
}

/// The plan, one stage a word, with what it needs.
fn plan(loaded: &Loaded, name: &str) -> String {
    let plan = loaded.plan(name).unwrap();
    let shown = plan.stages.iter().map(|stage| {
        let needs: Vec<_> =
            stage.needs.iter().map(|need| plan.stages[need.get()].id.as_str()).collect();
        let needs = if needs.is_empty() { String::new() } else { format!("({})", needs.join(",")) };
        format!("{}{needs}", stage.id)
    });
    shown.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_repository_without_config_has_the_built_in_one() {
    let loaded = load(&[]).unwrap();
    assert_eq!(loaded.settings, config::Settings::built_in(4));
    assert_eq!(loaded.pipelines().count(), 0);
    assert_eq!(loaded.files, [""; 0]);
    let unknown = loaded.pipeline("diagnostics").unwrap_err();
    assert_eq!(unknown.to_string(), "there is no pipeline `diagnostics`");
}

#[test]
fn a_pipeline_says_everything_about_its_stages() {
    let loaded = toml(
        r#"
        [pipelines.ci]
        title = "Checks"
        description = "Before every merge"
        max_parallel = 3

        [[pipelines.ci.stages]]
        id = "build"
        title = "Build it"
        command = "cargo build"
        cwd = "crates/../web"
        env = { CI = "1", EMPTY = "" }
        timeout = "1h30m"
        retries = 2
        allow_failure = true
        summary_hint = "built"

        [[pipelines.ci.stages]]
        id = "test"
        command = ["cargo", "test", ""]
        timeout = 90
        needs = []
        "#,
    )
    .unwrap();
    let plan = loaded.plan("ci").unwrap();
    assert_eq!((plan.title.as_str(), plan.max_parallel), ("Checks", 3));
    assert_eq!(plan.source.to_string(), ".codex/orchestrator.toml:2");
    let [build, test] = &plan.stages[..] else { panic!("{plan:?}") };
    assert_eq!((build.title.as_str(), build.allow_failure), ("Build it", true));
    assert_eq!(build.summary_hint.as_deref(), Some("built"));
    assert_eq!(build.source.to_string(), ".codex/orchestrator.toml:7");
    let (PlannedBody::Command(build), PlannedBody::Command(test)) = (&build.body, &test.body)
    else {
        panic!("{plan:?}")
    };
    assert_eq!(build.command, CommandLine::Shell("cargo build".to_owned()));
    assert_eq!((build.cwd.as_deref(), build.retries), (Some("crates/../web"), 2));
    assert_eq!(build.timeout.unwrap().as_secs(), 5400);
    let env: Vec<_> = build.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(env, ["CI=1", "EMPTY="]);
    assert_eq!(
        test.command,
        CommandLine::Argv(vec!["cargo".to_owned(), "test".to_owned(), String::new()])
    );
    assert_eq!(test.timeout.unwrap().as_secs(), 90);
    assert!(plan.stages[1].needs.is_empty());
}

#[test]
fn the_older_form_says_the_same() {
    let older = json(
        r#"{
            "defaultPipeline": "ci",
            "runtimeMode": "cli",
            "stageSets": {"checks": [
                {"kind": "command", "id": "lint", "title": "Lint", "command": "lint", "allowFailure": true},
                {"kind": "command", "id": "test", "command": "test", "env": {"A": ""}, "summaryHint": "fine"}
            ]},
            "pipelines": [
                {
                    "id": "ci", "title": "Checks", "description": "All of them",
                    "tags": ["a"], "guardrailsRequired": true, "metadata": {"x": 1},
                    "stages": [
                        {"kind": "command", "id": "build", "command": "build", "timeoutMs": 1500,
                         "session": {"id": "s"}, "plan": {"runnable": true}, "cwd": null},
                        {"kind": "stage-set", "ref": "checks"},
                        {"kind": "subpipeline", "id": "docs", "pipeline": "docs", "optional": true}
                    ]
                },
                {"id": "docs", "stages": [{"kind": "command", "id": "spell", "command": "spell"}]}
            ]
        }"#,
    )
    .unwrap();
    let ours = toml(
        r#"
        [run]
        default_pipeline = "ci"

        [[stage_sets.checks]]
        id = "lint"
        title = "Lint"
        command = "lint"
        allow_failure = true

        [[stage_sets.checks]]
        id = "test"
        command = "test"
        env.A = ""
        summary_hint = "fine"

        [pipelines.ci]
        title = "Checks"
        description = "All of them"
        stages = [
            { id = "build", command = "build", timeout = "1s500ms" },
            { ref = "checks" },
            { pipeline = "docs", allow_failure = true },
        ]

        [pipelines.docs]
        stages = [{ id = "spell", command = "spell" }]
        "#,
    )
    .unwrap();
    assert_eq!(older.hash(), ours.hash(), "{}\n{}", older.to_json(), ours.to_json());
    assert_eq!(older.settings, ours.settings);
    let shown = "build lint(build) test(lint) docs(test) docs/spell";
    assert_eq!((plan(&older, "ci").as_str(), plan(&ours, "ci").as_str()), (shown, shown));
    assert_eq!(older.notes, []);
}

#[test]
fn either_spelling_and_either_shape_is_read_in_either_file() {
    let tables = toml("[pipelines.a]\nstages = [{ command = 'x', allow_failure = true }]").unwrap();
    let list = "[[pipelines]]\nid = 'a'\nstages = [{ command = 'x', allowFailure = true }]";
    let object = r#"{"pipelines": {"a": {"stages": [{"command": "x", "allow_failure": true}]}}}"#;
    assert_eq!(toml(list).unwrap().hash(), tables.hash());
    assert_eq!(json(object).unwrap().hash(), tables.hash());
    let sets = "[stage_sets.s]\nstages = [{ command = 'x', allowFailure = true }]
        [pipelines.a]\nstages = [{ kind = 'stage-set', ref = 's' }]";
    assert_eq!(toml(sets).unwrap().hash(), tables.hash());
    let camel = "[stageSets]\ns = [{ command = 'x', allowFailure = true }]
        [pipelines.a]\nstages = [{ ref = 's' }]";
    assert_eq!(toml(camel).unwrap().hash(), tables.hash());
}

#[test]
fn a_stage_without_an_id_is_named_after_its_title_or_its_place() {
    let loaded = toml(
        "[pipelines.a]\nstages = [
            { title = 'Run unit tests!', command = 'x' },
            { command = 'x' },
            { pipeline = 'b' },
            { pipeline = 'b' },
            { title = '日本', command = 'x' },
            { id = 'stage-2', command = 'x', needs = ['run-unit-tests', 'b-2'] },
        ]
        [pipelines.b]\nstages = [{ command = 'x' }]",
    )
    .unwrap();
    assert_eq!(
        plan(&loaded, "a"),
        "run-unit-tests stage-2-2(run-unit-tests) b(stage-2-2) b/stage-1 b-2(b) b-2/stage-1 \
         stage-5(b-2) stage-2(run-unit-tests,b-2)"
    );
}

/// What is wrong with a stage of the pipeline `p`, written in line 3.
fn stage(keys: &str) -> String {
    fault(toml(&format!(
        "[pipelines.p]
stages = [
  {{ {keys} }},
]"
    )))
}

fn top(text: &str) -> String {
    fault(toml(text))
}

#[test]
fn what_is_not_known_is_named_with_the_nearest_that_is() {
    assert_eq!(
        stage("comand = 'x'"),
        "3:5: unknown key `comand` in a stage; did you mean `command`?"
    );
    assert_eq!(
        stage("command = 'x', time_out = 5"),
        "3:20: unknown key `time_out` in a command stage; did you mean `timeout`?"
    );
    assert_eq!(
        stage("pipeline = 'p', retries = 1"),
        "3:21: unknown key `retries` in a pipeline stage; it is a key of a command stage"
    );
    assert_eq!(
        stage("command = 'x', optional = true"),
        "3:20: unknown key `optional` in a command stage; write `allow_failure`"
    );
    assert_eq!(
        stage("ref = 'x', id = 'y'"),
        "3:16: unknown key `id` in a stage-set stage; it is a key of a command stage"
    );
    assert_eq!(
        top("[pipeline.x]"),
        "1:2: unknown key `pipeline` in a config; did you mean `pipelines`?"
    );
    assert_eq!(
        top("[run]\nfoo = 1"),
        "2:1: unknown key `foo` in `run`; its keys are: `default_pipeline`, `grace`, `max_parallel`"
    );
    assert_eq!(
        top("[pipelines.p]\ntags = []\nstages = [{ command = 'x' }]"),
        "2:1: unknown key `tags` in a pipeline; its keys are: `id`, `title`, `description`, \
         `max_parallel`, `stages`, `caps`"
    );
    assert_eq!(
        stage("kind = 'comand', command = 'x'"),
        "3:12: unknown kind of stage `\"comand\"`; did you mean `command`?"
    );
    assert_eq!(
        stage("kind = 'shell', command = 'x'"),
        "3:12: unknown kind of stage `\"shell\"`; the kinds are: `command`, `codex`, `pipeline`, `stage-set`"
    );
    assert_eq!(
        stage("kind = 'codex', prompt = 'x', retries = 1"),
        "3:35: unknown key `retries` in a codex stage; it is a key of a command stage"
    );
    assert_eq!(
        stage("prompt = 'Do {{gaol}}.'"),
        "3:14: nothing fills `{{gaol}}`; {{goal}}, {{task}} and {{stages.ID.summary}} are filled"
    );
    assert_eq!(
        stage("prompt = 'x', sandbox = 'none'"),
        "3:29: `sandbox` cannot be `\"none\"`; it is one of: `read-only`, `workspace-write`, \
         `danger-full-access`"
    );
}

#[test]
fn what_is_not_there_is_missed() {
    assert_eq!(stage("kind = 'command'"), "3:3: a command stage without `command`");
    assert_eq!(
        stage("title = 'x'"),
        "3:3: a stage without `command`; it has a `command`, a `prompt`, a `pipeline` or a `ref`"
    );
    assert_eq!(top("[pipelines.p]\ntitle = 'x'"), "1:1: a pipeline without `stages`");
    assert_eq!(top("[pipelines.p]\nstages = []"), "1:12: pipeline `p` has no stages");
    assert_eq!(top("[stage_sets]\ns = []"), "2:1: stage set `s` has no stages");
    assert_eq!(stage("ref = 'tests'"), "3:11: there is no stage set `tests`");
    assert_eq!(stage("pipeline = 'ci'"), "3:16: there is no pipeline `ci`; the pipelines are: `p`");
    assert_eq!(
        stage("command = 'x', needs = ['y']"),
        "3:29: there is no stage `y` in pipeline `p`"
    );
    assert_eq!(
        stage("id = 'build', command = 'x' }, { command = 'x', needs = ['biuld']"),
        "3:62: there is no stage `biuld` in pipeline `p`; did you mean `build`?"
    );
}

#[test]
fn what_is_of_the_wrong_kind_is_shown_with_what_it_has_to_be() {
    assert_eq!(
        stage("command = 1"),
        "3:15: `command` cannot be `1`; it is a text, or a list of texts"
    );
    assert_eq!(
        stage("command = ' '"),
        "3:15: `command` cannot be `\" \"`; write what is to be run"
    );
    assert_eq!(
        stage("command = []"),
        "3:15: `command` names no program; write it as `[\"program\", \"argument\"]`"
    );
    assert_eq!(
        stage("command = ['x', 1]"),
        "3:21: `command` cannot be `1`; a program and its arguments are texts"
    );
    assert_eq!(stage(r#"command = "a\u0000b""#), "3:15: `command` has a NUL character in it");
    assert_eq!(
        stage("command = 'x', allow_failure = 'yes'"),
        "3:36: `allow_failure` cannot be `\"yes\"`; it is `true` or `false`"
    );
    assert_eq!(
        stage("command = 'x', retries = -1"),
        "3:30: `retries` cannot be `-1`; it is a whole number from 0 to 100"
    );
    for bad in ["'soon'", "-1", "[1]", "true", "1e99", "nan", "99999999999999999999999"] {
        let error = stage(&format!("command = 'x', timeout = {bad}"));
        assert!(error.starts_with("3:30: `timeout` cannot be "), "{bad}: {error}");
        assert!(error.ends_with("; it is a length of time such as `90s`, `10m` or `1h30m`"));
    }
    assert_eq!(
        stage("command = 'x', timeout = '0s'"),
        "3:30: `timeout` cannot be `\"0s\"`; it is longer than nothing"
    );
    assert_eq!(
        stage("command = 'x', env = { A = 1 }"),
        "3:32: `A` cannot be `1`; variables are texts; put it in quotes"
    );
    assert_eq!(
        stage("command = 'x', env = { 'A=' = '1' }"),
        "3:28: `A=` cannot be the name of a variable"
    );
    for outside in ["/etc", "..", "a/../..", "a/../../b", "./.."] {
        let error = stage(&format!("command = 'x', cwd = '{outside}'"));
        assert_eq!(
            error,
            format!("3:26: `cwd` cannot be `\"{outside}\"`; it is a folder inside the work tree")
        );
    }
    assert_eq!(
        stage("id = 'Unit tests', command = 'x'"),
        "3:10: `id` cannot be `\"Unit tests\"`; names have letters, digits, `.`, `_`, `:` and `-`, \
         and begin with a letter or digit, such as `Unit-tests`"
    );
    assert_eq!(
        stage("id = 'a/b', command = 'x'").split(';').next(),
        Some("3:10: `id` cannot be `\"a/b\"`")
    );
    assert_eq!(
        top("pipelines = 1"),
        "1:13: `pipelines` cannot be `1`; it is a table of pipelines, or a list"
    );
    assert_eq!(
        top("pipelines.p.stages = {}"),
        "1:22: `stages` cannot be a table; it is a list of stages"
    );
    assert_eq!(top("[[pipelines]]\nstages = [{ command = 'x' }]"), "1:1: a pipeline without `id`");
    assert_eq!(
        top("[run]\nmax_parallel = 0"),
        "2:16: `max_parallel` cannot be `0`; it is a whole number from 1 to 1024"
    );
    assert_eq!(
        top("[pipelines.p]\nmax_parallel = 0\nstages = [{ command = 'x' }]"),
        "2:16: `max_parallel` cannot be `0`; it is a whole number from 1 to 1024"
    );
    assert_eq!(
        top("[supervision]\nrung = 'cgroup'"),
        "2:8: `rung` cannot be `\"cgroup\"`; did you mean `cgroup2`?"
    );
    assert_eq!(
        top("run = 2026-11-23"),
        "1:7: `run` cannot be the date `2026-11-23`; it is a table"
    );
}

#[test]
fn what_contradicts_itself_is_refused() {
    assert_eq!(
        stage("command = 'x', pipeline = 'p'"),
        "3:3: a stage with both `command` and `pipeline`; make two stages of it"
    );
    assert_eq!(
        stage("command = 'x', allow_failure = true, allowFailure = false"),
        "3:42: `allow_failure` and `allowFailure` are one key; keep one of them"
    );
    assert_eq!(
        stage("id = 'a', command = 'x' }, { id = 'a', command = 'y'"),
        "3:39: pipeline `p` has another stage `a`, in line 3; give one of them another `id`"
    );
    assert_eq!(
        stage("id = 'a', command = 'x', needs = ['b'] }, { id = 'b', command = 'y', needs = ['a']"),
        "3:38: stages need each other: `a` -> `b` -> `a`; let one of them need less"
    );
    assert_eq!(
        stage("id = 'a', command = 'x', needs = ['b'] }, { id = 'b', command = 'y'"),
        "3:38: stages need each other: `a` -> `b` -> `a`; `b` has no `needs` and so waits for the \
         stage before it; `needs = []` ends that"
    );
    assert_eq!(stage("pipeline = 'p'"), "3:16: pipeline `p` runs itself: `p` -> `p`");
    assert_eq!(
        top(
            "[pipelines.a]\nstages = [{ pipeline = 'b' }]\n[pipelines.b]\nstages = [{ pipeline = 'a' }]"
        ),
        "2:24: pipeline `a` runs itself: `a` -> `b` -> `a`"
    );
    assert_eq!(
        top(
            "[[pipelines]]\nid = 'a'\nstages = [{ command = 'x' }]\n[[pipelines]]\nid = 'a'\nstages = [{ command = 'x' }]"
        ),
        "5:6: there is another pipeline `a`"
    );
    assert_eq!(
        top("[pipelines.a]\nid = 'b'\nstages = [{ command = 'x' }]"),
        "2:6: pipeline `a` has the `id` `\"b\"`; leave out the `id`"
    );
    assert_eq!(
        top("[stage_sets]\na = [{ ref = 'b' }]\nb = [{ command = 'x' }]"),
        "2:14: stage set `a` has a stage set within it; write out its stages"
    );
    assert_eq!(
        top(
            "[stage_sets]\nchecks = [{ command = 'x' }]\n[pipelines.a]\nstages = [{ ref = 'check' }]"
        ),
        "4:19: there is no stage set `check`; did you mean `checks`?"
    );
}

#[test]
fn what_cannot_be_read_at_all_has_its_place_named() {
    assert_eq!(
        top("a = "),
        "1:5: this is not TOML: string values must be quoted, expected literal string"
    );
    assert_eq!(top("[run]\n[run]"), "2:2: this is not TOML: duplicate key");
}

#[test]
fn a_bad_older_config_has_one_clear_error() {
    let check = |text: &str, expected: &str| assert_eq!(fault(json(text)), expected);
    check("", "1:1: this is not JSON: it is empty; write `{}`");
    check("[]", "1:1: a config cannot be a list; it is a table of keys");
    check("{", "1:1: this is not JSON: unterminated object");
    check("{}{}", "1:3: this is not JSON: text cannot contain more than one JSON value");
    check("{\n  // no\n}", "2:3: this is not JSON: comments are not allowed");
    check("{\"pipelines\": [1,]}", "1:17: this is not JSON: trailing commas are not allowed");
    check("{\n \"a\": 1, \"a\": 2}", "2:10: `a` is there twice");
    check(
        "{\n  \"pipelnes\": []\n}",
        "2:3: unknown key `pipelnes` in a config; did you mean `pipelines`?",
    );
    check(
        r#"{"pipelines": [{"id": "p", "stages": [{"kind": "command", "id": "s"}]}]}"#,
        "1:39: a command stage without `command`",
    );
    check(
        r#"{"pipelines": [{"id": "p", "stages": [{"kind": "x"}]}]}"#,
        "1:48: unknown kind of stage `\"x\"`; the kinds are: `command`, `codex`, `pipeline`, `stage-set`",
    );
    check(
        r#"{"pipelines": [{"id": "p", "stages": [{"command": "x", "plan": {"requiresCloud": true}}]}]}"#,
        "1:82: this version does not run stages in the cloud; remove the key to run it here",
    );
    check(
        r#"{"runtimeMode": "appsrver"}"#,
        "1:17: `runtimeMode` cannot be `\"appsrver\"`; did you mean `appserver`?",
    );
    check(&"[".repeat(100_000), "1:513: this is not JSON: maximum nesting depth exceeded");
}

#[test]
fn a_short_file_cannot_say_endlessly_many_stages() {
    let set = "{ command = 'x' }, ".repeat(2_000);
    let refs = |times: usize| "{ ref = 's' }, ".repeat(times);
    let one = format!("stage_sets.s = [{set}]\n[pipelines.p]\nstages = [{}]", refs(6));
    assert_eq!(fault(toml(&one)), "3:86: pipeline `p` comes to more than 10000 stages");
    let many: String =
        (0..30).map(|at| format!("[pipelines.p{at}]\nstages = [{}]\n", refs(5))).collect();
    let many = format!("stage_sets.s = [{set}]\n{many}");
    assert_eq!(fault(toml(&many)), "22:12: the pipelines come to more than 100000 stages");
}

#[test]
fn a_path_that_is_no_file_is_an_error_and_not_a_wait() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join(config::REPO_FILE)).unwrap();
    let load = |repo: &Path| {
        let inputs = Inputs { repo: Some(repo), cpus: 1, ..Inputs::default() };
        config::load(&inputs).unwrap_err().to_string()
    };
    assert_eq!(load(folder.path()), ".codex/orchestrator.toml: it is a folder, not a file");
    let fifo = folder.path().join(config::OLDER_REPO_FILE);
    assert!(std::process::Command::new("mkfifo").arg(fifo).status().unwrap().success());
    assert_eq!(load(folder.path()), "codex.orchestrator.json: it is a FIFO, not a file");
}

#[test]
fn the_later_layer_wins_and_is_named() {
    let user = ("user", "[run]\ngrace = '1s'\nmax_parallel = 2\n[prune]\nolder_than = '7d'");
    let older = (config::OLDER_REPO_FILE, r#"{"defaultPipeline": "a"}"#);
    let repo = (config::REPO_FILE, "[run]\nmax_parallel = 3\n\n[supervision]\nrung = 'pidns'");
    let environment = [
        ("CODEX_CONFIG_OVERRIDES", "mcp_servers.delegation.enabled=true;supervision.rung=freezer1"),
        ("CODEX_MCP_CONFIG_OVERRIDES", "supervision.rung='cgroup2', run.default_pipeline = b"),
        ("PATH", "nonsense"),
    ];
    let loaded =
        load_with(&[user, older, repo], &["run.default_pipeline=c"], &environment).unwrap();
    let settings = &loaded.settings;
    assert_eq!(settings.run.default_pipeline, "c");
    assert_eq!(settings.run.grace.as_secs(), 1);
    assert_eq!(settings.run.max_parallel, 3);
    assert_eq!(settings.supervision.rung, Rung::Freezer1);
    assert_eq!(settings.prune.older_than.as_secs(), 7 * 24 * 60 * 60);
    assert_eq!(loaded.for_codex, ["mcp_servers.delegation.enabled=true"]);
    let origin = |name: &str| {
        let origin = &loaded.origins[name];
        let file = origin.place.rsplit('/').next().unwrap();
        (origin.layer, file.to_owned())
    };
    assert_eq!(
        origin("run.default_pipeline"),
        (Layer::CommandLine, "--config `run.default_pipeline=c`".to_owned())
    );
    assert_eq!(origin("run.grace"), (Layer::User, "user:2".to_owned()));
    assert_eq!(origin("run.max_parallel"), (Layer::Repo, "orchestrator.toml:2".to_owned()));
    assert_eq!(
        origin("supervision.rung"),
        (Layer::Environment, "CODEX_CONFIG_OVERRIDES `supervision.rung=freezer1`".to_owned())
    );
    let facts = loaded.facts();
    assert_eq!(facts.effective["prune"]["older_than"], "7d");
    assert_eq!(facts.origins["run.grace"]["layer"], "user");
}

#[test]
fn a_preference_that_is_wrong_is_an_error_in_every_layer() {
    let entry = |entry: &str| load_with(&[], &[entry], &[]).unwrap_err().to_string();
    assert_eq!(
        entry("run.grce=5s"),
        "--config `run.grce=5s`: unknown key `grce` in `run`; did you mean `grace`?"
    );
    assert_eq!(
        entry("run.max_parallel=many"),
        "--config `run.max_parallel=many`: `max_parallel` cannot be `\"many\"`; it is a whole \
         number from 1 to 1024"
    );
    assert_eq!(
        entry("mcp_servers.x=1").split(';').next(),
        Some("--config `mcp_servers.x=1`: unknown key `mcp_servers` in a config")
    );
    assert_eq!(
        entry("run.grace"),
        "--config `run.grace`: there is no `=` in it; write it as `key=value`, such as `run.grace=5s`"
    );
    assert_eq!(
        entry("pipelines.x.stages=[]"),
        "--config `pipelines.x.stages=[]`: pipelines cannot be written in one line; write them in \
         a config file"
    );
    assert_eq!(entry("run=5"), "--config `run=5`: `run` cannot be `5`; it is a table");
    let variable = [("CODEX_CONFIG_OVERRIDES", "features.x=1,supervison.rung=auto")];
    assert_eq!(
        load_with(&[], &[], &variable).unwrap_err().to_string(),
        "CODEX_CONFIG_OVERRIDES `supervison.rung=auto`: unknown key `supervison` in a config; did \
         you mean `supervision`?"
    );
    let user = load(&[("user", "[run]\ngrace = 'x'")]).unwrap_err();
    assert!(user.file.ends_with("/user"), "{user}");
    assert_eq!(user.position.map(|at| (at.line, at.column)), Some((2, 9)));
}

#[test]
fn pipelines_of_the_user_are_everywhere_and_those_of_the_repository_come_first() {
    let user = (
        "user",
        "[pipelines.mine]\nstages = [{ pipeline = 'ci' }]
         [pipelines.ci]\nstages = [{ id = 'user', command = 'x' }]
         [pipelines.elsewhere]\nstages = [{ pipeline = 'only-there' }]",
    );
    let repo = (config::REPO_FILE, "[pipelines.ci]\nstages = [{ id = 'repo', command = 'x' }]");
    let loaded = load(&[user, repo]).unwrap();
    assert_eq!(plan(&loaded, "mine"), "ci ci/repo");
    assert_eq!(loaded.notes, []);
    assert_eq!(
        loaded.plan("elsewhere").unwrap_err().to_string(),
        "stage `only-there` of pipeline `elsewhere` runs pipeline `only-there`, which does not exist"
    );
    let unknown = loaded.pipeline("mien").unwrap_err();
    assert_eq!(unknown.hint().as_deref(), Some("did you mean `mine`?"));
}

#[test]
fn where_both_files_have_a_pipeline_the_newer_form_is_used_and_a_note_says_so() {
    let both = [
        (
            config::OLDER_REPO_FILE,
            r#"{"pipelines": [
                {"id": "ci", "stages": [{"kind": "command", "id": "old", "command": "x"}]},
                {"id": "docs", "stages": [{"kind": "command", "id": "spell", "command": "x"}]}
            ]}"#,
        ),
        (config::REPO_FILE, "[pipelines.ci]\nstages = [{ id = 'new', command = 'x' }]"),
    ];
    let loaded = load(&both).unwrap();
    assert_eq!(
        (plan(&loaded, "ci"), plan(&loaded, "docs")),
        ("new".to_owned(), "spell".to_owned())
    );
    let notes: Vec<_> =
        loaded.notes.iter().map(|note| format!("{}: {}", note.place, note.text)).collect();
    assert_eq!(
        notes,
        [
            "codex.orchestrator.json:2: pipeline `ci` is not used: there is one in `.codex/orchestrator.toml`"
        ]
    );
}

#[test]
fn keys_of_older_configs_are_checked_and_noted() {
    let loaded = toml(
        "[rlm]\nany = 1
         [delegate]\nmode = 'full'\nexpiry_fallback = 'fail'
         [confirm]\nmax_pending = 3",
    )
    .unwrap();
    let notes: Vec<_> = loaded.notes.iter().map(|note| note.text.as_str()).collect();
    assert_eq!(
        notes,
        [
            "`rlm` has no effect: nothing here reads it; it can be removed",
            "`expiry_fallback` has no effect: write `questions.fallback` instead",
            "`max_pending` has no effect: nothing here reads it; it can be removed",
        ]
    );
    assert_eq!(
        fault(toml("[confirm]\nmax_pending = 'many'")),
        "2:15: `max_pending` cannot be `\"many\"`; it is a whole number from 0 to 1000000"
    );
}

#[test]
fn what_older_configs_said_of_caps_is_refused_naming_what_says_it_now() {
    let network = "write `caps.network.mode = \"none\"`, or `\"list\"` with `caps.network.allow`";
    let servers =
        "write `caps.tools.mcp = { name = [\"tool\"] }`; `[\"*\"]` is every tool of a server";
    assert_eq!(
        fault(toml("[sandbox]\nnetwork = true")),
        format!("1:2: `sandbox` in a config is no longer read; {network}")
    );
    for key in ["allowed_tool_servers", "tool_profile"] {
        assert_eq!(
            fault(toml(&format!("[delegate]\n{key} = ['a']"))),
            format!("2:1: `{key}` in `delegate` is no longer read; {servers}")
        );
    }
    let error = load_with(&[], &["sandbox.network=true"], &[]).unwrap_err().to_string();
    assert!(
        error.ends_with(&format!("`sandbox` in a config is no longer read; {network}")),
        "{error}"
    );
}

#[test]
fn a_recognised_pipeline_gives_way_to_a_written_one() {
    let recognised = toml("[pipelines.diagnostics]\nstages = [{ id = 'found', command = 'x' }]");
    let recognised = recognised.unwrap().pipeline("diagnostics").unwrap().clone();

    let loaded = toml("[pipelines.all]\nstages = [{ pipeline = 'diagnostics' }]").unwrap();
    let plan = |loaded: &Loaded, name| {
        let pipeline = loaded.pipeline(name).unwrap();
        let plan = loaded.plan_beside(pipeline, Some(&recognised)).unwrap();
        plan.stages.last().unwrap().id.to_string()
    };
    assert_eq!(plan(&loaded, "all"), "diagnostics/found");

    let loaded = toml("[pipelines.diagnostics]\nstages = [{ id = 'own', command = 'x' }]").unwrap();
    assert_eq!(plan(&loaded, "diagnostics"), "own");
    assert_eq!(loaded.plan_of(&recognised).unwrap().stages[0].id.as_str(), "found");
}

#[test]
fn the_hash_is_of_what_holds_and_not_of_how_it_is_written() {
    let hash = |text: &str| toml(text).unwrap().hash();
    let plain = hash("[run]\ngrace = '60s'");
    assert_eq!(plain.len(), 64);
    assert_eq!(hash("# grace\n\nrun.grace = '1m'"), plain);
    assert_eq!(load_with(&[], &["run.grace=60"], &[]).unwrap().hash(), plain);
    assert_ne!(hash("[run]\ngrace = '61s'"), plain);
    assert_ne!(hash("run.grace = '60s'\n[pipelines.a]\nstages = [{ command = 'x' }]"), plain);
}
