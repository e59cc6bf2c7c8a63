//! Projects that we know by their files and do not know how to check.

use super::{
    finding::{Ecosystem, Finding},
    tree::Folder,
};

pub(super) fn look(folder: &Folder) -> Option<Finding> {
    const KNOWN: [(&str, &str); 22] = [
        ("pom.xml", "Maven"),
        ("build.gradle", "Gradle"),
        ("build.gradle.kts", "Gradle"),
        ("build.sbt", "sbt"),
        ("Gemfile", "Ruby"),
        ("composer.json", "PHP"),
        ("Package.swift", "Swift"),
        ("mix.exs", "Elixir"),
        ("rebar.config", "Erlang"),
        ("build.zig", "Zig"),
        ("deno.json", "Deno"),
        ("deno.jsonc", "Deno"),
        ("dune-project", "OCaml"),
        ("stack.yaml", "Haskell"),
        ("cabal.project", "Haskell"),
        ("pubspec.yaml", "Dart"),
        ("WORKSPACE", "Bazel"),
        ("MODULE.bazel", "Bazel"),
        ("Taskfile.yml", "Task"),
        ("project.clj", "Clojure"),
        ("Makefile.PL", "Perl"),
        ("flake.nix", "Nix"),
    ];
    let by_end = |end: &str| folder.files.iter().find(|name| name.ends_with(end));
    let known = KNOWN
        .iter()
        .find(|(file, _)| folder.has(file))
        .map(|(file, what)| ((*file).to_owned(), *what));
    let known = known.or_else(|| {
        by_end(".sln").or_else(|| by_end(".csproj")).map(|file| (file.clone(), ".NET"))
    });
    let known = known.or_else(|| by_end(".cabal").map(|file| (file.clone(), "Haskell")));
    let (file, what) = known?;
    let mut finding = Finding::new(Ecosystem::Recipes, &format!("{what} project"), &file);
    finding.leave_out(
        format!("build and test with {what}"),
        format!("this version does not know how to check {what} projects"),
        "write a pipeline",
    );
    Some(finding)
}
