//! What is to be seen of runs and of what they ask, as values: commands print them, and so do machines
//! get them.

pub(crate) mod diff;
pub(crate) mod inbox;
pub(crate) mod overview;
pub(crate) mod own_tree;
pub(crate) mod run;
pub(crate) mod runs;
pub(crate) mod standing;
