//! Chance that can be had again.

use std::time::SystemTime;

/// Numbers that follow from a seed (splitmix64).
pub(crate) struct Chance(u64);

impl Chance {
    /// The first seed of a test: the one in the environment, or one that nobody has seen.
    pub(crate) fn seed() -> u64 {
        if let Ok(text) = std::env::var("FUZZ_SEED") {
            return text.parse().expect("FUZZ_SEED is a number");
        }
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        since.as_secs() % 1_000_000 * 1000
    }

    pub(crate) fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// A number from 0 up to that one.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}
