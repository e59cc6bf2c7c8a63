//! A page for the browser of the person whose machine this is, and for nobody else.
//!
//! Knows: HTTP, who may come in, what browsers are told.
//! Does not know: runs, the journal, files, what a call means.
//!
//! There are no cookies, because a browser gives those of one port to every other port of the host. A
//! link brings a key that is good once; for it the page gets a token, which it sends along by itself.

mod answer;
mod assets;
mod desk;
mod leave;
mod limits;
mod manners;
mod page;
mod routes;
mod secrets;
mod visit;

#[cfg(test)]
mod stories;

pub use desk::{Code, Desk, Fault};
pub use leave::Leave;
pub use page::{OpenError, Page, PageHandle};
