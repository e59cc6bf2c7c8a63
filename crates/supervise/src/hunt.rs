//! Killing a tree that does not want to die.

use std::collections::HashSet;
use std::io;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::proc::{self, Seen};
use crate::record::ProcessId;
use crate::rung::Pen;
use crate::signal;

/// What a hunt came to.
#[derive(Debug, Default)]
pub(crate) struct Bag {
    /// Nobody is left, for certain.
    pub(crate) cleared: bool,
    /// How many processes were killed.
    pub(crate) killed: u32,
    /// Who was still there at the deadline, and why.
    pub(crate) left: Vec<i32>,
    pub(crate) reason: String,
}

/// Kills until `find` finds nobody, or the deadline has passed.
///
/// Everybody is stopped before anybody is killed: what is stopped forks no more, and what was
/// forked before is found by the next look. `reap` takes leave of the dead among the caller's
/// own children, which `find` goes on finding until then. Signals go to whole process groups too
/// where `owns_group` says that nobody else can be in the group of a process that was found.
pub(crate) fn hunt(
    pens: &[&Pen],
    mut find: impl FnMut() -> io::Result<Vec<Seen>>,
    owns_group: impl Fn(&Seen) -> bool,
    mut reap: impl FnMut(&[Seen]),
    deadline: Instant,
) -> Bag {
    let mut bag = Bag::default();
    let mut killed = HashSet::new();
    let mut pause = Duration::from_micros(500);
    loop {
        for pen in pens {
            pen.kill();
        }
        let prey = stop_all(&mut find, &owns_group).unwrap_or_default();
        for seen in &prey {
            match signal::send(seen.id, Signal::SIGKILL) {
                Ok(()) => {
                    if killed.insert(seen.id) {
                        bag.killed += 1;
                    }
                }
                Err(error) => bag.reason = format!("process {}: {error}", seen.id.pid),
            }
        }
        signal::send_to_groups(prey.iter().filter(|seen| owns_group(seen)), Signal::SIGKILL);
        reap(&find().unwrap_or_default());
        let me = proc::myself();
        let remains = |seen: &&Seen| !seen.is_zombie() || seen.parent == me;
        match find() {
            Ok(found) => {
                bag.left = found.iter().filter(remains).map(|seen| seen.id.pid).collect();
                bag.cleared = bag.left.is_empty() && !pens.iter().any(|pen| pen.is_populated());
            }
            Err(error) => bag.reason = format!("cannot look through /proc: {error}"),
        }
        if bag.cleared || Instant::now() >= deadline {
            // More than anybody reads, and than a frame takes.
            bag.left.truncate(100);
            return bag;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Stops everybody that can be found, until a look finds nobody new.
fn stop_all(
    find: &mut impl FnMut() -> io::Result<Vec<Seen>>,
    owns_group: &impl Fn(&Seen) -> bool,
) -> io::Result<Vec<Seen>> {
    let mut known: HashSet<ProcessId> = HashSet::new();
    let mut prey: Vec<Seen> = Vec::new();
    // Bounded, because something that forks faster than we look must still be killed.
    for _ in 0..50 {
        let found = find()?;
        let living = found.into_iter().filter(|seen| !seen.is_zombie());
        let new: Vec<Seen> = living.filter(|seen| known.insert(seen.id)).collect();
        if new.is_empty() {
            break;
        }
        for seen in &new {
            let _ = signal::send(seen.id, Signal::SIGSTOP);
        }
        signal::send_to_groups(new.iter().filter(|seen| owns_group(seen)), Signal::SIGSTOP);
        prey.extend(new);
    }
    Ok(prey)
}
