//! A bridge from a thread to an MCP server of the user's, on which only what is granted passes.

use std::{io, os::fd::AsFd, sync::Arc, time::Duration};

use rmcp::transport::Transport;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    runtime::Builder,
    sync::{Notify, mpsc},
    task::JoinSet,
    time::Instant,
};
use tokio_util::{bytes::BytesMut, sync::CancellationToken};

use crate::{
    denials::Denials,
    guard::{Guard, guard},
    serve::ends::{self, AsFound, Reader, Writer},
};
use elicited::Vain;
use filter::{Filter, Heard, Verdict};
use held::{HeldCalls, Released};

pub use filter::{Grants, Greeting, Why};

mod clocks;
mod elicited;
mod filter;
mod held;

/// A server that says more than that in one line is not heard any further.
const LONGEST: usize = 16 * 1024 * 1024;

/// So many messages may wait for a server that does not read; one that leaves more is given up.
const MOST_WAITING: usize = 256;

/// What is told of a conversation while it lasts.
#[derive(Clone, Copy, Debug)]
pub enum News<'a> {
    /// A tool was called so often, since that was said last, and not to be had: at once, and then at most
    /// once in a second for each tool.
    Withheld {
        /// Which.
        tool: &'a str,
        /// Why.
        why: Why,
        /// How often.
        count: u64,
    },
    /// Somebody is to be asked for a tool that is called.
    Asks {
        /// Which.
        tool: &'a str,
    },
    /// The server wants something from a person.
    Elicits {
        /// A number of its own.
        number: u64,
        /// What, as MCP has it.
        params: &'a Value,
    },
    /// It does not want that any more.
    ElicitsNoMore {
        /// The number of that.
        number: u64,
    },
}

/// By which a bridge hears that the grants are not what they were.
#[derive(Clone, Debug, Default)]
pub struct Regrants(Arc<Notify>);

impl Regrants {
    /// They have changed.
    pub fn tell(&self) {
        self.0.notify_one();
    }
}

/// By which a bridge is told what its server is to hear of what it wanted from a person.
#[derive(Clone, Debug)]
pub struct Answers(mpsc::UnboundedSender<(u64, Value)>);

/// The other end of that, for the bridge.
#[derive(Debug)]
pub struct Answered(mpsc::UnboundedReceiver<(u64, Value)>);

impl Answers {
    /// Both ends.
    #[must_use]
    pub fn new() -> (Self, Answered) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), Answered(receiver))
    }

    /// That is the result of what was told by that number.
    pub fn tell(&self, number: u64, result: Value) {
        // A bridge that is at its end has no server that would wait.
        let _ = self.0.send((number, result));
    }
}

/// Lets `client`, which is a socket, talk with the server of that name, which reads and writes at the
/// two other ends, until one of them ends; says what the server has made of the greeting.
///
/// # Errors
///
/// When a descriptor is of no use, or the runtime cannot be made.
pub fn bridge(
    name: String,
    (grants, regrants, answered): (impl Grants, Regrants, Answered),
    client: impl AsFd,
    to_server: impl AsFd,
    from_server: impl AsFd,
    news: impl Fn(News<'_>),
) -> io::Result<Greeting> {
    let _as_found = AsFound::of(client.as_fd())?;
    let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(4).build()?;
    let crossed = runtime.block_on(async {
        let ended = CancellationToken::new();
        let ends = (ends::reader(client.as_fd())?, ends::writer(client.as_fd())?);
        let (guard, outlet) = guard(ends.0, ends.1, ended.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(outlet.drain());
        let (sender, waiting) = mpsc::channel(MOST_WAITING);
        let gone = CancellationToken::new();
        tasks.spawn(write(ends::writer(to_server.as_fd())?, waiting, gone.clone()));
        let lines = Lines::of(ends::reader(from_server.as_fd())?);
        let filter = Filter::new(name, grants);
        let crossing = Crossing {
            guard,
            to_server: sender,
            filter,
            held: HeldCalls::default(),
            refused: Refused::new(&news),
            news: &news,
        };
        Ok(crossing.run(lines, (regrants, answered), ended, gone).await)
    });
    runtime.shutdown_background();
    crossed
}

/// What was refused, and not told yet.
struct Refused<'a>([(Why, Told<'a>); 3]);

type Told<'a> = Denials<Box<dyn FnMut(&str, u64) + 'a>>;

impl<'a> Refused<'a> {
    fn new(news: &'a dyn Fn(News<'_>)) -> Self {
        Self([Why::NotGranted, Why::Asked, Why::Refused].map(|why| {
            let tell = move |tool: &str, count: u64| news(News::Withheld { tool, why, count });
            (why, Denials::new(Box::new(tell) as Box<dyn FnMut(&str, u64)>))
        }))
    }

    fn count(&mut self, tool: &str, why: Why) {
        let of_it = self.0.iter_mut().filter(|(of, _)| *of == why);
        of_it.for_each(|(_, told)| told.count(tool));
    }

    fn tell_what_is_due(&mut self) {
        self.0.iter_mut().for_each(|(_, told)| told.tell_what_is_due());
    }
}

/// A conversation between a thread and a server. It is over when something of it breaks off.
struct Crossing<'a, G: Grants> {
    guard: Guard<Reader>,
    to_server: mpsc::Sender<Vec<u8>>,
    filter: Filter<G>,
    held: HeldCalls,
    refused: Refused<'a>,
    news: &'a dyn Fn(News<'_>),
}

impl<G: Grants> Crossing<'_, G> {
    async fn run(
        mut self,
        mut lines: Lines,
        (regrants, mut answered): (Regrants, Answered),
        ended: CancellationToken,
        gone: CancellationToken,
    ) -> Greeting {
        let mut server_ended = false;
        let mut second = tokio::time::interval(Duration::from_secs(1));
        let mut looked = Instant::now();
        loop {
            let due = self.held.due();
            let patience = tokio::time::sleep_until(due.unwrap_or_else(Instant::now));
            let on = tokio::select! {
                () = ended.cancelled() => break,
                () = gone.cancelled() => {
                    server_ended = true;
                    break;
                }
                _ = second.tick() => {
                    self.refused.tell_what_is_due();
                    let passed = looked.elapsed();
                    looked = Instant::now();
                    self.give_up(passed)
                }
                () = regrants.0.notified() => self.regranted(),
                Some((number, result)) = answered.0.recv() => self.answered(number, &result),
                () = patience, if due.is_some() => self.release(),
                said = self.guard.receive() => {
                    let Some(Ok(message)) = said.map(serde_json::to_value) else { break };
                    self.said(message)
                }
                line = lines.next() => {
                    let Some(line) = line else {
                        server_ended = true;
                        break;
                    };
                    self.heard(&line)
                }
            };
            if on.and_then(|()| self.tell_what_is_vain()).is_none() {
                break;
            }
        }
        self.filter.greeting(server_ended)
    }

    fn said(&mut self, mut message: Value) -> Option<()> {
        if message["method"] == "notifications/cancelled" {
            self.held.forget(&message["params"]["requestId"]);
        }
        match self.filter.said(&mut message) {
            Verdict::Hold { tool } => {
                (self.news)(News::Asks { tool: &tool });
                match self.held.hold(message, tool, Instant::now()) {
                    Some(one_too_many) => self.released(one_too_many),
                    None => Some(()),
                }
            }
            verdict => self.conclude(&message, verdict),
        }
    }

    /// Does what is to be done with a message of the thread's.
    fn conclude(&mut self, message: &Value, verdict: Verdict) -> Option<()> {
        match verdict {
            Verdict::Drop | Verdict::Hold { .. } => Some(()),
            Verdict::Pass => self.to_server.try_send(line_of(message)).ok(),
            Verdict::Refuse { code, words, tool } => {
                if let Some((tool, why)) = tool {
                    self.refused.count(&tool, why);
                }
                let error = json!({ "code": code, "message": words });
                let answer = json!({ "jsonrpc": "2.0", "id": message["id"], "error": error });
                self.guard.pass(answer).ok()
            }
        }
    }

    /// What was waited for may be decided, and what is listed may be something else.
    fn regranted(&mut self) -> Option<()> {
        self.release()?;
        match self.filter.list_changed() {
            Some(told) => self.guard.pass(told).ok(),
            None => Some(()),
        }
    }

    fn release(&mut self) -> Option<()> {
        let released = self.held.release(Instant::now(), |tool| self.filter.decided(tool));
        released.into_iter().try_for_each(|one| self.released(one))
    }

    fn released(&mut self, (mut message, tool, end): Released) -> Option<()> {
        let verdict = match end {
            Ok(()) => self.filter.said(&mut message),
            Err(why) => self.filter.refusal(&tool, why),
        };
        self.conclude(&message, verdict)
    }

    fn heard(&mut self, line: &[u8]) -> Option<()> {
        // What is no message is not for the thread: some servers chat on their output.
        let Ok(message) = serde_json::from_slice::<Value>(line) else { return Some(()) };
        match self.filter.heard(message) {
            Heard::Pass(message) => self.guard.pass(message).ok(),
            Heard::Answer(message) => self.to_server.try_send(line_of(&message)).ok(),
            Heard::Elicits { number, params } => {
                (self.news)(News::Elicits { number, params: &params });
                Some(())
            }
            Heard::Drop => Some(()),
        }
    }

    /// Gives up what takes the server too long.
    fn give_up(&mut self, passed: Duration) -> Option<()> {
        self.filter.overdue(passed).into_iter().try_for_each(|(told, answer)| {
            self.to_server.try_send(line_of(&told)).ok()?;
            self.guard.pass(answer).ok()
        })
    }

    fn answered(&mut self, number: u64, result: &Value) -> Option<()> {
        match self.filter.elicited.answered(number, result) {
            Some(answer) => self.to_server.try_send(line_of(&answer)).ok(),
            None => Some(()),
        }
    }

    fn tell_what_is_vain(&mut self) -> Option<()> {
        for Vain { number, answer } in self.filter.elicited.vain() {
            (self.news)(News::ElicitsNoMore { number });
            if let Some(answer) = answer {
                self.to_server.try_send(line_of(&answer)).ok()?;
            }
        }
        Some(())
    }
}

fn line_of(message: &Value) -> Vec<u8> {
    let mut line = message.to_string().into_bytes();
    line.push(b'\n');
    line
}

async fn write(mut writer: Writer, mut waiting: mpsc::Receiver<Vec<u8>>, ended: CancellationToken) {
    while let Some(line) = waiting.recv().await {
        if writer.write_all(&line).await.is_err() || writer.flush().await.is_err() {
            break;
        }
    }
    ended.cancel();
}

/// What a server says, line by line.
struct Lines {
    reader: Reader,
    bytes: BytesMut,
    /// So many of them have no line's end in them.
    searched: usize,
}

impl Lines {
    fn of(reader: Reader) -> Self {
        Self { reader, bytes: BytesMut::new(), searched: 0 }
    }

    /// The next line; nothing at the end, and when it is too long. May be dropped and asked again.
    async fn next(&mut self) -> Option<BytesMut> {
        loop {
            let rest = &self.bytes[self.searched..];
            if let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
                let length = std::mem::take(&mut self.searched) + at + 1;
                return Some(self.bytes.split_to(length));
            }
            self.searched = self.bytes.len();
            if self.searched > LONGEST {
                return None;
            }
            match self.reader.read_buf(&mut self.bytes).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }
}
