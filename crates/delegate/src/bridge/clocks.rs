//! How long requests have been at a server.

use std::{collections::HashMap, time::Duration};

/// Of each request, the time that it has had.
#[derive(Debug, Default)]
pub(super) struct Clocks(HashMap<i64, Duration>);

impl Clocks {
    /// That much time has `passed` for those that are `awaited`; which of them have had more than the
    /// limit.
    pub(super) fn late(
        &mut self,
        awaited: impl Iterator<Item = i64>,
        passed: Duration,
        limit: Duration,
    ) -> Vec<i64> {
        let before = std::mem::take(&mut self.0);
        // Of one that is new, it is not known how much of that it was there.
        let had = |id: &i64| before.get(id).map_or(Duration::ZERO, |had| *had + passed);
        self.0 = awaited.map(|id| (id, had(&id))).collect();
        let late = self.0.iter().filter(|(_, had)| **had > limit);
        late.map(|(id, _)| *id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_has_its_own_time_from_when_it_is_seen_first() {
        let mut clocks = Clocks::default();
        let limit = Duration::from_secs(10);
        let mut late = |awaited: &[i64], secs| {
            clocks.late(awaited.iter().copied(), Duration::from_secs(secs), limit)
        };
        let none = Vec::<i64>::new();
        assert_eq!(late(&[1], 100), none);
        assert_eq!(late(&[1, 2], 6), none);
        assert_eq!(late(&[1, 2], 0), none, "a person is asked");
        assert_eq!(late(&[1, 2], 5), [1]);
        assert_eq!(late(&[2], 5), none);
        assert_eq!(late(&[], 5), none);
        assert_eq!(late(&[2], 5), none, "that is another one of the same number");
    }
}
