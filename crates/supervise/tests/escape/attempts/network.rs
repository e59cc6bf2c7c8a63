//! To a listener outside, by every way that leads to an address.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use supervise::Cage;

use super::{Attempt, Call, CallIfStrict, World, as_root_within, attempt, done, first_of, text};
use crate::world::Scene;

pub(super) const ATTEMPTS: &[Attempt] = &[
    attempt("tcp", World, |scene| TcpStream::connect(scene.tcp4).map(drop)),
    attempt("tcp_6", World, |scene| TcpStream::connect(six(scene.tcp6)?).map(drop)),
    attempt("tcp_by_an_address_within_6", World, |scene| {
        let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
        TcpStream::connect((mapped, scene.tcp4.port())).map(drop)
    }),
    attempt("tcp_to_no_address", World, |scene| {
        TcpStream::connect((Ipv4Addr::UNSPECIFIED, scene.tcp4.port())).map(drop)
    }),
    attempt("tcp_to_another_loopback_address", World, |scene| {
        TcpStream::connect((Ipv4Addr::new(127, 9, 9, 9), scene.tcp4.port())).map(drop)
    }),
    attempt("tcp_by_name", World, |scene| {
        TcpStream::connect(("localhost", scene.tcp4.port())).map(drop)
    }),
    attempt("tcp_with_many_paths", World, |scene| stream(scene, 262)),
    attempt("sctp", World, |scene| stream(scene, libc::IPPROTO_SCTP)),
    attempt("smc", World, |scene| stream(scene, 256)),
    attempt("dccp", World, |scene| {
        let socket = socket(libc::AF_INET, 6, libc::IPPROTO_DCCP)?;
        connect(&socket, scene.tcp4)
    }),
    attempt("tcp_that_is_sent_before_it_is_connected", World, |scene| {
        let socket = socket(libc::AF_INET, libc::SOCK_STREAM, 0)?;
        send_to(&socket, scene.tcp4, libc::MSG_FASTOPEN)
    }),
    attempt("tcp_whose_connect_is_put_off", World, |scene| {
        let socket = socket(libc::AF_INET, libc::SOCK_STREAM, 0)?;
        let on = 1;
        // SAFETY: the number outlives the call and is as long as is said.
        done(unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::IPPROTO_TCP,
                libc::TCP_FASTOPEN_CONNECT,
                (&raw const on).cast(),
                4,
            )
        })?;
        connect(&socket, scene.tcp4)?;
        send(&socket)
    }),
    attempt("udp", World, |scene| datagram(Ipv4Addr::LOCALHOST.into(), scene.udp4)),
    attempt("udp_6", World, |scene| {
        let to = six(scene.udp6)?;
        datagram(to.ip(), to)
    }),
    attempt("udp_that_is_connected", World, |scene| {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(scene.udp4)?;
        socket.send(b"out").map(drop)
    }),
    attempt("udp_to_no_address", World, |scene| {
        let any = Ipv4Addr::UNSPECIFIED.into();
        datagram(any, SocketAddr::new(any, scene.udp4.port()))
    }),
    attempt("udp_to_many", World, |scene| {
        let group = Ipv4Addr::new(224, 0, 0, 1).into();
        datagram(Ipv4Addr::UNSPECIFIED.into(), SocketAddr::new(group, scene.udp4.port()))
    }),
    attempt("udp_to_all", World, |scene| {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.set_broadcast(true)?;
        socket.send_to(b"out", (Ipv4Addr::BROADCAST, scene.udp4.port())).map(drop)
    }),
    attempt("udp_lite", World, |scene| {
        let socket = socket(libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_UDPLITE)?;
        send_to(&socket, scene.udp4, 0)
    }),
    attempt("a_question_to_a_name_server", World, |scene| {
        // What resolvers ask, wherever the machine's name server is.
        let _ = std::net::ToSocketAddrs::to_socket_addrs(&("escape.example", 80));
        datagram(Ipv4Addr::LOCALHOST.into(), scene.udp4)
    }),
    attempt("raw_icmp", Call, |_| {
        socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP).map(drop)
    }),
    attempt("raw_packets", Call, |_| socket(libc::AF_PACKET, libc::SOCK_RAW, 0x300).map(drop)),
    attempt("vsock", Call, |_| socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0).map(drop)),
    attempt("any_other_family", Call, |_| {
        let known = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
        let others = (0..64).filter(|family| !known.contains(family));
        let kinds = [libc::SOCK_STREAM, libc::SOCK_DGRAM, libc::SOCK_RAW, libc::SOCK_SEQPACKET];
        let made = others.flat_map(|family| kinds.map(|kind| socket(family, kind, 0)));
        first_of(made).map(drop)
    }),
    attempt("a_family_that_hides_in_high_bits", Call, |_| {
        let family = 1_i64 << 32 | i64::from(libc::AF_VSOCK);
        // SAFETY: no pointers.
        done(unsafe { libc::syscall(libc::SYS_socket, family, libc::SOCK_STREAM, 0) }).map(drop)
    }),
    attempt("a_ring_of_requests", Call, |_| {
        let mut parameters = [0_u8; 256];
        // SAFETY: the parameters are larger than the kernel's structure.
        let ring = unsafe { libc::syscall(libc::SYS_io_uring_setup, 4, parameters.as_mut_ptr()) };
        done(ring).map(drop)
    }),
    #[cfg(target_arch = "x86_64")]
    attempt("numbers_of_x32", Call, |_| {
        let number = 0x4000_0000 | libc::SYS_socket;
        // SAFETY: no pointers.
        done(unsafe { libc::syscall(number, libc::AF_VSOCK, libc::SOCK_STREAM, 0) }).map(drop)
    }),
    #[cfg(target_arch = "x86_64")]
    attempt("numbers_of_ia32", Call, |_| {
        let family = libc::AF_VSOCK;
        let gave: i64;
        // SAFETY: `socket` by the old entry, whose arguments are numbers; rbx is put back.
        unsafe {
            std::arch::asm!(
                "xchg {family:r}, rbx",
                "int 0x80",
                "xchg {family:r}, rbx",
                family = inout(reg) i64::from(family) => _,
                inlateout("rax") 359_i64 => gave,
                in("rcx") i64::from(libc::SOCK_STREAM),
                in("rdx") 0_i64,
            );
        }
        if gave < 0 { Err(io::Error::from_raw_os_error(-gave as i32)) } else { Ok(()) }
    }),
    attempt("taking_the_proxys_place", Call, |_| TcpListener::bind(Cage::PROXY).map(drop)),
    attempt("taking_the_channels_place", Call, |_| shared_bind(Cage::CHANNEL)),
    attempt("taking_a_forwarded_place", Call, |scene| shared_bind(scene.forwarded)),
    attempt("taking_all_places_of_a_port", Call, |_| {
        shared_bind((Ipv4Addr::UNSPECIFIED, Cage::PROXY.port()).into())
    }),
    attempt("a_device_of_its_own", Call, |_| {
        let socket = socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
        // SAFETY: zero is valid for this structure of numbers.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        request.ifr_name[..2].copy_from_slice(&[b'l' as libc::c_char, b'o' as libc::c_char]);
        // SAFETY: the request outlives the call.
        let set = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFADDR, &raw mut request) };
        done(set).map(drop)
    }),
    attempt("the_first_process_network", CallIfStrict, |scene| {
        let namespace = std::fs::File::open("/proc/1/ns/net")?;
        // SAFETY: no pointers.
        done(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) })?;
        TcpStream::connect(scene.tcp4).map(drop)
    }),
    attempt("the_network_of_any_process", World, |scene| {
        let entries = std::fs::read_dir("/proc")?.flatten();
        for entry in entries.filter(|entry| entry.path().join("ns").exists()) {
            let Ok(namespace) = std::fs::File::open(entry.path().join("ns/net")) else { continue };
            // SAFETY: no pointers.
            if unsafe { libc::setns(namespace.as_raw_fd(), 0) } == 0 {
                let _ = TcpStream::connect(scene.tcp4);
            }
        }
        Ok(())
    }),
    attempt("a_network_below", CallIfStrict, |scene| {
        as_root_within(libc::CLONE_NEWNET, || {
            let _ = TcpStream::connect(scene.tcp4);
            datagram(Ipv4Addr::LOCALHOST.into(), scene.udp4)
        })
    }),
    attempt("the_network_before_as_root_below", World, |scene| {
        as_root_within(0, || {
            let namespace = std::fs::File::open("/proc/1/ns/net")?;
            // SAFETY: no pointers.
            done(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) })?;
            TcpStream::connect(scene.tcp4).map(drop)
        })
    }),
    attempt("a_tunnel", Call, |_| {
        let path = text("/dev/net/tun");
        // SAFETY: the path is a string.
        done(unsafe { libc::open(path.as_ptr(), libc::O_RDWR) }).map(drop)
    }),
];

fn six(address: Option<SocketAddr>) -> io::Result<SocketAddr> {
    address.ok_or_else(|| io::Error::other("the world has no such addresses"))
}

pub(super) fn socket(family: i32, kind: i32, protocol: i32) -> io::Result<OwnedFd> {
    // SAFETY: no pointers; the descriptor is new.
    let fd = done(unsafe { libc::socket(family, kind, protocol) })?;
    // SAFETY: as above.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

fn stream(scene: &Scene, protocol: i32) -> io::Result<()> {
    let socket = socket(libc::AF_INET, libc::SOCK_STREAM, protocol)?;
    connect(&socket, scene.tcp4)?;
    send(&socket)
}

fn raw(address: SocketAddr) -> libc::sockaddr_in {
    let IpAddr::V4(ip) = address.ip() else { unreachable!("only old addresses here") };
    libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: address.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(ip.octets()) },
        sin_zero: [0; 8],
    }
}

const LENGTH: u32 = size_of::<libc::sockaddr_in>() as u32;

fn connect(socket: &OwnedFd, to: SocketAddr) -> io::Result<()> {
    let to = raw(to);
    // SAFETY: the address outlives the call and is as long as is said.
    let connected = unsafe { libc::connect(socket.as_raw_fd(), (&raw const to).cast(), LENGTH) };
    done(connected).map(drop)
}

fn send(socket: &OwnedFd) -> io::Result<()> {
    // SAFETY: three bytes are there to be read.
    let sent = unsafe { libc::send(socket.as_raw_fd(), b"out".as_ptr().cast(), 3, 0) };
    done(sent as i64).map(drop)
}

fn send_to(socket: &OwnedFd, to: SocketAddr, flags: i32) -> io::Result<()> {
    let to = raw(to);
    // SAFETY: the bytes and the address outlive the call and are as long as is said.
    let sent = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            b"out".as_ptr().cast(),
            3,
            flags,
            (&raw const to).cast(),
            LENGTH,
        )
    };
    done(sent as i64).map(drop)
}

fn datagram(from: IpAddr, to: SocketAddr) -> io::Result<()> {
    UdpSocket::bind((from, 0))?.send_to(b"out", to).map(drop)
}

/// Binds where somebody listens already, as far as that can be shared.
fn shared_bind(address: SocketAddr) -> io::Result<()> {
    let socket = socket(libc::AF_INET, libc::SOCK_STREAM, 0)?;
    let on = 1;
    for option in [libc::SO_REUSEADDR, libc::SO_REUSEPORT] {
        // SAFETY: the number outlives the call and is as long as is said.
        done(unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                option,
                (&raw const on).cast(),
                4,
            )
        })?;
    }
    let address = raw(address);
    // SAFETY: the address outlives the call and is as long as is said.
    done(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), LENGTH) })?;
    // SAFETY: no pointers.
    done(unsafe { libc::listen(socket.as_raw_fd(), 1) }).map(drop)
}
