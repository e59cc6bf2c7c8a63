//! What a caged tree sees of the file system.
//!
//! Everything is made read-only at once, then what differs is mounted over it, the shallowest
//! first, so that the deepest mount decides about a path.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};

use super::outside::{Layout, open_plain};
use super::snag::Snag;
use super::veil::Drawn;
use super::{CacheReport, CacheWay, Walls};
use crate::sys::{self, NO_DEVICES, NO_SUID, READ_ONLY};

/// What is mounted where, in the order in which it is done at one depth.
enum Piece {
    /// Nothing but what the tree puts there; the mode of the folder.
    Empty(&'static str),
    Devices(Vec<(&'static str, OwnedFd)>),
    Veil(Drawn),
    Processes,
    Hidden,
    /// A copy of what was there, as it was or read-only.
    Back(OwnedFd),
    BackReadOnly(OwnedFd),
    Blank,
    /// Itself once more, so that it cannot be renamed.
    Step,
    Protected,
}

/// The devices that every program may expect, and that lead nowhere.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// What of `/proc` belongs to the machine and listens to root, whatever namespace root is in.
const OF_THE_MACHINE: [&str; 10] =
    ["sys", "sysrq-trigger", "irq", "bus", "fs", "acpi", "scsi", "mtrr", "driver", "timer_list"];

/// What has been built.
pub(super) struct View {
    pub(super) walls: Walls,
    pub(super) caches: Vec<CacheReport>,
    /// Where these are mounted.
    pub(super) cached: Vec<PathBuf>,
    /// Whether every veil could be laid.
    pub(super) veiled: bool,
}

/// Builds the view in this process's own mount namespace. `is_root` says who it is outside.
pub(super) fn build(layout: &Layout, is_root: bool) -> Result<View, Snag> {
    let root = Path::new("/");
    // Private, not slave: what is mounted outside later must not appear inside, writable.
    let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, root, None::<&str>, flags, None::<&str>)
        .map_err(Snag::of("making the mounts private"))?;
    let mut pieces = pieces(layout)?;
    let mut caches = Vec::new();
    let mut cached = Vec::new();
    let mut veiled = true;
    for cache in &layout.caches {
        let mounted = cache.mounts(writable)?;
        cached.extend(mounted.mounts.iter().map(|(path, _)| path.clone()));
        if matches!(mounted.report.way, CacheWay::Overlay) {
            pieces.extend(cache.keep.iter().map(|path| (path.clone(), Piece::Protected)));
        } else {
            // It is all that keeps anything out of there.
            veiled = false;
        }
        pieces.extend(mounted.mounts.into_iter().map(|(path, fd)| (path, Piece::Back(fd))));
        caches.push(mounted.report);
    }
    if let Some(own) = &layout.own {
        cached.push(own.path.clone());
        pieces.push((own.path.clone(), Piece::Back(writable(&own.folder)?)));
    }
    set(root, READ_ONLY | NO_SUID | NO_DEVICES)?;
    pieces.sort_by_key(|(path, _)| path.components().count());
    let mut walls = Walls::Namespaces;
    for (path, piece) in &pieces {
        match piece {
            Piece::Empty(mode) => tmpfs(path, mode)?,
            Piece::Devices(nodes) => devices(path, nodes)?,
            Piece::Veil(veil) => veiled &= veil.lay(path)?,
            Piece::Processes => walls = processes(path, is_root)?,
            Piece::Hidden => tmpfs(path, "mode=0111")?,
            Piece::Back(copy) => put_back(copy, path)?,
            Piece::BackReadOnly(copy) => {
                put_back(copy, path)?;
                set(path, READ_ONLY)?;
            }
            Piece::Blank => blank(path)?,
            Piece::Step => over_itself(path)?,
            Piece::Protected => {
                over_itself(path)?;
                set(path, READ_ONLY)?;
            }
        }
    }
    // Only now, because places for other mounts had to be made in them.
    let _ = fs::remove_file(BLANK);
    let made = layout.hidden.iter().map(PathBuf::as_path).chain([Path::new("/dev")]);
    for path in made {
        set_alone(path)?;
    }
    Ok(View { walls, caches, cached, veiled })
}

/// What is to be mounted; copies are taken while all is as it was.
fn pieces(layout: &Layout) -> Result<Vec<(PathBuf, Piece)>, Snag> {
    let mut pieces = Vec::new();
    let nodes = DEVICES.iter().filter_map(|name| {
        let node = open_plain(&Path::new("/dev").join(name)).ok()?;
        Some((*name, sys::copy_mounts(node.as_fd()).ok()?))
    });
    pieces.push((PathBuf::from("/dev"), Piece::Devices(nodes.collect())));
    pieces.push((PathBuf::from("/proc"), Piece::Processes));
    for path in &layout.tmp {
        let mode = if path == Path::new("/run") { "mode=0755" } else { "mode=1777" };
        pieces.push((path.clone(), Piece::Empty(mode)));
    }
    for path in &layout.kept {
        pieces.push((path.clone(), Piece::BackReadOnly(copy(path)?)));
    }
    for veil in &layout.veils {
        pieces.push((veil.folder.clone(), Piece::Veil(veil.drawn()?)));
        // Of what cannot be had any more, as a server that is gone, nothing is seen.
        for (inner, copy) in veil.mounts.iter().filter_map(|inner| Some((inner, copy(inner).ok()?)))
        {
            pieces.push((inner.clone(), Piece::BackReadOnly(copy)));
        }
    }
    pieces.extend(layout.hidden.iter().map(|path| (path.clone(), Piece::Hidden)));
    for path in &layout.write {
        pieces.push((path.clone(), Piece::Back(writable(path)?)));
    }
    let sockets = layout.sockets.iter().map(|socket| &socket.path);
    pieces.extend(layout.blank.iter().chain(sockets).map(|path| (path.clone(), Piece::Blank)));
    pieces.extend(layout.steps.iter().map(|path| (path.clone(), Piece::Step)));
    pieces.extend(layout.protect.iter().map(|path| (path.clone(), Piece::Protected)));
    Ok(pieces)
}

pub(super) fn open(path: &Path) -> Result<OwnedFd, Snag> {
    open_plain(path).map_err(Snag::io(format!("opening `{}`", path.display())))
}

fn copy(path: &Path) -> Result<OwnedFd, Snag> {
    let place = open(path)?;
    sys::copy_mounts(place.as_fd())
        .map_err(Snag::io(format!("taking a copy of the mounts at `{}`", path.display())))
}

/// A copy of what may be written, without what could harm the machine.
fn writable(path: &Path) -> Result<OwnedFd, Snag> {
    let copy = copy(path)?;
    sys::set_mount(copy.as_fd(), NO_SUID | NO_DEVICES)
        .map_err(Snag::io(format!("mounting `{}` without devices", path.display())))?;
    Ok(copy)
}

fn set(path: &Path, attributes: u64) -> Result<(), Snag> {
    let place = open(path)?;
    sys::set_mount(place.as_fd(), attributes)
        .map_err(Snag::io(format!("changing what the mounts at `{}` allow", path.display())))
}

/// Makes one mount read-only, and none of those in it.
fn set_alone(path: &Path) -> Result<(), Snag> {
    let flags = MsFlags::MS_REMOUNT
        | MsFlags::MS_BIND
        | MsFlags::MS_RDONLY
        | MsFlags::MS_NOSUID
        | MsFlags::MS_NODEV;
    mount(None::<&str>, path, None::<&str>, flags, None::<&str>)
        .map_err(Snag::at("making read-only", path))
}

pub(super) fn tmpfs(path: &Path, mode: &str) -> Result<(), Snag> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), path, Some("tmpfs"), flags, Some(mode))
        .map_err(Snag::at("mounting a tmpfs on", path))
}

pub(super) fn put(copy: &OwnedFd, path: &Path) -> Result<(), Snag> {
    let place = open(path)?;
    sys::put_mounts(copy.as_fd(), place.as_fd())
        .map_err(Snag::io(format!("mounting on `{}`", path.display())))
}

/// Mounts a copy where it was taken, if need be on a place that is made for it.
fn put_back(copy: &OwnedFd, path: &Path) -> Result<(), Snag> {
    if fs::symlink_metadata(path).is_err() {
        let place = || -> io::Result<()> {
            // A copy that is only mounted nowhere can still be looked at.
            let folder = nix::sys::stat::fstat(copy)?.st_mode & libc::S_IFMT == libc::S_IFDIR;
            let above = if folder { Some(path) } else { path.parent() };
            let mut builder = DirBuilder::new();
            above.map_or(Ok(()), |above| builder.recursive(true).mode(0o755).create(above))?;
            if !folder {
                File::create_new(path)?;
            }
            Ok(())
        };
        place().map_err(Snag::io(format!("making a place for `{}`", path.display())))?;
    }
    put(copy, path)
}

fn over_itself(path: &Path) -> Result<(), Snag> {
    put(&copy(path)?, path)
}

/// A file that says nothing, to be mounted over others.
const BLANK: &str = "/dev/.blank";

fn blank(path: &Path) -> Result<(), Snag> {
    if fs::symlink_metadata(BLANK).is_err() {
        File::options()
            .write(true)
            .create_new(true)
            .mode(0o000)
            .open(BLANK)
            .map_err(Snag::io("making an empty file"))?;
    }
    let copy = copy(Path::new(BLANK))?;
    sys::set_mount(copy.as_fd(), READ_ONLY).map_err(Snag::io("making an empty file read-only"))?;
    let put = open_plain(path).and_then(|place| sys::put_mounts(copy.as_fd(), place.as_fd()));
    match put {
        // Whoever had it outside has taken it away meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        put => put.map_err(Snag::io(format!("covering `{}`", path.display()))),
    }
}

/// A `/dev` with nothing of the machine's hardware.
fn devices(path: &Path, nodes: &[(&str, OwnedFd)]) -> Result<(), Snag> {
    tmpfs(path, "mode=0755")?;
    let made = (|| -> io::Result<()> {
        for (name, _) in nodes {
            File::create_new(path.join(name))?;
        }
        for folder in ["shm", "pts"] {
            fs::create_dir(path.join(folder))?;
        }
        symlink("/proc/self/fd", path.join("fd"))?;
        for (number, name) in ["stdin", "stdout", "stderr"].iter().enumerate() {
            symlink(format!("/proc/self/fd/{number}"), path.join(name))?;
        }
        symlink("pts/ptmx", path.join("ptmx"))
    })();
    made.map_err(Snag::io("filling `/dev`"))?;
    for (name, copy) in nodes {
        put(copy, &path.join(name))?;
    }
    tmpfs(&path.join("shm"), "mode=1777")?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    let options = Some("newinstance,ptmxmode=0666,mode=620");
    let pts = path.join("pts");
    mount(Some("devpts"), &pts, Some("devpts"), flags, options)
        .map_err(Snag::at("mounting terminals on", &pts))
}

/// A `/proc` that is about the new pid namespace.
fn processes(path: &Path, is_root: bool) -> Result<Walls, Snag> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    match mount(Some("proc"), path, Some("proc"), flags, None::<&str>) {
        Ok(()) => {}
        // Where parts of it are covered, as in a container, the kernel shows nobody a bare one.
        // The one that is there has been made read-only with everything else.
        Err(Errno::EPERM) => return Ok(Walls::NamespacesWithoutProc),
        Err(errno) => return Err(Snag::at("mounting", path)(errno)),
    }
    if is_root {
        for name in OF_THE_MACHINE {
            let path = path.join(name);
            if path.exists() {
                over_itself(&path)?;
                set(&path, READ_ONLY)?;
            }
        }
    }
    Ok(Walls::Namespaces)
}
