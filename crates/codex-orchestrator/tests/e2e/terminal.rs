//! What somebody sees at a terminal, and what its keys do: in a real one, held by tmux.

use std::{fs, os::unix::fs::symlink, path::PathBuf, process::Command};

use serde_json::json;

use crate::scratch::{Done, Scratch, until, wait_for};

/// Pipelines to look at. What waits, waits for a file named `go`.
const PIPELINES: &str = r#"
run.max_parallel = 8
[pipelines.several]
stages = [
  { id = "one", command = "echo said by one; until [ -e go ]; do sleep 0.02; done", needs = [] },
  { id = "second", command = "printf 'no end of line'; until [ -e go ]; do sleep 0.02; done", needs = [] },
  { id = "bar", command = "printf '10%%\\r20%%\\r60%%'; until [ -e go ]; do sleep 0.02; done", needs = [] },
  { id = "wild", command = "printf '\\033[2J\\033[H\\033[31m\\033]0;title\\007日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語\\033[?1049h\\n'; until [ -e go ]; do sleep 0.02; done", needs = [] },
  { id = "last", command = "true", needs = ["one", "second", "bar", "wild"] },
]
[pipelines.bad]
stages = [
  { id = "good", command = "true" },
  { id = "bad", command = "seq 1 40; printf '\\033[31mlast words\\033[0m\\n' >&2; exit 3" },
  { id = "after", command = "true" },
]
[pipelines.ticks]
stages = [{ id = "tick", command = "while :; do echo x >> $CODEX_ORCHESTRATOR_GOAL; sleep 0.02; done" }]
[pipelines.stubborn]
stages = [{ id = "stay", command = "trap '' TERM INT; echo here; while :; do sleep 0.02; done" }]
"#;

/// A terminal with a shell in the repository.
struct Terminal {
    scratch: Scratch,
    socket: PathBuf,
}

impl Terminal {
    /// None where there is no tmux, which the test then says.
    fn open(columns: u16, rows: u16) -> Option<Self> {
        let scratch = Scratch::with(PIPELINES);
        let socket = scratch.folder().join("tmux");
        let terminal = Self { scratch, socket };
        let size = [columns.to_string(), rows.to_string()];
        let mut command = terminal.tmux(&[
            "new-session",
            "-d",
            "-x",
            &size[0],
            "-y",
            &size[1],
            "bash",
            "--norc",
            "--noprofile",
        ]);
        command.env_remove("NO_COLOR").env("PS1", "$ ").env("LANG", "C.UTF-8");
        // By the name that people type, whatever the program under test is called.
        let bin = terminal.scratch.folder().join("bin");
        fs::create_dir(&bin).expect("a folder");
        symlink(crate::scratch::program(), bin.join("codex-orch")).expect("a link");
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
        command.env("PATH", path);
        match command.output() {
            Ok(output) => {
                assert!(output.status.success(), "{output:?}");
                terminal.see("a prompt", |text| text.contains('$'));
                Some(terminal)
            }
            Err(_) => {
                say_that_it_was_skipped();
                None
            }
        }
    }

    fn tmux(&self, words: &[&str]) -> Command {
        let socket = self.socket.display().to_string();
        let words = [&["-u", "-S", &socket, "-f", "/dev/null"], words].concat();
        self.scratch.elsewhere("tmux", &words)
    }

    fn tell(&self, words: &[&str]) -> String {
        let output = self.tmux(words).output().expect("tmux");
        Done::of(&output).stdout
    }

    /// Types a line and Enter.
    fn line(&self, line: &str) {
        self.tell(&["send-keys", "-l", line]);
        self.tell(&["send-keys", "Enter"]);
    }

    fn key(&self, key: &str) {
        self.tell(&["send-keys", key]);
    }

    fn screen(&self) -> String {
        self.tell(&["capture-pane", "-p"]).trim_end().to_owned()
    }

    /// The screen, with what was scrolled away.
    fn everything(&self) -> String {
        self.tell(&["capture-pane", "-p", "-S", "-", "-E", "-"]).trim_end().to_owned()
    }

    /// Waits until the screen is so, and gives it.
    #[track_caller]
    fn see(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let mut last = String::new();
        let seen = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            until(what, || {
                last = self.screen();
                is_so(&last).then(|| last.clone())
            })
        }));
        seen.unwrap_or_else(|_| panic!("{what} was not to be seen:\n{last}"))
    }

    #[track_caller]
    fn see_all(&self, pieces: &[&str]) -> String {
        self.see(&format!("{pieces:?}"), |text| pieces.iter().all(|piece| text.contains(piece)))
    }

    fn go(&self) {
        fs::write(self.scratch.at("go"), "").expect("a file");
    }

    fn latest(&self) -> String {
        self.scratch.json(&["status"]).text("run_id")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tell(&["kill-server"]);
    }
}

#[expect(clippy::print_stderr, reason = "whoever reads the results of the tests is to know")]
fn say_that_it_was_skipped() {
    eprintln!("skipped: tmux is not installed");
}

#[test]
fn what_runs_is_shown_with_its_time_and_its_last_line() {
    let Some(terminal) = Terminal::open(80, 24) else { return };
    terminal.line("clear; codex-orch start several --task demo");
    let text = terminal.see_all(&["said by one", "no end of line", "60%", "日本語", "4 running"]);
    let line = |name: &str| {
        let begins = format!("▸ {name}");
        let found = text.lines().find(|line| line.starts_with(&begins));
        found.unwrap_or_else(|| panic!("{name}:\n{text}")).to_owned()
    };
    assert!(line("one ").ends_with("s  said by one"), "{text}");
    assert!(line("second ").ends_with("s  no end of line"), "{text}");
    assert!(line("bar ").ends_with("s  60%"), "what a bar says last: {text}");
    assert!(line("wild ").ends_with('…'), "what does not fit is cut: {text}");
    assert!(text.contains("0 of 5 done, 4 running, "), "{text}");
    assert_eq!(text.matches("of task demo").count(), 1, "{text}");
    terminal
        .see("time going on", |text| text.contains("running, 1.") || text.contains("running, 2."));
    terminal.go();
    let text = terminal.see_all(&["✓ succeeded in "]);
    assert!(!text.contains('▸') && !text.contains("running"), "nothing live is left:\n{text}");
    let mut ended: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("✓ ")?.split(' ').next()).collect();
    ended.sort_unstable();
    assert_eq!(ended, ["bar", "last", "one", "second", "succeeded", "wild"], "{text}");
}

#[test]
fn a_failed_stage_shows_its_last_lines_and_where_the_rest_is() {
    let Some(terminal) = Terminal::open(100, 40) else { return };
    terminal.line("clear; codex-orch start bad --task demo");
    let text = terminal.see_all(&["again:"]);
    let run = terminal.latest();
    let log = format!("    log: .runs/demo/cli/{run}/stages/02-bad.log");
    for piece in ["✗ bad", "exit code 3", "    40\n    last words\n", &log, "- after  skipped"] {
        assert!(text.contains(piece), "{piece}:\n{text}");
    }
    assert!(!text.contains("    20\n"), "not all of it:\n{text}");
    let again = format!("codex-orch resume {}", run.rsplit('-').next().unwrap());
    assert!(text.contains(&again), "{text}");
}

#[test]
fn a_long_description_is_cut_and_not_what_stands_beside_it() {
    let Some(terminal) = Terminal::open(80, 24) else { return };
    let long = "what it does and why ".repeat(20);
    terminal.scratch.config(&format!(
        "[pipelines.long]\ndescription = \"{long}\"\nstages = [{{ id = \"a\", command = \"true\" }}]\n"
    ));
    terminal.line("clear; codex-orch plan --list; echo code $?");
    let text = terminal.see_all(&["code 0"]);
    let line = text.lines().find(|line| line.starts_with("long ")).expect("its line");
    assert!(line.contains("orchestrator.toml:1  what it does") && line.ends_with('…'), "{text}");
    assert_eq!(
        text.matches("what it does").count(),
        line.matches("what it does").count(),
        "{text}"
    );
}

#[test]
fn a_terminal_that_changes_its_size_is_drawn_on_anew() {
    let Some(terminal) = Terminal::open(80, 24) else { return };
    terminal.line("clear; codex-orch start several --task demo");
    terminal.see_all(&["said by one", "4 running"]);
    for (columns, rows) in [("20", "20"), ("60", "24"), ("25", "16"), ("80", "24")] {
        terminal.tell(&["resize-window", "-x", columns, "-y", rows]);
        let width: usize = columns.parse().unwrap();
        // What stands above may be left of an earlier size: a terminal that breaks its lines anew
        // tells of its size only afterwards.
        terminal.see(columns, |text| {
            let lines: Vec<&str> = text.lines().collect();
            let last = &lines[lines.len().saturating_sub(5)..];
            let begins = ["▸ one ", "▸ second ", "▸ bar ", "▸ wild ", "  0 of 5 "];
            last.len() == 5
                && last.iter().zip(begins).all(|(line, begin)| line.starts_with(begin))
                && last.iter().all(|line| line.chars().count() < width)
                && (width < 30) == last[4].ends_with('…')
        });
    }
    terminal.go();
    terminal.see_all(&["✓ succeeded in "]);
    let text = terminal.everything();
    for name in ["one", "second", "bar", "wild", "last"] {
        assert_eq!(text.matches(&format!("✓ {name} ")).count(), 1, "{name}:\n{text}");
    }
}

#[test]
fn a_terminal_of_twenty_columns_is_enough() {
    let Some(terminal) = Terminal::open(20, 12) else { return };
    terminal.line("clear; codex-orch start several --task demo");
    let text = terminal.see_all(&["▸ one ", "▸ second ", "▸ bar ", "▸ wild ", "0 of 5"]);
    assert_eq!(text.matches("▸ one ").count(), 1, "{text}");
    terminal.go();
    terminal.see_all(&["✓ succeeded in"]);
    // Which of them ends first, and scrolls away, is chance.
    let text = terminal.everything();
    assert!(text.contains("✓ wild ") && !text.contains('▸'), "{text}");
}

#[test]
fn ctrl_c_cancels_and_twice_does_not_wait() {
    let Some(terminal) = Terminal::open(80, 24) else { return };
    terminal.line("clear; codex-orch start several --task demo; echo code $?");
    terminal.see_all(&["said by one"]);
    terminal.key("C-c");
    let text = terminal.see_all(&["code 5"]);
    assert!(text.contains("cancelled in ") && text.contains("(Ctrl-C)"), "{text}");
    // The grace time of this one is longer than any test.
    terminal.line("clear; codex-orch start stubborn --config run.grace=1h; echo code $?");
    terminal.see_all(&["▸ stay", "here"]);
    terminal.key("C-c");
    terminal.see_all(&["Ctrl-C again kills at once", "▸ stay"]);
    terminal.key("C-c");
    terminal.see_all(&["code 5", "■ stay"]);
    assert_eq!(terminal.scratch.processes_of(&terminal.latest()), Vec::<i32>::new());
}

#[test]
fn ctrl_z_stops_the_stages_and_fg_lets_them_go_on() {
    let Some(terminal) = Terminal::open(80, 24) else { return };
    let scratch = &terminal.scratch;
    let clock = ["start", "ticks", "--task", "clock", "--goal", "clock", "--detach"];
    let clock = scratch.json(&clock).text("run_id");
    terminal.line("clear; codex-orch start ticks --task demo --goal ticks");
    wait_for("ticks", || scratch.text("ticks").len() > 4);
    terminal.key("C-z");
    terminal.see_all(&["`fg` goes on", "Stopped"]);
    let before = scratch.text("ticks");
    let enough = scratch.text("clock").len() + 20;
    wait_for("time to pass", || scratch.text("clock").len() > enough);
    assert_eq!(scratch.text("ticks"), before, "its stage stands still as well");
    let status = scratch.json(&["status", "--task", "demo"]);
    assert_eq!(status.text("status"), "paused", "so says another terminal");
    let run = status.text("run_id");
    let resume = scratch.run(&["resume", &run]);
    assert!(resume.code == 4 && resume.stderr.contains("`fg`"), "{resume:?}");
    terminal.line("fg");
    wait_for("more ticks", || scratch.text("ticks").len() > before.len() + 4);
    let text = terminal.see("its line", |text| text.lines().any(|line| line.starts_with("▸ tick")));
    assert_eq!(text.matches("▸ tick").count(), 1, "{text}");
    // It can be paused from elsewhere too, and says how it goes on.
    assert_eq!(scratch.run(&["pause", &run]).code, 0);
    terminal.see_all(&["‖ tick", "codex-orch resume"]);
    // A stopped runner is no reason to wait.
    assert_eq!(scratch.run(&["resume", &run]).code, 0);
    terminal.key("C-z");
    terminal.see("stopped again", |text| text.matches("Stopped").count() == 2);
    assert_eq!(scratch.json(&["cancel", &run]).text("status"), "cancelled");
    assert_eq!(scratch.processes_of(&run), Vec::<i32>::new());
    scratch.run(&["cancel", &clock]);
}

#[test]
fn a_closed_terminal_ends_what_it_shows_and_not_what_it_started() {
    let Some(terminal) = Terminal::open(80, 24) else { return };
    let scratch = &terminal.scratch;
    terminal.line("clear; codex-orch start ticks --task back --goal back --detach");
    terminal.see_all(&["in the background"]);
    terminal.line("clear; codex-orch start ticks --task front --goal front");
    terminal.see_all(&["▸ tick"]);
    terminal.tell(&["kill-session"]);
    let status = |task: &str| scratch.json(&["status", "--task", task]).document;
    wait_for("the end of the one", || status("front")["status"] == json!("cancelled"));
    assert_eq!(status("front")["status_detail"], json!("its terminal was closed"));
    let enough = scratch.text("back").len() + 10;
    wait_for("the other to go on", || scratch.text("back").len() > enough);
    assert_eq!(status("back")["status"], json!("in_progress"));
    assert_eq!(scratch.run(&["cancel", "--task", "back"]).code, 0);
}

#[test]
fn there_is_colour_only_where_it_is_wanted() {
    let Some(terminal) = Terminal::open(100, 40) else { return };
    let painted = |setting: &str, task: &str| {
        terminal.line(&format!("clear; {setting} codex-orch start bad --task {task}"));
        terminal.see_all(&[&format!(" of task {task}: "), "again:"]);
        terminal.tell(&["capture-pane", "-p", "-e"]).contains("\x1b[31m✗")
    };
    assert!(painted("A=b", "one"));
    assert!(!painted("NO_COLOR=1", "two"));
    assert!(!painted("TERM=dumb", "three"));
    assert!(painted("NO_COLOR=", "four"));
}

#[test]
fn a_terminal_that_is_a_log_gets_plain_lines() {
    let Some(terminal) = Terminal::open(80, 40) else { return };
    for (setting, task) in [("TERM=dumb", "dumb"), ("CI=true", "built")] {
        let _ = fs::remove_file(terminal.scratch.at("go"));
        terminal.line(&format!("clear; {setting} codex-orch start several --task {task}"));
        terminal.see_all(&[&format!("of task {task}: "), "▸ one     echo said by one"]);
        terminal.go();
        let text = terminal.see_all(&[&format!("of task {task}: "), "✓ succeeded in "]);
        assert!(!text.contains("running"), "{setting}: {text}");
    }
}

#[test]
fn status_watch_shows_what_changes_until_the_end() {
    let Some(terminal) = Terminal::open(80, 24) else { return };
    let run = terminal.scratch.start("several");
    terminal
        .line(&format!("clear; codex-orch status {run} --watch --interval 100ms; echo code $?"));
    let text = terminal.see_all(&["said by one", "60%", "last    pending"]);
    assert_eq!(text.matches("in_progress").count(), 1, "{text}");
    terminal.go();
    let text = terminal.see_all(&["✓ succeeded after", "code 0"]);
    assert_eq!(text.matches("pipeline several").count(), 1, "one frame is left:\n{text}");
    assert!(!text.contains("said by one\n  ▸"), "{text}");
}

#[test]
fn setup_asks_whoever_sits_there() {
    let Some(terminal) = Terminal::open(100, 40) else { return };
    let config = terminal.scratch.folder().join(".codex/config.toml");
    // What is on the screen of the round before is no answer to this one.
    let round = |words: &str, shows: &str, asks: &str, answer: &str, ends: &str| {
        let name = format!("[{words}] [{answer}]");
        terminal.line(&format!("clear; echo '{name}'; codex-orch {words}; echo code $?"));
        let asked = |text: &str| text.starts_with(&name) && text.contains(shows);
        terminal.see(&name, |text| asked(text) && text.ends_with(asks));
        terminal.line(answer);
        terminal.see(&name, |text| asked(text) && text.contains(ends) && text.contains("code 0"));
    };
    for answer in ["", "n", "maybe"] {
        round("setup", "+ enabled = false", "write it? [y/N]", answer, "nothing was changed yet");
        assert!(!config.exists(), "{answer}");
    }
    round("setup", "+ enabled = false", "write it? [y/N]", "y", "done; off until a session asks");
    assert!(config.exists());
    round("setup --undo", "- enabled = false", "take it back? [y/N]", "yes", "taken back");
    assert!(!config.exists());
}
