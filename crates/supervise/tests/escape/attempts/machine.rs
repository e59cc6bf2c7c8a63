//! At what is the machine's: its devices, its settings, its kernel.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::{Attempt, Call, World, as_root_within, attempt, done, first_of, mount, text};

pub(super) const ATTEMPTS: &[Attempt] = &[
    attempt("any_device", Call, |_| {
        let mut found = Err(io::ErrorKind::NotFound.into());
        for entry in fs::read_dir("/dev")?.flatten() {
            let harmless = ["null", "zero", "full", "random", "urandom", "tty", "ptmx"];
            let kind = fs::metadata(entry.path()).map(|found| found.file_type());
            let device = kind.is_ok_and(|kind| kind.is_block_device() || kind.is_char_device());
            let name = entry.file_name();
            if device
                && !harmless.iter().any(|other| name == *other)
                && !name.to_string_lossy().starts_with("std")
            {
                found = found.or_else(|_: io::Error| File::open(entry.path()).map(drop));
            }
        }
        found
    }),
    attempt("the_kernels_log", Call, |_| File::open("/dev/kmsg").map(drop)),
    attempt("the_kernels_log_by_its_call", Call, |_| {
        let mut bytes = [0_u8; 64];
        // SAFETY: there is room for that many bytes.
        done(unsafe { libc::klogctl(3, bytes.as_mut_ptr().cast(), 64) }).map(drop)
    }),
    attempt("the_kernels_memory", Call, |_| {
        File::open("/proc/kcore").or_else(|_| File::open("/dev/mem")).map(drop)
    }),
    attempt("virtual_machines", Call, |_| File::open("/dev/kvm").map(drop)),
    attempt("file_systems_of_its_own", Call, |_| File::open("/dev/fuse").map(drop)),
    attempt("a_disk_by_its_number", Call, |scene| {
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let number = mounts.lines().filter_map(|line| line.split(' ').nth(2));
        let mut made = Err(io::ErrorKind::NotFound.into());
        for (at, number) in number.enumerate() {
            let Some((major, minor)) = number.split_once(':') else { continue };
            let (Ok(major), Ok(minor)) = (major.parse(), minor.parse()) else { continue };
            let path = scene.in_work(&format!("free/disk{at}"));
            let name = text(&path);
            // SAFETY: the path is a string.
            let node = unsafe {
                libc::mknod(name.as_ptr(), libc::S_IFBLK | 0o600, libc::makedev(major, minor))
            };
            made =
                made.or_else(|_: io::Error| done(node).and_then(|_| File::open(&path)).map(drop));
        }
        made
    }),
    attempt("a_disk_by_its_number_as_root_below", Call, |scene| {
        as_root_within(libc::CLONE_NEWNS, || {
            let path = scene.in_work("free/null");
            let name = text(&path);
            // SAFETY: the path is a string.
            done(unsafe {
                libc::mknod(name.as_ptr(), libc::S_IFCHR | 0o666, libc::makedev(1, 1))
            })?;
            File::open(path).map(drop)
        })
    }),
    attempt("what_handles_crashes", Call, |_| writable("/proc/sys/kernel/core_pattern")),
    attempt("what_loads_modules", Call, |_| writable("/proc/sys/kernel/modprobe")),
    attempt("the_key_that_commands_the_kernel", Call, |_| writable("/proc/sysrq-trigger")),
    attempt("any_setting_of_the_kernel", Call, |_| any_writable(Path::new("/proc/sys"))),
    attempt("any_setting_of_a_device", Call, |_| any_writable(Path::new("/sys"))),
    attempt("any_other_file_of_the_kernel", Call, |_| {
        let mut found = Err(io::ErrorKind::NotFound.into());
        for entry in fs::read_dir("/proc")?.flatten() {
            let name = entry.file_name();
            // Each process's own are no business of the kernel's.
            let own = name.to_string_lossy().bytes().all(|byte| byte.is_ascii_digit());
            let own = own
                || ["self", "thread-self", "sys", "net", "mounts"]
                    .iter()
                    .any(|other| name == *other);
            if !own {
                found = found.or_else(|_: io::Error| any_writable(&entry.path()));
            }
        }
        found
    }),
    attempt("settings_by_another_proc_below", Call, |scene| {
        as_root_within(libc::CLONE_NEWNS | libc::CLONE_NEWPID, || {
            super::in_child(|| {
                mount("proc", &scene.in_work("free"), "proc", 0)?;
                any_of(&scene.in_work("free"), &["sys/kernel/core_pattern", "sysrq-trigger"])
            })
        })
    }),
    attempt("settings_by_the_same_proc_below", Call, |_| {
        as_root_within(libc::CLONE_NEWNS, || {
            let path = text("/proc/sys");
            // SAFETY: the path is a string.
            let _ = unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
            let _ = mount("none", Path::new("/proc/sys"), "", libc::MS_REMOUNT | libc::MS_BIND);
            any_of(Path::new("/proc"), &["sys/kernel/core_pattern", "sysrq-trigger"])
        })
    }),
    attempt("devices_by_another_view_below", Call, |scene| {
        as_root_within(libc::CLONE_NEWNS | libc::CLONE_NEWNET, || {
            mount("sysfs", &scene.in_work("free"), "sysfs", 0)?;
            any_of(
                &scene.in_work("free"),
                &["power/state", "kernel/mm/ksm/run", "kernel/uevent_helper"],
            )
        })
    }),
    attempt("devices_of_its_own_below", Call, |scene| {
        as_root_within(libc::CLONE_NEWNS, || {
            mount("devtmpfs", &scene.in_work("free"), "devtmpfs", 0)
        })
    }),
    attempt("what_debugs_the_kernel_below", Call, |scene| {
        as_root_within(libc::CLONE_NEWNS, || {
            mount("debugfs", &scene.in_work("free"), "debugfs", 0)
                .or_else(|_| mount("tracefs", &scene.in_work("free"), "tracefs", 0))
                .or_else(|_| mount("securityfs", &scene.in_work("free"), "securityfs", 0))
        })
    }),
    attempt("a_disk_below", Call, |scene| {
        as_root_within(libc::CLONE_NEWNS, || {
            mount("/dev/vda", &scene.in_work("free"), "ext4", 0)
                .or_else(|_| mount("/dev/sda1", &scene.in_work("free"), "ext4", 0))
        })
    }),
    attempt("programs_for_the_kernel", Call, |_| {
        let attributes = [0_u64; 16];
        // SAFETY: the attributes outlive the call and are as long as is said.
        match done(unsafe { libc::syscall(libc::SYS_bpf, 0, attributes.as_ptr(), 128) }) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
            other => other.map(drop),
        }
    }),
    attempt("counters_of_the_kernel", Call, |_| {
        let mut attributes = [0_u32; 32];
        attributes[1] = 128;
        attributes[0] = 1;
        // SAFETY: the attributes outlive the call and are as long as they say.
        done(unsafe { libc::syscall(libc::SYS_perf_event_open, attributes.as_ptr(), 0, -1, -1, 0) })
            .map(drop)
    }),
    attempt("faults_of_its_own", Call, |_| {
        // SAFETY: no pointers.
        done(unsafe { libc::syscall(libc::SYS_userfaultfd, 1) }).map(drop)
    }),
    attempt("keys", Call, |_| {
        let (kind, name) = (text("user"), text("escape"));
        // SAFETY: both are strings, and one byte is there to be read.
        done(unsafe {
            libc::syscall(libc::SYS_add_key, kind.as_ptr(), name.as_ptr(), b"x".as_ptr(), 1, -4)
        })
        .map(drop)
    }),
    attempt("keys_of_the_session", Call, |_| {
        // SAFETY: no pointers.
        done(unsafe { libc::syscall(libc::SYS_keyctl, 0, -3, 0) }).map(drop)
    }),
    attempt("the_clock", Call, |_| {
        let time = libc::timespec { tv_sec: 1, tv_nsec: 0 };
        // SAFETY: the time outlives the call.
        done(unsafe { libc::clock_settime(libc::CLOCK_REALTIME, &raw const time) }).map(drop)
    }),
    attempt("a_restart", Call, |_| {
        let (one, two) = (0xfee1_dead_u32, 672_274_793_u32);
        // SAFETY: no pointers. It asks only that Ctrl-Alt-Del be ignored.
        done(unsafe { libc::syscall(libc::SYS_reboot, one, two, 0, 0) }).map(drop)
    }),
    attempt("a_module", Call, |_| {
        let options = text("");
        // SAFETY: an empty image and a string.
        match done(unsafe {
            libc::syscall(libc::SYS_init_module, b"".as_ptr(), 0, options.as_ptr())
        }) {
            Err(error) if error.raw_os_error() == Some(libc::ENOEXEC) => Ok(()),
            other => other.map(drop),
        }
    }),
    attempt("memory_on_disk", Call, |scene| {
        let path = text(scene.in_work("file"));
        // SAFETY: the path is a string.
        match done(unsafe { libc::swapon(path.as_ptr(), 0) }) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
            other => other.map(drop),
        }
    }),
    attempt("accounts_of_processes", Call, |scene| {
        let path = text(scene.in_work("free/accounts"));
        fs::write(scene.in_work("free/accounts"), "")?;
        // SAFETY: the path is a string.
        done(unsafe { libc::acct(path.as_ptr()) }).map(drop)
    }),
    attempt("events_of_all_files", Call, |_| {
        // SAFETY: no pointers.
        done(unsafe { libc::fanotify_init(0, 0) }).map(drop)
    }),
    attempt("a_message_about_itself_to_the_kernel", World, |_| {
        // What is written there is read by whoever reads the kernel's log.
        fs::write("/dev/kmsg", "escaped")
    }),
];

fn writable(path: impl AsRef<Path>) -> io::Result<()> {
    File::options().write(true).open(path).map(drop)
}

fn any_of(folder: &Path, files: &[&str]) -> io::Result<()> {
    let opened = files.iter().map(|file| writable(folder.join(file)));
    first_of(opened)
}

/// Opens every file below, without writing anything, until one opens.
fn any_writable(folder: &Path) -> io::Result<()> {
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    let mut tried = 0;
    while let Some(path) = folders.pop() {
        let Ok(found) = fs::symlink_metadata(&path) else { continue };
        if found.is_dir() {
            let entries = fs::read_dir(&path).into_iter().flatten().flatten();
            folders.extend(entries.map(|entry| entry.path()));
        } else if found.is_file() && found.mode() & 0o222 != 0 && found.mode() & 0o002 == 0 {
            // What everybody may write is nobody's to protect.
            match writable(&path) {
                Ok(()) => {
                    super::tell(&path.display().to_string());
                    return Ok(());
                }
                Err(error) => last = error,
            }
            tried += 1;
            // More of them are only more of the same.
            if tried > 3000 {
                break;
            }
        }
    }
    Err(last)
}
