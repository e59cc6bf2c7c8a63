//! Our server as the client starts it, and a record of what passes between the two.
//!
//! The client finds `codex-orchestrator` on its path. At a desk that is a little script, which
//! starts this very program again at the one test below; that one starts the server, passes every
//! line on, and keeps a copy.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Write},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::SystemTime,
};

use serde_json::Value;

use crate::processes::Seen;

/// One of the programs under test, which were built with the tests.
pub(crate) fn program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_codex-orch")).with_file_name(name)
}

/// Names the folder of a record to the process that keeps it.
const RECORD: &str = "E2E_RECORD";

/// A script that is `codex-orchestrator`, and keeps records in that folder of being the server.
pub(crate) fn starter(records: &Path) -> String {
    let program = program("codex-orchestrator");
    let recorder = std::env::current_exe().expect("a path");
    let (program, recorder, records) = (program.display(), recorder.display(), records.display());
    format!(
        r#"#!/bin/sh
case $1 in
  delegate-server | delegation-server) ;;
  *) exec '{program}' "$@" ;;
esac
record='{records}'/$$
mkdir "$record"
printf '%s\n' "$@" >"$record/words"
cat /proc/$$/environ >"$record/environment"
# What the runner of tests has to say is not for the client.
{RECORD}="$record" exec '{recorder}' --exact server::records_what_passes --ignored --nocapture \
  3>&1 >/dev/null
"#
    )
}

#[test]
#[ignore = "it is what the client starts"]
fn records_what_passes() {
    let Some(folder) = std::env::var_os(RECORD).map(PathBuf::from) else { return };
    let mut to_client = OpenOptions::new().write(true).open("/proc/self/fd/3").expect("a pipe");
    nix::unistd::close(3).expect("the server does not need it");
    let heard = File::create(folder.join("heard")).expect("a file");
    // A client that has gone away does not listen.
    let mut answer = move |line: &str| _ = writeln!(to_client, "{line}");
    pass_on(&folder, heard, &mut answer);
}

/// What the client says, line by line, of which a copy is kept.
fn from_client(mut copy: File) -> impl Iterator<Item = String> {
    let lines = io::stdin().lock().lines().map_while(Result::ok);
    lines.inspect(move |line| {
        // In one piece, since it is read while it grows.
        copy.write_all(format!("{line}\n").as_bytes()).expect("room for a line");
    })
}

/// Starts the server and stands between it and the client until it ends.
fn pass_on(folder: &Path, heard: File, answer: &mut dyn FnMut(&str)) {
    let words = fs::read_to_string(folder.join("words")).expect("its words");
    let mut server = Command::new(program("codex-orchestrator"))
        .args(words.lines())
        .env_clear()
        .envs(environment(folder))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the server starts");
    let mut to_server = server.stdin.take().expect("a pipe");
    // Not waited for: the server may end before the client has said its last.
    thread::spawn(move || {
        for line in from_client(heard) {
            let _ = writeln!(to_server, "{line}");
        }
    });
    let lines = BufReader::new(server.stdout.take().expect("a pipe")).lines();
    lines.map_while(Result::ok).for_each(|line| answer(&line));
    let _ = server.wait();
}

fn environment(folder: &Path) -> BTreeMap<std::ffi::OsString, std::ffi::OsString> {
    let text = fs::read(folder.join("environment")).unwrap_or_default();
    let entries = text.split(|&byte| byte == 0).filter_map(|entry| {
        let at = entry.iter().position(|&byte| byte == b'=')?;
        let text = |bytes: &[u8]| std::ffi::OsStr::from_bytes(bytes).to_owned();
        Some((text(&entry[..at]), text(&entry[at + 1..])))
    });
    entries.collect()
}

/// One process of the server, by what was recorded of it.
#[derive(Debug)]
pub(crate) struct Served {
    folder: PathBuf,
    seen: Option<Seen>,
}

impl Served {
    /// All that keep records in that folder, oldest first.
    pub(crate) fn all(records: &Path) -> Vec<Self> {
        let entries = fs::read_dir(records).expect("a folder").filter_map(Result::ok);
        let mut found: Vec<(SystemTime, PathBuf)> = entries
            .filter_map(|entry| {
                let path = entry.path();
                let begun = fs::metadata(path.join("words")).and_then(|file| file.modified());
                Some((begun.ok()?, path))
            })
            .collect();
        found.sort();
        found.into_iter().map(|(_, folder)| Self::of(folder)).collect()
    }

    fn of(folder: PathBuf) -> Self {
        let pid = folder.file_name().and_then(|name| name.to_str()?.parse().ok());
        Self { seen: pid.and_then(Seen::at), folder }
    }

    /// The names and values that it was started with.
    pub(crate) fn environment(&self) -> BTreeMap<String, String> {
        let text = |os: std::ffi::OsString| os.to_string_lossy().into_owned();
        let all = environment(&self.folder).into_iter();
        all.map(|(name, value)| (text(name), text(value))).collect()
    }

    /// The words after the name of the program.
    pub(crate) fn words(&self) -> Vec<String> {
        let words = fs::read_to_string(self.folder.join("words")).unwrap_or_default();
        words.lines().map(str::to_owned).collect()
    }

    /// What the client has told it so far.
    pub(crate) fn heard(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.join("heard")).unwrap_or_default();
        // The last line may still be on its way.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    pub(crate) fn has_heard(&self, method: &str) -> bool {
        self.heard().iter().any(|message| message["method"] == method)
    }

    /// Whether the process lives that lived when this was looked up.
    pub(crate) fn lives(&self) -> bool {
        self.seen.is_some_and(|seen| seen.lives())
    }
}
