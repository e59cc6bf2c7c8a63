//! A model that says what its script says, over the Responses API as the client speaks it.
//!
//! A script is a function from what the client has sent to what the model says next, so that a
//! story reads as a conversation:
//!
//! ```ignore
//! desk.model.play("run the checks", |seen| match seen.outputs() {
//!     [] => call("delegate.spawn", json!({ "pipeline": "checks" })),
//!     [run] => call("delegate.status", json!({ "manifest_path": run["manifest_path"] })),
//!     _ => say("done"),
//! });
//! ```
//!
//! Several sessions may talk to one model. Each is told apart by a few words of its prompt.

mod http;
mod reply;
mod request;

use std::{
    net::{TcpListener, TcpStream},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

pub(crate) use self::{
    reply::{Reply, call, calls, cut, function, hold, refuse, say},
    request::{Offer, Request},
};
use crate::patience::until;

/// What Codex calls the models whose tools it offers in one way or the other.
pub(crate) const FUNCTIONS: &str = "scripted";
pub(crate) const SEARCH: &str = "gpt-5.5";
pub(crate) const CODE: &str = "gpt-6-sol";

type Script = Arc<dyn Fn(&Request) -> Reply + Send + Sync>;

/// See the module.
pub(crate) struct Model {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    scripts: Mutex<Vec<(String, Script)>>,
    requests: Mutex<Vec<Request>>,
    over: AtomicBool,
}

impl Model {
    /// A model that can be talked to, and says nothing yet.
    pub(crate) fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared::default());
        let served = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if served.over.load(Ordering::Acquire) {
                    break;
                }
                let served = Arc::clone(&served);
                thread::spawn(move || {
                    http::answer(&stream, |login, body| served.reply(login, body))
                });
            }
        });
        Self { port, shared }
    }

    /// What the client's config says so that it talks to this model and to no other.
    pub(crate) fn config(&self) -> String {
        format!(
            r#"model = "{FUNCTIONS}"
model_provider = "script"

[model_providers.script]
name = "script"
base_url = "http://127.0.0.1:{port}/v1"
wire_api = "responses"
requires_openai_auth = false
"#,
            port = self.port
        )
    }

    /// Says what sessions hear whose prompt has these words in it.
    pub(crate) fn play(
        &self,
        cue: &str,
        script: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) {
        let mut scripts = self.shared.scripts.lock().expect("a script");
        scripts.push((cue.to_owned(), Arc::new(script)));
    }

    /// What sessions with that cue have sent so far.
    pub(crate) fn requests(&self, cue: &str) -> Vec<Request> {
        let requests = self.shared.requests.lock().expect("requests");
        requests.iter().filter(|request| request.prompt().contains(cue)).cloned().collect()
    }

    /// The first that a session with that cue has sent.
    #[track_caller]
    pub(crate) fn first(&self, cue: &str) -> Request {
        self.await_request(cue, |_| true)
    }

    /// Waits until a session with that cue has sent such a request.
    #[track_caller]
    pub(crate) fn await_request(&self, cue: &str, is_it: impl Fn(&Request) -> bool) -> Request {
        let known = || format!("{:#?}", self.requests(cue));
        until(&format!("a request of the session with {cue:?}"), known, || {
            self.requests(cue).into_iter().find(&is_it)
        })
    }
}

impl Shared {
    /// What the model says to that. A script that does not know how to go on fails the turn, and
    /// the client tells why.
    fn reply(&self, login: &str, body: &[u8]) -> Result<Reply, String> {
        let request = Request::parse(login, body)?;
        self.requests.lock().expect("requests").push(request.clone());
        let scripts = self.scripts.lock().expect("a script").clone();
        let mut matching = scripts.iter().filter(|(cue, _)| request.prompt().contains(cue));
        let (_, script) =
            matching.next().ok_or_else(|| format!("no script for {:?}", request.prompt()))?;
        let said = catch_unwind(AssertUnwindSafe(|| script(&request)));
        let reply =
            said.map_err(|_| format!("the script is at its end: {:?}", request.outputs()))?;
        Ok(reply.in_the_words_of(&request))
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
        // Whoever waits for a connection looks up when one comes.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}
