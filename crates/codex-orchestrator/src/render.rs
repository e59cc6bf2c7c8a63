//! How things look to a person.

pub(crate) mod diff;
pub(crate) mod frame;
pub(crate) mod human;
pub(crate) mod json;
pub(crate) mod live;
pub(crate) mod marks;
pub(crate) mod screen;
pub(crate) mod table;
