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

/// How often it is looked for those that came meanwhile. On a busy machine somebody always does.
const MOST_LISTS: usize = 8;

impl Snapshot {
    pub(crate) fn take() -> io::Result<Snapshot> {
        Snapshot::by_lists(1)
    }

    /// The same with those who came while it was taken. A list is older than the last looks at what is on
    /// it, and a chain of short-lived processes could always be one ahead of it: so it is read again
    /// until there is nobody new.
    pub(crate) fn take_to_the_last() -> io::Result<Snapshot> {
        Snapshot::by_lists(MOST_LISTS)
    }

    fn by_lists(most: usize) -> io::Result<Snapshot> {
        let mut all = Vec::with_capacity(256);
        let mut known = HashSet::with_capacity(256);
        for _ in 0..most {
            let mut came = false;
            for entry in std::fs::read_dir("/proc")? {
                let name = entry?.file_name();
                let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
                if known.insert(pid) {
                    came = true;
                    all.extend(try_look(pid)?);
                }
            }
            if !came {
                break;
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
    try_look(pid).ok().flatten()
}

/// The same, but knows a process that is gone from one that could not be looked at: who has run
/// out of descriptors must not take everybody for dead.
fn try_look(pid: i32) -> io::Result<Option<Seen>> {
    Ok(parse(&start_of(&format!("/proc/{pid}/stat"))?))
}

/// The first kilobyte of a file about a process, and nothing if the process is gone or hidden.
fn start_of(path: &str) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0_u8; 1024];
    let length = about_a_process(File::open(path).and_then(|mut file| file.read(&mut buffer)))?;
    buffer.truncate(length);
    Ok(buffer)
}

fn about_a_process<T: Default>(result: io::Result<T>) -> io::Result<T> {
    result.or_else(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => Ok(T::default()),
        _ if error.raw_os_error() == Some(libc::ESRCH) => Ok(T::default()),
        _ => Err(error),
    })
}

fn parse(text: &[u8]) -> Option<Seen> {
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

/// Whether a process is there and certainly has no children. It has one thread.
pub(crate) fn is_without_children(pid: i32) -> bool {
    children_of(pid).is_ok_and(|children| children.trim().is_empty())
}

fn children_of(pid: i32) -> io::Result<String> {
    std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
}

/// The child of a process with one thread and one child.
pub(crate) fn first_child(pid: i32) -> io::Result<Option<i32>> {
    match children_of(pid) {
        Ok(children) => Ok(children.split_whitespace().next().and_then(|pid| pid.parse().ok())),
        // A kernel that does not list them.
        Err(_) => Ok(Snapshot::take()?.below(pid, &[]).first().map(|seen| seen.id.pid)),
    }
}

/// Whether exactly this process still runs.
pub(crate) fn lives(id: ProcessId) -> bool {
    look(id.pid).is_some_and(|seen| seen.id == id && !seen.is_zombie())
}

/// Whether no thread of the process can execute another instruction of its program: each is
/// stopped, dead, or inside the kernel with a stop already waiting for it.
pub(crate) fn is_stopped(seen: &Seen) -> bool {
    let is_dead = |state: u8| matches!(state, b'Z' | b'X');
    let is_at_rest = |state: u8| matches!(state, b'T' | b't');
    if seen.threads <= 1 && (is_at_rest(seen.state) || is_dead(seen.state)) {
        return true;
    }
    // One that has ended since it was seen may have started another one before.
    let Ok(threads) = std::fs::read_dir(format!("/proc/{}/task", seen.id.pid)) else {
        return false;
    };
    let mut one_rests = false;
    for thread in threads.flatten() {
        let Some(name) = thread.file_name().to_str().map(str::to_owned) else { continue };
        let path = format!("/proc/{}/task/{name}", seen.id.pid);
        let Ok(Some(looked)) = start_of(&format!("{path}/stat")).map(|text| parse(&text)) else {
            continue;
        };
        // Between vfork and its child's exec, a parent waits in the kernel and stops only
        // after it, so a stopped child keeps it there.
        let waits_in_kernel = looked.state == b'D' && stop_is_pending(&path);
        match is_at_rest(looked.state) || waits_in_kernel {
            true => one_rests = true,
            false if is_dead(looked.state) => {}
            false => return false,
        }
    }
    one_rests
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
pub(crate) fn brand_of(pid: i32) -> io::Result<Option<u64>> {
    let limits = about_a_process(std::fs::read_to_string(format!("/proc/{pid}/limits")))?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max realtime timeout"));
    Ok(line.and_then(|line| line.split_whitespace().next()?.parse().ok()))
}

/// What a process calls itself.
pub(crate) fn name_of(pid: i32) -> Option<String> {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}

/// Whether the environment that a process was started with has this entry.
pub(crate) fn has_entry(pid: i32, entry: &[u8]) -> io::Result<bool> {
    let environment = about_a_process(std::fs::read(format!("/proc/{pid}/environ")))?;
    Ok(environment.split(|byte| *byte == 0).any(|other| other == entry))
}

/// Whether the environment that a process was started with has this variable.
pub(crate) fn has_variable(pid: i32, name: &[u8]) -> io::Result<bool> {
    let environment = about_a_process(std::fs::read(format!("/proc/{pid}/environ")))?;
    let named = |entry: &[u8]| entry.strip_prefix(name).is_some_and(|rest| rest.starts_with(b"="));
    Ok(environment.split(|byte| *byte == 0).any(named))
}

/// A process and those it descends from.
pub(crate) fn line_of(pid: i32) -> Vec<i32> {
    let mut line = vec![pid];
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_look_like_the_rest_of_the_line() {
        let line = b"42 (a) R 1 (b) S 7 42 40 0 -1 4194560 101 0 0 0 0 0 0 0 20 0 3 0 987654 1 2 3";
        let seen = parse(line).expect("parses");
        let id = ProcessId { pid: 42, start_time: 987_654 };
        assert_eq!(seen, Seen { id, parent: 7, group: 42, session: 40, state: b'S', threads: 3 });
    }

    #[test]
    fn what_is_below_is_found_once_even_in_a_circle() {
        let seen = |pid, parent| Seen {
            id: ProcessId { pid, start_time: 1 },
            parent,
            group: 1,
            session: 1,
            state: b'S',
            threads: 1,
        };
        let all = vec![seen(2, 1), seen(3, 2), seen(4, 3), seen(1, 4), seen(5, 3), seen(6, 9)];
        let below = |except: &[i32]| -> Vec<i32> {
            let below = Snapshot { all: all.clone() }.below(1, except);
            below.iter().map(|seen| seen.id.pid).collect()
        };
        assert_eq!(below(&[]), [2, 3, 4, 5]);
        assert_eq!(below(&[4]), [2, 3, 5]);
        assert_eq!(below(&[2]), [0; 0]);
    }

    #[test]
    fn a_process_that_cannot_be_looked_at_is_not_gone() {
        let refused = io::Error::from_raw_os_error(libc::EMFILE);
        assert!(about_a_process::<usize>(Err(refused)).is_err());
        let gone = io::Error::from_raw_os_error(libc::ESRCH);
        assert_eq!(about_a_process::<usize>(Err(gone)).ok(), Some(0));
    }
}
