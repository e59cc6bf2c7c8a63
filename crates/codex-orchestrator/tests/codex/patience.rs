//! Waiting for facts, never for time.

use std::time::{Duration, Instant};

/// How long a fact may take to come about on a machine that is busy with other tests.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Waits until there is something, and gives it. What else is known then is only asked for when
/// nothing came.
#[track_caller]
pub(crate) fn until<T>(
    what: &str,
    known: impl FnOnce() -> String,
    mut look: impl FnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + LONG;
    loop {
        if let Some(found) = look() {
            return found;
        }
        if Instant::now() >= deadline {
            panic!("{what}: not within {LONG:?}\n{}", known());
        }
        std::thread::park_timeout(Duration::from_millis(3));
    }
}

/// Waits until it is so.
#[track_caller]
pub(crate) fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    until(what, String::new, || is_so().then_some(()));
}
