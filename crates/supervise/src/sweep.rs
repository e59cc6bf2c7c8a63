//! Ending what is left of trees whose runner, guard and shims were all killed.

use std::collections::HashSet;
use std::io;
use std::time::Instant;

use crate::guard::leaf_prefix;
use crate::hunt::hunt;
use crate::proc::{self, Seen, Snapshot};
use crate::record::{Mark, TreeRecord};
use crate::report::{Refusal, Swept};
use crate::rung::{Leaf, Pen, Places};

/// Kills what is left of trees, until nothing is or `deadline` has passed.
///
/// The caller holds the run's lock, so no runner of the run lives. Processes are known by their
/// number together with their start time, by what they inherited from `mark`, by their cgroup,
/// and by descending from one of these. This process and those it descends from are spared.
pub fn sweep(records: &[TreeRecord], mark: &Mark, deadline: Instant) -> Swept {
    let mut swept = Swept::default();
    let mut valid = Vec::new();
    for (at, record) in records.iter().enumerate() {
        match refusal(record) {
            Some(refusal) => swept.refused.push((at, refusal)),
            None => valid.push(record),
        }
    }
    // The mark of a run that was here before a restart finds nothing, but neither should it look.
    if valid.is_empty() && !records.is_empty() {
        return swept;
    }
    let spared = proc::line_of(proc::myself());
    let recorded: HashSet<_> =
        valid.iter().flat_map(|record| [record.guard, record.shim, record.leader]).collect();
    let (brand, entry) = (mark.number(), mark.entry());
    let is_left = |seen: &Seen| -> io::Result<bool> {
        Ok(recorded.contains(&seen.id)
            || proc::brand_of(seen.id.pid)? == Some(brand)
            || proc::has_entry(seen.id.pid, &entry)?)
    };
    let find = || {
        let snapshot = Snapshot::take()?;
        let mut roots: Vec<Seen> = Vec::new();
        for seen in snapshot.all.iter().filter(|seen| !spared.contains(&seen.id.pid)) {
            if is_left(seen)? {
                roots.push(*seen);
            }
        }
        let mut found = roots.clone();
        let mut met: HashSet<_> = roots.iter().map(|seen| seen.id).collect();
        for root in &roots {
            let below = snapshot.below(root.id.pid, &spared);
            found.extend(below.into_iter().filter(|seen| met.insert(seen.id)));
        }
        // The dead are for their parents to take leave of.
        found.retain(|seen| !seen.is_zombie());
        Ok(found)
    };
    let pens = pens(&valid, brand);
    let pens: Vec<&Pen> = pens.iter().collect();
    // A process that somebody gave the mark by hand may share a group with anybody.
    let spared_groups: Vec<i32> =
        spared.iter().filter_map(|pid| proc::look(*pid)).map(|seen| seen.group).collect();
    let owns_group = |seen: &Seen| {
        !spared_groups.contains(&seen.group)
            && proc::brand_of(seen.id.pid).is_ok_and(|other| other == Some(brand))
    };
    let bag = hunt(&pens, find, owns_group, |_| {}, deadline);
    if bag.cleared {
        pens.iter().for_each(|pen| pen.remove());
    }
    Swept { killed: bag.killed, left: bag.left, reason: bag.reason, ..swept }
}

fn refusal(record: &TreeRecord) -> Option<Refusal> {
    if proc::boot_id().ok()? != record.boot_id {
        Some(Refusal::OtherBoot)
    } else if proc::pid_namespace().ok()? != record.pid_namespace {
        Some(Refusal::OtherNamespace)
    } else if nix::unistd::geteuid().as_raw() != record.uid {
        Some(Refusal::OtherUser)
    } else {
        None
    }
}

/// The leaves that were recorded, and those of trees that died before they could be.
fn pens(records: &[&TreeRecord], brand: u64) -> Vec<Pen> {
    let mut pens = Vec::new();
    for record in records {
        pens.push(Pen::recorded(record.rung, record.cgroup.as_deref()));
    }
    let prefix = leaf_prefix(brand);
    let places = Places::find();
    let named = |dirs: &[std::path::PathBuf], pen: fn(Leaf) -> Pen| -> Vec<Pen> {
        let entries = dirs.iter().filter_map(|dir| std::fs::read_dir(dir).ok()).flatten().flatten();
        let ours = entries.filter(|entry| {
            entry.file_name().to_str().is_some_and(|name| name.starts_with(&prefix))
        });
        ours.map(|entry| pen(Leaf::found(&entry.path()))).collect()
    };
    pens.extend(named(&places.cgroup2, Pen::Cgroup2));
    pens.extend(named(&places.freezer1, Pen::Freezer1));
    pens
}
