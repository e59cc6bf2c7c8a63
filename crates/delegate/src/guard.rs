//! What stands between the client's stream and rmcp, so that whatever comes is answered.
//!
//! rmcp's own transport leaves requests without an answer when it cannot read them (too long,
//! nested too deep, an id twice), and answers some that it can read without an id.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use rmcp::{
    ErrorData, RoleServer,
    model::{
        ClientJsonRpcMessage, ClientNotification, ClientRequest, ErrorCode, GetMeta,
        JsonRpcMessage, JsonRpcRequest, ProtocolVersion, RequestId, ServerJsonRpcMessage,
    },
    transport::Transport,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

use frames::{Frame, Frames, Framing};
use judge::{Refusal, judge};

mod frames;
mod judge;
mod skim;

/// A longer message is refused.
const LONGEST: usize = 4 * 1024 * 1024;

/// A client that leaves so much unread is given up. Not to listen to it meanwhile would not do:
/// one that first says everything and then reads would wait for us, and we for it.
const MOST_UNREAD: usize = 64 * 1024 * 1024;

/// Answers are written together up to about this size.
const TOGETHER: usize = 64 * 1024;

const NOT_INITIALIZED: ErrorCode = ErrorCode(-32002);

/// The client as rmcp sees it.
#[derive(Debug)]
pub(crate) struct Guard<R> {
    reader: R,
    frames: Frames,
    answers: Answers,
    /// The requests that rmcp has and has not answered, by the numbers it knows them by.
    ///
    /// They are ours, because rmcp would give the answer to a request that was cancelled to a
    /// later one with the same id.
    open: HashMap<i64, (RequestId, Framing)>,
    numbers: i64,
    /// How the latest message came.
    framing: Framing,
    initialized: bool,
    at_end: bool,
    ended: CancellationToken,
}

/// Puts a guard on a client's stream. `ended` is cancelled when the client says no more, or does
/// not listen any more.
///
/// Nothing is written unless somebody drains the outlet.
pub(crate) fn guard<R, W>(reader: R, writer: W, ended: CancellationToken) -> (Guard<R>, Outlet<W>) {
    let (queue, waiting) = mpsc::unbounded_channel();
    let unread = Arc::<AtomicUsize>::default();
    let guard = Guard {
        reader,
        frames: Frames::new(LONGEST),
        answers: Answers { queue, unread: unread.clone(), ended: ended.clone() },
        open: HashMap::new(),
        numbers: 0,
        framing: Framing::default(),
        initialized: false,
        at_end: false,
        ended: ended.clone(),
    };
    (guard, Outlet { writer, waiting, unread, ended })
}

impl<R: AsyncRead + Send + Unpin> Transport<RoleServer> for Guard<R> {
    type Error = io::Error;

    fn send(
        &mut self,
        message: ServerJsonRpcMessage,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        std::future::ready(self.answer(message))
    }

    /// May be dropped and asked again at any time: nothing is kept in it.
    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        loop {
            while let Some((framing, frame)) = self.frames.next() {
                if let Some(message) = self.admit(framing, frame) {
                    return Some(message);
                }
            }
            if self.at_end {
                self.ended.cancel();
                return None;
            }
            if let Ok(0) | Err(_) = self.reader.read_buf(self.frames.space()).await {
                self.at_end = true;
                let last = self.frames.last();
                if let Some(message) = last.and_then(|(framing, frame)| self.admit(framing, frame))
                {
                    return Some(message);
                }
            }
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        self.answers.queue = mpsc::unbounded_channel().0;
        Ok(())
    }
}

impl<R> Guard<R> {
    /// Passes on what rmcp can answer, and answers everything else.
    fn admit(&mut self, framing: Framing, frame: Frame) -> Option<ClientJsonRpcMessage> {
        self.framing = framing;
        let judged = match frame {
            Frame::Message(message) => judge(&message),
            Frame::TooLong { id } => {
                let words = format!("longer than {LONGEST} bytes; send less at once");
                Err(Refusal::of(id, ErrorData::invalid_request(words, None)))
            }
            Frame::NoLength => {
                let words = "a header without a `Content-Length` that is a number";
                Err(Refusal::of(Value::Null, ErrorData::parse_error(words, None)))
            }
        };
        let admitted = judged.and_then(|message| match message {
            Some(ClientJsonRpcMessage::Request(request)) => self.register(request).map(Some),
            Some(ClientJsonRpcMessage::Notification(mut notification)) => {
                let known = self.forget_cancelled(&mut notification.notification);
                Ok(known.then_some(ClientJsonRpcMessage::Notification(notification)))
            }
            other => Ok(other),
        });
        admitted.unwrap_or_else(|Refusal { id, error }| {
            self.refuse(framing, &id, &error);
            None
        })
    }

    fn register(
        &mut self,
        mut message: JsonRpcRequest<ClientRequest>,
    ) -> Result<ClientJsonRpcMessage, Refusal> {
        let id = message.id.clone();
        let refuse = |error| Err(Refusal::of(id.clone().into_json_value(), error));
        if self.open.values().any(|(open, _)| *open == id) {
            let words = "a request with this `id` is still open; give each its own";
            return refuse(ErrorData::invalid_request(words, None));
        }
        match &mut message.request {
            ClientRequest::InitializeRequest(initialize) => {
                self.initialized = true;
                // rmcp would go on to hold the client to a revision that is not what it answers.
                let wanted = &mut initialize.params.protocol_version;
                if !wanted.has_initialize() || !ProtocolVersion::KNOWN_VERSIONS.contains(wanted) {
                    *wanted = ProtocolVersion::LATEST_WITH_INITIALIZE;
                }
            }
            ClientRequest::PingRequest(_) => {}
            // The revisions without a handshake say with each request what they are.
            other if self.initialized || other.get_meta().protocol_version().is_some() => {}
            _ => {
                let words = "not initialized; send `initialize` first";
                return refuse(ErrorData::new(NOT_INITIALIZED, words, None));
            }
        }
        self.numbers += 1;
        self.open.insert(self.numbers, (id, self.framing));
        message.id = RequestId::Number(self.numbers);
        Ok(ClientJsonRpcMessage::Request(message))
    }

    /// Whether it is to be passed on: yes, unless it cancels what is not open.
    fn forget_cancelled(&mut self, notification: &mut ClientNotification) -> bool {
        let ClientNotification::CancelledNotification(cancelled) = notification else {
            return true;
        };
        let Some(id) = &mut cancelled.params.request_id else { return false };
        let Some((&number, _)) = self.open.iter().find(|(_, (open, _))| open == id) else {
            return false;
        };
        self.open.remove(&number);
        *id = RequestId::Number(number);
        true
    }

    fn answer(&mut self, mut message: ServerJsonRpcMessage) -> io::Result<()> {
        let framing = match &mut message {
            JsonRpcMessage::Response(response) => self.close_request(&mut response.id),
            JsonRpcMessage::Error(error) => error.id.as_mut().and_then(|id| self.close_request(id)),
            JsonRpcMessage::Request(_) | JsonRpcMessage::Notification(_) => Some(self.framing),
        };
        // Cancelled: nobody waits for it.
        let Some(framing) = framing else { return Ok(()) };
        self.answers.put(framing, &message)
    }

    /// Passes on what somebody else says to the client, with nothing of it changed but the id of the
    /// request that it answers. An answer that nobody waits for is passed over.
    pub(crate) fn pass(&mut self, mut message: Value) -> io::Result<()> {
        if message.get("method").is_some() {
            return self.answers.put(self.framing, &message);
        }
        let id = message.get_mut("id").map(Value::take).unwrap_or_default();
        let Ok(mut id) = serde_json::from_value::<RequestId>(id) else { return Ok(()) };
        let Some(framing) = self.close_request(&mut id) else { return Ok(()) };
        message["id"] = id.into_json_value();
        self.answers.put(framing, &message)
    }

    /// Gives it back the client's id, if it is open.
    fn close_request(&mut self, id: &mut RequestId) -> Option<Framing> {
        let RequestId::Number(number) = id else { return None };
        let (theirs, framing) = self.open.remove(number)?;
        *id = theirs;
        Some(framing)
    }

    fn refuse(&self, framing: Framing, id: &Value, error: &ErrorData) {
        // Nobody listens any more: then the end is near anyway.
        let _ = self.answers.put(framing, &json!({"jsonrpc": "2.0", "id": id, "error": error}));
    }
}

/// The way to the outlet.
#[derive(Debug)]
struct Answers {
    queue: mpsc::UnboundedSender<Vec<u8>>,
    /// How many bytes wait for the client to read.
    unread: Arc<AtomicUsize>,
    ended: CancellationToken,
}

impl Answers {
    fn put(&self, framing: Framing, message: &impl serde::Serialize) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(message)?;
        match framing {
            Framing::Lines => bytes.push(b'\n'),
            Framing::Length => {
                let header = format!("Content-Length: {}\r\n\r\n", bytes.len());
                bytes.splice(0..0, header.into_bytes());
            }
        }
        let unread = self.unread.fetch_add(bytes.len(), Ordering::Relaxed);
        if unread > MOST_UNREAD {
            self.ended.cancel();
        }
        self.queue.send(bytes).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// Where answers leave.
#[derive(Debug)]
pub(crate) struct Outlet<W> {
    writer: W,
    waiting: mpsc::UnboundedReceiver<Vec<u8>>,
    unread: Arc<AtomicUsize>,
    ended: CancellationToken,
}

impl<W: AsyncWrite + Unpin> Outlet<W> {
    /// Writes until the guard is closed and everything is written, or nobody listens.
    pub(crate) async fn drain(mut self) {
        while let Some(mut bytes) = self.waiting.recv().await {
            while bytes.len() < TOGETHER
                && let Ok(more) = self.waiting.try_recv()
            {
                bytes.extend(more);
            }
            let written = match self.writer.write_all(&bytes).await {
                Ok(()) => self.writer.flush().await,
                gone => gone,
            };
            if written.is_err() {
                self.ended.cancel();
                return;
            }
            self.unread.fetch_sub(bytes.len(), Ordering::Relaxed);
        }
    }
}
