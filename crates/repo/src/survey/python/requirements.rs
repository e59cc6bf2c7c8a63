//! What a project asks to be installed before it runs.

use super::{Settings, interpreter::Interpreter};
use crate::survey::tree::Folder;

/// The distributions that a project cannot run without and that are not installed. What it needs
/// on some machines only is passed over.
pub(super) fn missing(folder: &Folder, settings: &Settings, python: &Interpreter) -> Vec<String> {
    let mut wanted = declared(settings);
    if wanted.is_empty() {
        wanted = folder.text("requirements.txt").map(|text| listed(&text)).unwrap_or_default();
    }
    wanted.retain(|name| python.has_distribution(name) == Some(false));
    wanted.dedup();
    wanted
}

fn declared(settings: &Settings) -> Vec<String> {
    let project = settings.table(&["project", "dependencies"]).and_then(|value| value.as_array());
    let project = project.into_iter().flatten().filter_map(|value| name_of(value.as_str()?));
    let poetry =
        settings.table(&["tool", "poetry", "dependencies"]).and_then(|value| value.as_table());
    let poetry = poetry.into_iter().flatten().filter(|(name, value)| {
        let conditions = ["optional", "markers", "python", "platform"];
        name.as_str() != "python" && !conditions.iter().any(|key| value.get(*key).is_some())
    });
    let setup_cfg = ini_list(&settings.setup_cfg, "install_requires");
    let setup_py = python_list(&settings.setup_py, "install_requires");
    project
        .chain(poetry.map(|(name, _)| name.clone()))
        .chain(setup_cfg.iter().filter_map(|line| name_of(line)))
        .chain(setup_py.iter().filter_map(|line| name_of(line)))
        .collect()
}

/// The names in a requirements.txt.
fn listed(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| line.split(" #").next().unwrap_or_default().trim());
    lines.filter(|line| !line.starts_with(['#', '-', '.', '/'])).filter_map(name_of).collect()
}

/// The name in a requirement such as `requests[socks]>=2; python_version < "3.9"`, unless it is
/// for some machines only.
fn name_of(requirement: &str) -> Option<String> {
    if requirement.contains(';') || requirement.contains("://") && !requirement.contains('@') {
        return None;
    }
    let end = requirement.find(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c));
    let name = &requirement[..end.unwrap_or(requirement.len())];
    (!name.is_empty()).then(|| name.to_owned())
}

/// The lines of a list in a setup.cfg.
fn ini_list(text: &str, key: &str) -> Vec<String> {
    let mut lines = text.lines().skip_while(|line| {
        line.strip_prefix(key).is_none_or(|rest| !rest.trim_start().starts_with('='))
    });
    let first = lines
        .next()
        .and_then(|line| line.split_once('='))
        .map(|(_, value)| value.trim().to_owned());
    let rest =
        lines.take_while(|line| line.starts_with([' ', '\t'])).map(|line| line.trim().to_owned());
    first
        .into_iter()
        .chain(rest)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect()
}

/// The strings of a list written out in a setup.py.
fn python_list(text: &str, key: &str) -> Vec<String> {
    let Some((_, after)) = text.split_once(&format!("{key}=")) else { return Vec::new() };
    let Some(list) = after.trim_start().strip_prefix('[') else { return Vec::new() };
    let list = list.split(']').next().unwrap_or_default();
    list.split(['\'', '"']).skip(1).step_by(2).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_requirements_are_read() {
        assert_eq!(
            listed(
                "# x\nrequests[socks]>=2 # y\n-r dev.txt\nfoo==1; python_version<'3'\nA.b @ https://x\n"
            ),
            ["requests", "A.b"]
        );
        assert_eq!(
            ini_list(
                "[options]\ninstall_requires =\n  a>1\n  # no\n  b\nx = 1\n",
                "install_requires"
            ),
            ["a>1", "b"]
        );
        assert_eq!(
            python_list("setup(install_requires=['a', \"b>=1\"], x=[''])", "install_requires"),
            ["a", "b>=1"]
        );
    }
}
