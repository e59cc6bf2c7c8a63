//! Registering the delegation server with Codex: what becomes of its config, and what never does.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use nix::{sys::stat::Mode, unistd::mkfifo};
use serde_json::Value;

use crate::{
    confined::can_be_confined,
    scratch::{Answer, Done, Scratch, done, program},
};

/// As `codex mcp add` writes it, and what its user wrote by hand.
const PLAIN: &str = r#"# mine
model = "gpt"

[mcp_servers.delegation]
command = "codex-orchestrator"
args = ["delegate-server", "--repo", "/home/you/project"]

[mcp_servers.delegation.env]
A = "b" # by hand

[tui]
"#;

/// Codex's config of this test.
fn config(scratch: &Scratch) -> PathBuf {
    scratch.folder().join(".codex/config.toml")
}

fn write(scratch: &Scratch, text: &str) -> PathBuf {
    let path = config(scratch);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    path
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

#[track_caller]
fn setup(scratch: &Scratch, words: &[&str]) -> Answer {
    let answer = scratch.json(&[&["setup"], words].concat());
    assert_eq!(answer.code, 0, "{answer:?}");
    answer
}

#[test]
fn a_registration_is_shown_then_written_then_taken_back() {
    let scratch = Scratch::new();
    let path = config(&scratch);
    let shown = setup(&scratch, &[]);
    assert!(!path.parent().unwrap().exists(), "only shown: {shown:?}");
    assert_eq!(shown.document["written"], false);
    assert!(shown.text("change").contains("\n+ [mcp_servers.delegation]\n"), "{shown:?}");
    assert_eq!(shown.text("next"), "codex-orch setup --yes");

    let done = setup(&scratch, &["--yes"]);
    assert_eq!(
        (&done.document["written"], done.text("change")),
        (&true.into(), shown.text("change"))
    );
    let text = read(&path);
    for line in ["args = [\"delegate-server\"]", "enabled = false", "required = true"] {
        assert!(text.lines().any(|it| it == line), "{line}: {text}");
    }
    let command = text.lines().find_map(|line| line.strip_prefix("command = \"")).unwrap();
    assert!(Path::new(command.trim_end_matches('"')).is_file(), "{command}");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    let again = setup(&scratch, &["--yes"]);
    assert_eq!(
        (&again.document["written"], &again.document["change"]),
        (&false.into(), &Value::Null)
    );
    assert_eq!(read(&path), text);

    setup(&scratch, &["--undo"]);
    assert_eq!(read(&path), text, "only shown");
    setup(&scratch, &["--undo", "--yes"]);
    assert!(!path.parent().unwrap().exists(), "there was neither file nor folder");
    assert_eq!(setup(&scratch, &["--undo", "--yes"]).document["change"], Value::Null);
}

#[test]
fn a_plain_registration_is_converted_and_comes_back_to_the_byte() {
    let scratch = Scratch::new();
    let path = write(&scratch, PLAIN);
    let done = setup(&scratch, &["--yes"]);
    let text = read(&path);
    for kept in
        ["# mine\nmodel", "\n\n[mcp_servers.delegation.env]\nA = \"b\" # by hand\n\n[tui]\n"]
    {
        assert!(text.contains(kept), "{text}");
    }
    assert!(!text.contains("--repo"), "{text}");
    let notes = done.document["notes"].to_string();
    assert!(notes.contains("--repo /home/you/project"), "{notes}");
    // Somebody goes on editing elsewhere.
    fs::write(&path, text.replace("[tui]", "[tui]\ntheme = \"dark\"")).unwrap();
    setup(&scratch, &["--undo", "--yes"]);
    assert_eq!(read(&path), PLAIN.replace("[tui]", "[tui]\ntheme = \"dark\""));
}

#[test]
fn a_linked_config_is_replaced_where_it_is_and_keeps_its_permissions() {
    let scratch = Scratch::new();
    let real = scratch.folder().join("dotfiles/codex.toml");
    fs::create_dir_all(real.parent().unwrap()).unwrap();
    fs::write(&real, PLAIN).unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
    let link = config(&scratch);
    fs::create_dir_all(link.parent().unwrap()).unwrap();
    symlink("../dotfiles/codex.toml", &link).unwrap();
    setup(&scratch, &["--yes"]);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(read(&real).contains("enabled = false"));
    assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o7777, 0o640);
    let beside = fs::read_dir(real.parent().unwrap()).unwrap().count();
    assert_eq!(beside, 1, "nothing is left beside it");
}

#[test]
fn the_config_is_where_codex_home_says() {
    let scratch = Scratch::new();
    let home = scratch.folder().join("elsewhere/codex");
    let mut command = scratch.command(&["setup", "--yes"]);
    let answer = scratch.run_json(command.env("CODEX_HOME", &home));
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(read(&home.join("config.toml")).contains("[mcp_servers.delegation]"));
    assert!(!config(&scratch).exists());
}

/// Refused with that code and these words, and without any change, also with `--yes`.
#[track_caller]
fn refused(scratch: &Scratch, words: &[&str], code: i32, says: &[&str]) {
    let look = || {
        let mut find = scratch.elsewhere("find", &[".", "-printf", "%p %s %m %l %T@ %i\n"]);
        let found = find.current_dir(scratch.folder()).output().expect("find");
        let text = String::from_utf8_lossy(&found.stdout).into_owned();
        // What setup remembers, and its lock, are made before anything is refused.
        let mut lines: Vec<String> = text
            .lines()
            .filter(|line| !line.starts_with("./state") && !line.starts_with(". "))
            .map(str::to_owned)
            .collect();
        lines.sort_unstable();
        lines
    };
    for yes in [&[][..], &["--yes"]] {
        let before = look();
        let all = [&["setup"], words, yes].concat();
        let answer = scratch.json(&all);
        assert_eq!(answer.code, code, "{all:?}: {answer:?}");
        let said = format!(
            "{} {}",
            answer.document["error"]["message"], answer.document["error"]["next_step"]
        );
        for piece in says {
            assert!(said.contains(piece), "{all:?}: {piece}: {said}");
        }
        assert_eq!(look(), before, "{all:?}");
    }
}

#[test]
fn a_config_that_is_broken_or_no_file_is_refused_and_stays_as_it_is() {
    let scratch = Scratch::new();
    let path = write(&scratch, "a = 1\n[mcp_servers.x\n");
    refused(&scratch, &[], 2, &["config.toml:2:15: this is not TOML", "nothing was changed"]);
    refused(&scratch, &["--undo"], 2, &["config.toml:2:15: this is not TOML"]);
    write(&scratch, "mcp_servers = 3\n");
    refused(&scratch, &[], 2, &["config.toml:1:15: `mcp_servers` is not a table"]);
    fs::write(&path, b"a = 1\nb = '\xff'\n").unwrap();
    refused(&scratch, &[], 2, &["config.toml:2:6: it is not UTF-8 text"]);
    fs::write(&path, vec![b'#'; 4 * 1024 * 1024 + 1]).unwrap();
    refused(&scratch, &[], 2, &["larger than 4 MiB"]);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    refused(&scratch, &[], 2, &["it is a folder, not a file"]);
    fs::remove_dir(&path).unwrap();
    mkfifo(&path, Mode::S_IRWXU).unwrap();
    refused(&scratch, &[], 2, &["it is a FIFO, not a file"]);
    fs::remove_file(&path).unwrap();
    symlink("nowhere", &path).unwrap();
    refused(&scratch, &[], 2, &["a symbolic link to nothing"]);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "a = 1\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
    refused(&scratch, &[], 4, &["it is read-only", "make it writable"]);
    fs::remove_file(&path).unwrap();
    fs::remove_dir(path.parent().unwrap()).unwrap();
    fs::write(path.parent().unwrap(), "").unwrap();
    refused(&scratch, &[], 2, &["config.toml: "]);
}

#[test]
fn another_server_of_that_name_stays_and_ours_gets_another() {
    let scratch = Scratch::new();
    let foreign = "[mcp_servers.delegation]\nurl = \"http://localhost\"\n";
    let path = write(&scratch, foreign);
    refused(&scratch, &[], 4, &["config.toml:1:14: `delegation` is another server", "--name"]);
    refused(&scratch, &["--undo"], 4, &["`delegation` is another server"]);
    let done = setup(&scratch, &["--name", "orch", "--yes"]);
    assert!(done.text("next").contains("mcp_servers.orch.enabled=true"), "{done:?}");
    assert!(read(&path).starts_with(foreign) && read(&path).contains("\n[mcp_servers.orch]\n"));
    // It is found by what it is, without being named again.
    assert_eq!(setup(&scratch, &[]).document["change"], Value::Null);
    setup(&scratch, &["--undo", "--yes"]);
    assert_eq!(read(&path), foreign);
}

#[test]
fn words_that_make_no_sense_are_refused() {
    let scratch = Scratch::new();
    refused(&scratch, &["--name", "a.b"], 2, &["`a.b` is not a name of a server"]);
    refused(&scratch, &["--repo", "."], 2, &["--repo-only"]);
    refused(&scratch, &["--repo-only", "--undo"], 2, &["cannot be used with"]);
}

#[test]
fn what_could_not_be_remembered_is_not_written() {
    let scratch = Scratch::new();
    let path = write(&scratch, PLAIN);
    let file = scratch.folder().join("file");
    fs::write(&file, "").unwrap();
    let mut command = scratch.command(&["setup", "--yes"]);
    let answer = scratch.run_json(command.env("CODEX_ORCHESTRATOR_HOME", &file));
    assert_eq!((answer.code, read(&path)), (9, PLAIN.to_owned()), "{answer:?}");
}

#[test]
fn many_at_once_do_it_once() {
    let scratch = Scratch::new();
    let path = write(&scratch, PLAIN);
    let all: Vec<_> = (0..8).map(|_| scratch.spawn(&["setup", "--yes"])).collect();
    for one in all {
        let done = one.done();
        assert_eq!(done.code, 0, "{done:?}");
    }
    assert_eq!(read(&path).matches("enabled = false").count(), 1);
    setup(&scratch, &["--undo", "--yes"]);
    assert_eq!(read(&path), PLAIN);
}

#[test]
fn a_config_of_the_repository_is_begun_and_never_written_over() {
    let scratch = Scratch::new();
    let path = scratch.at(".codex/orchestrator.toml");
    let init = |words: &[&str]| {
        let answer = scratch.json(words);
        assert_eq!(answer.code, 0, "{answer:?}");
        answer.document["written"] == true
    };
    assert!(!init(&["init"]) && !path.exists());
    assert!(init(&["init", "--yes"]));
    let text = read(&path);
    assert_eq!(scratch.run(&["config", "check"]).code, 0);
    // What it has to offer is right as well.
    let is_toml = |text: &&str| text.starts_with(['[', ']', ' ']) || text.contains(" = ");
    let offer = |line| str::strip_prefix(line, "# ").filter(is_toml).unwrap_or(line);
    let offered: Vec<&str> = text.lines().map(offer).collect();
    fs::write(&path, offered.join("\n")).unwrap();
    let checked = scratch.run(&["config", "check"]);
    assert!(checked.stdout.contains("1 pipeline, 2 stages"), "{checked:?}\n{}", offered.join("\n"));
    assert!(!init(&["setup", "--repo-only", "--yes"]));
    assert_eq!(read(&path), offered.join("\n"), "it is there, and stays");
}

/// With the real client, where there is one: `E2E_CODEX` is the path of its `codex`.
#[test]
fn codex_itself_takes_what_was_written() {
    let Some(codex) = std::env::var_os("E2E_CODEX") else {
        crate::scratch::say("skipped: E2E_CODEX names no codex");
        return;
    };
    let scratch = Scratch::new();
    let codex = |words: &[&str]| -> Command { scratch.elsewhere(&codex, words) };
    for before in ["", PLAIN, "mcp_servers = { other = { command = \"true\" } }\n"] {
        let path = write(&scratch, before);
        setup(&scratch, &["--yes"]);
        let got = codex(&["mcp", "get", "delegation", "--json"]).output().expect("codex");
        let got: Value = serde_json::from_slice(&got.stdout).expect("a document");
        assert_eq!(got["enabled"], false, "{got}");
        assert_eq!(got["transport"]["args"], serde_json::json!(["delegate-server"]), "{got}");
        assert_eq!(got["tool_timeout_sec"], 300.0, "{got}");
        // Codex writes all servers anew; nothing is to be done then, and all can be taken back.
        assert!(codex(&["mcp", "add", "more", "--", "true"]).status().expect("codex").success());
        assert_eq!(setup(&scratch, &[]).document["change"], Value::Null);
        setup(&scratch, &["--undo", "--yes"]);
        assert!(codex(&["mcp", "remove", "more"]).status().expect("codex").success());
        let text = read(&path);
        assert_eq!(text.contains("--repo"), before.contains("--repo"), "{text}");
        assert!(!text.contains("required"), "{text}");
    }
}

/// Runs it where no user namespaces are to be had.
fn unconfined(scratch: &Scratch, words: &[&str]) -> Done {
    let shut = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"";
    let program = program().display().to_string();
    let before = ["--user", "--map-root-user", "sh", "-c", shut, "sh", &program];
    done(&mut scratch.elsewhere(Path::new("unshare"), &[&before[..], words].concat()))
}

#[test]
fn where_nothing_can_be_confined_its_user_says_whether_it_runs_all_the_same() {
    if !can_be_confined() {
        return;
    }
    let scratch = Scratch::with(
        "[caps.network]\nmode = \"none\"\n[pipelines.try]\nstages = [{ id = \"it\", command = \"test -z $http_proxy\" }]\n",
    );
    let start = ["start", "try"];
    let refused = unconfined(&scratch, &start);
    assert_eq!(refused.code, 1, "{refused:?}");
    let told = unconfined(&scratch, &["setup"]);
    assert!(told.stdout.contains("delegated runs cannot be confined here"), "{told:?}");
    assert!(!setup(&scratch, &[]).document["notes"].to_string().contains("confined"));

    let path = config(&scratch).with_file_name("orchestrator.toml");
    setup(&scratch, &["--on-missing", "warn"]);
    assert!(!path.exists(), "only shown");
    setup(&scratch, &["--on-missing", "warn", "--yes"]);
    assert_eq!(read(&path), "[caps]\non_missing = \"warn\"\n");
    let free = unconfined(&scratch, &start);
    assert_eq!(free.code, 0, "{free:?}");
    assert!(free.stdout.contains("not confined"), "{free:?}");
    setup(&scratch, &["--on-missing", "refuse", "--yes"]);
    assert_eq!(unconfined(&scratch, &start).code, 1);
}
