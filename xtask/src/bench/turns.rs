//! Contenders take turns.

use std::process::Child;
use std::time::{Duration, Instant};

/// One thing that is measured again and again, and gives a number each time.
pub(super) type Turn<'a> = Box<dyn FnMut() -> Result<f64, String> + 'a>;

/// Lets each contender have one turn a round, after a first that does not count.
///
/// Who begins changes from round to round, so that nobody always comes after the same
/// neighbour. Who fails has no more turns, and the failure is what is known about it.
pub(super) fn take<const N: usize>(
    rounds: usize,
    mut contenders: [Turn<'_>; N],
) -> [Result<Vec<f64>, String>; N] {
    let mut samples: [Result<Vec<f64>, String>; N] = std::array::from_fn(|_| Ok(Vec::new()));
    for round in 0..=rounds {
        for place in 0..N {
            let which = (round + place) % N;
            let Ok(taken) = &mut samples[which] else { continue };
            match contenders[which]() {
                Ok(sample) if round > 0 => taken.push(sample),
                Ok(_) => {}
                Err(reason) => samples[which] = Err(reason),
            }
        }
    }
    samples
}

/// How long something takes, in milliseconds.
pub(super) fn timed<T>(work: impl FnOnce() -> Result<T, String>) -> Result<(T, f64), String> {
    let begun = Instant::now();
    let done = work()?;
    Ok((done, milliseconds(begun.elapsed())))
}

pub(super) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// Looks again and again until there is something, or gives up and says what was awaited.
pub(super) fn wait_for<T>(
    what: &str,
    patience: Duration,
    mut look: impl FnMut() -> Option<T>,
) -> Result<T, String> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            return Err(format!("{what} did not come within {patience:?}"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The same for something that a process is to bring about, which it will not once it has ended.
pub(super) fn wait_while_alive<T>(
    child: &mut Child,
    what: &str,
    mut look: impl FnMut() -> Option<T>,
) -> Result<T, String> {
    wait_for(what, Duration::from_secs(30), || {
        let found = look().map(Ok);
        let mut ended = || child.try_wait().ok().flatten();
        found.or_else(|| ended().map(|status| Err(format!("it ended with {status} before {what}"))))
    })?
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::{Turn, take};

    #[test]
    fn turns_alternate_and_the_first_round_does_not_count() {
        let order = RefCell::new(String::new());
        let turn = |name: char, value: f64| -> Turn<'_> {
            let order = &order;
            Box::new(move || {
                order.borrow_mut().push(name);
                Ok(value)
            })
        };
        let [a, b] = take(2, [turn('a', 1.0), turn('b', 2.0)]);
        assert_eq!((a, b), (Ok(vec![1.0, 1.0]), Ok(vec![2.0, 2.0])));
        assert_eq!(*order.borrow(), "abbaab");
    }

    #[test]
    fn who_fails_has_no_more_turns() {
        let mut turns = 0;
        let [a, b] = take(
            3,
            [
                Box::new(|| {
                    turns += 1;
                    Err("broken".to_owned())
                }),
                Box::new(|| Ok(1.0)),
            ],
        );
        assert_eq!((a, b.map(|b| b.len())), (Err("broken".to_owned()), Ok(3)));
        assert_eq!(turns, 1);
    }
}
