//! A command that is run for a notice.

use std::{
    fs::File,
    io::{self, PipeReader, Read, Seek, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::process::{CommandExt, ExitStatusExt},
    },
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use model::CommandLine;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Pid, Signal, kill_process_group},
};

use crate::{Parcel, Undelivered, line};

/// More than this of a variable is no line on a screen, and the kernel takes only so much of all.
const LONGEST_VARIABLE: usize = 8 * 1024;

/// How often to look where an end cannot be waited for.
const LOOK_OFTEN: Duration = Duration::from_millis(20);

/// How much is kept of the end of what a command complains.
const KEPT: usize = 2048;

/// Runs the command once, and waits until it has ended. It reads the document, and has the variables
/// beside the environment of this process. When its time is up it is killed, with whatever is in its
/// process group by then; what it leaves behind when it ends by itself is its own affair.
///
/// # Errors
///
/// When it cannot be started, fails, or does not end in time.
pub fn run(command: &CommandLine, parcel: &Parcel, timeout: Duration) -> Result<(), Undelivered> {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |error: std::io::Error| Undelivered::new(&format!("{what}: {error}"))
    };
    let (complaints, theirs) = io::pipe().map_err(failed("a pipe"))?;
    rustix::io::ioctl_fionbio(&complaints, true).map_err(|error| failed("a pipe")(error.into()))?;
    let document = readable(&parcel.document).map_err(failed("the notice"))?;
    let mut program = program(command);
    let name = program.get_program().to_string_lossy().into_owned();
    let mut child = program
        .envs(parcel.variables.iter().map(|(name, value)| (name, fit(value))))
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::from(document))
        .stdout(Stdio::null())
        .stderr(Stdio::from(theirs))
        .spawn()
        .map_err(failed(&name))?;
    // The end that it was given is not to be kept open by us.
    drop(program);
    let watched = watch(&mut child, complaints, Instant::now() + timeout);
    let (status, said) = watched.map_err(failed("the command cannot be waited for"))?;
    let Some(status) = status else {
        return Err(Undelivered::new(&format!("the command did not end within {timeout:?}")));
    };
    match status.success() {
        true => Ok(()),
        false => {
            let said = line(&String::from_utf8_lossy(&said));
            let colon = if said.is_empty() { "" } else { ": " };
            Err(Undelivered::new(&format!("the command {}{colon}{said}", ending(status))))
        }
    }
}

fn program(command: &CommandLine) -> Command {
    match command {
        CommandLine::Shell(line) => {
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(line);
            shell
        }
        CommandLine::Argv(words) => {
            let mut program = Command::new(words.first().map_or("", String::as_str));
            program.args(words.iter().skip(1));
            program
        }
    }
}

/// A file that is nowhere, so that nobody waits for a command that does not read.
fn readable(document: &[u8]) -> std::io::Result<File> {
    let mut file = nameless()?;
    file.write_all(document)?;
    file.rewind()?;
    Ok(file)
}

#[cfg(target_os = "linux")]
fn nameless() -> std::io::Result<File> {
    use rustix::fs::{MemfdFlags, memfd_create};
    Ok(File::from(memfd_create("notice", MemfdFlags::CLOEXEC)?))
}

/// Whoever reads it has it, and nobody finds it.
#[cfg(not(target_os = "linux"))]
fn nameless() -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let path = std::env::temp_dir().join(format!("notice-{}", std::process::id()));
    let mut how = File::options();
    let file = how.read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    std::fs::remove_file(path)?;
    Ok(file)
}

/// What can be waited for until a process has ended.
#[cfg(target_os = "linux")]
fn end_of(process: Pid) -> std::io::Result<Option<OwnedFd>> {
    use rustix::process::{PidfdFlags, pidfd_open};
    Ok(Some(pidfd_open(process, PidfdFlags::empty())?))
}

/// Here one has to look.
#[cfg(not(target_os = "linux"))]
fn end_of(_process: Pid) -> std::io::Result<Option<OwnedFd>> {
    Ok(None)
}

/// The value without what no variable can have.
fn fit(value: &str) -> String {
    let mut value = value.replace('\0', "");
    if value.len() > LONGEST_VARIABLE {
        let end = (0..=LONGEST_VARIABLE).rev().find(|&end| value.is_char_boundary(end));
        value.truncate(end.unwrap_or_default());
        value.push('…');
    }
    value
}

/// Waits for the end of the command, and keeps the last it complained. No status: its time was up.
fn watch(
    child: &mut Child,
    mut complaints: PipeReader,
    deadline: Instant,
) -> std::io::Result<(Option<ExitStatus>, Vec<u8>)> {
    let pid = Pid::from_child(child);
    let end = end_of(pid)?;
    let mut said = Vec::new();
    let mut open = true;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            // Nobody has taken leave of it yet, so that the number is still its own.
            let _ = kill_process_group(pid, Signal::KILL);
            child.wait()?;
            return Ok((None, said));
        }
        let left = if end.is_some() { left } else { left.min(LOOK_OFTEN) };
        let time = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        let mut fds: Vec<_> = end.iter().map(|end| PollFd::new(end, PollFlags::IN)).collect();
        if open {
            fds.push(PollFd::from_borrowed_fd(complaints.as_fd(), PollFlags::IN));
        }
        match poll(&mut fds, Some(&time)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let status = child.try_wait()?;
        open = open && keep(&mut complaints, &mut said);
        if status.is_some() {
            return Ok((status, said));
        }
    }
}

/// Keeps the end of what there is to be read. Says whether more may come.
fn keep(from: &mut PipeReader, said: &mut Vec<u8>) -> bool {
    let mut piece = [0; 4096];
    // Bounded, because somebody who writes without end must not keep us from the time.
    for _ in 0..64 {
        match from.read(&mut piece) {
            Ok(0) => return false,
            Ok(count) => {
                said.extend_from_slice(&piece[..count]);
                said.drain(..said.len().saturating_sub(KEPT));
            }
            Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
        }
    }
    true
}

fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended somehow".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AMPLE: Duration = Duration::from_secs(60);

    fn parcel() -> Parcel {
        let variables = vec![("NOTICE_A".to_owned(), "b\0c".to_owned())];
        Parcel { document: b"{\"a\":1}".to_vec(), variables }
    }

    fn check(line: &str, timeout: Duration) -> String {
        let shell = CommandLine::Shell(line.to_owned());
        run(&shell, &parcel(), timeout).map_or_else(|error| error.to_string(), |()| "told".into())
    }

    #[test]
    fn a_command_reads_the_notice_and_has_its_parts() {
        assert_eq!(
            check("test \"$(cat)\" = '{\"a\":1}' && test \"$NOTICE_A\" = bc", AMPLE),
            "told"
        );
        // It need not read, however much there is.
        let parcel = Parcel { document: vec![b' '; 1 << 20], variables: Vec::new() };
        let words = CommandLine::Argv(vec!["true".to_owned()]);
        assert_eq!(run(&words, &parcel, AMPLE), Ok(()));
    }

    #[test]
    fn what_a_command_says_last_is_why_it_failed() {
        assert_eq!(
            check("echo first >&2; printf '\\033[1mno \\007bus\\n' >&2; exit 3", AMPLE),
            "the command exited with 3: [1mno bus"
        );
        assert_eq!(check("exit 4", AMPLE), "the command exited with 4");
        assert_eq!(check("kill -TERM $$", AMPLE), "the command was ended by signal 15");
        let missing = CommandLine::Argv(vec!["no-such-program".to_owned()]);
        let said = run(&missing, &parcel(), AMPLE).unwrap_err().said;
        assert!(said.starts_with("no-such-program: "), "{said}");
    }

    #[test]
    fn a_command_whose_time_is_up_is_killed_with_its_children() {
        let folder = std::env::temp_dir().join(format!("notify-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let held = folder.join("held");
        std::fs::write(&held, "").unwrap();
        // Whoever has the file open is alive; complaints without end do not keep it so.
        let line = format!("exec 9<{}; sleep 600 & yes >&2", held.display());
        let said = check(&line, Duration::from_millis(300));
        assert_eq!(said, "the command did not end within 300ms");
        let open = || {
            let all = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
            let fd = |entry: std::fs::DirEntry| std::fs::read_link(entry.path().join("fd/9")).ok();
            all.filter_map(fd).any(|path| path == held)
        };
        let deadline = Instant::now() + AMPLE;
        while open() {
            assert!(Instant::now() < deadline, "a child is left");
            std::thread::yield_now();
        }
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_a_command_leaves_behind_does_not_keep_anybody_waiting() {
        assert_eq!(
            check("(while [ -e /proc/$PPID ] && sleep 0.01; do :; done) & exit 0", AMPLE),
            "told"
        );
    }

    #[test]
    fn a_long_value_is_cut_at_a_character() {
        let long = fit(&"ä".repeat(LONGEST_VARIABLE));
        assert_eq!(long.chars().count(), LONGEST_VARIABLE / 2 + 1);
        assert!(long.ends_with("ä…"));
        assert_eq!(fit("short"), "short");
    }
}
