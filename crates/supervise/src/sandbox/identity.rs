//! Who a caged process is.

use std::fs;

use nix::sys::prctl;
use nix::unistd::{Gid, Uid};

use super::snag::{MAPPING, Snag};
use crate::sys;

/// Who root takes itself for inside: a name without powers, so that a namespace inside cannot be
/// given any of them either.
const ROOT_INSIDE: u32 = 1000;

/// Who the user of outside is inside.
pub(super) fn inside(uid: Uid, gid: Gid) -> (u32, u32) {
    let not_zero = |number: u32| if number == 0 { ROOT_INSIDE } else { number };
    (not_zero(uid.as_raw()), not_zero(gid.as_raw()))
}

/// Gives the calling process, the first of a new user namespace, its user.
pub(super) fn map(uid: Uid, gid: Gid) -> Result<(), Snag> {
    let (inner_uid, inner_gid) = inside(uid, gid);
    fs::write("/proc/self/setgroups", "deny").map_err(Snag::io(MAPPING))?;
    fs::write("/proc/self/uid_map", format!("{inner_uid} {uid} 1")).map_err(Snag::io(MAPPING))?;
    fs::write("/proc/self/gid_map", format!("{inner_gid} {gid} 1")).map_err(Snag::io(MAPPING))
}

/// Gives up whatever the first process of the namespaces could do, and lets nobody look into it.
pub(super) fn renounce() -> Result<(), Snag> {
    sys::drop_capabilities().map_err(Snag::io("giving up capabilities"))?;
    prctl::set_no_new_privs().map_err(Snag::of("giving up new privileges"))?;
    prctl::set_dumpable(false).map_err(Snag::of("hiding the memory of the first process"))
}
