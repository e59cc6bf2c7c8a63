//! What the way through the proxy costs.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;

use crate::bench::figure::{Figure, Goal, Line, Unit};
use crate::bench::rows::{Ready, turn};
use crate::bench::scratch::{Scratch, pipeline};
use crate::bench::turns::{Turn, take};
use crate::bench::{Bench, Contender};

/// The name by which a stage knows this machine.
const HOST: &str = "near.example";

/// What tells how long the download alone took, in seconds: neither a run nor a shell counts.
const CURL: &str =
    "curl --silent --show-error --fail --output /dev/null --write-out '%{time_total}\\n'";

/// So many that one which waited for something else does not tell.
const REQUESTS: usize = 200;

pub(in crate::bench) fn measure(bench: &Bench) -> Vec<Line> {
    let megabytes = bench.size(1000, 20);
    let download = Way::new(bench, "download", megabytes * 1_000_000, 1);
    let [shell, ours] = take(bench.size(5, 1), download.turns());
    let requests = Way::new(bench, "requests", 2, REQUESTS);
    let [direct, proxied] = take(bench.size(10, 1), requests.turns());
    let beyond = match (direct, proxied) {
        (Ok(direct), Ok(proxied)) => {
            Ok(proxied.into_iter().zip(direct).map(|(proxied, direct)| proxied - direct).collect())
        }
        (Err(reason), _) | (_, Err(reason)) => Err(reason),
    };
    let holds_nothing = || Figure::missing("it holds nothing to anything");
    vec![
        Line {
            what: "a request through the proxy of a stage that has a list, time beyond one without"
                .to_owned(),
            shell: None,
            other: holds_nothing(),
            ours: Figure::median(beyond, Unit::Milliseconds),
            goal: Goal::AtMost(2.0, Unit::Milliseconds),
        },
        Line {
            what: format!("a download of {megabytes} MB from this machine, through that proxy"),
            shell: Some(Figure::median(shell, Unit::Milliseconds)),
            other: holds_nothing(),
            ours: Figure::median(ours, Unit::Milliseconds),
            // At least a third of the rate.
            goal: Goal::OfShell(3.0),
        },
    ]
}

/// What is fetched so often, each time by a connection of its own: without a proxy, and from a stage.
struct Way<'a> {
    name: &'static str,
    direct: Result<String, String>,
    ours: Result<Ready<'a>, String>,
    caps: [String; 2],
}

impl<'a> Way<'a> {
    fn new(bench: &'a Bench, name: &'static str, bytes: usize, times: usize) -> Self {
        let served = serve(bytes);
        let port = served.as_ref().copied().unwrap_or_default();
        // Through a tunnel, as whatever speaks TLS.
        let proxied = format!("{CURL} --proxytunnel 'http://{HOST}:{port}/[1-{times}]' > took");
        let direct = served.map(|_| format!("{CURL} 'http://127.0.0.1:{port}/[1-{times}]'"));
        let ours = direct.clone().and_then(|_| {
            let pipelines = [pipeline(name, &[&proxied])];
            Ready::new(&bench.ours, |name| Scratch::new(bench, name, &pipelines))
        });
        let caps = [
            format!("caps.network.allow=[\"{HOST}:{port}\"]"),
            format!("caps.network.pins={{\"{HOST}\"=[\"127.0.0.1\"]}}"),
        ];
        Self { name, direct, ours, caps }
    }

    fn turns(&self) -> [Turn<'_>; 2] {
        let of_stage = |tool: &Contender, scratch: &Scratch| of_stage(tool, scratch, self);
        [
            Box::new(|| self.direct.as_deref().map_err(Clone::clone).and_then(of_shell)),
            turn(&self.ours, of_stage),
        ]
    }
}

/// Serves so many bytes to everybody, for as long as this process lives.
fn serve(bytes: usize) -> Result<u16, String> {
    let failed = |error| format!("nothing could be served: {error}");
    let listener = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
    let port = listener.local_addr().map_err(failed)?.port();
    thread::spawn(move || {
        for caller in listener.incoming().flatten() {
            // Whoever hangs up has nothing to be told.
            thread::spawn(move || answer(&caller, bytes));
        }
    });
    Ok(port)
}

fn answer(mut caller: &TcpStream, bytes: usize) -> std::io::Result<()> {
    let mut lines = BufReader::new(caller).lines();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    write!(caller, "HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\nConnection: close\r\n\r\n")?;
    let block = vec![b'x'; 256 * 1024];
    let mut left = bytes;
    while left > 0 {
        left -= caller.write(&block[..left.min(block.len())])?;
    }
    Ok(())
}

fn of_shell(command: &str) -> Result<f64, String> {
    let output = Command::new("/bin/sh").args(["-c", command]).output();
    let output = output.map_err(|error| format!("the shell could not be started: {error}"))?;
    match output.status.success() {
        true => milliseconds(&String::from_utf8_lossy(&output.stdout)),
        false => Err(format!("curl: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

fn of_stage(tool: &Contender, scratch: &Scratch, way: &Way<'_>) -> Result<f64, String> {
    let mut words = vec!["start", way.name, "--format", "json", "--task", "bench"];
    words.extend(way.caps.iter().flat_map(|setting| ["--config", setting]));
    tool.ask(scratch, &words)?;
    let took = fs::read_to_string(scratch.repo().join("took"));
    milliseconds(&took.map_err(|error| format!("what curl said cannot be read: {error}"))?)
}

/// In the middle of all that curl has fetched.
fn milliseconds(said: &str) -> Result<f64, String> {
    let took = said.split_whitespace().map(str::parse::<f64>).collect::<Result<Vec<_>, _>>();
    let mut took = took.map_err(|_| format!("curl said `{}`", said.trim()))?;
    took.sort_by(f64::total_cmp);
    let middle = took.get(took.len() / 2).ok_or("curl said nothing")?;
    Ok(middle * 1000.0)
}
