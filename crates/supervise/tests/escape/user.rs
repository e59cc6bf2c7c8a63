//! All the stories once more, as an ordinary user.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use libtest_mimic::{Failed, Trial};

use crate::suite::story;
use crate::world::{BASE, place, say};

const WORD: &str = "__user";

/// A number that is nobody's, not even that of those who have none.
const SOMEBODY: u32 = 64_321;

pub(crate) fn trials() -> Vec<Trial> {
    if !nix::unistd::geteuid().is_root() {
        return Vec::new();
    }
    // Several, so that none of them takes long.
    let parts: [&[&str]; 3] =
        [&["nobody_gets_out"], &["without_"], &["--skip", "nobody_gets_out", "--skip", "without_"]];
    let names = ["against_all_attempts", "where_little_is_allowed", "in_all_other_stories"];
    let trial = |(part, name): (&'static [&'static str], &str)| {
        story(&format!("an_ordinary_user_is_caged_{name}"), || check(part))
    };
    parts.into_iter().zip(names).map(trial).collect()
}

/// Runs this binary's stories that fit, as somebody else.
fn check(part: &[&str]) -> Result<(), Failed> {
    let tried = Command::new("true").uid(SOMEBODY).gid(SOMEBODY).status();
    if tried.is_err_and(|error| error.kind() == ErrorKind::InvalidInput) {
        say("skipped: there is no other user here");
        return Ok(());
    }
    // Where the binary was built, others may not look.
    let dir = place();
    let everybody = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(dir.path(), everybody)?;
    let copy = dir.path().join("escape");
    std::fs::copy("/proc/self/exe", &copy)?;
    let mut command = Command::new(&copy);
    command.arg(WORD).arg(&copy).args(part).env(BASE, dir.path()).env_remove("HOME");
    let status = command.current_dir("/").status()?;
    assert!(status.success(), "as an ordinary user: {status}");
    Ok(())
}

/// Between the two: becomes the user, starts over.
pub(crate) fn become_user_if_asked() {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [word, copy, part @ ..] = arguments.as_slice() else { return };
    if word != OsStr::new(WORD) {
        return;
    }
    let mut command = Command::new(copy);
    command.args(["--test-threads", "2"]).args(part);
    let error = command.uid(SOMEBODY).gid(SOMEBODY).exec();
    panic!("it does not start: {error}");
}
