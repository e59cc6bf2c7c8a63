//! How long a writer waits for the others, and what it does about one that has been stopped.
//!
//! SQLite's own waiting grows to 100 ms between looks while a neighbour takes the lock again
//! within microseconds, so that a process may starve for seconds. Short sleeps of random length
//! are fair. A writer that was stopped (SIGSTOP) in the middle of a transaction would hold the
//! others up for ever; after `STUCK` the program's callback is asked to see to it.

use std::{
    cell::{Cell, RefCell},
    path::{Path, PathBuf},
    sync::OnceLock,
    time::{Duration, Instant},
};

use rusqlite::Connection;

/// After this long, somebody may have been stopped while holding the lock.
const STUCK: Duration = Duration::from_secs(1);
/// After this long, the write fails.
pub(crate) const GIVE_UP: Duration = Duration::from_secs(20);

static WAKE: OnceLock<fn(&Path)> = OnceLock::new();

thread_local! {
    static WAITING: RefCell<Option<PathBuf>> = const { RefCell::new(None) };
    static SINCE: Cell<Option<Instant>> = const { Cell::new(None) };
    static WOKEN: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// What to call, with the database's path, when its writer does not come to an end for a second:
/// the store knows nothing of processes. The first callback stays.
pub fn on_stuck_writer(wake: fn(&Path)) {
    let _ = WAKE.set(wake);
}

/// Gives the connection our patience.
pub(crate) fn give(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.busy_handler(Some(wait))
}

/// Notes which database this thread is about to wait for.
pub(crate) fn waiting_for(path: &Path) {
    WAITING.with_borrow_mut(|waiting| {
        if waiting.as_deref() != Some(path) {
            *waiting = Some(path.to_owned());
        }
    });
}

fn wait(tries: i32) -> bool {
    let now = Instant::now();
    if tries == 0 {
        SINCE.set(Some(now));
        WOKEN.set(None);
    }
    let waited = SINCE.get().map_or(Duration::ZERO, |since| now - since);
    if waited > GIVE_UP {
        return false;
    }
    let rested = WOKEN.get().is_none_or(|woken| now - woken > STUCK);
    if waited > STUCK && rested {
        WOKEN.set(Some(now));
        if let Some(wake) = WAKE.get() {
            WAITING.with_borrow(|path| path.as_deref().map(wake));
        }
    }
    // The low bits of the clock are random enough to keep two waiters out of step.
    let jitter = u64::from(now.elapsed().subsec_nanos() ^ waited.subsec_nanos()) % 900;
    std::thread::sleep(Duration::from_micros(300 + jitter));
    true
}
