//! What texts of others may hold that nobody is shown.

use std::ops::RangeInclusive;

/// Unicode's bidirectional controls, and what it has ignored where it is not known.
const MISLEADING: [RangeInclusive<char>; 7] = [
    '\u{61c}'..='\u{61c}',
    '\u{200b}'..='\u{200b}',
    '\u{200e}'..='\u{200f}',
    '\u{202a}'..='\u{202e}',
    '\u{2060}'..='\u{206f}',
    '\u{feff}'..='\u{feff}',
    '\u{e0000}'..='\u{e007f}',
];

/// Whether a character is there to turn others around, or is not to be seen at all, so that what is
/// shown reads as another text than there is. Those that join letters are part of how some languages are
/// written.
#[must_use]
pub fn misleads(c: char) -> bool {
    MISLEADING.iter().any(|range| range.contains(&c))
}
