//! Carries decisions out: joins the model, the store and the process trees.
//!
//! Knows: how a run is started, run, looked at, asked for something, and recovered after a crash;
//! how runs ask, and who hears of it; how a person is told, by whatever tells them.
//! Does not know: argv, terminals, config files, MCP.
//!
//! A run is its runner: `run` holds the run's lock and is the only one that writes its events
//! while it lives. Everybody else reads the journal, and asks by writing a request into it.

mod account;
mod across;
mod ask;
mod asked;
mod caches;
mod channel;
mod conversation;
mod detach;
mod door;
mod ear;
mod edge;
mod error;
mod follow;
mod gate;
mod headroom;
mod kin;
mod live;
mod look;
mod notices;
mod questions;
mod quiet;
mod recover;
mod runner;
mod session;
mod signals;
mod spawn;
mod stage_env;
mod standing;
mod wait;

pub use across::{Across, Ends, Held, RemoteServer, ToolLeave};
pub use ask::{Asked, Patience};
pub use caches::{Idle, StoredCaches};
pub use channel::{
    ASKED, Bidding, NOT_GRANTED, REFUSED, SaidOfTools, Told, Withheld, connect, number_of,
};
pub use codex::Elicitation;
pub use detach::{Order, detach, take_order};
pub use ear::{Ear, Nudge, wait_with};
pub use edge::{hostname, new_question_id, new_run_id, now};
pub use error::EngineError;
pub use follow::Hearer;
pub use kin::Kin;
pub use look::{Access, Engine, Snapshot, foreign_manifest};
pub use notices::{NoticeFacts, Teller, Try, notify_by, tell_people};
pub use questions::question_id_of;
pub use recover::Finding;
pub use runner::{NOBODY, Progress, RunnerSetup, Undertaking, Watcher, remedy, run};
pub use signals::{Interruption, Signals, stop_here};
pub use spawn::Spawned;
pub use wait::{WaitFor, Waited};
