//! A thread of Codex and its turns, as lines that go in and lines that come out.
//!
//! Whoever holds the process writes what [`Talk::begin`] and the others give to its standard input,
//! and passes each line of its standard output to [`Talk::hear`]. There is no clock in here: a
//! model may be silent for as long as it likes, and Codex may try forever to reach it.

mod asks;
mod form;
mod notices;
mod said;
mod transcript;
mod trouble;
mod wire;

#[cfg(test)]
mod garbage;
#[cfg(test)]
mod stories;

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
};

use serde::Deserialize;
use serde_json::{Value, json};

use self::{
    asks::{Ask, Asked},
    notices::{Item, Notice, Turn},
    trouble::TurnError,
    wire::Line,
};
pub use self::{
    form::Elicitation,
    said::{
        AccountTokens, Answer, Approvals, AskId, CommandState, ErrorClass, Form, Heard, Opening,
        Outcome, PatchStatus, Question, RateWindow, Said, Sandbox, Step, StepStatus, ToolStatus,
        Usage, Wanted, Wants,
    },
    transcript::transcript,
    wire::LONGEST as LONGEST_LINE,
};

/// What is asked of the app-server.
pub(crate) const REQUESTS: [&str; 8] = [
    "account/login/start",
    "account/read",
    "initialize",
    "thread/resume",
    "thread/start",
    "turn/interrupt",
    "turn/start",
    "turn/steer",
];

/// What the app-server may ask, and get an answer to.
pub(crate) const ANSWERED: [&str; 6] = [
    "account/chatgptAuthTokens/refresh",
    "item/commandExecution/requestApproval",
    "item/fileChange/requestApproval",
    "item/permissions/requestApproval",
    "item/tool/requestUserInput",
    "mcpServer/elicitation/request",
];

/// What the app-server has to tell.
pub(crate) const HEARD: [&str; 13] = notices::READ;

/// One thread in one app-server, and its turns, one after another.
#[derive(Debug)]
pub struct Talk {
    opening: Opening,
    /// Turns that are to come: what is asked, and the form of the answer.
    to_come: VecDeque<(String, Option<Value>)>,
    thread: Option<String>,
    turn: Turning,
    /// The turn is to end, or not to begin.
    interrupted: bool,
    /// Messages that wait for a turn.
    unsaid: VecDeque<String>,
    last_id: u64,
    sent: BTreeMap<u64, Sent>,
    last_ask: u64,
    asks: BTreeMap<AskId, Ask>,
    /// Which files an item is about: who asks for approval names the item only.
    patches: BTreeMap<String, Vec<String>>,
    last_message: Option<String>,
    /// What the turn has changed so far.
    diff: String,
    /// What threads have used.
    totals: BTreeMap<String, Usage>,
    /// Of what kind the failure was after which Codex tries again.
    trouble: Option<ErrorClass>,
    /// The access token was not taken, and no other was handed out.
    locked_out: bool,
    /// Until when an allowance is used up, by its name.
    reached: BTreeMap<String, Option<i64>>,
    over: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Turning {
    No,
    /// It was asked for. Codex gives its id at once, and refuses to interrupt it until it has
    /// told that it runs.
    Soon,
    Now(String),
}

/// A request of ours without an answer.
#[derive(Debug)]
enum Sent {
    Initialize,
    Login,
    Thread,
    Turn,
    Steer(String),
    Interrupt,
}

impl Talk {
    /// Has commands speak with whatever they reach, since somebody else than Codex holds them to that.
    pub fn let_out(&mut self) {
        match &mut self.opening.sandbox {
            Sandbox::ReadOnly { network } | Sandbox::WorkspaceWrite { network, .. } => {
                *network = true
            }
            Sandbox::DangerFullAccess => {}
        }
    }

    /// Nothing is said yet.
    pub fn new(opening: Opening) -> Self {
        let first = (opening.input.clone(), opening.output_schema.clone());
        Self {
            opening,
            to_come: VecDeque::from([first]),
            thread: None,
            turn: Turning::No,
            interrupted: false,
            unsaid: VecDeque::new(),
            last_id: 0,
            sent: BTreeMap::new(),
            last_ask: 0,
            asks: BTreeMap::new(),
            patches: BTreeMap::new(),
            last_message: None,
            diff: String::new(),
            totals: BTreeMap::new(),
            trouble: None,
            locked_out: false,
            reached: BTreeMap::new(),
            over: false,
        }
    }

    /// The thread, once there is one.
    pub fn thread_id(&self) -> Option<&str> {
        self.thread.as_deref()
    }

    /// The turn that runs.
    pub fn turn_id(&self) -> Option<&str> {
        match &self.turn {
            Turning::Now(turn) => Some(turn),
            Turning::No | Turning::Soon => None,
        }
    }

    /// The first lines. All else follows from what is heard.
    pub fn begin(&mut self) -> Vec<String> {
        vec![self.ask(Sent::Initialize, wire::initialize())]
    }

    /// What that line says, and what has to be said to it. It may be anything.
    pub fn hear(&mut self, line: &[u8]) -> Heard {
        let mut heard = Heard::default();
        if self.over {
            return heard;
        }
        match wire::read(line) {
            Line::Request { id, method, params } => {
                self.asked(&id, &method, params.get(), &mut heard);
            }
            Line::Notification { method, params } => match notices::read(&method, params.get()) {
                Ok(notice) => self.noticed(notice, &mut heard),
                Err(error) => {
                    let reason = format!(
                        "Codex told something that was not understood: `{method}`: {error}"
                    );
                    heard.told.push(Said::Unfit { reason, over: false });
                }
            },
            Line::Result { id, result } => self.granted(id, result.get(), &mut heard),
            Line::Refused { id, message } => self.refused(id, &message, &mut heard),
            Line::Blank => {}
            Line::Garbage => {
                let reason = format!("Codex wrote a line that is no message: {}", excerpt(line));
                heard.told.push(Said::Unfit { reason, over: false });
            }
            Line::TooLong => {
                let reason = format!(
                    "Codex wrote a line of {} bytes, which is too long to be read; resume the thread",
                    line.len()
                );
                self.give_up(reason, &mut heard);
            }
        }
        heard
    }

    /// Answers what was asked. Nothing is said where it is not asked any more, or where that is
    /// no answer to it.
    pub fn answer(&mut self, ask: &AskId, answer: Answer) -> Vec<String> {
        let Some(line) = self.asks.get(ask).and_then(|asked| asked.answered(&answer)) else {
            return Vec::new();
        };
        let ends = self.asks.remove(ask).is_some_and(|asked| asked.cancels_not_by_itself());
        let mut say = vec![line];
        if answer == Answer::Cancel && ends {
            say.extend(self.interrupt());
        }
        say
    }

    /// Hands out newer tokens of the account, which an [`Said::WantsTokens`] has asked for.
    pub fn tokens(&mut self, ask: &AskId, tokens: AccountTokens) -> Vec<String> {
        let line = self.asks.get(ask).and_then(|asked| asked.handed(&tokens));
        if line.is_some() {
            self.asks.remove(ask);
            self.opening.tokens = Some(tokens);
            self.locked_out = false;
        }
        line.into_iter().collect()
    }

    /// What the account is used with at the moment, if it was handed in.
    pub fn tokens_in_use(&self) -> Option<&AccountTokens> {
        self.opening.tokens.as_ref()
    }

    /// Ends the turn that runs, or the one that is about to. Turns after it do not begin.
    pub fn interrupt(&mut self) -> Vec<String> {
        if self.over || self.interrupted || (self.turn == Turning::No && self.to_come.is_empty()) {
            return Vec::new();
        }
        self.interrupted = true;
        self.try_interrupt().into_iter().collect()
    }

    /// Says something to the turn that runs, or is about to. It is read when what the agent does
    /// at the moment is done.
    pub fn steer(&mut self, text: &str) -> Vec<String> {
        if self.over {
            return Vec::new();
        }
        self.unsaid.push_back(text.to_owned());
        self.say_unsaid()
    }

    /// Asks for one more turn, which begins when those before it are over.
    pub fn turn(&mut self, input: &str, output_schema: Option<Value>) -> Vec<String> {
        if self.over {
            return Vec::new();
        }
        self.to_come.push_back((input.to_owned(), output_schema));
        if self.turn == Turning::No {
            self.interrupted = false;
        }
        self.next_turn().into_iter().collect()
    }

    fn ask(&mut self, what: Sent, params: Value) -> String {
        let method = what.method(&self.opening);
        self.last_id += 1;
        self.sent.insert(self.last_id, what);
        wire::line(&json!({ "id": self.last_id, "method": method, "params": params }))
    }

    fn next_turn(&mut self) -> Option<String> {
        let thread = self.thread.as_deref()?;
        if self.interrupted || self.turn != Turning::No {
            return None;
        }
        let (text, schema) = self.to_come.pop_front()?;
        let params = wire::turn(thread, &self.opening, &text, schema.as_ref());
        self.turn = Turning::Soon;
        Some(self.ask(Sent::Turn, params))
    }

    fn try_interrupt(&mut self) -> Option<String> {
        let params = json!({ "threadId": self.thread_id()?, "turnId": self.turn_id()? });
        Some(self.ask(Sent::Interrupt, params))
    }

    fn say_unsaid(&mut self) -> Vec<String> {
        let (Some(thread), Turning::Now(turn)) = (self.thread.clone(), &self.turn) else {
            return Vec::new();
        };
        let (turn, unsaid) = (turn.clone(), mem::take(&mut self.unsaid));
        let steer = |text: String| {
            let params = json!({
                "threadId": thread, "expectedTurnId": turn, "input": wire::input(&text),
            });
            self.ask(Sent::Steer(text), params)
        };
        unsaid.into_iter().map(steer).collect()
    }

    /// What follows from an answer to a request of ours.
    fn granted(&mut self, id: u64, result: &str, heard: &mut Heard) {
        let Some(sent) = self.sent.remove(&id) else { return };
        match sent {
            Sent::Initialize => {
                heard.say.push(wire::line(&json!({ "method": "initialized" })));
                if self.opening.cwd.to_str().is_none() {
                    let reason = "Codex cannot be told a path that is not UTF-8".to_owned();
                    return self.give_up(reason, heard);
                }
                heard.say.push(match &self.opening.tokens {
                    Some(tokens) => {
                        let params = json!({
                            "type": "chatgptAuthTokens",
                            "accessToken": tokens.access_token,
                            "chatgptAccountId": tokens.account_id,
                            "chatgptPlanType": tokens.plan,
                        });
                        self.ask(Sent::Login, params)
                    }
                    None => self.open(),
                });
            }
            Sent::Login => {
                let open = self.open();
                heard.say.push(open);
            }
            Sent::Thread => match serde_json::from_str::<Opened>(result) {
                Ok(opened) => self.opened(opened, heard),
                Err(error) => {
                    let reason = format!("Codex gave a thread that was not understood: {error}");
                    self.give_up(reason, heard);
                }
            },
            Sent::Steer(text) => heard.told.push(Said::Steered { text }),
            // What comes of these is told.
            Sent::Turn | Sent::Interrupt => {}
        }
    }

    fn open(&mut self) -> String {
        let params = wire::thread(&self.opening);
        self.ask(Sent::Thread, params)
    }

    fn opened(&mut self, opened: Opened, heard: &mut Heard) {
        let thread_id = opened.thread.id;
        self.thread = Some(thread_id.clone());
        heard.told.push(Said::ThreadReady { thread_id, model: opened.model });
        if self.interrupted {
            self.to_come.clear();
            self.turn_over(None, Outcome::Interrupted, heard);
        }
        heard.say.extend(self.next_turn());
    }

    fn refused(&mut self, id: u64, message: &str, heard: &mut Heard) {
        let Some(sent) = self.sent.remove(&id) else { return };
        let method = sent.method(&self.opening);
        let hint = match sent {
            Sent::Steer(text) => {
                let reason = message.to_owned();
                return heard.told.push(Said::NotSteered { text, reason });
            }
            // Its turn may just have ended by itself, and then there is nothing to interrupt.
            Sent::Interrupt if self.turn == Turning::No => return,
            Sent::Interrupt => {
                let reason = format!("Codex refused `{method}`: {message}; end its process");
                return heard.told.push(Said::Unfit { reason, over: false });
            }
            Sent::Initialize => "its version may be too old or too new",
            Sent::Login => "look with `codex login status` whether the login is still good",
            Sent::Thread if self.opening.thread.is_some() => "begin a new thread if it is gone",
            Sent::Thread => "look at model, sandbox and config",
            Sent::Turn => "look at model, effort and output schema",
        };
        self.give_up(format!("Codex refused `{method}`: {message}; {hint}"), heard);
    }

    /// What follows from a request of the app-server's.
    fn asked(&mut self, request: &Value, method: &str, params: &str, heard: &mut Heard) {
        let asked = asks::read(request, method, params, &self.patches);
        match asked {
            Asked::Wants(ask, wants) => {
                let id = self.keep(ask);
                heard.told.push(Said::Asks { id, wants: *wants });
            }
            Asked::Tokens(mut ask) => {
                self.locked_out = true;
                ask.turn = self.turn_id().map(str::to_owned);
                let id = self.keep(ask);
                heard.told.push(Said::WantsTokens { id });
            }
            Asked::Unanswerable(code, why) => {
                heard.say.push(wire::refusal(request, code, &why));
                let reason = format!("Codex asked what it cannot be told: {why}");
                heard.told.push(Said::Unfit { reason, over: false });
            }
        }
    }

    fn keep(&mut self, ask: Ask) -> AskId {
        self.last_ask += 1;
        let id = AskId(self.last_ask);
        self.asks.insert(id, ask);
        id
    }

    /// What follows from something that the app-server told by itself.
    fn noticed(&mut self, notice: Notice, heard: &mut Heard) {
        match notice {
            Notice::TurnStarted { thread, turn } if self.is_ours(&thread) => {
                self.turn_began(turn, heard);
            }
            Notice::TurnCompleted { thread, turn } if self.is_ours(&thread) => {
                self.turn_completed(turn, heard);
            }
            Notice::ItemStarted { thread, item } => {
                if let Item::FileChange { id, changes, .. } = &item {
                    let paths = changes.iter().map(|change| change.path.clone()).collect();
                    self.patches.insert(id.clone(), paths);
                }
                if self.is_ours(&thread) {
                    heard.told.extend(item.begun());
                }
            }
            Notice::ItemCompleted { thread, item } if self.is_ours(&thread) => {
                self.trouble = None;
                let told = item.ended();
                if let Some(Said::Message { text, last }) = &told
                    && (*last != Some(false) || self.last_message.is_none())
                {
                    self.last_message = Some(text.clone());
                }
                heard.told.extend(told);
            }
            Notice::Error { thread, error, will_retry } if self.is_ours(&thread) => {
                let (message, class) = (error.message(), self.class_of(&error));
                if will_retry {
                    self.trouble = Some(class);
                }
                heard.told.push(Said::Trouble { message, class, will_retry });
            }
            // Resuming tells once more what was used last.
            Notice::Usage { thread, turn, .. }
                if self.is_ours(&thread) && self.turn_id() != Some(turn.as_str()) => {}
            // A request that failed, and is made again, is told of too.
            Notice::Usage { thread, total, .. } if self.totals.get(&thread) == Some(&total) => {}
            Notice::Usage { thread, last, total, context_window, .. } => {
                self.totals.insert(thread.clone(), total);
                heard.told.push(Said::Usage { thread_id: thread, last, total, context_window });
            }
            Notice::RateLimits(limits) => {
                for limit in &limits {
                    if let Said::RateLimits { window, resets_at, reached, .. } = limit {
                        self.reached.remove(&window.name);
                        if *reached {
                            self.reached.insert(window.name.clone(), *resets_at);
                        }
                    }
                }
                heard.told.extend(limits);
            }
            Notice::Plan { thread, steps } if self.is_ours(&thread) => {
                heard.told.push(Said::Plan { steps });
            }
            // It is told once more for whatever the agent does.
            Notice::Diff { thread, unified } if self.is_ours(&thread) && self.diff != unified => {
                self.diff.clone_from(&unified);
                heard.told.push(Said::Diff { unified });
            }
            Notice::Resolved { request } => {
                let is_it = |(id, ask): (&AskId, &Ask)| (ask.request == request).then_some(*id);
                if let Some(id) = self.asks.iter().find_map(is_it) {
                    self.asks.remove(&id);
                    heard.told.push(Said::AskWithdrawn { id });
                }
            }
            Notice::Closed { thread } if self.is_ours(&thread) => {
                self.give_up("Codex has closed the thread; resume it".to_owned(), heard);
            }
            Notice::Warning { thread, message } => {
                // Servers that do not start are told of before the thread is.
                let ours = |thread: String| self.thread.is_none() || self.is_ours(&thread);
                if thread.is_none_or(ours) {
                    heard.told.push(Said::Warning { message });
                }
            }
            // What threads do that ours has begun is theirs.
            _ => {}
        }
    }

    fn is_ours(&self, thread: &str) -> bool {
        self.thread.as_deref() == Some(thread)
    }

    /// When Codex gives up, it often does not say any more what it was that it tried again for.
    fn class_of(&self, error: &TurnError) -> ErrorClass {
        match (error.class(), self.trouble) {
            (ErrorClass::Other | ErrorClass::Network, _) if self.locked_out => {
                ErrorClass::Unauthorized
            }
            (ErrorClass::Other, Some(before)) => before,
            (class, _) => class,
        }
    }

    fn turn_began(&mut self, turn_id: String, heard: &mut Heard) {
        // Codex may begin turns by itself, for a goal or a queue of its own; they are turns too.
        self.turn = Turning::Now(turn_id.clone());
        heard.told.push(Said::TurnBegan { turn_id });
        if self.interrupted {
            heard.say.extend(self.try_interrupt());
        } else {
            heard.say.extend(self.say_unsaid());
        }
    }

    fn turn_completed(&mut self, turn: Turn, heard: &mut Heard) {
        if self.turn_id() != Some(turn.id.as_str()) {
            return;
        }
        let outcome = match (turn.status.as_str(), turn.error) {
            ("completed", _) => Outcome::Completed { last_message: self.last_message.take() },
            ("interrupted", _) => Outcome::Interrupted,
            (_, Some(error)) => {
                let class = self.class_of(&error);
                let of_limits = matches!(class, ErrorClass::UsageLimit | ErrorClass::RateLimit);
                // All that are used up have to begin anew before there is something to use.
                let latest = self.reached.values().flatten().max().copied();
                let resets_at = latest.filter(|_| of_limits);
                Outcome::Failed { message: error.message(), class, resets_at }
            }
            (status, None) => Outcome::Failed {
                message: format!("Codex ended the turn as `{status}` and did not say why"),
                class: ErrorClass::Other,
                resets_at: None,
            },
        };
        self.turn_over(Some(turn.id), outcome, heard);
        heard.say.extend(self.next_turn());
    }

    fn turn_over(&mut self, turn_id: Option<String>, outcome: Outcome, heard: &mut Heard) {
        self.turn = Turning::No;
        self.last_message = None;
        self.diff.clear();
        self.trouble = None;
        self.locked_out = false;
        self.patches.clear();
        if mem::take(&mut self.interrupted) {
            self.to_come.clear();
        }
        let waits = |ask: &Ask| turn_id.is_some() && ask.turn == turn_id;
        let withdrawn: Vec<_> =
            self.asks.iter().filter(|(_, ask)| waits(ask)).map(|(id, _)| *id).collect();
        for id in withdrawn {
            self.asks.remove(&id);
            heard.told.push(Said::AskWithdrawn { id });
        }
        self.say_nothing_more("the turn was over before", heard);
        heard.told.push(Said::TurnOver { turn_id, outcome });
    }

    fn say_nothing_more(&mut self, reason: &str, heard: &mut Heard) {
        let lost = mem::take(&mut self.unsaid).into_iter();
        heard.told.extend(lost.map(|text| Said::NotSteered { text, reason: reason.to_owned() }));
    }

    fn give_up(&mut self, reason: String, heard: &mut Heard) {
        self.over = true;
        for id in mem::take(&mut self.asks).into_keys() {
            heard.told.push(Said::AskWithdrawn { id });
        }
        self.say_nothing_more("the talk was over before", heard);
        heard.told.push(Said::Unfit { reason, over: true });
    }
}

impl Sent {
    fn method(&self, opening: &Opening) -> &'static str {
        match self {
            Self::Initialize => "initialize",
            Self::Login => "account/login/start",
            Self::Thread if opening.thread.is_some() => "thread/resume",
            Self::Thread => "thread/start",
            Self::Turn => "turn/start",
            Self::Steer(_) => "turn/steer",
            Self::Interrupt => "turn/interrupt",
        }
    }
}

#[derive(Deserialize)]
struct Opened {
    thread: Named,
    #[serde(default)]
    model: String,
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

/// Lines that have an account's login renewed by the app-server of the home where it is.
pub(crate) fn renewal() -> String {
    [
        json!({ "id": 1, "method": "initialize", "params": wire::initialize() }),
        json!({ "method": "initialized" }),
        json!({ "id": 2, "method": "account/read", "params": { "refreshToken": true } }),
    ]
    .iter()
    .map(wire::line)
    .collect()
}

/// Whether that line says that it is done, or is not.
pub(crate) fn answers_renewal(line: &str) -> bool {
    match wire::read(line.as_bytes()) {
        Line::Result { id, .. } => id == 2,
        // Where the first is refused, the others are too.
        Line::Refused { .. } => true,
        _ => false,
    }
}

/// Why one of them was refused.
pub(crate) fn refusal_in(said: &str) -> Option<String> {
    said.lines().find_map(|line| match wire::read(line.as_bytes()) {
        Line::Refused { message, .. } => Some(message),
        _ => None,
    })
}

/// The beginning of something that is no message, in a line.
fn excerpt(line: &[u8]) -> String {
    const LONGEST: usize = 120;
    let text = String::from_utf8_lossy(&line[..line.len().min(4 * LONGEST)]);
    let shown: String = text.trim().chars().take(LONGEST).collect();
    format!("`{}`", shown.escape_debug())
}
