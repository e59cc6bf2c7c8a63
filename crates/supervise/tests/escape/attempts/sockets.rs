//! To a UNIX socket outside, and by what was inherited.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::path::Path;

use super::network::socket;
use super::{
    Attempt, Call, CallIfStrict, World, as_root_within, attempt, done, first_of, mount, text,
};

pub(super) const ATTEMPTS: &[Attempt] = &[
    attempt("a_unix_socket", Call, |_| socket(libc::AF_UNIX, libc::SOCK_STREAM, 0).map(drop)),
    attempt("a_unix_datagram_socket", CallIfStrict, |_| {
        socket(libc::AF_UNIX, libc::SOCK_DGRAM, 0).map(drop)
    }),
    attempt("a_unix_packet_socket", Call, |_| {
        socket(libc::AF_UNIX, libc::SOCK_SEQPACKET, 0).map(drop)
    }),
    attempt("a_socket_by_path", World, |scene| {
        UnixStream::connect(scene.outside("sock")).map(drop)
    }),
    attempt("a_socket_by_a_link", World, |scene| {
        symlink(scene.outside("sock"), scene.in_work("free/sock"))?;
        UnixStream::connect(scene.in_work("free/sock")).map(drop)
    }),
    attempt("a_socket_by_a_second_name", World, |scene| {
        std::fs::hard_link(scene.outside("sock"), scene.in_work("free/socket"))?;
        UnixStream::connect(scene.in_work("free/socket")).map(drop)
    }),
    attempt("a_socket_by_an_open_folder", World, |scene| {
        let folder = std::fs::File::open(scene.outside(""))?;
        let path = format!("/proc/self/fd/{}/sock", folder.as_raw_fd());
        UnixStream::connect(path).map(drop)
    }),
    attempt("the_channels_own_socket", World, |scene| {
        UnixStream::connect(scene.base.join("state/ch/1")).map(drop)
    }),
    attempt("a_socket_in_tmp", World, |scene| {
        UnixStream::connect(scene.tmp.with_file_name("sock")).map(drop)
    }),
    attempt("a_socket_by_an_abstract_name", World, |scene| {
        let address = SocketAddr::from_abstract_name(&scene.abstract_name)?;
        UnixStream::connect_addr(&address).map(drop)
    }),
    attempt("a_datagram_to_a_path", World, |scene| {
        UnixDatagram::unbound()?.send_to(b"out", scene.outside("dgram")).map(drop)
    }),
    attempt("a_datagram_to_an_abstract_name", World, |scene| {
        let name = format!("{}-dgram", scene.abstract_name);
        UnixDatagram::unbound()?
            .send_to_addr(b"out", &SocketAddr::from_abstract_name(name)?)
            .map(drop)
    }),
    attempt("a_pair_that_sends_elsewhere", World, |scene| {
        pair(libc::SOCK_DGRAM)?.send_to(b"out", scene.outside("dgram")).map(drop)
    }),
    attempt("a_raw_pair_that_sends_elsewhere", World, |scene| {
        pair(libc::SOCK_RAW)?.send_to(b"out", scene.outside("dgram")).map(drop)
    }),
    attempt("a_pair_that_is_connected_anew", World, |scene| {
        let one = pair(libc::SOCK_DGRAM | libc::SOCK_CLOEXEC)?;
        one.connect(scene.outside("dgram"))?;
        one.send(b"out").map(drop)
    }),
    attempt("a_stream_pair_that_is_connected_anew", World, |scene| {
        let one = pair(libc::SOCK_STREAM)?;
        one.connect(scene.outside("sock"))
    }),
    attempt("a_packet_pair_that_is_connected_anew", World, |scene| {
        let one = pair(libc::SOCK_SEQPACKET)?;
        one.connect(scene.outside("sock"))
    }),
    attempt("a_listener_for_those_outside", World, |scene| {
        UnixListener::bind(scene.in_work("free/listener")).map(drop)
    }),
    attempt("a_socket_as_root_below", World, |scene| {
        as_root_within(libc::CLONE_NEWNS, || UnixStream::connect(scene.outside("sock")).map(drop))
    }),
    attempt("a_socket_under_a_mount_below", World, |scene| {
        as_root_within(libc::CLONE_NEWNS, || {
            let target = scene.in_work("free");
            mount(&scene.base.display().to_string(), &target, "", libc::MS_BIND | libc::MS_REC)?;
            UnixStream::connect(target.join("outside/sock")).map(drop)
        })
    }),
    attempt("what_was_inherited", Call, |_| {
        let mut open = std::fs::read_dir("/proc/self/fd")?.flatten().filter(|entry| {
            let number = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok());
            let link = std::fs::read_link(entry.path()).unwrap_or_default();
            number > Some(2) && link != Path::new("/proc/self/fd") && !is_own_list(&link)
        });
        open.next().map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }),
    attempt("what_the_first_process_has_open", Call, |_| {
        // Numbers say nothing; what is behind one would.
        let links = (0..64).map(|number| std::fs::read_link(format!("/proc/1/fd/{number}")));
        first_of(links).map(drop)
    }),
    attempt("a_descriptor_of_the_first_process", Call, |_| {
        // SAFETY: no pointers; the descriptor is new.
        let process = done(unsafe { libc::syscall(libc::SYS_pidfd_open, 1, 0) })?;
        let mut taken = (0..64).map(|fd| {
            // SAFETY: no pointers.
            done(unsafe { libc::syscall(libc::SYS_pidfd_getfd, process, fd, 0) })
        });
        taken.find_map(Result::ok).map(drop).ok_or_else(|| io::ErrorKind::PermissionDenied.into())
    }),
    attempt("the_terminal_below_its_input", World, |_| {
        let typed = b'x';
        // SAFETY: the byte outlives the call.
        done(unsafe { libc::ioctl(0, libc::TIOCSTI, &raw const typed) }).map(drop)
    }),
    attempt("the_terminal_with_more_bits", World, |_| {
        let typed = b'x';
        let request = libc::TIOCSTI | 1 << 32;
        // SAFETY: the byte outlives the call.
        done(unsafe { libc::syscall(libc::SYS_ioctl, 0, request, &raw const typed) }).map(drop)
    }),
    attempt("the_terminal_as_its_own", World, |_| {
        // SAFETY: no pointers.
        done(unsafe { libc::ioctl(0, libc::TIOCSCTTY, 1) })?;
        let typed = b'x';
        // SAFETY: the byte outlives the call.
        done(unsafe { libc::ioctl(0, libc::TIOCSTI, &raw const typed) }).map(drop)
    }),
    attempt("the_terminal_by_its_console", Call, |_| {
        let paste = 3_u8;
        // SAFETY: the byte outlives the call.
        done(unsafe { libc::ioctl(0, libc::TIOCLINUX, &raw const paste) }).map(drop)
    }),
    attempt("a_terminal_that_is_not_its_own", Call, |_| {
        let path = text("/dev/tty");
        // SAFETY: the path is a string.
        done(unsafe { libc::open(path.as_ptr(), libc::O_RDWR) }).map(drop)
    }),
];

/// The descriptor by which the list of descriptors is read.
fn is_own_list(link: &Path) -> bool {
    link.starts_with("/proc") && link.ends_with("fd")
}

fn pair(kind: i32) -> io::Result<UnixDatagramOfAnyKind> {
    let mut both = [0; 2];
    // SAFETY: there is room for both numbers.
    done(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, both.as_mut_ptr()) })?;
    // SAFETY: both are new, and nobody else has them.
    let [one, other] = both.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
    Ok(UnixDatagramOfAnyKind { one: one.into(), _other: other })
}

/// The library's methods do what they say on sockets of other kinds as well.
struct UnixDatagramOfAnyKind {
    one: UnixDatagram,
    _other: OwnedFd,
}

impl std::ops::Deref for UnixDatagramOfAnyKind {
    type Target = UnixDatagram;

    fn deref(&self) -> &UnixDatagram {
        &self.one
    }
}
