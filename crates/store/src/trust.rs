//! Plans that a person has looked at and trusts, though they are not what is committed.
//!
//! They are kept in the state folder: what a sandboxed agent can write must not be able to say so.

use std::{fs, io::Write, os::unix::fs::OpenOptionsExt, path::Path};

use crate::{StoreError, home};

/// Whether a person trusts the plan with that digest in the repository `root`.
#[must_use]
pub fn is_trusted(state: &Path, root: &Path, digest: &str) -> bool {
    name(root, digest).is_some_and(|name| state.join("trust").join(name).is_file())
}

/// Writes down that a person trusts it. `about` says to people what it was.
///
/// # Errors
///
/// When the state folder cannot be written.
pub fn trust(state: &Path, root: &Path, digest: &str, about: &str) -> Result<(), StoreError> {
    let folder = state.join("trust");
    home::private_dir(&folder)?;
    let Some(name) = name(root, digest) else { return Ok(()) };
    let path = folder.join(name);
    let mut options = fs::OpenOptions::new();
    let options = options.create(true).truncate(true).write(true).mode(0o600);
    let written = options.open(&path).and_then(|mut file| {
        file.write_all(format!("{}\n{about}\n", root.display()).as_bytes())?;
        file.sync_all()
    });
    written.map_err(StoreError::file(path))
}

/// Takes that back. Says whether it was trusted.
///
/// # Errors
///
/// When the state folder cannot be written.
pub fn distrust(state: &Path, root: &Path, digest: &str) -> Result<bool, StoreError> {
    let Some(name) = name(root, digest) else { return Ok(false) };
    let path = state.join("trust").join(name);
    match fs::remove_file(&path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StoreError::file(path)(error)),
    }
}

fn name(root: &Path, digest: &str) -> Option<String> {
    let plain = digest.bytes().all(|byte| byte.is_ascii_alphanumeric());
    plain.then(|| Some(format!("{}-{digest}", home::place_name(root.to_str()?))))?
}
