//! What is done to runs, and to what they ask, by whoever may: the same for a command as for the page.

pub(crate) mod control;
pub(crate) mod go_on;
pub(crate) mod message;
pub(crate) mod word;
