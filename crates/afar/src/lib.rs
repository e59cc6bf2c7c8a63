//! An MCP server that is reached by HTTP, spoken with as if it were a program: in lines.
//!
//! Knows: the streamable HTTP transport of the Model Context Protocol, and how much and how long it may
//! take.
//! Does not know: which messages may pass, runs, where secrets come from.

mod events;
mod relay;
mod session;

pub use relay::relay;

/// Where a server is, and what it is told with each request. Nobody is told of the headers.
#[derive(Clone)]
pub struct Remote {
    /// Its address.
    pub url: String,
    /// Names and values of headers.
    pub headers: Vec<(String, String)>,
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&String> = self.headers.iter().map(|(name, _)| name).collect();
        out.debug_struct("Remote").field("headers", &names).finish_non_exhaustive()
    }
}

/// A message that is longer than that, in bytes, is not heard.
const LONGEST: u64 = 16 * 1024 * 1024;
