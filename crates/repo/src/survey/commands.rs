//! What a recipe would run, as far as its text tells. Nothing is expanded and nothing is run.

use super::{finding::Ecosystem, tools::Tools};

/// The commands in a recipe, each as its words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Commands(Vec<Vec<String>>);

/// What stands before a program and is not one.
const PREFIXES: [&str; 26] = [
    "if",
    "then",
    "else",
    "elif",
    "do",
    "while",
    "until",
    "!",
    "{",
    "}",
    "time",
    "exec",
    "command",
    "env",
    "cross-env",
    "sudo",
    "npx",
    "nice",
    "xvfb-run",
    "fi",
    "done",
    "dotenv",
    "cross-env-shell",
    "winpty",
    "bunx",
    "for",
];

/// Programs that run another one, when these words follow.
const RUNNERS: [(&str, &str); 11] = [
    ("uv", "run"),
    ("poetry", "run"),
    ("pdm", "run"),
    ("pipenv", "run"),
    ("hatch", "run"),
    ("rye", "run"),
    ("pnpm", "exec"),
    ("npm", "exec"),
    ("bundle", "exec"),
    ("yarn", "exec"),
    ("python", "-m"),
];

/// Programs that take whole commands as words.
const SHELLS: [&str; 9] = [
    "sh",
    "bash",
    "zsh",
    "eval",
    "concurrently",
    "run-p",
    "run-s",
    "npm-run-all",
    "start-server-and-test",
];

/// Programs that only look.
const LINTERS: [&str; 40] = [
    "eslint",
    "prettier",
    "biome",
    "tsc",
    "vue-tsc",
    "svelte-check",
    "svelte-kit",
    "astro",
    "stylelint",
    "oxlint",
    "standard",
    "xo",
    "tslint",
    "jshint",
    "dprint",
    "publint",
    "attw",
    "knip",
    "ruff",
    "mypy",
    "black",
    "flake8",
    "isort",
    "pylint",
    "pyright",
    "basedpyright",
    "bandit",
    "codespell",
    "golangci-lint",
    "staticcheck",
    "gofmt",
    "goimports",
    "gofumpt",
    "shellcheck",
    "yamllint",
    "cppcheck",
    "clang-tidy",
    "clang-format",
    "taplo",
    "typos",
];

/// Programs whose absence is known to make a recipe fail.
const TOOLS: [&str; 36] = [
    "cargo",
    "npm",
    "pnpm",
    "yarn",
    "bun",
    "node",
    "go",
    "pytest",
    "ruff",
    "mypy",
    "black",
    "flake8",
    "isort",
    "pylint",
    "uv",
    "poetry",
    "pdm",
    "pipenv",
    "hatch",
    "golangci-lint",
    "cmake",
    "ctest",
    "ninja",
    "meson",
    "make",
    "just",
    "docker",
    "docker-compose",
    "bundle",
    "mvn",
    "gradle",
    "shellcheck",
    "deno",
    "task",
    "bazel",
    "coverage",
];

impl Commands {
    /// The commands in a shell text, also those in the quotes of `sh -c` and the like.
    pub(super) fn read(text: &str) -> Self {
        let mut commands = Self::default();
        commands.take(text, 0);
        commands
    }

    fn take(&mut self, text: &str, depth: usize) {
        let mut words: Vec<String> = Vec::new();
        // `Some` from a word's first letter or quote on.
        let mut word: Option<String> = None;
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    Some('\n') | None => words.extend(word.take()),
                    Some(other) => word.get_or_insert_default().push(other),
                },
                '\'' | '"' => {
                    word.get_or_insert_default().push_str(&read_quoted(c, &mut chars));
                }
                // A name in brackets, as in `$(MAKE)`, is a word; anything else is a command.
                '$' if matches!(chars.peek(), Some('(' | '{')) => {
                    let name: String =
                        chars.clone().skip(1).take_while(|c| !")}".contains(*c)).collect();
                    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-@<^*?%".contains(c);
                    if !name.is_empty() && name.chars().all(plain) {
                        let brackets = name.chars().count() + 2;
                        let word = word.get_or_insert_default();
                        word.push('$');
                        word.extend(chars.by_ref().take(brackets));
                    } else {
                        words.extend(word.take());
                        self.push(std::mem::take(&mut words), depth);
                    }
                }
                '#' if word.is_none() => while chars.next_if(|&c| c != '\n').is_some() {},
                // `2>&1` and `&>file` send output somewhere.
                '&' if word.as_ref().is_some_and(|word| word.ends_with('>'))
                    || chars.peek() == Some(&'>') =>
                {
                    word.get_or_insert_default().push(c);
                }
                '\n' | ';' | '&' | '|' | '(' | ')' | '`' => {
                    words.extend(word.take());
                    self.push(std::mem::take(&mut words), depth);
                }
                c if c.is_whitespace() => words.extend(word.take()),
                c => word.get_or_insert_default().push(c),
            }
        }
        words.extend(word.take());
        self.push(words, depth);
    }

    /// Keeps a command without what stands before its program.
    fn push(&mut self, words: Vec<String>, depth: usize) {
        let mut words = words.into_iter().peekable();
        while let Some(word) = words.peek_mut() {
            // Make's marks at the beginning of a line.
            let plain = word.trim_start_matches(['@', '-', '+']).to_owned();
            let assigns = plain.split_once('=').is_some_and(|(name, _)| {
                !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            });
            if plain.is_empty() || assigns || PREFIXES.contains(&plain.as_str()) {
                words.next();
            } else {
                *word = plain;
                break;
            }
        }
        let mut command: Vec<String> = words.collect();
        let runs = |command: &[String]| match command {
            [first, second, _, ..] => {
                let first = program(first);
                let first = if first.starts_with("python") { "python" } else { first };
                RUNNERS.contains(&(first, second.as_str()))
            }
            _ => false,
        };
        while runs(&command) {
            command.drain(..2);
            while command.len() > 1 && command[0].starts_with('-') {
                command.remove(0);
            }
        }
        if command.is_empty() {
            return;
        }
        let inner = command[1..].iter().filter(|word| word.contains(char::is_whitespace));
        let inner: Vec<String> = match program(&command[0]) {
            // Quotes within quotes within quotes are no longer anybody's recipe.
            first if SHELLS.contains(&first) && depth < 3 => inner.cloned().collect(),
            _ => Vec::new(),
        };
        self.0.push(command);
        for text in inner {
            self.take(&text, depth + 1);
        }
    }

    pub(super) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names among `known` that a command hands to a runner of recipes, as `npm run lint` does.
    pub(super) fn calls<'a>(
        &'a self,
        known: impl Fn(&str) -> bool + 'a,
    ) -> impl Iterator<Item = &'a str> {
        const CALLERS: [&str; 16] = [
            "npm",
            "pnpm",
            "yarn",
            "bun",
            "run-s",
            "run-p",
            "npm-run-all",
            "npm-run-all2",
            "concurrently",
            "make",
            "gmake",
            "$(MAKE)",
            "${MAKE}",
            "just",
            "wireit",
            "node",
        ];
        let callers = self.0.iter().filter(|words| CALLERS.contains(&program(&words[0])));
        let named = callers.flat_map(|words| &words[1..]).map(|word| {
            ["npm:", "pnpm:", "yarn:"]
                .iter()
                .find_map(|prefix| word.strip_prefix(prefix))
                .unwrap_or(word)
        });
        named.filter(move |word| known(word))
    }

    /// Why nobody should run this for a look, as the end of "it ...".
    pub(super) fn objection(&self) -> Option<&'static str> {
        self.0.iter().find_map(|words| {
            let first = program(&words[0]);
            let rest: Vec<&str> = words[1..].iter().map(String::as_str).collect();
            let verb = rest.iter().copied().find(|word| !word.starts_with('-')).unwrap_or_default();
            if installs(first, verb, &rest) {
                Some("installs things")
            } else if publishes(first, verb, &rest) {
                Some("changes things beyond this folder")
            } else if rewrites(first, verb, &rest) {
                Some("rewrites files")
            } else {
                None
            }
        })
    }

    /// Whether it looks at the code and runs none of it.
    pub(super) fn only_lints(&self) -> bool {
        let aside = |first: &str| {
            matches!(first, "echo" | "cd" | "set" | "true" | ":" | "printf" | "export")
        };
        let mut lints = false;
        for words in &self.0 {
            let verb = words.get(1).map(String::as_str).unwrap_or_default();
            match program(&words[0]) {
                "cargo" if matches!(verb, "check" | "clippy" | "fmt") => lints = true,
                "go" if verb == "vet" => lints = true,
                "next" if verb == "lint" => lints = true,
                first if LINTERS.contains(&first) => lints = true,
                first if aside(first) => {}
                _ => return false,
            }
        }
        lints
    }

    /// Whether it does nothing but speak, as the script that `npm init` writes does.
    pub(super) fn only_speaks(&self) -> bool {
        self.0.iter().all(|words| {
            matches!(program(&words[0]), "echo" | "exit" | "true" | "false" | ":" | "printf")
        })
    }

    /// Whether it goes on for ever, waiting for changes.
    pub(super) fn watches(&self) -> bool {
        self.0.iter().any(|words| {
            let asked = words.iter().any(|word| {
                matches!(
                    word.as_str(),
                    "--watch" | "--watchAll" | "--watch=true" | "--watchAll=true"
                )
            });
            let refused = words.iter().any(|word| matches!(word.as_str(), "--run" | "--no-watch"));
            asked && !refused || matches!(program(&words[0]), "nodemon" | "watchexec" | "entr")
        })
    }

    /// The first program that would have to be installed, of those we know by name.
    pub(super) fn missing(&self, tools: &Tools) -> Option<&str> {
        let programs = self.0.iter().map(|words| words[0].as_str());
        programs
            .filter(|name| TOOLS.contains(name) || LINTERS.contains(name))
            .find(|name| !tools.has(name))
    }

    /// The names of the programs that it runs; without variables, paths and the shell's own words.
    pub(super) fn programs(&self) -> impl Iterator<Item = &str> {
        const BUILT_IN: [&str; 30] = [
            "cd", "echo", "exit", "true", "false", ":", "test", "[", "[[", "set", "export",
            "printf", "source", ".", "unset", "trap", "ulimit", "umask", "wait", "eval", "for",
            "in", "case", "esac", "return", "local", "read", "shift", "pushd", "popd",
        ];
        let programs = self.0.iter().map(|words| words[0].as_str());
        programs.filter(|name| {
            !name.contains(['$', '/', '=', '{', '*', '<', '>']) && !BUILT_IN.contains(name)
        })
    }

    /// Whether it has to do with the tools of that ecosystem.
    pub(super) fn mentions(&self, ecosystem: Ecosystem) -> bool {
        let belongs = |name: &str| match ecosystem {
            Ecosystem::Rust => {
                matches!(name, "cargo" | "rustc" | "cross" | "wasm-pack" | "maturin")
            }
            Ecosystem::Node => matches!(
                name,
                "npm"
                    | "pnpm"
                    | "yarn"
                    | "bun"
                    | "node"
                    | "npx"
                    | "jest"
                    | "vitest"
                    | "eslint"
                    | "tsc"
                    | "turbo"
                    | "nx"
            ),
            Ecosystem::Python => {
                name.starts_with("python")
                    || name.starts_with("pytest")
                    || matches!(
                        name,
                        "uv" | "poetry"
                            | "pdm"
                            | "hatch"
                            | "pipenv"
                            | "tox"
                            | "nox"
                            | "ruff"
                            | "mypy"
                            | "black"
                            | "coverage"
                            | "flake8"
                    )
            }
            Ecosystem::Go => matches!(name, "go" | "gotestsum" | "golangci-lint" | "ginkgo"),
            Ecosystem::Native => matches!(
                name,
                "cc" | "gcc"
                    | "g++"
                    | "c++"
                    | "clang"
                    | "clang++"
                    | "$(CC)"
                    | "$(CXX)"
                    | "${CC}"
                    | "cmake"
                    | "ctest"
                    | "ninja"
                    | "meson"
            ),
            Ecosystem::Recipes => false,
        };
        self.0.iter().any(|words| belongs(program(&words[0])))
    }

    /// Whether one of its words leads to the folder `at`.
    pub(super) fn names(&self, at: &str) -> bool {
        let parts = self.0.iter().flatten().flat_map(|word| word.split('='));
        let mut parts = parts.map(|part| part.trim_start_matches("./").trim_end_matches('/'));
        parts.any(|part| super::tree::is_within(part, at))
    }
}

/// The text up to the quote that ends it.
fn read_quoted(quote: char, chars: &mut impl Iterator<Item = char>) -> String {
    let mut text = String::new();
    while let Some(c) = chars.next() {
        match c {
            '\\' if quote == '"' => text.extend(chars.next()),
            c if c == quote => break,
            c => text.push(c),
        }
    }
    text
}

/// A program's name without its folder.
fn program(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

fn installs(first: &str, verb: &str, rest: &[&str]) -> bool {
    match first {
        "npm" | "pnpm" | "bun" => {
            matches!(verb, "ci" | "i" | "install" | "add" | "clean-install" | "dlx")
        }
        "yarn" => rest.is_empty() || matches!(verb, "install" | "add" | "dlx"),
        "pip" | "pip3" | "brew" | "apt" | "apt-get" | "dnf" | "yum" | "gem" | "cargo"
        | "poetry" | "pdm" | "rustup" | "playwright" | "make" | "gmake" | "$(MAKE)" | "cpanm" => {
            verb == "install" || first == "cpanm"
        }
        "pipenv" => matches!(verb, "install" | "sync"),
        "apk" => verb == "add",
        "bundle" => verb == "install" || rest.is_empty(),
        "uv" => matches!(verb, "sync" | "pip" | "add" | "tool"),
        "uvx" | "pipx" | "tox" | "nox" | "pre-commit" | "corepack" => true,
        "go" => matches!(verb, "install" | "get"),
        _ => false,
    }
}

fn publishes(first: &str, verb: &str, rest: &[&str]) -> bool {
    match first {
        "npm" | "pnpm" | "yarn" | "cargo" | "poetry" | "uv" | "lerna" => verb == "publish",
        "twine" => verb == "upload",
        "git" => matches!(verb, "push" | "commit" | "tag" | "reset" | "clean" | "checkout"),
        "docker" => matches!(verb, "push" | "login"),
        "gh" => matches!(verb, "release" | "pr" | "workflow"),
        "terraform" | "pulumi" => matches!(verb, "apply" | "destroy" | "up"),
        "goreleaser" => !rest.contains(&"--snapshot") && verb != "check",
        "kubectl" | "helm" | "ssh" | "scp" | "rsync" | "aws" | "gcloud" | "heroku" | "vercel"
        | "netlify" | "wrangler" | "flyctl" | "ansible-playbook" | "semantic-release" => true,
        _ => false,
    }
}

fn rewrites(first: &str, verb: &str, rest: &[&str]) -> bool {
    let has = |word: &str| rest.contains(&word);
    let looks = [
        "--check",
        "--check-only",
        "--diff",
        "-d",
        "-l",
        "-c",
        "--dry-run",
        "-n",
        "--list-different",
    ];
    let looks = looks.iter().any(|word| has(word));
    match first {
        "prettier" | "biome" | "dprint" => {
            has("--write") || has("--apply") || has("-w") || verb == "fmt"
        }
        "eslint" | "stylelint" | "xo" | "standard" | "oxlint" | "golangci-lint" | "cargo"
            if has("--fix") =>
        {
            true
        }
        "cargo" => verb == "fmt" && !looks,
        "go" => verb == "fmt" || verb == "generate" || (verb == "mod" && has("tidy")),
        "gofmt" | "goimports" | "gofumpt" => has("-w"),
        "ruff" => !looks && (has("--fix") || verb == "format"),
        "black" | "isort" | "autopep8" | "yapf" => !looks && !has("--version"),
        "clang-format" => has("-i"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<String> {
        Commands::read(text).0.iter().map(|words| words.join(" ")).collect()
    }

    #[test]
    fn a_text_is_read_as_the_commands_it_runs() {
        assert_eq!(read("a && b|c; d\ne"), ["a", "b", "c", "d", "e"]);
        assert_eq!(read("@CI=1 cross-env A=b npx jest --ci # all"), ["jest --ci"]);
        assert_eq!(
            read("concurrently \"npm run a\" 'npm:b'"),
            ["concurrently npm run a npm:b", "npm run a"]
        );
        assert_eq!(read("-$(MAKE) check \\\n  -s"), ["$(MAKE) check -s"]);
        assert_eq!(read("uv run --frozen python -m pytest -q"), ["pytest -q"]);
        assert_eq!(read("if x; then y; fi"), ["x", "y"]);
        assert_eq!(read("echo $(git describe) ${X}"), ["echo", "git describe", "${X}"]);
    }

    #[test]
    fn what_a_look_should_not_do_is_seen() {
        let objection = |text| Commands::read(text).objection();
        for text in [
            "npm ci && npm test",
            "yarn",
            "pip install -e .",
            "python3 -m pip install x",
            "tox",
            "uv sync",
        ] {
            assert_eq!(objection(text), Some("installs things"), "{text}");
        }
        for text in ["cargo publish", "git push --tags", "make x && npm publish"] {
            assert_eq!(objection(text), Some("changes things beyond this folder"), "{text}");
        }
        for text in [
            "eslint --fix .",
            "cargo fmt",
            "black .",
            "ruff format",
            "go mod tidy",
            "prettier -w .",
        ] {
            assert_eq!(objection(text), Some("rewrites files"), "{text}");
        }
        for text in [
            "yarn test",
            "cargo fmt --all -- --check",
            "black --check .",
            "git diff",
            "ruff check",
            "npm test",
        ] {
            assert_eq!(objection(text), None, "{text}");
        }
    }

    #[test]
    fn linting_is_told_from_testing() {
        assert!(Commands::read("cargo check && cargo clippy -- -D warnings").only_lints());
        assert!(
            Commands::read("svelte-kit sync && svelte-check --tsconfig ./tsconfig.json")
                .only_lints()
        );
        assert!(!Commands::read("eslint . && ava").only_lints());
        assert!(!Commands::read("./run-tests").only_lints());
        assert!(!Commands::read("").only_lints());
    }

    #[test]
    fn a_folder_is_named_by_its_path_alone() {
        let names = |text, at| Commands::read(text).names(at);
        assert!(names("cd web && npm test", "web"));
        assert!(names("npm --prefix ./web/ test", "web"));
        assert!(names("cargo test --manifest-path=web/Cargo.toml", "web"));
        assert!(!names("pytest webapp", "web"));
    }
}
