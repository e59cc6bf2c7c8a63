//! Who gives out tokens for an account, in the place of the one that Codex would ask.
//!
//! As with the real one, a token that renews the login is used up by being used: a second use is
//! answered as what it looks like, somebody who has stolen it.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::{Value, json};

use crate::patience::wait_for;

/// See the module. It listens for as long as the test runs.
pub(crate) struct Issuer {
    port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    renewals: u32,
    /// Uses of a token that was used up.
    thefts: u32,
    /// The access token is not taken any more.
    expired: bool,
    /// Nobody is answered until this is over.
    holds: bool,
    /// Somebody waits for an answer.
    waited_for: bool,
}

impl State {
    fn access(&self) -> String {
        token(&json!({
            "exp": 4_000_000_000_u32,
            "email": "t@example.org",
            "n": self.renewals,
            "https://api.openai.com/auth": {
                "chatgpt_plan_type": "plus",
                "chatgpt_account_id": "account",
                "chatgpt_user_id": "user",
            },
        }))
    }

    fn renewing(&self) -> String {
        format!("renewing-{}", self.renewals)
    }
}

impl Issuer {
    pub(crate) fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(Mutex::new(State::default()));
        let served = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // Whoever hangs up has what it wanted, or does not want it any more.
                let _ = answer(&stream, &served);
            }
        });
        Self { port, state }
    }

    /// Where logins are renewed.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/oauth/token", self.port)
    }

    /// What else a logged in Codex asks, which nobody answers here.
    pub(crate) fn backend(&self) -> String {
        format!("http://127.0.0.1:{}/backend-api/", self.port)
    }

    /// What Codex writes when somebody has logged in.
    pub(crate) fn login(&self) -> Value {
        let state = self.state.lock().expect("a state");
        json!({
            "auth_mode": "chatgpt",
            "OPENAI_API_KEY": null,
            "tokens": {
                "id_token": state.access(),
                "access_token": state.access(),
                "refresh_token": state.renewing(),
                "account_id": "account",
            },
            "last_refresh": "2026-01-01T00:00:00Z",
        })
    }

    /// Whether somebody with that header is let in.
    pub(crate) fn lets_in(&self, login: &str) -> bool {
        let state = self.state.lock().expect("a state");
        !state.expired && login == format!("Bearer {}", state.access())
    }

    /// From now on the login has to be renewed.
    pub(crate) fn expire(&self) {
        self.state.lock().expect("a state").expired = true;
    }

    /// Lets whoever asks wait, or answers them all.
    pub(crate) fn hold(&self, holds: bool) {
        self.state.lock().expect("a state").holds = holds;
    }

    /// Whether somebody waits for an answer.
    pub(crate) fn waited_for(&self) -> bool {
        self.state.lock().expect("a state").waited_for
    }

    pub(crate) fn access(&self) -> String {
        self.state.lock().expect("a state").access()
    }

    pub(crate) fn renewing(&self) -> String {
        self.state.lock().expect("a state").renewing()
    }

    /// How often the login was renewed, and how often somebody tried with what was used up.
    pub(crate) fn asked(&self) -> (u32, u32) {
        let state = self.state.lock().expect("a state");
        (state.renewals, state.thefts)
    }
}

fn answer(mut stream: &TcpStream, state: &Mutex<State>) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut line, mut first, mut length) = (String::new(), String::new(), 0);
    while reader.read_line(&mut line)? > 2 {
        if first.is_empty() {
            first.clone_from(&line);
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let (status, body) = if first.starts_with("POST /oauth/token ") {
        wait_for("that answers are given", || {
            let mut state = state.lock().expect("a state");
            state.waited_for = state.holds;
            !state.holds
        });
        renew(&body, &mut state.lock().expect("a state"))
    } else {
        ("404 Not Found", json!({}))
    };
    let body = body.to_string();
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    )
}

fn renew(body: &[u8], state: &mut State) -> (&'static str, Value) {
    let asked: Value = serde_json::from_slice(body).unwrap_or_default();
    if asked["refresh_token"] != state.renewing() {
        state.thefts += 1;
        let error = json!({ "code": "refresh_token_reused", "message": "it was used before" });
        return ("401 Unauthorized", json!({ "error": error }));
    }
    state.renewals += 1;
    state.expired = false;
    let (access, renewing) = (state.access(), state.renewing());
    let tokens = json!({
        "id_token": access, "access_token": access, "refresh_token": renewing,
    });
    ("200 OK", tokens)
}

/// A JWT that nobody signed, which nobody minds who is not its issuer.
fn token(claims: &Value) -> String {
    let [head, claims] = [&json!({ "alg": "none" }), claims].map(|part| base64(&part.to_string()));
    format!("{head}.{claims}.nobody")
}

/// As URLs want it, without padding.
fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut encoded = String::new();
    for three in text.as_bytes().chunks(3) {
        let bits =
            (0..3).fold(0, |bits, at| bits << 8 | u32::from(three.get(at).copied().unwrap_or(0)));
        for digit in 0..=three.len() {
            let value = bits >> (18 - 6 * digit) & 63;
            encoded.push(char::from(DIGITS[value as usize]));
        }
    }
    encoded
}
