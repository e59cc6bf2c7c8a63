//! Which rungs work here, found out by using them.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::guard::Guard;
use crate::hold::Hold;
use crate::launch::{Launch, LaunchError, Stdin};
use crate::output::Output;
use crate::record::Mark;
use crate::report::{RungSpeed, RungTrial, TreeReport};
use crate::rung::{Rung, RungChoice};

/// Tries every rung with a trivial tree: launches it, freezes it, kills it.
pub fn probe() -> Vec<RungTrial> {
    let automatic = RungChoice::Automatic.candidates();
    let trial = |rung: Rung| RungTrial {
        rung,
        automatic: automatic.contains(&rung),
        result: try_rung(rung).unwrap_or_else(|error| Err(error.to_string())),
    };
    Rung::ALL.into_iter().map(trial).collect()
}

fn try_rung(rung: Rung) -> io::Result<Result<RungSpeed, String>> {
    let mark = Mark::new("CODEX_ORCHESTRATOR_PROBE", format!("{}-{rung}", std::process::id()));
    let guard = Guard::start(Hold::anonymous()?, mark, RungChoice::Only(rung))?;
    let null = || File::options().read(true).write(true).open("/dev/null");
    let launch = Launch {
        argv: ["sleep", "60"].map(OsString::from).to_vec(),
        cwd: PathBuf::from("/"),
        env: std::env::vars_os().filter(|(key, _)| key == "PATH").collect(),
        stdin: Stdin::Null,
        stdout: null()?.into(),
        stderr: null()?.into(),
        grace: Duration::ZERO,
        cage: None,
    };
    let begun = Instant::now();
    let tree = match guard.launch(launch) {
        Ok(tree) => tree,
        Err(LaunchError::NotHeld(why)) => {
            let reasons: Vec<String> = why.into_iter().map(|(_, why)| why).collect();
            return Ok(Err(reasons.join("; ")));
        }
        Err(error) => return Ok(Err(error.to_string())),
    };
    let launched = begun.elapsed();
    let control = tree.control();
    control.freeze();
    let mut asked = Instant::now();
    let mut frozen = Err("the tree ended before it was frozen".to_owned());
    let mut killed = Duration::ZERO;
    tree.watch(Output::none(), |report| match report {
        TreeReport::Frozen => {
            frozen = Ok(asked.elapsed());
            asked = Instant::now();
            control.kill();
        }
        TreeReport::FreezeFailed { reason } => {
            frozen = Err(reason);
            asked = Instant::now();
            control.kill();
        }
        TreeReport::Ended { .. } => killed = asked.elapsed(),
        _ => {}
    });
    Ok(frozen.map(|frozen| RungSpeed { launched, frozen, killed }))
}
