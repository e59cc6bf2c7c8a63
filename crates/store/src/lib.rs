//! The journal, and the views derived from it.
