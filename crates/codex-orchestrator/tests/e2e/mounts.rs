//! File systems of a test's own, that nobody else sees and that go away with it. Only root can
//! have them; where they cannot be had, the test says that it was skipped.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    path::Path,
};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

use crate::scratch::say;

/// Gives this thread, and what it starts, mounts of its own.
pub(crate) fn of_our_own() -> bool {
    let none: Option<&str> = None;
    let apart = unshare(CloneFlags::CLONE_NEWNS)
        .and_then(|()| mount(none, "/", none, MsFlags::MS_PRIVATE | MsFlags::MS_REC, none));
    if let Err(error) = apart {
        say(&format!("skipped: no mounts of one's own: {error}"));
    }
    apart.is_ok()
}

/// Puts a disk of that size there.
pub(crate) fn small_disk(path: &Path, size: &str) {
    fs::create_dir_all(path).unwrap();
    let options = format!("size={size}");
    mount(Some("tmpfs"), path, Some("tmpfs"), MsFlags::empty(), Some(options.as_str())).unwrap();
}

/// Makes what is there unchangeable.
pub(crate) fn read_only(path: &Path) {
    let none: Option<&str> = None;
    mount(Some(path), path, none, MsFlags::MS_BIND | MsFlags::MS_REC, none).unwrap();
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
    mount(none, path, none, flags, none).unwrap();
}

/// Fills a disk to the last byte. Whoever deletes the file makes room again.
pub(crate) fn fill(path: &Path) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    let mut piece = vec![b'x'; 64 * 1024];
    while !piece.is_empty() {
        match file.write(&piece) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::StorageFull => {
                piece.truncate(piece.len() / 2);
            }
            Err(error) => panic!("{error}"),
        }
    }
}
