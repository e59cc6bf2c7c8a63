//! How far what comes from a thread may be ahead of what is made of it.
//!
//! An app-server that says more than can be heard is to wait, as it would for any reader that is slow,
//! and not to fill the memory of its runner. The rest of what the runner hears comes seldom.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How many bytes may be read and not heard yet. One line may be longer than that, alone.
const MOST: usize = 8 << 20;

/// What a line takes beside its bytes.
const LINE: usize = 128;

/// See the module. Whoever reads takes room, whoever hears gives it back.
#[derive(Debug)]
pub(crate) struct Headroom {
    most: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    taken: usize,
    /// Nobody hears anything any more.
    over: bool,
}

impl Headroom {
    pub(crate) fn new() -> Self {
        Self { most: MOST, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Waits until there is room for a line of that length, or nobody hears it any more.
    pub(crate) fn take(&self, length: usize) {
        let wanted = length.saturating_add(LINE);
        let full = |state: &mut State| {
            !state.over && state.taken > 0 && state.taken.saturating_add(wanted) > self.most
        };
        let state = self.changed.wait_while(self.state(), full);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        state.taken = state.taken.saturating_add(wanted);
    }

    /// A line of that length was heard.
    pub(crate) fn give_back(&self, length: usize) {
        let mut state = self.state();
        state.taken = state.taken.saturating_sub(length.saturating_add(LINE));
        self.changed.notify_all();
    }

    /// Nobody hears anything any more, so that nobody waits.
    pub(crate) fn close(&self) {
        self.state().over = true;
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            atomic::{AtomicUsize, Ordering},
            mpsc,
        },
        thread,
        time::Duration,
    };

    use super::*;

    /// More than any of this takes.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn of(lines: usize) -> Headroom {
        Headroom { most: lines * (LINE + 1), ..Headroom::new() }
    }

    #[test]
    fn who_reads_is_never_further_ahead_than_there_is_room() {
        let (room, read) = (of(3), AtomicUsize::new(0));
        thread::scope(|scope| {
            let (send, lines) = mpsc::channel();
            let (room, read) = (&room, &read);
            scope.spawn(move || {
                for _ in 0..1000 {
                    room.take(1);
                    read.fetch_add(1, Ordering::SeqCst);
                    let _ = send.send(());
                }
            });
            for heard in 0..1000 {
                let line = lines.recv_timeout(PATIENCE);
                // So that nobody waits for ever where this fails.
                let ahead = read.load(Ordering::SeqCst) - heard;
                if line.is_err() || ahead > 3 {
                    room.close();
                }
                assert!(line.is_ok() && ahead <= 3, "{ahead} after {heard}: {line:?}");
                room.give_back(1);
            }
        });
    }

    #[test]
    fn a_line_that_is_longer_than_all_room_is_read_alone() {
        let room = of(1);
        room.take(1000);
        room.give_back(1000);
        room.take(1);
        assert_eq!(room.state().taken, 1 + LINE);
    }

    #[test]
    fn nobody_waits_for_a_listener_that_is_gone() {
        let room = of(1);
        room.take(1);
        room.close();
        room.take(1);
    }
}
