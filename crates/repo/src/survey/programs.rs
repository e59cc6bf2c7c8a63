//! What well-known programs do, as far as it matters whether a recipe should be run for a look.

use super::finding::Ecosystem;

/// Programs that say or set something and do no work.
pub(super) const ASIDES: &str = "echo cd set true : printf export";

/// Programs that look at code and run none of it.
pub(super) const LINTERS: &str = "eslint prettier biome tsc vue-tsc svelte-check svelte-kit astro \
    stylelint oxlint standard xo tslint jshint dprint publint attw knip ruff mypy black flake8 isort \
    pylint pyright basedpyright bandit codespell golangci-lint staticcheck gofmt goimports gofumpt \
    shellcheck yamllint cppcheck clang-tidy clang-format taplo typos";

/// Other programs whose absence is known to make a recipe fail.
pub(super) const TOOLS: &str = "cargo npm pnpm yarn bun node go pytest uv poetry pdm pipenv hatch cmake \
    ctest ninja meson make just docker docker-compose bundle mvn gradle deno task bazel coverage";

/// Whether `word` is one of the words of `list`.
pub(super) fn among(word: &str, list: &str) -> bool {
    list.split_ascii_whitespace().any(|listed| listed == word)
}

/// A program's name without its folder.
pub(super) fn program(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// Whether a command only looks.
pub(super) fn lints(first: &str, rest: &[String]) -> bool {
    let verb = rest.first().map(String::as_str).unwrap_or_default();
    match first {
        "cargo" => among(verb, "check clippy fmt"),
        "go" => verb == "vet",
        "next" => verb == "lint",
        first => among(first, LINTERS),
    }
}

/// Why a command should not be run for a look, as the end of "it ...".
pub(super) fn objection(first: &str, rest: &[String]) -> Option<&'static str> {
    let verb = rest.iter().map(String::as_str).find(|word| !word.starts_with('-'));
    let verb = verb.unwrap_or_default();
    if installs(first, verb, rest) {
        Some("installs things")
    } else if publishes(first, verb, rest) {
        Some("changes things beyond this folder")
    } else if rewrites(first, verb, rest) {
        Some("rewrites files")
    } else {
        None
    }
}

fn installs(first: &str, verb: &str, rest: &[String]) -> bool {
    match first {
        "npm" | "pnpm" | "bun" => among(verb, "ci i install add clean-install dlx"),
        "yarn" => rest.is_empty() || among(verb, "install add dlx"),
        "bundle" => rest.is_empty() || verb == "install",
        "uv" => among(verb, "sync pip add tool"),
        "go" => among(verb, "install get"),
        "apk" => verb == "add",
        "pipenv" => among(verb, "install sync"),
        // Each makes environments of its own and fills them.
        "tox" | "nox" | "uvx" | "pipx" | "pre-commit" | "corepack" | "cpanm" => true,
        first => {
            verb == "install"
                && among(
                    first,
                    "pip pip3 brew apt apt-get dnf yum gem cargo poetry pdm rustup playwright make gmake",
                )
        }
    }
}

fn publishes(first: &str, verb: &str, rest: &[String]) -> bool {
    match first {
        "npm" | "pnpm" | "yarn" | "cargo" | "poetry" | "uv" | "lerna" => verb == "publish",
        "twine" => verb == "upload",
        "git" => among(verb, "push commit tag reset clean checkout"),
        "docker" => among(verb, "push login"),
        "gh" => among(verb, "release pr workflow"),
        "terraform" | "pulumi" => among(verb, "apply destroy up"),
        "goreleaser" => verb != "check" && !rest.iter().any(|word| word == "--snapshot"),
        first => among(
            first,
            "kubectl helm ssh scp rsync aws gcloud heroku vercel netlify wrangler flyctl \
             ansible-playbook semantic-release",
        ),
    }
}

fn rewrites(first: &str, verb: &str, rest: &[String]) -> bool {
    let has = |words: &str| rest.iter().any(|word| among(word, words));
    let looks = has("--check --check-only --diff -d -l -c --dry-run -n --list-different");
    match first {
        "cargo" => verb == "fmt" && !looks || has("--fix"),
        "ruff" => !looks && (has("--fix") || verb == "format"),
        "black" | "isort" | "autopep8" | "yapf" => !looks && !has("--version"),
        "prettier" | "biome" | "dprint" => has("--write --apply -w") || verb == "fmt",
        "eslint" | "stylelint" | "xo" | "standard" | "oxlint" | "golangci-lint" => has("--fix"),
        "go" => among(verb, "fmt generate") || verb == "mod" && has("tidy"),
        "gofmt" | "goimports" | "gofumpt" => has("-w"),
        "clang-format" => has("-i"),
        _ => false,
    }
}

/// Whether a program is one of that ecosystem.
pub(super) fn belongs(first: &str, ecosystem: Ecosystem) -> bool {
    match ecosystem {
        Ecosystem::Rust => among(first, "cargo rustc cross wasm-pack maturin"),
        Ecosystem::Node => {
            among(first, "npm pnpm yarn bun node npx jest vitest eslint tsc turbo nx")
        }
        Ecosystem::Python => {
            first.starts_with("python")
                || first.starts_with("pytest")
                || among(
                    first,
                    "py.test uv poetry pdm hatch pipenv tox nox ruff mypy black coverage flake8",
                )
        }
        Ecosystem::Go => among(first, "go gotestsum golangci-lint ginkgo"),
        Ecosystem::Native => {
            among(first, "cc cxx gcc g++ c++ clang clang++ cmake ctest ninja meson")
        }
        Ecosystem::Recipes => false,
    }
}
