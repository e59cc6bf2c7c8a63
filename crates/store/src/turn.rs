//! Whose turn it is to write into a journal.
//!
//! SQLite's lock is what excludes others, and those who want it have to try for it again and again.
//! Hundreds of threads or processes that do so at once leave each other no time, and none to the one
//! that holds it. So they stand in line first, in which the kernel wakes one at a time. Nothing but
//! speed depends on that: whoever cannot stand in line tries without.
//!
//! Whoever has the turn writes its process into the file of the line, so that the next can see whether it
//! was stopped. To ask the kernel who holds a lock would stop all locking of the machine meanwhile.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions, TryLockError},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError, mpsc},
    time::{Duration, Instant},
};

use crate::patience;

/// After this long in line, its first is taken for one that never comes to an end.
const LONGEST: Duration = Duration::from_secs(8);
/// What stands beside the database for it.
const SUFFIX: &str = "-turn";

/// A turn; it is over when this is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _among_processes: Option<File>,
    _among_threads: MutexGuard<'static, ()>,
}

/// Waits for a turn at the journal at that path.
pub(crate) fn take(path: &Path) -> Turn {
    let threads = among_threads(path).lock().unwrap_or_else(PoisonError::into_inner);
    Turn { _among_processes: among_processes(path), _among_threads: threads }
}

fn among_threads(path: &Path) -> &'static Mutex<()> {
    static TURNS: Mutex<BTreeMap<PathBuf, &'static Mutex<()>>> = Mutex::new(BTreeMap::new());
    let mut turns = TURNS.lock().unwrap_or_else(PoisonError::into_inner);
    // A process has to do with a few journals, and with each of them to its end.
    turns.entry(path.to_owned()).or_insert_with(|| Box::leak(Box::default()))
}

fn among_processes(path: &Path) -> Option<File> {
    let mut line = path.as_os_str().to_owned();
    line.push(SUFFIX);
    let line = PathBuf::from(line);
    let mut how = OpenOptions::new();
    let open = how.read(true).write(true).create(true).truncate(false).mode(0o600).open(&line);
    let file = open.ok()?;
    let turn = match file.try_lock() {
        Ok(()) => file,
        Err(TryLockError::WouldBlock) => stand(file, &line)?,
        Err(TryLockError::Error(_)) => return None,
    };
    // Not to be read as anything but a number while it is written: each is of one length.
    let own = format!("{:010}", std::process::id());
    let mut last = [0; 10];
    let is_there = turn.read_exact_at(&mut last, 0).is_ok() && last == *own.as_bytes();
    if !is_there {
        let _ = turn.write_all_at(own.as_bytes(), 0);
    }
    Some(turn)
}

/// Waits for the lock, but not for ever. Another thread does the waiting, since it cannot be cut
/// short; a turn that comes too late is over at once.
fn stand(file: File, line: &Path) -> Option<File> {
    let (turn, came) = mpsc::channel();
    let wait = move || {
        let locked = loop {
            match file.lock() {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                locked => break locked,
            }
        };
        let _ = turn.send(locked.is_ok().then_some(file));
    };
    std::thread::Builder::new().name("turn".to_owned()).stack_size(64 * 1024).spawn(wait).ok()?;
    let begun = Instant::now();
    loop {
        match came.recv_timeout(patience::STUCK) {
            Ok(turn) => return turn,
            Err(mpsc::RecvTimeoutError::Disconnected) => return None,
            Err(mpsc::RecvTimeoutError::Timeout) if begun.elapsed() > LONGEST => return None,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                let first = fs::read_to_string(line).ok().and_then(|first| first.parse().ok());
                if let Some(first) = first {
                    patience::wake_first(line, first);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_in_line_has_its_turn_when_the_one_before_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let first = among_processes(&path).expect("nobody else is there");
        let (came, next) = mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let turn = among_processes(&path);
                came.send(turn.is_some()).unwrap();
            });
            // Whoever waits has somebody else wait. To look for it in the kernel's list of locks would
            // stop all others on the machine.
            let waits = || {
                let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
                let name = |task: fs::DirEntry| fs::read_to_string(task.path().join("comm"));
                tasks.filter_map(|task| name(task).ok()).any(|name| name == "turn\n")
            };
            let begun = Instant::now();
            while !waits() {
                assert!(begun.elapsed() < Duration::from_secs(60), "nobody waits");
                std::thread::yield_now();
            }
            assert_eq!(next.try_recv(), Err(mpsc::TryRecvError::Empty));
            drop(first);
            assert!(next.recv().unwrap());
        });
        assert!(among_processes(&path).is_some(), "and then it is free");
        let nowhere = folder.path().join("missing/journal.db");
        assert!(among_processes(&nowhere).is_none(), "who cannot stand in line goes on without");
    }
}
