//! Doing what a page says, in a repository made for it.

use std::fs;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::page::{Difference, Page, Shown, Step};
use super::shape;

/// How long any command of a page may take.
const LONGEST: Duration = Duration::from_secs(300);

/// The folder of whoever reads the documents.
const READER: &str = "/home/you";

/// Does what the page says, and gives the commands that printed something else.
pub(super) fn tell(root: &Path, binary: &Path, page: &Page) -> Result<Vec<Difference>, String> {
    let scratch = Scratch::new(binary)?;
    if let Some(folder) = &page.begins_with {
        scratch.sh(&format!("cp -R '{}/.' .", root.join(folder).display()))?;
    }
    scratch.sh("git init --quiet --initial-branch main && git add --all && git commit --quiet --allow-empty --message 'The first commit'")?;
    let mut known = Names::default();
    let mut differences = Vec::new();
    for step in &page.steps {
        match step {
            Step::File { path, text } => scratch.write(path, text)?,
            Step::Command(shown) => differences.extend(scratch.hold(shown, &mut known)?),
        }
    }
    Ok(differences)
}

/// A home with one repository, which goes when the story ends.
struct Scratch {
    home: PathBuf,
    path: std::ffi::OsString,
}

impl Scratch {
    fn new(binary: &Path) -> Result<Self, String> {
        let name = format!("codex-orch-docs-{}", std::process::id());
        let home = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&home);
        fs::create_dir_all(home.join("project")).map_err(|error| error.to_string())?;
        let home = home.canonicalize().map_err(|error| error.to_string())?;
        let path = std::env::var_os("PATH").unwrap_or_default();
        let beside = binary.parent().into_iter().map(Path::to_owned);
        let path = std::env::join_paths(beside.chain(std::env::split_paths(&path)));
        Ok(Self { home, path: path.map_err(|error| error.to_string())? })
    }

    fn project(&self) -> PathBuf {
        self.home.join("project")
    }

    fn write(&self, path: &str, text: &str) -> Result<(), String> {
        let path = self.project().join(path);
        let folder = path.parent().unwrap_or(&path);
        fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// What a line for the shell prints, as a terminal would show it.
    fn print(&self, line: &str) -> Result<String, String> {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("exec 2>&1\n{line}")]);
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if ["CODEX_", "MCP_", "GIT_", "CI"].iter().any(|ours| name.starts_with(ours)) {
                command.env_remove(&*name);
            }
        }
        // The tools of whoever runs this are found in their own home.
        let own = std::env::home_dir().unwrap_or_default();
        for (name, folder) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            command.env(name, std::env::var_os(name).unwrap_or(own.join(folder).into()));
        }
        let mut child = command
            .env("HOME", &self.home)
            .env("PATH", &self.path)
            .envs([("GIT_AUTHOR_NAME", "you"), ("GIT_AUTHOR_EMAIL", "you@example.invalid")])
            .envs([("GIT_COMMITTER_NAME", "you"), ("GIT_COMMITTER_EMAIL", "you@example.invalid")])
            .env_remove("CARGO_TARGET_DIR")
            .current_dir(self.project())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| format!("`sh` could not be started: {error}"))?;
        let (sender, printed) = mpsc::channel();
        let mut out = child.stdout.take();
        let reader = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(out) = &mut out {
                let _ = out.read_to_end(&mut bytes);
            }
            let _ = sender.send(bytes);
        });
        let printed = printed.recv_timeout(LONGEST);
        if printed.is_err() {
            // The run that hangs is ended by its guard once its runner is gone.
            let _ = child.kill();
        }
        let _ = child.wait();
        let bytes = printed.map_err(|_| format!("`{line}` goes on and on"))?;
        let _ = reader.join();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn sh(&self, line: &str) -> Result<(), String> {
        match self.print(&format!("set -e\n{line}\necho done"))? {
            said if said.ends_with("done\n") => Ok(()),
            said => Err(format!("`{line}` failed: {said}")),
        }
    }

    /// Runs a command, naming runs as they are called now.
    fn hold(&self, shown: &Shown, names: &mut Names) -> Result<Option<Difference>, String> {
        let printed = self.print(&names.now(&shown.command))?;
        let printed = printed.replace(&self.home.display().to_string(), READER);
        let lines: Vec<String> = printed.lines().map(|line| line.trim_end().to_owned()).collect();
        names.learn(&shown.output, &lines);
        if shape::same(&shown.output, &lines) {
            return Ok(None);
        }
        Ok(Some(Difference {
            line: shown.line,
            command: shown.command.clone(),
            shown: shown.output.len(),
            printed: shape::redrawn(&shown.output, &lines)
                .iter()
                .map(|line| names.then(line))
                .collect(),
        }))
    }
}

/// What the page calls a run, and what it is called this time; whole ids before tails, so that
/// none is replaced within another.
#[derive(Default)]
struct Names(Vec<(String, String)>);

impl Names {
    fn learn(&mut self, shown: &[String], printed: &[String]) {
        let (then, now) = (shape::ids(shown), shape::ids(printed));
        if then.len() != now.len() {
            return;
        }
        let tails = |(then, now): &(String, String)| {
            (shape::tail(then).to_owned(), shape::tail(now).to_owned())
        };
        let whole: Vec<_> = then.into_iter().zip(now).collect();
        for (then, now) in whole.iter().cloned().chain(whole.iter().map(tails)) {
            if self.0.iter().all(|(known, _)| *known != then) {
                self.0.push((then, now));
            }
        }
        self.0.sort_by_key(|(then, _)| std::cmp::Reverse(then.len()));
    }

    fn now(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (then, now)| text.replace(then, now))
    }

    /// A page goes on calling a run as it did.
    fn then(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (then, now)| text.replace(now, then))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A story that was broken off may have left runs behind.
        let _ = self.print(
            "codex-orch list --json --status in_progress --status paused 2> /dev/null |
             sed -n 's/.*\"run_id\": \"\\([^\"]*\\)\".*/\\1/p' |
             while read -r run; do codex-orch cancel \"$run\"; done",
        );
        let _ = fs::remove_dir_all(&self.home);
    }
}
