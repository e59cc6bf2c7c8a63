//! What went wrong while a cage was being built.

use std::io;
use std::path::Path;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::{Cage, Refused};

/// Why there is no cage.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Snag {
    /// What was asked for contradicts itself, or what it names.
    Asked(String),
    /// The kernel would not.
    Kernel {
        /// What was tried.
        call: String,
        errno: i32,
    },
    /// Everything was set up, and a self-test got through.
    Leaks(Refused),
}

impl Snag {
    pub(crate) fn no_namespaces(error: &io::Error) -> Snag {
        let errno = error.raw_os_error().unwrap_or(0);
        Snag::Kernel { call: NEW_NAMESPACES.to_owned(), errno }
    }

    pub(super) fn of(call: impl Into<String>) -> impl FnOnce(Errno) -> Snag {
        let call = call.into();
        move |errno| Snag::Kernel { call, errno: errno as i32 }
    }

    /// The same for errors of the standard library.
    pub(super) fn io(call: impl Into<String>) -> impl FnOnce(io::Error) -> Snag {
        let call = call.into();
        move |error| Snag::Kernel { call, errno: error.raw_os_error().unwrap_or(0) }
    }

    pub(super) fn at(doing: &str, path: &Path) -> impl FnOnce(Errno) -> Snag {
        Snag::of(format!("{doing} `{}`", path.display()))
    }

    /// What is told to whoever asked for the cage; `Err` is a fault of theirs.
    pub(crate) fn refusal(self, cage: &Cage) -> Result<Refused, String> {
        match self {
            Snag::Asked(why) => Err(why),
            Snag::Leaks(refused) => Ok(refused),
            Snag::Kernel { call, errno } => {
                let way_out = way_out(&call, Errno::from_raw(errno)).to_owned();
                Ok(Refused { missing: cage.asks(), call, errno, way_out })
            }
        }
    }
}

/// The names of the calls that more than one place goes by.
pub(super) const NEW_NAMESPACES: &str = "making namespaces";
pub(super) const MAPPING: &str = "mapping the user into the new namespace";
pub(super) const PLACING: &str = "making an empty folder at";
pub(super) const FILTER: &str = "installing the system call filter";
pub(super) const LANDLOCK: &str = "restricting by Landlock";

fn way_out(call: &str, errno: Errno) -> &'static str {
    match (call, errno) {
        (NEW_NAMESPACES, Errno::ENOSPC | Errno::EUSERS) => {
            "user namespaces are used up or limited to none: raise `user.max_user_namespaces`"
        }
        (NEW_NAMESPACES, Errno::EPERM | Errno::EACCES) => {
            "user namespaces are forbidden to this process: allow them \
             (`kernel.unprivileged_userns_clone=1`, or in a container a seccomp profile that lets \
             `clone` make them)"
        }
        (NEW_NAMESPACES, Errno::ENOSYS | Errno::EINVAL) => {
            "this kernel has no user namespaces: use one that does, 5.12 or later"
        }
        (MAPPING, _) if nix::unistd::geteuid().is_root() => {
            "root cannot map itself without CAP_SETFCAP: keep that capability, or run as an \
             ordinary user"
        }
        _ if call.starts_with(PLACING) => {
            "what is to be protected is not there, and a folder that keeps its place cannot be made: \
             make it, or protect the folder above it"
        }
        (FILTER, _) => "this kernel has no seccomp filters: use one that does",
        (_, Errno::ENOSYS) => "this kernel is too old: use 5.12 or later",
        (_, Errno::EPERM | Errno::EACCES) => {
            "namespaces can be made but not used, as where AppArmor restricts them: set \
             `kernel.apparmor_restrict_unprivileged_userns=0`, or give this program a profile \
             with `userns`"
        }
        _ => "look at `codex-orchestrator doctor`",
    }
}
