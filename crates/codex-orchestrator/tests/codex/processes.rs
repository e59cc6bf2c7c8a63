//! The processes of a desk, which are all that have its home for their own.

use std::{fs, path::Path};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// A process as it was seen: its number may be given to another one later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) pid: i32,
    begun: u64,
}

impl Seen {
    /// The process of that number, unless it is dead or waits to be taken leave of.
    pub(crate) fn at(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name before it may have anything in it, also brackets.
        let words: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let alive = !matches!(*words.first()?, "Z" | "X");
        alive.then_some(Self { pid, begun: words.get(19)?.parse().ok()? })
    }

    pub(crate) fn lives(&self) -> bool {
        Self::at(self.pid).is_some_and(|now| now.begun == self.begun)
    }
}

/// The living processes below that one, as they are at this moment.
pub(crate) fn below(pid: i32) -> Vec<Seen> {
    let entries = fs::read_dir("/proc").expect("/proc is there");
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let all: Vec<(i32, Seen)> =
        pids.filter_map(|pid| Some((parent(pid)?, Seen::at(pid)?))).collect();
    let mut found: Vec<Seen> = Vec::new();
    let mut parents = vec![pid];
    while !parents.is_empty() {
        let young = all.iter().filter(|(parent, _)| parents.contains(parent));
        let young: Vec<Seen> = young.map(|(_, seen)| *seen).collect();
        parents = young.iter().map(|seen| seen.pid).collect();
        found.extend(young);
    }
    found
}

fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// The living processes whose home that is.
pub(crate) fn at_home(home: &Path) -> Vec<i32> {
    let mark = format!("HOME={}", home.display());
    let has = |pid: &i32| {
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.split(|&byte| byte == 0).any(|entry| entry == mark.as_bytes())
    };
    let entries = fs::read_dir("/proc").expect("/proc is there");
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(has).collect()
}

/// Kills them, and those that they start meanwhile.
pub(crate) fn clear(home: &Path) {
    for _ in 0..5 {
        for pid in at_home(home) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}
