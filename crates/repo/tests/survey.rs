//! What is recognised in a work tree: files and programs in, stages and what is left out, out.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use model::{Source, StageBody};
use repo::survey::{Survey, survey};

const ALL: &str = "cargo cargo-clippy cargo-fmt rustfmt node npm pnpm yarn bun go make just cmake ctest cc \
                   meson ninja ruff mypy";

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

/// A `PATH` with programs of those names. None of them does anything but complain that it was
/// run, since looking must run nothing.
fn programs(folder: &Path, names: &str) -> std::path::PathBuf {
    let bin = folder.join("usr/bin");
    for name in names.split_whitespace() {
        let program = bin.join(name);
        write(&bin, &[(name, "#!/bin/sh\ntouch \"$0.was-run\"\n")]);
        fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
    }
    bin
}

fn look(files: &[(&str, &str)], names: &str) -> Survey {
    let ground = tempfile::tempdir().unwrap();
    let work_tree = ground.path().join("work");
    fs::create_dir(&work_tree).unwrap();
    write(&work_tree, files);
    let bin = programs(ground.path(), names);
    for module in names.split_whitespace().filter_map(|name| name.strip_prefix("python3:")) {
        write(
            ground.path(),
            &[(&format!("usr/lib/python3.11/site-packages/{module}/__init__.py"), "")],
        );
        fs::create_dir_all(
            ground.path().join(format!("usr/lib/python3.11/site-packages/{module}-1.dist-info")),
        )
        .unwrap();
    }
    if names.contains("python3") {
        write(
            ground.path(),
            &[("usr/lib/python3.11/os.py", ""), ("usr/lib/python3.11/unittest/__init__.py", "")],
        );
    }
    let before = bin.is_dir().then(|| fs::read_dir(&bin).unwrap().count());
    let found = survey(&work_tree, bin.as_os_str());
    assert_eq!(
        before,
        bin.is_dir().then(|| fs::read_dir(&bin).unwrap().count()),
        "something was run"
    );
    found
}

/// The stages, one a line: `id: command [in folder] [may fail] [after ids]`; then what is left
/// out, as `- what: why`.
fn shown(found: &Survey) -> Vec<String> {
    let mut lines = Vec::new();
    for stage in found.pipeline.iter().flat_map(|pipeline| &pipeline.stages) {
        let StageBody::Command(command) = &stage.body else { panic!("{stage:?}") };
        assert!(matches!(stage.source, Source::Recognised { .. }));
        let mut line = format!("{}: {}", stage.id, command.command.as_typed());
        if let Some(folder) = &command.cwd {
            line += &format!(" [in {folder}]");
        }
        if stage.allow_failure {
            line += " [may fail]";
        }
        let needs: Vec<&str> = stage.needs.as_ref().unwrap().iter().map(|id| id.as_str()).collect();
        if !needs.is_empty() {
            line += &format!(" [after {}]", needs.join(" "));
        }
        lines.push(line);
    }
    lines.extend(found.left_out.iter().map(|entry| {
        assert!(!entry.remedy.is_empty());
        format!("- {}: {}", entry.what, entry.why)
    }));
    lines
}

#[track_caller]
fn check(files: &[(&str, &str)], names: &str, expected: &[&str]) {
    let shown = shown(&look(files, names));
    assert_eq!(shown, expected, "\n{}\n", shown.join("\n"));
}

#[test]
fn a_package_is_built_linted_and_tested() {
    check(
        &[("Cargo.toml", "[package]\nname = 'x'\n"), ("src/lib.rs", "")],
        ALL,
        &[
            "build: cargo build",
            "clippy: cargo clippy [may fail] [after build]",
            "test: cargo test [after build]",
        ],
    );
}

#[test]
fn a_workspace_is_one_project_and_its_settings_count() {
    check(
        &[
            (
                "Cargo.toml",
                "[workspace]\nmembers = ['crates/*']\nexclude = ['other']\n[workspace.lints.clippy]\nall = 'warn'\n",
            ),
            ("crates/a/Cargo.toml", "[package]\nname = 'a'\n"),
            ("other/Cargo.toml", "[package]\nname = 'other'\n"),
            ("fuzz/Cargo.toml", "[package]\nname = 'f'\n[workspace]\n"),
            ("examples/x/Cargo.toml", "[package]\nname = 'x'\n[workspace]\n"),
            ("rustfmt.toml", "max_width = 99\n"),
        ],
        "cargo cargo-clippy cargo-fmt rustfmt",
        &[
            "rust:build: cargo build --workspace",
            "rust:clippy: cargo clippy --workspace [after rust:build]",
            "rust:fmt: cargo fmt --all --check",
            "rust:test: cargo test --workspace [after rust:build]",
            "other:build: cargo build [in other]",
            "other:clippy: cargo clippy [in other] [may fail] [after other:build]",
            "other:test: cargo test [in other] [after other:build]",
        ],
    );
}

#[test]
fn without_cargo_a_rust_project_is_named_and_left_out() {
    let found = look(&[("Cargo.toml", "[package]\nname = 'x'\n")], "");
    assert_eq!(found.projects[0].what, "Rust package");
    assert_eq!(shown(&found), ["- build, lint and test with Cargo: `cargo` is not installed"]);
    assert!(found.advice().unwrap().contains("install Rust"));
    check(
        &[("Cargo.toml", "[package]\nname = 'x'\n"), ("rustfmt.toml", "")],
        "cargo",
        &[
            "build: cargo build",
            "test: cargo test [after build]",
            "- clippy: it is not installed",
            "- rustfmt: it is not installed",
        ],
    );
}

#[test]
fn settings_that_only_the_nightly_rustfmt_knows_do_not_make_a_run_fail() {
    check(
        &[("Cargo.toml", "[package]\n"), (".rustfmt.toml", "imports_granularity = 'Crate'\n")],
        "cargo cargo-fmt rustfmt cargo-clippy",
        &[
            "build: cargo build",
            "clippy: cargo clippy [may fail] [after build]",
            "fmt: cargo fmt --all --check [may fail]",
            "test: cargo test [after build]",
        ],
    );
}

#[test]
fn a_toolchain_that_is_not_installed_is_not_fetched() {
    let ground = tempfile::tempdir().unwrap();
    let work = ground.path().join("work");
    write(
        &work,
        &[
            ("Cargo.toml", "[package]\n"),
            ("rust-toolchain.toml", "[toolchain]\nchannel = '1.70'\n"),
        ],
    );
    write(
        ground.path(),
        &[
            (".cargo/bin/cargo", ""),
            (".rustup/toolchains/1.89.0-x/bin/cargo-clippy", ""),
            (".rustup/toolchains/1.70.0-x/x", ""),
        ],
    );
    for program in [".cargo/bin/cargo", ".rustup/toolchains/1.89.0-x/bin/cargo-clippy"] {
        fs::set_permissions(ground.path().join(program), fs::Permissions::from_mode(0o755))
            .unwrap();
    }
    let bin = ground.path().join(".cargo/bin");
    assert_eq!(
        shown(&survey(&work, bin.as_os_str())),
        [
            "- build, lint and test with Cargo: the toolchain `1.70` that the project asks for is not installed"
        ]
    );
    write(&work, &[("rust-toolchain.toml", "[toolchain]\nchannel = '1.89.0'\n")]);
    assert_eq!(
        shown(&survey(&work, bin.as_os_str())),
        [
            "build: cargo build",
            "clippy: cargo clippy [may fail] [after build]",
            "test: cargo test [after build]"
        ]
    );
}

#[test]
fn the_scripts_of_a_package_are_run_once_each() {
    check(
        &[(
            "package.json",
            r#"{"scripts": {"build": "node b.js", "lint": "node l.js", "typecheck": "node t.js",
                "pretest": "npm run lint", "test": "node --test", "deploy": "rsync x y:"}}"#,
        )],
        ALL,
        &[
            "build: npm run build",
            "typecheck: npm run typecheck [after build]",
            "test: npm run test [after build]",
        ],
    );
}

#[test]
fn the_lockfile_or_the_package_names_the_package_manager() {
    let package = r#"{"scripts": {"test": "node t.js"}}"#;
    check(&[("package.json", package), ("pnpm-lock.yaml", "")], ALL, &["test: pnpm run test"]);
    check(&[("package.json", package), ("yarn.lock", "")], ALL, &["test: yarn run test"]);
    check(&[("package.json", package), ("bun.lock", "")], "bun node", &["test: bun run test"]);
    let named = r#"{"packageManager": "pnpm@9.1.0", "scripts": {"test": "node t.js"}}"#;
    check(&[("package.json", named), ("package-lock.json", "")], ALL, &["test: pnpm run test"]);
    check(
        &[("package.json", named)],
        "node npm",
        &["- scripts of package.json: `pnpm` is not installed"],
    );
}

#[test]
fn a_script_that_tests_nothing_is_no_test() {
    check(
        &[(
            "package.json",
            r#"{"scripts": {"test": "echo \"Error: no test specified\" && exit 1"}}"#,
        )],
        ALL,
        &[
            "- `npm test`: the `test` script tests nothing",
            "- scripts of package.json: there is no `build`, `lint`, `typecheck`, `check` or `test` among them",
        ],
    );
}

#[test]
fn packages_that_are_not_installed_are_asked_for_and_not_installed() {
    let package = r#"{"scripts": {"test": "mocha"}, "devDependencies": {"mocha": "1"}}"#;
    let files = [("package.json", package), ("package-lock.json", "{}")];
    let found = look(&files, ALL);
    assert_eq!(
        shown(&found),
        ["- scripts of package.json: 1 of its packages are not installed: `mocha`"]
    );
    assert_eq!(found.left_out[0].remedy, "run `npm ci`");
    assert!(found.pipeline.is_none());
    let installed = [("node_modules/mocha/package.json", "{}"), ("node_modules/.bin/mocha", "")];
    check(&[files.as_slice(), &installed].concat(), ALL, &["test: npm run test"]);
}

#[test]
fn a_test_that_waits_for_changes_gives_way_to_one_that_ends() {
    check(
        &[(
            "package.json",
            r#"{"scripts": {"test": "node --test --watch", "test:ci": "node --test"}}"#,
        )],
        ALL,
        &["test: npm run test"],
    );
    check(
        &[("package.json", r#"{"scripts": {"test": "node --test --watch"}}"#)],
        ALL,
        &["- `npm run test`: it waits for changes and does not end"],
    );
}

#[test]
fn tests_run_as_on_a_build_machine_and_fetch_nothing() {
    let found =
        look(&[("package.json", r#"{"scripts": {"build": "node b", "test": "node t"}}"#)], ALL);
    let stages = found.pipeline.unwrap().stages;
    let env = |at: usize| match &stages[at].body {
        StageBody::Command(command) => command.env.clone(),
        StageBody::Codex(_) | StageBody::Pipeline(_) => unreachable!(),
    };
    assert_eq!(env(0).get("CI"), None);
    assert_eq!(env(1)["CI"], "true");
    assert_eq!(env(1)["NPM_CONFIG_YES"], "false");
}

#[test]
fn the_packages_of_a_workspace_are_run_by_its_root() {
    let test = r#"{"scripts": {"test": "node t.js"}}"#;
    let none = r#"{"scripts": {"test": "echo none"}}"#;
    let members = [
        ("packages/a/package.json", test),
        ("packages/b/package.json", test),
        ("packages/c/package.json", none),
    ];
    let root =
        [("package.json", r#"{"workspaces": ["packages/*"], "scripts": {"test": "node all.js"}}"#)];
    check(&[root.as_slice(), &members].concat(), ALL, &["test: npm run test"]);
    let root = [("package.json", r#"{"workspaces": ["packages/*"]}"#)];
    check(
        &[root.as_slice(), &members].concat(),
        ALL,
        &["test: npm run test -w packages/a -w packages/b"],
    );
    let root = [("package.json", "{}"), ("pnpm-workspace.yaml", "packages:\n  - packages/*\n")];
    check(
        &[root.as_slice(), &members, &[("pnpm-lock.yaml", "")]].concat(),
        ALL,
        &["test: pnpm --filter ./packages/a --filter ./packages/b run test"],
    );
}

const COMPILE: &str =
    "PYTHONPYCACHEPREFIX=\"$CODEX_ORCHESTRATOR_RUN_DIR/pycache\" python3 -m compileall -q";

#[test]
fn python_tests_run_with_the_runner_they_are_for() {
    let compile = format!("compile: {COMPILE} pkg");
    let pytest = ("tests/test_a.py", "def test_a():\n    pass\n");
    let project = ("pyproject.toml", "[project]\nname = 'pkg'\n[tool.ruff]\n[tool.mypy]\n");
    let package = ("pkg/__init__.py", "");
    check(
        &[project, package, pytest],
        "python3 python3:pytest ruff",
        &[
            &compile,
            "ruff: ruff check .",
            "test: python3 -m pytest",
            "- mypy: the project configures it and it is not installed",
        ],
    );
    check(
        &[("pyproject.toml", "[project]\nname = 'pkg'\n"), package, pytest],
        "python3 python3:x",
        &[&compile, "- tests: they are for `pytest`, which is not installed"],
    );
    let unit = (
        "tests/test_a.py",
        "import unittest\nimport pkg\nclass T(unittest.TestCase):\n    def test_a(self): pass\n",
    );
    check(
        &[("setup.py", ""), package, unit],
        "python3 python3:x",
        &[&format!("{compile} setup.py"), "test: python3 -m unittest discover -s tests"],
    );
}

#[test]
fn python_packages_that_are_missing_leave_the_tests_out() {
    let tests = ("test_a.py", "import requests\ndef test_a(): pass\n");
    let compile = format!("compile: {COMPILE} test_a.py");
    check(
        &[("requirements.txt", "requests>=2 # x\nfoo; sys_platform == 'win32'\n"), tests],
        "python3 python3:pytest",
        &[&compile, "- tests: `requests` is not installed"],
    );
    check(&[tests], "python3 python3:pytest", &[&compile, "- tests: `requests` is not installed"]);
    check(
        &[tests],
        "python3 python3:pytest python3:requests",
        &[&compile, "test: python3 -m pytest"],
    );
}

#[test]
fn a_src_layout_is_tested_without_being_installed() {
    check(
        &[
            ("pyproject.toml", "[project]\nname = 'p'\n"),
            ("src/p/__init__.py", ""),
            ("tests/test_p.py", "import p\ndef test_p(): pass\n"),
        ],
        "python3 python3:pytest python3:p",
        &[
            &format!("compile: {COMPILE} src"),
            "test: PYTHONPATH=\"src${PYTHONPATH:+:$PYTHONPATH}\" python3 -m pytest",
        ],
    );
    check(
        &[
            (
                "pyproject.toml",
                "[project]\nname = 'p'\n[build-system]\nbuild-backend = 'maturin'\n",
            ),
            ("src/p/__init__.py", ""),
            ("tests/test_p.py", "def test_p(): pass\n"),
        ],
        "python3 python3:pytest",
        &[
            &format!("compile: {COMPILE} src"),
            "- tests: the project has compiled parts, which have not been built",
        ],
    );
}

#[test]
fn a_package_that_asks_for_its_own_version_has_to_be_installed() {
    let files = |init| {
        [
            ("setup.py", ""),
            ("pyproject.toml", "[project]\nname = 'p'\n"),
            ("p/__init__.py", init),
            ("test_p.py", "def test_p(): pass\n"),
        ]
    };
    let compile = format!("compile: {COMPILE} p setup.py test_p.py");
    let eager = "from importlib.metadata import version\n__version__ = version('p')\n";
    let lazy = "def __getattr__(name):\n    from importlib.metadata import version\n    return version('p')\n";
    let why = "- tests: the package asks for its own version, and is not installed";
    check(&files(eager), "python3 python3:pytest", &[&compile, why]);
    check(
        &files(eager),
        "python3 python3:pytest python3:p",
        &[&compile, "test: python3 -m pytest"],
    );
    check(&files(lazy), "python3 python3:pytest", &[&compile, "test: python3 -m pytest"]);
}

#[test]
fn the_projects_own_environment_comes_first() {
    let ground = tempfile::tempdir().unwrap();
    let work = ground.path().join("work");
    write(
        &work,
        &[
            ("pyproject.toml", "[project]\nname = 'p'\n[tool.ruff]\n"),
            ("test_a.py", "import pytest\n"),
            (".venv/pyvenv.cfg", ""),
            (".venv/lib/python3.12/site-packages/pytest/__init__.py", ""),
            (".venv/bin/ruff", ""),
        ],
    );
    let bin = programs(ground.path(), "python3");
    symlink(bin.join("python3"), work.join(".venv/bin/python")).unwrap();
    fs::set_permissions(work.join(".venv/bin/ruff"), fs::Permissions::from_mode(0o755)).unwrap();
    let cache = COMPILE.replace("python3", ".venv/bin/python");
    assert_eq!(
        shown(&survey(&work, bin.as_os_str())),
        [
            &format!("compile: {cache} test_a.py"),
            "ruff: .venv/bin/ruff check .",
            "test: .venv/bin/python -m pytest"
        ]
    );
}

#[test]
fn the_sources_are_tested_and_no_older_copy_of_them() {
    let ground = tempfile::tempdir().unwrap();
    let work = ground.path().join("wo rk");
    let site = ".venv/lib/python3.12/site-packages";
    write(
        &work,
        &[
            ("pyproject.toml", "[project]\nname = 'p'\n"),
            ("src/p/__init__.py", ""),
            ("tests/test_p.py", "import p, pytest\n"),
            (".venv/pyvenv.cfg", ""),
            (".venv/bin/activate", ""),
            (&format!("{site}/pytest/__init__.py"), ""),
            (&format!("{site}/p/__init__.py"), ""),
            (&format!("{site}/p-1.dist-info/METADATA"), ""),
        ],
    );
    let bin = programs(ground.path(), "python3");
    symlink(bin.join("python3"), work.join(".venv/bin/python")).unwrap();
    let test = |direct: &str, folder: &Path| {
        let url = folder.display().to_string().replace(' ', "%20");
        let direct = direct.replace("HERE", &format!("file://{url}"));
        write(&work, &[(&format!("{site}/p-1.dist-info/direct_url.json"), &direct)]);
        shown(&survey(&work, bin.as_os_str())).pop().unwrap()
    };
    let sources = "test: PYTHONPATH=\"src${PYTHONPATH:+:$PYTHONPATH}\" .venv/bin/python -m pytest";
    assert_eq!(test("", &work), sources, "from a registry, for pytest");
    assert_eq!(test(r#"{"url": "HERE", "dir_info": {}}"#, &work), sources, "an older copy");
    let linked = r#"{"url": "HERE", "dir_info": {"editable": true}}"#;
    assert_eq!(test(linked, ground.path()), sources, "another project of that name");
    assert_eq!(test(linked, &work), "test: .venv/bin/python -m pytest");
}

#[test]
fn tox_is_named_and_not_run() {
    check(
        &[
            ("setup.py", ""),
            ("tox.ini", "[tox]\nenvlist = py3\n"),
            ("Makefile", "test:\n\ttox -q\n"),
        ],
        "python3 python3:pytest make",
        &[
            &format!("compile: {COMPILE} setup.py"),
            "- tests: there are no `test_*.py` or `*_test.py` files",
            "- tox: it makes environments and installs into them",
            "- `make test`: it installs things",
        ],
    );
}

#[test]
fn each_go_module_is_built_vetted_and_tested() {
    check(
        &[("go.mod", "module x\n\ngo 1.19\n"), ("a_test.go", ""), ("tools/go.mod", "module y\n")],
        ALL,
        &[
            "go:build: go build -o /dev/null ./...",
            "go:vet: go vet ./... [may fail] [after go:build]",
            "go:test: go test ./... [after go:build]",
            "tools:build: go build -o /dev/null ./... [in tools]",
            "tools:vet: go vet ./... [in tools] [may fail] [after tools:build]",
            "- go test in tools/: there is no `_test.go` file",
        ],
    );
    check(&[("main.go", "")], ALL, &["- build, vet and test with Go: there is no go.mod"]);
}

#[test]
fn a_newer_go_is_not_fetched() {
    let ground = tempfile::tempdir().unwrap();
    let work = ground.path().join("work");
    write(&work, &[("go.mod", "module x\ngo 1.22.3 // x\n"), ("x_test.go", "")]);
    let bin = programs(ground.path(), "go");
    write(ground.path(), &[("usr/VERSION", "go1.22.1\ntime x\n")]);
    assert_eq!(
        shown(&survey(&work, bin.as_os_str())),
        ["- build, vet and test with Go: go.mod asks for Go 1.22.3, and Go 1.22.1 is installed"]
    );
    write(ground.path(), &[("usr/VERSION", "go1.22.4\n")]);
    assert_eq!(shown(&survey(&work, bin.as_os_str())).len(), 3);
}

#[test]
fn the_own_ci_recipe_is_all_there_is_to_run() {
    let rust = ("Cargo.toml", "[package]\nname = 'x'\n");
    let web = ("web/package.json", r#"{"scripts": {"test": "node t.js"}}"#);
    check(
        &[
            rust,
            web,
            (
                "justfile",
                "ci: lint\n    cargo test\n    npm --prefix web test\nlint:\n    cargo clippy\n",
            ),
        ],
        ALL,
        &["ci: just ci"],
    );
    check(
        &[rust, web, ("Makefile", "ci:\n\tcargo test\n")],
        ALL,
        &["ci: make ci", "- checks of web/: `make ci` is taken to check the whole repository"],
    );
}

#[test]
fn a_test_recipe_takes_the_place_of_the_guessed_test_alone() {
    check(
        &[
            ("Cargo.toml", "[package]\nname = 'x'\n"),
            ("Makefile", "test:\n\tcargo test --all-features\n"),
        ],
        ALL,
        &[
            "build: cargo build",
            "clippy: cargo clippy [may fail] [after build]",
            "test: make test [after build]",
        ],
    );
}

#[test]
fn a_check_that_only_looks_is_a_lint() {
    check(
        &[
            ("Cargo.toml", "[package]\nname = 'x'\n"),
            ("justfile", "check:\n  cargo check\n  cargo clippy -- -D warnings\n"),
        ],
        ALL,
        &[
            "build: cargo build",
            "check: just check [after build]",
            "test: cargo test [after build]",
        ],
    );
}

#[test]
fn recipes_that_install_publish_or_rewrite_are_left_alone() {
    let rust = ("Cargo.toml", "[package]\nname = 'x'\n");
    let guesses = [
        "build: cargo build",
        "clippy: cargo clippy [may fail] [after build]",
        "test: cargo test [after build]",
    ];
    for (recipe, why) in [
        ("ci:\n\tcargo install x\n", "- `make ci`: it installs things"),
        (
            "ci: release\nrelease:\n\tgit push\n",
            "- `make ci`: it changes things beyond this folder",
        ),
        ("ci:\n\tcargo fmt\n\tcargo test\n", "- `make ci`: it rewrites files"),
        ("ci:\n\tbundle exec rake\n", "- `make ci`: it calls `bundle`, which is not installed"),
    ] {
        check(&[rust, ("Makefile", recipe)], ALL, &[guesses.as_slice(), &[why]].concat());
    }
    check(
        &[rust, ("justfile", "ci target:\n  cargo test\n")],
        ALL,
        &[guesses.as_slice(), &["- `just ci`: it wants arguments"]].concat(),
    );
}

#[test]
fn without_just_its_recipes_are_named_and_guesses_take_their_place() {
    check(
        &[("Cargo.toml", "[package]\nname = 'x'\n"), ("justfile", "ci:\n  cargo test\n")],
        "cargo cargo-clippy make",
        &[
            "build: cargo build",
            "clippy: cargo clippy [may fail] [after build]",
            "test: cargo test [after build]",
            "- `just ci`: `just` is not installed",
        ],
    );
}

#[test]
fn a_makefile_builds_and_tests_and_its_other_targets_are_left_alone() {
    check(
        &[(
            "Makefile",
            "deploy:\n\t./deploy.sh\nall: prog\nprog: a.c\n\t$(CC) -o $@ $<\ntest: prog\n\t./prog\n",
        )],
        "make cc",
        &["all: make all", "test: make test [after all]"],
    );
    check(
        &[("Makefile", "BINS = prog\nall: $(BINS)\nprog: a.o\n\ncheck:\n\t./test.sh\n")],
        "make cc",
        &["all: make all", "check: make check [after all]"],
    );
    check(
        &[("Makefile", "all: help\nhelp:\n\t@echo 'make test'\ntest:\n\t./test.sh\n")],
        "make cc",
        &["test: make test"],
    );
    check(&[("Makefile", "prog: a.c\n\t$(CC) -o prog a.c\n")], "make cc", &["build: make"]);
    check(
        &[("Makefile", "deploy:\n\t./deploy.sh\n")],
        "make cc",
        &["- recipes of the Makefile: none is called `ci`, `check`, `test`, `lint` or `build`"],
    );
}

#[test]
fn cmake_builds_in_the_folder_of_the_run() {
    let build = "\"$CODEX_ORCHESTRATOR_RUN_DIR/build\"";
    let configure = format!("configure: cmake -S . -B {build}");
    let compile = format!("build: cmake --build {build} [after configure]");
    let test = format!(
        "test: ctest --test-dir {build} --output-on-failure --no-tests=error [after build]"
    );
    let top = "cmake_minimum_required(VERSION 3.20)\nproject(x C)\n";
    check(
        &[
            ("CMakeLists.txt", &format!("{top}enable_testing()\nadd_subdirectory(t)\n")),
            ("t/CMakeLists.txt", "add_test(NAME a COMMAND a)\n"),
        ],
        ALL,
        &[&configure, &compile, &test],
    );
    check(
        &[("CMakeLists.txt", top)],
        ALL,
        &[&configure, &compile, "- ctest: the project declares no tests"],
    );
    check(
        &[(
            "CMakeLists.txt",
            &format!(
                "{top}option(X_TESTS \"test (all)\" OFF)\nif(X_TESTS)\n enable_testing()\n add_test(a a)\nendif()\n"
            ),
        )],
        ALL,
        &[
            &configure,
            &compile,
            "- ctest: the project builds its tests only with the option `X_TESTS`",
        ],
    );
    check(
        &[("CMakeLists.txt", top)],
        "make cc",
        &["- build and test with CMake: `cmake` is not installed"],
    );
}

#[test]
fn configure_is_run_beside_the_sources() {
    let run = "\"$CODEX_ORCHESTRATOR_RUN_DIR/build\"";
    check(
        &[("configure", "#! /bin/sh\n# Generated by GNU Autoconf 2.71.\n"), ("Makefile.in", "")],
        "make cc",
        &[
            &format!(
                "configure: sources=$PWD && mkdir -p {run} && cd {run} && \"$sources/configure\""
            ),
            &format!("build: make -C {run} [after configure]"),
            &format!("test: make -C {run} check [after build]"),
        ],
    );
    check(
        &[("configure.ac", "")],
        "make cc",
        &["- build and test with `./configure`: the `configure` script has not been made"],
    );
}

#[test]
fn a_mixed_repository_is_checked_project_by_project() {
    check(
        &[
            ("Cargo.toml", "[package]\nname = 'x'\n"),
            ("web/package.json", r#"{"scripts": {"test": "node t.js"}}"#),
            ("tools/gen/go.mod", "module g\n"),
            ("docs/requirements.txt", "sphinx\n"),
            ("tests/fixtures/p/package.json", r#"{"scripts": {"test": "node t.js"}}"#),
            ("node_modules/x/package.json", r#"{"scripts": {"test": "node t.js"}}"#),
        ],
        ALL,
        &[
            "rust:build: cargo build",
            "rust:clippy: cargo clippy [may fail] [after rust:build]",
            "rust:test: cargo test [after rust:build]",
            "web:test: npm run test [in web]",
            "tools-gen:build: go build -o /dev/null ./... [in tools/gen]",
            "tools-gen:vet: go vet ./... [in tools/gen] [may fail] [after tools-gen:build]",
            "- go test in tools/gen/: there is no `_test.go` file",
        ],
    );
}

#[test]
fn two_ecosystems_in_one_folder_have_names_of_their_own() {
    check(
        &[
            ("a/Cargo.toml", "[package]\nname = 'x'\n"),
            ("a/package.json", r#"{"scripts": {"test": "node t.js"}}"#),
        ],
        "cargo cargo-clippy node npm",
        &[
            "a:rust:build: cargo build [in a]",
            "a:rust:clippy: cargo clippy [in a] [may fail] [after a:rust:build]",
            "a:rust:test: cargo test [in a] [after a:rust:build]",
            "a:npm:test: npm run test [in a]",
        ],
    );
}

#[test]
fn what_is_not_recognised_gets_a_pipeline_to_paste() {
    let found = look(&[("notes.txt", "x")], ALL);
    assert_eq!((found.pipeline.is_none(), found.projects.len()), (true, 0));
    let advice = found.advice().unwrap();
    assert!(advice.starts_with("nothing was recognised here"), "{advice}");
    let (_, example) = advice.split_once("change it:\n").unwrap();
    let example: toml::Table = example.parse().unwrap();
    assert_eq!(example["pipelines"]["diagnostics"]["stages"].as_array().unwrap().len(), 2);
    check(
        &[("pom.xml", "")],
        ALL,
        &["- build and test with Maven: this version does not know how to check Maven projects"],
    );
}

#[test]
fn odd_names_and_odd_files_do_no_harm() {
    let ground = tempfile::tempdir().unwrap();
    let work = ground.path().join("it's \"odd\"\n日本");
    write(
        &work,
        &[
            ("sp ace/é'/Cargo.toml", "[package]\nname = 'x'\n"),
            ("sp ace/-/go.mod", "module x\n"),
            ("x/package.json", "{"),
            ("y/pyproject.toml", "[[["),
        ],
    );
    symlink(&work, work.join("ring")).unwrap();
    nix::unistd::mkfifo(&work.join("Makefile"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let bin = programs(ground.path(), "cargo go make npm node python3");
    let found = survey(&work, bin.as_os_str());
    let folders: Vec<&str> = found.projects.iter().map(|project| project.path.as_str()).collect();
    assert_eq!(folders, ["x", "y", "sp ace/-", "sp ace/é'"]);
    let ids: Vec<String> =
        found.pipeline.unwrap().stages.iter().map(|stage| stage.id.to_string()).collect();
    assert_eq!(ids[..2], ["sp-ace:build", "sp-ace:vet"]);
}

#[test]
fn a_work_tree_too_large_to_look_through_is_said_to_be() {
    let ground = tempfile::tempdir().unwrap();
    let many = ground.path().join("many");
    fs::create_dir(&many).unwrap();
    for number in 0..11_000 {
        fs::write(many.join(number.to_string()), "").unwrap();
    }
    let found = survey(ground.path(), std::ffi::OsStr::new(""));
    assert_eq!(
        shown(&found),
        ["- the rest of the folders: the work tree is too large to look through"]
    );
}
