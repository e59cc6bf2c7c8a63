//! Who is at the other end of a loopback connection.
//!
//! TCP tells nobody who connected. But both ends are on this machine, and the kernel's table says
//! which socket the other end is, and `/proc` which processes have that socket open.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// Whether one of the processes has the other end of `stream` open. Network namespaces each have
/// a table of their own, so the end is looked for in each that one of the processes is in.
pub(crate) fn holds_other_end(stream: &TcpStream, processes: &[i32]) -> io::Result<bool> {
    let (theirs, ours) = (stream.peer_addr()?, stream.local_addr()?);
    let mut looked_at = BTreeSet::new();
    let mut sockets = BTreeSet::new();
    for pid in processes {
        let of_process = PathBuf::from(format!("/proc/{pid}"));
        let Ok(namespace) = fs::metadata(of_process.join("ns/net")) else { continue };
        if !looked_at.insert(namespace.ino()) {
            continue;
        }
        for table in ["net/tcp", "net/tcp6"] {
            let table = fs::read_to_string(of_process.join(table)).unwrap_or_default();
            let rows = table.lines().filter_map(Row::parse);
            sockets.extend(rows.filter(|row| row.joins(theirs, ours)).map(|row| row.inode));
        }
    }
    let has_it = |pid: &i32| {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        open.filter_map(|entry| fs::read_link(entry.path()).ok())
            .filter_map(|link| socket_number(link.to_str()?))
            .any(|inode| sockets.contains(&inode))
    };
    Ok(!sockets.is_empty() && processes.iter().any(has_it))
}

/// `socket:[1234]`
fn socket_number(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// One connection in the kernel's table.
struct Row {
    local: (Vec<u8>, u16),
    remote: (Vec<u8>, u16),
    inode: u64,
}

impl Row {
    /// `0: 0100007F:03E8 0100007F:D431 01 00000000:00000000 00:00000000 00000000 0 0 1234 ...`
    fn parse(line: &str) -> Option<Row> {
        let mut words = line.split_whitespace().skip(1);
        let (local, remote) = (address(words.next()?)?, address(words.next()?)?);
        let inode = words.nth(6)?.parse().ok()?;
        Some(Row { local, remote, inode })
    }

    fn joins(&self, local: SocketAddr, remote: SocketAddr) -> bool {
        let is = |(bytes, port): &(Vec<u8>, u16), address: SocketAddr| {
            let wanted = match address.ip() {
                IpAddr::V4(ip) => ip.octets().to_vec(),
                IpAddr::V6(ip) => ip.octets().to_vec(),
            };
            *bytes == wanted && *port == address.port()
        };
        is(&self.local, local) && is(&self.remote, remote)
    }
}

/// The kernel writes each four bytes as one number of the machine's own byte order.
fn address(text: &str) -> Option<(Vec<u8>, u16)> {
    let (digits, port) = text.split_once(':')?;
    let words = digits.as_bytes().chunks(8).map(|word| {
        let number = u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?;
        Some(number.to_ne_bytes())
    });
    let bytes: Vec<u8> = words.collect::<Option<Vec<_>>>()?.concat();
    Some((bytes, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn the_kernels_table_is_read() {
        let line = "   1: 0100007F:03E8 0100007F:D431 01 00000000:00000000 00:00000000 00000000  \
                    1000        0 4711 1 0000000000000000 20 4 30 10 -1";
        let row = Row::parse(line).expect("parses");
        let (local, remote) = (([127, 0, 0, 1], 1000).into(), ([127, 0, 0, 1], 54321).into());
        assert!(row.joins(local, remote));
        assert!(!row.joins(remote, local));
        assert_eq!(row.inode, 4711);
    }

    #[test]
    fn both_ends_of_a_connection_of_this_process_are_its_own() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let other = TcpStream::connect(listener.local_addr().expect("bound")).expect("connects");
        let (stream, _) = listener.accept().expect("a caller");
        let me = i32::try_from(std::process::id()).expect("a number");
        assert!(holds_other_end(&stream, &[me]).expect("looked"));
        assert!(!holds_other_end(&stream, &[]).expect("looked"));
        drop(other);
        assert!(!holds_other_end(&stream, &[me]).expect("looked"));
    }
}
