//! All attempts, in each kind of cage.

use std::ffi::OsString;

use libtest_mimic::{Failed, Trial};
use supervise::{Cage, Exit, LaunchError, Profile, Stdin};

use crate::attempts::{self, Attempt, ESCAPED};
use crate::world::{SECRET, World, say};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for profile in [Profile::Strict, Profile::Wrap] {
        for (area, attempts) in attempts::areas() {
            let name = format!("nobody_gets_out_by_{area}_{profile:?}").to_lowercase();
            trials.push(story(&name, move || check(profile, attempts)));
        }
    }
    trials
}

pub(crate) fn story(
    name: &str,
    tell: impl FnOnce() -> Result<(), Failed> + Send + 'static,
) -> Trial {
    Trial::test(name, tell)
}

/// Makes each attempt in a cage of its own.
fn check(profile: Profile, attempts: &[Attempt]) -> Result<(), Failed> {
    let mut world = World::new(profile);
    if let Some(why) = why_not(&world, &world.cage()) {
        say(&format!("skipped: {why}"));
        return Ok(());
    }
    make(&mut world, attempts, World::cage)
}

/// Why such a cage cannot be had here, if it cannot.
pub(crate) fn why_not(world: &World, cage: &Cage) -> Option<String> {
    match world.launch(cage.clone(), &["true".into()], Stdin::Null) {
        Err(LaunchError::NotCaged(refused)) => Some(refused.to_string()),
        Err(error) => panic!("{error}"),
        Ok((tree, output)) => {
            tree.watch(output, |_| {});
            None
        }
    }
}

pub(crate) fn make(
    world: &mut World,
    attempts: &[Attempt],
    cage: fn(&World) -> Cage,
) -> Result<(), Failed> {
    let mut escaped = Vec::new();
    let scene = serde_json::to_string(&world.scene).expect("words");
    for attempt in attempts {
        let program = std::env::current_exe().expect("this one").into_os_string();
        let words = [attempts::WORD, attempt.name, &scene].map(OsString::from);
        let argv: Vec<OsString> = [program].into_iter().chain(words).collect();
        let (stdin, terminal) = attempts::stdin_of(attempt);
        let (outcome, _) = world.run_with(cage(world), &argv, stdin);
        let mut found = world.disturbed();
        if outcome.said.contains(SECRET) {
            found.push("it told the secret".to_owned());
        }
        if outcome.said.contains(ESCAPED) {
            found.push("it says that it succeeded".to_owned());
        }
        if terminal.is_some_and(|terminal| terminal.was_typed_on()) {
            found.push("it typed on the terminal".to_owned());
        }
        // What did not even begin proves nothing.
        let began = outcome.said.contains(attempts::BEGAN);
        if !began || matches!(outcome.exit, Exit::NotStarted { .. } | Exit::Lost) {
            found.push(format!("it did not begin: {:?}", outcome.exit));
        }
        if std::env::var_os("SUPERVISE_TEST_ATTEMPTS").is_some() {
            let said = outcome.said.replace('\n', " | ");
            say(&format!("{}: {said} {:?}", attempt.name, outcome.exit));
        }
        if !found.is_empty() {
            escaped.push(format!("{}: {}; {}", attempt.name, found.join(", "), outcome.said));
        }
    }
    match escaped.as_slice() {
        [] => Ok(()),
        escaped => Err(format!("{} of {}:\n{}", escaped.len(), attempts.len(), escaped.join("\n")).into()),
    }
}
