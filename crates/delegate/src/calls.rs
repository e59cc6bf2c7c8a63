//! Calls that block a thread of their own, so that the server goes on answering meanwhile.

use std::{
    fmt,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rmcp::{ErrorData, RoleServer, model::ErrorCode, service::RequestContext};
use tokio::sync::Semaphore;

/// As many calls as this may block at once. One more is refused: it could only wait for another
/// to end, and no call waits for another.
pub(crate) const MOST: usize = 500;

const TOO_MANY: ErrorCode = ErrorCode(-32000);

/// The calls of one server that block.
#[derive(Clone, Debug)]
pub struct Calls {
    places: Arc<Semaphore>,
}

impl Default for Calls {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(MOST)) }
    }
}

impl Calls {
    /// Does `work` on a thread of its own and gives what comes of it.
    ///
    /// The stop that `work` gets fires when the client cancels the call, and when the client or
    /// the server goes away. Nobody can end a thread: a server that ends waits only a moment for
    /// work that does not mind its stop.
    ///
    /// # Errors
    ///
    /// When too many calls are open, and when `work` panics.
    pub async fn run<T: Send + 'static>(
        &self,
        call: &RequestContext<RoleServer>,
        work: impl FnOnce(&Stop) -> T + Send + 'static,
    ) -> Result<T, ErrorData> {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            let words = format!("{MOST} calls are open; cancel some, or wait for them to end");
            return Err(ErrorData::new(TOO_MANY, words, None));
        };
        let stop = Stop::default();
        let theirs = stop.clone();
        let mut done = tokio::task::spawn_blocking(move || {
            let result = work(&theirs);
            theirs.forget();
            drop(place);
            result
        });
        // The server may drop this call as well as cancel it.
        let _fires = FiresWhenDropped(stop.clone());
        let done = tokio::select! {
            done = &mut done => done,
            () = call.ct.cancelled() => {
                stop.fire();
                done.await
            }
        };
        done.map_err(|error| ErrorData::internal_error(format!("the call failed: {error}"), None))
    }
}

/// Tells work that nobody waits for it any more.
#[derive(Clone, Default)]
pub struct Stop(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    fired: Condvar,
}

#[derive(Default)]
struct State {
    fired: bool,
    then: Vec<Box<dyn FnOnce() + Send>>,
}

impl Stop {
    /// Whether it has fired.
    pub fn stopped(&self) -> bool {
        self.state().fired
    }

    /// Sees to it that `then` is done once, as soon as it fires; at once if it has. To wake a
    /// thread that waits for something else than this. It must not block.
    pub fn on_stop(&self, then: impl FnOnce() + Send + 'static) {
        let mut state = self.state();
        if state.fired {
            drop(state);
            then();
        } else {
            state.then.push(Box::new(then));
        }
    }

    /// Waits until it fires, but not longer than that. Says whether it has.
    pub fn wait(&self, longest: Duration) -> bool {
        let waited = self.0.fired.wait_timeout_while(self.state(), longest, |state| !state.fired);
        waited.unwrap_or_else(PoisonError::into_inner).0.fired
    }

    fn fire(&self) {
        let mut state = self.state();
        state.fired = true;
        let then = std::mem::take(&mut state.then);
        drop(state);
        self.0.fired.notify_all();
        then.into_iter().for_each(|then| then());
    }

    /// The work is done: nothing is to be woken any more.
    fn forget(&self) {
        self.state().then.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stop").field(&self.stopped()).finish()
    }
}

struct FiresWhenDropped(Stop);

impl Drop for FiresWhenDropped {
    fn drop(&mut self) {
        self.0.fire();
    }
}
