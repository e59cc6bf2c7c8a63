//! Signals to the runner, as messages.

use std::{io, thread::JoinHandle};

use signal_hook::{
    consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGTSTP, SIGWINCH},
    iterator::{Handle, Signals as Caught},
};

/// What a person, or the system, wants of the runner at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// Ctrl-C.
    Interrupt,
    /// It should end: `kill`, or the machine is going down.
    Terminate,
    /// Its terminal was closed.
    HangUp,
    /// Ctrl-Z.
    Stop,
    /// It goes on after having been stopped.
    Continue,
    /// The terminal has another size.
    Resized,
}

/// Catches signals for as long as it lives.
#[derive(Debug)]
pub struct Signals {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Signals {
    /// Tells `hear` of every signal, from a thread of its own.
    ///
    /// # Errors
    ///
    /// When the handlers cannot be set.
    pub fn catch(hear: impl Fn(Interruption) + Send + 'static) -> io::Result<Self> {
        let mut caught = Caught::new([SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGCONT, SIGWINCH])?;
        let handle = caught.handle();
        let listen = move || {
            for signal in caught.forever() {
                hear(match signal {
                    SIGINT => Interruption::Interrupt,
                    SIGTERM => Interruption::Terminate,
                    SIGHUP => Interruption::HangUp,
                    SIGTSTP => Interruption::Stop,
                    SIGCONT => Interruption::Continue,
                    _ => Interruption::Resized,
                });
            }
        };
        let thread = std::thread::Builder::new().name("signals".to_owned()).spawn(listen)?;
        Ok(Self { handle, thread: Some(thread) })
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Stops this process, as Ctrl-Z does to a program that does not mind. Comes back when it goes on.
pub fn stop_here() {
    let _ = signal_hook::low_level::raise(signal_hook::consts::SIGSTOP);
}
