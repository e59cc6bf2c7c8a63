//! Go modules.

use std::{fs, path::Path};

use super::{
    finding::{Ecosystem, Finding, Role},
    tools::Tools,
    tree::{Folder, Tree, text},
};

pub(super) fn look(folder: &Folder, tree: &Tree, tools: &Tools) -> Option<Finding> {
    if folder.at.is_empty()
        && !folder.has("go.mod")
        && folder.files.iter().any(|name| name.ends_with(".go"))
    {
        let mut finding = Finding::new(Ecosystem::Go, "Go files", "go.mod");
        finding.leave_out(
            "build, vet and test with Go",
            "there is no go.mod",
            "run `go mod init NAME`",
        );
        return Some(finding);
    }
    let module = folder.text("go.mod").filter(|_| folder.has("go.mod"))?;
    let mut finding = Finding::new(Ecosystem::Go, "Go module", "go.mod");
    let Some(go) = tools.find("go") else {
        finding.leave_out(
            "build, vet and test with Go",
            "`go` is not installed",
            "install Go, or add the folder of `go` to the PATH",
        );
        return Some(finding);
    };
    let wanted = module.lines().find_map(|line| line.trim().strip_prefix("go "));
    let wanted = wanted.map(|version| version.split("//").next().unwrap_or_default().trim());
    if let (Some(wanted), Some(installed)) = (wanted, installed_version(&go))
        && numbers(wanted)
            .is_some_and(|wanted| numbers(&installed).is_some_and(|have| have < wanted))
    {
        finding.leave_out(
            "build, vet and test with Go",
            format!("go.mod asks for Go {wanted}, and Go {installed} is installed"),
            "install a newer Go",
        );
        return Some(finding);
    }

    // Without a place for its result, Go would put a program into the folder.
    finding.check(Role::Build, "build", "go build -o /dev/null ./...");
    let linter = [".golangci.yml", ".golangci.yaml", ".golangci.toml", ".golangci.json"];
    match linter.into_iter().find(|file| folder.has(file)) {
        Some(file) if tools.has("golangci-lint") => {
            let lint = finding.check(Role::Lint, "golangci-lint", "golangci-lint run");
            file.clone_into(&mut lint.told_by);
        }
        configured => {
            if configured.is_some() {
                finding.leave_out(
                    "golangci-lint",
                    "it is not installed",
                    "install `golangci-lint`",
                );
            }
            finding.check(Role::Lint, "vet", "go vet ./...").may_fail();
        }
    }
    if tree.within(folder).any(|inner| inner.files.iter().any(|file| file.ends_with("_test.go"))) {
        finding.check(Role::Test, "test", "go test ./...");
    } else {
        finding.leave_out("go test", "there is no `_test.go` file", "write a test");
    }
    for check in &mut finding.checks {
        // Else Go downloads the toolchain that a module names.
        check.env("GOTOOLCHAIN", "local");
    }
    Some(finding)
}

/// The version of the Go that `go` belongs to, which stands in a file of its tree.
fn installed_version(go: &Path) -> Option<String> {
    let go = fs::canonicalize(go).ok()?;
    let version = text(&go.parent()?.parent()?.join("VERSION"))?;
    version.split_whitespace().next()?.strip_prefix("go").map(str::to_owned)
}

/// `1.22.3` as numbers. Go keeps to the last one too: a module that asks for 1.22.3 is refused
/// by 1.22.1.
fn numbers(version: &str) -> Option<[u32; 3]> {
    let mut numbers = [0; 3];
    for (number, part) in numbers.iter_mut().zip(version.split('.')) {
        *number = part.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
    }
    Some(numbers)
}
