//! What is behind the page, as the page sees it.

use std::net::SocketAddr;

use serde_json::{Map, Value};

use crate::Leave;

/// What is behind the page. Each call is made on a thread that it may block.
pub trait Desk: Send + Sync + 'static {
    /// Does what `/api/NAME` stands for, `name` being its last part; `None` if nothing has that name.
    /// Whoever asks has shown a token. A call that waits gives up when its `leave` is over.
    fn call(
        &self,
        name: &str,
        body: Map<String, Value>,
        leave: &Leave,
    ) -> Option<Result<Value, Fault>>;

    /// Whether whoever is at `peer`, the other end of a new connection to `own`, may speak with the
    /// page at all; if not, why not, in words for whoever it is.
    fn admits(&self, peer: SocketAddr, own: SocketAddr) -> Result<(), String>;
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What kind of fault it is.
    pub code: Code,
    /// What is wrong.
    pub message: String,
    /// What whoever asked can do about it.
    pub next_step: Option<String>,
}

impl Fault {
    pub(crate) fn new(code: Code, message: &str) -> Fault {
        Fault { code, message: message.to_owned(), next_step: None }
    }

    pub(crate) fn next(self, step: &str) -> Fault {
        Fault { next_step: Some(step.to_owned()), ..self }
    }
}

/// The kinds of faults. Each has a name in the answer, and a status of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// It was not asked for rightly.
    Usage,
    /// Nobody knows who asks.
    Unauthorized,
    /// Whoever asks may not.
    Refused,
    /// There is nothing by that name.
    NotFound,
    /// Things are not as whoever asked thought.
    Conflict,
    /// It took too long.
    TimedOut,
    /// It is more than is taken.
    TooLarge,
    /// Too much is asked at one time.
    Busy,
    /// It is our own fault.
    Internal,
}

impl Code {
    pub(crate) fn name(self) -> &'static str {
        self.both().0
    }

    pub(crate) fn status(self) -> u16 {
        self.both().1
    }

    fn both(self) -> (&'static str, u16) {
        match self {
            Code::Usage => ("usage", 400),
            Code::Unauthorized => ("unauthorized", 401),
            Code::Refused => ("refused", 403),
            Code::NotFound => ("not_found", 404),
            Code::Conflict => ("conflict", 409),
            Code::TimedOut => ("timed_out", 408),
            Code::TooLarge => ("too_large", 413),
            Code::Busy => ("busy", 503),
            Code::Internal => ("internal", 500),
        }
    }
}
