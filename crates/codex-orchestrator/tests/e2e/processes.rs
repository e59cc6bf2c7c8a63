//! The processes there are, as the kernel tells of them.

use std::fs;

/// The living processes with that entry in their environment.
pub(crate) fn marked(mark: &str) -> Vec<i32> {
    let has = |pid: &i32| {
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.split(|&byte| byte == 0).any(|entry| entry == mark.as_bytes())
    };
    pids().into_iter().filter(has).collect()
}

fn pids() -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("/proc is there");
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// Those that a process has started, also the dead of whom it has not taken leave.
pub(crate) fn children(pid: i32) -> Vec<i32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let of = |task: fs::DirEntry| fs::read_to_string(task.path().join("children"));
    let all: Vec<String> = tasks.filter_map(|task| of(task).ok()).collect();
    all.iter().flat_map(|pids| pids.split_whitespace()).filter_map(|pid| pid.parse().ok()).collect()
}

/// A process as it was seen: its number may be given to another one later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Seen {
    pub(crate) pid: i32,
    parent: i32,
    begun: u64,
}

impl Seen {
    /// The process of that number, unless it is dead or waits to be taken leave of.
    pub(crate) fn at(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name before it may have anything in it, also brackets.
        let words: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        // A process whose first thread is dead has its locks until the last one is.
        let threads = || fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
        let alive = !matches!(*words.first()?, "Z" | "X") || threads() > 1;
        let begun = words.get(19)?.parse().ok()?;
        alive.then_some(Self { pid, parent: words.get(1)?.parse().ok()?, begun })
    }

    fn name(&self) -> String {
        let name = fs::read_to_string(format!("/proc/{}/comm", self.pid)).unwrap_or_default();
        name.trim_end().to_owned()
    }

    pub(crate) fn lives(&self) -> bool {
        Self::at(self.pid).is_some_and(|now| now.begun == self.begun)
    }
}

/// Whom a runner has under it.
#[derive(Debug, Default)]
pub(crate) struct Family {
    /// The guards and the shims, by the names that they go by.
    pub(crate) guards: Vec<Seen>,
    pub(crate) shims: Vec<Seen>,
    /// Everybody, those two as well.
    pub(crate) all: Vec<Seen>,
}

impl Family {
    /// The descendants of the process, as they are at this moment.
    pub(crate) fn of(runner: i32) -> Self {
        let all: Vec<Seen> = pids().into_iter().filter_map(Seen::at).collect();
        let mut family = Self::default();
        let mut parents = vec![runner];
        while !parents.is_empty() {
            let young: Vec<Seen> =
                all.iter().filter(|seen| parents.contains(&seen.parent)).copied().collect();
            for seen in &young {
                match seen.name().as_str() {
                    "orch-guard" => family.guards.push(*seen),
                    "orch-shim" => family.shims.push(*seen),
                    _ => {}
                }
            }
            parents = young.iter().map(|seen| seen.pid).collect();
            family.all.extend(young);
        }
        family
    }
}
