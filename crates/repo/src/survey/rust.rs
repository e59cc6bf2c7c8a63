//! Cargo packages and workspaces.

use std::path::PathBuf;

use toml::Table;

use super::{
    finding::{Ecosystem, Finding, Role},
    tools::{Tools, is_program},
    tree::{Folder, Tree, text},
};

pub(super) fn look(folder: &Folder, tree: &Tree, tools: &Tools) -> Option<Finding> {
    let manifest = folder.text("Cargo.toml").filter(|_| folder.has("Cargo.toml"))?;
    // A manifest with a mistake is still a Rust project, and Cargo says it best.
    let manifest: Table = manifest.parse().unwrap_or_default();
    let workspace = manifest.get("workspace").and_then(|value| value.as_table());
    let many = workspace.is_some_and(|workspace| workspace.contains_key("members"));
    let what = if many { "Rust workspace" } else { "Rust package" };
    let mut finding = Finding::new(Ecosystem::Rust, what, "Cargo.toml");

    let Some(cargo) = tools.find("cargo") else {
        finding.leave_out(
            "build, lint and test with Cargo",
            "`cargo` is not installed",
            "install Rust, or add the folder of `cargo` to the PATH",
        );
        return Some(finding);
    };
    let rustup = Rustup::of(cargo);
    let pinned = tree.upwards(folder).find_map(pinned_toolchain);
    let toolchain = match (&rustup, &pinned) {
        (Some(rustup), Some(channel)) if rustup.toolchain(channel).is_none() => {
            finding.leave_out(
                "build, lint and test with Cargo",
                format!("the toolchain `{channel}` that the project asks for is not installed"),
                format!("run `rustup toolchain install {channel}`"),
            );
            return Some(finding);
        }
        (Some(rustup), Some(channel)) => rustup.toolchain(channel),
        (Some(rustup), None) => rustup.default_toolchain(),
        (None, _) => None,
    };
    // rustup has a `cargo-clippy` on the PATH for a clippy that may not be there.
    let has = |tool: &str| match &toolchain {
        Some(toolchain) => is_program(&toolchain.join("bin").join(tool)),
        None => tools.has(tool),
    };

    // `default-members` says what a plain `cargo build` is to build, often because the others
    // are for another machine.
    let chosen = workspace.is_some_and(|workspace| workspace.contains_key("default-members"));
    let all = if many && !chosen { " --workspace" } else { "" };
    finding.check(Role::Build, "build", format!("cargo build{all}"));
    if has("cargo-clippy") {
        let clippy = finding.check(Role::Lint, "clippy", format!("cargo clippy{all}"));
        if !configures_clippy(folder, &manifest) {
            clippy.may_fail();
        }
    } else {
        finding.leave_out("clippy", "it is not installed", "run `rustup component add clippy`");
    }
    if let Some(file) = ["rustfmt.toml", ".rustfmt.toml"].into_iter().find(|file| folder.has(file))
    {
        if has("rustfmt") && has("cargo-fmt") {
            let fmt = finding.check(Role::Lint, "fmt", "cargo fmt --all --check").alone();
            file.clone_into(&mut fmt.told_by);
            if folder.text(file).is_none_or(|text| wants_nightly(&text)) {
                fmt.may_fail();
            }
        } else {
            finding.leave_out(
                "rustfmt",
                "it is not installed",
                "run `rustup component add rustfmt`",
            );
        }
    }
    finding.check(Role::Test, "test", format!("cargo test{all}"));
    if pinned.is_some() {
        for check in &mut finding.checks {
            // Else rustup installs what is missing, components too.
            check.env("RUSTUP_AUTO_INSTALL", "0");
        }
    }
    Some(finding)
}

/// Whether the manifest in `folder` is no project beside the Rust project `outer`: Cargo takes
/// it as a member, or refuses it.
pub(super) fn is_part_of(folder: &Folder, outer: &Folder) -> bool {
    let table = |folder: &Folder| folder.text("Cargo.toml")?.parse::<Table>().ok();
    let own = table(folder).unwrap_or_default();
    let outer_table = table(outer).unwrap_or_default();
    let Some(workspace) = outer_table.get("workspace").and_then(|value| value.as_table()) else {
        return false;
    };
    let excluded = workspace.get("exclude").and_then(|value| value.as_array());
    let excluded =
        excluded.into_iter().flatten().filter_map(|path| path.as_str()).any(|path| {
            super::tree::is_within(&folder.at, &outer.below(path.trim_end_matches('/')))
        });
    !excluded && !own.contains_key("workspace")
}

/// Whether the project has said what it wants of clippy.
fn configures_clippy(folder: &Folder, manifest: &Table) -> bool {
    let lints = |table: &Table| {
        table
            .get("lints")
            .is_some_and(|lints| lints.get("clippy").is_some() || lints.get("workspace").is_some())
    };
    let workspace = manifest.get("workspace").and_then(|value| value.as_table());
    let source = ["src/lib.rs", "src/main.rs"].into_iter().filter_map(|file| folder.text(file));
    folder.has("clippy.toml")
        || folder.has(".clippy.toml")
        || lints(manifest)
        || workspace.is_some_and(lints)
        || source.into_iter().any(|text| {
            text.lines().any(|line| {
                let line = line.trim_start();
                (line.starts_with("#![deny(") || line.starts_with("#![forbid("))
                    && line.contains("clippy::")
            })
        })
}

/// Whether a rustfmt.toml has settings that the stable rustfmt passes over, so that it would
/// find fault with a well-formatted project.
fn wants_nightly(settings: &str) -> bool {
    const STABLE: [&str; 31] = [
        "array_width",
        "attr_fn_like_width",
        "chain_width",
        "disable_all_formatting",
        "edition",
        "fn_call_width",
        "fn_params_layout",
        "fn_args_layout",
        "force_explicit_abi",
        "hard_tabs",
        "match_arm_leading_pipes",
        "match_block_trailing_comma",
        "max_width",
        "merge_derives",
        "newline_style",
        "print_misformatted_file_names",
        "remove_nested_parens",
        "reorder_imports",
        "reorder_modules",
        "short_array_element_width_threshold",
        "single_line_if_else_max_width",
        "single_line_let_else_max_width",
        "struct_lit_width",
        "struct_variant_width",
        "style_edition",
        "tab_spaces",
        "use_field_init_shorthand",
        "use_small_heuristics",
        "use_try_shorthand",
        "required_version",
        "doc_comment_code_block_small_heuristics",
    ];
    let settings: Table = settings.parse().unwrap_or_default();
    settings.keys().any(|key| !STABLE.contains(&key.as_str()))
}

/// The channel that a folder's toolchain file names.
fn pinned_toolchain(folder: &Folder) -> Option<String> {
    let file =
        ["rust-toolchain.toml", "rust-toolchain"].into_iter().find(|file| folder.has(file))?;
    let text = folder.text(file)?;
    match text.parse::<Table>() {
        Ok(table) => table.get("toolchain")?.get("channel")?.as_str().map(str::to_owned),
        Err(_) => text.split_whitespace().next().map(str::to_owned),
    }
}

/// The toolchains of rustup, where `cargo` is one of its stand-ins.
struct Rustup {
    home: PathBuf,
}

impl Rustup {
    fn of(cargo: PathBuf) -> Option<Self> {
        let home = cargo.parent()?.parent()?.parent()?.join(".rustup");
        let stands_in = cargo.ends_with(".cargo/bin/cargo") && home.join("toolchains").is_dir();
        stands_in.then_some(Self { home })
    }

    /// The folder of a toolchain, by its channel or its full name.
    fn toolchain(&self, channel: &str) -> Option<PathBuf> {
        let toolchains = self.home.join("toolchains");
        let installed = std::fs::read_dir(toolchains).ok()?.flatten();
        let mut fitting = installed.filter(|entry| {
            let name = entry.file_name();
            let rest = name.to_str().and_then(|name| name.strip_prefix(channel));
            // After the channel comes the machine, as in `1.89.0-x86_64-unknown-linux-gnu`; a
            // nightly's date comes before it and belongs to the channel.
            rest.is_some_and(|rest| {
                let machine = rest.strip_prefix('-');
                rest.is_empty()
                    || machine.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
            })
        });
        fitting.next().map(|entry| entry.path())
    }

    fn default_toolchain(&self) -> Option<PathBuf> {
        let settings: Table = text(&self.home.join("settings.toml"))?.parse().ok()?;
        self.toolchain(settings.get("default_toolchain")?.as_str()?)
    }
}
