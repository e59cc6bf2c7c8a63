//! A file that is touched after each commit, so that waiters know when to look.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
};

/// When the file has grown to this, it is cut; waiters only look at that it changes.
const LONG: u64 = 4096;

/// A run's bell.
#[derive(Debug)]
pub struct Bell {
    file: Option<File>,
}

impl Bell {
    /// The bell at that path, made when it is not there. Where it cannot be opened it stays
    /// silent: waiters look by themselves once a second.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self { file: OpenOptions::new().create(true).append(true).open(path).ok() }
    }

    /// Tells everyone who watches the file to look.
    pub fn ring(&mut self) {
        let Some(file) = &mut self.file else { return };
        if file.metadata().is_ok_and(|data| data.len() >= LONG) {
            let _ = file.set_len(0);
        }
        let _ = file.write_all(b"\n");
    }
}
