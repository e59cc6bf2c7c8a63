//! At what may not be seen.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::path::Path;

use super::{Attempt, CallIfStrict, World, as_root_within, attempt, done, mount, tell, text};

pub(super) const ATTEMPTS: &[Attempt] = &[
    attempt("the_state", World, |scene| show(&scene.base.join("state/secret"))),
    attempt("the_journal", World, |scene| show(&scene.base.join("state/journal.db"))),
    attempt("what_is_in_the_state", CallIfStrict, |scene| {
        fs::read_dir(scene.base.join("state")).map(drop)
    }),
    attempt("a_key", World, |scene| show(&scene.base.join("home/.ssh/id"))),
    attempt("a_token", World, |scene| show(&scene.base.join("home/token"))),
    attempt("a_token_in_a_folder_of_ones_own", World, |scene| {
        show(&scene.in_work("shut/in/token"))
    }),
    attempt("a_token_by_renaming_what_is_above_it", World, |scene| {
        fs::rename(scene.in_work("shut/in"), scene.in_work("shut/out"))
    }),
    attempt("a_token_by_renaming_what_is_above_that", World, |scene| {
        fs::rename(scene.in_work("shut"), scene.in_work("open"))
    }),
    attempt("a_file_in_tmp", World, |scene| show(&scene.tmp)),
    attempt("a_file_in_shared_memory", World, |scene| show(&scene.shm)),
    attempt("the_state_by_the_first_process", World, |scene| {
        show(&below("/proc/1/root", &scene.base.join("state/secret")))
    }),
    attempt("tmp_by_the_first_process", World, |scene| show(&below("/proc/1/root", &scene.tmp))),
    attempt("the_state_by_any_process", World, |scene| {
        for entry in fs::read_dir("/proc")?.flatten() {
            for way in ["root", "cwd"] {
                let path = entry.path().join(way);
                let _ = show(&below(&path.to_string_lossy(), &scene.base.join("state/secret")));
            }
        }
        Ok(())
    }),
    attempt("the_state_by_what_is_open", World, |_| {
        for entry in fs::read_dir("/proc/self/fd")?.flatten() {
            let _ = show(&entry.path().join("state/secret"));
        }
        Ok(())
    }),
    attempt("the_state_as_root_below", World, |scene| {
        as_root_within(libc::CLONE_NEWNS, || show(&scene.base.join("state/secret")))
    }),
    attempt("the_state_below_what_hides_it", World, |scene| {
        as_root_within(libc::CLONE_NEWNS, || {
            let path = text(scene.base.join("state"));
            // SAFETY: the path is a string.
            let _ = unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
            show(&scene.base.join("state/secret"))
        })
    }),
    attempt("the_state_by_another_view", World, |scene| {
        as_root_within(libc::CLONE_NEWNS, || {
            let view = scene.in_work("free");
            mount(&scene.base.display().to_string(), &view, "", libc::MS_BIND)?;
            show(&view.join("state/secret"))
        })
    }),
    attempt("a_token_below_what_hides_it", World, |scene| {
        as_root_within(libc::CLONE_NEWNS, || {
            let path = text(scene.base.join("home/token"));
            // SAFETY: the path is a string.
            let _ = unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
            show(&scene.base.join("home/token"))
        })
    }),
    attempt("tmp_below_what_hides_it", World, |scene| {
        as_root_within(libc::CLONE_NEWNS, || {
            let path = text("/tmp");
            // SAFETY: the path is a string.
            let _ = unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
            show(&scene.tmp)
        })
    }),
    attempt("a_lock_on_the_journal", CallIfStrict, |scene| {
        let file = File::open(scene.base.join("state/journal.db"))?;
        // SAFETY: no pointers.
        done(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }).map(drop)
    }),
    attempt("what_processes_were_told", World, |_| {
        for entry in fs::read_dir("/proc")?.flatten() {
            for file in ["environ", "cmdline"] {
                let _ = show(&entry.path().join(file));
            }
        }
        Ok(())
    }),
    attempt("what_the_victim_was_told", World, |scene| {
        show(Path::new(&format!("/proc/{}/environ", scene.victim)))
    }),
    attempt("the_memory_of_the_first_process", World, |_| {
        let maps = fs::read_to_string("/proc/1/maps")?;
        tell(&maps);
        let mut memory = File::open("/proc/1/mem")?;
        memory.read(&mut [0; 16]).map(drop)
    }),
    attempt("memory_that_is_shared_by_a_key", World, |scene| {
        // SAFETY: no pointers.
        let segment = done(unsafe { libc::shmget(scene.sysv_key, 0, 0) })?;
        // SAFETY: the kernel chooses the place.
        let place = unsafe { libc::shmat(segment as i32, std::ptr::null(), libc::SHM_RDONLY) };
        if place as isize == -1 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the segment is a page long.
        let bytes = unsafe { std::slice::from_raw_parts(place.cast::<u8>(), 64) };
        tell(&String::from_utf8_lossy(bytes));
        Ok(())
    }),
    attempt("what_it_was_started_with", World, |_| {
        for (key, value) in std::env::vars_os() {
            tell(&format!("{}={}", key.to_string_lossy(), value.to_string_lossy()));
        }
        Ok(())
    }),
];

fn below(way: &str, path: &Path) -> std::path::PathBuf {
    Path::new(way).join(path.strip_prefix("/").expect("it is absolute"))
}

/// Tells what is in a file.
fn show(path: &Path) -> io::Result<()> {
    let said = fs::read(path)?;
    std::io::stdout().write_all(&said)
}
