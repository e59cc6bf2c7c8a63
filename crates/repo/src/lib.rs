//! What a repository says about itself.
//!
//! Knows: where its root and its work tree are, what is checked out, and what kind of project
//! it holds.
//! Does not know: SQL, process trees, terminals, async; the environment comes in as arguments.

pub mod git;
pub mod locate;
pub mod survey;
