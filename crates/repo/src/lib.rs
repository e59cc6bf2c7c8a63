//! What a repository says about itself.
//!
//! Knows: config files and their layers, the pipelines written in them.
//! Does not know: SQL, processes' trees, terminals, async.

pub mod config;
