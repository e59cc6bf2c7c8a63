//! How long a call may wait.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

type Wake = Box<dyn FnOnce() + Send>;

/// Tells a call that waits that nobody waits for it any more: its client is gone, or the page ends.
#[derive(Clone, Default)]
pub struct Leave(Arc<Mutex<State>>);

enum State {
    Given(Vec<Wake>),
    Over,
    /// The call has answered, so that there is nobody to be told.
    Used,
}

impl Default for State {
    fn default() -> State {
        State::Given(Vec::new())
    }
}

impl Leave {
    /// Whether nobody waits any more.
    pub fn is_over(&self) -> bool {
        matches!(*self.state(), State::Over)
    }

    /// Has `wake` called once nobody waits any more, which may be now. It is called on a thread that has
    /// other things to do, so it must not block, and possibly while the call returns, so it owns what
    /// it uses. Once the call has returned it is dropped instead.
    pub fn on_over(&self, wake: impl FnOnce() + Send + 'static) {
        match &mut *self.state() {
            State::Given(wakes) => return wakes.push(Box::new(wake)),
            State::Used => return,
            State::Over => {}
        }
        wake();
    }

    pub(crate) fn end(&self) {
        self.turn(State::Over, |wakes| wakes.into_iter().for_each(|wake| wake()));
    }

    pub(crate) fn use_up(&self) {
        self.turn(State::Used, drop);
    }

    /// What was to be called is handed on with nothing locked: it may ask whether this is over.
    fn turn(&self, into: State, with: impl FnOnce(Vec<Wake>)) {
        let mut state = self.state();
        let State::Given(wakes) = &mut *state else { return };
        let wakes = std::mem::take(wakes);
        *state = into;
        drop(state);
        with(wakes);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Leave {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Leave").field("is_over", &self.is_over()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::Leave;

    fn told(tell: impl FnOnce(&Leave), then: impl FnOnce(&Leave)) -> bool {
        let (leave, (sender, told)) = (Leave::default(), mpsc::channel());
        tell(&leave);
        let again = leave.clone();
        leave.on_over(move || sender.send(again.is_over()).unwrap());
        then(&leave);
        told.try_recv().unwrap_or(false)
    }

    #[test]
    fn whoever_waits_is_told_that_it_is_over() {
        assert!(told(|_| (), Leave::end));
    }

    #[test]
    fn whoever_comes_late_is_told_at_once() {
        assert!(told(Leave::end, |_| ()));
    }

    #[test]
    fn nobody_is_told_before_or_after_the_call() {
        assert!(!told(|_| (), |_| ()));
        assert!(!told(|_| (), |leave| (leave.use_up(), leave.end()).0));
        assert!(!told(Leave::use_up, Leave::end));
    }
}
