//! Whether stages can be held to caps here, by trying it with all that can be asked for.

use std::{fs, time::Duration};

use supervise::{CageReport, CageTrial, Profile, Proof};

use super::{Check, Verdict};

pub(super) fn checks() -> Vec<Check> {
    let scratch = std::env::temp_dir().join(format!(".doctor-cage-{}", std::process::id()));
    if let Err(error) = fs::create_dir(&scratch) {
        let found = format!("cannot be tried: {}: {error}", scratch.display());
        return vec![Check::off("caps", Verdict::Limited, found, "make it writable")];
    }
    let trials = supervise::probe_cages(&scratch);
    let _ = fs::remove_dir_all(&scratch);
    trials.iter().map(check).collect()
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
                "{then}until then what has caps is refused, unless your own file says \
                 `caps.on_missing = \"warn\"`"
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
