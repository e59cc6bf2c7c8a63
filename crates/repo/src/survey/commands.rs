//! What a recipe would run, as far as its text tells. Nothing is expanded and nothing is run.

use super::{
    finding::Ecosystem,
    programs::{self, among, program},
    tools::Tools,
    tree::Folder,
};

/// The commands in a recipe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Commands(Vec<Command>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Command {
    /// The program and what follows it; at least one.
    words: Vec<String>,
    /// Whatever finds and runs the program, as `uv` does in `uv run pytest`.
    through: Option<String>,
}

/// What stands before a program and is not one.
const PREFIXES: &str = "if then else elif fi for do done while until ! { } time exec command env \
    cross-env cross-env-shell sudo nice npx bunx dotenv xvfb-run";

/// Programs that run another one, and the word that stands between.
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
const SHELLS: &str = "sh bash zsh eval concurrently run-p run-s npm-run-all start-server-and-test";

/// Programs that run recipes by their names.
const CALLERS: &str =
    "npm pnpm yarn bun run-s run-p npm-run-all npm-run-all2 concurrently make gmake just";

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
            if plain.is_empty() || assigns || among(&plain, PREFIXES) {
                words.next();
            } else {
                *word = variable(&plain).unwrap_or(plain);
                break;
            }
        }
        let mut command: Vec<String> = words.collect();
        let mut through = None;
        while let [first, second, _, ..] = command.as_slice() {
            let runner = program(first);
            let runner = if runner.starts_with("python") { "python" } else { runner };
            if !RUNNERS.contains(&(runner, second)) {
                break;
            }
            through.get_or_insert_with(|| first.clone());
            command.drain(..2);
            while command.len() > 1 && command[0].starts_with('-') {
                command.remove(0);
            }
        }
        let Some((first, rest)) = command.split_first() else { return };
        let inner = rest.iter().filter(|word| word.contains(char::is_whitespace));
        // Quotes within quotes within quotes are no longer anybody's recipe.
        let shell = among(program(first), SHELLS) && depth < 3;
        let inner: Vec<String> = if shell { inner.cloned().collect() } else { Vec::new() };
        self.0.push(Command { words: command, through });
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

    /// Each command as its program, without a folder, and the words that follow.
    fn each(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.0.iter().map(|Command { words, .. }| (program(&words[0]), &words[1..]))
    }

    /// The names among `known` that are handed to a runner of recipes, as `npm run lint` does.
    pub(super) fn calls<'a>(
        &'a self,
        known: impl Fn(&str) -> bool + 'a,
    ) -> impl Iterator<Item = &'a str> {
        let callers = self.each().filter(|(first, _)| among(first, CALLERS));
        let words = callers.flat_map(|(_, rest)| rest);
        let names = words.map(|word| word.strip_prefix("npm:").unwrap_or(word));
        names.filter(move |name| known(name))
    }

    /// Why nobody should run this for a look, as the end of "it ...".
    pub(super) fn objection(&self) -> Option<&'static str> {
        self.each().find_map(|(first, rest)| programs::objection(first, rest))
    }

    /// Whether it looks at the code and runs none of it.
    pub(super) fn only_lints(&self) -> bool {
        let mut commands =
            self.each().filter(|(first, _)| !among(first, programs::ASIDES)).peekable();
        commands.peek().is_some() && commands.all(|(first, rest)| programs::lints(first, rest))
    }

    /// Whether it has to do with tests, by any of its words.
    pub(super) fn tests(&self) -> bool {
        self.0
            .iter()
            .flat_map(|command| &command.words)
            .any(|word| word.to_ascii_lowercase().contains("test"))
    }

    /// Whether it does nothing but speak, as the script that `npm init` writes does.
    pub(super) fn only_speaks(&self) -> bool {
        self.each().all(|(first, _)| among(first, "echo exit true false : printf"))
    }

    /// Whether it goes on for ever, waiting for changes.
    pub(super) fn watches(&self) -> bool {
        self.each().any(|(first, rest)| {
            let has = |words| rest.iter().any(|word| among(word, words));
            let asked = has("--watch --watchAll --watch=true --watchAll=true");
            asked && !has("--run --no-watch") || among(first, "nodemon watchexec entr")
        })
    }

    /// The first program that is not there, of those that are known by name or belong to an
    /// environment of the project in `folder`.
    pub(super) fn missing(&self, folder: &Folder, tools: &Tools) -> Option<&str> {
        self.first_words().find(|name| {
            let known = among(name, programs::TOOLS) || among(name, programs::LINTERS);
            let environments = ["node_modules/", ".venv/", "venv/"];
            let name = name.trim_start_matches("./");
            known && !tools.has(name)
                || environments.iter().any(|start| name.starts_with(start)) && !folder.reaches(name)
        })
    }

    /// What a shell would look for: a program, or what runs it.
    fn first_words(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|command| command.through.as_ref().unwrap_or(&command.words[0]).as_str())
    }

    /// The names of the programs that it runs; without variables, paths and the shell's own words.
    pub(super) fn programs(&self) -> impl Iterator<Item = &str> {
        const BUILT_IN: &str = "cd echo exit true false : test [ [[ set export printf source . unset \
            trap ulimit umask wait eval in case esac return local read shift pushd popd";
        self.first_words()
            .filter(|name| !name.contains("$/={*<>".chars().collect::<Vec<_>>().as_slice()))
            .filter(|name| !among(name, BUILT_IN))
    }

    /// Whether it has to do with the tools of that ecosystem.
    pub(super) fn mentions(&self, ecosystem: Ecosystem) -> bool {
        self.each().any(|(first, _)| programs::belongs(first, ecosystem))
            || self.first_words().any(|first| programs::belongs(program(first), ecosystem))
    }

    /// Whether one of its words leads to the folder `at`.
    pub(super) fn names(&self, at: &str) -> bool {
        let words = self.0.iter().flat_map(|command| &command.words);
        let parts = words.flat_map(|word| word.split('='));
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

/// The program that a variable such as `$(MAKE)` or `${PYTHON}` stands for, by custom.
fn variable(word: &str) -> Option<String> {
    let name = word.strip_prefix("$(").or_else(|| word.strip_prefix("${"))?;
    let name = name.strip_suffix([')', '}'])?;
    name.chars().all(|c| c.is_ascii_uppercase() || c == '_').then(|| name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<String> {
        Commands::read(text).0.iter().map(|command| command.words.join(" ")).collect()
    }

    #[test]
    fn a_text_is_read_as_the_commands_it_runs() {
        assert_eq!(read("a && b|c; d\ne"), ["a", "b", "c", "d", "e"]);
        assert_eq!(read("@CI=1 cross-env A=b npx jest --ci # all"), ["jest --ci"]);
        assert_eq!(
            read("concurrently \"npm run a\" 'npm:b'"),
            ["concurrently npm run a npm:b", "npm run a"]
        );
        assert_eq!(read("-$(MAKE) check \\\n  -s"), ["make check -s"]);
        assert_eq!(read("uv run --frozen python -m pytest -q"), ["pytest -q"]);
        assert_eq!(read("if x; then y; fi"), ["x", "y"]);
        assert_eq!(read("echo $(git describe) ${CC}"), ["echo", "git describe", "cc"]);
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
