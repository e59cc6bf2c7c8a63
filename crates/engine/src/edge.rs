//! The clock, chance, and the names of this machine: read here and nowhere else.

use std::time::{SystemTime, UNIX_EPOCH};

use model::{QuestionId, RunId, Runner, Timestamp};

/// The time of day. It may jump, so that nothing waits for it.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "here and nowhere else")]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// A number that nobody has had before.
pub(crate) fn random() -> u128 {
    let mut bytes = [0; 16];
    // Without a source of chance, the clock and the process are different enough for a name.
    if getrandom::fill(&mut bytes).is_err() {
        let now = now().as_millis().unsigned_abs();
        bytes[..8].copy_from_slice(&now.to_le_bytes());
        bytes[8..12].copy_from_slice(&std::process::id().to_le_bytes());
    }
    u128::from_le_bytes(bytes)
}

/// A name for a run that begins now.
#[must_use]
pub fn new_run_id() -> RunId {
    let [a, b, c, d, ..] = random().to_le_bytes();
    RunId::new(now(), u32::from_le_bytes([a, b, c, d]))
}

/// A name for a question that is asked now.
#[must_use]
pub fn new_question_id() -> QuestionId {
    QuestionId::new(random() as u64)
}

/// What this machine calls itself.
#[must_use]
pub fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// This process, as a runner.
pub(crate) fn this_runner() -> Runner {
    let boot_id = supervise::boot_id().unwrap_or_default();
    Runner { pid: std::process::id(), boot_id, hostname: hostname() }
}
