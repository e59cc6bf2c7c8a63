//! Runner, guard and shim are all killed at once: a later process ends what is left.

use std::time::Instant;

use libtest_mimic::Trial;
use supervise::{ProcessId, Refusal, Rung, Swept, TreeRecord, sweep};

use crate::bench::{LONG, mark_of, on_every_rung, story};
use crate::kills::Victim::{Guard, Runner, Shim};
use crate::kills::{MOMENTS, Moment, at, slay};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = vec![
        story("a_record_from_before_a_restart_is_left_alone", || {
            check_refused(|record| record.boot_id = "another".to_owned(), Refusal::OtherBoot);
        }),
        story("a_record_from_another_pid_namespace_is_left_alone", || {
            check_refused(|record| record.pid_namespace += 1, Refusal::OtherNamespace);
        }),
        story("a_record_of_another_user_is_left_alone", || {
            check_refused(|record| record.uid += 1, Refusal::OtherUser);
        }),
        story("a_number_that_passed_to_another_process_is_left_alone", || {
            let (dir, mut runner, mut witness) = at(Rung::Subreaper, Moment::WhenAllAreUp);
            let mut record = runner.record.clone();
            for id in [&mut record.guard, &mut record.shim, &mut record.leader] {
                id.start_time += 1;
            }
            let other_mark = mark_of(&dir.path().join("another run"));
            let swept = sweep(&[record], &other_mark, Instant::now() + LONG);
            assert_eq!(swept, Swept::default());
            witness.hears_everybody();
            runner.order("stop");
            runner.reports("Ended");
        }),
        story("sweeping_where_nothing_is_left_does_nothing", || {
            let dir = tempfile::TempDir::new().expect("a folder");
            let swept = sweep(&[], &mark_of(dir.path()), Instant::now() + LONG);
            assert_eq!(swept, Swept::default());
        }),
    ];
    trials.extend(on_every_rung("a_sweep_ends_what_three_kills_left", |rung| {
        for moment in MOMENTS {
            for victims in [[Runner, Guard, Shim], [Shim, Guard, Runner], [Guard, Shim, Runner]] {
                let (dir, mut runner, mut witness) = at(rung, moment);
                slay(&mut runner, &victims);
                let records = [runner.record.clone()];
                let swept = sweep(&records, &mark_of(dir.path()), Instant::now() + LONG);
                assert_eq!((swept.left.as_slice(), swept.refused.as_slice()), (&[][..], &[][..]));
                assert!(witness.is_over(), "{victims:?} {moment:?}");
                if let Some(cgroup) = &runner.record.cgroup {
                    assert!(!cgroup.exists());
                }
            }
        }
    }));
    trials.extend(on_every_rung("a_sweep_needs_no_records", |rung| {
        let (dir, mut runner, mut witness) = at(rung, Moment::WhenAllAreUp);
        slay(&mut runner, &[Runner, Guard, Shim]);
        let swept = sweep(&[], &mark_of(dir.path()), Instant::now() + LONG);
        assert!(swept.left.is_empty(), "{swept:?}");
        assert!(witness.is_over());
        if let Some(cgroup) = &runner.record.cgroup {
            assert!(!cgroup.exists());
        }
    }));
    trials
}

/// Sweeps with a record that does not fit, beside a tree that lives.
#[track_caller]
fn check_refused(spoil: impl FnOnce(&mut TreeRecord), refusal: Refusal) {
    let (dir, mut runner, mut witness) = at(Rung::Subreaper, Moment::WhenAllAreUp);
    let mut record = runner.record.clone();
    spoil(&mut record);
    let swept = sweep(&[record], &mark_of(dir.path()), Instant::now() + LONG);
    assert_eq!(swept, Swept { refused: vec![(0, refusal)], ..Swept::default() });
    witness.hears_everybody();
    let ProcessId { pid, .. } = runner.record.leader;
    assert!(std::path::Path::new(&format!("/proc/{pid}")).exists());
    runner.order("stop");
    runner.reports("Ended");
}
