//! How commands end.

use libtest_mimic::Trial;
use supervise::{Exit, RungChoice};

use crate::bench::{Bench, exit_in};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("an_exit_code_is_told", || {
            check(&["sh", "-c", "exit 7"], Exit::Code(7));
            Ok(())
        }),
        Trial::test("a_signal_is_told", || {
            check(&["sh", "-c", "kill -9 $$"], Exit::Signal(9));
            Ok(())
        }),
    ]
}

#[track_caller]
fn check(argv: &[&str], exit: Exit) {
    let reports = Bench::new(RungChoice::Automatic).run(argv);
    assert_eq!(exit_in(&reports), &exit, "{reports:?}");
}
