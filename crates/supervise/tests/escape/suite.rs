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
    trials.push(story("without_a_cage_the_same_attempts_succeed", check_outside));
    trials
}

pub(crate) fn story(
    name: &str,
    tell: impl FnOnce() -> Result<(), Failed> + Send + 'static,
) -> Trial {
    Trial::test(name, tell)
}

/// What succeeds where there is no cage, and harms nobody but this world: an attempt that could
/// not succeed anywhere proves nothing. (Each way that a machine may lack is left out.)
const SUCCEED_OUTSIDE: &[&str] = &[
    "tcp",
    "tcp_by_an_address_within_6",
    "tcp_to_no_address",
    "tcp_by_name",
    "udp",
    "udp_that_is_connected",
    "udp_to_no_address",
    "a_unix_socket",
    "a_socket_by_path",
    "a_socket_by_a_link",
    "a_socket_by_an_open_folder",
    "the_channels_own_socket",
    "a_socket_in_tmp",
    "a_socket_by_an_abstract_name",
    "a_datagram_to_a_path",
    "a_datagram_to_an_abstract_name",
    "a_pair_that_sends_elsewhere",
    "a_raw_pair_that_sends_elsewhere",
    "a_pair_that_is_connected_anew",
    "overwriting",
    "appending",
    "truncating",
    "making_a_file",
    "making_a_file_in_the_base",
    "making_a_folder",
    "making_a_link",
    "making_a_pipe",
    "removing",
    "removing_a_folder",
    "renaming_outside",
    "renaming_in",
    "renaming_out",
    "a_second_name_inside",
    "a_second_name_outside",
    "a_link_that_was_planted_before",
    "a_link_that_is_planted_now",
    "climbing_out_of_a_folder",
    "by_the_root_of_a_process",
    "by_the_folder_of_a_process",
    "opening_again_for_writing",
    "a_pipe_that_others_read",
    "making_others_wait_for_a_file",
    "changing_the_mode",
    "changing_the_mode_of_what_is_open",
    "changing_the_times",
    "the_git_folders_config",
    "the_git_folders_config_by_git",
    "a_hook",
    "a_configuration_of_a_work_tree",
    "a_common_folder_of_work_trees",
    "attributes_of_git",
    "a_module_of_git",
    "renaming_the_git_folder",
    "exchanging_the_git_folder",
    "removing_the_git_folder",
    "a_second_name_of_gits_config",
    "the_record",
    "another_record",
    "renaming_the_records",
    "the_configuration",
    "removing_the_configuration",
    "renaming_over_the_configuration",
    "exchanging_the_configuration",
    "what_is_protected_and_not_there",
    "a_link_where_nothing_is_yet",
    "renaming_to_where_nothing_is_yet",
    "deep_below_what_is_not_there",
    "what_is_kept_deep_inside",
    "renaming_what_is_above_it",
    "renaming_what_is_above_that",
    "exchanging_what_is_above_it",
    "overwriting_a_cache",
    "appending_to_a_cache",
    "truncating_what_a_cache_has",
    "removing_from_a_cache",
    "removing_a_cache",
    "renaming_a_cache",
    "renaming_what_is_above_a_cache",
    "renaming_within_a_cache",
    "a_second_name_of_what_a_cache_has",
    "a_second_name_outside_of_a_cache",
    "a_link_that_a_cache_has",
    "the_mode_of_what_a_cache_has",
    "the_times_of_what_a_cache_has",
    "memory_of_what_a_cache_has",
    "a_program_that_is_kept",
    "another_program_beside_it",
    "renaming_what_is_kept",
    "a_token_in_a_cache",
    "another_slot",
    "writing_to_another_slot",
    "the_slots",
    "the_state",
    "the_journal",
    "what_is_in_the_state",
    "a_key",
    "a_token",
    "a_token_in_a_folder_of_ones_own",
    "a_token_by_renaming_what_is_above_it",
    "a_token_by_renaming_what_is_above_that",
    "a_file_in_tmp",
    "a_file_in_shared_memory",
    "a_lock_on_the_journal",
    "what_the_victim_was_told",
    "memory_that_is_shared_by_a_key",
    "seeing_it",
    "its_rank",
    "a_signal",
    "a_signal_to_a_thread",
    "a_signal_with_a_value",
];

/// Makes them without a cage.
fn check_outside() -> Result<(), Failed> {
    let mut failed = Vec::new();
    for name in SUCCEED_OUTSIDE {
        let mut all = attempts::areas().into_iter().flat_map(|(_, attempts)| attempts.iter());
        let attempt = all.find(|attempt| attempt.name == *name).expect("an attempt");
        let mut world = World::new(Profile::Strict);
        let made = make(&mut world, std::slice::from_ref(attempt), |_| None);
        if made.is_ok() {
            failed.push(*name);
        }
    }
    match failed.as_slice() {
        [] => Ok(()),
        failed => Err(format!("could not succeed anywhere: {failed:?}").into()),
    }
}

/// Makes each attempt in a cage of its own.
fn check(profile: Profile, attempts: &[Attempt]) -> Result<(), Failed> {
    let mut world = World::new(profile);
    if let Some(why) = why_not(&world, &world.cage()) {
        say(&format!("skipped: {why}"));
        return Ok(());
    }
    make(&mut world, attempts, |world| Some(world.cage()))
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
    cage: impl Fn(&World) -> Option<Cage>,
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
        escaped => {
            Err(format!("{} of {}:\n{}", escaped.len(), attempts.len(), escaped.join("\n")).into())
        }
    }
}
