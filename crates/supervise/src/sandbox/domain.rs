//! What Landlock adds: the same borders once more, drawn by other means, and some that no
//! namespace draws.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, LandlockStatus, Ruleset,
    RulesetAttr, RulesetCreatedAttr, Scope, path_beneath_rules,
};

use super::snag::{LANDLOCK, Snag};

/// The newest version whose rights were tried with this program.
const TRIED: ABI = ABI::V7;

/// The devices of the machine that lead nowhere.
const DEVICES: [&str; 6] =
    ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

/// What is restricted.
pub(super) struct Domain<'a> {
    /// Where may be written; `None` restricts no files, so that what is inside can mount.
    pub(super) write: Option<Vec<&'a Path>>,
    /// Which devices may be used, and whether a process may write what `/proc` says of it: not
    /// where these are the machine's.
    pub(super) in_namespaces: bool,
    /// Whether TCP is refused. Not in a network of the tree's own, where it reaches only itself.
    pub(super) no_tcp: bool,
}

impl Domain<'_> {
    /// Puts the calling process under it, for good, as far as this kernel knows how. Says which
    /// version it was.
    pub(super) fn enter(&self) -> Result<Option<u32>, Snag> {
        let entered = self.try_enter();
        entered.map_err(|error| Snag::Kernel { call: format!("{LANDLOCK}: {error}"), errno: 0 })
    }

    fn try_enter(&self) -> Result<Option<u32>, landlock::RulesetError> {
        let ruleset = Ruleset::default().set_compatibility(CompatLevel::BestEffort);
        let mut ruleset = ruleset.scope(Scope::from_all(TRIED))?;
        if self.write.is_some() {
            ruleset = ruleset.handle_access(AccessFs::from_all(TRIED))?;
        }
        if self.no_tcp {
            ruleset = ruleset.handle_access(AccessNet::from_all(TRIED))?;
        }
        let mut ruleset = ruleset.create()?;
        if let Some(write) = &self.write {
            let read = AccessFs::from_read(TRIED);
            let device = AccessFs::from_file(TRIED) | AccessFs::ReadDir;
            // Nobody makes devices: root could make itself a disk.
            let all = AccessFs::from_all(TRIED) & !(AccessFs::MakeChar | AccessFs::MakeBlock);
            let (devices, own): (&[&str], &[&str]) =
                if self.in_namespaces { (&["/dev"], &["/proc"]) } else { (&DEVICES, &[]) };
            let readable =
                if self.in_namespaces { vec![PathBuf::from("/")] } else { all_but_devices() };
            ruleset = ruleset
                .add_rules(path_beneath_rules(readable, read))?
                .add_rules(path_beneath_rules(devices, device))?
                .add_rules(path_beneath_rules(own, read | AccessFs::WriteFile))?
                .add_rules(path_beneath_rules(write, all))?;
        }
        let status = ruleset.restrict_self()?;
        Ok(match status.landlock {
            LandlockStatus::Available { effective_abi, .. } => Some(effective_abi as u32),
            _ => None,
        })
    }
}

/// Rights only add up, so what is not to be read, as root could read a disk, must not be below
/// anything that is. The price is that the root folder itself cannot be listed.
fn all_but_devices() -> Vec<PathBuf> {
    let entries = std::fs::read_dir("/").into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path != Path::new("/dev")).collect()
}

/// The version of Landlock that there is.
pub(super) fn version() -> Option<u32> {
    crate::sys::landlock_version()
}

/// The folders of its own that a tree in namespaces always has.
pub(super) fn own() -> [PathBuf; 2] {
    ["/dev/shm", "/dev/pts"].map(PathBuf::from)
}
