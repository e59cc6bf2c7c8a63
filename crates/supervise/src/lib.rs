//! Process trees: launched, frozen, stopped, and never left behind.
//!
//! Knows: processes, signals, cgroups, namespaces, pipes, file locks.
//! Does not know: runs, stages, SQL, async.
//!
//! ```text
//! runner ── guard ── shim ── command and all that comes of it
//! ```
//!
//! The runner is whoever calls [`Guard::start`]. The guard forks one shim a tree; the shim holds
//! the tree. Each link is also a lifeline, and each of the three ends the tree when the others
//! are killed: the shim when the runner dies, the guard when a shim does, the runner when both
//! do. When all three are, [`sweep`] does it.

mod guard;
mod hold;
mod holder;
mod hunt;
mod last_line;
mod launch;
mod leader;
mod output;
mod probe;
mod proc;
mod record;
mod report;
mod rung;
mod shim;
mod signal;
mod sweep;
mod sys;
mod tree;
mod wire;

pub use guard::{Guard, become_guard_if_asked};
pub use hold::{Hold, held, wait_until_free};
pub use holder::{is_stopped, kill_holder, wake_stopped_writer};
pub use launch::{Launch, LaunchError, Stdin};
pub use output::{Echo, Ends, Output};
pub use probe::{RungSpeed, RungTrial, probe};
pub use proc::boot_id;
pub use record::{Mark, ProcessId, TreeRecord};
pub use report::{Exit, TreeReport};
pub use rung::{Rung, RungChoice};
pub use sweep::{Refusal, Swept, sweep};
pub use tree::{Tree, TreeControl};
