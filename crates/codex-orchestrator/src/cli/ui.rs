//! `ui`: a local page in a browser.

use std::{
    io::{self, BufRead, IsTerminal},
    process::{Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use engine::{Interruption, Signals};
use model::By;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::getpgrp,
    termios::tcgetpgrp,
};
use serde::Serialize;
use web::{OpenError, Page, PageHandle};

use super::{Common, Outcome};
use crate::{
    caller,
    failure::{Failure, FailureKind},
    page::Desk,
    render::{
        json,
        screen::{Screen, Tone, harmless},
    },
};

/// Show the inbox and the runs in a browser of this machine, to answer, approve and control there
///
/// It prints a link that lets one browser in, once; Enter prints another. The page is there until Ctrl-C,
/// and runs go on without it. Over ssh, forward its port: `ssh -L 8400:127.0.0.1:8400 HOST`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Of every repository that has runs
    #[arg(long)]
    all_repos: bool,

    /// The port of 127.0.0.1; any that is free where none is named
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    port: u16,

    /// Open the link in the browser of this machine
    #[arg(long)]
    open: bool,
}

const EXAMPLES: &str = "\
Examples:
  codex-orch ui                        of this repository; open the link that it prints
  codex-orch ui --all-repos --open     of all of them, in your browser
  codex-orch ui --port 8400            at a port that you have forwarded";

/// What `ui` prints as JSON before it serves the page.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct Document {
    /// The link. It lets one browser in, once.
    url: String,
    /// The port of 127.0.0.1.
    port: u16,
    pid: u32,
}

pub(crate) fn run(args: &Args, common: &Common) -> Outcome {
    for_a_person()?;
    let here = common.here()?;
    // What is shown is there to begin with: a state folder that is shut is told now.
    here.engines(args.all_repos)?;
    let whose = match args.all_repos {
        true => "every repository".to_owned(),
        false => here.place.root.display().to_string(),
    };
    let tell = |said: &str| Screen::error().line(&format!("  {}", harmless(said)));
    let page = Page::open(args.port, Arc::new(Desk::new(here, args.all_repos, tell)));
    let page = page.map_err(not_opened)?;
    let handle = page.handle();
    let link = handle.new_link().map_err(|error| Failure::new(FailureKind::Internal, error))?;
    if common.json() {
        let port = handle.address().port();
        json::write(&Document { url: link.clone(), port, pid: std::process::id() })?;
    } else {
        let screen = Screen::out();
        screen.line(&format!("the inbox and the runs of {whose}:"));
        show(screen, &link);
        screen.line("  the link lets one browser in; Enter prints another, Ctrl-C ends the page");
    }
    if args.open {
        open(&link);
    }
    let ending = handle.clone();
    let signals = Signals::catch(move |interruption| match interruption {
        Interruption::Interrupt | Interruption::Terminate | Interruption::HangUp => ending.end(),
        Interruption::Stop => engine::stop_here(),
        Interruption::Continue | Interruption::Resized => {}
    });
    let _signals = signals.map_err(|error| Failure::new(FailureKind::Internal, error))?;
    let screen = if common.json() { Screen::error() } else { Screen::out() };
    // It ends with the process: nothing interrupts its reading.
    thread::spawn(move || give_out_links(&handle, screen));
    page.serve().map_err(|error| Failure::new(FailureKind::Internal, error))?;
    // Ctrl-C stands in the line where it was pressed.
    Screen::error().line("\nthe page is closed; runs go on without it");
    Ok(())
}

/// Whoever has the link is a person to everybody, so that nobody else may see it.
fn for_a_person() -> Outcome {
    let refused = |text: &str, hint: &str| {
        Err(Failure::new(FailureKind::Conflict, text.to_owned()).hint(hint.to_owned()))
    };
    if !matches!(caller::by_without_engine(), By::Person { .. }) {
        return refused(
            "the page is for a person: whoever has its link approves and answers",
            "type `codex-orch ui` yourself in a terminal of your own",
        );
    }
    if !io::stdin().is_terminal() {
        return refused(
            "the link to the page is shown to a person at a terminal, and this is none",
            "type `codex-orch ui` in a terminal",
        );
    }
    Ok(())
}

fn not_opened(error: OpenError) -> Failure {
    let kind = match &error {
        OpenError::InUse(_) => FailureKind::Conflict,
        OpenError::NotOpened(..) => FailureKind::Internal,
    };
    Failure::new(kind, error).hint("without `--port` it takes one that is free")
}

fn show(screen: Screen, link: &str) {
    screen.line("");
    screen.line(&format!("  {}", screen.paint(Tone::Strong, link)));
    screen.line("");
}

/// Opens the link in a browser. The key in it is good once, so that it may be seen among the words of a
/// process.
fn open(link: &str) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let mut command = Command::new(program);
    command.arg(link).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match command.spawn() {
        // It may stay as long as the browser does.
        Ok(mut child) => drop(thread::spawn(move || child.wait())),
        Err(error) => {
            let text =
                format!("`{program}` could not be started ({error}); open the link yourself");
            Screen::error().line(&text);
        }
    }
}

/// Prints a new link each time that somebody presses Enter.
fn give_out_links(page: &PageHandle, screen: Screen) {
    const SECOND: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
    let stdin = io::stdin();
    // Whoever reads a terminal in the background is stopped.
    let in_front = || tcgetpgrp(&stdin).is_ok_and(|group| group == getpgrp());
    loop {
        if !in_front() {
            thread::sleep(Duration::from_secs(1));
            continue;
        }
        let mut typed = [PollFd::new(&stdin, PollFlags::IN)];
        let _ = poll(&mut typed, Some(&SECOND));
        if typed[0].revents().is_empty() || !in_front() {
            continue;
        }
        match stdin.lock().read_line(&mut String::new()) {
            // Nobody types there any more.
            Ok(0) | Err(_) => return,
            Ok(_) => match page.new_link() {
                Ok(link) => show(screen, &link),
                Err(error) => Screen::error().line(&format!("there is no new link: {error}")),
            },
        }
    }
}
