//! Whether stages can be held to caps here, by trying it with all that can be asked for.

use std::{fs, time::Duration};

use supervise::{CageReport, CageTrial, Profile, Proof};

use super::{Check, Verdict};

pub(super) fn checks() -> Vec<Check> {
    match trials() {
        Ok(trials) => trials.iter().map(check).collect(),
        Err(why) => {
            let found = format!("cannot be tried: {why}");
            vec![Check::off("caps", Verdict::Limited, found, "make it writable")]
        }
    }
}

/// What of delegated runs cannot be confined here, and why; nothing where all can.
pub(in crate::cli) fn unconfined() -> Option<(&'static str, String)> {
    let trials = trials().ok()?;
    // What one needs, the other needs too.
    let all = trials.iter().all(|trial| trial.result.is_err());
    let trial = trials.into_iter().find(|trial| trial.result.is_err())?;
    let what = match trial.profile {
        _ if all => "delegated runs",
        Profile::Strict => "commands of delegated runs",
        Profile::Wrap => "delegated threads",
    };
    Some((what, trial.result.err()?))
}

fn trials() -> Result<Vec<CageTrial>, String> {
    let scratch = std::env::temp_dir().join(format!(".doctor-cage-{}", std::process::id()));
    fs::create_dir(&scratch).map_err(|error| format!("{}: {error}", scratch.display()))?;
    let trials = supervise::probe_cages(&scratch);
    let _ = fs::remove_dir_all(&scratch);
    Ok(trials)
}

fn check(trial: &CageTrial) -> Check {
    let what = match trial.profile {
        Profile::Strict => "caps",
        Profile::Wrap => "caps of threads",
    };
    match &trial.result {
        Ok((report, took)) => held(what, report, *took),
        Err(reason) => {
            // What is missing comes first, and last what can be done about it.
            let (found, remedy) = reason.rsplit_once("; ").unwrap_or((reason, ""));
            let found = format!("do not hold: {found}");
            let then = match remedy {
                "" => String::new(),
                remedy => format!("{remedy}; "),
            };
            let remedy = format!(
                "{then}until then what has caps is refused, and with `codex-orch setup --on-missing \
                 warn` it runs without"
            );
            Check::off(what, Verdict::Limited, found, &remedy)
        }
    }
}

fn held(what: &str, report: &CageReport, took: Duration) -> Check {
    let unproven = report.standings.iter().filter_map(|standing| match &standing.proof {
        Proof::Proven(_) => None,
        Proof::Unproven(why) => Some(format!("{} is unproven: {why}", standing.guarantee)),
    });
    let gaps = report.standings.iter().filter_map(|standing| {
        Some(format!("{}: {}", standing.guarantee, standing.gap.as_deref()?))
    });
    let landlock = match report.landlock {
        Some(version) => format!("Landlock {version}"),
        None => "no Landlock".to_owned(),
    };
    let took = took.as_secs_f64() * 1000.0;
    let mut found = format!("hold, by {} and {landlock}: launch {took:.1} ms", report.walls);
    for more in unproven.chain(gaps) {
        found.push_str(&format!("; {more}"));
    }
    Check::good(what, found)
}
