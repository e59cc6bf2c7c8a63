//! The MCP server by which a Codex session delegates work.
//!
//! Knows: the Model Context Protocol, what its tools take and give, who is calling and what they may.
//! Does not know: argv, terminals, how runs are run.

mod bridge;
mod caller;
mod calls;
mod confirm;
mod denials;
mod desk;
mod engines;
mod fault;
mod forms;
mod guard;
mod mode;
mod names;
mod serve;
mod server;
mod tools;
mod typed;

pub use bridge::{Answered, Answers, Grants, Greeting, News, Regrants, Why, bridge};
pub use caller::Station;
pub use calls::{Calls, Stop};
pub use confirm::Action;
pub use desk::Setup;
pub use serve::serve;
pub use server::Delegate;
pub use tools::Leave;
pub use typed::{NoLeave, Typist, Wish, leave_to_start};
