//! What the stories are made with.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use supervise::{
    Cage, Ends, Exit, Guard, Hold, Launch, LaunchError, Mark, Net, Output, Profile, Rung,
    RungChoice, Stdin, Tree, TreeControl, TreeReport, UnixSockets,
};
use tempfile::TempDir;

/// Nothing here takes a tenth of this, unless it takes for ever.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A story that is told once.
pub(crate) fn story(name: &str, tell: impl FnOnce() + Send + 'static) -> Trial {
    Trial::test(name, move || {
        tell();
        Ok(())
    })
}

/// A story that is told on every rung that this machine has.
pub(crate) fn on_every_rung(name: &str, tell: fn(Rung)) -> Vec<Trial> {
    let on_one = |rung: Rung| {
        story(&format!("{name}_on_{rung}"), move || match why_not(rung) {
            None => tell(rung),
            Some(why) => say(&format!("skipped on {rung}: {why}")),
        })
    };
    Rung::ALL.into_iter().map(on_one).collect()
}

fn why_not(rung: Rung) -> Option<String> {
    let bench = Bench::new(RungChoice::Only(rung));
    match bench.try_launch(&["true"]) {
        Ok((tree, output)) => {
            Watched::new(tree, output).end();
            None
        }
        Err(LaunchError::NotHeld(why)) => Some(format!("{why:?}")),
        Err(error) => panic!("{error}"),
    }
}

/// A runner in a folder of its own.
pub(crate) struct Bench {
    pub(crate) dir: TempDir,
    pub(crate) guard: Guard,
}

impl Bench {
    pub(crate) fn new(rungs: RungChoice) -> Bench {
        let dir = TempDir::new().expect("a folder");
        let guard = guard_in(dir.path(), rungs);
        Bench { dir, guard }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Launches a command whose output goes to the file `log`.
    pub(crate) fn try_launch(&self, argv: &[&str]) -> Result<(Tree, Output), LaunchError> {
        let log = std::fs::File::create(self.path("log")).expect("a log");
        let (output, ends) = Output::to_log(log, None).expect("pipes");
        Ok((self.guard.launch(launch_in(self.dir.path(), argv, ends))?, output))
    }

    pub(crate) fn launch(&self, argv: &[&str]) -> Watched {
        let (tree, output) = self.try_launch(argv).expect("a tree");
        Watched::new(tree, output)
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, argv: &[&str]) -> Vec<TreeReport> {
        self.launch(argv).end()
    }

    pub(crate) fn log(&self) -> Vec<u8> {
        std::fs::read(self.path("log")).expect("a log")
    }
}

/// What marks the trees that are started in a folder.
pub(crate) fn mark_of(dir: &Path) -> Mark {
    Mark::new("SUPERVISE_TEST", dir)
}

pub(crate) fn guard_in(dir: &Path, rungs: RungChoice) -> Guard {
    let trees = Hold::share(&dir.join("trees.lock")).expect("a lock file");
    Guard::start(trees.expect("nobody holds it"), mark_of(dir), rungs).expect("a guard")
}

pub(crate) fn launch_in(dir: &Path, argv: &[&str], ends: Ends) -> Launch {
    Launch {
        argv: argv.iter().map(OsString::from).collect(),
        cwd: dir.to_owned(),
        env: std::env::vars_os().collect(),
        stdin: Stdin::Null,
        stdout: ends.stdout,
        stderr: ends.stderr,
        grace: Duration::from_millis(300),
        cage: std::env::var(CAGED).ok().map(|profile| cage_of(dir, &profile)),
    }
}

/// Names the profile of the cages that all trees are to be in; see the stories in cages.
pub(crate) const CAGED: &str = "SUPERVISE_TEST_CAGED";

/// What a story's tree is confined to when all stories are told in cages: its folder, and nothing.
pub(crate) fn cage_of(dir: &Path, profile: &str) -> Cage {
    Cage {
        network: Net::None,
        write: dir.canonicalize().into_iter().collect(),
        protect: Vec::new(),
        hide: Vec::new(),
        read: Vec::new(),
        caches: None,
        private_tmp: true,
        unix_sockets: UnixSockets::Deny,
        forward: Vec::new(),
        channel: true,
        profile: if profile == "wrap" { Profile::Wrap } else { Profile::Strict },
    }
}

/// A tree with a thread that watches it.
pub(crate) struct Watched {
    pub(crate) leader: i32,
    pub(crate) control: TreeControl,
    reports: mpsc::Receiver<TreeReport>,
    seen: Vec<TreeReport>,
}

impl Watched {
    pub(crate) fn new(tree: Tree, output: Output) -> Watched {
        let (leader, control) = (tree.record().leader.pid, tree.control());
        let (send, reports) = mpsc::channel();
        std::thread::spawn(move || tree.watch(output, |report| drop(send.send(report))));
        Watched { leader, control, reports, seen: Vec::new() }
    }

    /// Waits for a report that `is_it`.
    #[track_caller]
    pub(crate) fn until(&mut self, is_it: impl Fn(&TreeReport) -> bool) -> &TreeReport {
        let deadline = Instant::now() + LONG;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.reports.recv_timeout(left) {
                Ok(report) => {
                    self.seen.push(report);
                    if self.seen.last().is_some_and(&is_it) {
                        return self.seen.last().expect("just pushed");
                    }
                }
                Err(error) => panic!("it did not come: {error}; only {:?}", self.seen),
            }
        }
    }

    /// Waits until the command's output ends with this line.
    #[track_caller]
    pub(crate) fn until_it_says(&mut self, line: &str) {
        self.until(
            |report| matches!(report, TreeReport::Wrote { last_line, .. } if last_line == line),
        );
    }

    /// All reports, when the tree has ended.
    #[track_caller]
    pub(crate) fn end(mut self) -> Vec<TreeReport> {
        self.until(|report| matches!(report, TreeReport::Ended { .. }));
        self.seen
    }
}

/// How the reports say that the command ended.
#[track_caller]
pub(crate) fn exit_in(reports: &[TreeReport]) -> &Exit {
    match reports.last() {
        Some(TreeReport::Ended { exit, .. }) => exit,
        other => panic!("the last report is {other:?}"),
    }
}

/// Tells the person who runs the tests something that no test can decide.
#[expect(clippy::print_stderr, reason = "whoever runs the tests is to read it")]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}

/// Waits for a fact.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < deadline, "not within {LONG:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
