//! Caches that a tree changes as it likes, and that are never the user's own.
//!
//! Over each lies an overlay: what the tree reads is the user's, what it writes goes to a *slot* in
//! a folder of ours and is there for the next tree. Two mounts must never share what they write to,
//! so whoever takes a slot holds a lock on it until the tree has ended, however it ends.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use super::outside::open_plain;
use super::snag::Snag;
use super::veil::white_out;
use super::{CacheReport, CacheWay, Caches};
use crate::sys::{self, NO_DEVICES, NO_SUID};

/// The slot that a tree has.
#[derive(Debug)]
pub(super) struct Slot {
    folder: PathBuf,
    /// Only kept. The kernel lets go of it when the last process that has it ends.
    _lock: Flock<File>,
}

/// One cache, and where what is written to it goes.
#[derive(Debug)]
pub(super) struct Laid {
    pub(super) path: PathBuf,
    upper: PathBuf,
    work: PathBuf,
    /// What of it stays as it is.
    pub(super) keep: Vec<PathBuf>,
    /// Folders of it, and the slot's own that cover them where nothing can be laid over it.
    instead: Vec<(PathBuf, PathBuf)>,
}

/// Folders without a place among the user's, where the tree sees them and where they are.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) path: PathBuf,
    pub(super) folder: PathBuf,
}

impl Slot {
    /// Takes the first that nobody has.
    pub(super) fn take(caches: &Caches) -> Result<Slot, Snag> {
        let failed = |error| {
            Snag::io(format!("taking a slot for caches in `{}`", caches.store.display()))(error)
        };
        for number in 0_u32.. {
            let folder = caches.store.join(number.to_string());
            make(&folder).map_err(failed)?;
            let path = folder.join(Caches::LOCK);
            let file = File::options().create(true).truncate(false).write(true).open(&path);
            let file = match file {
                // Somebody has removed the slot meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                file => file.map_err(failed)?,
            };
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                // Whoever removes caches has the lock while it does.
                Ok(lock) if is_current(&lock, &path) => {
                    return Ok(Slot { folder, _lock: lock });
                }
                Ok(_) | Err((_, nix::errno::Errno::EWOULDBLOCK)) => {}
                Err((_, errno)) => return Err(failed(errno.into())),
            }
        }
        unreachable!("there are fewer trees than numbers")
    }

    /// What is needed of it for these caches.
    pub(super) fn lay<'a>(
        &self,
        caches: impl Iterator<Item = &'a super::Cache>,
    ) -> Result<Vec<Laid>, Snag> {
        let laid = caches.map(|cache| {
            let own = self.folder.join(name(&cache.path));
            let (upper, work) = (own.join("upper"), own.join("work"));
            make(&upper)?;
            make(&work)?;
            for keep in &cache.keep {
                if let (Err(_), Ok(inner)) =
                    (fs::symlink_metadata(keep), keep.strip_prefix(&cache.path))
                {
                    make(&upper.join(inner))?;
                }
            }
            let there = cache.instead.iter().filter(|path| path.is_dir());
            let instead = there.map(|path| {
                let folder = own.join(name(path));
                make(&folder).map(|()| (path.clone(), folder))
            });
            Ok(Laid {
                path: cache.path.clone(),
                upper,
                work,
                keep: cache.keep.clone(),
                instead: instead.collect::<io::Result<_>>()?,
            })
        });
        laid.collect::<io::Result<_>>().map_err(Snag::io("making folders for caches"))
    }

    pub(super) fn own(&self, caches: &Caches) -> Result<Own, Snag> {
        let folder = self.folder.join("own");
        make(&folder).map_err(Snag::io("making a folder for caches"))?;
        Ok(Own { path: caches.own(), folder })
    }
}

/// What is to be mounted for one cache, and how it is told.
pub(super) struct Mounted {
    pub(super) mounts: Vec<(PathBuf, OwnedFd)>,
    pub(super) report: CacheReport,
}

impl Laid {
    /// Has a name that is not there stay so inside unless the tree makes it. Says whether it does.
    pub(super) fn keep_out(&self, folder: &Path, name: &OsStr) -> bool {
        let path = self.upper.join(name);
        *folder == self.path && (path.symlink_metadata().is_ok() || white_out(&path).is_ok())
    }

    /// Makes the mounts, not yet anywhere; `copy` takes one of a folder.
    pub(super) fn mounts(
        &self,
        copy: impl Fn(&Path) -> Result<OwnedFd, Snag>,
    ) -> Result<Mounted, Snag> {
        let report = |way| CacheReport { path: self.path.to_string_lossy().into_owned(), way };
        match self.overlay() {
            Ok(mount) => Ok(Mounted {
                mounts: vec![(self.path.clone(), mount)],
                report: report(CacheWay::Overlay),
            }),
            Err(error) => {
                let mounts =
                    self.instead.iter().map(|(path, folder)| Ok((path.clone(), copy(folder)?)));
                Ok(Mounted {
                    mounts: mounts.collect::<Result<_, Snag>>()?,
                    report: report(CacheWay::Folders(error.to_string())),
                })
            }
        }
    }

    fn overlay(&self) -> io::Result<OwnedFd> {
        let [lower, upper, work] =
            [&self.path, &self.upper, &self.work].map(|path| open_plain(path));
        let (lower, upper, work) = (lower?, upper?, work?);
        let written = sys::Written { upper: upper.as_fd(), work: work.as_fd() };
        sys::overlay(&[lower.as_fd()], Some(written), NO_SUID | NO_DEVICES)
    }
}

/// A name for what is kept of that path, always the same.
fn name(path: &Path) -> String {
    // FNV-1a: the same in every version of this program, which the standard library's need not be.
    let hash = path.as_os_str().as_bytes().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let last = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let last: String = last.chars().filter(char::is_ascii_alphanumeric).take(20).collect();
    format!("{last}-{hash:016x}")
}

fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn is_current(lock: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (lock.metadata(), fs::symlink_metadata(path)) {
        (Ok(open), Ok(found)) => open.ino() == found.ino() && open.dev() == found.dev(),
        _ => false,
    }
}
