//! From asking for a pause to a stage that no longer moves.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::bench::contender::word;
use crate::bench::figure::{Figure, Goal, Line, Unit};
use crate::bench::rows::{Ready, once, turn};
use crate::bench::scratch::{Scratch, pipeline};
use crate::bench::turns::{take, wait_for, wait_while_alive};
use crate::bench::{Bench, Contender, processes};

/// Writes down the time in nanoseconds again and again: while it does, it is not frozen.
const TICKING: &str = "while :; do date +%s%N; sleep 0.002; done >> ticks";

/// How long without a tick is still.
const STILL: Duration = Duration::from_millis(500);

/// How long we wait for it to be still before we say that it is not.
const PATIENCE: Duration = Duration::from_secs(5);

pub(in crate::bench) fn measure(bench: &Bench) -> Vec<Line> {
    let pipelines = [pipeline("ticking", &[TICKING])];
    let scratch = |name: &str| Scratch::new(bench, name, &pipelines);
    let (other, ours) = (Ready::new(&bench.other, scratch), Ready::new(&bench.ours, scratch));

    let other = once(&other, |tool, scratch| freeze(tool, scratch, request));
    let [ours] = take(
        bench.size(20, 2),
        [turn(&ours, |tool, scratch| {
            freeze(tool, scratch, |run| {
                let pause = ["pause", run.id.as_str(), "--format", "json"];
                tool.ask(scratch, &pause).map(drop)
            })
        })],
    );
    vec![Line {
        what: "pause asked to tree frozen".to_owned(),
        shell: None,
        other: Figure::median(other.map(|once| vec![once]), Unit::Milliseconds),
        ours: Figure::median(ours, Unit::Milliseconds),
        goal: Goal::AtMost(50.0, Unit::Milliseconds),
    }]
}

/// A run, as far as one needs to know it to pause it.
struct Run {
    id: String,
    folder: PathBuf,
}

/// Milliseconds between asking and the last tick.
fn freeze(
    tool: &Contender,
    scratch: &Scratch,
    pause: impl FnOnce(&Run) -> Result<(), String>,
) -> Result<f64, String> {
    let ticks = scratch.repo().join("ticks");
    // Those of the run before are not this one's.
    let _ = fs::remove_file(&ticks);
    let mut child = tool.begin(scratch, "ticking")?;
    let frozen = wait_while_alive(&mut child, "a tick", || last_tick(&ticks))
        .and_then(|_| current_run(scratch))
        .and_then(|run| {
            let asked = now();
            pause(&run)?;
            Ok(asked)
        })
        .and_then(|asked| still(&ticks).map(|last| (last - asked).max(0.0) / 1e6));
    let _ = child.kill();
    let _ = child.wait();
    processes::end_orphans();
    frozen
}

/// The other tool has no command for it: its server leaves this request in the run's folder.
fn request(run: &Run) -> Result<(), String> {
    let request = json!({
        "run_id": run.id,
        "control_seq": 1,
        "latest_action": {
            "request_id": "bench",
            "requested_by": "bench",
            "action": "pause",
            "reason": "bench",
        },
    });
    fs::write(run.folder.join("control.json"), request.to_string())
        .map_err(|error| format!("the request could not be left: {error}"))
}

/// The run that is going on here. Both tools keep its manifest in the same place.
fn current_run(scratch: &Scratch) -> Result<Run, String> {
    let runs = scratch.repo().join(".runs/bench/cli");
    wait_for("the manifest", Duration::from_secs(5), || {
        fs::read_dir(&runs).ok()?.flatten().find_map(|entry| {
            let folder = entry.path();
            let text = fs::read_to_string(folder.join("manifest.json")).ok()?;
            let manifest = serde_json::from_str(&text).ok()?;
            let going = word(&manifest, "status").ok()? == "in_progress";
            // Earlier ones ended when their process was killed, and may not know it yet.
            let newest = fs::read_dir(&runs).ok()?.flatten().all(|other| other.path() <= folder);
            let id = word(&manifest, "run_id").ok()?.to_owned();
            (going && newest).then_some(Run { id, folder })
        })
    })
}

/// The time of the last tick, once there have been no more for a while.
fn still(ticks: &Path) -> Result<f64, String> {
    let begun = Instant::now();
    let mut last = (last_tick(ticks), Instant::now());
    while last.1.elapsed() < STILL {
        if begun.elapsed() > PATIENCE {
            return Err(format!("the stage is not frozen: it still ran {PATIENCE:?} later"));
        }
        let tick = last_tick(ticks);
        if tick != last.0 {
            last = (tick, Instant::now());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    last.0.ok_or_else(|| "it never ticked".to_owned())
}

/// The last whole line: nanoseconds since 1970.
fn last_tick(ticks: &Path) -> Option<f64> {
    let text = fs::read_to_string(ticks).ok()?;
    text.rsplit_once('\n')?.0.lines().next_back()?.parse().ok()
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64() * 1e9)
}
