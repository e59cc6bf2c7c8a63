//! What the way through the proxy costs a download.

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
    "curl --silent --show-error --fail --output /dev/null --write-out '%{time_total}'";

pub(in crate::bench) fn measure(bench: &Bench) -> Vec<Line> {
    let megabytes = bench.size(1000, 20);
    let served = serve(megabytes * 1_000_000);
    let (direct, proxied) = match &served {
        Ok(port) => (
            format!("{CURL} http://127.0.0.1:{port}/"),
            // Through a tunnel, as whatever speaks TLS.
            format!("{CURL} --proxytunnel http://{HOST}:{port}/ > took"),
        ),
        Err(_) => Default::default(),
    };
    let caps = [
        format!("caps.network.allow=[\"{HOST}:{}\"]", served.as_ref().copied().unwrap_or_default()),
        format!("caps.network.pins={{\"{HOST}\"=[\"127.0.0.1\"]}}"),
    ];
    let ours = served.clone().and_then(|_| {
        let pipelines = [pipeline("download", &[&proxied])];
        Ready::new(&bench.ours, |name| Scratch::new(bench, name, &pipelines))
    });
    let turns: [Turn<'_>; 2] = [
        Box::new(|| served.clone().and_then(|_| of_shell(&direct))),
        turn(&ours, |tool, scratch| of_stage(tool, scratch, &caps)),
    ];
    let [shell, ours] = take(bench.size(5, 1), turns);
    vec![Line {
        what: format!(
            "a download of {megabytes} MB from this machine, through the proxy of a stage that has a list"
        ),
        shell: Some(Figure::median(shell, Unit::Milliseconds)),
        other: Figure::missing("it holds nothing to anything"),
        ours: Figure::median(ours, Unit::Milliseconds),
        // At least a third of the rate.
        goal: Goal::OfShell(3.0),
    }]
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

fn of_stage(tool: &Contender, scratch: &Scratch, caps: &[String]) -> Result<f64, String> {
    let mut words = vec!["start", "download", "--format", "json", "--task", "bench"];
    words.extend(caps.iter().flat_map(|setting| ["--config", setting]));
    tool.ask(scratch, &words)?;
    let took = fs::read_to_string(scratch.repo().join("took"));
    milliseconds(&took.map_err(|error| format!("what curl said cannot be read: {error}"))?)
}

fn milliseconds(seconds: &str) -> Result<f64, String> {
    let said = seconds.trim().parse::<f64>();
    said.map(|seconds| seconds * 1000.0).map_err(|_| format!("curl said `{seconds}`"))
}
