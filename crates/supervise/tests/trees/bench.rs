//! What the stories are made with.

use std::ffi::OsString;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use supervise::{
    Ends, Exit, Guard, Hold, Launch, Mark, Output, RungChoice, Stdin, Tree, TreeReport,
};
use tempfile::TempDir;

/// Nothing here takes a tenth of this, unless it takes for ever.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// A runner in a folder of its own.
pub(crate) struct Bench {
    pub(crate) dir: TempDir,
    pub(crate) guard: Guard,
}

impl Bench {
    pub(crate) fn new(rungs: RungChoice) -> Bench {
        let dir = TempDir::new().expect("a folder");
        let trees = Hold::share(&dir.path().join("trees.lock")).expect("a lock file");
        let mark = Mark::new("SUPERVISE_TEST", dir.path());
        let guard = Guard::start(trees.expect("nobody holds it"), mark, rungs).expect("a guard");
        Bench { dir, guard }
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    /// Launches a command whose output goes to the file `log`.
    pub(crate) fn launch(&self, argv: &[&str]) -> (Tree, Output) {
        let log = std::fs::File::create(self.path("log")).expect("a log");
        let (output, ends) = Output::to_log(log, None).expect("pipes");
        let tree = self.guard.launch(launch_in(self.dir.path(), argv, ends)).expect("a tree");
        (tree, output)
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, argv: &[&str]) -> Vec<TreeReport> {
        let (tree, output) = self.launch(argv);
        watch(tree, output)
    }

    pub(crate) fn log(&self) -> Vec<u8> {
        std::fs::read(self.path("log")).expect("a log")
    }
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
    }
}

/// All reports of a tree, up to its end.
pub(crate) fn watch(tree: Tree, output: Output) -> Vec<TreeReport> {
    let (send, reports) = mpsc::channel();
    std::thread::spawn(move || tree.watch(output, |report| drop(send.send(report))));
    let deadline = Instant::now() + LONG;
    let mut all = Vec::new();
    loop {
        match reports.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(report) => all.push(report),
            Err(mpsc::RecvTimeoutError::Disconnected) => return all,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("no end within {LONG:?}: {all:?}"),
        }
    }
}

/// How the reports say that the command ended.
pub(crate) fn exit_in(reports: &[TreeReport]) -> &Exit {
    match reports.last() {
        Some(TreeReport::Ended { exit, .. }) => exit,
        other => panic!("the last report is {other:?}"),
    }
}
