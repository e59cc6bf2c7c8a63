//! `codex-orch ui`, as a person has typed it at a terminal.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use serde_json::Value;

const LONG: Duration = Duration::from_secs(60);

/// The program that serves the page, and the terminal that it has.
pub(crate) struct Opened {
    page: Child,
    keys: ChildStdin,
    lines: Receiver<String>,
    /// The link that it gave out first.
    pub(crate) url: String,
    pub(crate) port: u16,
}

impl Opened {
    /// `PROGRAM ui` with these words, by the `script` that a command of the caller's own runs. None where
    /// there is no `script`, which is said.
    pub(crate) fn at(mut script: Command, program: &str, words: &str) -> Option<Self> {
        // Without a shell between, which Ctrl-C would end as well.
        script.args(["-qec", &format!("exec '{program}' ui --json {words}"), "/dev/null"]);
        script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let Ok(mut page) = script.spawn() else {
            let _ = writeln!(std::io::stderr(), "skipped: `script` is not installed");
            return None;
        };
        let keys = page.stdin.take().expect("it is a pipe");
        let out = BufReader::new(page.stdout.take().expect("it is a pipe"));
        let (send, lines) = channel();
        std::thread::spawn(move || {
            let lines = out.lines().map_while(Result::ok);
            lines.for_each(|line| drop(send.send(line.trim_end().to_owned())));
        });
        let mut document = String::new();
        while !document.ends_with('}') {
            document += &lines.recv_timeout(LONG).expect("it says where the page is");
        }
        let document: Value = serde_json::from_str(&document).expect("one document");
        let port = document["port"].as_u64().and_then(|port| u16::try_from(port).ok());
        let url = document["url"].as_str().expect("a link").to_owned();
        Some(Self { page, keys, lines, url, port: port.expect("a port") })
    }

    /// Presses keys at that terminal.
    pub(crate) fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("it is typed");
    }

    /// Waits for a line that is said there and has that in it.
    #[track_caller]
    pub(crate) fn hears(&self, text: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(LONG).unwrap_or_else(|_| panic!("{text}: not said"));
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Waits until it has ended, and says how.
    pub(crate) fn ends(&mut self) -> i32 {
        self.page.wait().expect("it ends").code().unwrap_or(-1)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let _ = self.page.kill();
        let _ = self.page.wait();
    }
}

/// The key in a link, which may be followed by a terminal's own.
pub(crate) fn key_of(link: &str) -> String {
    let key = link.split_once("#k=").expect("a link").1;
    key.chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).collect()
}
