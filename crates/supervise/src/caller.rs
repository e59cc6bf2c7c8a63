//! Who is at the other end of a connection, as far as can be told.

/// Who has the other end of a connection over loopback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The user who made the socket.
    pub user: u32,
    /// That is who we are.
    pub is_ours: bool,
    /// The processes that have it open, as far as one may look into them.
    pub holders: Vec<Holder>,
}

/// A process that has the other end open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its number.
    pub pid: i32,
    /// What it calls itself.
    pub name: String,
    /// The names of the programs that it descends from, the nearest first.
    pub above: Vec<String>,
    /// The number of the tree that it is in.
    pub tree: Option<u64>,
    /// Those names of `variables` that it was started with.
    pub variables: Vec<String>,
}
