//! Locks that last as long as their holders.

use std::os::fd::AsFd;
use std::time::Instant;

use libtest_mimic::Trial;
use supervise::{Hold, RungChoice, held, wait_until_free};
use tempfile::TempDir;

use crate::bench::{Bench, LONG, eventually, story};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        story("a_lock_has_one_holder", || {
            let dir = TempDir::new().expect("a folder");
            let path = dir.path().join("lock");
            assert!(!held(&path).expect("no file yet"));
            let first = Hold::take(&path).expect("a lock").expect("free");
            assert!(Hold::take(&path).expect("asked").is_none());
            assert!(Hold::share(&path).expect("asked").is_none());
            assert!(held(&path).expect("asked"));
            drop(first);
            assert!(!held(&path).expect("asked"));
            assert!(Hold::take(&path).expect("asked").is_some());
        }),
        story("a_shared_lock_lasts_until_its_last_holder", || {
            let dir = TempDir::new().expect("a folder");
            let path = dir.path().join("lock");
            let one = Hold::share(&path).expect("a lock").expect("free");
            let two = Hold::share(&path).expect("a lock").expect("shared");
            assert!(Hold::take(&path).expect("asked").is_none());
            drop(one);
            assert!(held(&path).expect("asked"));
            drop(two);
            assert!(wait_until_free(&path, Instant::now() + LONG).expect("asked"));
        }),
        story("a_lock_taken_alone_ends_with_its_value_whoever_has_copies", || {
            let dir = TempDir::new().expect("a folder");
            let path = dir.path().join("lock");
            let hold = Hold::take(&path).expect("a lock").expect("free");
            let copy = hold.as_fd().try_clone_to_owned().expect("a copy");
            drop(hold);
            assert!(Hold::take(&path).expect("asked").is_some());
            drop(copy);
        }),
        story("asking_is_in_nobodys_way", || {
            let dir = TempDir::new().expect("a folder");
            let path = dir.path().join("lock");
            drop(Hold::take(&path).expect("a lock"));
            std::thread::scope(|scope| {
                let asking = scope.spawn(|| (0..20_000).all(|_| held(&path).is_ok()));
                while !asking.is_finished() {
                    let taken = Hold::take(&path).expect("a lock");
                    assert!(taken.is_some(), "somebody who only asked held it");
                }
                assert!(asking.join().expect("it asked"));
            });
        }),
        story("a_stage_does_not_hold_its_runners_lock", || {
            let bench = Bench::new(RungChoice::Automatic);
            let path = bench.path("run.lock");
            // Shared, because a lock taken alone ends with its value, whoever has copies.
            let hold = Hold::share(&path).expect("a lock").expect("free");
            let mut tree = bench.launch(&["sh", "-c", "echo up; sleep 1000"]);
            tree.until_it_says("up");
            drop(hold);
            assert!(wait_until_free(&path, Instant::now() + LONG).expect("asked"));
            tree.control.kill();
            tree.end();
        }),
        story("the_trees_lock_is_free_when_the_guard_is_gone", || {
            let bench = Bench::new(RungChoice::Automatic);
            let Bench { dir, guard } = bench;
            assert!(held(&dir.path().join("trees.lock")).expect("asked"));
            drop(guard);
            eventually("the lock is free", || {
                wait_until_free(&dir.path().join("trees.lock"), Instant::now() + LONG)
                    .expect("asked")
            });
        }),
        story("waiting_for_a_lock_has_an_end", || {
            let dir = TempDir::new().expect("a folder");
            let path = dir.path().join("lock");
            let _hold = Hold::take(&path).expect("a lock").expect("free");
            assert!(!wait_until_free(&path, Instant::now()).expect("asked"));
        }),
    ]
}
