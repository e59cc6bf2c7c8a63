//! The other stories once more, as an ordinary user.

use std::{
    fs::{self, Permissions},
    io::ErrorKind,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::Command,
};

use crate::scratch::{program, say};

/// A number that is nobody's, not even that of those who have none.
const SOMEBODY: u32 = 64_323;

#[test]
fn an_ordinary_user_is_held_to_caps_as_well() {
    if !nix::unistd::geteuid().is_root() {
        return say("skipped: who is no ordinary user is root");
    }
    // Where they were built, others may not look.
    let folder = tempfile::TempDir::new().expect("a folder");
    fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).expect("it is ours");
    let (tests, ours) = (folder.path().join("e2e"), folder.path().join("codex-orch"));
    fs::copy("/proc/self/exe", &tests).expect("a copy");
    fs::copy(program(), &ours).expect("a copy");
    let mut command = Command::new(&tests);
    command.args(["caps::", "delegation::confined::", "delegation::secrets::"]);
    command.args(["--skip", "caps::user::", "--test-threads", "2"]);
    command.env("E2E_PROGRAM", &ours).env("TMPDIR", folder.path()).env_remove("HOME");
    let status = match command.uid(SOMEBODY).gid(SOMEBODY).current_dir("/").status() {
        Err(error) if error.kind() == ErrorKind::InvalidInput => {
            return say("skipped: there is no other user here");
        }
        status => status.expect("it runs"),
    };
    assert!(status.success(), "as an ordinary user: {status}");
}
