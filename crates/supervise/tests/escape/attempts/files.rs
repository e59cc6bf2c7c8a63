//! At what may not be changed.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Attempt, Call, CallIfStrict, World, as_root_within, attempt, done, mount, text};
use crate::world::Scene;

pub(super) const ATTEMPTS: &[Attempt] = &[
    attempt("overwriting", World, |scene| fs::write(scene.outside("treasure"), "mine")),
    attempt("appending", World, |scene| {
        File::options().append(true).open(scene.outside("treasure"))?.write_all(b"mine")
    }),
    attempt("truncating", World, |scene| {
        let path = text(scene.outside("treasure"));
        // SAFETY: the path is a string.
        done(unsafe { libc::truncate(path.as_ptr(), 0) }).map(drop)
    }),
    attempt("making_a_file", World, |scene| fs::write(scene.outside("new"), "mine")),
    attempt("making_a_file_in_the_base", Call, |scene| fs::write(scene.base.join("new"), "mine")),
    attempt("making_a_file_in_the_root", Call, |_| fs::write("/new-file-of-an-escape", "mine")),
    attempt("making_a_folder", World, |scene| fs::create_dir(scene.outside("new"))),
    attempt("making_a_link", World, |scene| symlink("treasure", scene.outside("new"))),
    attempt("making_a_pipe", World, |scene| node(&scene.outside("new"), libc::S_IFIFO)),
    attempt("making_a_file_without_a_name", World, |scene| {
        let path = text(scene.outside(""));
        // SAFETY: the path is a string.
        let fd = done(unsafe { libc::open(path.as_ptr(), libc::O_TMPFILE | libc::O_RDWR, 0o600) })?;
        let (from, to) = (text(format!("/proc/self/fd/{fd}")), text(scene.outside("new")));
        // SAFETY: both paths are strings.
        done(unsafe {
            libc::linkat(
                libc::AT_FDCWD,
                from.as_ptr(),
                libc::AT_FDCWD,
                to.as_ptr(),
                libc::AT_SYMLINK_FOLLOW,
            )
        })
        .map(drop)
    }),
    attempt("removing", World, |scene| fs::remove_file(scene.outside("treasure"))),
    attempt("removing_a_folder", World, |scene| fs::remove_dir_all(scene.outside("folder"))),
    attempt("renaming_outside", World, |scene| {
        fs::rename(scene.outside("treasure"), scene.outside("other"))
    }),
    attempt("renaming_in", World, |scene| {
        fs::rename(scene.outside("treasure"), scene.in_work("free/treasure"))
    }),
    attempt("renaming_out", World, |scene| {
        fs::write(scene.in_work("free/mine"), "mine")?;
        fs::rename(scene.in_work("free/mine"), scene.outside("treasure"))
    }),
    attempt("a_second_name_inside", World, |scene| {
        fs::hard_link(scene.outside("treasure"), scene.in_work("free/second"))?;
        fs::write(scene.in_work("free/second"), "mine")
    }),
    attempt("a_second_name_outside", World, |scene| {
        fs::hard_link(scene.in_work("file"), scene.outside("second"))
    }),
    attempt("a_link_that_was_planted_before", World, |scene| {
        fs::write(scene.in_work("planted"), "mine")
    }),
    attempt("a_link_that_is_planted_now", World, |scene| {
        symlink(scene.outside("folder"), scene.in_work("free/folder"))?;
        fs::write(scene.in_work("free/folder/file"), "mine")
    }),
    attempt("climbing_out_of_a_folder", World, |_| fs::write("../outside/treasure", "mine")),
    attempt("by_the_root_of_a_process", World, |scene| {
        let path = scene.outside("treasure");
        fs::write(Path::new("/proc/self/root").join(path.strip_prefix("/").expect("it")), "mine")
    }),
    attempt("by_the_folder_of_a_process", World, |_| {
        fs::write("/proc/self/cwd/../outside/treasure", "mine")
    }),
    attempt("by_the_root_of_the_first_process", World, |scene| {
        let path = scene.outside("treasure");
        fs::write(Path::new("/proc/1/root").join(path.strip_prefix("/").expect("it")), "mine")
    }),
    attempt("opening_again_for_writing", World, |scene| {
        let file = File::open(scene.outside("treasure"))?;
        fs::write(format!("/proc/self/fd/{}", file.as_raw_fd()), "mine")
    }),
    attempt("changing_the_mode", World, |scene| {
        fs::set_permissions(scene.outside("treasure"), Permissions::from_mode(0o777))
    }),
    attempt("changing_the_mode_of_what_is_open", World, |scene| {
        let file = File::open(scene.outside("treasure"))?;
        file.set_permissions(Permissions::from_mode(0o777))
    }),
    attempt("changing_the_owner", World, |scene| {
        chown(scene.outside("treasure"), Some(65533), Some(65533))
    }),
    attempt("changing_the_times", World, |scene| {
        let path = text(scene.outside("treasure"));
        let times = [libc::timespec { tv_sec: 1, tv_nsec: 1 }; 2];
        // SAFETY: the path is a string, and there are two times.
        done(unsafe { libc::utimensat(libc::AT_FDCWD, path.as_ptr(), times.as_ptr(), 0) }).map(drop)
    }),
    attempt("changing_an_attribute", Call, |scene| {
        let (path, name) = (text(scene.outside("treasure")), text("user.mine"));
        // SAFETY: path and name are strings, and one byte is there to be read.
        done(unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), b"x".as_ptr().cast(), 1, 0) })
            .map(drop)
    }),
    attempt("changing_a_flag", Call, |scene| {
        const SET_FLAGS: u64 = 0x4008_6602;
        let file = File::open(scene.outside("treasure"))?;
        let flags: libc::c_long = 0x10;
        // SAFETY: the flags outlive the call.
        done(unsafe { libc::ioctl(file.as_raw_fd(), SET_FLAGS, &raw const flags) }).map(drop)
    }),
    attempt("writing_a_map", World, |scene| {
        let file = File::open(scene.outside("treasure"))?;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new map of a file that is open.
        let place = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                4096,
                protection,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if place == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the map is writable, and the file longer than a byte.
        unsafe { place.cast::<u8>().write(b'!') };
        Ok(())
    }),
    attempt("a_pipe_that_others_read", CallIfStrict, |scene| {
        // No mount keeps anybody from writing into one.
        // Where an overlay lies over it, this pipe is another one, which nobody reads.
        let mut pipe = File::options();
        pipe.write(true).custom_flags(libc::O_NONBLOCK);
        pipe.open(scene.outside("pipe"))?.write_all(b"mine")
    }),
    attempt("making_others_wait_for_a_file", Call, |scene| {
        let file = File::open(scene.outside("treasure"))?;
        // SAFETY: no pointers.
        let leased = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_RDLCK) };
        done(leased).map(drop)
    }),
    attempt("copying_into_what_is_open", World, |scene| {
        let from = File::open(scene.in_work("file"))?;
        let to = File::open(scene.outside("treasure"))?;
        let (from, to, null) = (from.as_raw_fd(), to.as_raw_fd(), std::ptr::null_mut());
        // SAFETY: offsets may be null.
        done(unsafe { libc::copy_file_range(from, null, to, null, 4, 0) } as i64).map(drop)
    }),
    attempt("cloning_into_what_is_open", World, |scene| {
        const CLONE: u64 = 0x4004_9409;
        let from = File::open(scene.in_work("file"))?;
        let to = File::open(scene.outside("treasure"))?;
        // SAFETY: numbers only.
        done(unsafe { libc::ioctl(to.as_raw_fd(), CLONE, from.as_raw_fd()) }).map(drop)
    }),
    attempt("by_a_handle_instead_of_a_path", Call, by_handle),
    attempt("leaving_by_a_root_of_its_own", World, |scene| {
        let outside = File::open(scene.outside(""))?;
        let root = text(scene.in_work("free"));
        // SAFETY: the path is a string.
        done(unsafe { libc::chroot(root.as_ptr()) })?;
        // SAFETY: no pointers.
        done(unsafe { libc::fchdir(outside.as_raw_fd()) })?;
        fs::write("treasure", "mine")
    }),
    attempt("the_git_folders_config", World, |scene| {
        fs::write(scene.in_work(".git/config"), "[core]\nhooksPath = /tmp\n")
    }),
    attempt("the_git_folders_config_by_git", World, |scene| {
        let words = ["config", "core.hooksPath", "/tmp"];
        let mut git = Command::new("git");
        git.args(words).current_dir(&scene.work).stderr(Stdio::null());
        let said = git.status()?;
        if said.success() { Ok(()) } else { Err(io::Error::other(said.to_string())) }
    }),
    attempt("a_hook", World, |scene| {
        fs::write(scene.in_work(".git/hooks/pre-commit"), "#!/bin/sh")
    }),
    attempt("a_configuration_of_a_work_tree", World, |scene| {
        fs::write(scene.in_work(".git/config.worktree"), "[core]\n")
    }),
    attempt("a_common_folder_of_work_trees", World, |scene| {
        fs::write(scene.in_work(".git/commondir"), "../evil")
    }),
    attempt("attributes_of_git", World, |scene| {
        fs::write(scene.in_work(".git/info/attributes"), "* filter=evil")
    }),
    attempt("a_module_of_git", World, |scene| {
        fs::create_dir_all(scene.in_work(".git/modules/evil/hooks"))
    }),
    attempt("renaming_the_git_folder", World, |scene| {
        fs::rename(scene.in_work(".git"), scene.in_work("free/git"))?;
        fs::create_dir_all(scene.in_work(".git/hooks"))
    }),
    attempt("exchanging_the_git_folder", World, |scene| {
        fs::create_dir_all(scene.in_work("free/evil/hooks"))?;
        exchange(&scene.in_work("free/evil"), &scene.in_work(".git"))
    }),
    attempt("removing_the_git_folder", World, |scene| fs::remove_dir_all(scene.in_work(".git"))),
    attempt("a_second_name_of_gits_config", World, |scene| {
        fs::hard_link(scene.in_work(".git/config"), scene.in_work("free/config"))?;
        fs::write(scene.in_work("free/config"), "mine")
    }),
    attempt("the_record", World, |scene| fs::write(scene.in_work(".runs/manifest.json"), "[]")),
    attempt("another_record", World, |scene| {
        fs::create_dir_all(scene.in_work(".runs/task/cli/run"))
    }),
    attempt("renaming_the_records", World, |scene| {
        fs::rename(scene.in_work(".runs"), scene.in_work("free/runs"))
    }),
    attempt("the_configuration", World, |scene| {
        fs::write(scene.in_work("codex-orchestrator.toml"), "[caps.network]\nmode = \"open\"\n")
    }),
    attempt("removing_the_configuration", World, |scene| {
        fs::remove_file(scene.in_work("codex-orchestrator.toml"))
    }),
    attempt("renaming_over_the_configuration", World, |scene| {
        fs::write(scene.in_work("free/toml"), "mine")?;
        fs::rename(scene.in_work("free/toml"), scene.in_work("codex-orchestrator.toml"))
    }),
    attempt("exchanging_the_configuration", World, |scene| {
        fs::write(scene.in_work("free/toml2"), "mine")?;
        exchange(&scene.in_work("free/toml2"), &scene.in_work("codex-orchestrator.toml"))
    }),
    attempt("what_is_protected_and_not_there", World, |scene| {
        fs::create_dir_all(scene.in_work(".codex/prompts"))
    }),
    attempt("a_file_in_what_is_not_there", World, |scene| {
        fs::write(scene.in_work(".codex/config.toml"), "[mcp_servers.evil]")
    }),
    attempt("a_link_where_nothing_is_yet", World, |scene| {
        let _ = fs::remove_dir(scene.in_work(".codex"));
        symlink("free", scene.in_work(".codex"))
    }),
    attempt("renaming_to_where_nothing_is_yet", World, |scene| {
        fs::create_dir_all(scene.in_work("free/agents"))?;
        fs::rename(scene.in_work("free/agents"), scene.in_work(".agents"))
    }),
    attempt("deep_below_what_is_not_there", World, |scene| {
        fs::create_dir_all(scene.in_work("free/not/yet/there"))
    }),
    attempt("what_is_kept_deep_inside", World, |scene| {
        fs::write(scene.in_work("deep/a/kept/file"), "mine")
    }),
    attempt("renaming_what_is_above_it", World, |scene| {
        fs::rename(scene.in_work("deep/a"), scene.in_work("deep/b"))?;
        fs::create_dir_all(scene.in_work("deep/a/kept"))
    }),
    attempt("renaming_what_is_above_that", World, |scene| {
        fs::rename(scene.in_work("deep"), scene.in_work("shallow"))?;
        fs::create_dir_all(scene.in_work("deep/a/kept"))
    }),
    attempt("exchanging_what_is_above_it", World, |scene| {
        fs::create_dir_all(scene.in_work("free/other/kept"))?;
        exchange(&scene.in_work("free/other"), &scene.in_work("deep/a"))
    }),
    attempt("exchanging_the_work_tree", World, |scene| {
        fs::create_dir_all(scene.in_work("free/tree"))?;
        exchange(&scene.work, &scene.in_work("free/tree"))
    }),
    attempt("making_it_writable", World, |scene| {
        remount(Path::new("/"))?;
        fs::write(scene.outside("treasure"), "mine")
    }),
    attempt("taking_off_the_protection", World, |scene| {
        unmount(&scene.in_work(".git"))?;
        fs::write(scene.in_work(".git/config"), "mine")
    }),
    attempt("making_it_writable_as_root_below", World, |scene| {
        as_root_within(libc::CLONE_NEWNS, || {
            let _ = remount(Path::new("/"));
            let _ = remount(&scene.base);
            fs::write(scene.outside("treasure"), "mine")
        })
    }),
    attempt("making_protection_writable_as_root_below", World, |scene| {
        as_root_within(libc::CLONE_NEWNS, || {
            remount(&scene.in_work(".git"))?;
            fs::write(scene.in_work(".git/config"), "mine")
        })
    }),
    attempt("taking_off_the_protection_as_root_below", World, |scene| {
        as_root_within(libc::CLONE_NEWNS, || {
            unmount(&scene.in_work(".git"))?;
            fs::write(scene.in_work(".git/config"), "mine")
        })
    }),
    attempt("taking_off_what_keeps_folders_in_place", World, |scene| {
        as_root_within(libc::CLONE_NEWNS, || {
            let _ = unmount(&scene.in_work("deep/a"));
            let _ = unmount(&scene.in_work("deep"));
            fs::rename(scene.in_work("deep"), scene.in_work("shallow"))
        })
    }),
    attempt("a_view_without_the_protection", World, |scene| {
        as_root_within(libc::CLONE_NEWNS, || {
            let view = scene.in_work("free");
            mount(&scene.work.display().to_string(), &view, "", libc::MS_BIND)?;
            fs::write(view.join(".git/config"), "mine")
        })
    }),
    attempt("a_view_of_all_without_the_protection", World, |scene| {
        as_root_within(libc::CLONE_NEWNS, || {
            let view = scene.in_work("free");
            mount(&scene.work.display().to_string(), &view, "", libc::MS_BIND | libc::MS_REC)?;
            let _ = unmount(&view.join(".git"));
            fs::write(view.join(".git/config"), "mine")
        })
    }),
    attempt("a_copy_without_the_protection", World, |scene| {
        as_root_within(libc::CLONE_NEWNS, || {
            let path = text(&scene.work);
            // SAFETY: the path is a string; the descriptor is new.
            let tree = done(unsafe {
                libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), 1)
            })?;
            let path = format!("/proc/self/fd/{tree}/.git/config");
            fs::write(path, "mine")
        })
    }),
    attempt("renaming_the_git_folder_as_root_below", World, |scene| {
        as_root_within(libc::CLONE_NEWNS, || {
            fs::rename(scene.in_work(".git"), scene.in_work("free/git"))
        })
    }),
    attempt("a_new_root_below", World, |scene| {
        as_root_within(libc::CLONE_NEWNS, || {
            let root = scene.in_work("free");
            mount("tmpfs", &root, "tmpfs", 0)?;
            fs::create_dir(root.join("old"))?;
            let (new, old) = (text(&root), text(root.join("old")));
            // SAFETY: both paths are strings.
            done(unsafe { libc::syscall(libc::SYS_pivot_root, new.as_ptr(), old.as_ptr()) })?;
            let old = |path: PathBuf| Path::new("/old").join(path.strip_prefix("/").expect("it"));
            let _ = unmount(&old(scene.in_work(".git")));
            let _ = fs::write(old(scene.in_work(".git/config")), "mine");
            fs::write(old(scene.outside("treasure")), "mine")
        })
    }),
    attempt("an_overlay_below", World, |scene| {
        as_root_within(libc::CLONE_NEWNS, || {
            let (upper, work) = (scene.in_work("free/upper"), scene.in_work("free/work"));
            fs::create_dir_all(&upper)?;
            fs::create_dir_all(&work)?;
            let options = format!(
                "lowerdir={},upperdir={},workdir={}",
                scene.in_work("free").display(),
                scene.outside("folder").display(),
                scene.outside("work").display()
            );
            let (kind, target) = (text("overlay"), text(scene.in_work("free")));
            let options = text(options);
            // SAFETY: all are strings.
            done(unsafe {
                libc::mount(
                    kind.as_ptr(),
                    target.as_ptr(),
                    kind.as_ptr(),
                    0,
                    options.as_ptr().cast(),
                )
            })?;
            fs::write(scene.in_work("free/new"), "mine")
        })
    }),
    attempt("any_mount", CallIfStrict, |scene| mount("tmpfs", &scene.in_work("free"), "tmpfs", 0)),
    attempt("any_mount_as_root_below", CallIfStrict, |scene| {
        as_root_within(libc::CLONE_NEWNS, || mount("tmpfs", &scene.in_work("free"), "tmpfs", 0))
    }),
    attempt("a_mount_by_the_newer_calls", CallIfStrict, |_| {
        let kind = text("tmpfs");
        // SAFETY: the name is a string.
        done(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), 0) }).map(drop)
    }),
];

fn node(path: &Path, kind: libc::mode_t) -> io::Result<()> {
    let path = text(path);
    // SAFETY: the path is a string.
    done(unsafe { libc::mknod(path.as_ptr(), kind | 0o600, 0) }).map(drop)
}

fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    let (one, other) = (text(one), text(other));
    let here = libc::AT_FDCWD;
    // SAFETY: both paths are strings.
    let exchanged =
        unsafe { libc::renameat2(here, one.as_ptr(), here, other.as_ptr(), libc::RENAME_EXCHANGE) };
    done(exchanged).map(drop)
}

fn remount(path: &Path) -> io::Result<()> {
    mount("none", path, "", libc::MS_REMOUNT | libc::MS_BIND)
}

fn unmount(path: &Path) -> io::Result<()> {
    let path = text(path);
    // SAFETY: the path is a string.
    done(unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) }).map(drop)
}

fn by_handle(scene: &Scene) -> io::Result<()> {
    let path = text(scene.outside("treasure"));
    let folder = File::open("/")?;
    let mut handle = [0_u32; 34];
    handle[0] = 128;
    let mut mount = 0;
    // SAFETY: the handle has room for what its first number says.
    done(unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            libc::AT_FDCWD,
            path.as_ptr(),
            handle.as_mut_ptr(),
            &raw mut mount,
            0,
        )
    })?;
    let (place, flags) = (folder.as_raw_fd(), libc::O_WRONLY);
    // SAFETY: as above; the descriptor is new.
    let fd =
        done(unsafe { libc::syscall(libc::SYS_open_by_handle_at, place, handle.as_ptr(), flags) })?;
    // SAFETY: nobody else has it.
    File::from(unsafe { OwnedFd::from_raw_fd(fd as i32) }).write_all(b"mine")
}
