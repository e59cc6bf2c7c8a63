//! All the stories once more, as an ordinary user.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use libtest_mimic::Trial;

use crate::suite::story;
use crate::world::{BASE, place};

const WORD: &str = "__user";

/// A number that is nobody's, not even that of those who have none.
const SOMEBODY: u32 = 64_321;

pub(crate) fn trials() -> Vec<Trial> {
    if !nix::unistd::geteuid().is_root() {
        return Vec::new();
    }
    vec![story("an_ordinary_user_is_caged_as_well", || {
        // Where the binary was built, others may not look.
        let dir = place();
        let everybody = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(dir.path(), everybody)?;
        let copy = dir.path().join("escape");
        std::fs::copy("/proc/self/exe", &copy)?;
        let mut command = Command::new(&copy);
        command.arg(WORD).arg(&copy).env(BASE, dir.path()).env_remove("HOME");
        let status = command.current_dir("/").status()?;
        assert!(status.success(), "as an ordinary user: {status}");
        Ok(())
    })]
}

/// Between the two: becomes the user, starts over.
pub(crate) fn become_user_if_asked() {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [word, copy] = arguments.as_slice() else { return };
    if word != OsStr::new(WORD) {
        return;
    }
    let mut command = Command::new(copy);
    // Whose turn it is to be restricted is for these stories to say.
    command.args(["--test-threads", "2"]);
    let error = command.uid(SOMEBODY).gid(SOMEBODY).exec();
    panic!("it does not start: {error}");
}
