//! Places where not everything can be had: there is another way, or a refusal that says why.
pub(crate) fn become_place_if_asked() {}
pub(crate) fn trials() -> Vec<libtest_mimic::Trial> { Vec::new() }
