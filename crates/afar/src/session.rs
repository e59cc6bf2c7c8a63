//! A session with a server: one request after the other, or several at a time. One that the server has
//! forgotten is begun anew.

use std::{
    io::{BufReader, Read},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustls::crypto::ring;
use serde_json::{Value, json};
use ureq::{
    Agent, Body, Proxy,
    http::{Response, Uri},
    tls::{RootCerts, TlsConfig},
};

use crate::{LONGEST, Remote, events::Events};

/// How long it may take to reach a server.
const REACHED: Duration = Duration::from_secs(30);

/// How long one request may take in all. A client that gives up sooner says so.
const ANSWERED: Duration = Duration::from_secs(3600);

/// How long a server may take to begin a session anew, while others wait for that.
const BEGUN: Duration = Duration::from_secs(60);

/// How long a server may take to hear that nobody needs it any more.
const PARTED: Duration = Duration::from_secs(2);

/// The name of a session is no longer than that.
const LONGEST_NAME: usize = 1024;

const SESSION: &str = "mcp-session-id";
const REVISION: &str = "mcp-protocol-version";

/// Why a message was not answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unanswered {
    /// It wants to know who is asking.
    #[error(
        "it wants a login ({0}); give one by `bearer_token_env_var` or `env_http_headers` in Codex's \
         config: what `codex mcp login` has got, Codex keeps for itself"
    )]
    Login(u16),
    /// It has no such session any more, and did nothing.
    #[error("it has forgotten its session")]
    Forgotten,
    /// Nobody is followed.
    #[error("it answered {0}, and nobody is followed to another address")]
    Moved(u16),
    /// What was agreed when the session began does not hold any more.
    #[error(
        "it has forgotten its session, and another one speaks another revision of the protocol; \
         only who begins again can go on with it"
    )]
    Changed,
    /// What it says is no answer.
    #[error("it answered {0}")]
    Status(u16),
    /// What it says is in no form that is known here.
    #[error("its answer is neither JSON nor a stream of events")]
    Form,
    /// It ended without the answer.
    #[error("it ended its answer before there was one")]
    Cut,
    /// It could not be reached, or broke off.
    #[error("{0}")]
    Broken(String),
}

pub(crate) struct Session {
    agent: Agent,
    remote: Remote,
    state: Mutex<State>,
    /// Held while it is begun anew: whoever else finds it forgotten waits for that.
    beginning: Mutex<()>,
}

#[derive(Clone, Default)]
struct State {
    name: Option<String>,
    revision: Option<String>,
    /// What it was begun with.
    greeting: Value,
    /// How often it was begun. Of names a server may give the same one again.
    begun: u64,
}

impl Session {
    pub(crate) fn with(remote: Remote) -> Result<Self, Unanswered> {
        let uri: Uri = remote.url.parse().map_err(|_| unclear())?;
        let scheme = uri.scheme_str().unwrap_or_default();
        if !["http", "https"].contains(&scheme) || uri.host().is_none() {
            return Err(unclear());
        }
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
            .build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .proxy(Proxy::try_from_env().filter(|_| !is_here(&uri)))
            .timeout_connect(Some(REACHED))
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .user_agent(concat!("codex-orchestrator/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        Ok(Self { agent, remote, state: Mutex::default(), beginning: Mutex::default() })
    }

    /// Has the server hear a message, and `tell`s what it answers, message by message, as long as that
    /// says that somebody listens. A request is answered when its answer is among those. Where the server
    /// has forgotten the session, it hears the message again in a new one if that `is_wanted` then.
    pub(crate) fn say(
        &self,
        message: &Value,
        tell: impl FnMut(Value) -> bool,
        is_wanted: impl Fn() -> bool,
    ) -> Result<(), Unanswered> {
        if message["method"] == "initialize" {
            let begun = self.begin(message, tell, ANSWERED)?;
            *self.state() = begun;
            return Ok(());
        }
        let state = self.state().clone();
        let response = match self.post(message, &state, ANSWERED) {
            Err(Unanswered::Forgotten) if state.begun > 0 && is_wanted() => {
                let state = self.begin_anew(&state)?;
                if !is_wanted() {
                    return Err(Unanswered::Forgotten);
                }
                self.post(message, &state, ANSWERED)?
            }
            response => response?,
        };
        hear(response, request_id(message), tell)
    }

    fn begin(
        &self,
        greeting: &Value,
        mut tell: impl FnMut(Value) -> bool,
        within: Duration,
    ) -> Result<State, Unanswered> {
        let response = self.post(greeting, &State::default(), within)?;
        let name = response.headers().get(SESSION).and_then(|name| name.to_str().ok());
        let name = name.filter(|name| !name.is_empty() && name.len() <= LONGEST_NAME);
        let name = name.map(str::to_owned);
        let id = request_id(greeting);
        let mut revision = None;
        hear(response, id, |heard| {
            if is_answer(&heard, id) {
                revision = heard["result"]["protocolVersion"].as_str().map(str::to_owned);
            }
            tell(heard)
        })?;
        Ok(State { name, revision, greeting: greeting.clone(), begun: self.state().begun + 1 })
    }

    /// A session in the place of one that was forgotten, begun as that was. The client does not hear of
    /// it.
    fn begin_anew(&self, forgotten: &State) -> Result<State, Unanswered> {
        let _beginning = self.beginning.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self.state().clone();
        if state.begun != forgotten.begun {
            return Ok(state);
        }
        let begun = self.begin(&state.greeting, |_| true, BEGUN)?;
        // The client goes on as it was agreed the first time.
        if begun.revision != state.revision {
            self.leave(&begun);
            return Err(Unanswered::Changed);
        }
        let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        self.post(&initialized, &begun, BEGUN)?;
        *self.state() = begun.clone();
        Ok(begun)
    }

    fn post(
        &self,
        message: &Value,
        state: &State,
        within: Duration,
    ) -> Result<Response<Body>, Unanswered> {
        let mut request = self.agent.post(&self.remote.url);
        for (name, value) in &self.remote.headers {
            request = request.header(name, value);
        }
        request = request.header("accept", "application/json, text/event-stream");
        for (name, value) in [(SESSION, &state.name), (REVISION, &state.revision)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let request = request.content_type("application/json");
        let request = request.config().timeout_global(Some(within)).build();
        let response = request.send(message.to_string()).map_err(|error| match error {
            // It would say the address, or a header.
            ureq::Error::BadUri(_) => unclear(),
            ureq::Error::Http(_) => Unanswered::Broken("a header cannot be sent".to_owned()),
            ureq::Error::Timeout(_) => Unanswered::Broken("it did not answer in time".to_owned()),
            other => Unanswered::Broken(line(&other.to_string())),
        })?;
        match response.status().as_u16() {
            200..=299 => Ok(response),
            status @ (401 | 403) => Err(Unanswered::Login(status)),
            404 if state.name.is_some() => Err(Unanswered::Forgotten),
            status @ 300..=399 => Err(Unanswered::Moved(status)),
            status => Err(Unanswered::Status(status)),
        }
    }

    /// Tells the server that nobody needs the session any more. What it makes of that is its own affair.
    pub(crate) fn part(&self) {
        let state = std::mem::take(&mut *self.state());
        self.leave(&state);
    }

    fn leave(&self, state: &State) {
        let Some(name) = &state.name else { return };
        let mut request = self.agent.delete(&self.remote.url);
        for (name, value) in &self.remote.headers {
            request = request.header(name, value);
        }
        let request = request.header(SESSION, name);
        let _ = request.config().timeout_global(Some(PARTED)).build().call();
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name by which a request is answered; nothing for other messages.
fn request_id(message: &Value) -> Option<&Value> {
    message.get("id").filter(|_| message.get("method").is_some())
}

fn is_answer(heard: &Value, id: Option<&Value>) -> bool {
    id.is_some() && heard.get("method").is_none() && heard.get("id") == id
}

/// `tell`s what is in a response, until the request of that name is answered or nobody listens.
fn hear(
    mut response: Response<Body>,
    id: Option<&Value>,
    mut tell: impl FnMut(Value) -> bool,
) -> Result<(), Unanswered> {
    let mut answered = id.is_none();
    let mut hear = |heard: Value| {
        let is_answer = is_answer(&heard, id);
        answered |= is_answer;
        tell(heard) && !is_answer
    };
    match form(&response) {
        Form::Nothing => {}
        Form::Json => {
            let mut body = Vec::new();
            let mut reader = response.body_mut().as_reader().take(LONGEST + 1);
            reader.read_to_end(&mut body).map_err(broken)?;
            let one = serde_json::from_slice(&body).map_err(|_| Unanswered::Form)?;
            match one {
                Value::Array(all) => drop(all.into_iter().all(&mut hear)),
                one => drop(hear(one)),
            }
        }
        Form::Events => {
            let body = response.body_mut().with_config().limit(u64::MAX).reader();
            let mut events = Events::of(BufReader::new(body));
            while let Some(data) = events.next().map_err(broken)? {
                // What is no message is passed over, as where it comes in lines.
                let Ok(heard) = serde_json::from_slice(&data) else { continue };
                if !hear(heard) {
                    return Ok(());
                }
            }
        }
        // Of what wants no answer, none is looked at.
        Form::Other if id.is_none() => {}
        Form::Other => return Err(Unanswered::Form),
    }
    if answered { Ok(()) } else { Err(Unanswered::Cut) }
}

/// In which form an answer is.
enum Form {
    Nothing,
    Json,
    Events,
    Other,
}

fn form(response: &Response<Body>) -> Form {
    let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok());
    let kind = kind.map(|kind| kind.split(';').next().unwrap_or_default().trim().to_lowercase());
    match kind.as_deref() {
        _ if [202, 204].contains(&response.status().as_u16()) => Form::Nothing,
        Some("application/json") => Form::Json,
        Some("text/event-stream") => Form::Events,
        Some(_) | None => Form::Other,
    }
}

fn unclear() -> Unanswered {
    Unanswered::Broken("its address cannot be understood".to_owned())
}

fn broken(error: std::io::Error) -> Unanswered {
    Unanswered::Broken(line(&error.to_string()))
}

/// Somebody else's words, cut and without what a terminal would obey.
fn line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

fn is_here(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
