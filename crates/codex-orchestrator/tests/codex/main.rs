//! The stock Codex client, at the version in `version`, with our server among its own: what its
//! user sees, what its model is told, and what becomes of a delegated run when the client is
//! interrupted, killed or gone.
//!
//! The client is the real one, and so are we. The model is a script that listens on loopback, and
//! everything else is a desk of the test's own: a home, a repository, a folder for programs. Where
//! `scripts/setup --tests` could not install the client, each test says that it was skipped.

mod agents;
mod app_server;
#[path = "../page/browser.rs"]
#[expect(dead_code, reason = "stories of another binary need more of it")]
mod browser;
#[path = "../e2e/chance.rs"]
mod chance;
mod client;
#[path = "../e2e/confined.rs"]
mod confined;
mod costs;
mod cuts;
mod desk;
mod documents;
mod environment;
mod faults;
mod forms;
mod grants;
mod homes;
mod issuer;
mod kills;
mod logins;
mod model;
#[path = "../e2e/opened.rs"]
#[expect(dead_code, reason = "stories of another binary need more of it")]
mod opened;
mod page;
mod patience;
#[path = "../page/pipe.rs"]
mod pipe;
mod processes;
mod questions;
mod reach;
mod registration;
mod server;
mod standing;
mod story;
mod survival;
mod talk;
mod thread;
mod threads;
mod tools;
mod tour;
mod waits;
mod wishes;
mod workflow;
