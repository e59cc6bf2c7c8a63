//! How much at once, and for how long.

use std::time::Duration;

/// The longest body that is read, in bytes.
pub(crate) const LONGEST_BODY: u64 = 256 * 1024;

/// The same for those of whom nobody knows yet who they are.
pub(crate) const LONGEST_KEY: u64 = 1024;

/// The longest head of a request, in bytes.
pub(crate) const LONGEST_HEAD: usize = 16 * 1024;

/// As they are for a person; stories have some of them shorter.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// Connections that were admitted.
    pub(crate) connections: usize,
    /// Connections of which it is not known yet whether they are. Any more are closed at once.
    pub(crate) undecided: usize,
    /// Connections that are told that they are not. They have no place that others need.
    pub(crate) turned_away: usize,
    /// Calls of the desk.
    pub(crate) calls: usize,
    /// In that time the head of a request must have come: the first one, and any after it.
    pub(crate) head: Duration,
    /// And in that time its body.
    pub(crate) body: Duration,
    /// So old a connection takes no more requests. Else one that reads no answer would stay.
    pub(crate) age: Duration,
    /// For so long it may then finish the answer that it is at, which may be one that is waited for.
    pub(crate) last_answer: Duration,
    /// The same when the page ends, which a person waits for.
    pub(crate) parting: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 64,
            undecided: 64,
            turned_away: 16,
            calls: 32,
            head: Duration::from_secs(15),
            body: Duration::from_secs(15),
            age: Duration::from_secs(5 * 60),
            last_answer: Duration::from_secs(40),
            parting: Duration::from_millis(750),
        }
    }
}
