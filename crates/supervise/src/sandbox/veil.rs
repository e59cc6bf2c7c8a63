//! What keeps hidden what is hidden, whatever happens outside.
//!
//! A mount is gone from all namespaces once what it lies on is renamed or removed in another, and what
//! is put there instead is seen (mount_namespaces(7)): a file with passwords that its owner writes anew
//! would show itself. So the folder in which something is hidden is seen through an overlay. Its
//! entries are its own, and what is mounted on them stays; one that is not there yet is kept out.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, umount2};
use nix::sys::stat::{Mode, SFlag, fstat, mknod};
use nix::sys::statvfs::{FsFlags, statvfs};

use super::outside::{Layout, is_below, real};
use super::snag::Snag;
use super::view::{open, put, tmpfs};
use super::{Cage, UnixSockets};
use crate::sys::{self, NO_DEVICES, NO_EXEC, NO_SUID, READ_ONLY};

/// One such folder.
#[derive(Debug)]
pub(super) struct Veil {
    pub(super) folder: PathBuf,
    /// Names in it that are to be hidden and are not there.
    absent: BTreeSet<OsString>,
    /// What is mounted in it, which an overlay does not show.
    pub(super) mounts: Vec<PathBuf>,
}

/// One whose folder is still as it was.
pub(super) struct Drawn {
    below: OwnedFd,
    absent: BTreeSet<OsString>,
    attributes: u64,
    mode: u32,
}

/// Finds the folders, once all else of the layout is known.
pub(super) fn draw(cage: &Cage, layout: &mut Layout, is_seen: impl Fn(&Path) -> bool) {
    let mut folders: BTreeMap<PathBuf, BTreeSet<OsString>> = BTreeMap::new();
    let there = layout.hidden.iter().chain(&layout.blank).filter_map(|path| path.parent());
    for folder in there {
        folders.entry(folder.to_owned()).or_default();
    }
    for path in cage.hide.iter().filter(|path| real(path).is_none()) {
        if let Some((folder, name)) = missing(path).filter(|(folder, _)| is_seen(folder)) {
            folders.entry(folder).or_default().insert(name);
        }
    }
    let mounts = mounts();
    for (folder, absent) in folders {
        // A cache has an overlay already.
        if let Some(cache) = layout.caches.iter().find(|cache| folder.starts_with(&cache.path)) {
            layout.unveiled |= !absent.iter().all(|name| cache.keep_out(&folder, name));
            continue;
        }
        // What is written there has to reach it, and what others write has to be seen; a socket or a pipe
        // in an overlay is another one than the one below.
        let live = is_below(&folder, &layout.write) || cage.unix_sockets == UnixSockets::Allow;
        let of_the_cage = ["/dev", "/proc"].iter().any(|own| folder.starts_with(own));
        if live || of_the_cage || folder.parent().is_none() {
            layout.unveiled = true;
            continue;
        }
        let inner = mounts.iter().filter(|mount| **mount != folder && mount.starts_with(&folder));
        let inner = inner.filter(|mount| is_seen(mount) && !is_below(mount, &layout.write));
        let mut topmost: Vec<PathBuf> = Vec::new();
        for mount in inner {
            if !is_below(mount, &topmost) {
                topmost.push(mount.clone());
            }
        }
        layout.veils.push(Veil { folder, absent, mounts: topmost });
    }
}

/// The folder in which a path ends, and what is missing there.
fn missing(path: &Path) -> Option<(PathBuf, OsString)> {
    let above = path.parent()?;
    match real(above) {
        Some(folder) => Some((folder, path.file_name()?.to_owned())),
        None => missing(above),
    }
}

/// Where something is mounted, the outermost first.
fn mounts() -> BTreeSet<PathBuf> {
    let table = fs::read("/proc/self/mountinfo").unwrap_or_default();
    let lines = table.split(|byte| *byte == b'\n');
    let fields = lines.filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    fields.map(unescaped).collect()
}

/// A path as proc(5) writes it: what would end it stands as a backslash and three octal digits.
fn unescaped(field: &[u8]) -> PathBuf {
    let mut path = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, after @ ..] = rest {
        let digits = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match byte.filter(|_| *first == b'\\') {
            Some(byte) => {
                path.push(byte);
                rest = &after[3..];
            }
            None => {
                path.push(*first);
                rest = after;
            }
        }
    }
    PathBuf::from(OsString::from_vec(path))
}

impl Veil {
    /// Takes hold of the folder.
    pub(super) fn drawn(&self) -> Result<Drawn, Snag> {
        let below = open(&self.folder)?;
        let found = fstat(&below).map_err(Snag::at("looking at", &self.folder))?;
        let flags = statvfs(&self.folder).map_or(FsFlags::empty(), |found| found.flags());
        let no_exec = if flags.contains(FsFlags::ST_NOEXEC) { NO_EXEC } else { 0 };
        Ok(Drawn {
            below,
            absent: self.absent.clone(),
            attributes: READ_ONLY | NO_SUID | NO_DEVICES | no_exec,
            mode: found.st_mode & 0o7777,
        })
    }
}

impl Drawn {
    /// Lays it over its folder. Says whether that could be done: not every kernel and file system have
    /// what it takes.
    pub(super) fn lay(&self, folder: &Path) -> Result<bool, Snag> {
        // An overlay has at least two layers, and they have to be mounted somewhere.
        tmpfs(folder, &format!("mode={:o}", self.mode))?;
        let laid = self.kept_out(folder).and_then(|()| {
            let above = open(folder)?;
            let layers = [above.as_fd(), self.below.as_fd()];
            let overlay = sys::overlay(&layers, None, self.attributes)
                .map_err(Snag::io("making an overlay".to_owned()))?;
            put(&overlay, folder)
        });
        if laid.is_err() {
            umount2(folder, MntFlags::MNT_DETACH)
                .map_err(Snag::at("taking a tmpfs from", folder))?;
        }
        Ok(laid.is_ok())
    }

    fn kept_out(&self, folder: &Path) -> Result<(), Snag> {
        self.absent.iter().try_for_each(|name| {
            let path = folder.join(name);
            white_out(&path).map_err(Snag::at("keeping out", &path))
        })
    }
}

/// Makes a device of number zero, which an overlay takes for what was removed; anybody may.
pub(super) fn white_out(path: &Path) -> nix::Result<()> {
    mknod(path, SFlag::S_IFCHR, Mode::empty(), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_found_by_its_name_as_it_is() {
        assert_eq!(unescaped(br"/a\040b\134/\011c"), Path::new("/a b\\/\tc"));
        assert_eq!(unescaped(br"/a\9"), Path::new(r"/a\9"));
        assert!(mounts().contains(Path::new("/proc")));
    }

    #[test]
    fn what_is_missing_is_the_first_that_is() {
        let place = tempfile::tempdir().expect("a folder");
        let place = place.path().canonicalize().expect("it is there");
        let found = missing(&place.join("a/b/c"));
        assert_eq!(found, Some((place.clone(), "a".into())));
        assert_eq!(missing(&place.join("b")), Some((place, "b".into())));
    }
}
