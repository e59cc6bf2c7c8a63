//! Raising the walls, and what each is good for.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid};

use super::domain::{self, Domain};
use super::filter::Filters;
use super::outside::Outside;
use super::snag::Snag;
use super::view::View;
use super::{
    CacheReport, CageReport, Guarantee, Net, Profile, Proof, Standing, UnixSockets, Walls,
    identity, ports, trial, view,
};

/// What a cage's first process has made.
#[derive(Debug)]
pub(crate) struct Inside {
    walls: Walls,
    caches: Vec<CacheReport>,
    /// Where the tree may write because of them.
    cached: Vec<PathBuf>,
    /// Whether what is hidden stays so whatever happens outside.
    veiled: bool,
    /// In the order of [`ports::Caged::of`].
    pub(crate) listeners: Vec<OwnedFd>,
}

impl Inside {
    /// Without namespaces nothing needs to be made.
    pub(crate) fn nothing() -> Inside {
        Inside {
            walls: Walls::LandlockAndSeccomp,
            caches: Vec::new(),
            cached: Vec::new(),
            veiled: false,
            listeners: Vec::new(),
        }
    }
}

/// Which namespaces a cage's first process is born into.
pub(crate) fn namespaces(outside: &Outside) -> i32 {
    let network = if outside.cage.has_own_network() { libc::CLONE_NEWNET } else { 0 };
    libc::CLONE_NEWUSER
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | network
}

/// In the first process of new namespaces: who it is, what it sees, where it listens.
pub(crate) fn settle(outside: &Outside, uid: Uid, gid: Gid) -> Result<Inside, Snag> {
    identity::map(uid, gid)?;
    let View { walls, caches, cached, veiled } = view::build(&outside.layout, uid.is_root())?;
    let network = outside.cage.has_own_network();
    let listeners = if network { ports::open(&outside.cage)? } else { Vec::new() };
    identity::renounce()?;
    Ok(Inside { walls, caches, cached, veiled, listeners })
}

/// In the command's process: the last walls, and the proof. `shim` is a process outside.
pub(crate) fn lock_up(
    outside: &Outside,
    inside: &Inside,
    uid: Uid,
    shim: i32,
) -> Result<CageReport, Snag> {
    let Outside { cage, layout, .. } = outside;
    let in_namespaces = inside.walls != Walls::LandlockAndSeccomp;
    let own = domain::own();
    let own = if in_namespaces { own.as_slice() } else { &[] };
    let write = [layout.write.as_slice(), &layout.tmp, &inside.cached, own].concat();
    let domain = Domain {
        write: (cage.profile == Profile::Strict)
            .then(|| write.iter().map(PathBuf::as_path).collect()),
        in_namespaces,
        no_tcp: !in_namespaces && cage.network != Net::Open,
    };
    if !in_namespaces {
        identity::renounce()?;
    }
    let landlock = domain.enter()?;
    let filters = Filters::of(cage, in_namespaces)?;
    filters.install()?;
    let mut standings = Vec::new();
    for guarantee in cage.asks() {
        let proof = match guarantee {
            Guarantee::NetDeny | Guarantee::NetListed => trial::network(outside, guarantee)?,
            Guarantee::FsWrite => trial::write(outside)?,
            Guarantee::FsProtect => trial::protect(outside)?,
            Guarantee::FsHide => trial::hide(outside)?,
            Guarantee::ProcIsolate => trial::processes(inside.walls, shim)?,
            Guarantee::UnixDeny => trial::unix(cage.unix_sockets)?,
            Guarantee::KillTree => trial::kill_tree(inside.walls)?,
        };
        standings.push(standing(outside, inside, landlock, guarantee, proof));
    }
    Ok(CageReport {
        walls: inside.walls,
        profile: cage.profile,
        landlock,
        filters: filters.number(),
        user: (uid.as_raw(), nix::unistd::getuid().as_raw()),
        namespaces: if in_namespaces { own_namespaces(cage.has_own_network()) } else { Vec::new() },
        standings,
        caches: inside.caches.clone(),
    })
}

fn standing(
    outside: &Outside,
    inside: &Inside,
    landlock: Option<u32>,
    guarantee: Guarantee,
    proof: Proof,
) -> Standing {
    let cage = &outside.cage;
    let walls = inside.walls;
    let in_namespaces = walls != Walls::LandlockAndSeccomp;
    let strict = cage.profile == Profile::Strict;
    let landlock_files = strict && landlock.is_some();
    let scoped = landlock.is_some_and(|version| version >= 6);
    let by: Vec<(bool, &str)> = match guarantee {
        Guarantee::NetDeny | Guarantee::NetListed => vec![
            (in_namespaces, "a network namespace"),
            (guarantee == Guarantee::NetListed, "the proxy, which is its only way out"),
            (!in_namespaces && landlock.is_some_and(|version| version >= 4), "landlock (tcp)"),
            (true, "seccomp (families, io_uring)"),
        ],
        Guarantee::FsWrite => {
            vec![(in_namespaces, "read-only mounts"), (landlock_files, "landlock (files)")]
        }
        Guarantee::FsProtect => vec![(true, "read-only mounts")],
        Guarantee::FsHide => vec![
            (true, "mounts over what is hidden"),
            (inside.veiled, "overlays over what it lies in"),
        ],
        Guarantee::ProcIsolate => vec![
            (in_namespaces, "pid, ipc and user namespaces"),
            (walls == Walls::Namespaces, "a /proc of its own"),
            (scoped, "landlock (signals)"),
            (strict, "seccomp (ptrace)"),
        ],
        Guarantee::UnixDeny => vec![
            (cage.unix_sockets == UnixSockets::Deny, "seccomp (families)"),
            (cage.covers_sockets().is_some(), "mounts over bound sockets"),
            (in_namespaces && cage.has_own_network(), "a network namespace (abstract names)"),
            (scoped, "landlock (abstract names)"),
        ],
        Guarantee::KillTree => {
            vec![(in_namespaces, "a pid namespace"), (true, "whatever holds the tree")]
        }
    };
    let by = by.into_iter().filter(|(there, _)| *there).map(|(_, name)| name.to_owned()).collect();
    let gap = match guarantee {
        Guarantee::NetListed if !cage.forward.is_empty() => {
            Some("forwarded endpoints are reached without the proxy")
        }
        Guarantee::NetDeny if !cage.forward.is_empty() => {
            Some("forwarded endpoints can be reached")
        }
        Guarantee::ProcIsolate if walls != Walls::Namespaces => {
            Some("processes outside can be listed, though not read, signalled or traced")
        }
        Guarantee::UnixDeny if cage.unix_sockets == UnixSockets::Private => {
            Some("a socket that is bound outside later, in a place that is seen, can be reached")
        }
        Guarantee::UnixDeny if cage.covers_sockets().is_some() => Some(
            "a datagram socket that is bound outside later, in a place that is seen, can be reached",
        ),
        Guarantee::FsHide if outside.layout.unveiled || !inside.veiled => {
            Some("what somebody outside puts there later, or in its place, is seen")
        }
        Guarantee::FsWrite if !in_namespaces => {
            Some("modes, owners and times of files elsewhere can be changed")
        }
        Guarantee::FsWrite if !landlock_files => {
            Some("pipes with a name, which no mount makes read-only, can be written elsewhere")
        }
        _ => None,
    };
    Standing { guarantee, by, proof, gap: gap.map(str::to_owned) }
}

/// As `/proc` numbers them, where it is about this process.
fn own_namespaces(network: bool) -> Vec<(String, u64)> {
    let kinds = ["user", "mnt", "pid", "ipc", "uts", "net"];
    let kinds = kinds.into_iter().filter(|kind| network || *kind != "net");
    let number = |kind: &str| {
        let found = fs::metadata(Path::new("/proc/self/ns").join(kind)).ok()?;
        Some((kind.to_owned(), found.ino()))
    };
    kinds.filter_map(number).collect()
}
