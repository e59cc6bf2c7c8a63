//! The channel of a run: the only way in which its own processes reach us.
//!
//! It is a socket at a path that every process of the run's trees can work out from what it has
//! inherited. Its runner hears of whoever connects, makes sure that they are of the run, and puts a
//! server at the other end that acts for this run and no other, outside of every tree.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs::{self, DirBuilder, File},
    io::{self, BufRead, BufReader, Write},
    net::TcpStream,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::{
            fs::DirBuilderExt,
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use codex::Elicitation;
use model::{RunId, StageIndex};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use supervise::Mark;

use crate::{Engine, stage_env::MARK};

/// The listening end.
#[derive(Debug)]
pub(crate) struct Channel {
    listener: UnixListener,
    path: PathBuf,
}

/// More visitors than this at one time are more than a run can have use for.
const MOST_VISITORS: usize = 64;

impl Channel {
    /// The channel of a run whose lock the caller holds.
    pub(crate) fn open(state: &Path, run: &RunId) -> io::Result<Self> {
        let folder = folder(state);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let path = folder.join(name(mark_of(run).number()));
        // The one of an earlier runner, whose lock we have now.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = short(&path, |path| UnixListener::bind(path))?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, path })
    }

    /// Somebody who is there.
    pub(crate) fn accept(&self) -> Option<UnixStream> {
        let (visitor, _) = self.listener.accept().ok()?;
        visitor.set_nonblocking(false).ok()?;
        Some(visitor)
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// The servers that a runner has put at the other ends.
#[derive(Debug)]
pub(crate) struct Servers {
    /// What becomes a server, and what it is told of where it is.
    program: Vec<OsString>,
    running: Vec<Served>,
    /// How many there were.
    count: u64,
}

/// One of the servers that a runner has put at the other ends, of all that there ever were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ServedId(pub(crate) u64);

#[derive(Debug)]
struct Served {
    id: ServedId,
    process: Child,
    /// Where it tells what it kept, and hears how what it holds should be.
    line: UnixStream,
    stage: Option<StageIndex>,
    is_frozen: bool,
    said: SaidOfTools,
}

/// What a server is told by its runner: a line of JSON at its standard output, which is a socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bidding {
    /// Its stage stands still, and so is whatever it has started.
    Freeze,
    /// That goes on.
    Thaw,
    /// What somebody has said of tools that the caps of its stage do not name.
    Said(SaidOfTools),
    /// What a server of the user's is to hear of what it asked.
    Elicited {
        /// The number by which that was told.
        number: u64,
        /// As MCP has it.
        result: Value,
    },
}

impl Bidding {
    fn line(&self) -> io::Result<Vec<u8>> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        Ok(line)
    }

    /// What a runner orders at the other end of that, until it is gone.
    pub fn heard(runner: impl io::Read) -> impl Iterator<Item = Self> {
        lines_of(runner)
    }
}

/// What somebody has said since the caps of a stage were written: tools as `server/tool`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SaidOfTools {
    /// What it has all the same.
    pub widened: BTreeSet<String>,
    /// What somebody is asked for and has not answered.
    pub asked: BTreeSet<String>,
    /// What nobody is to be asked for any more.
    pub refused: BTreeSet<String>,
    /// Enough is asked at the moment.
    pub full: bool,
}

/// How long a server may take to hear what it is told. None has so much to hear that it could be late.
const PATIENCE: Duration = Duration::from_millis(100);

/// Who comes to which run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visit<'a> {
    pub(crate) run: &'a RunId,
    pub(crate) root: &'a Path,
    /// Of which stage it is a process, as the kernel tells; none where that cannot be told.
    pub(crate) stage: Option<StageIndex>,
}

/// Why something was kept from a process: its caps do not name that tool.
pub const NOT_GRANTED: &str = "not_granted";

/// The same: a person is asked for it.
pub const ASKED: &str = "asked";

/// The same: whoever was asked for it did not say yes.
pub const REFUSED: &str = "refused";

/// What a server kept from a process of the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withheld {
    /// What: a tool of our own server by its name (`delegate.spawn`), or another server and one of its
    /// tools (`server/tool`).
    pub what: String,
    /// Why, in a word.
    pub why: String,
    /// How often since that was said last.
    pub count: u64,
}

/// What a server tells its runner: a line of JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// What it kept from a process of the run.
    Withheld(Withheld),
    /// A tool that a thread calls, and that somebody may be asked for.
    Asks {
        /// Of which server.
        server: String,
        /// Which.
        tool: String,
    },
    /// A server of the user's did not start.
    NotStarted {
        /// Which.
        server: String,
        /// Why.
        reason: String,
    },
    /// A server of the user's wants something from a person.
    Elicits {
        /// Which.
        server: String,
        /// The number of that, which whoever tells has not used before.
        number: u64,
        /// What.
        asked: Elicitation,
    },
    /// It does not want that any more.
    ElicitsNoMore {
        /// The number by which it was told.
        number: u64,
    },
}

/// What a server tells until it ends.
pub(crate) fn told(server: UnixStream) -> impl Iterator<Item = Told> {
    lines_of(server)
}

/// What comes in lines of JSON. What is none is for somebody else.
fn lines_of<T: DeserializeOwned>(from: impl io::Read) -> impl Iterator<Item = T> {
    let lines = BufReader::new(from).lines().map_while(Result::ok);
    lines.filter_map(|line| serde_json::from_str(&line).ok())
}

impl Servers {
    pub(crate) fn new(program: Vec<OsString>) -> Self {
        Self { program, running: Vec::new(), count: 0 }
    }

    /// Serves a visitor, if it is a process of the run. It is spoken with over one socket in both
    /// directions; what is given back is who serves it, and where that tells what it kept from it.
    pub(crate) fn serve(
        &mut self,
        visitor: OwnedFd,
        is_ours: impl FnOnce() -> io::Result<bool>,
        visit: &Visit<'_>,
    ) -> io::Result<Option<(ServedId, UnixStream)>> {
        self.running.retain_mut(|server| matches!(server.process.try_wait(), Ok(None)));
        let Some((program, words)) = self.program.split_first() else { return Ok(None) };
        if self.running.len() >= MOST_VISITORS {
            return Err(io::Error::other(format!(
                "{MOST_VISITORS} of its processes are connected"
            )));
        }
        if !is_ours()? {
            return Err(io::Error::other("somebody connected who is no process of the run"));
        }
        let stage = visit.stage.map(|stage| format!("--stage={}", stage.get()));
        let (line, theirs) = UnixStream::pair()?;
        line.set_write_timeout(Some(PATIENCE))?;
        let told = line.try_clone()?;
        let process = Command::new(program)
            .args(words)
            .arg("--root")
            .arg(visit.root)
            .arg("--run")
            .arg(visit.run.as_str())
            .args(stage)
            .current_dir(visit.root)
            .stdin(Stdio::from(visitor))
            .stdout(Stdio::from(OwnedFd::from(theirs)))
            .spawn()?;
        self.count += 1;
        let (id, said) = (ServedId(self.count), SaidOfTools::default());
        self.running.push(Served { id, process, line, stage: visit.stage, is_frozen: false, said });
        Ok(Some((id, told)))
    }

    /// Has what serves that stage stand still with it, or go on.
    pub(crate) fn freeze(&mut self, stage: StageIndex, freeze: bool) {
        let of_it =
            |served: &&mut Served| served.stage == Some(stage) && served.is_frozen != freeze;
        for served in self.running.iter_mut().filter(of_it) {
            served.is_frozen = freeze;
            served.bid(&if freeze { Bidding::Freeze } else { Bidding::Thaw });
        }
    }

    /// Tells what serves that stage what somebody has said of tools.
    pub(crate) fn say(&mut self, stage: StageIndex, said: &SaidOfTools) {
        for served in self.running.iter_mut().filter(|served| served.stage == Some(stage)) {
            if served.said != *said {
                served.said = said.clone();
                served.bid(&Bidding::Said(said.clone()));
            }
        }
    }

    /// Tells one of them something.
    pub(crate) fn bid(&mut self, id: ServedId, bidding: &Bidding) {
        let of_it = self.running.iter_mut().filter(|served| served.id == id);
        of_it.for_each(|served| served.bid(bidding));
    }
}

impl Served {
    /// One that is gone has nothing to hear any more.
    fn bid(&mut self, bidding: &Bidding) {
        let _ = bidding.line().and_then(|line| self.line.write_all(&line));
    }
}

impl Drop for Servers {
    /// Whoever they serve is gone.
    fn drop(&mut self) {
        for server in &mut self.running {
            let _ = server.process.kill();
            let _ = server.process.wait();
        }
    }
}

/// Connects a process of a run's tree with the runner of that run; `number` is what the tree has
/// inherited. What is given is a stream socket.
///
/// # Errors
///
/// When the run has no runner, or does not take visitors.
pub fn connect(state: &Path, number: u64) -> io::Result<OwnedFd> {
    match short(&folder(state).join(name(number)), |path| UnixStream::connect(path)) {
        Ok(channel) => Ok(channel.into()),
        // A confined tree sees none of our folders; its runner listens where it is.
        Err(error) => match TcpStream::connect(supervise::Cage::CHANNEL) {
            Ok(channel) => Ok(channel.into()),
            Err(_) => Err(error),
        },
    }
}

/// The number that the processes of that run have inherited.
#[must_use]
pub fn number_of(run: &RunId) -> u64 {
    mark_of(run).number()
}

impl Engine {
    /// The run whose processes have inherited that number, if it is one of this repository that has a
    /// runner.
    #[must_use]
    pub fn run_of_number(&self, number: u64) -> Option<RunId> {
        self.home().open_runs().into_iter().find(|run| number_of(run) == number)
    }
}

pub(crate) fn mark_of(run: &RunId) -> Mark {
    Mark::new(MARK, run.as_str())
}

fn folder(state: &Path) -> PathBuf {
    state.join("ch")
}

fn name(number: u64) -> String {
    format!("{number:016x}")
}

/// The kernel takes no more than 107 bytes for the path of a socket: a longer one is reached from
/// its folder.
fn short<T>(path: &Path, reach: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    const LONGEST: usize = 107;
    if path.as_os_str().len() <= LONGEST {
        return reach(path);
    }
    let (folder, name) = path.parent().zip(path.file_name()).ok_or(io::ErrorKind::InvalidInput)?;
    let folder = File::open(folder)?;
    reach(&Path::new(&format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(state: &Path) {
        let run: RunId = "2026-11-22T10-15-00-123Z-4f9a2c1b".parse().unwrap();
        let number = number_of(&run);
        assert!(connect(state, number).is_err());
        let channel = Channel::open(state, &run).unwrap();
        assert!(channel.accept().is_none());
        let _visitor = connect(state, number).unwrap();
        let visitor = channel.accept().unwrap();
        let visit = Visit { run: &run, root: state, stage: None };
        let mut servers = Servers::new(vec!["true".into()]);
        assert!(servers.serve(visitor.into(), || Ok(false), &visit).is_err());
        let _visitor = connect(state, number).unwrap();
        let visitor = channel.accept().unwrap();
        servers.serve(visitor.into(), || Ok(true), &visit).unwrap();
        // A new runner takes the place of one that was killed.
        drop(Channel::open(state, &run).unwrap());
        assert!(connect(state, number).is_err());
    }

    #[test]
    fn whoever_is_no_process_of_the_run_is_not_served() {
        let state = std::env::temp_dir().join(format!("channel-{}", std::process::id()));
        check(&state);
        // Also where the path is longer than the kernel takes.
        check(&state.join("x".repeat(120)));
        fs::remove_dir_all(state).unwrap();
    }
}
