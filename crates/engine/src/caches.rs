//! What confined stages have downloaded, and what of it can go.
//!
//! ```text
//! <state>/caches/<begin of a journal's id>/<whose>/<number>/   a slot: see `supervise::Caches`
//!                                                  .gone-*     a slot that is being removed
//! ```
//!
//! What a delegated run leaves in a cache, no stage may be built from that may do more: so those of
//! delegated runs are never those of a person's.

use std::{
    collections::BTreeSet,
    fs::{self, File, Permissions},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use model::caps::Standing;
use store::{Home, StoreError};
use supervise::Caches;

use crate::{EngineError, look::short};

/// What a slot is called from when it is taken away until it is gone.
const GONE: &str = ".gone-";

/// What the slots of runs are kept in, within those of their repository.
pub(crate) const fn whose(standing: Standing) -> &'static str {
    match standing {
        Standing::Free => "person",
        Standing::Delegated => "delegated",
    }
}

/// The caches of one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCaches {
    folder: PathBuf,
    root: Option<PathBuf>,
}

/// What of some caches can go, or is gone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Idle {
    /// What that takes on the disk.
    pub bytes: u64,
    /// How many slots a living tree has, of which nothing is taken.
    pub in_use: u32,
}

impl StoredCaches {
    /// Those of every repository.
    ///
    /// # Errors
    ///
    /// When the state folder cannot be read.
    pub fn all(state: &Path) -> Result<Vec<Self>, EngineError> {
        let homes = Home::all(state)?;
        let all = state.join("caches");
        let entries = match fs::read_dir(&all) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(StoreError::File { path: all, source }.into()),
        };
        let stored = entries.filter_map(|entry| {
            let folder = entry.ok()?.path();
            let name = folder.file_name()?.to_str()?;
            let home = homes.iter().find(|home| short(home.id()) == name);
            let root = home.map(|home| home.root().to_owned());
            Some(Self { folder, root })
        });
        let mut stored: Vec<Self> = stored.collect();
        stored.sort_by(|one, two| one.folder.cmp(&two.folder));
        Ok(stored)
    }

    /// Whether the repository is not where it was when something was run in it last.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.root.as_deref().is_none_or(|root| !root.is_dir())
    }

    /// Where the repository is, or was; nothing where nobody knows any more.
    #[must_use]
    pub fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// What of them no living tree has.
    #[must_use]
    pub fn idle(&self) -> Idle {
        self.each(|slot, _| size(slot))
    }

    /// Removes that.
    ///
    /// # Errors
    ///
    /// When something of it cannot be removed.
    pub fn remove(&self) -> Result<Idle, EngineError> {
        let mut fault = None;
        let gone = self.each(|slot, number| {
            let bytes = size(slot);
            // Under its name a tree could take it while it is half gone.
            let away = slot.with_file_name(format!("{GONE}{number}-{}", std::process::id()));
            let removed = match number.starts_with(GONE) {
                true => remove(slot),
                false => fs::rename(slot, &away).and_then(|()| remove(&away)),
            };
            match removed {
                Ok(()) => bytes,
                Err(source) => {
                    fault = Some(StoreError::File { path: slot.to_owned(), source });
                    0
                }
            }
        });
        // They stay while there is anything in them.
        for folder in self.whose().chain([self.folder.clone()]) {
            let _ = fs::remove_dir(folder);
        }
        fault.map_or(Ok(gone), |fault| Err(fault.into()))
    }

    /// What somebody left behind who was killed: what the kernel was at work on, and slots that were
    /// half removed. Where they are to be taken they are gone then.
    ///
    /// # Errors
    ///
    /// When something of it cannot be removed.
    pub fn leftovers(&self, take: bool) -> Result<u64, EngineError> {
        let mut fault = None;
        let found = self.each(|slot, number| {
            let works = match number.starts_with(GONE) {
                true => vec![slot.to_owned()],
                false => works(slot),
            };
            let bytes = works.iter().map(|work| size(work)).sum();
            for work in works.into_iter().filter(|_| take) {
                if let Err(source) = remove(&work) {
                    fault = Some(StoreError::File { path: work, source });
                }
            }
            bytes
        });
        fault.map_or(Ok(found.bytes), |fault| Err(fault.into()))
    }

    fn whose(&self) -> impl Iterator<Item = PathBuf> {
        let all = [Standing::Free, Standing::Delegated];
        all.into_iter().map(|standing| self.folder.join(whose(standing)))
    }

    /// Every slot that no living tree has, held for as long as it is looked at, by its path and name.
    fn each(&self, mut look: impl FnMut(&Path, &str) -> u64) -> Idle {
        let mut idle = Idle::default();
        let entries = self.whose().filter_map(|folder| fs::read_dir(folder).ok());
        for entry in entries.flatten().flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let is_slot = name.starts_with(GONE) || name.parse::<u32>().is_ok();
            if !is_slot || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            // What is being removed no tree can have.
            let held = hold(&entry.path());
            match held.is_some() || name.starts_with(GONE) {
                true => idle.bytes += look(&entry.path(), name),
                false => idle.in_use += 1,
            }
        }
        idle
    }
}

/// The lock of a slot; nothing where somebody has it, or where the slot has been taken away meanwhile.
fn hold(slot: &Path) -> Option<File> {
    let lock = slot.join(Caches::LOCK);
    // Where there is none yet, a tree may be about to take the slot.
    let file = File::options().create(true).truncate(false).write(true).open(&lock).ok()?;
    file.try_lock().ok()?;
    let (held, found) = (file.metadata().ok()?, fs::symlink_metadata(&lock).ok()?);
    ((held.dev(), held.ino()) == (found.dev(), found.ino())).then_some(file)
}

/// Where overlays of a slot have what they are at work on.
fn works(slot: &Path) -> Vec<PathBuf> {
    let caches = fs::read_dir(slot).into_iter().flatten().flatten();
    caches.map(|cache| cache.path().join("work")).filter(|work| work.is_dir()).collect()
}

/// What a folder and all in it take on the disk. What has two names is there once.
fn size(folder: &Path) -> u64 {
    let (mut bytes, mut seen, mut ahead) = (0, BTreeSet::new(), vec![folder.to_owned()]);
    while let Some(folder) = ahead.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(data) = entry.metadata() else { continue };
            if data.is_dir() {
                ahead.push(entry.path());
            } else if data.nlink() == 1 || seen.insert((data.dev(), data.ino())) {
                bytes += data.blocks() * 512;
            }
        }
    }
    bytes
}

/// Removes a folder, also where its owner has no right to write or look: so tools leave what is not
/// to be changed, and the kernel what it is at work on.
fn remove(folder: &Path) -> io::Result<()> {
    let gone = |removed: io::Result<()>| match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    };
    if gone(fs::remove_dir_all(folder)).is_ok() {
        return Ok(());
    }
    let mut ahead = vec![folder.to_owned()];
    while let Some(folder) = ahead.pop() {
        let _ = fs::set_permissions(&folder, Permissions::from_mode(0o700));
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        ahead.extend(folders.map(|entry| entry.path()));
    }
    gone(fs::remove_dir_all(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(folder: &Path, name: &str) -> File {
        let cache = folder.join(name).join("mod-0");
        for inner in ["upper/pkg", "work/work"] {
            fs::create_dir_all(cache.join(inner)).expect("a folder");
        }
        fs::write(cache.join("upper/pkg/file"), [7; 5000]).expect("a file");
        fs::hard_link(cache.join("upper/pkg/file"), cache.join("upper/again")).expect("a name");
        fs::write(cache.join("work/work/#1"), "half").expect("a file");
        // As go leaves its modules, and the kernel its own folder.
        for (inner, mode) in [("upper/pkg", 0o555), ("work/work", 0o000)] {
            fs::set_permissions(cache.join(inner), Permissions::from_mode(mode)).expect("ours");
        }
        File::create(folder.join(name).join(Caches::LOCK)).expect("a lock")
    }

    #[test]
    fn what_no_tree_has_goes_and_what_one_has_stays() {
        let state = tempfile::tempdir().expect("a folder");
        let folder = state.path().join("caches/0123");
        let living = slot(&folder, "person/0");
        living.try_lock().expect("nobody has it");
        slot(&folder, "person/1");
        slot(&folder, "delegated/0");
        slot(&folder, "delegated/.gone-2-1");
        fs::create_dir(folder.join("other")).expect("a folder");
        let all = StoredCaches::all(state.path()).expect("it can be read");
        let [stored] = all.as_slice() else { panic!("{all:?}") };
        assert!(stored.is_gone());
        let idle = stored.idle();
        assert!(idle.bytes > 0 && idle.in_use == 1, "{idle:?}");
        assert_eq!(stored.remove().expect("it can be"), idle);
        let left = |folder: &Path| {
            let left = fs::read_dir(folder).expect("it is there").flatten();
            let mut left: Vec<_> = left.map(|entry| entry.file_name()).collect();
            left.sort();
            left
        };
        assert_eq!(left(&folder), ["other", "person"]);
        assert_eq!(left(&folder.join("person")), ["0"]);
        drop(living);
        fs::remove_dir(folder.join("other")).expect("it is empty");
        assert_eq!(stored.remove().expect("it can be").in_use, 0);
        assert!(!folder.exists());
    }

    #[test]
    fn what_is_left_of_the_killed_goes_and_what_they_downloaded_stays() {
        let state = tempfile::tempdir().expect("a folder");
        let folder = state.path().join("caches/0123");
        slot(&folder, "person/0");
        slot(&folder, "person/.gone-2-1");
        let stored = StoredCaches { folder: folder.clone(), root: None };
        let bytes = stored.leftovers(false).expect("it can be read");
        assert!(bytes > 0 && folder.join("person/0/mod-0/work").exists());
        assert_eq!(stored.leftovers(true).expect("it can be"), bytes);
        assert!(
            !folder.join("person/0/mod-0/work").exists()
                && !folder.join("person/.gone-2-1").exists()
        );
        assert!(folder.join("person/0/mod-0/upper/pkg/file").exists());
        assert_eq!(stored.leftovers(false).expect("it can be read"), 0);
    }
}
