//! The table that people read.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::process::Command;

use super::figure::Line;
use super::{Bench, contender};

pub(super) fn render(bench: &Bench, lines: &[Line]) -> String {
    let mut page = String::from(HEAD);
    if bench.quick {
        page.push_str(
            "\n**Measured with `--quick`: too few rounds and too small sizes to say anything.**\n",
        );
    }
    let _ =
        writeln!(page, "\nMeasured on {}, on {}; {}.\n", today(), machine(), contender::versions());
    page.push_str(
        "| what | plain shell | other tool | ours | ratio | to reach | reached |\n\
         | --- | ---: | ---: | ---: | ---: | --- | --- |\n",
    );
    let mut notes = Notes::default();
    for line in lines {
        let marks: String = line.reasons().map(|(whose, why)| notes.mark(whose, why)).collect();
        let _ = writeln!(
            page,
            "| {}{marks} | {} | {} | {} | {} | {} | {} |",
            line.what,
            line.shell.as_ref().map(ToString::to_string).unwrap_or_default(),
            line.other,
            line.ours,
            line.ratio().map(|ratio| format!("{ratio:.1}×")).unwrap_or_default(),
            line.to_reach(),
            match line.reached() {
                Some(true) => "yes",
                Some(false) => "no",
                None => "not known",
            },
        );
    }
    page.push_str(&notes.text);
    page.push_str(TAIL);
    page
}

const HEAD: &str = "\
# Benchmarks

What it costs to be careful: this program, the TypeScript tool for the same job, and the plain
shell, each doing the same thing on the same machine, taking turns. Figures are medians unless
the row says otherwise; the ratio is the other tool's figure over ours.

`cargo xtask bench` measures all of it again and writes this page. `cargo xtask bench --rows
start,idle` measures some rows, `--quick` shows in a minute or two that the harness works.
";

const TAIL: &str = "
## Where a goal is not reached

- **A further stage** is a transaction of the journal, which is synced to the disk before the stage begins, and a
  process of its own that holds the stage. Both are what lets a run survive being killed.
- **Memory**: a run is three processes of one program, its runner, its guard and the holder of its stage, so that none
  of them takes the others with it. RSS counts the pages of the program, which they share, for each of them; PSS once.
- **`delegate.status`** answered in 0.4 ms in the middle when that was looked at; its p99 was between 1.0 and 2.2 ms at
  different times, on machines of the same kind, and why is not known.
";

/// Why figures are missing, each reason said once.
#[derive(Default)]
struct Notes {
    marks: BTreeMap<String, usize>,
    text: String,
}

impl Notes {
    fn mark(&mut self, whose: &str, why: &str) -> String {
        let note = format!("{whose}: {}", why.replace('\n', " "));
        let next = self.marks.len() + 1;
        let number = *self.marks.entry(note.clone()).or_insert_with(|| {
            let _ = write!(self.text, "\n[^{next}]: {note}\n");
            next
        });
        format!("[^{number}]")
    }
}

fn today() -> String {
    let output = Command::new("date").args(["-u", "+%Y-%m-%d"]).output();
    output.map_or_else(
        |_| "an unknown day".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let after = |text: &str, key: &str| {
        let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
        line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    let processor = after(&read("/proc/cpuinfo"), "model name");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kibibytes = after(&read("/proc/meminfo"), "MemTotal");
    let kibibytes = kibibytes.split(' ').next().and_then(|word| word.parse::<u64>().ok());
    let gibibytes = kibibytes.unwrap_or(0).div_ceil(1024 * 1024);
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{processor}, {cores} cores, {gibibytes} GiB, Linux {}", kernel.trim())
}

#[cfg(test)]
mod tests {
    use super::Notes;

    #[test]
    fn a_reason_is_said_once() {
        let mut notes = Notes::default();
        let marks = ["no npm", "no binary", "no npm"].map(|why| notes.mark("ours", why));
        assert_eq!(marks, ["[^1]", "[^2]", "[^1]"]);
        assert_eq!(notes.text, "\n[^1]: ours: no npm\n\n[^2]: ours: no binary\n");
    }
}
