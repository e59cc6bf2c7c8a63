//! What opens doors, and is in the home of whoever a delegated run works for.

use std::{fs, os::unix::fs::symlink};

use serde_json::json;

use super::mcp::{Server, text};
use crate::{caps::can_be_confined, scratch::Scratch};

const SECRET: &str = "opens-a-door";

/// Where it is, below the home.
const KEPT: &[&str] = &[
    ".ssh/id_ed25519",
    ".netrc",
    ".git-credentials",
    ".config/git/credentials",
    ".cargo/credentials",
    ".cargo/credentials.toml",
    ".npmrc",
    ".yarnrc.yml",
    ".pypirc",
    ".pip/pip.conf",
    ".config/pip/pip.conf",
    ".gem/credentials",
    ".m2/settings.xml",
    ".gradle/gradle.properties",
    ".terraform.d/credentials.tfrc.json",
    ".password-store/mail.gpg",
    ".local/share/keyrings/login.keyring",
    ".mozilla/firefox/x.default/logins.json",
    ".config/chromium/Default/Cookies",
    ".codex/auth.json",
];

/// Where variables put some of it.
const MOVED: &[(&str, &str, &str)] = &[
    ("CARGO_HOME", "elsewhere/cargo", "credentials.toml"),
    ("CODEX_HOME", "elsewhere/codex", "auth.json"),
    ("GRADLE_USER_HOME", "elsewhere/gradle", "gradle.properties"),
    ("XDG_CONFIG_HOME", "elsewhere/config", "gh/hosts.yml"),
];

const LOOK: &str = r#"
[caps.fs]
tmp = "shared" # The home lies there.
write = ["@worktree"]
[pipelines.look]
stages = [{ id = "it", command = "sh look" }]
"#;

/// Reads whatever there is, also by other names and after trying to get rid of what covers it.
const SCRIPT: &str = r#"
cd ..
mkdir repo/out
for file in .cargo/credentials.toml elsewhere/cargo/credentials.toml; do
  name=$(echo "$file" | tr / _)
  ln "$file" "$(dirname "$file")/second"; mv "$file" "$(dirname "$file")/third"
  cp "$file" "$(dirname "$file")/fourth"; rm -f "$file"; umount "$file"
done
mv .cargo cargo; mv elsewhere others
find . ./.cargo/ -path ./repo -prune -o \( -type f -o -type l \) -print -exec cat {} \; > repo/out/all
env > repo/out/env
cat "$npm_config_userconfig" > repo/out/npmrc
true
"#;

fn put(scratch: &Scratch, name: &str, said: &str) {
    let path = scratch.folder().join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, said).expect("a file");
}

#[test]
fn a_delegated_run_reads_nothing_that_opens_doors_and_is_told_where_packages_are() {
    if !can_be_confined() {
        return;
    }
    let scratch = Scratch::with(LOOK);
    fs::write(scratch.at("look"), SCRIPT).expect("a script");
    let said = |name: &str| match name {
        ".npmrc" => format!(
            "registry=https://npm.example/\n//npm.example/:_authToken={SECRET}\n\
             @corp:registry=https://me:{SECRET}@corp.example/\n"
        ),
        ".yarnrc.yml" => {
            format!("npmRegistryServer: https://me:{SECRET}@yarn.example\nnpmAuthToken: {SECRET}\n")
        }
        ".pip/pip.conf" => {
            format!("[global]\nindex-url = https://me:{SECRET}@pip.example/simple\n")
        }
        _ => SECRET.to_owned(),
    };
    for name in KEPT {
        put(&scratch, name, &said(name));
    }
    for (_, folder, name) in MOVED {
        put(&scratch, &format!("{folder}/{name}"), SECRET);
    }
    // Who hides one more place uncovers none.
    put(&scratch, "own-place", SECRET);
    for folder in [".codex", "elsewhere/codex"] {
        put(&scratch, &format!("{folder}/orchestrator.toml"), "caps.fs.hide = [\"~/own-place\"]\n");
    }
    for name in [".cargo/registry/seen", "elsewhere/cargo/registry/seen", ".config/seen"] {
        put(&scratch, name, "nothing of value");
    }
    // As those keep it who have their settings in a repository.
    let dots = scratch.folder().join("dots");
    put(&scratch, "dots/pgpass", SECRET);
    fs::remove_file(scratch.folder().join(".pypirc")).expect("it is there");
    symlink(dots.join("pgpass"), scratch.folder().join(".pypirc")).expect("a link");
    scratch.git();
    for moved in [false, true] {
        let mut command = scratch.command(&["delegate-server"]);
        for (variable, folder, _) in MOVED.iter().filter(|_| moved) {
            command.env(variable, scratch.folder().join(folder));
        }
        // Only what the variables name is no secret where they do not.
        let elsewhere = scratch.folder().join("elsewhere");
        let away = scratch.folder().join("repo/.git/away");
        if !moved {
            fs::rename(&elsewhere, &away).expect("it is ours");
        }
        let mut session = Server::start(command, super::mcp::session("one"));
        let wish = json!({ "pipeline": "look", "task_id": "demo" });
        let run = text(&session.call("spawn", wish).given(), "run_id");
        scratch.await_end(&run);
        if !moved {
            fs::rename(&away, &elsewhere).expect("it is ours");
        }
        assert_eq!(scratch.status(&run), "succeeded", "{:?}", scratch.run(&["logs", &run]));
        let (all, env) = (scratch.text("out/all"), scratch.text("out/env"));
        assert!(!all.contains(SECRET) && !env.contains(SECRET), "{moved}: {all}\n{env}");
        let mut seen = vec!["./.cargo/registry/seen", "./.config/seen"];
        seen.extend(moved.then_some("./elsewhere/cargo/registry/seen"));
        for name in seen {
            assert!(all.contains(&format!("{name}\nnothing of value")), "{name}: {all}");
        }
        for told in [
            "PIP_INDEX_URL=https://pip.example/simple",
            "npm_config_registry=https://npm.example/",
            "pnpm_config_registry=https://npm.example/",
            "YARN_NPM_REGISTRY_SERVER=https://yarn.example",
        ] {
            assert!(env.lines().any(|line| line == told), "{told}: {env}");
        }
        assert_eq!(scratch.text("out/npmrc"), "@corp:registry=https://corp.example/\n");
        fs::remove_dir_all(scratch.at("out")).expect("it is there");
    }
}
