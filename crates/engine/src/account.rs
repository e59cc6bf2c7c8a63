//! What is known of the limit of an account, so that one thread finds out and not each of them.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use model::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Limit {
    users_home: String,
    until: Timestamp,
}

/// Until when the account of that CODEX_HOME has used up what it may; nothing when that is over, or
/// not known.
pub(crate) fn limited_until(state: &Path, users_home: &str, now: Timestamp) -> Option<Timestamp> {
    let text = fs::read(file(state, users_home)).ok()?;
    let limit: Limit = serde_json::from_slice(&text).ok()?;
    (limit.users_home == users_home && limit.until > now).then_some(limit.until)
}

/// Notes it. Where that cannot be written, every thread finds out by itself.
pub(crate) fn note_limit(state: &Path, users_home: &str, until: Timestamp) {
    let limit = Limit { users_home: users_home.to_owned(), until };
    let Ok(text) = serde_json::to_vec(&limit) else { return };
    let path = file(state, users_home);
    let fresh = path.with_extension(format!("{}", std::process::id()));
    let write = || {
        fs::create_dir_all(path.parent().unwrap_or(state))?;
        fs::File::create(&fresh)?.write_all(&text)?;
        fs::rename(&fresh, &path)
    };
    if write().is_err() {
        let _ = fs::remove_file(&fresh);
    }
}

/// A name for the home; two homes that share one are told apart by what is within.
fn file(state: &Path, users_home: &str) -> PathBuf {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = users_home.chars().rev().take(100).map(plain).collect();
    state.join("limits").join(format!("{}.json", name.chars().rev().collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_holds_for_its_account_until_it_is_lifted() {
        let state = std::env::temp_dir().join(format!("account-{}", std::process::id()));
        let at = Timestamp::from_millis;
        assert_eq!(limited_until(&state, "/home/a/.codex", at(1)), None);
        note_limit(&state, "/home/a/.codex", at(100));
        assert_eq!(limited_until(&state, "/home/a/.codex", at(99)), Some(at(100)));
        assert_eq!(limited_until(&state, "/home/a/.codex", at(100)), None);
        assert_eq!(limited_until(&state, "/home/a?.codex", at(1)), None);
        fs::remove_dir_all(state).unwrap();
    }
}
