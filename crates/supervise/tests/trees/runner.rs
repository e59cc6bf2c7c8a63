//! A runner in a process of its own, which can therefore be killed.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use supervise::{Output, Rung, RungChoice, TreeRecord, TreeReport};

use crate::bench::{guard_in, launch_in};
use crate::witness::Witness;

const WORD: &str = "__runner";

/// Seen from the test.
pub(crate) struct Runner {
    pub(crate) child: Child,
    pub(crate) record: TreeRecord,
    orders: ChildStdin,
    reports: BufReader<ChildStdout>,
}

impl Runner {
    /// Starts a runner with a hostile tree. It comes back when the tree is launched.
    pub(crate) fn start(dir: &Path, rung: Rung) -> Runner {
        Runner::of_kind(dir, rung, "hostile")
    }

    /// Starts a runner whose stage is a runner with a hostile tree.
    pub(crate) fn start_nested(dir: &Path, rung: Rung) -> Runner {
        Runner::of_kind(dir, rung, "nested")
    }

    fn of_kind(dir: &Path, rung: Rung, stage: &str) -> Runner {
        std::fs::write(dir.join("hostile.sh"), include_str!("hostile.sh")).expect("a script");
        let mut command = Command::new("/proc/self/exe");
        command.arg(WORD).arg(dir).arg(rung.to_string()).arg(stage);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        // What the test kills it kills by number, not by group.
        let mut child = command.process_group(0).spawn().expect("a runner");
        let orders = child.stdin.take().expect("piped");
        let mut reports = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        reports.read_line(&mut line).expect("a record");
        let record = serde_json::from_str(&line).expect("a record");
        Runner { child, record, orders, reports }
    }

    pub(crate) fn order(&mut self, order: &str) {
        writeln!(self.orders, "{order}").expect("the runner lives");
    }

    /// Waits for a report whose name begins like this.
    #[track_caller]
    pub(crate) fn reports(&mut self, name: &str) {
        let mut line = String::new();
        while self.reports.read_line(&mut line).is_ok_and(|length| length > 0) {
            if line.starts_with(name) {
                return;
            }
            line.clear();
        }
        panic!("the runner ended without reporting {name}");
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Seen from inside.
pub(crate) fn become_runner_if_asked() {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [word, dir, rung, stage] = arguments.as_slice() else { return };
    if word != OsStr::new(WORD) {
        return;
    }
    let rung = Rung::ALL.into_iter().find(|other| other.to_string().as_str() == rung.as_os_str());
    run(Path::new(dir), rung.expect("a rung"), stage == OsStr::new("nested"));
    std::process::exit(0);
}

fn run(dir: &Path, rung: Rung, nested: bool) {
    let guard = guard_in(dir, RungChoice::Only(rung));
    let log = std::fs::File::create(dir.join("log")).expect("a log");
    let (output, mut ends) = Output::to_log(log, None).expect("pipes");
    ends.stderr = Witness::end_in(dir);
    let launch = if nested {
        let inner = dir.join("inner");
        for name in ["witness", "hostile.sh"] {
            std::fs::create_dir_all(&inner).expect("a folder");
            std::os::unix::fs::symlink(dir.join(name), inner.join(name)).expect("a link");
        }
        let (inner, rung) = (inner.display().to_string(), rung.to_string());
        launch_in(dir, &["/proc/self/exe", WORD, &inner, &rung, "hostile"], ends)
    } else {
        launch_in(dir, &["sh", "hostile.sh"], ends)
    };
    let tree = guard.launch(launch).expect("a tree");
    say(&serde_json::to_string(tree.record()).expect("a record"));
    let control = tree.control();
    let orders = std::thread::spawn(move || {
        for order in std::io::stdin().lines().map_while(Result::ok) {
            match order.as_str() {
                "freeze" => control.freeze(),
                "thaw" => control.thaw(),
                "stop" => control.stop(Duration::from_millis(200)),
                other => panic!("unknown order {other}"),
            }
        }
    });
    tree.watch(output, |report: TreeReport| say(&format!("{report:?}")));
    // As a runner of many stages it stays, with its lock, until nobody wants anything of it.
    let _ = orders.join();
}

/// Not by a macro that panics when the test has gone.
fn say(line: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}
