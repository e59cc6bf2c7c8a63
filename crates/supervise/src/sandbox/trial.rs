//! The self-tests: in the command's own process, behind all walls, just before it begins.

use std::fs::{self, File};
use std::io;
use std::net::TcpStream;
use std::path::Path;

use nix::sys::signal::kill;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use nix::unistd::{Pid, getpid, getppid};

use super::outside::Outside;
use super::snag::Snag;
use super::{Guarantee, Proof, Refused, UnixSockets, Walls};

/// What was found, or that something got through.
pub(super) type Found = Result<Proof, Snag>;

pub(super) fn network(outside: &Outside, guarantee: Guarantee) -> Found {
    let Some((_, address)) = &outside.canary else {
        return Ok(Proof::Unproven("there was no canary to connect to".to_owned()));
    };
    match TcpStream::connect(address) {
        Err(error) => proven(format!("connecting to a listener outside: {}", words(&error))),
        Ok(_) => leaks(guarantee, "a listener outside could be connected to".to_owned()),
    }
}

pub(super) fn write(outside: &Outside) -> Found {
    let path = &outside.canary_file;
    match File::options().write(true).create_new(true).open(path) {
        Err(error) => {
            let folder = path.parent().unwrap_or(Path::new("/")).display();
            let what = format!("making a file in `{folder}`: {}", words(&error));
            // Any other error would not be a refusal.
            match error.raw_os_error() {
                Some(libc::EROFS | libc::EACCES | libc::EPERM) => proven(what),
                _ => Ok(Proof::Unproven(what)),
            }
        }
        Ok(_) => {
            let _ = fs::remove_file(path);
            leaks(Guarantee::FsWrite, format!("`{}` could be made", path.display()))
        }
    }
}

pub(super) fn protect(outside: &Outside) -> Found {
    let protected = &outside.layout.protect;
    for path in protected {
        let tried = if path.is_dir() {
            let canary = path.join(".codex-orchestrator-canary");
            let made = File::options().write(true).create_new(true).open(&canary);
            made.inspect(|_| drop(fs::remove_file(&canary)))
        } else {
            File::options().append(true).open(path)
        };
        if tried.is_ok() {
            let what = format!("`{}` could be written", path.display());
            return leaks(Guarantee::FsProtect, what);
        }
    }
    match protected.len() {
        0 => Ok(Proof::Unproven("nothing of it is within a writable folder".to_owned())),
        count => proven(format!("writing each of the {count} protected paths was refused")),
    }
}

pub(super) fn hide(outside: &Outside) -> Found {
    let layout = &outside.layout;
    for path in &layout.blank {
        // Whoever had it outside may have taken it away meanwhile.
        let covered = fs::symlink_metadata(path)
            .map_or_else(is_gone, |found| found.len() == 0 && found.file_type().is_file());
        if !covered {
            return leaks(Guarantee::FsHide, format!("`{}` is not covered", path.display()));
        }
    }
    if let Some(socket) = layout.sockets.iter().find(|socket| socket.is_seen()) {
        let what = format!("the socket `{}` is not covered", socket.path.display());
        return leaks(Guarantee::FsHide, what);
    }
    for path in &layout.hidden {
        if fs::read_dir(path).is_ok() {
            return leaks(Guarantee::FsHide, format!("`{}` could be listed", path.display()));
        }
    }
    let hidden = layout.blank.len() + layout.sockets.len() + layout.hidden.len();
    let count = hidden + layout.tmp.len();
    proven(format!("each of {count} hidden or private places was looked at"))
}

pub(super) fn processes(walls: Walls, shim: i32) -> Found {
    if walls == Walls::LandlockAndSeccomp {
        return match kill(Pid::from_raw(shim), None) {
            Err(errno) => proven(format!("signalling a process outside: {}", errno.desc())),
            Ok(()) => {
                leaks(Guarantee::ProcIsolate, "a process outside could be signalled".to_owned())
            }
        };
    }
    if getppid().as_raw() != 1 {
        return leaks(Guarantee::ProcIsolate, "the pid namespace is not its own".to_owned());
    }
    let own = fs::read_link("/proc/self").ok().and_then(|link| link.to_str()?.parse().ok());
    match walls {
        Walls::Namespaces if own != Some(getpid().as_raw()) => {
            leaks(Guarantee::ProcIsolate, "`/proc` is about other processes".to_owned())
        }
        Walls::Namespaces => proven("`/proc` knows this process by its number inside".to_owned()),
        _ => proven("the command's parent is the first process of its namespace".to_owned()),
    }
}

pub(super) fn kill_tree(walls: Walls) -> Found {
    match walls {
        Walls::LandlockAndSeccomp => {
            Ok(Proof::Unproven("it is held from outside, which cannot be seen inside".to_owned()))
        }
        _ if getppid().as_raw() == 1 => {
            proven("the command's parent is the first process of its namespace".to_owned())
        }
        _ => leaks(Guarantee::KillTree, "the pid namespace is not its own".to_owned()),
    }
}

pub(super) fn unix(asked: UnixSockets) -> Found {
    if asked == UnixSockets::Private {
        let why = "that sockets of others are covered was looked at with what is hidden";
        return Ok(Proof::Unproven(why.to_owned()));
    }
    match socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None) {
        Err(errno) => proven(format!("making a UNIX socket: {}", errno.desc())),
        Ok(_) => leaks(Guarantee::UnixDeny, "a UNIX socket could be made".to_owned()),
    }
}

pub(super) fn leaks<T>(guarantee: Guarantee, call: String) -> Result<T, Snag> {
    Err(Snag::Leaks(Refused::by_leak(vec![guarantee], call)))
}

fn is_gone(error: io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

fn proven(what: String) -> Found {
    Ok(Proof::Proven(what))
}

fn words(error: &io::Error) -> String {
    let errno = error.raw_os_error().map(nix::errno::Errno::from_raw);
    errno.map_or_else(|| error.to_string(), |errno| errno.desc().to_owned())
}
