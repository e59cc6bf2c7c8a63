//! Who is at the other end of a loopback connection.
//!
//! TCP tells nobody who connected. But both ends are on this machine, and the kernel's table says
//! which socket the other end is, and `/proc` which processes have that socket open.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::caller::{Caller, Holder};
use crate::proc;
use crate::within;

/// Who has the other end of a connection that was accepted from `theirs` at `ours`; nobody where it
/// is closed again. Says also which of `variables` they have in their environment.
///
/// # Errors
///
/// When the kernel does not tell; `Unsupported` where none does.
pub fn loopback_caller(
    theirs: SocketAddr,
    ours: SocketAddr,
    variables: &[&str],
) -> io::Result<Option<Caller>> {
    let rows = rows_of(Path::new("/proc/self"))?;
    let Some(row) = rows.into_iter().find(|row| row.joins(theirs, ours)) else { return Ok(None) };
    // One that nobody has open any more has no number.
    if row.inode == 0 {
        return Ok(None);
    }
    let wanted = BTreeSet::from([row.inode]);
    let all = proc::Snapshot::take()?.all;
    let pids = all.iter().map(|seen| seen.id.pid).filter(|pid| has_one_of(*pid, &wanted));
    let holders = pids.map(|pid| holder(pid, variables)).collect();
    let is_ours = row.user == nix::unistd::geteuid().as_raw();
    Ok(Some(Caller { user: row.user, is_ours, holders }))
}

fn holder(pid: i32, variables: &[&str]) -> Holder {
    let above = proc::line_of(pid).into_iter().skip(1);
    let has = |name: &&&str| proc::has_variable(pid, name.as_bytes()).unwrap_or(false);
    Holder {
        pid,
        name: proc::name_of(pid).unwrap_or_default(),
        above: above.filter_map(proc::name_of).collect(),
        tree: within::tree_of(pid),
        variables: variables.iter().filter(has).map(|name| (*name).to_owned()).collect(),
    }
}

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
        let rows = rows_of(&of_process).unwrap_or_default().into_iter();
        sockets.extend(rows.filter(|row| row.joins(theirs, ours)).map(|row| row.inode));
    }
    Ok(!sockets.is_empty() && processes.iter().any(|pid| has_one_of(*pid, &sockets)))
}

/// The connections of the network that a process is in.
fn rows_of(process: &Path) -> io::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for table in ["net/tcp", "net/tcp6"] {
        match fs::read_to_string(process.join(table)) {
            Ok(table) => rows.extend(table.lines().filter_map(Row::parse)),
            // A kernel without that family.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(rows)
}

/// Whether a process has one of these sockets open; not so where we may not look.
fn has_one_of(pid: i32, sockets: &BTreeSet<u64>) -> bool {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    open.filter_map(|entry| fs::read_link(entry.path()).ok())
        .filter_map(|link| socket_number(link.to_str()?))
        .any(|inode| sockets.contains(&inode))
}

/// `socket:[1234]`
fn socket_number(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// One connection in the kernel's table.
struct Row {
    local: (Vec<u8>, u16),
    remote: (Vec<u8>, u16),
    user: u32,
    inode: u64,
}

impl Row {
    /// `0: 0100007F:03E8 0100007F:D431 01 00000000:00000000 00:00000000 00000000 0 0 1234 ...`
    fn parse(line: &str) -> Option<Row> {
        let mut words = line.split_whitespace().skip(1);
        let (local, remote) = (address(words.next()?)?, address(words.next()?)?);
        let user = words.nth(4)?.parse().ok()?;
        let inode = words.nth(1)?.parse().ok()?;
        Some(Row { local, remote, user, inode })
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
        assert_eq!((row.user, row.inode), (1000, 4711));
    }

    #[test]
    fn both_ends_of_a_connection_of_this_process_are_its_own() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let other = TcpStream::connect(listener.local_addr().expect("bound")).expect("connects");
        let (stream, _) = listener.accept().expect("a caller");
        let me = i32::try_from(std::process::id()).expect("a number");
        assert!(holds_other_end(&stream, &[me]).expect("looked"));
        assert!(!holds_other_end(&stream, &[]).expect("looked"));
        let (theirs, ours) =
            (stream.peer_addr().expect("open"), stream.local_addr().expect("open"));
        let look = || loopback_caller(theirs, ours, &["PATH", "NOBODY_HAS_THIS"]).expect("looked");
        let caller = look().expect("it is open");
        assert!(caller.is_ours);
        let holder = caller.holders.iter().find(|holder| holder.pid == me).expect("it is this one");
        assert_eq!(holder.above, crate::programs_above());
        assert_eq!(holder.variables, ["PATH"]);
        drop(other);
        assert!(!holds_other_end(&stream, &[me]).expect("looked"));
        assert_eq!(look(), None);
    }
}
