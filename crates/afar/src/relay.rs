//! Lines on the one side, requests on the other.

use std::{
    collections::HashSet,
    io::{BufRead, Write},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use serde_json::{Value, json};

use crate::{Remote, session::Session};

/// More requests than that are not made at one time.
const MOST_AT_ONCE: usize = 32;

/// The number of an error that a server did not give itself.
const FAILED: i64 = -32603;

/// Has the server hear what comes in lines of `from`, and writes into `to` what it answers, until there
/// is nothing more to come. Requests are made beside each other. One that cannot be answered is answered
/// here with an error that says why, and of other messages `complain` is told.
pub fn relay(
    remote: Remote,
    from: impl BufRead,
    to: impl Write + Send + 'static,
    complain: impl Fn(&str) + Send + Sync + 'static,
) {
    let session = match Session::with(remote) {
        Ok(session) => session,
        Err(error) => return complain(&error.to_string()),
    };
    let relay = Arc::new(Relay {
        session,
        to: Mutex::new(Box::new(to)),
        open: Mutex::default(),
        made: AtomicUsize::new(0),
        complain: Box::new(complain),
    });
    for line in from.split(b'\n').map_while(Result::ok) {
        if let Ok(message) = serde_json::from_slice::<Value>(&line) {
            relay.take(&message);
        }
    }
    relay.session.part();
}

struct Relay {
    session: Session,
    to: Mutex<Box<dyn Write + Send>>,
    /// The requests that somebody waits for.
    open: Mutex<HashSet<String>>,
    /// Those that are being made, also where nobody waits for them any more.
    made: AtomicUsize,
    complain: Box<dyn Fn(&str) + Send + Sync>,
}

impl Relay {
    fn take(self: &Arc<Self>, message: &Value) {
        let id =
            message.get("id").filter(|_| message.get("method").is_some()).map(Value::to_string);
        let Some(id) = id else {
            if message["method"] == "notifications/cancelled" {
                self.open().remove(&message["params"]["requestId"].to_string());
            }
            // It is about what was in the session that is forgotten.
            let is_wanted = || false;
            if let Err(error) = self.session.say(message, |heard| self.write(&heard), is_wanted) {
                (self.complain)(&error.to_string());
            }
            return;
        };
        if self.made.load(Ordering::Relaxed) >= MOST_AT_ONCE {
            return self.fail(&message["id"], "too much is asked of it at one time");
        }
        self.made.fetch_add(1, Ordering::Relaxed);
        self.open().insert(id.clone());
        // All that comes after the greeting belongs to the session that it begins.
        if message["method"] == "initialize" {
            return self.request(message, &id);
        }
        let own = self.clone();
        // It may wait for as long as the server likes; whoever relays is gone before that.
        let spawned = thread::Builder::new().name("request".to_owned()).spawn({
            let message = message.clone();
            move || own.request(&message, &id)
        });
        if spawned.is_err() {
            self.made.fetch_sub(1, Ordering::Relaxed);
            self.fail(&message["id"], "nothing more can be asked of it now");
        }
    }

    fn request(&self, message: &Value, id: &str) {
        // Of what nobody waits for any more, nothing is passed on, and the rest is not heard.
        let tell = |heard: Value| self.open().contains(id) && self.write(&heard);
        let outcome = self.session.say(message, tell, || self.open().contains(id));
        self.made.fetch_sub(1, Ordering::Relaxed);
        let is_waited_for = self.open().remove(id);
        if let Err(error) = outcome
            && is_waited_for
        {
            (self.complain)(&error.to_string());
            self.fail(&message["id"], &error.to_string());
        }
    }

    fn fail(&self, id: &Value, words: &str) {
        let error = json!({ "code": FAILED, "message": words });
        self.write(&json!({ "jsonrpc": "2.0", "id": id, "error": error }));
    }

    /// Whether somebody reads it.
    fn write(&self, message: &Value) -> bool {
        let mut line = message.to_string().into_bytes();
        line.push(b'\n');
        let mut to = self.to.lock().unwrap_or_else(PoisonError::into_inner);
        to.write_all(&line).and_then(|()| to.flush()).is_ok()
    }

    fn open(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
