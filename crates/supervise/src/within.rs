//! Which tree a process is in, told by what it inherited and cannot have by accident.

use crate::proc;
use crate::record::Mark;
use crate::shim;

/// The number of the tree that this process is in; `None` outside of every tree, and where the
/// tree could not be given one.
#[must_use]
pub fn tree_here() -> Option<u64> {
    tree_of(proc::myself())
}

/// The number that the nearest shim above a process has, else its own: a process may take another
/// number, and cannot take itself from under its shim.
pub(crate) fn tree_of(pid: i32) -> Option<u64> {
    let shim = proc::line_of(pid).into_iter().find(|above| {
        proc::name_of(*above).is_some_and(|name| name.as_bytes() == shim::NAME.to_bytes())
    });
    let number = |pid| proc::brand_of(pid).ok().flatten().filter(|number| Mark::is_brand(*number));
    shim.and_then(number).or_else(|| number(pid))
}

/// The names of the programs that this process descends from, the nearest first.
#[must_use]
pub fn programs_above() -> Vec<String> {
    let above = proc::line_of(proc::myself()).into_iter().skip(1);
    above.filter_map(proc::name_of).collect()
}
