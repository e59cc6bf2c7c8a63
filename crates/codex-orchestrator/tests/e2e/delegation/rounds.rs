//! As many rounds as there is time for: few in CI, many by hand.

/// How many rounds to play: `E2E_ROUNDS`, else that many.
pub(super) fn count(usual: u64) -> u64 {
    let text = std::env::var("E2E_ROUNDS").ok();
    text.map_or(usual, |text| text.parse().expect("E2E_ROUNDS is a number"))
}
