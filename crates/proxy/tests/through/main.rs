//! What goes through a proxy and what does not, with servers that are really there.
//!
//! Every server is on this machine, which is near; so its name is pinned, as a person would.

mod asking;
mod clients;
mod forwarding;
mod fuzz;
mod limits;
mod numbers;
mod place;
mod plain;
mod sockses;
mod tunnels;
