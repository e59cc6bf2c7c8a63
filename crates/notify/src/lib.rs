//! How a notice is brought to a person: by a command that is run, or an address that is sent it.
//!
//! Knows: one try at either, and how long it may take.
//! Does not know: runs, what the notice says, configs, whether there is another try.

mod command;
mod webhook;

use std::time::Duration;

pub use command::run;
pub use webhook::post;

/// A notice as it is brought.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// One JSON document.
    pub document: Vec<u8>,
    /// The same in parts, for a command: the names and values of variables.
    pub variables: Vec<(String, String)>,
}

/// Why it was not brought.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{said}")]
pub struct Undelivered {
    /// What went wrong, in a line that has nothing in it for a terminal to act on.
    pub said: String,
    /// How long the other end wants to be left alone.
    pub not_before: Option<Duration>,
}

impl Undelivered {
    fn new(said: &str) -> Self {
        Self { said: line(said), not_before: None }
    }
}

/// What somebody else said, in a line to be shown.
fn line(said: &str) -> String {
    const LONGEST: usize = 300;
    let mut lines = said.lines().rev().map(str::trim);
    let last = lines.find(|line| !line.is_empty()).unwrap_or_default();
    last.chars().filter(|c| !c.is_control()).take(LONGEST).collect()
}
