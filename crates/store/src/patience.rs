//! How long a writer waits for the others, and what it does about one that has been stopped.
//!
//! SQLite's own waiting grows to 100 ms between looks while a neighbour takes the lock again
//! within microseconds, so that a process may starve for seconds. Short sleeps of random length
//! are fair. A writer that was stopped (SIGSTOP) in the middle of a transaction would hold the
//! others up for ever; after `STUCK` the program's callback is asked to see to it.

use std::{
    cell::{Cell, RefCell},
    path::{Path, PathBuf},
    sync::{OnceLock, mpsc},
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

/// Takes a step again for which SQLite gave up waiting without asking us. It does so after ten
/// seconds when somebody was stopped between taking the write lock and having brought the shared
/// memory into order: then it cannot tell that anybody is at work on it.
pub(crate) fn insist<T>(mut step: impl FnMut() -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    let first = step();
    let given_up = rusqlite::ErrorCode::FileLockingProtocolFailed;
    match &first {
        Err(error) if error.sqlite_error_code() == Some(given_up) => {
            wake();
            step()
        }
        _ => first,
    }
}

/// Takes a step that may have to wait for somebody who makes the shared memory: the first of a
/// connection. As SQLite asks nobody meanwhile, somebody else looks at the clock.
pub(crate) fn watched<T>(step: impl FnMut() -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    let path = WAITING.with_borrow(Clone::clone);
    std::thread::scope(|scope| {
        let (done, ended) = mpsc::channel::<()>();
        scope.spawn(move || {
            if let Some(path) = &path {
                waiting_for(path);
            }
            while ended.recv_timeout(STUCK) == Err(mpsc::RecvTimeoutError::Timeout) {
                wake();
            }
        });
        let result = insist(step);
        drop(done);
        result
    })
}

fn wake() {
    if let Some(wake) = WAKE.get() {
        WAITING.with_borrow(|path| path.as_deref().map(wake));
    }
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
        wake();
    }
    // The low bits of the clock are random enough to keep two waiters out of step.
    let jitter = u64::from(now.elapsed().subsec_nanos() ^ waited.subsec_nanos()) % 900;
    std::thread::sleep(Duration::from_micros(300 + jitter));
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_sqlite_has_given_up_the_writer_is_woken_and_the_step_taken_again() {
        thread_local! {
            static WOKEN_AT: RefCell<Option<PathBuf>> = const { RefCell::new(None) };
        }
        on_stuck_writer(|path| WOKEN_AT.set(Some(path.to_owned())));
        waiting_for(Path::new("journal.db"));
        fn fails<T>(code: i32) -> rusqlite::Result<T> {
            Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None))
        }
        let step = || match WOKEN_AT.take() {
            None => fails(rusqlite::ffi::SQLITE_PROTOCOL),
            Some(path) => Ok(path),
        };
        assert_eq!(insist(step).unwrap(), Path::new("journal.db"));
        let full = insist(|| fails::<()>(rusqlite::ffi::SQLITE_FULL));
        assert_eq!(full.unwrap_err().sqlite_error_code(), Some(rusqlite::ErrorCode::DiskFull));
        assert_eq!(WOKEN_AT.take(), None, "that has nothing to do with the others");
    }
}
