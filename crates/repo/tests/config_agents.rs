//! What configs say of agents, and who may say it.

use std::fs;

use model::CommandLine;
use repo::config::{
    self, ConfigError, ConfirmCancel, Fallback, Inputs, Layer, Loaded, Mode, Notice, PipelineTrust,
    Settings, WhenFull,
};

/// What is read with these files, variables and `--config` entries. A file `user` is the user's own.
fn load(
    files: &[(&str, &str)],
    environment: &[String],
    command_line: &[String],
) -> Result<Loaded, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let variable = |entry: &String| ("CODEX_CONFIG_OVERRIDES".to_owned(), entry.clone());
    config::load(&Inputs {
        repo: Some(folder.path()),
        user_file: Some(folder.path().join("user")),
        environment: &environment.iter().map(variable).collect::<Vec<_>>(),
        command_line,
        cpus: 4,
    })
}

fn repo(text: &str) -> Result<Loaded, ConfigError> {
    load(&[(config::REPO_FILE, text)], &[], &[])
}

#[test]
fn what_agents_may_do_is_read_as_it_is_written() {
    let loaded = load(&[("user", include_str!("files/everything.toml"))], &[], &[]).unwrap();
    let Settings { delegate, limits, questions, confirm, notify, .. } = &loaded.settings;
    assert_eq!((delegate.mode, delegate.child_mode), (Mode::QuestionOnly, Mode::StatusOnly));
    assert_eq!(delegate.pipelines, PipelineTrust::Any);
    assert_eq!(delegate.allowed_repos, ["../beside", "~/projects", "/srv"]);
    assert_eq!((limits.depth, limits.children, limits.at_once), (2, 20, 4));
    assert_eq!(limits.when_full, WhenFull::Queue);
    assert_eq!(questions.expires_in.unwrap().as_secs(), 7200);
    assert_eq!((questions.fallback, questions.auto_pause), (Fallback::Resume, false));
    assert!(questions.forms);
    assert_eq!((confirm.cancel, confirm.expires_in.as_secs()), (ConfirmCancel::Always, 3600));
    let words = ["notify-send", "codex-orchestrator"].map(str::to_owned).to_vec();
    assert_eq!(notify.command, Some(CommandLine::Argv(words)));
    assert_eq!(notify.webhook.as_ref().unwrap().url(), "https://hooks.example/secret");
    assert_eq!(notify.on, [Notice::Question, Notice::Failed].into());
    assert_eq!((notify.retries, notify.timeout.as_secs()), (5, 3));
    // What goes on record says nothing that could be a secret.
    let facts = loaded.facts();
    assert_eq!(facts.effective["notify"]["webhook"], "https://hooks.example/…");
    assert_eq!(facts.effective["notify"]["command"], "notify-send …");
    assert!(!loaded.to_json().to_string().contains("hooks.example/secret"));

    let built_in = load(&[], &[], &[]).unwrap().settings;
    assert_eq!(built_in.delegate.mode, Mode::Full);
    assert_eq!(built_in.delegate.child_mode, Mode::QuestionOnly);
    assert_eq!(built_in.delegate.pipelines, PipelineTrust::Committed);
    assert_eq!(built_in.questions.expires_in, None);
    assert_eq!(repo("questions.expires_in = 'never'").unwrap().settings, built_in);
}

/// What a preference comes to in these layers, and the note or the error about it.
fn merged(name: &str, user: &str, repo: &str, environment: &str, given: &str) -> String {
    let (table, key) = name.split_once('.').unwrap();
    let file = |value: &str| match value {
        "" => String::new(),
        value => format!("[{table}]\n{key} = {value}\n"),
    };
    let entry = |value: &str| match value {
        "" => vec![],
        value => vec![format!("{name}={value}")],
    };
    let files = [("user", &*file(user)), (config::REPO_FILE, &*file(repo))];
    match load(&files, &entry(environment), &entry(given)) {
        Ok(loaded) => {
            let shown = loaded.facts().effective[table][key].to_string();
            let said = if loaded.notes.is_empty() { "" } else { ", noted" };
            format!("{shown} of {}{said}", loaded.origins[name].layer.as_str())
        }
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_narrowest_mode_that_is_said_holds() {
    let check = |user, repo, environment, given, expected| {
        assert_eq!(merged("delegate.mode", user, repo, environment, given), expected);
    };
    check("", "", "", "", "\"full\" of built_in");
    check("'full'", "", "", "", "\"full\" of user");
    check("", "'question_only'", "", "", "\"question_only\" of repo");
    check("'status_only'", "'full'", "", "", "\"status_only\" of user, noted");
    check("", "'status_only'", "'question_only'", "'full'", "\"status_only\" of repo, noted");
    check("", "'question_only'", "", "'status_only'", "\"status_only\" of command_line");
}

#[test]
fn a_note_says_what_holds_instead_and_from_where() {
    let loaded = repo("[confirm]\ncancel = 'never'").unwrap();
    let notes: Vec<_> =
        loaded.notes.iter().map(|note| format!("{}: {}", note.place, note.text)).collect();
    assert_eq!(
        notes,
        [
            ".codex/orchestrator.toml:2: `confirm.cancel` stays \"owned\" (built in): here it can only be narrowed"
        ]
    );
}

#[test]
fn only_a_person_lets_agents_do_more() {
    let cancel =
        |user, repo, environment, given| merged("confirm.cancel", user, repo, environment, given);
    assert_eq!(cancel("", "'always'", "", ""), "\"always\" of repo");
    assert_eq!(cancel("", "'never'", "", ""), "\"owned\" of built_in, noted");
    assert_eq!(cancel("'never'", "", "", ""), "\"never\" of user");
    assert_eq!(cancel("'never'", "'owned'", "", ""), "\"owned\" of repo");
    assert_eq!(cancel("'always'", "", "'owned'", ""), "\"always\" of user, noted");
    assert_eq!(cancel("", "'always'", "", "never"), "\"never\" of command_line");
    let child = |user, repo| merged("delegate.child_mode", user, repo, "", "");
    assert_eq!(child("", "'full'"), "\"question_only\" of built_in, noted");
    assert_eq!(child("'full'", "'status_only'"), "\"status_only\" of repo");

    let pipelines = |user, repo, environment, given| {
        merged("delegate.pipelines", user, repo, environment, given)
    };
    assert_eq!(pipelines("'any'", "", "", ""), "\"any\" of user");
    assert_eq!(pipelines("'any'", "'committed'", "", ""), "\"committed\" of repo");
    assert_eq!(pipelines("", "'committed'", "", "any"), "\"any\" of command_line");
    let hint = "say it in your own `orchestrator.toml`, or with `--config`";
    assert_eq!(
        pipelines("'any'", "'any'", "", ""),
        format!(
            ".codex/orchestrator.toml:2:13: a repository can say of `delegate.pipelines` only `committed`; {hint}"
        )
    );
    assert_eq!(
        pipelines("", "", "any", ""),
        format!(
            "CODEX_CONFIG_OVERRIDES `delegate.pipelines=any`: the environment can say of `delegate.pipelines` only `committed`; {hint}"
        )
    );
    for (name, value) in [
        ("notify.command", "'curl x'"),
        ("notify.webhook", "'https://x.example'"),
        ("delegate.allowed_repos", "['..']"),
    ] {
        assert!(merged(name, value, "", "", "").ends_with(" of user"), "{name}");
        assert!(merged(name, "", "", "", value).ends_with(" of command_line"), "{name}");
        let refused = merged(name, value, value, "", "");
        assert!(
            refused.ends_with(&format!("a repository cannot say `{name}`; {hint}")),
            "{refused}"
        );
        let refused = merged(name, "", "", value, "");
        assert!(refused.contains(&format!("the environment cannot say `{name}`")), "{refused}");
    }
}

#[test]
fn the_users_own_file_is_the_users_where_the_home_folder_is_a_repository() {
    let home = tempfile::tempdir().unwrap();
    let user = home.path().join(config::REPO_FILE);
    fs::create_dir_all(user.parent().unwrap()).unwrap();
    fs::write(&user, "[notify]\ncommand = 'bell'").unwrap();
    let inputs =
        Inputs { repo: Some(home.path()), user_file: Some(user), cpus: 1, ..Inputs::default() };
    let loaded = config::load(&inputs).unwrap();
    assert_eq!(loaded.origins["notify.command"].layer, Layer::User);
    assert_eq!(loaded.files.len(), 1);
}

#[test]
fn what_a_key_of_agents_cannot_be_is_said() {
    let check = |text: &str, expected: &str| {
        let error = repo(text).unwrap_err().to_string();
        assert_eq!(error, format!(".codex/orchestrator.toml:{expected}"));
    };
    check(
        "[delegate]\nmode = 'everything'",
        "2:8: `mode` cannot be `\"everything\"`; it is one of: `status_only`, `question_only`, `full`",
    );
    check(
        "[notify]\non = ['questions']",
        "2:7: `on` cannot be `\"questions\"`; did you mean `question`?",
    );
    check(
        "[notify]\nwebhook = 'hooks.example/secret'",
        "2:11: `webhook` is no address; it begins with `https://` or `http://`",
    );
    check(
        "[delegate]\nallowed_repos = ['~root/x']",
        "2:18: `allowed_repos` cannot be `\"~root/x\"`; `~/` begins a folder in your own home",
    );
    check(
        "[limits]\nat_once = 0",
        "2:11: `at_once` cannot be `0`; it is a whole number from 1 to 1024",
    );
    check(
        "[confirm]\nexpires_in = 'never'",
        "2:14: `expires_in` cannot be `\"never\"`; it is a length of time such as `90s`, `10m` or `1h30m`",
    );
}

#[test]
fn what_tells_a_person_is_read_from_their_own_file_when_they_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let (user, repo) = (folder.path().join("user"), folder.path().join("repo"));
    let wish = |file: &str, given: &[&str]| {
        fs::create_dir_all(repo.join(".codex")).unwrap();
        fs::write(&user, file).unwrap();
        let given: Vec<String> = given.iter().map(|&entry| entry.to_owned()).collect();
        let loaded = config::load(&Inputs {
            repo: Some(&repo),
            user_file: Some(user.clone()),
            command_line: &given,
            ..Inputs::default()
        });
        loaded.unwrap().notify()
    };
    let ways = |notify| {
        let ways = config::ways(notify).unwrap();
        let typed = ways.command.map(|command| command.as_typed()).unwrap_or_default();
        let url = ways.webhook.map(|webhook| webhook.url().to_owned()).unwrap_or_default();
        format!("{typed} {url}")
    };
    // Who is not to be told leaves no wish.
    assert_eq!(wish("", &[]), None);
    assert_eq!(wish("notify.command = 'a'", &["notify.on=[]"]), None);

    // The secret part is not copied, and what holds is what holds later.
    fs::create_dir_all(repo.join(".codex")).unwrap();
    fs::write(repo.join(config::REPO_FILE), "notify.retries = 7").unwrap();
    let notify = wish("notify.command = 'a'\nnotify.timeout = '2s'", &[]).unwrap();
    assert_eq!((&notify.command, &notify.webhook), (&None, &None));
    assert_eq!((notify.retries, notify.timeout_ms, notify.on.len()), (7, 2000, 5));
    assert_eq!(ways(&notify), "a ");
    fs::write(&user, "notify.webhook = 'http://b/c'").unwrap();
    assert_eq!(ways(&notify), " http://b/c");

    // Nothing in the repository keeps anybody from being told.
    fs::write(repo.join(config::REPO_FILE), "notify.command = 'evil'").unwrap();
    assert_eq!(ways(&notify), " http://b/c");
    fs::write(repo.join(config::REPO_FILE), "[[").unwrap();
    assert_eq!(ways(&notify), " http://b/c");
    fs::remove_file(repo.join(config::REPO_FILE)).unwrap();

    // What was given for one run stays with it.
    let notify = wish("notify.command = 'a'", &["notify.webhook=http://d/e"]).unwrap();
    assert_eq!(ways(&notify), "a http://d/e");
    fs::write(&user, "notify.webhook = 'http://b/c'").unwrap();
    assert_eq!(ways(&notify), " http://d/e");
    fs::remove_file(&user).unwrap();
    assert_eq!(ways(&notify), " http://d/e");
}
