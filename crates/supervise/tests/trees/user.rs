//! All the stories once more, as an ordinary user and as one with a cgroup of their own.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::Trial;
use tempfile::TempDir;

use crate::bench::{CAGED, say, story};
use crate::stops::SETUID_PYTHON;

const WORD: &str = "__user";
const NOBODY: u32 = 65534;

pub(crate) fn trials() -> Vec<Trial> {
    if !nix::unistd::geteuid().is_root() {
        return Vec::new();
    }
    vec![
        story("an_ordinary_user_can_do_all_this", || check(None, &[])),
        story("an_ordinary_users_cages_freeze_and_thaw", || check(None, &["frozen"])),
        story("an_ordinary_users_cages_leave_nothing", || check(None, &["killed"])),
        story("a_user_with_a_delegated_cgroup_can_do_all_this", || {
            let mounts = std::fs::read_to_string("/proc/self/mounts").expect("readable");
            let mut mounts = mounts.lines().map(|line| line.split(' '));
            let mount = mounts.find_map(|mut line| {
                let (point, kind) = (line.nth(1)?, line.next()?);
                (kind == "cgroup2").then_some(point)
            });
            let Some(mount) = mount else { return say("skipped: no cgroup2 here") };
            if is_alone() {
                return say("skipped: there is no other user here");
            }
            let dir = Path::new(mount).join(format!("supervise-test-{}", std::process::id()));
            if let Err(error) = std::fs::create_dir(&dir) {
                return say(&format!("skipped: {error}"));
            }
            for path in [dir.clone(), dir.join("cgroup.procs")] {
                std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).expect("root may");
            }
            check(Some(&dir), &[]);
            std::fs::remove_dir(&dir).expect("nobody is left inside");
        }),
    ]
}

/// Whether root is the only user that there is, as in a user namespace.
fn is_alone() -> bool {
    let tried = Command::new("true").uid(NOBODY).gid(NOBODY).status();
    tried.is_err_and(|error| error.kind() == ErrorKind::InvalidInput)
}

/// Runs this binary as somebody else; only stories with that in their name, and in cages, if there
/// is such a word.
#[track_caller]
fn check(cgroup: Option<&Path>, words: &[&str]) {
    if is_alone() {
        return say("skipped: there is no other user here");
    }
    // Where the binary was built, others may not look.
    let dir = TempDir::new().expect("a folder");
    let everybody = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(dir.path(), everybody).expect("it is ours");
    let copy = dir.path().join("trees");
    std::fs::copy("/proc/self/exe", &copy).expect("a copy");
    let mut command = Command::new(&copy);
    command.arg(WORD).arg(cgroup.unwrap_or(Path::new(""))).arg(&copy).args(words);
    if words.is_empty() {
        // Cages have stories of their own.
        command.args(["--skip", "in_a_cage"]);
    } else {
        command.env(CAGED, "strict");
    }
    if words.is_empty()
        && let Some(python) = setuid_python(dir.path())
    {
        // In a cage nothing makes root of anybody.
        command.env(SETUID_PYTHON, python);
    }
    let status = command.current_dir("/").status().expect("it runs");
    assert!(status.success(), "as an ordinary user: {status}");
}

/// A Python that runs as root, if there is any Python.
fn setuid_python(dir: &Path) -> Option<PathBuf> {
    let script = "import os, sys; print(os.path.realpath(sys.executable), end='')";
    let path = ["/usr/bin/python3", "/usr/local/bin/python3"];
    let original = path.iter().find(|path| Path::new(path).exists())?;
    let original = Command::new(original).args(["-c", script]).output().ok()?.stdout;
    let copy = dir.join("python");
    std::fs::copy(OsStr::from_bytes(&original), &copy).ok()?;
    let mode = std::fs::Permissions::from_mode(0o4755);
    std::fs::set_permissions(&copy, mode).expect("it is ours");
    Some(copy)
}

/// Between the two: goes where it should be, becomes the user, starts over.
pub(crate) fn become_user_if_asked() {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [word, cgroup, copy, words @ ..] = arguments.as_slice() else { return };
    if word != OsStr::new(WORD) {
        return;
    }
    if !cgroup.is_empty() {
        std::fs::write(Path::new(cgroup).join("cgroup.procs"), "0").expect("root may");
    }
    let error = Command::new(copy).args(words).uid(NOBODY).gid(NOBODY).exec();
    panic!("it does not start: {error}");
}
