//! The MCP server by which a Codex session delegates work.
//!
//! Knows: the Model Context Protocol, what its tools take and give, who is calling.
//! Does not know: argv, terminals, how runs are run.
