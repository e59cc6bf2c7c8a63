//! Threads of the client as we drive them: lines go in, and what they say is told.

use std::{
    io::Write,
    process::{ChildStdin, Command, Stdio},
};

use codex::{Answer, Approvals, AskId, Opening, Outcome, Said, Sandbox, Talk, Wants};

use crate::{client::Running, desk::Desk, patience::until};

/// A thread in an app-server of its own.
pub(crate) struct Thread {
    pub(crate) running: Running,
    stdin: ChildStdin,
    pub(crate) talk: Talk,
    read: usize,
    told: Vec<Said>,
    /// How much of it a test has looked at.
    seen: usize,
}

impl Thread {
    /// Starts it, and says what begins the turn.
    #[track_caller]
    pub(crate) fn start(desk: &Desk, opening: Opening) -> Self {
        Self::with(desk, &["app-server", "--strict-config"], opening)
    }

    /// The same with an app-server that is started so.
    #[track_caller]
    pub(crate) fn with(desk: &Desk, words: &[&str], opening: Opening) -> Self {
        Self::spawn(desk.command("codex", words), opening)
    }

    /// Whatever that command is.
    #[track_caller]
    pub(crate) fn spawn(mut command: Command, opening: Opening) -> Self {
        command.stdin(Stdio::piped());
        let mut running = Running::start(command);
        let stdin = running.child().stdin.take().expect("a pipe");
        let talk = Talk::new(opening);
        let mut thread = Self { running, stdin, talk, read: 0, told: Vec::new(), seen: 0 };
        let first = thread.talk.begin();
        thread.say(&first);
        thread
    }

    pub(crate) fn say(&mut self, lines: &[String]) {
        tell(&mut self.stdin, lines);
    }

    /// Waits for the next thing told that is so, and passes over what is before it.
    #[track_caller]
    pub(crate) fn until<T>(&mut self, what: &str, mut is_it: impl FnMut(&Said) -> Option<T>) -> T {
        let Self { running, stdin, talk, read, told, seen } = self;
        let log = || running.said();
        until(what, log, || {
            let lines = running.stdout.lines();
            for line in &lines[*read..] {
                let heard = talk.hear(line.as_bytes());
                told.extend(heard.told);
                tell(stdin, &heard.say);
            }
            *read = lines.len();
            while let Some(said) = told.get(*seen) {
                *seen += 1;
                if let Said::Unfit { reason, .. } = said {
                    panic!("{reason}");
                }
                if let Some(found) = is_it(said) {
                    return Some(found);
                }
            }
            None
        })
    }

    #[track_caller]
    pub(crate) fn begun(&mut self) -> String {
        self.until("a turn", |said| match said {
            Said::TurnBegan { turn_id } => Some(turn_id.clone()),
            _ => None,
        })
    }

    #[track_caller]
    pub(crate) fn over(&mut self) -> Outcome {
        self.until("the end of the turn", |said| match said {
            Said::TurnOver { outcome, .. } => Some(outcome.clone()),
            _ => None,
        })
    }

    #[track_caller]
    pub(crate) fn asked(&mut self) -> (AskId, Wants) {
        self.until("a question", |said| match said {
            Said::Asks { id, wants } => Some((*id, wants.clone())),
            _ => None,
        })
    }

    pub(crate) fn answer(&mut self, id: &AskId, answer: Answer) {
        let lines = self.talk.answer(id, answer);
        assert!(!lines.is_empty(), "it is an answer");
        self.say(&lines);
    }

    pub(crate) fn turn(&mut self, input: &str) {
        let lines = self.talk.turn(input, None);
        self.say(&lines);
    }

    pub(crate) fn interrupt(&mut self) {
        let lines = self.talk.interrupt();
        self.say(&lines);
    }

    /// Whatever of that was told so far.
    pub(crate) fn all<T>(&self, pick: impl Fn(&Said) -> Option<T>) -> Vec<T> {
        self.told.iter().filter_map(pick).collect()
    }
}

fn tell(stdin: &mut ChildStdin, lines: &[String]) {
    for line in lines {
        stdin.write_all(line.as_bytes()).expect("it listens");
    }
}

/// A turn in the repository, that asks for what goes beyond it.
pub(crate) fn opening(desk: &Desk, input: &str) -> Opening {
    Opening {
        thread: None,
        cwd: desk.repo(),
        input: input.to_owned(),
        model: None,
        effort: None,
        sandbox: Sandbox::WorkspaceWrite { network: false, writable_roots: Vec::new() },
        approvals: Approvals::OnRequest,
        developer_instructions: None,
        config: serde_json::Map::new(),
        output_schema: None,
        tokens: None,
    }
}

/// An end with these for the last words.
pub(crate) fn completed(text: &str) -> Outcome {
    Outcome::Completed { last_message: Some(text.to_owned()) }
}
