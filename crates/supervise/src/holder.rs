//! The process that holds a lock: whether it was stopped, and how to be rid of it.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::sys;

/// Whether that process was stopped, by Ctrl-Z or by a signal.
#[must_use]
pub fn is_stopped(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name before it may have anything in it, also brackets.
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
}

/// Kills the process if it has `path` open, which for a lock file of ours means that it holds or
/// held the lock. False when it has not: then the number belongs to somebody else.
///
/// # Errors
///
/// When the process may not be looked at or killed.
pub fn kill_holder(path: &Path, pid: u32) -> io::Result<bool> {
    let Ok(pid) = i32::try_from(pid) else { return Ok(false) };
    // Opened before the look, so that the number cannot be given to another process in between.
    let process = match sys::pidfd_open(pid) {
        Ok(process) => process,
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(false),
        Err(error) => return Err(error),
    };
    if !has_open(pid, path)? {
        return Ok(false);
    }
    sys::pidfd_signal(process.as_fd(), Signal::SIGKILL)?;
    Ok(true)
}

fn has_open(pid: i32, path: &Path) -> io::Result<bool> {
    let wanted = fs::metadata(path)?;
    let entries = match fs::read_dir(format!("/proc/{pid}/fd")) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    Ok(entries
        .filter_map(Result::ok)
        .filter_map(|entry| fs::metadata(entry.path()).ok())
        .any(|open| open.ino() == wanted.ino() && open.dev() == wanted.dev()))
}

/// Where SQLite's writers lock the shared memory beside a database in WAL mode
/// (`WAL_WRITE_LOCK`, see its file `wal.c` and "WAL-mode File Format", section 2.3.1).
const WAL_WRITE_LOCK: u64 = 120;

/// Lets a process go on that was stopped (SIGSTOP) while it holds the write lock of the SQLite
/// database at `path`, until it has let the lock go; then it is stopped again. Nothing else
/// could ever free the lock, and everybody would wait for it.
///
/// To be asked by one process at a time: while the kernel lists its locks nobody else can lock
/// anything.
pub fn wake_stopped_writer(path: &Path) {
    let mut shared = path.as_os_str().to_owned();
    shared.push("-shm");
    let Ok(memory) = fs::metadata(&shared) else { return };
    let Some(holder) = lock_holder(memory.ino()) else { return };
    wake_until(holder, || lock_holder(memory.ino()) != Some(holder));
}

/// The same for the process that has said of itself that it holds the lock (`flock(2)`) of the file at
/// `path`.
pub fn wake_stopped_holder(path: &Path, holder: u32) {
    let Ok(holder) = i32::try_from(holder) else { return };
    let Ok(file) = fs::File::open(path) else { return };
    if matches!(has_open(holder, path), Ok(true)) {
        // Had for a moment only; whoever waits gets it.
        wake_until(holder, || file.try_lock().map(|()| file.unlock()).is_ok());
    }
}

fn wake_until(holder: i32, has_let_go: impl Fn() -> bool) {
    if !u32::try_from(holder).is_ok_and(is_stopped) || !is_ours(holder) {
        return;
    }
    let process = Pid::from_raw(holder);
    if kill(process, Signal::SIGCONT).is_err() {
        return;
    }
    // A transaction takes milliseconds; somebody who was stopped on purpose is stopped again.
    for _ in 0..100 {
        std::thread::sleep(std::time::Duration::from_millis(5));
        if has_let_go() {
            break;
        }
    }
    let _ = kill(process, Signal::SIGSTOP);
}

/// Whether that is a program of ours: nobody else opens the journal to write.
fn is_ours(process: i32) -> bool {
    fs::metadata(format!("/proc/{process}/exe"))
        .and_then(|theirs| Ok((theirs, fs::metadata("/proc/self/exe")?)))
        .is_ok_and(|(theirs, mine)| theirs.ino() == mine.ino() && theirs.dev() == mine.dev())
}

/// Who has the write lock, from `/proc/locks`. Opening the file to ask would not do: closing it
/// again would drop this process's own locks on it, as POSIX has it.
fn lock_holder(inode: u64) -> Option<i32> {
    let locks = fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| holder_in(line, inode))
}

/// `7: POSIX  ADVISORY  WRITE 1234 fe:00:5678 120 120`
fn holder_in(line: &str, inode: u64) -> Option<i32> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [_, "POSIX", _, "WRITE", pid, file, from, to] = words.as_slice() else { return None };
    let same = file.rsplit(':').next()?.parse() == Ok(inode);
    let first: u64 = from.parse().ok()?;
    let last: u64 = to.parse().ok()?;
    (same && first <= WAL_WRITE_LOCK && WAL_WRITE_LOCK <= last).then(|| pid.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_the_write_lock_is_read_from_the_kernels_list() {
        let line = "7: POSIX  ADVISORY  WRITE 1234 fe:00:5678 120 120";
        assert_eq!(holder_in(line, 5678), Some(1234));
        assert_eq!(holder_in(line, 5679), None);
        for other in [
            "7: POSIX  ADVISORY  READ 1234 fe:00:5678 124 124",
            "7: -> POSIX  ADVISORY  WRITE 1234 fe:00:5678 120 120",
            "7: OFDLCK ADVISORY  WRITE -1 fe:00:5678 0 EOF",
            "7: POSIX  ADVISORY  WRITE 1234 fe:00:5678 123 127",
            "",
        ] {
            assert_eq!(holder_in(other, 5678), None, "{other}");
        }
    }

    #[test]
    fn a_process_that_has_not_opened_the_lock_is_not_killed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        fs::write(&path, "").unwrap();
        assert!(!kill_holder(&path, std::process::id()).unwrap());
        assert!(!kill_holder(&path, u32::MAX).unwrap());
    }
}
