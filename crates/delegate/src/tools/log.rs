//! `delegate.log`: the end of what a stage wrote.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    os::{
        fd::AsRawFd,
        unix::fs::{MetadataExt, OpenOptionsExt},
    },
    path::Path,
};

use model::{Act, Mode, RunId, StageStatus};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{CommandEntry, Manifest};

use super::Offer;
use crate::{desk::Call, fault::Fault};

pub(super) struct Log;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// The run: the path of its manifest, or its id. Without it: your own run, or the one you
    /// spawned last.
    manifest_path: Option<String>,
    /// The stage's id; without it the first that failed, else the one that runs, else the last.
    stage: Option<String>,
    /// The last so many lines: 1 to 200; 40 when not said.
    lines: Option<u32>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Output {
    run_id: RunId,
    stage: String,
    status: StageStatus,
    /// What it wrote last; bytes that are no text are replaced.
    text: String,
    /// There is more before it.
    truncated: bool,
    log_path: String,
}

/// As much as is read from the end of a log: what a model can take in.
const MOST: u64 = 16 * 1024;

impl Offer for Log {
    type Input = Input;
    type Output = Output;
    const NAME: &'static str = "delegate.log";
    const TITLE: &'static str = "Read the end of a stage's output";
    const ABOUT: &'static str = "The last lines that a stage of a run wrote (1 to 200, 40 when not \
        said, at most 16 KiB). Without `stage`: the stage that failed first, else the one that runs, \
        else the last one.";
    const READ_ONLY: bool = true;
    const IDEMPOTENT: bool = true;
    const LEAST: Mode = Mode::Full;

    fn call(call: &Call<'_>, input: Input) -> Result<Output, Fault> {
        let target = call.target(input.manifest_path.as_deref())?;
        call.allowed(Act::Look, &target)?;
        let manifest =
            call.at(&target.root, |engine| Ok(engine.snapshot(&target.run)?.manifest))?;
        let entry = stage(&manifest, input.stage.as_deref())?;
        let path = entry.log_path.clone().ok_or_else(|| {
            let text = format!(
                "stage `{}` has written nothing: it is {}",
                entry.id,
                entry.status.as_str()
            );
            Fault::invalid(text, "delegate.status shows the stages that have run")
        })?;
        let lines = input.lines.unwrap_or(40).clamp(1, 200) as usize;
        let (text, truncated) = tail(&target.root.join(&path), lines);
        Ok(Output {
            run_id: manifest.run_id.clone(),
            stage: entry.id.clone(),
            status: entry.status,
            text,
            truncated,
            log_path: call.shown(&target.root, &path),
        })
    }
}

fn stage<'a>(manifest: &'a Manifest, named: Option<&str>) -> Result<&'a CommandEntry, Fault> {
    let stages = &manifest.commands;
    if let Some(named) = named {
        return stages.iter().find(|entry| entry.id == named).ok_or_else(|| {
            let ids: Vec<&str> = stages.iter().take(40).map(|entry| entry.id.as_str()).collect();
            let text = format!("the run has no stage `{}`", named.escape_debug());
            Fault::invalid(text, format!("its stages are {}", ids.join(", ")))
        });
    }
    let wrote = || stages.iter().filter(|entry| entry.log_path.is_some());
    let of = |status| wrote().find(move |entry| entry.status == status);
    of(StageStatus::Failed)
        .or_else(|| of(StageStatus::Running))
        .or_else(|| wrote().next_back())
        .ok_or_else(|| Fault::invalid("no stage of the run has run yet", "wait with delegate.wait"))
}

/// The last lines of a file, and whether there is more before them. A log that is gone is empty, and
/// so is what lies there instead of one: its stage could have put a way to another file there.
pub(super) fn tail(path: &Path, lines: usize) -> (String, bool) {
    let nothing = || (String::new(), false);
    // Somebody may have put a FIFO there.
    let open = File::options().read(true).custom_flags(libc_nonblock()).open(path);
    let Ok(mut file) = open else { return nothing() };
    let Ok(about) = file.metadata() else { return nothing() };
    let real = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()));
    if !about.is_file() || about.nlink() != 1 || real.is_ok_and(|real| real != path) {
        return nothing();
    }
    let from = about.len().saturating_sub(MOST);
    let mut bytes = Vec::new();
    if file.seek(SeekFrom::Start(from)).is_err() || file.take(MOST).read_to_end(&mut bytes).is_err()
    {
        return nothing();
    }
    let end = bytes.strip_suffix(b"\n").map_or(bytes.len(), <[u8]>::len);
    let begin = bytes[..end].iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
    let begin = begin.map(|(at, _)| at + 1).nth(lines.saturating_sub(1)).unwrap_or(0);
    let text = String::from_utf8_lossy(&bytes[begin..end]).into_owned();
    (text, from > 0 || begin > 0)
}

/// Opening a FIFO must not wait for its other end.
fn libc_nonblock() -> i32 {
    rustix::fs::OFlags::NONBLOCK.bits().cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_read_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let folder_path = folder.path().canonicalize().unwrap();
        let path = folder_path.join("log");
        let check = |bytes: &[u8], lines, expected: &str, more| {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(tail(&path, lines), (expected.to_owned(), more));
        };
        check(b"", 3, "", false);
        check(b"a\nb\nc\n", 3, "a\nb\nc", false);
        check(b"a\nb\nc\n", 2, "b\nc", true);
        check(b"a\nb", 1, "b", true);
        check(b"\xff\n", 1, "\u{fffd}", false);
        check(&[b'x'; 40_000], 1, &"x".repeat(16 * 1024), true);
        let nothing = (String::new(), false);
        assert_eq!(tail(&folder_path.join("gone"), 1), nothing);
        for link in [std::os::unix::fs::symlink, std::fs::hard_link] as [fn(_, _) -> _; 2] {
            let other = folder_path.join("other");
            link(path.clone(), other.clone()).unwrap();
            assert_eq!(tail(&other, 1), nothing);
            std::fs::remove_file(other).unwrap();
        }
    }
}
