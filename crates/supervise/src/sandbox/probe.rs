//! Which cages can be had here, found out by having them.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{Cage, CageReport, CageTrial, Net, Profile, UnixSockets};
use crate::guard::Guard;
use crate::hold::Hold;
use crate::launch::{Launch, Stdin};
use crate::output::Output;
use crate::record::Mark;
use crate::rung::RungChoice;

/// Tries each profile with a trivial tree that may do nothing. `scratch` is a folder that this user
/// may write, for what is to be protected and hidden.
pub fn probe_cages(scratch: &std::path::Path) -> Vec<CageTrial> {
    let trial = |profile| CageTrial {
        profile,
        result: try_cage(profile, scratch).unwrap_or_else(|error| Err(error.to_string())),
    };
    [Profile::Strict, Profile::Wrap].map(trial).into()
}

fn try_cage(
    profile: Profile,
    scratch: &std::path::Path,
) -> io::Result<Result<(CageReport, Duration), String>> {
    let scratch = scratch.canonicalize()?;
    let mark = Mark::new("CODEX_ORCHESTRATOR_PROBE", format!("{}-cage", std::process::id()));
    let guard = Guard::start(Hold::anonymous()?, mark, RungChoice::Automatic)?;
    let null = || File::options().read(true).write(true).open("/dev/null");
    let launch = Launch {
        argv: vec![OsString::from("true")],
        cwd: PathBuf::from("/"),
        env: std::env::vars_os().filter(|(key, _)| key == "PATH").collect(),
        stdin: Stdin::Null,
        stdout: null()?.into(),
        stderr: null()?.into(),
        grace: Duration::ZERO,
        cage: Some(Cage {
            network: Net::None,
            write: vec![scratch.clone()],
            protect: vec![scratch.join(".protected")],
            hide: Vec::new(),
            read: Vec::new(),
            caches: None,
            private_tmp: true,
            unix_sockets: UnixSockets::Deny,
            forward: Vec::new(),
            channel: true,
            profile,
        }),
    };
    let begun = Instant::now();
    let mut tree = match guard.launch(launch) {
        Ok(tree) => tree,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let launched = begun.elapsed();
    let caged = tree.take_caged();
    tree.watch(Output::none(), |_| {});
    Ok(caged.map(|caged| (caged.report, launched)).ok_or_else(|| "it was not caged".to_owned()))
}
