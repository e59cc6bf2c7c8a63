//! Programs that are found, asked, and remembered; each is a script.

use std::{ffi::OsStr, fs, path::PathBuf, process::Command};

use tempfile::TempDir;

use super::{Installed, NotInstalled, SEEN};
use crate::talk;

struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().expect("a folder"));
        for name in ["bin", "cache", "schema"] {
            fs::create_dir(desk.path(name)).expect("a folder");
        }
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A Codex whose app-server speaks all but these.
    fn codex(&self, version: &str, without: &[&str]) {
        let files: [(&str, &[&str]); 3] = [
            ("ClientRequest.json", &talk::REQUESTS),
            ("ServerRequest.json", &talk::ANSWERED),
            ("ServerNotification.json", &talk::HEARD),
        ];
        for (name, methods) in files {
            let methods = methods.iter().filter(|method| !without.contains(method));
            let one =
                |method: &&str| format!(r#"{{"properties":{{"method":{{"enum":["{method}"]}}}}}}"#);
            let all: Vec<String> = methods.map(one).collect();
            let schema = format!(r#"{{"oneOf":[{}]}}"#, all.join(","));
            fs::write(self.path("schema").join(name), schema).expect("a schema");
        }
        let schema = self.path("schema");
        self.program(&format!(
            "echo x >> '{}'\ncase $1 in --version) echo 'codex-cli {version}';; *) cp -r '{}' \"$5\";; esac",
            self.path("asked").display(),
            schema.display()
        ));
    }

    /// Written by another process: what this one holds open for writing, a process that another
    /// test starts just then would hold open too, and no file that is can be run.
    fn program(&self, script: &str) {
        let write = "printf '%s\\n' \"$1\" > next && chmod 755 next && mv next bin/codex";
        self.sh(write, &format!("#!/bin/sh\n{script}"));
    }

    fn sh(&self, script: &str, argument: &str) {
        let mut sh = Command::new("sh");
        sh.args(["-c", script, "sh", argument]).current_dir(self.0.path());
        assert!(sh.status().expect("a shell").success(), "{script}");
    }

    fn find(&self, wanted: &str) -> Result<Installed, NotInstalled> {
        let usual = std::env::var_os("PATH").unwrap_or_default();
        let folders = [self.path("nowhere"), self.path("bin")].into_iter();
        let path = std::env::join_paths(folders.chain(std::env::split_paths(&usual)));
        Installed::find(OsStr::new(wanted), &path.expect("a path"), &self.path("cache"))
    }

    fn asked(&self) -> usize {
        fs::read_to_string(self.path("asked")).unwrap_or_default().lines().count()
    }
}

#[test]
fn it_is_asked_once_for_as_long_as_it_is_the_same_file() {
    let desk = Desk::new();
    desk.codex("0.169.0", &[]);
    let found = desk.find("codex").expect("it is there");
    assert_eq!(found.version, "0.169.0");
    assert_eq!(found.program, desk.path("bin/codex").canonicalize().expect("a path"));
    assert_eq!(desk.asked(), 2);
    assert_eq!(desk.find("codex").expect("it is there"), found);
    let by_path = desk.path("bin/../bin/codex");
    assert_eq!(desk.find(by_path.to_str().expect("a path")).expect("it is there"), found);
    assert_eq!(desk.asked(), 2);

    // Another version of the same size, unpacked with the same time as packages are.
    desk.sh("cp -p bin/codex before", "");
    desk.codex("0.170.0", &[]);
    desk.sh("touch -r before bin/codex", "");
    assert_eq!(desk.find("codex").expect("it is there").version, "0.170.0");
    assert_eq!(desk.asked(), 4);
    let left = fs::read_dir(desk.path("cache")).expect("a folder").count();
    assert_eq!(left, 1, "only what is known is kept");
}

#[test]
fn a_cache_that_is_damaged_is_no_cache() {
    let desk = Desk::new();
    desk.codex("0.169.0", &[]);
    fs::write(desk.path("cache/codex.json"), "{\"x\":").expect("a file");
    assert!(desk.find("codex").is_ok());
    assert!(desk.find("codex").is_ok());
    assert_eq!(desk.asked(), 2);
}

#[test]
fn one_that_lacks_something_is_named_with_what_it_lacks() {
    let desk = Desk::new();
    desk.codex("0.100.0", &["turn/steer", "item/permissions/requestApproval", "turn/completed"]);
    let error = desk.find("codex").expect_err("it is too old").to_string();
    let expected = format!(
        "is version 0.100.0, whose app-server does not know `turn/steer`, \
         `item/permissions/requestApproval`, `turn/completed`; \
         install one that does with `npm install --global @openai/codex@{SEEN}`"
    );
    assert!(error.ends_with(&expected), "{error}");
}

#[test]
fn one_that_is_missing_is_said_to_be() {
    let desk = Desk::new();
    let error = desk.find("codex-of-nobody").expect_err("it is missing").to_string();
    let expected = "there is no program `codex-of-nobody` on the path; \
                    install it with `npm install --global @openai/codex`";
    assert_eq!(error, expected);
    fs::write(desk.path("bin/codex"), "no program").expect("a file");
    let path = desk.path("bin/codex");
    let error = desk.find(path.to_str().expect("a path")).expect_err("it is no program");
    assert!(matches!(error, NotInstalled::Missing { by_name: false, .. }), "{error}");
}

#[test]
fn one_that_does_not_run_says_why() {
    let desk = Desk::new();
    desk.program("echo 'libx.so: not found' >&2; exit 127");
    let error = desk.find("codex").expect_err("it is broken").to_string();
    assert!(error.contains("libx.so: not found") && error.contains("127"), "{error}");
    desk.program("echo 'something else 1.0'");
    let error = desk.find("codex").expect_err("it is something else").to_string();
    assert!(error.contains("does not say its version"), "{error}");
    desk.program("test \"$1\" != --version || echo 'codex-cli 9'");
    let error = desk.find("codex").expect_err("it speaks otherwise").to_string();
    assert!(error.contains("not printed as it was"), "{error}");
}

#[test]
fn what_it_is_made_of_is_all_that_npm_has_put_there() {
    let check = |program: &str, package: &str| {
        let installed = Installed { program: PathBuf::from(program), version: String::new() };
        assert_eq!(installed.package(), PathBuf::from(package));
    };
    check("/a/bin/codex", "/a/bin/codex");
    check("/a/node_modules/@openai/codex/bin/codex.js", "/a/node_modules");
    check("/a/node_modules/.pnpm/x/node_modules/@openai/codex/bin/codex.js", "/a/node_modules");
}
