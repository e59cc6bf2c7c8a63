//! How long a writer waits for the others, and what it does about one that has been stopped.
//!
//! SQLite's own waiting grows to 100 ms between looks while a neighbour takes the lock again
//! within microseconds, so that a process may starve for seconds. Short sleeps of random length
//! are fair. A writer that was stopped (SIGSTOP) in the middle of a transaction would hold the
//! others up for ever; after `STUCK` the program's callback is asked to see to it.

use std::{
    cell::{Cell, RefCell},
    fs::{OpenOptions, TryLockError},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{OnceLock, mpsc},
    time::{Duration, Instant},
};

use rusqlite::Connection;

/// After this long, somebody may have been stopped while holding the lock.
pub(crate) const STUCK: Duration = Duration::from_secs(1);
/// After this long, the write fails.
pub(crate) const GIVE_UP: Duration = Duration::from_secs(20);

static WAKE: OnceLock<Wake> = OnceLock::new();

/// What to call about somebody who does not come to an end for a second: the store knows nothing of
/// processes.
#[derive(Clone, Copy, Debug)]
pub struct Wake {
    /// With the path of a database that somebody is writing to, nobody knows who.
    pub writer: fn(&Path),
    /// With the path of a file that a process has locked, and that process.
    pub first_in_line: fn(&Path, u32),
}

thread_local! {
    static WAITING: RefCell<Option<PathBuf>> = const { RefCell::new(None) };
    static SINCE: Cell<Option<Instant>> = const { Cell::new(None) };
    static WOKEN: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// What to call when a writer has been stopped, as it seems. What is said first stays.
pub fn on_stuck_writer(wake: Wake) {
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
        WAITING.with_borrow(|path| {
            if let Some(path) = path.as_deref().filter(|path| may_look(path)) {
                (wake.writer)(path);
            }
        });
    }
}

/// Whether nobody else looks, or has within a second: to find out who is writing stops all locking of
/// the machine for a moment, and hundreds who do so leave nobody any time to write. Where that cannot
/// be told, one looks.
fn may_look(path: &Path) -> bool {
    let mut looked = path.as_os_str().to_owned();
    looked.push("-look");
    let mut how = OpenOptions::new();
    let open = how.write(true).create(true).truncate(false).mode(0o600).open(looked);
    let Ok(file) = open else { return true };
    if let Err(TryLockError::WouldBlock) = file.try_lock() {
        return false;
    }
    let before = file.metadata().ok().filter(|file| file.len() > 0);
    let before = before.and_then(|file| file.modified().ok()?.elapsed().ok());
    // It is held from now on for a second, by when it was written to.
    before.is_none_or(|ago| ago >= STUCK) && file.write_at(b"x", 0).is_ok()
}

/// Has the first of a line looked at, which is that process and may have been stopped.
pub(crate) fn wake_first(line: &Path, process: u32) {
    if let Some(wake) = WAKE.get() {
        (wake.first_in_line)(line, process);
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
    fn one_of_all_looks_in_a_second() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        assert!(may_look(&path));
        let more = (0..20).filter(|_| may_look(&path)).count();
        assert_eq!(more, 0);
        let file = std::fs::File::open(folder.path().join("journal.db-look")).unwrap();
        file.set_modified(std::time::SystemTime::now() - 2 * STUCK).unwrap();
        assert!(may_look(&path));
        assert!(may_look(&folder.path().join("missing/journal.db")));
    }

    #[test]
    fn where_sqlite_has_given_up_the_writer_is_woken_and_the_step_taken_again() {
        thread_local! {
            static WOKEN_AT: RefCell<Option<PathBuf>> = const { RefCell::new(None) };
        }
        on_stuck_writer(Wake {
            writer: |path| WOKEN_AT.set(Some(path.to_owned())),
            first_in_line: |_, _| {},
        });
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("journal.db");
        waiting_for(&journal);
        fn fails<T>(code: i32) -> rusqlite::Result<T> {
            Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None))
        }
        let step = || match WOKEN_AT.take() {
            None => fails(rusqlite::ffi::SQLITE_PROTOCOL),
            Some(path) => Ok(path),
        };
        assert_eq!(insist(step).unwrap(), journal);
        let full = insist(|| fails::<()>(rusqlite::ffi::SQLITE_FULL));
        assert_eq!(full.unwrap_err().sqlite_error_code(), Some(rusqlite::ErrorCode::DiskFull));
        assert_eq!(WOKEN_AT.take(), None, "that has nothing to do with the others");
    }
}
