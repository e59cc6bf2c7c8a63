//! The world outside: what there is to be reached, and whether anybody has reached it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{self as unix, UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::stat::Mode;
use serde::{Deserialize, Serialize};
use supervise::{
    Cache, Caches, Cage, Caged, Exit, Guard, Hold, Launch, LaunchError, Mark, Net, Output, Profile,
    RungChoice, Stdin, Tree, TreeReport, UnixSockets,
};
use tempfile::TempDir;

/// What nobody inside may ever say.
pub(crate) const SECRET: &str = "the-secret-of-the-world";

/// What an attempt is told of the world.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Scene {
    pub(crate) base: PathBuf,
    pub(crate) work: PathBuf,
    pub(crate) tcp4: SocketAddr,
    pub(crate) tcp6: Option<SocketAddr>,
    pub(crate) udp4: SocketAddr,
    pub(crate) udp6: Option<SocketAddr>,
    pub(crate) forwarded: SocketAddr,
    pub(crate) abstract_name: String,
    pub(crate) shm: PathBuf,
    pub(crate) tmp: PathBuf,
    pub(crate) sysv_key: i32,
    pub(crate) victim: i32,
    pub(crate) strict: bool,
}

impl Scene {
    /// Something in the folder that the tree may not write.
    pub(crate) fn outside(&self, name: &str) -> PathBuf {
        self.base.join("outside").join(name)
    }

    pub(crate) fn in_work(&self, name: &str) -> PathBuf {
        self.work.join(name)
    }
}

/// Everything that listens.
struct Ears {
    tcp: Vec<TcpListener>,
    udp: Vec<UdpSocket>,
    unix: Vec<UnixListener>,
    datagram: Vec<UnixDatagram>,
}

/// See the module.
pub(crate) struct World {
    /// Dropped last, because it is the folder of all others.
    guard: Guard,
    ears: Ears,
    forwarded: TcpListener,
    victim: Child,
    before: BTreeMap<PathBuf, String>,
    hostname: String,
    pub(crate) scene: Scene,
    _pipe: File,
    _places: Vec<TempDir>,
}

/// What a caged command left behind.
pub(crate) struct Outcome {
    pub(crate) said: String,
    pub(crate) exit: Exit,
}

/// Names the folder in which worlds are made, for those who cannot choose one.
pub(crate) const BASE: &str = "SUPERVISE_TEST_BASE";

/// A folder that private temporary folders do not hide, if there is one.
pub(crate) fn place() -> TempDir {
    let given = std::env::var_os(BASE).map(PathBuf::from);
    let usual = ["/home", "/var/lib", "/opt", env!("CARGO_TARGET_TMPDIR")].map(PathBuf::from);
    let mut places = given.into_iter().chain(usual).chain([std::env::temp_dir()]);
    places.find_map(|place| TempDir::new_in(place).ok()).expect("a folder somewhere")
}

impl World {
    pub(crate) fn new(profile: Profile) -> World {
        let place = place();
        let base = place.path().canonicalize().expect("it is there");
        let everybody = fs::Permissions::from_mode(0o755);
        fs::set_permissions(&base, everybody).expect("it is ours");
        for folder in [
            "work/deep/a/kept",
            "work/free",
            "work/shut/in",
            "outside/folder",
            "state/ch",
            "home/.ssh",
            "home/cache/bin",
            "home/cache/index",
            "slots/7/own",
        ] {
            fs::create_dir_all(base.join(folder)).expect("a folder");
        }
        let work = base.join("work");
        git(&work, &["init", "-q"]);
        for file in [
            "work/file",
            "work/codex-orchestrator.toml",
            "work/deep/a/kept/file",
            "outside/treasure",
            "outside/folder/file",
            "home/cache/crate",
            "home/cache/bin/tool",
            "home/cache/index/file",
        ] {
            fs::write(base.join(file), "as it was").expect("a file");
        }
        fs::create_dir(work.join(".runs")).expect("a folder");
        fs::write(work.join(".runs/manifest.json"), "{}").expect("a file");
        for file in [
            "state/secret",
            "state/journal.db",
            "home/.ssh/id",
            "home/token",
            "home/cache/token",
            "work/shut/in/token",
            "slots/7/own/secret",
        ] {
            fs::write(base.join(file), SECRET).expect("a file");
        }
        nix::unistd::mkfifo(&base.join("outside/pipe"), Mode::S_IRUSR | Mode::S_IWUSR)
            .expect("a pipe");
        // Whoever opens both ends waits for nobody, and neither does who writes.
        let pipe = File::options().read(true).write(true).open(base.join("outside/pipe"));
        std::os::unix::fs::symlink("../outside/treasure", work.join("planted")).expect("a link");
        let link = base.join("home/cache/planted");
        std::os::unix::fs::symlink("../../outside/treasure", link).expect("a link");
        let tmp = TempDir::new_in("/tmp").expect("a folder");
        fs::write(tmp.path().join("secret"), SECRET).expect("a file");
        let shm = TempDir::new_in("/dev/shm").expect("a folder");
        fs::write(shm.path().join("secret"), SECRET).expect("a file");
        let tcp4 = TcpListener::bind("127.0.0.1:0").expect("a port");
        let udp4 = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let tcp6 = TcpListener::bind("[::1]:0").ok();
        let udp6 = UdpSocket::bind("[::1]:0").ok();
        let forwarded = TcpListener::bind("127.0.0.1:0").expect("a port");
        let name = format!("supervise-escape-{}-{}", std::process::id(), tcp_port(&tcp4));
        let of = |name: &str| unix::SocketAddr::from_abstract_name(name).expect("a name");
        let mut victim = Command::new("cat");
        let victim = victim.env("VICTIM", SECRET).stdin(Stdio::piped()).stdout(Stdio::piped());
        let victim = victim.spawn().expect("somebody who answers");
        let scene = Scene {
            work,
            tcp4: tcp4.local_addr().expect("bound"),
            tcp6: tcp6.as_ref().map(|tcp6| tcp6.local_addr().expect("bound")),
            udp4: udp4.local_addr().expect("bound"),
            udp6: udp6.as_ref().map(|udp6| udp6.local_addr().expect("bound")),
            forwarded: forwarded.local_addr().expect("bound"),
            abstract_name: name.clone(),
            shm: shm.path().join("secret"),
            tmp: tmp.path().join("secret"),
            sysv_key: crate::attempts::leave_shared_memory(
                i32::from(tcp_port(&tcp4)) | 0x5c00_0000,
                SECRET,
            ),
            victim: i32::try_from(victim.id()).expect("a number"),
            strict: profile == Profile::Strict,
            base: base.clone(),
        };
        let ears = Ears {
            tcp: [Some(tcp4), tcp6].into_iter().flatten().collect(),
            udp: [Some(udp4), udp6].into_iter().flatten().collect(),
            unix: vec![
                UnixListener::bind(base.join("outside/sock")).expect("a socket"),
                UnixListener::bind(base.join("state/ch/1")).expect("a socket"),
                UnixListener::bind(tmp.path().join("sock")).expect("a socket"),
                UnixListener::bind_addr(&of(&name)).expect("a socket"),
            ],
            datagram: vec![
                UnixDatagram::bind(base.join("outside/dgram")).expect("a socket"),
                UnixDatagram::bind_addr(&of(&format!("{name}-dgram"))).expect("a socket"),
            ],
        };
        ears.never_wait();
        let trees = Hold::share(&base.join("trees.lock")).expect("a lock").expect("free");
        let mark = Mark::new("SUPERVISE_TEST", base.as_os_str());
        let mut world = World {
            guard: Guard::start(trees, mark, RungChoice::Automatic).expect("a guard"),
            ears,
            forwarded,
            victim,
            before: BTreeMap::new(),
            hostname: hostname(),
            scene,
            _pipe: pipe.expect("a reader"),
            _places: vec![tmp, shm, place],
        };
        world.before = world.look();
        world
    }

    pub(crate) fn guard(&self) -> &Guard {
        &self.guard
    }

    pub(crate) fn forwarded(&self) -> &TcpListener {
        &self.forwarded
    }

    /// Everything that a delegated run is confined to, and something to forward.
    pub(crate) fn cage(&self) -> Cage {
        let Scene { base, work, .. } = &self.scene;
        let protect = [".git", ".runs", ".codex", ".agents", "codex-orchestrator.toml"];
        Cage {
            network: Net::None,
            write: vec![work.clone()],
            protect: protect
                .iter()
                .map(|name| work.join(name))
                .chain([work.join("deep/a/kept"), work.join("free/not/yet/there")])
                .collect(),
            hide: ["state", "home/.ssh", "home/token", "home/cache/token", "work/shut/in/token"]
                .iter()
                .map(|name| base.join(name))
                .collect(),
            caches: Some(Caches {
                store: base.join("slots"),
                folders: vec![Cache {
                    path: base.join("home/cache"),
                    keep: vec![base.join("home/cache/bin"), base.join("home/cache/sbin")],
                    instead: vec![base.join("home/cache/index")],
                }],
            }),
            read: Vec::new(),
            private_tmp: true,
            unix_sockets: UnixSockets::Deny,
            forward: vec![self.scene.forwarded],
            channel: true,
            profile: if self.scene.strict { Profile::Strict } else { Profile::Wrap },
        }
    }

    pub(crate) fn launch(
        &self,
        cage: impl Into<Option<Cage>>,
        argv: &[OsString],
        stdin: Stdin,
    ) -> Result<(Tree, Output), LaunchError> {
        self.launch_at(&self.scene.work, cage.into(), argv, stdin)
    }

    fn launch_at(
        &self,
        cwd: &Path,
        cage: Option<Cage>,
        argv: &[OsString],
        stdin: Stdin,
    ) -> Result<(Tree, Output), LaunchError> {
        let log = File::create(self.log()).expect("a log");
        let (output, ends) = Output::to_log(log, None).expect("pipes");
        let home = self.scene.work.join("free");
        let mut env: Vec<(OsString, OsString)> = vec![("HOME".into(), home.into())];
        env.extend(std::env::vars_os().filter(|(key, _)| key == "PATH"));
        let tools = std::env::home_dir().map(|home| home.join(".rustup").into_os_string());
        env.extend(
            std::env::var_os("RUSTUP_HOME").or(tools).map(|home| ("RUSTUP_HOME".into(), home)),
        );
        let launch = Launch {
            argv: argv.to_vec(),
            cwd: cwd.to_owned(),
            env,
            stdin,
            stdout: ends.stdout,
            stderr: ends.stderr,
            grace: Duration::ZERO,
            cage,
        };
        Ok((self.guard.launch(launch)?, output))
    }

    /// The same for a shell's script that begins elsewhere.
    pub(crate) fn launch_in(
        &self,
        cwd: &Path,
        cage: Cage,
        script: &str,
    ) -> Result<(Tree, Output), LaunchError> {
        let argv = ["sh", "-c", script].map(OsString::from);
        self.launch_at(cwd, Some(cage), &argv, Stdin::Null)
    }

    fn log(&self) -> PathBuf {
        self.scene.base.join("log")
    }

    /// Runs a command in that cage to its end.
    pub(crate) fn run(&self, cage: Cage, argv: &[OsString]) -> (Outcome, Option<Caged>) {
        self.run_with(cage, argv, Stdin::Null)
    }

    pub(crate) fn run_with(
        &self,
        cage: impl Into<Option<Cage>>,
        argv: &[OsString],
        stdin: Stdin,
    ) -> (Outcome, Option<Caged>) {
        let (mut tree, output) = self.launch(cage, argv, stdin).expect("a tree");
        let caged = tree.take_caged();
        let mut exit = Exit::Lost;
        tree.watch(output, |report| {
            if let TreeReport::Ended { exit: ended, .. } = report {
                exit = ended;
            }
        });
        (Outcome { said: self.said(), exit }, caged)
    }

    /// What the last command has said.
    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log()).expect("a log")).into_owned()
    }

    /// What is not as it was, though nobody but those inside did anything.
    pub(crate) fn disturbed(&mut self) -> Vec<String> {
        let mut found = self.ears.heard();
        let now = self.look();
        for (path, was) in &self.before {
            if now.get(path) != Some(was) {
                found.push(format!("{}: {was} became {:?}", path.display(), now.get(path)));
            }
        }
        let new = now.keys().filter(|path| !self.before.contains_key(*path));
        found.extend(new.map(|path| format!("{} is new", path.display())));
        if !self.victim_answers() {
            found.push("the victim does not answer".to_owned());
        }
        let rank = rank(self.scene.victim);
        if rank != self::rank(std::process::id() as i32) {
            found.push(format!("the victim has another rank: {rank}"));
        }
        // Whoever still has this lock has outlived the tree.
        if let Ok(alive) = File::open(self.scene.in_work("free/alive")) {
            let lock = nix::fcntl::FlockArg::LockExclusiveNonblock;
            if nix::fcntl::Flock::lock(alive, lock).is_err() {
                found.push("somebody has outlived the tree".to_owned());
            }
        }
        for root in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/freezer"] {
            if fs::remove_dir(Path::new(root).join("escape-of-supervise")).is_ok() {
                found.push(format!("a group was made in {root}"));
            }
        }
        if hostname() != self.hostname {
            found.push("the machine has another name".to_owned());
        }
        // So that the next attempt is judged by itself.
        self.before = now;
        self.empty_slot();
        found
    }

    /// Removes what the last tree has left in its caches.
    fn empty_slot(&self) {
        let slot = self.scene.base.join("slots/0");
        for cache in fs::read_dir(&slot).into_iter().flatten().flatten() {
            // The kernel's own folder, which nobody but root may look into.
            let own = cache.path().join("work/work");
            let _ = fs::set_permissions(own, fs::Permissions::from_mode(0o700));
        }
        let _ = fs::remove_dir_all(&slot);
    }

    /// Whether it lives and runs: a signal that was sent may not have arrived yet, but whoever
    /// answers has survived it.
    fn victim_answers(&mut self) -> bool {
        let (Some(ask), Some(answer)) = (&mut self.victim.stdin, &mut self.victim.stdout) else {
            return false;
        };
        if ask.write_all(b"?").is_err() {
            return false;
        }
        let mut ready = [PollFd::new(answer.as_fd(), PollFlags::POLLIN)];
        let patience = PollTimeout::from(10_000_u16);
        let came = matches!(nix::poll::poll(&mut ready, patience), Ok(1..));
        came && answer.read_exact(&mut [0]).is_ok()
    }

    /// All files that nobody inside may change, and what is in them.
    fn look(&self) -> BTreeMap<PathBuf, String> {
        let mut seen = BTreeMap::new();
        let base = &self.scene.base;
        for root in
            ["outside", "state", "home", "work/.git", "work/.runs", "work/deep/a/kept", "slots/7"]
        {
            look_at(&base.join(root), &mut seen);
        }
        let names = [".codex", ".agents", "codex-orchestrator.toml", "deep", "deep/a", "free/not"];
        for path in names.map(|name| base.join("work").join(name)) {
            if fs::symlink_metadata(&path).is_ok() {
                seen.insert(path.clone(), describe(&path));
            }
        }
        // Whether what is in them changed is looked at by name.
        for folder in ["work/deep", "work/deep/a", "work/shut", "work/shut/in"] {
            let kind = fs::symlink_metadata(base.join(folder)).map(|found| found.ino());
            seen.insert(base.join(folder), format!("{kind:?}"));
        }
        for path in [&self.scene.tmp, &self.scene.shm] {
            seen.insert(path.clone(), describe(path));
        }
        seen
    }
}

impl Drop for World {
    fn drop(&mut self) {
        crate::attempts::remove_shared_memory(self.scene.sysv_key);
        let _ = self.victim.kill();
        let _ = self.victim.wait();
    }
}

impl Ears {
    fn never_wait(&self) {
        self.tcp.iter().for_each(|ear| ear.set_nonblocking(true).expect("ours"));
        self.udp.iter().for_each(|ear| ear.set_nonblocking(true).expect("ours"));
        self.unix.iter().for_each(|ear| ear.set_nonblocking(true).expect("ours"));
        self.datagram.iter().for_each(|ear| ear.set_nonblocking(true).expect("ours"));
    }

    fn heard(&self) -> Vec<String> {
        let mut heard = Vec::new();
        let mut bytes = [0; 64];
        for ear in &self.tcp {
            while ear.accept().is_ok() {
                heard.push(format!("a connection to {:?}", ear.local_addr()));
            }
        }
        for ear in &self.udp {
            while ear.recv(&mut bytes).is_ok() {
                heard.push(format!("a datagram to {:?}", ear.local_addr()));
            }
        }
        for ear in &self.unix {
            while ear.accept().is_ok() {
                heard.push(format!("a connection to {:?}", ear.local_addr()));
            }
        }
        for ear in &self.datagram {
            while ear.recv(&mut bytes).is_ok() {
                heard.push(format!("a datagram to {:?}", ear.local_addr()));
            }
        }
        heard
    }
}

fn tcp_port(listener: &TcpListener) -> u16 {
    listener.local_addr().expect("bound").port()
}

fn look_at(path: &Path, seen: &mut BTreeMap<PathBuf, String>) {
    seen.insert(path.to_owned(), describe(path));
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    for entry in entries {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => look_at(&entry.path(), seen),
            _ => drop(seen.insert(entry.path(), describe(&entry.path()))),
        }
    }
}

fn describe(path: &Path) -> String {
    let Ok(found) = fs::symlink_metadata(path) else { return "gone".to_owned() };
    let said = if found.is_file() { fs::read(path).unwrap_or_default() } else { Vec::new() };
    let said = String::from_utf8_lossy(&said).into_owned();
    let (mode, owner, links) = (found.mode(), (found.uid(), found.gid()), found.nlink());
    let times = (found.mtime(), found.mtime_nsec());
    format!("{mode:o} {owner:?} {links} {times:?} {said:?}")
}

/// Its rank among others.
fn rank(pid: i32) -> String {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    let fields: Vec<&str> = fields.split(' ').collect();
    fields.get(16).unwrap_or(&"").to_string()
}

fn hostname() -> String {
    nix::unistd::gethostname().expect("a name").to_string_lossy().into_owned()
}

pub(crate) fn git(folder: &Path, words: &[&str]) {
    let git = Command::new("git").args(words).current_dir(folder).stdout(Stdio::null()).status();
    assert!(git.expect("git").success(), "git {words:?}");
}

/// Passes what comes from one accepted connection back, once.
pub(crate) fn echo_once(listener: OwnedFd) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let (mut stream, _) = TcpListener::from(listener).accept().expect("a caller");
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).expect("words");
        stream.write_all(&heard).expect("they listen");
        heard
    })
}

/// Tells the person who runs the tests something that no test can decide.
#[expect(clippy::print_stderr, reason = "whoever runs the tests is to read it")]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}
