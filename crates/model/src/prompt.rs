//! Prompts with blanks, such as `{{goal}}`.

/// A blank that nothing fills.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "nothing fills `{{{{{0}}}}}`; {{{{goal}}}}, {{{{task}}}} and {{{{stages.ID.summary}}}} are filled"
)]
pub struct BadBlank(pub String);

/// Whether everything fills the blanks of a prompt that could.
///
/// # Errors
///
/// A blank that is never filled.
pub fn check_blanks(prompt: &str) -> Result<(), BadBlank> {
    let known = |name: &str| {
        let of_stage = name.strip_prefix("stages.").and_then(|rest| rest.strip_suffix(".summary"));
        let known =
            matches!(name, "goal" | "task" | "run") || of_stage.is_some_and(|id| !id.is_empty());
        known.then(String::new)
    };
    fill(prompt, known).map(drop)
}

/// Fills the blanks of a prompt: `{{name}}`, with spaces if wanted. Whatever looks otherwise stays
/// as it is.
///
/// # Errors
///
/// A blank for which `find` has nothing.
pub fn fill(
    prompt: &str,
    mut find: impl FnMut(&str) -> Option<String>,
) -> Result<String, BadBlank> {
    let mut filled = String::with_capacity(prompt.len());
    let mut rest = prompt;
    while let Some((before, after)) = rest.split_once("{{") {
        let name = after.split_once("}}").map(|(name, _)| name.trim());
        let is_name = |name: &&str| {
            !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "._-/".contains(c))
        };
        filled.push_str(before);
        match name.filter(is_name) {
            // What is filled in is not looked at again: it may hold anything.
            Some(name) => {
                filled.push_str(&find(name).ok_or_else(|| BadBlank(name.to_owned()))?);
                rest = after.split_once("}}").map_or("", |(_, rest)| rest);
            }
            None => {
                filled.push_str("{{");
                rest = after;
            }
        }
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_are_filled_once_and_what_is_no_blank_stays() {
        let find = |name: &str| match name {
            "goal" => Some("{{task}}!".to_owned()),
            "stages.a/b.summary" => Some("fine".to_owned()),
            _ => None,
        };
        let filled = fill("Do {{ goal }} ({{stages.a/b.summary}}), {{ x y }} {{}} {{", find);
        assert_eq!(filled.unwrap(), "Do {{task}}! (fine), {{ x y }} {{}} {{");
        let error = fill("{{gaol}}", find).unwrap_err().to_string();
        assert!(error.starts_with("nothing fills `{{gaol}}`; {{goal}},"), "{error}");
    }
}
