//! What somebody probably meant.

/// The candidate that is spelled most like `wrong`, if any is like it at all.
pub(super) fn nearest<'a>(
    wrong: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace(['-', ' '], "_");
    let wrong = plain(wrong);
    let reach = (wrong.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&wrong, &plain(candidate)), candidate))
        .filter(|(distance, _)| *distance <= reach)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Names as a hint lists them: not more than a person reads.
pub(super) fn listed(names: &[impl std::fmt::Display]) -> String {
    const MOST: usize = 12;
    let mut shown: Vec<String> = names.iter().take(MOST).map(|name| format!("`{name}`")).collect();
    if names.len() > MOST {
        shown.push(format!("and {} more", names.len() - MOST));
    }
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let keys = ["stages", "title", "summary_hint"];
        assert_eq!(nearest("stagse", keys), Some("stages"));
        assert_eq!(nearest("Summary-Hint", keys), Some("summary_hint"));
        assert_eq!(nearest("prompt", keys), None);
        assert_eq!(nearest("", keys), None);
    }

    #[test]
    fn a_long_list_is_cut() {
        assert_eq!(listed(&["a", "b"]), "`a`, `b`");
        assert!(listed(&[1; 15]).ends_with("`1`, and 3 more"));
    }
}
