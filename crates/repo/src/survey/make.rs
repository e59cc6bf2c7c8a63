//! The targets of a Makefile.

use std::collections::BTreeMap;

use super::{
    commands::Commands,
    finding::{Check, Ecosystem, Role},
    recipe::{Recipe, Recipes, blocks},
    tree::Folder,
};

/// A Makefile that a person wrote, or that `./configure` made.
pub(super) struct Makefile {
    pub(super) recipes: Recipes,
    /// What `make` builds when it is given no name.
    first: Option<String>,
}

/// The folder's Makefile.
pub(super) fn makefile(folder: &Folder) -> Option<Makefile> {
    let file = ["GNUmakefile", "makefile", "Makefile"].into_iter().find(|name| folder.has(name))?;
    // A project with a Makefile yet to be made may have another that says so.
    if !folder.has("Makefile") && (folder.has("Makefile.in") || folder.has("Makefile.am")) {
        return None;
    }
    let text = folder.text(file)?;
    // What CMake or Perl left there by building in the sources is no Makefile of the project.
    let head: String = text.lines().take(10).collect();
    if head.contains("CMAKE generated file") || head.contains("ExtUtils::MakeMaker") {
        return None;
    }
    let mut all = BTreeMap::new();
    let mut first = None;
    read(&text, &mut all, &mut first);
    let included = text.lines().filter_map(|line| {
        let line = line.trim_start_matches('-');
        line.strip_prefix("include ").or_else(|| line.strip_prefix("sinclude "))
    });
    for path in included.flat_map(str::split_whitespace).filter(|path| !path.contains('$')) {
        if let Some(text) = folder.text(path) {
            read(&text, &mut all, &mut first);
        }
    }
    let recipes = Recipes { file: file.to_owned(), runner: "make".to_owned(), all };
    Some(Makefile { recipes, first })
}

impl Makefile {
    /// The check that builds, where no target is called `build`: `all`, or what `make` builds
    /// by itself when that is to compile. The first target of a Makefile may as well deploy.
    pub(super) fn build(&self) -> Option<Check> {
        let fit = |name: &str| {
            let (commands, through) = self.recipes.all_of(name);
            // What it needs by a variable, or by a rule that every `make` has, is made unseen.
            let mut needs = through.into_iter().chain([name]).flat_map(|name| self.needs(name));
            let unseen = needs.any(|need| !self.recipes.all.contains_key(need));
            let wanted = commands.objection().is_none() && (unseen || !commands.only_speaks());
            wanted.then_some(commands)
        };
        if self.recipes.all.contains_key("all") {
            return Some(self.recipes.check(Role::Build, "all", fit("all")?));
        }
        let commands = fit(self.first.as_deref()?)?;
        let compiles = commands.mentions(Ecosystem::Native);
        let mut check = Check::new(Role::Build, "build", "make".to_owned(), &self.recipes.file);
        check.recipe = Some(commands);
        compiles.then_some(check)
    }

    fn needs(&self, name: &str) -> impl Iterator<Item = &String> {
        self.recipes.all.get(name).into_iter().flat_map(|recipe| &recipe.needs)
    }
}

fn read(text: &str, all: &mut BTreeMap<String, Recipe>, first: &mut Option<String>) {
    for (head, body) in blocks(text, &['\t']) {
        let head = head.trim_end();
        let head = &head[..head.find('#').unwrap_or(head.len())];
        // `name = value`, `name := value` and the like are no targets, though they may have a colon.
        let Some(colon) = head.find(':') else { continue };
        let (names, after) = (&head[..colon], head[colon + 1..].trim_start_matches(':'));
        if names.contains('=') || after.starts_with('=') || names.starts_with([' ', '\t']) {
            continue;
        }
        let (needs, same_line) = after.split_once(';').unwrap_or((after, ""));
        if needs.contains('=') {
            continue;
        }
        let needs = needs.split_whitespace().filter(|word| *word != "|").map(str::to_owned);
        let needs: Vec<String> = needs.collect();
        for name in names.split_whitespace() {
            if !name.starts_with('.') && !name.contains(['%', '$']) {
                first.get_or_insert_with(|| name.to_owned());
                let recipe: &mut Recipe = all.entry(name.to_owned()).or_default();
                recipe.needs.extend(needs.iter().cloned());
                recipe.commands.extend(Commands::read(same_line));
                recipe.commands.extend(Commands::read(&body));
            } else if name.contains('$') && !name.starts_with('.') {
                // A first target whose name is a variable: what it builds is not told, but how.
                first.get_or_insert_with(|| name.to_owned());
                let recipe: &mut Recipe = all.entry(name.to_owned()).or_default();
                recipe.commands.extend(Commands::read(&body));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_with_what_they_need() {
        let mut all = BTreeMap::new();
        let mut first = None;
        let text = ".PHONY: test\nCC := cc\nURL = http://x\nprog: main.o | out\n\t$(CC) -o $@ $^\n\
                    test: CFLAGS = -g\ntest check: prog ## runs\n\t./prog \\\n\t--all\n%.o: %.c\n\tcc -c $<\nx: ; echo y\n";
        read(text, &mut all, &mut first);
        assert_eq!(all.keys().collect::<Vec<_>>(), ["check", "prog", "test", "x"]);
        assert_eq!(first.as_deref(), Some("prog"));
        assert_eq!(all["prog"].needs, ["main.o", "out"]);
        assert_eq!(all["test"].commands, Commands::read("./prog --all"));
        assert_eq!(all["x"].commands, Commands::read("echo y"));
    }
}
