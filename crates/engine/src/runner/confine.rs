//! What a stage is confined to: its caps become a cage, a proxy at its way out, and an environment.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    fs,
    io::{self, PipeWriter},
    net::TcpListener,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

use model::{
    Attempt, PlannedBody, StageIndex,
    caps::{
        Caps, Endpoint, HostPattern, NetworkMode, OnMissing, Places, Standing, Tmp, UnixSockets,
    },
};
use proxy::{Denied, Forward, Limits, Proxy};
use rustix::event::{PollFd, PollFlags, poll};
use supervise::{Caches, Cage, Caged, Net, Profile, Refused};

use super::{
    Message, Runner, caches, hidden,
    settings::{self, Told},
};
use crate::{channel::NOT_GRANTED, gate::Gate};

/// What a part of a stage is confined to.
#[derive(Debug)]
pub(super) struct Confined {
    pub(super) cage: Cage,
    caps: Caps,
    forwards: Vec<Endpoint>,
    /// Hosts that it may reach beside those that are listed: where its model is.
    also: Vec<HostPattern>,
    /// Variables that say where its caches are.
    told: Vec<(&'static str, OsString)>,
    /// Variables for what tools cannot read in hidden files.
    settings: Vec<(String, OsString)>,
    /// Where it cannot be confined, it runs all the same, as its user wants it.
    pub(super) may_be_free: bool,
}

/// What tells programs of the way out.
const PROXIED: [&str; 9] = [
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
    "NODE_USE_ENV_PROXY",
];

/// What serves a confined tree from outside. It goes with the tree.
#[derive(Debug)]
pub(super) struct WayOut {
    _proxy: Option<Proxy>,
    _forwards: Vec<Forward>,
    /// Whoever takes its calls ends when this is closed.
    _callers: Option<PipeWriter>,
    /// By which rules it is let out.
    pub(super) gate: Option<Gate>,
}

/// What a thread needs beside what its caps say.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// It is Codex, which builds a sandbox of its own for its commands.
    pub(super) wraps: bool,
    /// Folders that it writes.
    pub(super) write: Vec<PathBuf>,
    /// What it is made of, wherever that lies.
    pub(super) read: Vec<PathBuf>,
    /// Where its model is: host and port.
    pub(super) endpoint: Option<(String, u16)>,
}

impl Runner<'_, '_, '_> {
    /// What that stage is confined to; nothing where it may do what its user may.
    pub(super) fn confined(
        &self,
        stage: StageIndex,
        needs: Needs,
    ) -> Result<Option<Confined>, String> {
        if !self.spec.is_confined(stage) {
            return Ok(None);
        }
        let effective = self.spec.caps_of(stage).map_err(|error| error.to_string())?;
        let caps = effective.caps;
        let places = self.places(&caps)?;
        let at = |paths: &mut dyn Iterator<Item = PathBuf>| -> Vec<PathBuf> {
            let mut found: Vec<PathBuf> = paths.filter_map(|path| real(&path)).collect();
            found.sort();
            found.dedup();
            found
        };
        let private_tmp = caps.fs.tmp == Tmp::Private;
        // That is writable by itself.
        let own_tmp = |path: &PathBuf| !(private_tmp && *path == places.tmp);
        let network = match caps.network.mode {
            NetworkMode::Open => Net::Open,
            NetworkMode::List => Net::Proxied,
            // Somebody may list something while it runs.
            NetworkMode::None if needs.endpoint.is_some() || self.may_widen(&caps) => Net::Proxied,
            NetworkMode::None => Net::None,
        };
        let mut forwards: Vec<Endpoint> = match network {
            Net::Open => Vec::new(),
            Net::None | Net::Proxied => caps.network.forward.iter().copied().collect(),
        };
        let mut also = Vec::new();
        if let Some((host, port)) = needs.endpoint.as_ref().filter(|_| network != Net::Open) {
            match format!("{}:{port}", if host == "localhost" { "127.0.0.1" } else { host }).parse()
            {
                Ok(near) => forwards.push(near),
                Err(_) => also.push(
                    format!("{host}:{port}")
                        .parse()
                        .map_err(|error| format!("the model's endpoint: {error}"))?,
                ),
            }
        }
        let named = caps.fs.write.iter().flat_map(|path| path.at(&places)).filter(own_tmp);
        let writes: Vec<PathBuf> = named.collect();
        let root = Path::new("/");
        let all = if writes.iter().any(|path| path == root) {
            everything(&places.worktree, private_tmp)
        } else {
            Vec::new()
        };
        let named = writes.into_iter().filter(|path| path != root && path.exists());
        let write = at(&mut named.chain(all).chain(needs.write));
        let hides = self.hidden(&caps, &places).into_iter().chain(self.secrets(network));
        let hide = at(&mut hides.into_iter());
        // This program is what a stage asks us with.
        let own = self.setup.server.first().map(PathBuf::from);
        let caches = self.caches(&caps);
        let users = |name: &str| self.setup_variable(name).map(OsStr::to_owned);
        let told = caches.as_ref().map(|caches| caches::variables(caches, users));
        let settings = self.settings(&places, &hide)?;
        let npmrc = settings.iter().filter(|(name, _)| name == settings::NPMRC);
        let npmrc = npmrc.map(|(_, path)| PathBuf::from(path));
        let cage = Cage {
            network,
            write,
            protect: at(&mut caps.fs.protect.iter().flat_map(|path| path.at(&places))),
            hide,
            read: at(&mut needs.read.into_iter().chain(own).chain(npmrc)),
            caches,
            private_tmp,
            unix_sockets: match caps.fs.unix_sockets {
                UnixSockets::Deny => supervise::UnixSockets::Deny,
                UnixSockets::Private => supervise::UnixSockets::Private,
                UnixSockets::Allow => supervise::UnixSockets::Allow,
            },
            forward: forwards.iter().map(|endpoint| endpoint.address()).collect(),
            channel: network != Net::Open,
            profile: if needs.wraps { Profile::Wrap } else { Profile::Strict },
        };
        let may_be_free = caps.on_missing == OnMissing::Warn;
        Ok(Some(Confined {
            cage,
            caps,
            forwards,
            also,
            told: told.unwrap_or_default(),
            settings,
            may_be_free,
        }))
    }

    /// Variables for what tools cannot read in files that are hidden.
    fn settings(
        &self,
        places: &Places,
        hide: &[PathBuf],
    ) -> Result<Vec<(String, OsString)>, String> {
        let variable = |name: &str| self.setup_variable(name).map(OsStr::to_owned);
        let users = settings::Users { home: &places.home, worktree: &places.worktree, variable };
        let is_hidden = |path: &Path| {
            real(path).is_some_and(|path| hide.iter().any(|hidden| path.starts_with(hidden)))
        };
        let Told { mut variables, npmrc } = settings::told(&users, is_hidden);
        if !npmrc.is_empty() {
            let path = self.engine.run_dir(&self.spec.run_id).join("npmrc");
            fs::write(&path, npmrc).map_err(|error| format!("{}: {error}", path.display()))?;
            variables.push((settings::NPMRC.to_owned(), path.into_os_string()));
        }
        Ok(variables)
    }

    /// What caps hide, wherever the user keeps it.
    fn hidden(&self, caps: &Caps, places: &Places) -> Vec<PathBuf> {
        let mut all: Vec<PathBuf> = caps.fs.hide.iter().flat_map(|path| path.at(places)).collect();
        let variable = |name: &str| self.setup_variable(name).map(OsStr::to_owned);
        // The login that a thread of this run has, also where it goes on with other variables.
        let users = self.spec.codex.as_ref().map(|codex| OsString::from(&codex.users_home));
        let recorded = |name: &str| users.clone().filter(|_| name == "CODEX_HOME");
        let moved = |path: &PathBuf| {
            let now = hidden::elsewhere(path, &places.home, variable);
            now.into_iter().chain(hidden::elsewhere(path, &places.home, recorded))
        };
        let moved: Vec<PathBuf> = all.iter().flat_map(moved).collect();
        all.extend(moved);
        all
    }

    /// The caches that it may change for itself. Where it may write everything, these are the user's.
    fn caches(&self, caps: &Caps) -> Option<Caches> {
        let private = caps.fs.caches == model::caps::Caches::Private;
        let free = caps.fs.write.iter().any(|path| path.to_string() == "/");
        (private && !free).then(|| {
            let variable = |name: &str| self.setup_variable(name).map(OsStr::to_owned);
            caches::found(self.engine.caches(self.spec.standing()), variable)
        })
    }

    /// The folders of caches that the commands of a thread may write.
    pub(super) fn cache_folders(&self, stage: StageIndex) -> Vec<PathBuf> {
        if !self.spec.is_confined(stage) {
            return Vec::new();
        }
        let caches = self.spec.caps_of(stage).ok().and_then(|found| self.caches(&found.caps));
        caches.as_ref().map(caches::writable).unwrap_or_default()
    }

    /// Which variables of its environment the commands of a thread have as well: those of its stage and,
    /// where it is confined, those that caps admit to every program and that tell of its way out.
    pub(super) fn inherited(&self, stage: StageIndex) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        if let PlannedBody::Codex(codex) = &self.spec.plan.stages[stage.get()].body {
            names.extend(codex.env.keys().cloned());
        }
        let Some(caps) = self.spec.caps_of(stage).ok().filter(|_| self.spec.is_confined(stage))
        else {
            return names;
        };
        let own = self.setup.env.iter().filter_map(|(name, _)| name.to_str());
        let admitted =
            own.filter(|name| caps.caps.env.admits_to("", name) && !name.contains(['*', '?', '[']));
        names.extend(admitted.map(str::to_owned));
        let told = PROXIED.into_iter().chain(caches::names()).chain(settings::NAMES);
        names.extend(told.map(str::to_owned));
        names
    }

    /// Why a stage does not begin that cannot be held to its caps. Whoever has written none of them
    /// has to be told where they come from, and how to do without.
    pub(super) fn not_confined(&self, refused: &Refused) -> String {
        match self.spec.standing() {
            Standing::Free => refused.to_string(),
            Standing::Delegated => format!(
                "{refused}; a delegated run is held to caps also where nobody has written any; where \
                 that cannot be, `caps.on_missing = \"warn\"` in your own `orchestrator.toml` lets it \
                 run without"
            ),
        }
    }

    /// Where what caps name is for this run.
    fn places(&self, caps: &Caps) -> Result<Places, String> {
        let folder = |path: &Path| {
            fs::canonicalize(path).map_err(|error| format!("{}: {error}", path.display()))
        };
        let worktree = folder(&self.work_tree())?;
        let root = folder(Path::new(&self.spec.repo.root))?;
        let tmp = match caps.fs.tmp {
            Tmp::Private => PathBuf::from("/tmp"),
            Tmp::Shared => PathBuf::from(self.setup_variable("TMPDIR").unwrap_or("/tmp".as_ref())),
        };
        let git = [worktree.join(".git"), root.join(".git")];
        Ok(Places {
            home: PathBuf::from(self.setup_variable("HOME").unwrap_or("/".as_ref())),
            tmp,
            git: git.into_iter().filter(|path| path.symlink_metadata().is_ok()).collect(),
            config: vec![
                worktree.join(".codex/orchestrator.toml"),
                worktree.join("codex.orchestrator.json"),
            ],
            runs: root.join(".runs"),
            worktree,
        })
    }

    fn setup_variable(&self, name: &str) -> Option<&OsStr> {
        let found = self.setup.env.iter().find(|(key, value)| key == name && !value.is_empty());
        found.map(|(_, value)| value.as_os_str())
    }

    /// What is ours and nobody's business inside: the journals above all. With a network of its own a
    /// tree reaches its runner without any of it.
    fn secrets(&self, network: Net) -> Vec<PathBuf> {
        let state = self.engine.state();
        if network != Net::Open {
            return vec![state.to_owned()];
        }
        let entries = fs::read_dir(state).into_iter().flatten().filter_map(Result::ok);
        entries.filter(|entry| entry.file_name() != "ch").map(|entry| entry.path()).collect()
    }

    /// Begins to serve a confined tree from outside.
    pub(super) fn way_out(
        &mut self,
        stage: StageIndex,
        attempt: Attempt,
        confined: &Confined,
        caged: Caged,
    ) -> Result<WayOut, String> {
        let failed = |error: std::io::Error| format!("its way out cannot be served: {error}");
        let listener = |fd: OwnedFd| TcpListener::from(fd);
        let sender = self.sender.clone();
        let told = move |event| {
            let _ = sender.send(Message::Proxied(stage, attempt, event));
        };
        let (proxy, gate) = match caged.proxy {
            None => (None, None),
            Some(fd) => {
                let noted = self.note_standing_hosts(stage, attempt, &confined.caps);
                noted.map_err(|error| error.to_string())?;
                let gate = self.gate(stage, &confined.caps, &confined.also);
                let (rules, limits) = (gate.rules().clone(), Limits::default());
                let proxy = Proxy::start(listener(fd), rules, limits, told).map_err(failed)?;
                (Some(proxy), Some(gate))
            }
        };
        let mut forwards = Vec::new();
        for (address, fd) in caged.forwards {
            let to = confined.forwards.iter().find(|endpoint| endpoint.address() == address);
            if let Some(to) = to {
                let limits = Limits::default();
                forwards.push(Forward::start(listener(fd), *to, limits).map_err(failed)?);
            }
        }
        let callers = match caged.channel {
            Some(fd) => Some(self.take_callers(stage, attempt, listener(fd)).map_err(failed)?),
            None => None,
        };
        Ok(WayOut { _proxy: proxy, _forwards: forwards, _callers: callers, gate })
    }

    /// Takes the calls of a tree that has a network of its own, where nobody else is, until what is
    /// given back is dropped.
    fn take_callers(
        &self,
        stage: StageIndex,
        attempt: Attempt,
        listener: TcpListener,
    ) -> io::Result<PipeWriter> {
        let (over, held) = io::pipe()?;
        let sender = self.sender.clone();
        listener.set_nonblocking(true)?;
        self.scope.spawn(move || {
            loop {
                let mut fds = [
                    PollFd::from_borrowed_fd(listener.as_fd(), PollFlags::IN),
                    PollFd::from_borrowed_fd(over.as_fd(), PollFlags::IN),
                ];
                let _ = poll(&mut fds, None);
                if !fds[1].revents().is_empty() {
                    break;
                }
                let Ok((caller, _)) = listener.accept() else { continue };
                if caller.set_nonblocking(false).is_err()
                    || sender.send(Message::Caller(stage, attempt, caller)).is_err()
                {
                    break;
                }
            }
        });
        Ok(held)
    }
}

impl Confined {
    /// The environment with only what the caps admit to that program.
    pub(super) fn admitted(
        &self,
        env: Vec<(OsString, OsString)>,
        program: &str,
        ours: impl Fn(&str) -> bool,
    ) -> Vec<(OsString, OsString)> {
        let admitted = |name: &OsString| {
            let name = name.to_str().unwrap_or_default();
            ours(name) || self.caps.env.admits_to(program, name)
        };
        env.into_iter().filter(|(name, _)| admitted(name)).collect()
    }

    /// That, with what leads out of the cage and what is to be found in it.
    pub(super) fn inside(
        &self,
        mut env: Vec<(OsString, OsString)>,
        ours: impl Fn(&str) -> bool,
    ) -> Vec<(OsString, OsString)> {
        // Who passes one of these on means that.
        let names = env.iter().filter_map(|(name, _)| name.to_str().map(str::to_owned));
        let passed: Vec<String> = names.collect();
        let mut set = |name: &str, value: OsString| {
            env.retain(|(other, _)| other != name);
            env.push((name.into(), value));
        };
        if self.cage.private_tmp {
            set("TMPDIR", "/tmp".into());
        }
        // What a stage says of its own holds.
        for (name, value) in self.told.iter().filter(|(name, _)| !ours(name)) {
            set(name, value.clone());
        }
        for (name, value) in self.settings.iter().filter(|(name, _)| !passed.contains(name)) {
            set(name, value.clone());
        }
        if self.cage.network != Net::Open {
            let proxy = format!("http://{}", Cage::PROXY);
            for name in PROXIED {
                let value = match name {
                    // Newer versions of Node look at the others only where they are told to.
                    "NODE_USE_ENV_PROXY" => "1",
                    // A machine of its own, where what it tests listens, and what is forwarded.
                    "no_proxy" | "NO_PROXY" => "127.0.0.1,localhost,::1",
                    _ => &proxy,
                };
                set(name, value.into());
            }
        }
        env
    }

    /// Whether there is anything to be reached beside a model.
    pub(super) fn leads_out(&self) -> bool {
        let network = &self.caps.network;
        network.mode != NetworkMode::None || !network.forward.is_empty() || self.caps.ask
    }

    /// The same for records.
    pub(super) fn hash(&self) -> String {
        self.caps.hash()
    }
}

/// What somebody can do who wants to be let through to what was denied, in the words of its event.
#[must_use]
pub fn remedy(what: &str, why: &str) -> Option<String> {
    if why == NOT_GRANTED {
        return of_a_tool(what);
    }
    let (host, port) = what.rsplit_once(':')?;
    Some(Denied::named(why)?.remedy(&host.parse().ok()?, port.parse().ok()?))
}

/// The same for a tool. One whose name no config can have is granted with all of its server.
fn of_a_tool(what: &str) -> Option<String> {
    let (key, name) = match what.split_once('/') {
        Some((server, tool)) => (format!("caps.tools.mcp.{server}"), tool),
        None => ("caps.tools.delegate".to_owned(), what.strip_prefix("delegate.")?),
    };
    if name == "..." {
        return None;
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_./:-".contains(c);
    let name = if name.is_empty() || !name.chars().all(is_name) { "*" } else { name };
    Some(format!("add \"{name}\" to `{key}` in `.codex/orchestrator.toml`"))
}

/// The folders that there are: nothing can be mounted over the root itself. What the kernel and
/// devices show there is a cage's own matter.
fn everything(worktree: &Path, private_tmp: bool) -> Vec<PathBuf> {
    let of_the_cage = |path: &Path| {
        ["/dev", "/proc", "/sys"].iter().any(|own| path == Path::new(own))
            || private_tmp && ["/tmp", "/run"].iter().any(|own| path == Path::new(own))
    };
    let entries = fs::read_dir("/").into_iter().flatten().filter_map(Result::ok);
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let all = folders.map(|entry| entry.path()).filter(|path| !of_the_cage(path));
    // It may lie in a folder that is not there any more.
    all.chain(private_tmp.then(|| worktree.to_owned())).collect()
}

/// The path without links; of one that is not there, what is above it.
fn real(path: &Path) -> Option<PathBuf> {
    if let Ok(found) = fs::canonicalize(path) {
        return Some(found);
    }
    let above = real(path.parent()?)?;
    Some(above.join(path.file_name()?))
}

#[cfg(test)]
mod tests {
    use super::remedy;

    #[test]
    fn who_was_denied_is_told_the_key() {
        let told = |what, why| remedy(what, why).unwrap_or_default();
        assert!(
            told("a.example:80", "unlisted").contains("\"a.example:80\" to `caps.network.allow`")
        );
        assert!(told("[::1]:443", "near").contains("caps.network.pins"));
        assert_eq!(
            told("tracker/close", "not_granted"),
            "add \"close\" to `caps.tools.mcp.tracker` in `.codex/orchestrator.toml`"
        );
        assert_eq!(
            told("delegate.spawn", "not_granted"),
            "add \"spawn\" to `caps.tools.delegate` in `.codex/orchestrator.toml`"
        );
        assert!(told("tracker/no\\u{7f}name", "not_granted").contains("add \"*\" to"));
        assert_eq!(
            (told("...", "not_granted"), told("tracker/...", "not_granted")),
            Default::default()
        );
        assert_eq!(told("elsewhere", "unlisted"), "");
        assert_eq!(told("a.example:80", "for fun"), "");
    }
}
