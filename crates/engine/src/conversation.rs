//! A conversation with a thread: the lines that go to its app-server and come from it, what waits
//! for an answer, and how long it has been silent. What any of it means, the runner decides.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, BufRead, BufReader, Write},
    os::fd::OwnedFd,
    sync::{
        Arc,
        mpsc::{Sender, channel},
    },
    thread::Scope,
    time::{Duration, Instant},
};

use codex::{Account, AccountTokens, Answer, AskId, CommandState, Said, Talk, ToolStatus, Wants};

use crate::headroom::Headroom;

/// A thread that a stage runs, seen from its runner.
#[derive(Debug)]
pub(crate) struct Conversation {
    talk: Talk,
    /// To the thread that writes; without it, the app-server's input ends.
    lines: Option<Sender<String>>,
    /// The stage's log, in which people read what happened.
    log: File,
    /// What it has begun and not ended: as long as there is any, it is not silent.
    busy: BTreeSet<String>,
    heard_at: Instant,
    /// The silence that is too long.
    idle: Option<Duration>,
    /// When it is ended by force, after it was asked to end.
    forced_at: Option<Instant>,
    interrupted: bool,
    /// Nothing has followed on what it said last, as far as is told.
    said_all: bool,
    pub(crate) over: bool,
    /// The account whose tokens it is handed.
    account: Option<Account>,
    /// Messages that the first turn begins with.
    pub(crate) began_with: usize,
    /// For lines that are read and not heard yet.
    headroom: Arc<Headroom>,
}

/// How long a thread may take to end its turn when it is interrupted, and its process to end when
/// its turn is over.
const LEAVING: Duration = Duration::from_secs(5);

/// What is longer is heard as far as that: one byte more than a message may have, so that it is told
/// from one.
const LONGEST_LINE: u64 = codex::LONGEST_LINE as u64 + 1;

impl Conversation {
    /// Begins to talk. `said` is told each line that comes, and `None` at their end.
    pub(crate) fn begin<'scope>(
        scope: &'scope Scope<'scope, '_>,
        mut talk: Talk,
        pipes: Pipes,
        log: OwnedFd,
        idle: Option<Duration>,
        said: impl Fn(Option<Vec<u8>>) + Send + 'scope,
    ) -> Self {
        let Pipes { to_thread, from_thread } = pipes;
        let (lines, unsaid) = channel::<String>();
        let headroom = Arc::new(Headroom::new());
        scope.spawn(move || {
            let mut to_thread = File::from(to_thread);
            // A process that is gone reads nothing, and its end is heard otherwise.
            let _ = unsaid.iter().try_for_each(|line| to_thread.write_all(line.as_bytes()));
        });
        let room = Arc::clone(&headroom);
        scope.spawn(move || {
            let mut from_thread = BufReader::new(File::from(from_thread));
            while let Ok(Some(line)) = read_line(&mut from_thread) {
                room.take(line.len());
                said(Some(line));
            }
            said(None);
        });
        let first = talk.begin();
        let conversation = Self {
            talk,
            lines: Some(lines),
            log: File::from(log),
            busy: BTreeSet::new(),
            heard_at: Instant::now(),
            idle,
            forced_at: None,
            interrupted: false,
            said_all: false,
            over: false,
            account: None,
            began_with: 0,
            headroom,
        };
        conversation.say(first);
        conversation
    }

    fn say(&self, lines: Vec<String>) {
        if let Some(to) = &self.lines {
            lines.into_iter().for_each(|line| {
                let _ = to.send(line);
            });
        }
    }

    /// What a line says; what follows from it is said, and written into the log.
    pub(crate) fn hear(&mut self, line: &[u8]) -> Vec<Said> {
        self.headroom.give_back(line.len());
        let heard = self.talk.hear(line);
        self.say(heard.say);
        for said in &heard.told {
            if let Some(text) = codex::transcript(said) {
                self.note(&text);
            }
            self.keep_time(said);
            self.mark_last_word(said);
        }
        heard.told
    }

    /// Writes a line into the stage's log.
    pub(crate) fn note(&mut self, text: &str) {
        // A log that cannot be written is told of by whoever keeps it.
        let _ = writeln!(self.log, "{}", text.trim_end());
    }

    fn keep_time(&mut self, said: &Said) {
        match said {
            Said::Command { id, state: CommandState::Begun, .. }
            | Said::ToolCall { id, status: ToolStatus::Begun, .. } => {
                self.busy.insert(id.clone());
            }
            Said::Command { id, .. } | Said::ToolCall { id, .. } => {
                self.busy.remove(id);
            }
            Said::TurnOver { .. } => self.busy.clear(),
            // That it still tries is no progress: it would try for ever.
            Said::Trouble { .. } | Said::Warning { .. } | Said::RateLimits { .. } => return,
            // Nor is what nobody understands.
            Said::Unfit { .. } => return,
            _ => {}
        }
        self.heard_at = Instant::now();
    }

    /// An answer is the last of its turn. A model that does not say whether it is one may still want
    /// something done, which is told before what the request has used.
    fn mark_last_word(&mut self, said: &Said) {
        match said {
            Said::Message { last, .. } => self.said_all = last.unwrap_or(true),
            Said::Usage { .. }
            | Said::RateLimits { .. }
            | Said::Diff { .. }
            | Said::Trouble { .. }
            | Said::Warning { .. }
            | Said::TurnOver { .. } => {}
            _ => self.said_all = false,
        }
    }

    /// Whether a turn that was interrupted had come to its end all the same.
    pub(crate) fn had_said_all(&self) -> bool {
        self.said_all
    }

    /// When it has been silent for too long; never while it waits for something that it has begun.
    pub(crate) fn silent_at(&self) -> Option<Instant> {
        let waits = !self.busy.is_empty() || self.over || self.interrupted;
        self.idle.filter(|_| !waits).map(|idle| self.heard_at + idle)
    }

    /// Its silence begins anew: it was frozen, or waited for somebody.
    pub(crate) fn forgive(&mut self, now: Instant) {
        self.heard_at = now;
    }

    /// Ends its turn, and then its process.
    pub(crate) fn interrupt(&mut self, now: Instant) {
        if self.interrupted || self.over {
            return;
        }
        self.interrupted = true;
        let lines = self.talk.interrupt();
        match lines.is_empty() && self.talk.turn_id().is_none() {
            true => self.leave(now),
            false => {
                self.say(lines);
                self.forced_at = Some(now + LEAVING);
            }
        }
    }

    /// Its turn is over: its process has nothing more to hear, and ends by itself.
    pub(crate) fn leave(&mut self, now: Instant) {
        self.over = true;
        self.lines = None;
        self.forced_at = Some(now + LEAVING);
    }

    /// When its process is ended by force.
    pub(crate) fn forced_at(&self) -> Option<Instant> {
        self.forced_at
    }

    /// It was; that is not said twice.
    pub(crate) fn force(&mut self) {
        self.forced_at = None;
        self.over = true;
        self.lines = None;
    }

    /// Says whose tokens it is handed.
    pub(crate) fn set_account(&mut self, account: Option<Account>) {
        self.account = account;
    }

    /// The account whose tokens it is handed, with those that it has.
    pub(crate) fn account(&self) -> Option<(Account, AccountTokens)> {
        let tokens = self.talk.tokens_in_use()?.clone();
        Some((self.account.clone()?, tokens))
    }

    /// Hands newer tokens over.
    pub(crate) fn hand(&mut self, ask: &AskId, tokens: AccountTokens) {
        let lines = self.talk.tokens(ask, tokens);
        self.say(lines);
    }

    /// Says something to the turn that runs.
    pub(crate) fn steer(&mut self, text: &str) {
        let lines = self.talk.steer(text);
        self.say(lines);
    }

    /// Answers what the thread has asked.
    pub(crate) fn answer(&mut self, ask: &AskId, answer: Answer) {
        let lines = self.talk.answer(ask, answer);
        self.say(lines);
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        self.headroom.close();
    }
}

/// Whether an approval of that can reach further than this once.
pub(crate) fn lasts(wants: &Wants) -> bool {
    match wants {
        Wants::Command { rule, .. } => rule.is_some(),
        Wants::Patch { .. } | Wants::Permissions { .. } => true,
        Wants::Tool { persist, .. } => persist.iter().any(|it| it == "session"),
        Wants::Input { .. } | Wants::Elicitation { .. } => false,
    }
}

/// Whether what is wanted is no more than what somebody who is asked for it is shown.
pub(crate) fn is_exact(wants: &Wants) -> bool {
    match wants {
        Wants::Command { command, host, beyond, .. } => {
            command.is_some() && host.is_none() && beyond.is_none()
        }
        Wants::Patch { grant_root, .. } => grant_root.is_none(),
        Wants::Permissions { .. } | Wants::Tool { .. } => true,
        Wants::Input { .. } | Wants::Elicitation { .. } => false,
    }
}

/// Our ends of an app-server's input and output.
#[derive(Debug)]
pub(crate) struct Pipes {
    pub(crate) to_thread: OwnedFd,
    pub(crate) from_thread: OwnedFd,
}

impl Pipes {
    /// Ours, and those for the app-server: what it reads, and where it writes.
    pub(crate) fn new() -> io::Result<(Self, OwnedFd, OwnedFd)> {
        let (reads, to_thread) = io::pipe()?;
        let (from_thread, writes) = io::pipe()?;
        let pipes = Self { to_thread: to_thread.into(), from_thread: from_thread.into() };
        Ok((pipes, reads.into(), writes.into()))
    }
}

/// The next line, without its end; `None` at the end of all.
fn read_line(from: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let read = io::Read::take(&mut *from, LONGEST_LINE).read_until(b'\n', &mut line)?;
    if read == 0 {
        return Ok(None);
    }
    if line.last() != Some(&b'\n') {
        // Too long, or cut off: the rest is no line of its own.
        from.skip_until(b'\n')?;
    }
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_one_by_one_and_the_last_one_too() {
        let mut text = &b"one\ntwo"[..];
        let mut lines = Vec::new();
        while let Some(line) = read_line(&mut text).unwrap() {
            lines.push(String::from_utf8(line).unwrap());
        }
        assert_eq!(lines, ["one\n", "two"]);
    }
}
