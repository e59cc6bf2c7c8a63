//! What people use, under a list: each tool as it is everywhere, from an empty cache, against servers
//! on this machine that stand for others.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{can_be_confined, denials};
use crate::{
    packages::{Registry, cargo_settings, toolchain},
    scratch::{Scratch, say},
};

/// A repository with that list, and what there is to be had.
struct Ground {
    scratch: Scratch,
    registry: Registry,
    path: OsString,
}

/// Hosts that are both here; only the first is listed.
const LISTED: &str = "pkgs.example";
const OTHER: &str = "other.example";

impl Ground {
    /// None where stages cannot be confined, or what is tried does not run.
    fn with(registry: impl FnOnce() -> Registry, tool: &[&str], path: OsString) -> Option<Self> {
        if !can_be_confined() {
            return None;
        }
        let scratch = Scratch::new();
        if !runs(&scratch, tool, &path) {
            say(&format!("skipped: no `{}` here", tool.join(" ")));
            return None;
        }
        let registry = registry();
        let port = registry.port();
        scratch.config(&format!(
            "[caps.network]\nallow = [\"{LISTED}:{port}\"]\n[caps.fs]\nwrite = [\"@worktree\"]\n\
             [pipelines.try]\nstages = [{{ id = \"it\", command = \"sh script\" }}]\n"
        ));
        scratch.git();
        Some(Self { scratch, registry, path })
    }

    /// Runs a script as a stage: whether it succeeded, and its run.
    fn run(&self, script: &str) -> (bool, String) {
        fs::write(self.scratch.at("script"), script).expect("a script");
        let pins = format!(
            "caps.network.pins={{\"{LISTED}\"=[\"127.0.0.1\"],\"{OTHER}\"=[\"127.0.0.1\"]}}"
        );
        let words = ["start", "try", "--task", "demo", "--config", &pins];
        let mut command = self.scratch.command(&words);
        let answer = self.scratch.run_json(command.env("PATH", &self.path));
        (answer.code == 0, answer.text("run_id"))
    }

    fn said(&self, run: &str) -> String {
        self.scratch.run(&["logs", run]).stdout
    }

    fn summary(&self, run: &str) -> String {
        let manifest = self.scratch.manifest(run);
        manifest["commands"][0]["summary"].as_str().expect("a summary").to_owned()
    }
}

/// Whether that runs where tests do, for whom they run as.
fn runs(scratch: &Scratch, tool: &[&str], path: &OsString) -> bool {
    let mut command = scratch.elsewhere(tool[0], &tool[1..]);
    command.env("PATH", path).output().is_ok_and(|output| output.status.success())
}

/// What the host has comes first, and then what `scripts/setup` has put here.
fn search_path() -> OsString {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools");
    let own = ["bin", "pnpm/node_modules/.bin"].map(|folder| tools.join(folder));
    let path = env::var_os("PATH").unwrap_or_default();
    env::join_paths(env::split_paths(&path).chain(own)).expect("a search path")
}

/// Everything in the home but what is the repository's or the program's own.
fn home(scratch: &Scratch) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![scratch.folder().to_owned()];
    let own = |path: &Path| [scratch.repo(), &scratch.state()].contains(&path);
    while let Some(folder) = folders.pop() {
        let entries =
            fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("one").path());
        for path in entries.filter(|path| !own(path)) {
            folders.extend(path.is_dir().then(|| path.clone()));
            found.push(path);
        }
    }
    found.sort();
    found
}

/// `script` gets `tiny` from a place, and says what it says.
#[track_caller]
fn check(ground: &Ground, script: impl Fn(&str) -> String) {
    let port = ground.registry.port();
    let before = home(&ground.scratch);
    let (denied, run) = ground.run(&script(&format!("{OTHER}:{port}")));
    let said = ground.said(&run);
    assert!(!denied && !said.contains("hello from tiny"), "{said}");
    let told = denials(&ground.scratch, &run);
    let other = format!("{OTHER}:{port}");
    assert!(!told.is_empty() && told.iter().all(|one| one.0 == other), "{told:?} {said}");
    assert!(!ground.summary(&run).contains("no network but"), "it knew of the proxy");
    assert_eq!(ground.registry.asked(), 0, "nobody has come");

    let (reached, run) = ground.run(&script(&format!("{LISTED}:{port}")));
    let said = ground.said(&run);
    assert!(reached && said.contains("hello from tiny"), "{said}");
    assert_eq!(denials(&ground.scratch, &run), [], "{said}");
    assert!(ground.registry.asked() > 0);
    assert_eq!(home(&ground.scratch), before, "what is downloaded is not in the home");
}

fn packages(tool: &[&str]) -> Option<Ground> {
    Ground::with(|| Registry::named(LISTED), tool, search_path())
}

#[test]
fn curl_gets_what_is_listed_and_shows_what_to_add() {
    let Some(ground) = packages(&["curl", "--version"]) else { return };
    check(&ground, |place| format!("curl -sS http://{place}/hello | tee said; grep -q hello said"));
    let other = format!("{OTHER}:{}", ground.registry.port());
    let (_, run) = ground.run(&format!("curl -sS -w '%{{http_code}}\n' http://{other}/hello"));
    let said = ground.said(&run);
    assert!(said.contains(&format!("add \"{other}\" to `caps.network.allow`")), "{said}");
    assert!(said.contains("403"), "{said}");
}

#[test]
fn git_clones_by_tls_from_what_is_listed() {
    let registry = || Registry::of_git(LISTED);
    let Some(ground) = Ground::with(registry, &["git", "--version"], search_path()) else { return };
    let authority = ground.registry.authority.clone().expect("it speaks TLS");
    fs::write(ground.scratch.at("ca.pem"), authority).expect("a file");
    check(&ground, |place| {
        format!(
            "rm -rf copy; git -c http.sslCAInfo=ca.pem clone -q https://{place}/tiny.git copy && \
             cat copy/said"
        )
    });
}

#[test]
fn cargo_builds_with_what_is_listed() {
    if !Command::new("rustc").arg("--version").output().is_ok_and(|told| told.status.success()) {
        return say("skipped: no toolchain here");
    }
    let registry = || Registry::named(LISTED);
    let Some(ground) = Ground::with(registry, &["cargo", "--version"], toolchain()) else { return };
    let app = ground.scratch.at("app");
    fs::create_dir_all(app.join("src")).expect("a folder");
    fs::create_dir_all(app.join(".cargo")).expect("a folder");
    let manifest = "[package]\nname = \"app\"\nedition = \"2024\"\n[dependencies]\ntiny = \"1\"\n\
                    [workspace]\n";
    fs::write(app.join("Cargo.toml"), manifest).expect("a file");
    fs::write(app.join("src/main.rs"), "fn main() { println!(\"{}\", tiny::HELLO); }\n")
        .expect("a file");
    check(&ground, |place| {
        let settings = cargo_settings(place);
        format!(
            "cd app; cat > .cargo/config.toml <<'END'\n{settings}END\n\
             CARGO_NET_RETRY=0 cargo run -q"
        )
    });
}

#[test]
fn npm_installs_what_is_listed() {
    let Some(ground) = packages(&["npm", "--version"]) else { return };
    check(&ground, |place| {
        format!(
            "mkdir -p app; cd app; echo '{{}}' > package.json; npm install --no-audit --no-fund \
             --fetch-retries 0 --registry http://{place}/npm/ tiny && node -p 'require(\"tiny\")'"
        )
    });
}

#[test]
fn pnpm_installs_what_is_listed() {
    let Some(ground) = packages(&["pnpm", "--version"]) else { return };
    check(&ground, |place| {
        format!(
            "mkdir -p app; cd app; echo '{{}}' > package.json; pnpm add --fetch-retries 0 \
             --registry http://{place}/npm/ tiny && node -p 'require(\"tiny\")'"
        )
    });
}

#[test]
fn who_may_not_read_the_users_file_still_knows_the_registry_of_a_scope() {
    if !can_be_confined() {
        return;
    }
    let scratch = Scratch::with(
        "[caps.fs]\nwrite = [\"@worktree\"]\nhide = [\"@logins\"]\n[pipelines.try]\n\
         stages = [{ id = \"it\", command = \"sh script > said\" }]\n",
    );
    fs::write(
        scratch.folder().join(".npmrc"),
        "@corp:registry=https://me:secret@npm.example/\n//npm.example/:_authToken=secret\n",
    )
    .expect("a file");
    let path = search_path();
    for tool in ["npm", "pnpm"] {
        if !runs(&scratch, &[tool, "--version"], &path) {
            say(&format!("skipped: no `{tool}` here"));
            continue;
        }
        let script = format!(
            "{tool} config get @corp:registry; ! grep secret -r ~/.npmrc $npm_config_userconfig"
        );
        fs::write(scratch.at("script"), script).expect("a script");
        let mut command = scratch.command(&["start", "try", "--task", "demo"]);
        let answer = scratch.run_json(command.env("PATH", &path));
        assert_eq!(answer.code, 0, "{answer:?}");
        assert_eq!(scratch.text("said"), "https://npm.example/\n", "{tool}");
    }
}

/// The interpreter itself: what stands for it on the search path may look into the home for which one.
fn python() -> String {
    let words = ["-c", "import sys; print(sys.executable)"];
    let told = Command::new("python3").args(words).output();
    told.map(|told| String::from_utf8_lossy(&told.stdout).trim().to_owned()).unwrap_or_default()
}

#[test]
fn pip_installs_what_is_listed() {
    let python = python();
    let Some(ground) = packages(&[&python, "-m", "pip", "--version"]) else { return };
    check(&ground, |place| {
        format!(
            "rm -rf out; '{python}' -m pip install --disable-pip-version-check --retries 0 --target \
             out --index-url http://{place}/simple --trusted-host {place} tiny && PYTHONPATH=out \
             '{python}' -c 'import tiny; print(tiny.HELLO)'"
        )
    });
}

#[test]
fn uv_installs_what_is_listed() {
    let python = python();
    let Some(ground) = packages(&["uv", "--version"]) else { return };
    check(&ground, |place| {
        format!(
            "rm -rf out; uv pip install --python '{python}' --target out --index-url \
             http://{place}/simple tiny && PYTHONPATH=out '{python}' -c 'import tiny; print(tiny.HELLO)'"
        )
    });
}

#[test]
fn go_downloads_what_is_listed() {
    let Some(ground) = packages(&["go", "version"]) else { return };
    if !runs(&ground.scratch, &[&python(), "--version"], &ground.path) {
        return say("skipped: nothing here makes the archive of a module");
    }
    check(&ground, |place| {
        format!(
            "export GOPROXY=http://{place}/go GONOSUMDB='*' GOFLAGS=-mod=mod; \
             go mod download -json example.com/tiny@v1.0.0 && \
             cat \"$GOMODCACHE/example.com/tiny@v1.0.0/said\""
        )
    });
}

#[test]
fn fetch_gets_what_is_listed_where_node_knows_of_proxies() {
    let knows = "process.exit(process.allowedNodeEnvironmentFlags.has('--use-env-proxy') ? 0 : 1)";
    let Some(ground) = packages(&["node", "-e", knows]) else { return };
    check(&ground, |place| {
        format!(
            "node -e \"fetch('http://{place}/hello').then(async got => {{ console.log(await \
             got.text()); process.exit(got.ok ? 0 : 1) }})\""
        )
    });
}

#[test]
fn who_passes_the_proxy_over_is_told_of_it() {
    let Some(ground) = packages(&["curl", "--version"]) else { return };
    let port = ground.registry.port();
    let python = python();
    let (asks, connects) = (
        format!("require('net').connect({port}, '{LISTED}')"),
        format!("import socket; socket.create_connection(('{LISTED}', {port}))"),
    );
    let all = [
        ["curl".to_owned(), "-sS --noproxy '*' http://pkgs.example/".to_owned()],
        ["node".to_owned(), format!("-e \"{asks}\"")],
        [python, format!("-c \"{connects}\"")],
        ["git".to_owned(), format!("ls-remote git://{LISTED}:{port}/tiny.git")],
    ];
    for [tool, words] in all {
        if !runs(&ground.scratch, &[&tool, "--version"], &ground.path) {
            say(&format!("skipped: no `{tool}` here"));
            continue;
        }
        let (reached, run) = ground.run(&format!("'{tool}' {words}"));
        assert!(!reached, "{tool}");
        let summary = ground.summary(&run);
        assert!(summary.contains("(this has no network but the proxy"), "{tool}: {summary}");
        assert!(summary.contains("`caps.network.allow`"), "{tool}: {summary}");
    }
    let (_, run) = ground.run(&format!("curl -sS http://127.0.0.1:{port}/hello"));
    let summary = ground.summary(&run);
    assert!(summary.contains("`caps.network.forward`"), "{summary}");
    assert_eq!(ground.registry.asked(), 0);
}

/// A test that serves and asks, with a client that uses proxies.
const SUITE: &str = "
import threading, unittest, urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

class Says(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'hello')

class Story(unittest.TestCase):
    def test_it_says_hello(self):
        for host in ['127.0.0.1', 'localhost']:
            server = HTTPServer(('127.0.0.1', 0), Says)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            at = 'http://%s:%d/' % (host, server.server_port)
            self.assertEqual(urllib.request.urlopen(at, timeout=30).read(), b'hello')
";

#[test]
fn a_test_suite_serves_and_asks_on_a_machine_of_its_own() {
    let python = python();
    let Some(ground) = packages(&[&python, "--version"]) else { return };
    fs::write(ground.scratch.at("test_it.py"), SUITE).expect("a suite");
    let (passed, run) = ground.run(&format!("'{python}' -m unittest -v test_it"));
    let said = ground.said(&run);
    assert!(passed && said.contains("Ran 1 test"), "{said}");
    assert_eq!(denials(&ground.scratch, &run), []);
}
