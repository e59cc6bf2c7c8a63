//! How commands begin and end.

use std::os::unix::fs::PermissionsExt;

use libtest_mimic::Trial;
use supervise::{Exit, RungChoice, TreeReport};

use crate::bench::{Bench, exit_in, on_every_rung, story};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = vec![
        story("a_real_time_signal_is_told", || {
            check(&["sh", "-c", "kill -40 $$"], Exit::Signal(40))
        }),
        story("a_program_that_is_not_there_is_127", || {
            check_not_started(&["no-such-program"], 127, "`no-such-program` was not found");
            check_not_started(&["./no-such-program"], 127, "`./no-such-program` was not found");
            check_not_started(&[""], 127, "`` was not found");
        }),
        story("a_program_that_may_not_be_executed_is_126", || {
            let reason = "`./plain` could not be executed: Permission denied";
            check_not_started(&["./plain"], 126, reason);
            let reason = "`/` could not be executed: Permission denied";
            check_not_started(&["/"], 126, reason);
        }),
        story("a_script_whose_interpreter_is_missing_says_so", || {
            let reason = "`./orphan` needs an interpreter that was not found";
            check_not_started(&["./orphan"], 127, reason);
        }),
        story("a_script_that_names_no_interpreter_is_for_the_shell", || {
            check(&["./nameless"], Exit::Code(5));
        }),
        story("a_folder_that_is_not_there_is_not_the_programs_fault", || {
            let bench = Bench::new(RungChoice::Automatic);
            let log = std::fs::File::create(bench.path("log")).expect("a log");
            let (output, ends) = supervise::Output::to_log(log, None).expect("pipes");
            let launch = crate::bench::launch_in(&bench.path("nowhere"), &["true"], ends);
            let tree = bench.guard.launch(launch).expect("a tree");
            let reports = crate::bench::Watched::new(tree, output).end();
            let Exit::NotStarted { code: 126, reason } = exit_in(&reports) else {
                panic!("{reports:?}")
            };
            assert!(reason.ends_with("nowhere`: No such file or directory"), "{reason}");
        }),
        story("nothing_is_passed_on_that_was_not_meant_to_be", || {
            let bench = Bench::new(RungChoice::Automatic);
            // Numbers of open files; ls itself holds the one that it reads with.
            bench.run(&["sh", "-c", "ls /proc/self/fd | tr '\\n' ' '"]);
            assert_eq!(String::from_utf8_lossy(&bench.log()), "0 1 2 3 ");
            bench.run(&["sh", "-c", "grep -E '^Sig(Blk|Ign)' /proc/self/status | cut -f2"]);
            assert_eq!(bench.log(), b"0000000000000000\n0000000000000000\n");
        }),
        story("a_command_leads_a_session_of_its_own", || {
            let bench = Bench::new(RungChoice::Automatic);
            bench.run(&["sh", "-c", "cut -d' ' -f6 /proc/self/stat; echo $$"]);
            let log = String::from_utf8(bench.log()).expect("numbers");
            let numbers: Vec<&str> = log.lines().collect();
            assert_eq!(numbers[0], numbers[1]);
        }),
        story("four_hundred_commands_follow_each_other", || {
            let bench = Bench::new(RungChoice::Automatic);
            for number in 0..400 {
                let reports = bench.run(&["sh", "-c", &format!("exit {}", number % 256)]);
                assert_eq!(exit_in(&reports), &Exit::Code(number % 256));
            }
        }),
        story("fifty_commands_run_at_once", || {
            let bench = Bench::new(RungChoice::Automatic);
            let trees: Vec<_> = (0..50)
                .map(|number| bench.launch(&["sh", "-c", &format!("exit {number}")]))
                .collect();
            for (number, tree) in trees.into_iter().enumerate() {
                assert_eq!(exit_in(&tree.end()), &Exit::Code(number as i32));
            }
        }),
        story("long_arguments_and_environments_arrive", || {
            let bench = Bench::new(RungChoice::Automatic);
            let long = "x".repeat(100_000);
            let argv = ["sh", "-c", "echo ${#1} ${#2} ${#3}", "sh", &long, &long, &long];
            bench.run(&argv);
            assert_eq!(bench.log(), b"100000 100000 100000\n");
        }),
    ];
    trials.extend(on_every_rung("an_exit_code_is_told", |rung| {
        let reports = Bench::new(RungChoice::Only(rung)).run(&["sh", "-c", "exit 7"]);
        assert_eq!(exit_in(&reports), &Exit::Code(7));
        let exits = reports.iter().filter(|report| matches!(report, TreeReport::Exited(_)));
        assert_eq!(exits.count(), 1, "{reports:?}");
    }));
    trials.extend(on_every_rung("a_signal_is_told", |rung| {
        let reports = Bench::new(RungChoice::Only(rung)).run(&["sh", "-c", "kill -9 $$"]);
        assert_eq!(exit_in(&reports), &Exit::Signal(9));
    }));
    trials.extend(on_every_rung("a_program_that_is_not_there_is_127", |rung| {
        let reports = Bench::new(RungChoice::Only(rung)).run(&["no-such-program"]);
        assert!(matches!(exit_in(&reports), Exit::NotStarted { code: 127, .. }), "{reports:?}");
    }));
    trials
}

fn bench() -> Bench {
    let bench = Bench::new(RungChoice::Automatic);
    for (name, text, mode) in [
        ("plain", "exit 5\n", 0o644),
        ("nameless", "exit 5\n", 0o755),
        ("orphan", "#!/no/such/interpreter\n", 0o755),
    ] {
        std::fs::write(bench.path(name), text).expect("a file");
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(bench.path(name), mode).expect("its owner may");
    }
    bench
}

#[track_caller]
fn check(argv: &[&str], exit: Exit) {
    let reports = bench().run(argv);
    assert_eq!(exit_in(&reports), &exit, "{reports:?}");
}

#[track_caller]
fn check_not_started(argv: &[&str], code: i32, reason: &str) {
    check(argv, Exit::NotStarted { code, reason: reason.to_owned() });
}
