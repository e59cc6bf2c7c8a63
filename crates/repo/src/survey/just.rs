//! The recipes of a justfile.

use std::collections::BTreeMap;

use super::{
    commands::Commands,
    recipe::{Recipe, Recipes, blocks},
    tree::Folder,
};

/// The recipes of the folder's justfile.
pub(super) fn recipes(folder: &Folder) -> Option<Recipes> {
    let file = folder.files.iter().find(|name| {
        name.eq_ignore_ascii_case("justfile") || name.eq_ignore_ascii_case(".justfile")
    })?;
    let text = folder.text(file)?;
    let mut all = read(&text);
    for line in text.lines().filter_map(|line| line.strip_prefix("import")) {
        let path = line.trim_start_matches('?').trim().trim_matches(['\'', '"']);
        for (name, recipe) in folder.text(path).map(|text| read(&text)).unwrap_or_default() {
            all.entry(name).or_insert(recipe);
        }
    }
    Some(Recipes { file: file.clone(), runner: "just".to_owned(), all })
}

fn read(text: &str) -> BTreeMap<String, Recipe> {
    let mut all = BTreeMap::new();
    for (head, body) in blocks(text, &[' ', '\t']) {
        if let Some(alias) = head.strip_prefix("alias ") {
            if let Some((name, target)) = alias.split_once(":=") {
                let needs = vec![target.trim().to_owned()];
                all.insert(name.trim().to_owned(), Recipe { needs, ..Recipe::default() });
            }
        } else if let Some((name, mut recipe)) = read_head(&head) {
            recipe.commands = Commands::read(&body);
            all.insert(name, recipe);
        }
    }
    all
}

/// `@name PARAMETERS: DEPENDENCIES && LATER`.
fn read_head(line: &str) -> Option<(String, Recipe)> {
    let colon = outside_quotes(line, ':')?;
    let (before, after) = (&line[..colon], &line[colon + 1..]);
    if after.starts_with('=') {
        return None;
    }
    let mut words = before.split_whitespace();
    let name = words.next()?.trim_start_matches('@');
    let named = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.is_empty()
        || !name.chars().all(named)
        || matches!(name, "set" | "export" | "mod" | "import")
    {
        return None;
    }
    // A parameter can be left out when it has a default or takes any number of words.
    let wants_arguments = words.any(|parameter| {
        let wanted =
            parameter.starts_with(|c: char| c.is_ascii_alphabetic() || c == '+' || c == '$');
        wanted && !parameter.contains('=') && !before.contains(&format!("{parameter} ="))
    });
    let after = &after[..outside_quotes(after, '#').unwrap_or(after.len())];
    let needs = after.split(|c: char| !named(c)).filter(|word| !word.is_empty());
    let needs = needs.map(str::to_owned).collect();
    Some((name.to_owned(), Recipe { needs, wants_arguments, ..Recipe::default() }))
}

/// Where `wanted` first stands outside of quotes.
fn outside_quotes(text: &str, wanted: char) -> Option<usize> {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, c) if c == wanted => return Some(at),
            (None, '\'' | '"' | '`') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipes_are_read_with_what_they_need() {
        let all = read(
            "set shell := ['sh']\nx := 'a'\nalias t := test\n\n# All.\n@ci: lint (build 'x') && done # end\n\n\
             test filter='a:b' *rest:\n    cargo test\n\none name:\n\techo {{name}}\n",
        );
        assert_eq!(all.keys().collect::<Vec<_>>(), ["ci", "one", "t", "test"]);
        assert_eq!(all["ci"].needs, ["lint", "build", "x", "done"]);
        assert_eq!(all["t"].needs, ["test"]);
        assert!(!all["test"].wants_arguments && all["one"].wants_arguments);
        assert_eq!(all["test"].commands, Commands::read("cargo test"));
    }
}
