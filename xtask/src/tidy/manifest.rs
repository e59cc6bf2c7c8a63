//! Cargo manifests: what a crate depends on, and whether it says why.

use super::{Complaint, File};

/// One dependency as a manifest writes it.
pub(super) struct Dependency {
    pub(super) name: String,
    pub(super) line: usize,
}

/// The crate's own folder name, if this file is a crate's manifest.
pub(super) fn crate_of(path: &str) -> Option<&str> {
    let folder = path.strip_suffix("/Cargo.toml")?;
    let name = folder.strip_prefix("crates/").unwrap_or(folder);
    (!name.contains('/')).then_some(name)
}

/// Every dependency of any kind and target, at the line that names it.
pub(super) fn dependencies(manifest: &str) -> Result<Vec<Dependency>, String> {
    let table: toml::Table = manifest.parse().map_err(|error| format!("{error}"))?;
    let mut names = Vec::new();
    collect(&table, &mut names);
    Ok(names.into_iter().map(|name| Dependency { line: line_of(manifest, &name), name }).collect())
}

fn collect(table: &toml::Table, names: &mut Vec<String>) {
    for (key, value) in table {
        let Some(inner) = value.as_table() else { continue };
        match key.as_str() {
            "dependencies" | "dev-dependencies" | "build-dependencies" => {
                names.extend(inner.keys().cloned());
            }
            "target" => {
                for platform in inner.values().filter_map(toml::Value::as_table) {
                    collect(platform, names);
                }
            }
            _ => {}
        }
    }
}

/// Where a manifest names a dependency: `name = ..`, `name.workspace = ..` or `[..ies.name]`.
fn line_of(manifest: &str, name: &str) -> usize {
    let names_it = |line: &str| {
        let header = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        match header {
            Some(header) => header.ends_with(&format!("dependencies.{name}")),
            None => line
                .strip_prefix(name)
                .is_some_and(|rest| rest.trim_start().starts_with(['=', '.'])),
        }
    };
    // The dependencies stand below whatever else in the file may have a key of that name.
    let begin = manifest.lines().position(|line| line.contains("dependencies")).unwrap_or(0);
    manifest.lines().skip(begin).position(names_it).map_or(1, |index| begin + index + 1)
}

/// Each dependency from elsewhere is explained where it is named.
pub(super) fn check(files: &[File]) -> Vec<Complaint> {
    let members: Vec<_> = files.iter().filter_map(|file| crate_of(&file.path)).collect();
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| crate_of(&file.path).is_some()) {
        let complain = |line, words: String| Complaint { path: file.path.clone(), line, words };
        match dependencies(&file.text) {
            Err(error) => complaints.push(complain(1, error)),
            Ok(dependencies) => complaints.extend(
                dependencies
                    .into_iter()
                    // Which of our own crates may be used, and why, the arrows say.
                    .filter(|dependency| !members.contains(&dependency.name.as_str()))
                    .filter(|dependency| !explained(&file.text, dependency))
                    .map(|Dependency { name, line }| {
                        complain(
                            line,
                            format!("nothing says what `{name}` is for; give it a comment"),
                        )
                    }),
            ),
        }
    }
    complaints
}

/// A comment on the same line, right above, or above the group and naming it.
fn explained(manifest: &str, dependency: &Dependency) -> bool {
    let lines: Vec<_> = manifest.lines().collect();
    let at = dependency.line - 1;
    if lines[at].contains('#') {
        return true;
    }
    let mut directly_above = true;
    for line in lines[..at].iter().rev() {
        let line = line.trim();
        if let Some(comment) = line.strip_prefix('#') {
            if directly_above || names(comment, &dependency.name) {
                return true;
            }
        } else if line.is_empty() || line.starts_with('[') {
            return false;
        } else {
            directly_above = false;
        }
    }
    false
}

fn names(comment: &str, name: &str) -> bool {
    comment.split(|c: char| !(c.is_alphanumeric() || c == '-' || c == '_')).any(|word| word == name)
}

#[cfg(test)]
mod tests {
    use super::super::complaints;

    fn check(dependencies: &str, expected: &str) {
        let manifest = format!("[package]\nname = \"store\"\n\n{dependencies}");
        let files =
            [("crates/store/Cargo.toml", manifest.as_str()), ("crates/model/Cargo.toml", "")];
        assert_eq!(complaints(super::check, &files), expected);
    }

    #[test]
    fn a_sentence_above_explains() {
        check("[dependencies]\n# Reads JSON.\nserde_json = \"1\"\n", "");
    }

    #[test]
    fn a_sentence_behind_explains() {
        check("[dependencies]\nserde_json = \"1\" # reads JSON\n", "");
    }

    #[test]
    fn one_sentence_explains_those_it_names() {
        check(
            "[dependencies]\n# `serde` and `serde_json` read JSON.\nserde = \"1\"\nserde_json = \"1\"\nnix = \"0.31\"\n",
            "crates/store/Cargo.toml:8: nothing says what `nix` is for; give it a comment\n",
        );
    }

    #[test]
    fn a_blank_line_ends_what_a_sentence_covers() {
        check(
            "[dependencies]\n# Reads JSON.\n\nserde_json = \"1\"\n",
            "crates/store/Cargo.toml:7: nothing says what `serde_json` is for; give it a comment\n",
        );
    }

    #[test]
    fn every_way_to_write_one_counts() {
        check(
            "[dependencies.serde]\nversion = \"1\"\n\n[target.'cfg(unix)'.dev-dependencies]\nnix.workspace = true\n",
            "crates/store/Cargo.toml:4: nothing says what `serde` is for; give it a comment\n\
             crates/store/Cargo.toml:8: nothing says what `nix` is for; give it a comment\n",
        );
    }

    #[test]
    fn our_own_crates_need_no_sentence() {
        check("[dependencies]\nmodel.workspace = true\n", "");
    }
}
