//! The way out of a sandbox: a proxy that reaches the hosts that are listed and no other, and
//! listeners that stand for one address of this machine each.
//!
//! Knows: HTTP and SOCKS as far as they name a host, the beginning of TLS, addresses that are near.
//! Does not know: runs, sandboxes, configs, the journal, async.
//!
//! It is given a socket that listens already, mostly one that was made in another network. Each
//! connection has one thread, and whoever is idle costs one that sleeps. A host is judged before its name
//! is looked up, in the same form in which it is then dialled; and it is dialled at the very
//! addresses that were looked at.

mod address;
mod client;
mod dial;
mod forward;
pub mod http;
mod judge;
mod news;
mod relay;
mod serve;
pub mod socks;
pub mod tls;
mod wire;

pub use address::is_near;
pub use forward::Forward;
pub use judge::{Asking, Denied, Policy, Rules};
pub use news::{Event, Said};
pub use serve::{Limits, Proxy, Resolve, Traffic};
