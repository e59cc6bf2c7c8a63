//! What a stage writes and sees.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use super::{can_be_confined, standing, tried};
use crate::scratch::Scratch;

/// A repository whose pipeline is that script.
fn trying(caps: &str, script: &str) -> Scratch {
    let pipeline = "[pipelines.try]\nstages = [{ id = \"it\", command = \"sh script 2> said\" }]\n";
    let scratch = Scratch::with(&format!("[caps.fs]\n{caps}\n{pipeline}"));
    fs::write(scratch.at("script"), format!("{script}\ntrue\n")).expect("a script");
    scratch.git();
    scratch
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_stage_writes_where_it_may_and_nowhere_else() {
    if !can_be_confined() {
        return;
    }
    let scratch = trying(
        "write = [\"@worktree\"]",
        "touch inside ../outside\nln -s .. up; touch up/linked\nmv ../mine ../yours\n\
         echo x >> ../mine\nchmod 777 ../mine\nrm ../mine",
    );
    let mine = scratch.folder().join("mine");
    fs::write(&mine, "as it was").expect("a file");
    let before = names(scratch.folder());
    let run = tried(&scratch);
    assert!(scratch.at("inside").exists());
    // The state folder is the runner's.
    let mut after = names(scratch.folder());
    after.retain(|name| name != "state");
    assert_eq!(after, before);
    assert_eq!(fs::read_to_string(mine).expect("it is there"), "as it was");
    let said = scratch.text("said");
    assert!(said.matches("Read-only").count() + said.matches("denied").count() >= 5, "{said}");
    assert!(standing(&scratch, &run, "fs.write")["proof"]["proven"].is_string());
}

#[test]
fn who_is_confined_is_told_that_records_are_outside() {
    if !can_be_confined() {
        return;
    }
    for network in ["none", "open"] {
        let program = crate::scratch::program().display().to_string();
        let words = ["list", "list --all-repos", "status", "start diagnostics", "inbox"];
        let script = words
            .map(|word| format!("{program} {word} > told 2>&1; echo $? >> codes; cat told >> all"));
        let caps = format!("write = [\"@worktree\"]\n[caps.network]\nmode = \"{network}\"");
        let scratch = trying(&caps, &script.join("\n"));
        fs::write(scratch.at("Makefile"), "test:\n\ttrue\n").expect("a file");
        tried(&scratch);
        let told = scratch.text("all");
        assert_eq!(scratch.text("codes"), "4\n".repeat(words.len()), "{network}: {told}");
        assert_eq!(
            told.matches("by the delegation server").count(),
            words.len(),
            "{network}: {told}"
        );
    }
}

#[test]
fn what_is_protected_stays_as_it_is_and_what_is_not_there_is_not_made() {
    if !can_be_confined() {
        return;
    }
    let scratch = trying(
        "protect = [\"@git\", \"@config\", \"@runs\", \"keep\"]",
        "echo evil > .git/hooks/pre-commit\nmv .git elsewhere\necho '{}' > codex.orchestrator.json\n\
         echo > .codex/orchestrator.toml\nmv .codex away\nrm -rf keep\nmv keep kept\n\
         echo x > .runs/x\ngit status > looked",
    );
    fs::create_dir(scratch.at("keep")).expect("a folder");
    fs::write(scratch.at("keep/file"), "").expect("a file");
    let config = scratch.text(".codex/orchestrator.toml");
    let run = tried(&scratch);
    assert!(!scratch.at(".git/hooks/pre-commit").exists());
    assert_eq!(scratch.text(".codex/orchestrator.toml"), config);
    assert!(scratch.at("keep/file").exists());
    assert!(!scratch.at(".runs/x").exists());
    for gone in ["codex.orchestrator.json", "elsewhere", "away", "kept"] {
        assert!(!scratch.at(gone).exists(), "{gone}");
    }
    assert!(scratch.text("looked").contains("On branch main"), "it is read all the same");
    assert!(standing(&scratch, &run, "fs.protect")["proof"]["proven"].is_string());
}

#[test]
fn what_is_hidden_is_not_seen_and_neither_is_what_is_ours() {
    if !can_be_confined() {
        return;
    }
    let scratch = trying(
        "hide = [\"~/.ssh\", \"~/.netrc\", \"~/.absent\"]",
        "ls -A ~/.ssh > ssh\ncat ~/.netrc > netrc\nfind \"$CODEX_ORCHESTRATOR_HOME\" -type f -exec cat {} + > state\n\
         cat ~/seen > seen",
    );
    fs::create_dir(scratch.folder().join(".ssh")).expect("a folder");
    for name in [".ssh/id", ".netrc", "seen"] {
        fs::write(scratch.folder().join(name), "what it says").expect("a file");
    }
    tried(&scratch);
    assert_eq!(scratch.text("ssh"), "");
    assert_eq!(scratch.text("netrc"), "");
    assert_eq!(scratch.text("state"), "", "nothing is read of the journals");
    assert_eq!(scratch.text("seen"), "what it says");
    assert!(scratch.journal().exists());
}

#[test]
fn a_folder_for_temporary_files_of_its_own_is_empty_and_goes_with_it() {
    if !can_be_confined() {
        return;
    }
    let left = tempfile::NamedTempFile::new_in("/tmp").expect("a file");
    let name = left.path().display();
    let scratch = trying(
        "tmp = \"private\"",
        &format!(
            "cat {name} > others\ntouch {name}-mine && ls {name}-mine > mine\n\
             echo $TMPDIR > where\nmktemp"
        ),
    );
    tried(&scratch);
    assert_eq!(scratch.text("others"), "");
    assert_eq!(scratch.text("where"), "/tmp\n");
    let mine = format!("{name}-mine");
    assert_eq!(scratch.text("mine"), format!("{mine}\n"));
    assert!(!Path::new(&mine).exists());
}

#[test]
fn a_program_that_lies_in_the_temporary_folder_is_found_and_nothing_beside_it() {
    if !can_be_confined() {
        return;
    }
    let place = tempfile::tempdir_in("/tmp").expect("a folder");
    let bin = place.path().join("bin");
    fs::create_dir(&bin).expect("a folder");
    fs::write(bin.join("beside"), "").expect("a file");
    let tool = bin.join("tool-of-a-test");
    fs::write(&tool, "#!/bin/sh\nls \"$1\" > seen\n").expect("a program");
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let bin = bin.display();
    let scratch = Scratch::with(&format!(
        "[caps.fs]\ntmp = \"private\"\n[[pipelines.try.stages]]\nid = \"it\"\n\
         command = [\"tool-of-a-test\", \"{bin}\"]\nenv = {{ PATH = \"{bin}:/usr/bin:/bin\" }}\n"
    ));
    scratch.git();
    tried(&scratch);
    assert_eq!(scratch.text("seen"), "tool-of-a-test\n");
}
