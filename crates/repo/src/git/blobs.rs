//! What a commit has in its files, as it was stored: no filter, no text conversion.

use std::{
    ffi::OsStr,
    io::{Read, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use super::{end, git, readable};

/// Why git did not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoBlobs {
    #[error("git is not installed")]
    NoGit,
    #[error("git did not answer in time")]
    Late,
    #[error("git cannot read this repository")]
    Refused,
    #[error("what is committed is too large")]
    TooLarge,
}

/// What `commit` has at each of `paths`, symlinks within the commit being followed; `None` where
/// it has no file, or a link to something that is not in the commit. Together they are at most
/// `largest` bytes.
pub(crate) fn blobs(
    common_dir: &Path,
    commit: &str,
    paths: &[&str],
    largest: u64,
    patience: Duration,
) -> Result<Vec<Option<Vec<u8>>>, NoBlobs> {
    blobs_by(OsStr::new("git"), common_dir, commit, paths, largest, patience)
}

fn blobs_by(
    program: &OsStr,
    common_dir: &Path,
    commit: &str,
    paths: &[&str],
    largest: u64,
    patience: Duration,
) -> Result<Vec<Option<Vec<u8>>>, NoBlobs> {
    let mut git = git(program, common_dir);
    let asked = git
        // An object that was replaced is not what was committed.
        .env("GIT_NO_REPLACE_OBJECTS", "1")
        .args(["cat-file", "--batch", "--follow-symlinks"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn();
    let mut child = asked.map_err(|_| NoBlobs::NoGit)?;
    let said = ask(&mut child, commit, paths, largest, patience);
    end(&mut child);
    let said = said?;
    let mut rest = said.as_slice();
    paths.iter().map(|_| next(&mut rest).ok_or(NoBlobs::Refused)).collect()
}

fn ask(
    child: &mut Child,
    commit: &str,
    paths: &[&str],
    largest: u64,
    patience: Duration,
) -> Result<Vec<u8>, NoBlobs> {
    // A few short lines, which a pipe holds whether git reads them or not.
    let lines: String = paths.iter().map(|path| format!("{commit}:{path}\n")).collect();
    let mut input = child.stdin.take().ok_or(NoBlobs::NoGit)?;
    // Where git has ended by itself, its output says so.
    let _ = input.write_all(lines.as_bytes());
    drop(input);

    // Room for what git writes around the contents.
    let most = largest.saturating_add(4096);
    let mut output = child.stdout.take().ok_or(NoBlobs::NoGit)?;
    let mut said = Vec::new();
    let mut piece = vec![0; 64 * 1024];
    let begun = Instant::now();
    loop {
        if !readable(&output, patience.saturating_sub(begun.elapsed())) {
            return Err(NoBlobs::Late);
        }
        match output.read(&mut piece) {
            Ok(0) => return Ok(said),
            Ok(some) => said.extend_from_slice(&piece[..some]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return Err(NoBlobs::Refused),
        }
        if said.len() as u64 > most {
            return Err(NoBlobs::TooLarge);
        }
    }
}

/// Takes the next answer off what git said; `None` when there is no whole one.
fn next(said: &mut &[u8]) -> Option<Option<Vec<u8>>> {
    let end = said.iter().position(|&byte| byte == b'\n')?;
    let head = std::str::from_utf8(&said[..end]).ok()?;
    let rest = &said[end + 1..];
    if head.ends_with(" missing") {
        *said = rest;
        return Some(None);
    }
    // `HASH blob SIZE`, or `symlink SIZE` and the like; each is followed by that many bytes.
    let size: usize = head.rsplit(' ').next()?.parse().ok()?;
    let (text, rest) = (rest.get(..size)?, rest.get(size..)?.strip_prefix(b"\n")?);
    *said = rest;
    let is_file = head.split(' ').nth(1) == Some("blob");
    Some(is_file.then(|| text.to_vec()))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use nix::{sys::signal::killpg, unistd::Pid};

    use super::*;

    #[test]
    fn answers_are_told_apart_whatever_is_in_them() {
        let mut said: &[u8] =
            b"c0ffee blob 9\n1\nmissing\nsymlink 4\n../x\nHEAD:a b missing\nc0ffee tree 3\n\0\n\0\n";
        assert_eq!(next(&mut said), Some(Some(b"1\nmissing".to_vec())));
        assert_eq!(
            [next(&mut said), next(&mut said), next(&mut said)],
            [Some(None), Some(None), Some(None)]
        );
        assert_eq!(next(&mut said), None);
        for broken in
            ["", "c0ffee blob 3\nab", "c0ffee blob 3\nabcd\n", "fatal: no\n", "x blob -1\n"]
        {
            assert_eq!(next(&mut broken.as_bytes()), None, "{broken:?}");
        }
    }

    /// A git that is this script.
    fn with_git(script: &str, patience: Duration) -> Result<Vec<Option<Vec<u8>>>, NoBlobs> {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("git");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let told = blobs_by(program.as_os_str(), folder.path(), "c", &["a"], 10_000, patience);
        if let Ok(group) = fs::read_to_string(folder.path().join("group")) {
            let group = Pid::from_raw(group.trim().parse().unwrap());
            let begun = Instant::now();
            while killpg(group, None).is_ok() {
                assert!(begun.elapsed() < Duration::from_secs(30), "something of it is left");
                std::thread::yield_now();
            }
        }
        told
    }

    #[test]
    fn a_git_that_does_not_tell_is_no_answer_and_leaves_nothing() {
        let patience = Duration::from_secs(30);
        assert_eq!(with_git("echo 'h blob 2'; echo hi", patience), Ok(vec![Some(b"hi".to_vec())]));
        assert_eq!(with_git("exit 128", patience), Err(NoBlobs::Refused));
        assert_eq!(with_git("echo 'h blob 9'; echo hi", patience), Err(NoBlobs::Refused));
        assert_eq!(with_git("cat /dev/zero", patience), Err(NoBlobs::TooLarge));
        let hangs = with_git("echo $$ > group; sleep 1000 | cat", Duration::from_secs(1));
        assert_eq!(hangs, Err(NoBlobs::Late));
        let nowhere = blobs_by(OsStr::new("/nothing/git"), Path::new("/"), "c", &[], 1, patience);
        assert_eq!(nowhere, Err(NoBlobs::NoGit));
    }
}
