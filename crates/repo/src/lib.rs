//! What a repository says about itself.
//!
//! Knows: where its root and its work tree are, what is checked out, what kind of project it
//! holds; config files and their layers, and the pipelines written in them; what of all that a new
//! run is started with.
//! Does not know: SQL, process trees, terminals, async; the environment comes in as arguments.

pub mod committed;
pub mod config;
pub mod git;
pub mod locate;
pub mod prepare;
pub mod survey;
