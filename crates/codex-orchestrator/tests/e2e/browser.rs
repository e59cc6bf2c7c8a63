//! The local page, as a browser speaks with it.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    opened::{Opened, key_of},
    scratch::{Scratch, program},
};

/// A browser that was let in to the page that a person has opened at a terminal.
pub(crate) struct Browser {
    pub(crate) page: Opened,
    pub(crate) port: u16,
    token: String,
}

impl Browser {
    /// `codex-orch ui` with these words. None where there is no `script`, which the test then says.
    pub(crate) fn open(scratch: &Scratch, words: &str) -> Option<Self> {
        let script = scratch.elsewhere::<&str>("script", &[]);
        let page = Opened::at(script, &program().display().to_string(), words)?;
        let (port, key) = (page.port, key_of(&page.url));
        let mut browser = Self { page, port, token: String::new() };
        browser.enter(&key).expect("it is let in");
        Some(browser)
    }

    /// Shows a key at the door, and is let in by it.
    pub(crate) fn enter(&mut self, key: &str) -> Result<(), (u16, Value)> {
        self.token = String::new();
        let answer = self.ask("enter", json!({ "key": key }))?;
        answer["token"].as_str().expect("a token").clone_into(&mut self.token);
        Ok(())
    }

    /// Asks for something, and gives the answer, or the status and what is wrong.
    pub(crate) fn ask(&self, name: &str, body: Value) -> Result<Value, (u16, Value)> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("it is served");
        let (status, body) = exchange(stream, &self.request(name, &body)).expect("an answer");
        if status == 200 { Ok(body) } else { Err((status, body["error"].clone())) }
    }

    /// The bytes by which it asks.
    pub(crate) fn request(&self, name: &str, body: &Value) -> String {
        let (port, token, body) = (self.port, &self.token, body.to_string());
        format!(
            "POST /api/{name} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n\
             Authorization: Bearer {token}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    }

    /// What must be done.
    #[track_caller]
    pub(crate) fn does(&self, name: &str, body: Value) -> Value {
        self.ask(name, body).unwrap_or_else(|wrong| panic!("{name}: {wrong:?}"))
    }

    /// What must not be, and is refused with that code.
    #[track_caller]
    pub(crate) fn is_refused(&self, name: &str, body: Value, code: &str) -> Value {
        let refused = self.ask(name, body).expect_err("it is refused").1;
        assert_eq!(refused["code"], code, "{refused}");
        refused
    }

    /// Everything that is shown.
    #[track_caller]
    pub(crate) fn sees(&self) -> Value {
        self.does("look", json!({}))
    }

    /// Waits until what is shown is so, by looking as the page does: each look waits for something else.
    #[track_caller]
    pub(crate) fn sees_that(
        &self,
        what: &str,
        open: Value,
        is_so: impl Fn(&Value) -> bool,
    ) -> Value {
        let deadline = std::time::Instant::now() + LONG;
        let mut shown = self.does("look", open.clone());
        while !is_so(&shown) {
            assert!(std::time::Instant::now() < deadline, "{what}: {shown:#}");
            let mut ask = open.clone();
            ask["seen"] = shown["seen"].clone();
            ask["wait_ms"] = json!(10_000);
            let next = self.does("look", ask);
            if next["unchanged"] == false {
                shown = next;
            }
        }
        shown
    }
}

const LONG: Duration = Duration::from_secs(60);

/// Sends that and reads the answer: its status, and what it says.
pub(crate) fn exchange(mut stream: TcpStream, request: &str) -> std::io::Result<(u16, Value)> {
    stream.set_read_timeout(Some(LONG))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok((status, serde_json::from_str(body).unwrap_or(Value::String(body.to_owned()))))
}
