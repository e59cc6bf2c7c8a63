//! The work tree of a run: made, carried, committed, shown, applied, kept, thrown away.
//!
//! Knows: git.
//! Does not know: runs' journals, processes of stages, Codex.
//!
//! Whoever works in a work tree may write what they like into it, and into what git keeps of it.
//! None of that makes a git of ours run anything or write elsewhere; see `git.rs` for how. For each
//! run there is one caller at a time that changes something; looking is free.

mod apply;
mod carry;
mod content;
mod diff;
mod error;
mod files;
mod git;
mod keep;
mod list;
mod make;
mod names;
mod repo;
mod side;
mod submodules;
mod worktree;

pub use apply::Applied;
pub use content::LeftOut;
pub use diff::{Change, ChangeKind, Changes, State};
pub use error::{Conflict, WorktreeError};
pub use keep::{Discard, Discarded, Snapshot, restore};
pub use list::{Kept, What, list, prune};
pub use make::{Made, Wish, make};
pub use repo::Repo;
pub use worktree::{Committed, Worktree};
