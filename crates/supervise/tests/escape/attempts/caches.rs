//! At what a user has downloaded, by way of what lies over it, and at what others keep there.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use super::{Attempt, Call, World, as_root_within, attempt, done, tell, text};
use crate::world::Scene;

pub(super) const ATTEMPTS: &[Attempt] = &[
    attempt("overwriting_a_cache", World, |scene| fs::write(cache(scene, "crate"), "mine")),
    attempt("appending_to_a_cache", World, |scene| {
        File::options().append(true).open(cache(scene, "crate"))?.write_all(b"mine")
    }),
    attempt("truncating_what_a_cache_has", World, |scene| {
        let path = text(cache(scene, "crate"));
        // SAFETY: the path is a string.
        done(unsafe { libc::truncate(path.as_ptr(), 0) }).map(drop)
    }),
    attempt("removing_from_a_cache", World, |scene| fs::remove_file(cache(scene, "crate"))),
    attempt("removing_a_cache", World, |scene| fs::remove_dir_all(cache(scene, "index"))),
    attempt("renaming_a_cache", World, |scene| {
        fs::rename(cache(scene, ""), scene.base.join("home/elsewhere"))
    }),
    attempt("renaming_what_is_above_a_cache", World, |scene| {
        fs::rename(scene.base.join("home"), scene.base.join("house"))
    }),
    attempt("renaming_within_a_cache", World, |scene| {
        fs::rename(cache(scene, "crate"), cache(scene, "index/file"))
    }),
    attempt("exchanging_within_a_cache", World, |scene| {
        let (one, two) = (text(cache(scene, "crate")), text(cache(scene, "index")));
        let here = libc::AT_FDCWD;
        // SAFETY: both paths are strings.
        done(unsafe {
            libc::renameat2(here, one.as_ptr(), here, two.as_ptr(), libc::RENAME_EXCHANGE)
        })
        .map(drop)
    }),
    attempt("a_second_name_of_what_a_cache_has", World, |scene| {
        fs::hard_link(cache(scene, "crate"), cache(scene, "second"))?;
        fs::write(cache(scene, "second"), "mine")
    }),
    attempt("a_second_name_outside_of_a_cache", World, |scene| {
        fs::hard_link(cache(scene, "crate"), scene.in_work("free/second"))?;
        fs::write(scene.in_work("free/second"), "mine")
    }),
    attempt("a_link_that_a_cache_has", World, |scene| fs::write(cache(scene, "planted"), "mine")),
    attempt("a_link_that_is_planted_in_a_cache", World, |scene| {
        fs::remove_file(cache(scene, "crate"))?;
        symlink(scene.outside("treasure"), cache(scene, "crate"))?;
        fs::write(cache(scene, "crate"), "mine")
    }),
    attempt("the_mode_of_what_a_cache_has", World, |scene| {
        fs::set_permissions(cache(scene, "crate"), Permissions::from_mode(0o777))
    }),
    attempt("the_times_of_what_a_cache_has", World, |scene| {
        let file = File::options().append(true).open(cache(scene, "crate"))?;
        file.set_modified(std::time::SystemTime::UNIX_EPOCH)
    }),
    attempt("what_is_open_only_for_reading", World, |scene| {
        let file = File::open(cache(scene, "crate"))?;
        let again = format!("/proc/self/fd/{}", file.as_raw_fd());
        File::options().write(true).truncate(true).open(again)?.write_all(b"mine")
    }),
    attempt("memory_of_what_a_cache_has", World, |scene| {
        let file = File::options().read(true).write(true).open(cache(scene, "crate"))?;
        let (read, write) = (libc::PROT_READ, libc::PROT_WRITE);
        let (length, fd) = (9, file.as_raw_fd());
        // SAFETY: a new mapping; what is written lies within the file, which is as long.
        unsafe {
            let at =
                libc::mmap(std::ptr::null_mut(), length, read | write, libc::MAP_SHARED, fd, 0);
            if at == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
            at.cast::<u8>().write(b'M');
            done(libc::msync(at, length, libc::MS_SYNC)).map(drop)
        }
    }),
    attempt("a_whiteout", World, |scene| {
        fs::remove_file(cache(scene, "crate"))?;
        whiteout(cache(scene, "crate"))
    }),
    attempt("a_whiteout_of_something_new", Call, |scene| whiteout(cache(scene, "white"))),
    attempt("an_attribute_that_makes_it_opaque", World, |scene| {
        attribute(cache(scene, "index"), c"user.overlay.opaque", b"y")
    }),
    attempt("an_attribute_that_leads_elsewhere", World, |scene| {
        attribute(cache(scene, "index"), c"user.overlay.redirect", b"/outside")?;
        fs::write(cache(scene, "index/file"), "mine")
    }),
    attempt("an_attribute_that_only_the_trusted_set", Call, |scene| {
        attribute(cache(scene, "index"), c"trusted.overlay.opaque", b"y")
    }),
    attempt("taking_away_what_lies_over_it", World, |scene| {
        as_root_within(libc::CLONE_NEWNS, || {
            let path = text(cache(scene, ""));
            // SAFETY: the path is a string.
            done(unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) })?;
            fs::write(cache(scene, "crate"), "mine")
        })
    }),
    attempt("an_overlay_of_ones_own", World, |scene| {
        as_root_within(libc::CLONE_NEWNS, || {
            let (upper, work) = (scene.outside("folder"), scene.in_work("free/w"));
            fs::create_dir_all(&work)?;
            let options = text(format!(
                "userxattr,lowerdir={},upperdir={},workdir={}",
                cache(scene, "").display(),
                upper.display(),
                work.display()
            ));
            let (kind, at) = (c"overlay".as_ptr(), text(scene.in_work("free")));
            // SAFETY: all are strings.
            done(unsafe { libc::mount(kind, at.as_ptr(), kind, 0, options.as_ptr().cast()) })?;
            fs::write(scene.in_work("free/file"), "mine")
        })
    }),
    attempt("a_program_that_is_kept", Call, |scene| fs::write(cache(scene, "bin/tool"), "mine")),
    attempt("another_program_beside_it", Call, |scene| fs::write(cache(scene, "bin/new"), "mine")),
    attempt("a_program_where_there_is_no_folder", Call, |scene| {
        fs::write(cache(scene, "sbin/new"), "mine")
    }),
    attempt("renaming_what_is_kept", Call, |scene| {
        fs::rename(cache(scene, "bin"), cache(scene, "bin2"))
    }),
    attempt("a_token_in_a_cache", World, |scene| show(cache(scene, "token"))),
    attempt("a_token_by_another_name", World, |scene| {
        fs::hard_link(cache(scene, "token"), cache(scene, "other"))?;
        show(cache(scene, "other"))
    }),
    attempt("a_token_by_renaming_it", World, |scene| {
        fs::rename(cache(scene, "token"), cache(scene, "other"))?;
        show(cache(scene, "other"))
    }),
    attempt("another_slot", World, |scene| show(scene.base.join("slots/7/own/secret"))),
    attempt("another_slot_by_climbing", World, |scene| {
        show(scene.base.join("slots/own/../7/own/secret"))
    }),
    attempt("writing_to_another_slot", World, |scene| {
        fs::write(scene.base.join("slots/7/own/secret"), "mine")
    }),
    attempt("a_link_to_another_slot", World, |scene| {
        let link = scene.base.join("slots/own/link");
        symlink("../7/own/secret", &link)?;
        show(link)
    }),
    attempt("the_slots", Call, |scene| fs::read_dir(scene.base.join("slots")).map(drop)),
    attempt("ones_own_slot_from_below", Call, |scene| {
        fs::read_dir(scene.base.join("slots/0")).map(drop)
    }),
    attempt("the_lock_of_ones_own_slot", Call, |scene| {
        fs::remove_file(scene.base.join("slots/0/lock"))
    }),
];

fn cache(scene: &Scene, name: &str) -> PathBuf {
    let cache = scene.base.join("home/cache");
    if name.is_empty() { cache } else { cache.join(name) }
}

fn show(path: PathBuf) -> io::Result<()> {
    tell(&fs::read_to_string(path)?);
    Ok(())
}

fn whiteout(path: PathBuf) -> io::Result<()> {
    let path = text(path);
    // SAFETY: the path is a string.
    done(unsafe { libc::mknod(path.as_ptr(), libc::S_IFCHR, 0) }).map(drop)
}

fn attribute(path: PathBuf, name: &std::ffi::CStr, value: &[u8]) -> io::Result<()> {
    let path = text(path);
    let (value, length) = (value.as_ptr().cast(), value.len());
    // SAFETY: path and name are strings, and the value is as long as is said.
    done(unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), value, length, 0) }).map(drop)
}
