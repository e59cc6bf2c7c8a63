//! Caps: what somebody may do of network, files, environment and tools.
//!
//! A `CapsLayer` is what one place says; `Effective` is what all of them come to, which is never
//! more than any of them allows, and who said what. Paths are compared as they are written: who
//! gives them here has followed the links.

mod axis;
mod beyond;
mod delegate;
mod effective;
mod host;
mod layer;
mod logins;
mod names;
mod path;
mod pattern;
mod standing;
#[cfg(test)]
mod stories;
mod words;

pub use beyond::Beyond;
pub use delegate::DelegateTools;
pub use effective::{AsksForMore, CapsFrom, CapsOrigin, Effective, Standing, WrittenCaps};
pub use host::{BadHost, Host};
pub use layer::{
    CAPS, Caps, CapsLayer, EnvCaps, EnvLayer, FsCaps, FsLayer, NetworkCaps, NetworkLayer, ToolCaps,
    ToolLayer,
};
pub use logins::LOGINS;
pub use names::{Names, Table};
pub use path::{BadPath, CapPath, Granted, Places, Withheld};
pub use pattern::{BadPattern, DEFAULT_PORT, Endpoint, HostPattern, Hosts, Pins};
pub use words::{Caches, Inherit, NetworkMode, OnMissing, Tmp, UnixSockets, is_hook};
