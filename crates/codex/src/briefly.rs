//! Processes that are started for what they say, and are over in a moment.

use std::{
    io::{self, Read, Write},
    os::unix::process::CommandExt,
    process::{Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// What is read of them at most: it is text for people, and answers of a line.
const LONGEST: usize = 1 << 20;

/// What came of one.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// Both of its outputs.
    pub(crate) said: String,
}

/// Why nothing came of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotEnded {
    #[error("it could not be started")]
    Start(#[source] io::Error),
    #[error("it could not be listened to")]
    Listen(#[source] io::Error),
    #[error("it was not over after {} s", .0.as_secs())]
    Late(Duration),
}

/// What is done to one that takes too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Late {
    Kill,
    /// What it is at must not be cut short. Its input is at its end then, so it will be over too.
    Leave,
}

/// Runs it with that for its input, until it has nothing more to say. Its input is at its end when it
/// has said enough.
pub(crate) fn run(
    command: &mut Command,
    input: &str,
    enough: impl Fn(&str) -> bool,
    limit: Duration,
    late: Late,
) -> Result<Ended, NotEnded> {
    let deadline = Instant::now() + limit;
    if late == Late::Leave {
        // Nor by a key that is meant for us.
        command.process_group(0);
    }
    let (mut said, says) = io::pipe().map_err(NotEnded::Listen)?;
    let errors = says.try_clone().map_err(NotEnded::Listen)?;
    let spawned = command.stdin(Stdio::piped()).stdout(says).stderr(errors).spawn();
    // The command holds our ends of its outputs, which would never be at their end.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = spawned.map_err(NotEnded::Start)?;
    let mut stdin = child.stdin.take();
    if let Some(stdin) = &mut stdin {
        // The little that is written fits into the pipe. One that does not read says why below.
        let _ = stdin.write_all(input.as_bytes());
    }
    let mut text = Vec::new();
    let outcome = loop {
        if stdin.is_some() && enough(&String::from_utf8_lossy(&text)) {
            stdin = None;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout =
            Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        let mut ready = [PollFd::new(&said, PollFlags::IN)];
        match poll(&mut ready, Some(&timeout)) {
            Ok(0) => break Err(NotEnded::Late(limit)),
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => break Err(NotEnded::Listen(error.into())),
        }
        let mut some = [0; 8192];
        match said.read(&mut some) {
            Ok(0) => break Ok(()),
            Ok(length) if text.len() < LONGEST => text.extend_from_slice(&some[..length]),
            Ok(_) => {}
            Err(error) => break Err(NotEnded::Listen(error)),
        }
    };
    drop(stdin);
    if outcome.is_err() {
        if late == Late::Kill {
            let _ = child.kill();
            let _ = child.wait();
        }
        outcome?;
    }
    let status = child.wait().map_err(NotEnded::Listen)?;
    Ok(Ended { status, said: String::from_utf8_lossy(&text).into_owned() })
}

#[cfg(test)]
mod tests {
    use std::{process::Command, time::Duration};

    use super::{Late, NotEnded, run};

    const SOON: Duration = Duration::from_secs(30);

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn both_outputs_are_heard_until_they_end() {
        let ended = run(&mut sh("cat; echo no >&2; exit 3"), "yes\n", |_| true, SOON, Late::Kill)
            .expect("it ends");
        assert_eq!((ended.said.as_str(), ended.status.code()), ("yes\nno\n", Some(3)));
    }

    #[test]
    fn the_input_ends_when_enough_was_said() {
        let enough = |said: &str| said.contains("enough");
        let ended = run(
            &mut sh("read line; echo enough; cat; echo over"),
            "go\n",
            enough,
            SOON,
            Late::Kill,
        );
        assert_eq!(ended.expect("it ends").said, "enough\nover\n");
    }

    #[test]
    fn what_takes_too_long_is_killed() {
        let soon = Duration::from_millis(50);
        let late = run(&mut sh("exec sleep 1000"), "", |_| true, soon, Late::Kill);
        assert!(matches!(late, Err(NotEnded::Late(_))), "{late:?}");
    }

    #[test]
    fn what_is_not_there_is_not_started() {
        let missing = run(&mut Command::new("/no/such/program"), "", |_| true, SOON, Late::Kill);
        assert!(matches!(missing, Err(NotEnded::Start(_))), "{missing:?}");
    }

    #[test]
    fn what_says_more_than_anybody_reads_still_ends() {
        let ended =
            run(&mut sh("yes | head -c 3000000"), "", |_| true, SOON, Late::Kill).expect("it ends");
        assert!(ended.said.len() < 2_000_000 && ended.status.success());
    }
}
