//! Reading `/proc`: which processes there are, and whose.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::record::ProcessId;

/// A process as it was when it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) id: ProcessId,
    pub(crate) parent: i32,
    pub(crate) group: i32,
    pub(crate) session: i32,
    pub(crate) state: u8,
    pub(crate) threads: u32,
}

impl Seen {
    /// Dead, and waiting only for its parent to notice.
    ///
    /// A first thread that has ended looks the same while other threads go on.
    pub(crate) fn is_zombie(&self) -> bool {
        matches!(self.state, b'Z' | b'X') && self.threads <= 1
    }
}

/// All processes that can be seen, each looked at once. Not one instant: processes come and go
/// while it is taken.
pub(crate) struct Snapshot {
    pub(crate) all: Vec<Seen>,
}

impl Snapshot {
    pub(crate) fn take() -> io::Result<Snapshot> {
        let mut all = Vec::with_capacity(256);
        for entry in std::fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            if let Some(seen) = look(pid) {
                all.push(seen);
            }
        }
        Ok(Snapshot { all })
    }

    /// The processes below `root`, parents before their children, leaving out each of
    /// `except` and all that is below it.
    pub(crate) fn below(&self, root: i32, except: &[i32]) -> Vec<Seen> {
        let mut children: HashMap<i32, Vec<&Seen>> = HashMap::new();
        for seen in &self.all {
            children.entry(seen.parent).or_default().push(seen);
        }
        let mut found: Vec<Seen> = Vec::new();
        // A snapshot is not one instant, so numbers that were used twice could make a circle.
        let mut met = HashSet::from([root]);
        let mut parent = root;
        let mut next = 0;
        loop {
            for child in children.get(&parent).into_iter().flatten() {
                if !except.contains(&child.id.pid) && met.insert(child.id.pid) {
                    found.push(**child);
                }
            }
            let Some(seen) = found.get(next) else { return found };
            parent = seen.id.pid;
            next += 1;
        }
    }
}

/// Looks at one process. `None` if there is none with this number.
pub(crate) fn look(pid: i32) -> Option<Seen> {
    look_at(&format!("/proc/{pid}/stat"))
}

fn look_at(path: &str) -> Option<Seen> {
    let mut buffer = [0_u8; 1024];
    let length = File::open(path).ok()?.read(&mut buffer).ok()?;
    let text = &buffer[..length];
    let pid = number(text.split(|byte| *byte == b' ').next()?)?;
    // The name is in parentheses and may itself hold spaces and parentheses.
    let after_name = text.iter().rposition(|byte| *byte == b')')? + 2;
    let fields: Vec<&[u8]> = text.get(after_name..)?.split(|byte| *byte == b' ').collect();
    Some(Seen {
        id: ProcessId { pid: pid as i32, start_time: number(fields.get(19)?)? },
        state: *fields.first()?.first()?,
        parent: number(fields.get(1)?)? as i32,
        group: number(fields.get(2)?)? as i32,
        session: number(fields.get(3)?)? as i32,
        threads: number(fields.get(17)?)? as u32,
    })
}

fn number(digits: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok()?;
    // Group and session can be -1 or 0 for kernel threads.
    text.parse::<i64>().ok().map(|number| number as u64).or_else(|| text.parse().ok())
}

/// This process.
pub(crate) fn myself() -> i32 {
    nix::unistd::getpid().as_raw()
}

/// The process `pid` as an identity, if it lives.
pub(crate) fn identify(pid: i32) -> Option<ProcessId> {
    look(pid).map(|seen| seen.id)
}

/// Whether no thread of the process can execute another instruction of its program: each is
/// stopped, dead, or inside the kernel with a stop already waiting for it.
pub(crate) fn is_stopped(seen: &Seen) -> bool {
    let rests = |state: u8| matches!(state, b'T' | b't' | b'Z' | b'X');
    if seen.threads <= 1 && rests(seen.state) {
        return true;
    }
    let Ok(threads) = std::fs::read_dir(format!("/proc/{}/task", seen.id.pid)) else { return true };
    for thread in threads.flatten() {
        let Some(name) = thread.file_name().to_str().map(str::to_owned) else { continue };
        let path = format!("/proc/{}/task/{name}", seen.id.pid);
        let Some(looked) = look_at(&format!("{path}/stat")) else { continue };
        // Between vfork and its child's exec, a parent waits in the kernel and stops only
        // after it, so a stopped child keeps it there.
        let waits_in_kernel = looked.state == b'D' && stop_is_pending(&path);
        if !rests(looked.state) && !waits_in_kernel {
            return false;
        }
    }
    true
}

fn stop_is_pending(thread: &str) -> bool {
    let Ok(status) = std::fs::read_to_string(format!("{thread}/status")) else { return false };
    let pending = |line: &str| {
        let digits = line.strip_prefix("ShdPnd:").or_else(|| line.strip_prefix("SigPnd:"))?;
        u64::from_str_radix(digits.trim(), 16).ok()
    };
    let stop = 1_u64 << (nix::libc::SIGSTOP - 1);
    status.lines().filter_map(pending).any(|set| set & stop != 0)
}

/// The number that a process inherited from its tree; see [`crate::Mark`].
pub(crate) fn brand_of(pid: i32) -> Option<u64> {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let line = limits.lines().find(|line| line.starts_with("Max realtime timeout"))?;
    line["Max realtime timeout".len()..].split_whitespace().next()?.parse().ok()
}

/// Whether the environment that a process was started with has this entry.
pub(crate) fn has_entry(pid: i32, entry: &[u8]) -> bool {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|other| other == entry)
}

/// This process and those it descends from.
pub(crate) fn my_line() -> Vec<i32> {
    let mut line = vec![myself()];
    while let Some(seen) = line.last().and_then(|pid| look(*pid)) {
        if seen.parent <= 0 || line.contains(&seen.parent) {
            break;
        }
        line.push(seen.parent);
    }
    line
}

/// The kernel's name for this boot of the machine.
///
/// # Errors
///
/// When `/proc` cannot be read.
pub fn boot_id() -> io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

pub(crate) fn pid_namespace() -> io::Result<u64> {
    Ok(std::fs::metadata(Path::new("/proc/self/ns/pid"))?.ino())
}
