//! Process trees: launched, frozen, stopped, and never left behind.
//!
//! Knows: processes, signals, cgroups, namespaces, mounts, filters, pipes, file locks.
//! Does not know: runs, stages, SQL, async.
//!
//! ```text
//! runner ── guard ── shim ── command and all that comes of it
//! ```
//!
//! The runner is whoever calls [`Guard::start`]. The guard forks one shim a tree; the shim holds
//! the tree. Each link is also a lifeline, and each of the three ends the tree when the others
//! are killed: the shim when the runner dies, the guard when a shim does, the runner when both
//! do. When all three are, [`sweep()`] does it.
//!
//! All of this is Linux so far. Elsewhere the names exist and say that they do nothing.

#![cfg_attr(
    not(target_os = "linux"),
    expect(dead_code, reason = "what the Linux modules use of the common ones")
)]

mod caller;
mod launch;
mod record;
mod report;
mod rung;
mod sandbox;

#[cfg(target_os = "linux")]
mod guard;
#[cfg(target_os = "linux")]
mod hold;
#[cfg(target_os = "linux")]
mod holder;
#[cfg(target_os = "linux")]
mod hunt;
#[cfg(target_os = "linux")]
mod last_line;
#[cfg(target_os = "linux")]
mod leader;
#[cfg(target_os = "linux")]
mod loopback;
#[cfg(target_os = "linux")]
mod output;
#[cfg(target_os = "linux")]
mod plan;
#[cfg(target_os = "linux")]
mod probe;
#[cfg(target_os = "linux")]
mod proc;
#[cfg(target_os = "linux")]
mod shim;
#[cfg(target_os = "linux")]
mod signal;
#[cfg(target_os = "linux")]
mod sweep;
#[cfg(target_os = "linux")]
mod sys;
#[cfg(target_os = "linux")]
mod tree;
#[cfg(target_os = "linux")]
mod wire;
#[cfg(target_os = "linux")]
mod within;

#[cfg(not(target_os = "linux"))]
mod elsewhere;

pub use caller::{Caller, Holder};
#[cfg(not(target_os = "linux"))]
pub use elsewhere::{
    Caged, Guard, Hold, Output, Tree, TreeControl, become_guard_if_asked, boot_id, held,
    is_stopped, kill_holder, loopback_caller, probe, probe_cages, programs_above, sweep, tree_here,
    wait_until_free, wake_stopped_holder, wake_stopped_writer,
};
pub use launch::{Echo, Ends, Launch, LaunchError, Stdin};
pub use record::{Mark, ProcessId, TreeRecord};
pub use report::{Exit, Refusal, RungSpeed, RungTrial, Swept, TreeReport};
pub use rung::{Rung, RungChoice};
pub use sandbox::{
    Cache, CacheReport, CacheWay, Caches, Cage, CageReport, CageTrial, Guarantee, Net, Profile,
    Proof, Refused, Standing, UnixSockets, Walls,
};
#[cfg(target_os = "linux")]
pub use {
    guard::{Guard, become_guard_if_asked},
    hold::{Hold, held, wait_until_free},
    holder::{is_stopped, kill_holder, wake_stopped_holder, wake_stopped_writer},
    loopback::loopback_caller,
    output::Output,
    probe::probe,
    proc::boot_id,
    sandbox::{Caged, probe_cages},
    sweep::sweep,
    tree::{Tree, TreeControl},
    within::{programs_above, tree_here},
};
