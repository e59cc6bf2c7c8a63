//! Processes, as `/proc` shows them.

use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::sys::time::TimeValLike;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

pub(super) struct Process {
    pub(super) pid: u32,
    parent: u32,
    /// The first fifteen letters of the program's name.
    pub(super) name: String,
}

/// Memory of some processes together, in mebibytes.
#[derive(Clone, Copy, Default)]
pub(super) struct Memory {
    /// Pages that are there, counted for each process that has them.
    pub(super) resident: f64,
    /// The same, with a shared page divided among those who share it.
    pub(super) proportional: f64,
}

/// Everything that descends from this process. Orphans come to it, so nothing is missing.
pub(super) fn below_us() -> Vec<Process> {
    let mut others = everything();
    let mut found: Vec<Process> = Vec::new();
    let mut parents = vec![std::process::id()];
    while let Some(parent) = parents.pop() {
        let children = others.extract_if(.., |process| process.parent == parent);
        let children: Vec<_> = children.collect();
        parents.extend(children.iter().map(|child| child.pid));
        found.extend(children);
    }
    found
}

fn everything() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(process)
        .collect()
}

fn process(pid: u32) -> Option<Process> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in brackets and may hold brackets and blanks itself.
    let (open, close) = (stat.find('(')?, stat.rfind(')')?);
    let parent = stat[close + 1..].split_whitespace().nth(1)?.parse().ok()?;
    Some(Process { pid, parent, name: stat[open + 1..close].to_owned() })
}

/// Memory of these processes; one that has just ended has none.
pub(super) fn memory<'a>(processes: impl IntoIterator<Item = &'a Process>) -> Memory {
    let mut total = Memory::default();
    for process in processes {
        let rollup = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", process.pid));
        for line in rollup.unwrap_or_default().lines() {
            let mut words = line.split_whitespace();
            let (key, kibibytes) =
                (words.next(), words.next().and_then(|word| word.parse::<f64>().ok()));
            match (key, kibibytes) {
                (Some("Rss:"), Some(kibibytes)) => total.resident += kibibytes / 1024.0,
                (Some("Pss:"), Some(kibibytes)) => total.proportional += kibibytes / 1024.0,
                _ => {}
            }
        }
    }
    total
}

/// Seconds of processor time that ended children took, with all they waited for.
pub(super) fn processor_seconds() -> f64 {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) else { return f64::NAN };
    let microseconds =
        usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(microseconds.unsigned_abs()).as_secs_f64()
}

/// Ends what is left below us, and waits until it has. Only between rows, when nothing of a
/// measurement is running.
pub(super) fn end_orphans() {
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline {
        for process in below_us() {
            if let Ok(pid) = i32::try_from(process.pid) {
                // It may have ended since we looked.
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        if waitpid(None, Some(WaitPidFlag::WNOHANG)).is_err() {
            return; // No children any more.
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{below_us, memory};

    #[test]
    fn a_child_is_below_us_and_has_memory_until_it_ends() -> std::io::Result<()> {
        let mut child = Command::new("sleep").arg("60").spawn()?;
        let found = || below_us().into_iter().find(|process| process.pid == child.id());
        let before = found().map(|process| memory([&process]).resident > 0.0);
        child.kill()?;
        child.wait()?;
        let after = below_us().into_iter().any(|process| process.pid == child.id());
        assert_eq!((before, after), (Some(true), false));
        Ok(())
    }
}
