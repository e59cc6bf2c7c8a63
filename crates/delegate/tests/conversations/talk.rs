//! A client of which tests see every byte.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Read, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    sync::mpsc,
    thread::JoinHandle,
};

use serde_json::{Value, json};

use crate::demo::{DEADLINE, Demo};

/// One conversation with a server that runs on a thread.
pub(crate) struct Talk {
    pub(crate) demo: Demo,
    input: Option<Box<dyn Write>>,
    answers: mpsc::Receiver<Answer>,
    /// Answers that came while another was waited for.
    put_by: VecDeque<Answer>,
    server: JoinHandle<std::io::Result<()>>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) message: Value,
    /// It had a header.
    pub(crate) framed: bool,
}

impl Answer {
    /// Its id, and the code of the error it is, if any. In JSON-RPC an answer has an id, be it
    /// null.
    pub(crate) fn brief(&self) -> String {
        assert_eq!(self.message["jsonrpc"], "2.0", "{self:?}");
        let id = self.message.get("id").unwrap_or_else(|| panic!("no id: {self:?}"));
        let what = match (self.message.get("error"), self.message.get("result")) {
            (Some(error), None) => error["code"].to_string(),
            (None, Some(_)) => "ok".to_owned(),
            _ => panic!("neither result nor error, or both: {self:?}"),
        };
        format!("{id} {what}")
    }
}

impl Talk {
    /// On two pipes, as clients have it mostly.
    pub(crate) fn on_pipes() -> Self {
        let (read, input) = std::io::pipe().unwrap();
        let (output, write) = std::io::pipe().unwrap();
        Self::on(Box::new(input), Box::new(output), (read.into(), write.into()))
    }

    /// On one socket that is both input and output, as a run's channel is.
    pub(crate) fn on_a_socket() -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let output = ours.try_clone().unwrap();
        let theirs = (theirs.try_clone().unwrap().into(), theirs.into());
        Self::on(Box::new(SaysItsEnd(ours)), Box::new(output), theirs)
    }

    pub(crate) fn on(
        input: Box<dyn Write>,
        output: Box<dyn Read + Send>,
        (stdin, stdout): (OwnedFd, OwnedFd),
    ) -> Self {
        let demo = Demo::default();
        let handler = demo.clone();
        let server = std::thread::spawn(move || delegate::serve(handler, stdin, stdout));
        let answers = read_answers(output);
        Self { demo, input: Some(input), answers, put_by: VecDeque::new(), server }
    }

    /// Past the handshake.
    pub(crate) fn initialized() -> Self {
        let mut talk = Self::on_pipes();
        talk.shake_hands();
        talk
    }

    pub(crate) fn shake_hands(&mut self) {
        let answer = self.ask(&initialize("2025-06-18"));
        assert_eq!(answer["result"]["protocolVersion"], "2025-06-18", "{answer}");
        self.say("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n");
    }

    pub(crate) fn say(&mut self, bytes: impl AsRef<[u8]>) {
        let input = self.input.as_mut().expect("the input is open");
        input.write_all(bytes.as_ref()).expect("the server reads");
        input.flush().unwrap();
    }

    pub(crate) fn send(&mut self, message: &Value) {
        self.say(format!("{message}\n"));
    }

    /// Sends a request and waits for its answer.
    pub(crate) fn ask(&mut self, request: &Value) -> Value {
        self.send(request);
        self.answer(&request["id"]).message
    }

    /// Waits for the answer to that request.
    pub(crate) fn answer(&mut self, id: &Value) -> Answer {
        if let Some(at) = self.put_by.iter().position(|answer| &answer.message["id"] == id) {
            return self.put_by.remove(at).unwrap();
        }
        loop {
            let answer = self.answers.recv_timeout(DEADLINE);
            let answer = answer.unwrap_or_else(|_| panic!("no answer to {id}"));
            if &answer.message["id"] == id {
                return answer;
            }
            self.put_by.push_back(answer);
        }
    }

    /// Says no more, waits until the server has ended, and gives all that was not yet looked at.
    pub(crate) fn end(mut self) -> Vec<Answer> {
        drop(self.input.take());
        let mut rest = Vec::from(self.put_by);
        loop {
            match self.answers.recv_timeout(DEADLINE) {
                Ok(answer) => rest.push(answer),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("the server does not end"),
            }
        }
        self.server.join().expect("no panic").expect("served");
        rest
    }
}

/// Dropping a socket of which there is a clone ends nothing.
struct SaysItsEnd(UnixStream);

impl Write for SaysItsEnd {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl Drop for SaysItsEnd {
    fn drop(&mut self) {
        let _ = self.0.shutdown(std::net::Shutdown::Write);
    }
}

/// Everything that a server says, lines and framed messages alike.
pub(crate) fn read_answers(output: Box<dyn Read + Send>) -> mpsc::Receiver<Answer> {
    let (sender, answers) = mpsc::channel();
    std::thread::spawn(move || {
        let mut output = BufReader::new(output);
        while let Some(answer) = read_answer(&mut output) {
            if sender.send(answer).is_err() {
                break;
            }
        }
    });
    answers
}

fn read_answer(output: &mut impl BufRead) -> Option<Answer> {
    let mut line = || {
        let mut line = String::new();
        output.read_line(&mut line).expect("UTF-8");
        line
    };
    let mut text = line();
    if text.is_empty() {
        return None;
    }
    let length = text.strip_prefix("Content-Length: ").map(|length| length.trim_end().parse());
    if let Some(length) = &length {
        assert_eq!(line(), "\r\n");
        let mut bytes = vec![0; *length.as_ref().expect("a length")];
        output.read_exact(&mut bytes).expect("as long as it says");
        text = String::from_utf8(bytes).expect("UTF-8");
    }
    let message = serde_json::from_str(&text).expect(&text);
    Some(Answer { message, framed: length.is_some() })
}

pub(crate) fn initialize(version: &str) -> Value {
    let client = json!({"name": "test", "version": "1"});
    let params = json!({"protocolVersion": version, "capabilities": {}, "clientInfo": client});
    request("hello", "initialize", params)
}

pub(crate) fn request(id: impl Into<Value>, method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id.into(), "method": method, "params": params})
}

pub(crate) fn ping(id: impl Into<Value>) -> Value {
    json!({"jsonrpc": "2.0", "id": id.into(), "method": "ping"})
}

pub(crate) fn call(id: impl Into<Value>, tool: &str, arguments: Value) -> Value {
    request(id, "tools/call", json!({"name": tool, "arguments": arguments}))
}

/// The message with a header before it.
pub(crate) fn framed(message: &Value) -> String {
    let text = message.to_string();
    format!("Content-Length: {}\r\n\r\n{text}", text.len())
}
