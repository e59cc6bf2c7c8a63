//! What was asked for and not granted, as it is told.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

/// So many names are told apart.
const MOST_NAMES: usize = 32;

/// How often one name is told.
const PERIOD: Duration = Duration::from_secs(1);

/// Counts what was refused, by name, and tells it with how often that was since it was told last: at
/// once when the name is new, then once in a period, and the rest at the end.
pub(crate) struct Denials<F: FnMut(&str, u64)> {
    counts: BTreeMap<String, Count>,
    tell: F,
}

struct Count {
    told: Instant,
    untold: u64,
}

impl<F: FnMut(&str, u64)> Denials<F> {
    pub(crate) fn new(tell: F) -> Self {
        Self { counts: BTreeMap::new(), tell }
    }

    /// One more.
    pub(crate) fn count(&mut self, name: &str) {
        let is_one_too_many = self.counts.len() >= MOST_NAMES && !self.counts.contains_key(name);
        let name = if is_one_too_many { "..." } else { name };
        match self.counts.get_mut(name) {
            Some(count) => count.untold += 1,
            None => {
                self.counts.insert(name.to_owned(), Count { told: Instant::now(), untold: 0 });
                (self.tell)(name, 1);
            }
        }
        self.tell_what_is_due();
    }

    /// Tells what was not told for a period.
    pub(crate) fn tell_what_is_due(&mut self) {
        self.tell_since(PERIOD);
    }

    /// Tells all that was not told.
    pub(crate) fn tell_the_rest(&mut self) {
        self.tell_since(Duration::ZERO);
    }

    fn tell_since(&mut self, period: Duration) {
        let now = Instant::now();
        for (name, count) in &mut self.counts {
            if count.untold > 0 && now.duration_since(count.told) >= period {
                count.told = now;
                (self.tell)(name, std::mem::take(&mut count.untold));
            }
        }
    }
}

impl<F: FnMut(&str, u64)> Drop for Denials<F> {
    fn drop(&mut self) {
        self.tell_the_rest();
    }
}

impl<F: FnMut(&str, u64)> fmt::Debug for Denials<F> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Denials").field("names", &self.counts.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_told_at_once_and_then_seldom_and_none_is_lost() {
        let mut told: Vec<(String, u64)> = Vec::new();
        let mut denials = Denials::new(|name: &str, count| told.push((name.to_owned(), count)));
        for _ in 0..1000 {
            denials.count("one");
        }
        for other in 0..1000 {
            denials.count(&format!("other {other}"));
        }
        drop(denials);
        assert_eq!(told[0], ("one".to_owned(), 1));
        let of = |name: &str| told.iter().filter(|(it, _)| it == name).map(|(_, it)| it).sum();
        let (one, rest): (u64, u64) = (of("one"), of("..."));
        assert_eq!((one, rest), (1000, 1000 - 31));
        // Each name at once and at the end, and in between as often as seconds went by.
        assert!(told.len() < 200, "{}", told.len());
    }
}
