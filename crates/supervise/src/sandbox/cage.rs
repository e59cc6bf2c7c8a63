//! What a tree is confined to, as plain data.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Guarantee;

/// What a process tree may do. Whatever cannot be enforced here refuses the launch.
///
/// Paths are absolute and lead through no symbolic link, except those in `hide` and `read`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cage {
    /// What it can reach.
    pub network: Net,
    /// Folders, or files, in which it may write; each must be there. Everything else is read-only.
    /// A file in them that has another name elsewhere, a hard link, is writable under both.
    #[serde(with = "bytes")]
    pub write: Vec<PathBuf>,
    /// What stays read-only within those, to its last file. Where there is nothing yet, an empty
    /// folder stands in its place while the tree lives, so that nothing can be made there.
    #[serde(with = "bytes")]
    pub protect: Vec<PathBuf>,
    /// What it does not see: an empty folder, or an empty file, is there instead. A path in `write`
    /// below a hidden folder is seen all the same.
    #[serde(with = "bytes")]
    pub hide: Vec<PathBuf>,
    /// What it sees, read-only, although what it lies in is hidden or is its own: programs that it
    /// could not begin without. What is not there is not seen.
    #[serde(with = "bytes")]
    pub read: Vec<PathBuf>,
    /// What it may change for itself alone. Not where it may write anyway, nor in what is hidden.
    pub caches: Option<Caches>,
    /// Whether `/tmp`, `/var/tmp` and `/run` are its own, empty at its start and gone with it.
    pub private_tmp: bool,
    /// Which UNIX sockets it may reach.
    pub unix_sockets: UnixSockets,
    /// Loopback endpoints that it reaches under the same address as outside. Without a network of
    /// its own it reaches all of them anyway.
    pub forward: Vec<SocketAddr>,
    /// Whether the run's channel is at [`Cage::CHANNEL`]. Only with a network of its own: in the
    /// machine's, the runner listens for itself and asks
    /// [`Guard::caller_is_within`](crate::Guard::caller_is_within).
    pub channel: bool,
    /// How tight it is.
    pub profile: Profile,
}

/// Folders of the user that a tree sees, and changes as it likes, while they stay as they are. What it
/// changed is there for the next tree with the same store.
///
/// Only with namespaces; without them they are read-only like everything else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caches {
    /// Where that is kept, in slots with a number as their name. Trees that live at the same time
    /// have different ones, and none sees another's.
    #[serde(with = "byte")]
    pub store: PathBuf,
    /// The folders.
    pub folders: Vec<Cache>,
}

/// One of these folders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cache {
    /// Where it is; it must be there.
    #[serde(with = "byte")]
    pub path: PathBuf,
    /// What in it cannot be changed all the same. Where there is nothing, an empty folder is seen.
    #[serde(with = "bytes")]
    pub keep: Vec<PathBuf>,
    /// Where this kernel or file system can lay nothing over the folder: what in it, or itself, is
    /// covered by a folder that is the tree's and empty at first. What is not there is left out.
    #[serde(with = "bytes")]
    pub instead: Vec<PathBuf>,
}

impl Caches {
    /// The file in each slot on which its tree has an exclusive lock.
    pub const LOCK: &str = "lock";

    /// Where the tree sees a folder of its own slot, for caches that have no place among the user's.
    #[must_use]
    pub fn own(&self) -> PathBuf {
        self.store.join("own")
    }
}

/// What a tree can reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Net {
    /// What the machine can.
    Open,
    /// Nothing. A proxy is there all the same, to refuse at once and to say who refused.
    None,
    /// What the proxy lets through.
    Proxied,
}

/// Which UNIX sockets a tree may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnixSockets {
    /// None: only connected pairs of streams can be made. In [`Profile::Wrap`] a program that builds
    /// a sandbox needs datagram sockets to ask after network devices; those that others had bound
    /// cannot be reached by them.
    Deny,
    /// Its own. Those that others had bound when it began cannot be reached.
    Private,
    /// All that the user can.
    Allow,
}

/// How tight a cage is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// For everything that brings no sandbox of its own: no new namespaces, no mounts, no tracing.
    Strict,
    /// For a program that builds its own sandbox inside, which needs namespaces and mounts.
    Wrap,
}

/// Which sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kinds {
    All,
    /// Those that a datagram socket can be connected to.
    Datagrams,
}

impl Cage {
    /// Where the proxy listens inside. Nobody in a tree can bind a port this low, so it is never
    /// in anybody's way, and never anybody else.
    pub const PROXY: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1000));

    /// Where the run's channel listens inside.
    pub const CHANNEL: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1001));

    /// What has to be guaranteed for this to hold.
    pub(super) fn asks(&self) -> Vec<Guarantee> {
        let network = match self.network {
            Net::Open => None,
            Net::None => Some(Guarantee::NetDeny),
            Net::Proxied => Some(Guarantee::NetListed),
        };
        let others = [
            (true, Guarantee::FsWrite),
            (!self.protect.is_empty(), Guarantee::FsProtect),
            (!self.hide.is_empty() || self.private_tmp, Guarantee::FsHide),
            (true, Guarantee::ProcIsolate),
            (self.unix_sockets != UnixSockets::Allow, Guarantee::UnixDeny),
            (true, Guarantee::KillTree),
        ];
        let others = others.into_iter().filter_map(|(asked, guarantee)| asked.then_some(guarantee));
        network.into_iter().chain(others).collect()
    }

    /// What of that Landlock and seccomp cannot give by themselves.
    pub(super) fn lacks_without_namespaces(&self, landlock: Option<u32>) -> Vec<Guarantee> {
        let landlock = landlock.unwrap_or(0);
        let given = |guarantee: &Guarantee| match guarantee {
            Guarantee::NetDeny => self.forward.is_empty() && !self.channel,
            // Variables that name a proxy enforce nothing.
            Guarantee::NetListed => false,
            // Truncating is a right of its own only since version 3.
            Guarantee::FsWrite => landlock >= 3 && self.profile == Profile::Strict,
            // Rights only add up: all but one folder cannot be said.
            Guarantee::FsProtect | Guarantee::FsHide => false,
            // Signals are confined since version 6.
            Guarantee::ProcIsolate => landlock >= 6,
            Guarantee::UnixDeny => self.unix_sockets == UnixSockets::Deny,
            Guarantee::KillTree => true,
        };
        self.asks().into_iter().filter(|guarantee| !given(guarantee)).collect()
    }

    /// Which sockets that others have bound have to be covered, because some can be made that could
    /// reach them.
    pub(super) fn covers_sockets(&self) -> Option<Kinds> {
        match (self.unix_sockets, self.profile) {
            (UnixSockets::Deny, Profile::Wrap) => Some(Kinds::Datagrams),
            (UnixSockets::Private, _) => Some(Kinds::All),
            (UnixSockets::Deny, Profile::Strict) | (UnixSockets::Allow, _) => None,
        }
    }

    pub(super) fn has_own_network(&self) -> bool {
        self.network != Net::Open
    }
}

/// Paths as they are, whatever their bytes: a name that is no text must not lose its protection.
mod bytes {
    use std::ffi::OsStr;
    use std::path::PathBuf;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(paths: &[PathBuf], to: S) -> Result<S::Ok, S::Error> {
        let raw: Vec<&[u8]> =
            paths.iter().map(|path| path.as_os_str().as_encoded_bytes()).collect();
        raw.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<PathBuf>, D::Error> {
        let raw: Vec<Vec<u8>> = Deserialize::deserialize(from)?;
        Ok(raw.iter().map(|bytes| PathBuf::from(of(bytes))).collect())
    }

    #[cfg(unix)]
    pub(super) fn of(bytes: &[u8]) -> &OsStr {
        std::os::unix::ffi::OsStrExt::from_bytes(bytes)
    }
}

/// The same for one path.
mod byte {
    use std::path::{Path, PathBuf};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
        path.as_os_str().as_encoded_bytes().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
        let raw: Vec<u8> = Deserialize::deserialize(from)?;
        Ok(PathBuf::from(super::bytes::of(&raw)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cage() -> Cage {
        Cage {
            network: Net::None,
            write: Vec::new(),
            protect: Vec::new(),
            hide: Vec::new(),
            read: Vec::new(),
            caches: None,
            private_tmp: false,
            unix_sockets: UnixSockets::Deny,
            forward: Vec::new(),
            channel: false,
            profile: Profile::Strict,
        }
    }

    fn check(cage: &Cage, landlock: Option<u32>, lacks: &[Guarantee]) {
        assert_eq!(cage.lacks_without_namespaces(landlock), lacks);
    }

    #[test]
    fn without_namespaces_only_what_is_simple_can_be_had() {
        check(&cage(), Some(7), &[]);
        check(&cage(), Some(5), &[Guarantee::ProcIsolate]);
        check(&cage(), None, &[Guarantee::FsWrite, Guarantee::ProcIsolate]);
        let path = || vec![PathBuf::from("/a")];
        check(&Cage { protect: path(), ..cage() }, Some(7), &[Guarantee::FsProtect]);
        check(&Cage { hide: path(), ..cage() }, Some(7), &[Guarantee::FsHide]);
        check(&Cage { private_tmp: true, ..cage() }, Some(7), &[Guarantee::FsHide]);
        check(&Cage { network: Net::Proxied, ..cage() }, Some(7), &[Guarantee::NetListed]);
        check(&Cage { channel: true, ..cage() }, Some(7), &[Guarantee::NetDeny]);
        check(&Cage { profile: Profile::Wrap, ..cage() }, Some(7), &[Guarantee::FsWrite]);
        let sockets = UnixSockets::Private;
        check(&Cage { unix_sockets: sockets, ..cage() }, Some(7), &[Guarantee::UnixDeny]);
        check(
            &Cage { network: Net::Open, unix_sockets: UnixSockets::Allow, ..cage() },
            Some(7),
            &[],
        );
    }

    #[test]
    fn a_path_that_is_no_text_survives_being_passed_on() {
        use std::os::unix::ffi::OsStrExt;
        let odd = PathBuf::from(std::ffi::OsStr::from_bytes(b"/a/\xff\n"));
        let odd = Cage { protect: vec![odd], ..cage() };
        let text = serde_json::to_string(&odd).expect("passes");
        assert_eq!(serde_json::from_str::<Cage>(&text).expect("arrives"), odd);
    }
}
