//! A bridge from a thread to an MCP server of the user's, on which only what is granted passes.

use std::{io, os::fd::AsFd, time::Duration};

use rmcp::transport::Transport;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    runtime::Builder,
    sync::mpsc,
    task::JoinSet,
};
use tokio_util::{bytes::BytesMut, sync::CancellationToken};

use crate::{
    denials::Denials,
    guard::guard,
    serve::ends::{self, AsFound, Reader, Writer},
};
use filter::{Filter, Heard, Verdict};

pub use filter::Grants;

mod filter;

/// A server that says more than that in one line is not heard any further.
const LONGEST: usize = 16 * 1024 * 1024;

/// So many messages may wait for a server that does not read; one that leaves more is given up.
const MOST_WAITING: usize = 256;

/// Lets `client`, which is a socket, talk with the server of that name, which reads and writes at the
/// two other ends, until one of them ends. `withheld` is told of calls of tools that are not granted,
/// by name, with how often since it was told last: at once, and then at most once in a second.
///
/// # Errors
///
/// When a descriptor is of no use, or the runtime cannot be made.
pub fn bridge(
    name: String,
    grants: impl Grants,
    client: impl AsFd,
    to_server: impl AsFd,
    from_server: impl AsFd,
    withheld: impl FnMut(&str, u64),
) -> io::Result<()> {
    let _as_found = AsFound::of(client.as_fd())?;
    let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(4).build()?;
    let crossed = runtime.block_on(async {
        let ended = CancellationToken::new();
        let ends = (ends::reader(client.as_fd())?, ends::writer(client.as_fd())?);
        let (guard, outlet) = guard(ends.0, ends.1, ended.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(outlet.drain());
        let (sender, waiting) = mpsc::channel(MOST_WAITING);
        tasks.spawn(write(ends::writer(to_server.as_fd())?, waiting, ended.clone()));
        let lines = Lines::of(ends::reader(from_server.as_fd())?);
        let filter = Filter::new(name, grants);
        cross(guard, lines, sender, filter, Denials::new(withheld), ended).await;
        Ok(())
    });
    runtime.shutdown_background();
    crossed
}

async fn cross<G: Grants>(
    mut guard: crate::guard::Guard<Reader>,
    mut lines: Lines,
    to_server: mpsc::Sender<Vec<u8>>,
    mut filter: Filter<G>,
    mut refused: Denials<impl FnMut(&str, u64)>,
    ended: CancellationToken,
) {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            () = ended.cancelled() => break,
            _ = second.tick() => refused.tell_what_is_due(),
            said = guard.receive() => {
                let Some(Ok(mut message)) = said.map(serde_json::to_value) else { break };
                match filter.said(&mut message) {
                    Verdict::Drop => {}
                    Verdict::Pass => {
                        if to_server.try_send(line_of(&message)).is_err() {
                            break;
                        }
                    }
                    Verdict::Refuse { code, words, tool } => {
                        if let Some(tool) = tool {
                            refused.count(&tool);
                        }
                        let error = json!({ "code": code, "message": words });
                        let answer = json!({ "jsonrpc": "2.0", "id": message["id"], "error": error });
                        if guard.pass(answer).is_err() {
                            break;
                        }
                    }
                }
            }
            line = lines.next() => {
                let Some(line) = line else { break };
                // What is no message is not for the thread: some servers chat on their output.
                let Ok(message) = serde_json::from_slice::<Value>(&line) else { continue };
                let is_over = match filter.heard(message) {
                    Heard::Pass(message) => guard.pass(message).is_err(),
                    Heard::Answer(message) => to_server.try_send(line_of(&message)).is_err(),
                    Heard::Drop => false,
                };
                if is_over {
                    break;
                }
            }
        }
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
