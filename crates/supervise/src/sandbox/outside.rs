//! What a cage needs outside of it, for as long as its tree lives.
//!
//! The shim makes it, while nothing of the tree runs yet: it looks at the paths, puts placeholders
//! where nothing may appear, and canaries that nobody inside may reach.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use nix::fcntl::{AT_FDCWD, Flock, FlockArg, OFlag, OpenHow, ResolveFlag, openat2};

use super::caches::{Laid, Own, Slot};
use super::cage::Kinds;
use super::snag::{PLACING, Snag};
use super::veil::{self, Veil};
use super::{Cache, Cage, Net, Refused};

/// See the module.
#[derive(Debug)]
pub(crate) struct Outside {
    pub(super) cage: Cage,
    pub(super) layout: Layout,
    /// Listens where nobody inside may connect.
    pub(super) canary: Option<(TcpListener, SocketAddr)>,
    /// A file that does not exist, which nobody inside may make.
    pub(super) canary_file: PathBuf,
    /// Kept, with a shared lock on each, so that no other tree's shim takes them away.
    placeholders: Vec<Placeholder>,
    /// Kept for as long, for its lock.
    slot: Option<Slot>,
}

/// What is where in the cage, in paths that lead through no links.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// Empty and its own.
    pub(super) tmp: Vec<PathBuf>,
    /// Hidden folders, and hidden files.
    pub(super) hidden: Vec<PathBuf>,
    pub(super) blank: Vec<PathBuf>,
    /// What keeps them hidden whatever is put in their place.
    pub(super) veils: Vec<Veil>,
    /// Whether that cannot be had for some of them, because what they lie in is writable.
    pub(super) unveiled: bool,
    /// Sockets that somebody outside has bound.
    pub(super) sockets: Vec<Socket>,
    pub(super) write: Vec<PathBuf>,
    /// Read-only, and within something that is not there otherwise.
    pub(super) kept: Vec<PathBuf>,
    /// Writable folders that may not be renamed, because of what is protected or hidden below.
    pub(super) steps: BTreeSet<PathBuf>,
    pub(super) protect: Vec<PathBuf>,
    pub(super) caches: Vec<Laid>,
    pub(super) own: Option<Own>,
}

/// What may be executed or read in `/run` although the rest of it is of no concern: systems that
/// keep their programs there.
const KEPT_IN_RUN: &str = "/run/current-system";

impl Outside {
    /// Makes it, for a command that is `program` and begins in `cwd`.
    pub(crate) fn make(cage: Cage, cwd: &Path, program: &Path) -> Result<Outside, Snag> {
        let mut outside = Outside {
            layout: Layout::default(),
            canary: None,
            canary_file: PathBuf::new(),
            placeholders: Vec::new(),
            slot: None,
            cage,
        };
        match outside.lay_out(cwd, program).and_then(|()| outside.put_canaries()) {
            Ok(()) => Ok(outside),
            Err(snag) => {
                outside.clear();
                Err(snag)
            }
        }
    }

    fn lay_out(&mut self, cwd: &Path, program: &Path) -> Result<(), Snag> {
        let Outside { cage, layout, placeholders, slot, .. } = self;
        for address in &cage.forward {
            if !address.ip().is_loopback() || [Cage::PROXY, Cage::CHANNEL].contains(address) {
                return Err(Snag::Asked(format!(
                    "`{address}` cannot be forwarded; a loopback address can, with another port than the proxy's or the channel's"
                )));
            }
        }
        for path in &cage.write {
            // Whether one path is within another is told by their names.
            if path.components().any(|part| part == Component::ParentDir) {
                let why = format!("`{}` is to be writable: write it without `..`", path.display());
                return Err(Snag::Asked(why));
            }
            open_plain(path).map_err(|error| no_such("be writable", path, &error))?;
            layout.write.push(path.clone());
        }
        let mut hide: BTreeSet<PathBuf> = cage.hide.iter().filter_map(|path| real(path)).collect();
        if let Some(caches) = &cage.caches {
            *slot = Some(Slot::take(caches)?);
            // The slots of others are none of its concern.
            hide.extend(real(&caches.store));
        }
        let mut kept: BTreeSet<PathBuf> = cage.read.iter().filter_map(|path| real(path)).collect();
        if cage.private_tmp {
            let folders =
                ["/tmp", "/var/tmp", "/run"].iter().filter_map(|path| real(Path::new(path)));
            layout.tmp = folders.collect::<BTreeSet<_>>().into_iter().collect();
            // Who may use the machine's network needs to be told its name servers, and where a
            // command begins, and what it is, stays where it was.
            let others = [Path::new("/etc/resolv.conf"), Path::new(KEPT_IN_RUN), cwd, program];
            let others = others.iter().filter(|path| path.is_absolute());
            let others = others.filter_map(|path| real(path));
            let others = others.filter(|path| is_below(path, &layout.tmp));
            kept.extend(others.filter(|path| !hide.iter().any(|hidden| path.starts_with(hidden))));
        }
        let mut covered: Vec<PathBuf> = layout.tmp.iter().chain(&hide).cloned().collect();
        kept.retain(|path| !covered.contains(path) && !is_seen(path, &covered, &layout.write));
        layout.kept = kept.into_iter().collect();
        let back = [layout.write.as_slice(), &layout.kept].concat();
        for path in hide {
            let folder = path.is_dir();
            // Of what lies within something that is covered itself nothing is there to be covered.
            covered.retain(|other| *other != path);
            if is_seen(&path, &covered, &back) {
                if folder { &mut layout.hidden } else { &mut layout.blank }.push(path.clone());
            }
            // By another name of what is above it, whoever comes after this tree would see it.
            if let Some(root) = outermost(&path, &layout.write) {
                layout.steps.extend(between(&path, &root));
            }
            covered.push(path);
        }
        if let Some(kinds) = cage.covers_sockets() {
            let bound = Socket::bound(kinds).into_iter();
            layout.sockets.extend(bound.filter(|socket| is_seen(&socket.path, &covered, &back)));
        }
        for path in &cage.protect {
            // What is not within anything writable is read-only as it is.
            let Some(root) = outermost(path, &layout.write) else { continue };
            if let Some(inner) = layout.write.iter().find(|other| other.starts_with(path)) {
                return Err(Snag::Asked(format!(
                    "`{}` is to be writable, and within `{}`, which is to be protected",
                    inner.display(),
                    path.display()
                )));
            }
            let barred = Placeholder::put(path, &root, placeholders)?;
            layout.steps.extend(between(&barred, &root));
            layout.protect.push(barred);
        }
        // What lies within what is protected needs no mount of its own.
        let protect = layout.protect.clone();
        layout.steps.retain(|step| !is_below(step, &protect));
        layout.steps.retain(|step| !layout.write.contains(step) && is_seen(step, &covered, &back));
        if let (Some(caches), Some(taken)) = (&cage.caches, slot) {
            let private = |cache: &&Cache| {
                !is_below(&cache.path, &layout.write) && !is_below(&cache.path, &layout.hidden)
            };
            let folders: Vec<&Cache> = caches.folders.iter().filter(private).collect();
            for cache in &folders {
                let what = "be a cache";
                open_plain(&cache.path).map_err(|error| no_such(what, &cache.path, &error))?;
            }
            layout.caches = taken.lay(folders.into_iter())?;
            layout.own = Some(taken.own(caches)?);
        }
        veil::draw(cage, layout, |path| is_seen(path, &covered, &back));
        Ok(())
    }

    fn put_canaries(&mut self) -> Result<(), Snag> {
        if self.cage.network != Net::Open {
            let canary = self.listen().map_err(Snag::io("listening on loopback"))?;
            self.canary = Some(canary);
        }
        let name = format!(".codex-orchestrator-canary-{}", std::process::id());
        let inside = |path: &Path| {
            let layout = &self.layout;
            [&layout.tmp, &layout.hidden, &layout.write].iter().any(|list| is_below(path, list))
        };
        // The nearest folder that this user could write if the cage did not hold; else the root.
        let above = self.layout.write.iter().flat_map(|path| path.ancestors().skip(1));
        let place = above
            .filter(|path| !inside(path))
            .find(|path| nix::unistd::access(*path, nix::unistd::AccessFlags::W_OK).is_ok())
            .unwrap_or(Path::new("/"));
        self.canary_file = place.join(name);
        Ok(())
    }

    fn listen(&self) -> io::Result<(TcpListener, SocketAddr)> {
        loop {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let address = listener.local_addr()?;
            // Inside somebody answers there by right.
            if self.cage.forward.iter().all(|other| other.port() != address.port()) {
                listener.set_nonblocking(true)?;
                return Ok((listener, address));
            }
        }
    }

    /// Whether nobody has reached what nobody may reach.
    pub(crate) fn is_untouched(&self) -> bool {
        let canary = self.canary.as_ref().is_none_or(|(listener, _)| listener.accept().is_err());
        canary && fs::symlink_metadata(&self.canary_file).is_err()
    }

    pub(crate) fn touched(&self) -> Refused {
        let call = "a self-test said that it was refused, and got through".to_owned();
        Refused::by_leak(self.cage.asks(), call)
    }

    pub(crate) fn cage(&self) -> &Cage {
        &self.cage
    }

    /// After namespaces could not be had: what of the cage is missing without any, if anything.
    /// `None` if that was not what failed.
    pub(crate) fn lacks_without_namespaces(&self, snag: &Snag) -> Option<Result<(), Refused>> {
        let Snag::Kernel { .. } = snag else { return None };
        let mut refused = snag.clone().refusal(&self.cage).ok()?;
        // What lies within nothing writable is protected by that alone.
        let mut cage = self.cage.clone();
        cage.protect.clone_from(&self.layout.protect);
        refused.missing = cage.lacks_without_namespaces(super::domain::version());
        Some(if refused.missing.is_empty() { Ok(()) } else { Err(refused) })
    }

    /// Nobody inside will try any more.
    pub(crate) fn put_canaries_away(&mut self) {
        self.canary = None;
    }

    /// Takes away what only this tree needed.
    pub(crate) fn clear(self) {
        for placeholder in self.placeholders.into_iter().rev() {
            placeholder.take_away();
        }
    }
}

/// What a placeholder's mode is, which nobody gives an empty folder of their own.
const PLACEHOLDER: u32 = 0o555;

/// An empty folder where nothing may appear.
#[derive(Debug)]
struct Placeholder {
    path: PathBuf,
    lock: Flock<File>,
}

impl Placeholder {
    /// Makes sure that there is something at `path` that can be mounted over: itself, or an empty
    /// folder in the place of the first part of it that is missing. Says which.
    fn put(path: &Path, root: &Path, placed: &mut Vec<Placeholder>) -> Result<PathBuf, Snag> {
        let inner = path.strip_prefix(root).unwrap_or(Path::new(""));
        let mut barred = root.to_owned();
        for part in inner.components() {
            let Component::Normal(part) = part else {
                let why =
                    format!("`{}` cannot be protected: write it without `..`", path.display());
                return Err(Snag::Asked(why));
            };
            barred.push(part);
            match fs::symlink_metadata(&barred) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    placed.extend(Placeholder::make(&barred, true)?);
                    return Ok(barred);
                }
                Err(error) => {
                    return Err(Snag::io(format!("looking at `{}`", barred.display()))(error));
                }
                // The placeholder of another tree, which bars all that is below it. If that tree was
                // killed, it goes away with this one.
                Ok(found) if is_placeholder(&found) && is_empty(&barred) => {
                    match Placeholder::make(&barred, false)? {
                        Some(joined) => {
                            placed.push(joined);
                            return Ok(barred);
                        }
                        None => return Placeholder::put(path, root, placed),
                    }
                }
                Ok(found) if found.is_symlink() => {
                    let why = format!(
                        "`{}` cannot be protected: `{}` is a symbolic link, which could be \
                         replaced; protect what it points to",
                        path.display(),
                        barred.display()
                    );
                    return Err(Snag::Asked(why));
                }
                Ok(found) if found.is_file() && found.nlink() > 1 => {
                    let why = format!(
                        "`{}` cannot be protected: the file has another name (a hard link), \
                         under which it could be changed",
                        barred.display()
                    );
                    return Err(Snag::Asked(why));
                }
                Ok(_) => {}
            }
        }
        Ok(barred)
    }

    /// Makes the folder, or joins those who need the one that is there. `None` if it is gone
    /// meanwhile and was not ours to make.
    fn make(path: &Path, ours: bool) -> Result<Option<Placeholder>, Snag> {
        let failed = |error| Snag::io(format!("{PLACING} `{}`", path.display()))(error);
        loop {
            if ours {
                match DirBuilder::new().mode(PLACEHOLDER).create(path) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                        return Err(failed(error));
                    }
                    _ => {}
                }
            }
            let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let opened = nix::fcntl::open(path, flags, nix::sys::stat::Mode::empty());
            let Ok(folder) = opened else { if ours { continue } else { return Ok(None) } };
            let folder = Flock::lock(File::from(folder), FlockArg::LockShared)
                .map_err(|(_, errno)| failed(errno.into()))?;
            // Somebody may have taken it away while the lock was waited for.
            if is_there(&folder, path) {
                return Ok(Some(Placeholder { path: path.to_owned(), lock: folder }));
            }
            if !ours {
                return Ok(None);
            }
        }
    }

    fn take_away(self) {
        // Whoever else has the lock still needs it. A folder that is no longer empty stays.
        let alone = self.lock.relock(FlockArg::LockExclusiveNonblock).is_ok();
        if alone && is_there(&self.lock, &self.path) {
            let _ = fs::remove_dir(&self.path);
        }
    }
}

fn is_there(folder: &File, path: &Path) -> bool {
    match (folder.metadata(), fs::symlink_metadata(path)) {
        (Ok(open), Ok(found)) => open.ino() == found.ino() && open.dev() == found.dev(),
        _ => false,
    }
}

fn is_placeholder(found: &fs::Metadata) -> bool {
    found.is_dir() && found.mode() & 0o7777 == PLACEHOLDER
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

/// Opens a path, as a place only, that leads through no links.
pub(super) fn open_plain(path: &Path) -> io::Result<OwnedFd> {
    if !path.is_absolute() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_SYMLINKS);
    Ok(openat2(AT_FDCWD, path, how)?)
}

fn no_such(what: &str, path: &Path, error: &io::Error) -> Snag {
    let path = path.display();
    Snag::Asked(match error.raw_os_error() {
        Some(libc::ELOOP) => format!("`{path}` is to {what} and leads through a symbolic link"),
        _ => format!("`{path}` is to {what}: {error}"),
    })
}

pub(super) fn real(path: &Path) -> Option<PathBuf> {
    path.canonicalize().ok()
}

pub(super) fn is_below(path: &Path, folders: &[PathBuf]) -> bool {
    folders.iter().any(|folder| path.starts_with(folder))
}

/// Whether a path is seen although some folders are covered, because others are put back over them:
/// the deepest folder that it is within decides.
fn is_seen(path: &Path, covered: &[PathBuf], back: &[PathBuf]) -> bool {
    let deepest = |folders: &[PathBuf]| {
        let within = folders.iter().filter(|folder| path.starts_with(folder));
        within.map(|folder| folder.components().count()).max()
    };
    deepest(back) >= deepest(covered)
}

/// The outermost of `roots` that `path` is within.
fn outermost(path: &Path, roots: &[PathBuf]) -> Option<PathBuf> {
    let within = roots.iter().filter(|root| path.starts_with(root));
    within.min_by_key(|root| root.components().count()).cloned()
}

/// The folders above `path` that are below `root`.
fn between(path: &Path, root: &Path) -> impl Iterator<Item = PathBuf> {
    path.ancestors().skip(1).take_while(move |above| *above != root).map(Path::to_owned)
}

/// A socket that can be connected to by its path.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Socket {
    pub(super) path: PathBuf,
    inode: (u64, u64),
}

impl Socket {
    /// Every one that somebody has bound to a path.
    fn bound(kinds: Kinds) -> BTreeSet<Socket> {
        let table = fs::read("/proc/net/unix").unwrap_or_default();
        let sockets = table.split(|byte| *byte == b'\n').filter_map(|line| {
            let at = line.iter().position(|byte| *byte == b'/')?;
            let is_datagram =
                std::str::from_utf8(&line[..at]).ok()?.split_whitespace().nth(4) == Some("0002");
            if kinds == Kinds::Datagrams && !is_datagram {
                return None;
            }
            let path = real(Path::new(OsStr::from_bytes(&line[at..])))?;
            let inode = Self::inode(&path)?;
            Some(Socket { path, inode })
        });
        sockets.collect()
    }

    /// Which file the socket at that path is, if there is one.
    fn inode(path: &Path) -> Option<(u64, u64)> {
        let found = fs::symlink_metadata(path).ok()?;
        found.file_type().is_socket().then(|| (found.dev(), found.ino()))
    }

    /// Whether it is the one that is seen at its path. Another one there was bound since.
    pub(super) fn is_seen(&self) -> bool {
        Self::inode(&self.path) == Some(self.inode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_folder_decides_whether_a_path_is_seen() {
        let paths = |texts: &[&str]| -> Vec<PathBuf> { texts.iter().map(PathBuf::from).collect() };
        let check = |path: &str, covered: &[&str], back: &[&str], seen: bool| {
            assert_eq!(is_seen(Path::new(path), &paths(covered), &paths(back)), seen, "{path}");
        };
        check("/usr/bin/sh", &["/tmp"], &[], true);
        check("/tmp/a", &["/tmp"], &[], false);
        check("/tmp/a/b", &["/tmp"], &["/tmp/a"], true);
        check("/tmp/ab", &["/tmp"], &["/tmp/a"], false);
        check("/tmp/a/b/c", &["/tmp", "/tmp/a/b"], &["/tmp/a"], false);
        check("/tmp/a", &["/tmp/a"], &["/tmp/a"], true);
    }
}
