//! Chromium, and the words that it is told and says over a pair of pipes.
//!
//! Not over a port: whoever can connect to that one can drive the browser.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread::JoinHandle,
    time::Instant,
};

use serde_json::{Value, json};

use crate::browser::LONG;

/// The names by which it is installed.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// A running browser.
pub(crate) struct Pipe {
    child: Child,
    tell: Option<ChildStdin>,
    heard: Receiver<Value>,
    listener: Option<JoinHandle<()>>,
    /// What happened and nobody has looked at.
    events: VecDeque<Value>,
    last: u64,
}

impl Pipe {
    /// Starts the first that is there, with its profile in that folder.
    pub(crate) fn open(profile: &Path) -> Option<Self> {
        let name = NAMES.into_iter().find(|name| is_on_path(name))?;
        // It reads from descriptor 3 and writes to 4.
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null", name]);
        command.args(["--headless=new", "--remote-debugging-pipe", "--no-first-run"]);
        command.args(["--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]);
        // Nothing that a test of ours did not ask for.
        command.args(["--disable-background-networking", "--disable-component-update"]);
        command.args(["--disable-sync", "--disable-extensions", "--password-store=basic"]);
        command.args([
            "--no-proxy-server",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        ]);
        // Its own sandbox is not to be had as root, nor in most containers; the page is ours.
        command.arg("--no-sandbox");
        command.arg(format!("--user-data-dir={}", profile.display()));
        command.arg("about:blank");
        command.env("TMPDIR", profile);
        command.env("HOME", profile).env("XDG_CONFIG_HOME", profile).env("XDG_CACHE_HOME", profile);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("a shell");
        let said = child.stdout.take().expect("a pipe");
        let (give, heard) = channel();
        let listener = std::thread::spawn(move || {
            let mut said = BufReader::new(said).split(0);
            while let Some(Ok(message)) = said.next() {
                let message = serde_json::from_slice(&message).expect("JSON from the browser");
                if give.send(message).is_err() {
                    return;
                }
            }
        });
        let tell = child.stdin.take();
        let (events, listener) = (VecDeque::new(), Some(listener));
        Some(Self { child, tell, heard, listener, events, last: 0 })
    }

    /// Asks for something of a session, or of the browser itself, and waits for it.
    #[track_caller]
    pub(crate) fn call(
        &mut self,
        session: Option<&str>,
        method: &str,
        params: &Value,
    ) -> Result<Value, String> {
        self.last += 1;
        let mut message = json!({ "id": self.last, "method": method, "params": params });
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        let mut line = serde_json::to_vec(&message).expect("JSON");
        line.push(0);
        self.tell.as_mut().expect("it is open").write_all(&line).expect("a browser that listens");
        let deadline = Instant::now() + LONG;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(mut message) = self.heard.recv_timeout(left) else {
                panic!("the browser does not answer `{method}`");
            };
            if message["id"] == self.last {
                return match message["error"]["message"].as_str() {
                    Some(error) => Err(error.to_owned()),
                    None => Ok(message["result"].take()),
                };
            }
            self.events.push_back(message);
        }
    }

    /// What has happened since this was asked last.
    pub(crate) fn events(&mut self) -> Vec<Value> {
        self.events.extend(self.heard.try_iter());
        self.events.drain(..).collect()
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        // A browser that nobody drives any more goes away by itself; one that does not is ended.
        drop(self.tell.take());
        let deadline = Instant::now() + LONG;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::park_timeout(std::time::Duration::from_millis(3));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

fn is_on_path(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}
