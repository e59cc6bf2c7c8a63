//! How a fresh work tree is set up, told from its lock files.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use repo::survey::{Setup, setup};

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn look(files: &[(&str, &str)], programs: &str) -> Setup {
    let ground = tempfile::tempdir().unwrap();
    let (work, bin) = (ground.path().join("work"), ground.path().join("bin"));
    fs::create_dir_all(&work).unwrap();
    fs::create_dir_all(&bin).unwrap();
    for (name, text) in files {
        write(&work, name, text);
    }
    for program in programs.split_whitespace() {
        // To be run would be seen.
        write(&bin, program, "#!/bin/sh\ntouch \"$0.was-run\"\n");
        fs::set_permissions(bin.join(program), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let found = setup(&work, bin.as_os_str());
    assert_eq!(fs::read_dir(&bin).unwrap().count(), programs.split_whitespace().count());
    found
}

/// Files, programs, and the line that is run.
#[track_caller]
fn check(files: &[(&str, &str)], programs: &str, line: &str) {
    let found = look(files, programs);
    assert_eq!(found.line().unwrap_or_default(), line, "{found:?}");
    assert_eq!(found.left_out, []);
}

#[test]
fn each_lock_file_has_its_command() {
    let package = ("package.json", "{}");
    check(&[package, ("pnpm-lock.yaml", "")], "pnpm node", "pnpm install --frozen-lockfile");
    check(&[package, ("package-lock.json", "")], "npm node", "npm ci");
    check(
        &[package, ("yarn.lock", "# yarn lockfile v1\n")],
        "yarn node",
        "yarn install --frozen-lockfile",
    );
    check(
        &[package, ("yarn.lock", "__metadata:\n  version: 8\n")],
        "yarn node",
        "yarn install --immutable",
    );
    check(
        &[package, ("yarn.lock", ""), (".yarnrc.yml", "")],
        "yarn node",
        "yarn install --immutable",
    );
    check(&[package, ("bun.lock", "")], "bun", "bun install --frozen-lockfile");
    check(&[("Cargo.toml", ""), ("Cargo.lock", "")], "cargo", "cargo fetch --locked");
    check(&[("pyproject.toml", ""), ("uv.lock", "")], "uv", "uv sync --frozen");
    check(
        &[("pyproject.toml", ""), ("poetry.lock", "")],
        "poetry",
        "poetry install --no-interaction",
    );
    check(&[("go.mod", "module x\n"), ("go.sum", "")], "go", "go mod download");
}

#[test]
fn without_a_lock_file_nothing_is_run() {
    check(&[("package.json", "{}"), ("Cargo.toml", ""), ("go.mod", "")], "npm node cargo go", "");
    check(&[("yarn.lock", ""), ("Cargo.lock", ""), ("go.sum", "")], "yarn node cargo go", "");
}

#[test]
fn of_several_the_one_that_is_named_counts() {
    let files = [
        ("package.json", r#"{"packageManager":"yarn@1.22.0"}"#),
        ("pnpm-lock.yaml", ""),
        ("yarn.lock", ""),
    ];
    check(&files, "pnpm yarn node", "yarn install --frozen-lockfile");
    check(
        &[("package.json", "{}"), files[1], files[2]],
        "pnpm yarn node",
        "pnpm install --frozen-lockfile",
    );
}

#[test]
fn every_project_is_set_up_in_its_folder_and_samples_are_not() {
    let files = [
        ("Cargo.toml", ""),
        ("Cargo.lock", ""),
        ("web app/package.json", "{}"),
        ("web app/package-lock.json", "{}"),
        ("examples/one/package.json", "{}"),
        ("examples/one/package-lock.json", "{}"),
        ("web app/node_modules/x/package.json", "{}"),
        ("web app/node_modules/x/package-lock.json", "{}"),
    ];
    check(&files, "cargo npm node", "cargo fetch --locked && (cd 'web app' && npm ci)");
}

#[test]
fn what_is_not_installed_is_told_with_its_remedy() {
    let found =
        look(&[("pyproject.toml", ""), ("uv.lock", ""), ("go.mod", ""), ("go.sum", "")], "go");
    assert_eq!(found.line().as_deref(), Some("go mod download"));
    let left_out: Vec<_> = found.left_out.iter().map(|e| (&*e.what, &*e.why, &*e.remedy)).collect();
    assert_eq!(left_out, [("`uv sync --frozen`", "`uv` is not installed", "install `uv`")]);
}
