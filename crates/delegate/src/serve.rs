//! A server from its first byte to its last.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use rmcp::{ServerHandler, service::serve_directly_with_ct};
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{calls, guard::guard};
use ends::AsFound;

pub(crate) mod ends;

/// How long a server that ends waits for calls that do not mind being told to stop, and for a
/// client that does not read. Clients kill after two seconds.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Threads that are not for calls: where the client's stream cannot be polled, reading and writing
/// take one each.
const OTHER_THREADS: usize = 12;

/// Serves one client on `input` and `output`, which may be the same socket, until it says no more,
/// nobody reads the answers, or SIGTERM comes. Then all calls are told to stop, and what they
/// still have to say is written if that takes no more than a moment.
///
/// Runs are nothing to it: whatever the handler has started goes on. The process does not die of
/// SIGTERM from then on, and threads of calls that did not stop are still there: it is to exit.
///
/// # Errors
///
/// When a descriptor is of no use, or the runtime cannot be made. How the conversation ends is no
/// error.
pub fn serve<H: ServerHandler>(handler: H, input: impl AsFd, output: impl AsFd) -> io::Result<()> {
    let _as_found = [AsFound::of(input.as_fd())?, AsFound::of(output.as_fd())?];
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(calls::MOST + OTHER_THREADS)
        .build()?;
    let served = runtime.block_on(talk(handler, input.as_fd(), output.as_fd()));
    // Threads of calls that do not stop end with the process.
    runtime.shutdown_background();
    served
}

async fn talk<H: ServerHandler>(
    handler: H,
    input: BorrowedFd<'_>,
    output: BorrowedFd<'_>,
) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let ended = CancellationToken::new();
    let (guard, outlet) = guard(ends::reader(input)?, ends::writer(output)?, ended.clone());
    let mut tasks = JoinSet::new();
    tasks.spawn(outlet.drain());
    let server = serve_directly_with_ct(handler, guard, None, ended.clone());
    let over = ended.clone().drop_guard();
    tasks.spawn(async move {
        let _ = server.waiting().await;
        drop(over);
    });
    tokio::select! {
        () = ended.cancelled() => {}
        () = ends::unread(output) => {}
        _ = terminate.recv() => {}
    }
    // Every call's own token is a child of this one.
    ended.cancel();
    let _ = timeout(PATIENCE, async { while tasks.join_next().await.is_some() {} }).await;
    Ok(())
}
