//! What CMake, Meson and `./configure` build. Each builds in a folder of the run, so that the
//! work tree stays as it was.

use super::{
    finding::{Ecosystem, Finding, Role},
    tools::Tools,
    tree::Folder,
};

/// The folder to build in, as a shell sees it. Every run has its own, below `.runs`.
fn build_folder(folder: &Folder) -> String {
    let name: String =
        folder.at.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let tail = if name.is_empty() { name } else { format!("-{name}") };
    format!("\"$CODEX_ORCHESTRATOR_RUN_DIR/build{tail}\"")
}

pub(super) fn look(folder: &Folder, tools: &Tools) -> Option<Finding> {
    let looks = [cmake, meson, configure];
    let mut findings: Vec<Finding> = looks.iter().filter_map(|look| look(folder, tools)).collect();
    // Many projects can be built in more than one way. One that works here is enough.
    let best = findings.iter().position(|finding| !finding.checks.is_empty()).unwrap_or(0);
    (!findings.is_empty()).then(|| findings.swap_remove(best))
}

fn compiler(tools: &Tools) -> bool {
    ["cc", "gcc", "clang"].into_iter().any(|name| tools.has(name))
}

fn cmake(folder: &Folder, tools: &Tools) -> Option<Finding> {
    let lists = folder.text("CMakeLists.txt").filter(|_| folder.has("CMakeLists.txt"))?;
    let commands = cmake_commands(&lists);
    // Without a project it is a part of one.
    commands.iter().find(|command| command.name == "project")?;
    let mut finding = Finding::new(Ecosystem::Native, "CMake project", "CMakeLists.txt");
    if !tools.has("cmake") {
        finding.leave_out(
            "build and test with CMake",
            "`cmake` is not installed",
            "install `cmake`",
        );
        return Some(finding);
    }
    if !compiler(tools) {
        finding.leave_out(
            "build and test with CMake",
            "there is no C compiler",
            "install `gcc` or `clang`",
        );
        return Some(finding);
    }
    let build = build_folder(folder);
    finding.check(Role::Configure, "configure", format!("cmake -S . -B {build}"));
    finding.check(Role::Build, "build", format!("cmake --build {build}"));
    match cmake_tests(folder, &commands) {
        CmakeTests::On if tools.has("ctest") => {
            let ctest = format!("ctest --test-dir {build} --output-on-failure --no-tests=error");
            finding.check(Role::Test, "test", ctest);
        }
        CmakeTests::On => finding.leave_out("ctest", "it is not installed", "install `ctest`"),
        CmakeTests::Off(option) => finding.leave_out(
            "ctest",
            format!("the project builds its tests only with the option `{option}`"),
            format!("write a pipeline that configures with `-D{option}=ON`"),
        ),
        CmakeTests::None => {
            finding.leave_out("ctest", "the project declares no tests", "add some with `add_test`")
        }
    }
    Some(finding)
}

enum CmakeTests {
    On,
    /// Only with an option that is off unless asked for.
    Off(String),
    None,
}

/// One command of a CMakeLists.txt.
struct CmakeCommand {
    name: String,
    words: Vec<String>,
}

fn cmake_commands(text: &str) -> Vec<CmakeCommand> {
    let plain: String = text.lines().map(|line| line.split('#').next().unwrap_or_default()).fold(
        String::new(),
        |mut all, line| {
            all.push_str(line);
            all.push('\n');
            all
        },
    );
    let mut commands = Vec::new();
    let mut rest = plain.as_str();
    while let Some(open) = rest.find('(') {
        let name = rest[..open].trim_end();
        let begin =
            name.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(0, |at| at + 1);
        let mut depth = 0;
        let inner = &rest[open..];
        let end = inner.find(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            depth == 0
        });
        let Some(end) = end else { break };
        let words = inner[1..end].split(|c: char| c.is_whitespace() || "()\"".contains(c));
        let words = words.filter(|word| !word.is_empty()).map(str::to_owned).collect();
        commands.push(CmakeCommand { name: name[begin..].to_ascii_lowercase(), words });
        rest = &inner[end + 1..];
    }
    commands
}

/// Whether the project would have tests as it is built by default. Its `if`s are read as far as
/// they ask for options; what a function adds is taken as added.
fn cmake_tests(folder: &Folder, top: &[CmakeCommand]) -> CmakeTests {
    let mut options = Vec::new();
    let mut found = CmakeTests::None;
    let enables = |commands: &[CmakeCommand]| {
        commands.iter().any(|command| {
            command.name == "enable_testing"
                || command.name == "include"
                    && command.words.first().is_some_and(|word| word == "CTest")
        })
    };
    let mut enabled = enables(top);
    let mut left = 200;
    read_cmake(folder, "", top, &mut options, None, &mut found, &mut enabled, &mut left);
    if enabled { found } else { CmakeTests::None }
}

#[expect(clippy::too_many_arguments, reason = "one walk over many files with one state")]
fn read_cmake(
    folder: &Folder,
    at: &str,
    commands: &[CmakeCommand],
    options: &mut Vec<String>,
    within: Option<&str>,
    found: &mut CmakeTests,
    enabled: &mut bool,
    left: &mut usize,
) {
    let mut conditions: Vec<Option<String>> = Vec::new();
    for command in commands {
        let off = |conditions: &[Option<String>]| {
            conditions.iter().flatten().next().cloned().or_else(|| within.map(str::to_owned))
        };
        match command.name.as_str() {
            "option"
                if command.words.last().is_some_and(|word| word.eq_ignore_ascii_case("off")) =>
            {
                options.extend(command.words.first().cloned());
            }
            "if" => {
                let negated = command.words.iter().any(|word| word == "NOT" || word == "OR");
                let asked = command.words.iter().find(|word| !negated && options.contains(word));
                conditions.push(asked.cloned());
            }
            "elseif" | "else" => {
                conditions.pop();
                conditions.push(None);
            }
            "endif" => {
                conditions.pop();
            }
            "enable_testing" => *enabled = true,
            "add_subdirectory" if *left > 0 => {
                *left -= 1;
                let inner =
                    command.words.first().map(|word| format!("{at}{word}/")).unwrap_or_default();
                if let Some(text) = folder.text(&format!("{inner}CMakeLists.txt")) {
                    let off = off(&conditions);
                    let commands = cmake_commands(&text);
                    read_cmake(
                        folder,
                        &inner,
                        &commands,
                        options,
                        off.as_deref(),
                        found,
                        enabled,
                        left,
                    );
                }
            }
            "include" if *left > 0 => {
                *left -= 1;
                let file = command
                    .words
                    .first()
                    .map(|word| word.replace("${CMAKE_CURRENT_SOURCE_DIR}/", ""));
                let file = file.map(|file| format!("{at}{file}")).unwrap_or_default();
                if file.ends_with(".cmake")
                    && let Some(text) = folder.text(&file)
                {
                    let off = off(&conditions);
                    read_cmake(
                        folder,
                        at,
                        &cmake_commands(&text),
                        options,
                        off.as_deref(),
                        found,
                        enabled,
                        left,
                    );
                }
            }
            name if name == "add_test"
                || name.ends_with("_discover_tests")
                || name.ends_with("add_test") =>
            {
                match off(&conditions) {
                    None => *found = CmakeTests::On,
                    Some(option) if matches!(found, CmakeTests::None) => {
                        *found = CmakeTests::Off(option)
                    }
                    Some(_) => {}
                }
            }
            _ => {}
        }
    }
}

fn meson(folder: &Folder, tools: &Tools) -> Option<Finding> {
    let text = folder.text("meson.build").filter(|_| folder.has("meson.build"))?;
    text.lines().find(|line| line.trim_start().starts_with("project("))?;
    let mut finding = Finding::new(Ecosystem::Native, "Meson project", "meson.build");
    let missing = ["meson", "ninja"].into_iter().find(|name| !tools.has(name));
    if let Some(missing) = missing {
        finding.leave_out(
            "build and test with Meson",
            format!("`{missing}` is not installed"),
            format!("install `{missing}`"),
        );
        return Some(finding);
    }
    let build = build_folder(folder);
    // A wrap would download what the system does not have.
    finding.check(
        Role::Configure,
        "configure",
        format!("meson setup --wrap-mode=nodownload {build}"),
    );
    finding.check(Role::Build, "build", format!("meson compile -C {build}"));
    finding.check(Role::Test, "test", format!("meson test -C {build} --print-errorlogs"));
    Some(finding)
}

fn configure(folder: &Folder, tools: &Tools) -> Option<Finding> {
    let sources = ["configure.ac", "configure.in"].into_iter().find(|file| folder.has(file));
    let script = folder.text("configure").filter(|_| folder.has("configure"));
    let mut finding = match (&script, sources) {
        (None, None) => return None,
        (Some(_), _) => Finding::new(Ecosystem::Native, "Autotools project", "configure"),
        (None, Some(file)) => Finding::new(Ecosystem::Native, "Autotools project", file),
    };
    let what = "build and test with `./configure`";
    let Some(script) = script else {
        finding.leave_out(
            what,
            "the `configure` script has not been made",
            "run `autoreconf --install`",
        );
        return Some(finding);
    };
    // Others have taken the name for scripts of their own, which want to be run in their folder.
    let autoconf = script.lines().take(40).any(|line| line.contains("GNU Autoconf"));
    if !autoconf {
        finding.leave_out(
            what,
            "the script was not made by Autoconf",
            "write a pipeline that runs it",
        );
        return Some(finding);
    }
    if !compiler(tools) || !tools.has("make") {
        finding.leave_out(what, "there is no C compiler, or no `make`", "install `gcc` and `make`");
        return Some(finding);
    }
    let build = build_folder(folder);
    finding.check(
        Role::Configure,
        "configure",
        format!("sources=$PWD && mkdir -p {build} && cd {build} && \"$sources/configure\""),
    );
    finding.check(Role::Build, "build", format!("make -C {build}"));
    finding.check(Role::Test, "test", format!("make -C {build} check"));
    Some(finding)
}
