//! Whole conversations with a server, on real pipes and sockets.

mod any;
mod bad_input;
mod calls;
mod chance;
mod demo;
mod ends;
mod fuzz;
mod revisions;
mod talk;
