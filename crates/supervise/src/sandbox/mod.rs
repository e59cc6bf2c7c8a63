//! What confines a tree, on top of whatever holds it.
//!
//! ```text
//! shim     looks at what is asked, puts canaries and placeholders outside   outside
//!  └─ init      first of new namespaces: who it is, what it sees, its ports   identity view ports
//!      └─ command   Landlock, seccomp, the self-tests; then exec             domain filter trial
//! ```
//!
//! A cage is carried out whole or the command does not begin: whatever the kernel refuses is told
//! as a [`Refused`], with the guarantees that are therefore missing.

mod cage;
mod report;

#[cfg(target_os = "linux")]
mod caches;
#[cfg(target_os = "linux")]
#[cfg(target_os = "linux")]
mod domain;
#[cfg(target_os = "linux")]
mod filter;
#[cfg(target_os = "linux")]
mod identity;
#[cfg(target_os = "linux")]
mod outside;
#[cfg(target_os = "linux")]
mod ports;
#[cfg(target_os = "linux")]
mod probe;
#[cfg(target_os = "linux")]
mod snag;
#[cfg(target_os = "linux")]
mod trial;
#[cfg(target_os = "linux")]
mod veil;
#[cfg(target_os = "linux")]
mod view;
#[cfg(target_os = "linux")]
mod walls;

pub use self::{
    cage::{Cache, Caches, Cage, Net, Profile, UnixSockets},
    report::{
        CacheReport, CacheWay, CageReport, CageTrial, Guarantee, Proof, Refused, Standing, Walls,
    },
};
#[cfg(target_os = "linux")]
pub(crate) use self::{
    outside::Outside,
    snag::Snag,
    walls::{Inside, lock_up, namespaces, settle},
};
#[cfg(target_os = "linux")]
pub use self::{ports::Caged, probe::probe_cages};
