//! What the page does for browsers, and for whatever else may connect: with real sockets.

mod any;
mod browsers;
mod crowds;
mod ends;
mod entering;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, Mutex,
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Map, Value, json};

use crate::{Code, Desk, Fault, Leave, Page, PageHandle, limits::Limits};

/// What has not happened until then does not happen any more.
const DEADLINE: Duration = Duration::from_secs(30);

/// A desk that tells what it is asked.
struct Scripted {
    heard: Mutex<Sender<String>>,
    /// Why nobody is admitted, if nobody is.
    closed: Mutex<Option<String>>,
    /// A call of `stuck` returns when this can be locked.
    stuck: Mutex<()>,
}

impl Scripted {
    fn tell(&self, what: &str) {
        // Nobody may be there any more to hear it.
        let _ = self.heard.lock().unwrap().send(what.to_owned());
    }
}

impl Desk for Scripted {
    fn call(
        &self,
        name: &str,
        body: Map<String, Value>,
        leave: &Leave,
    ) -> Option<Result<Value, Fault>> {
        self.tell(name);
        Some(Ok(match name {
            "echo" => Value::Object(body),
            "conflict" => {
                let fault = Fault::new(Code::Conflict, "somebody was faster").next("look again");
                return Some(Err(fault));
            }
            "wait" => {
                let (wake, woken) = mpsc::channel();
                leave.on_over(move || wake.send(()).unwrap());
                self.tell("waits");
                woken.recv_timeout(DEADLINE).expect("nobody said that it is over");
                self.tell("was told");
                json!({ "is_over": leave.is_over() })
            }
            "stuck" => {
                drop(self.stuck.lock().unwrap());
                json!({})
            }
            "break" => panic!("as it was asked to"),
            _ => return None,
        }))
    }

    fn admits(&self, peer: SocketAddr, own: SocketAddr) -> Result<(), String> {
        assert!(peer.ip().is_loopback() && own.ip().is_loopback() && peer != own);
        match &*self.closed.lock().unwrap() {
            None => Ok(()),
            Some(why) => {
                self.tell("refused");
                Err(why.clone())
            }
        }
    }
}

/// A page that is served until the story is over.
struct Served {
    handle: PageHandle,
    desk: Arc<Scripted>,
    heard: Receiver<String>,
    has_ended: Receiver<()>,
}

impl Served {
    fn page() -> Served {
        Served::within(Limits::default())
    }

    fn within(limits: Limits) -> Served {
        let (sender, heard) = mpsc::channel();
        let desk = Arc::new(Scripted {
            heard: Mutex::new(sender),
            closed: Mutex::default(),
            stuck: Mutex::default(),
        });
        let page = Page::open_within(limits, 0, desk.clone()).unwrap();
        let handle = page.handle();
        let (ended, has_ended) = mpsc::channel();
        thread::spawn(move || {
            page.serve().unwrap();
            let _ = ended.send(());
        });
        Served { handle, desk, heard, has_ended }
    }

    fn own(&self) -> String {
        self.handle.address().to_string()
    }

    fn key(&self) -> String {
        let link = self.handle.new_link().unwrap();
        let key = link.strip_prefix(&format!("http://{}/#k=", self.own()));
        key.expect("a link leads to the page").to_owned()
    }

    fn get(&self, path: &str) -> Asked {
        Asked::new("GET", path, &[("Host", &self.own()), ("Connection", "close")])
    }

    /// As the page itself asks, before it has a token.
    fn post(&self, path: &str, body: &str) -> Asked {
        let (own, origin) = (self.own(), format!("http://{}", self.own()));
        let headers = [
            ("Host", own.as_str()),
            ("Origin", &origin),
            ("Sec-Fetch-Site", "same-origin"),
            ("Content-Type", "application/json"),
            ("Content-Length", &body.len().to_string()),
            ("Connection", "close"),
        ];
        Asked { body: body.to_owned(), ..Asked::new("POST", path, &headers) }
    }

    fn enter(&self, key: &str) -> Answer {
        self.ask(&self.post("/api/enter", &json!({ "key": key }).to_string()))
    }

    /// Comes in by a new link.
    fn token(&self) -> String {
        let answer = self.enter(&self.key());
        answer.json()["token"].as_str().expect("a token for the key").to_owned()
    }

    /// As the page itself calls.
    fn call(&self, name: &str, body: &str) -> Asked {
        let bearer = format!("Bearer {}", self.token());
        self.post(&format!("/api/{name}"), body).with("Authorization", &bearer)
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.handle.address()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        stream
    }

    /// Sends it and leaves the connection open.
    fn begin(&self, asked: &Asked) -> TcpStream {
        self.send(asked.text().as_bytes())
    }

    fn send(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = self.connect();
        stream.write_all(bytes).unwrap();
        stream
    }

    fn ask(&self, asked: &Asked) -> Answer {
        Answer::read(self.begin(asked))
    }

    fn say(&self, text: &str) -> Answer {
        Answer::read(self.send(text.as_bytes()))
    }

    /// Asks until the answer has this status. There may be no answer at all before that.
    #[track_caller]
    fn comes_to(&self, asked: &Asked, status: u16) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let mut stream = self.connect();
            let mut text = String::new();
            let _ = stream.write_all(asked.text().as_bytes());
            let _ = stream.read_to_string(&mut text);
            if text.starts_with(&format!("HTTP/1.1 {status}")) {
                return;
            }
            assert!(Instant::now() < deadline, "still {text:?}");
        }
    }

    #[track_caller]
    fn hears(&self, what: &str) {
        assert_eq!(self.heard.recv_timeout(DEADLINE).as_deref(), Ok(what));
    }

    #[track_caller]
    fn ends(&self) {
        self.handle.end();
        self.has_ended.recv_timeout(DEADLINE).expect("the page ends");
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.handle.end();
    }
}

/// A request, before it is sent.
#[derive(Clone)]
struct Asked {
    first: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Asked {
    fn new(method: &str, path: &str, headers: &[(&str, &str)]) -> Asked {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Asked {
            first: format!("{method} {path} HTTP/1.1"),
            headers: headers.iter().map(owned).collect(),
            body: String::new(),
        }
    }

    fn without(mut self, name: &str) -> Asked {
        self.headers.retain(|(other, _)| other != name);
        self
    }

    fn also(mut self, name: &str, value: &str) -> Asked {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn with(self, name: &str, value: &str) -> Asked {
        self.without(name).also(name, value)
    }

    fn text(&self) -> String {
        let headers: String =
            self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        format!("{}\r\n{headers}\r\n{}", self.first, self.body)
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    /// All that comes until the connection is closed, as one answer.
    #[track_caller]
    fn read(mut stream: TcpStream) -> Answer {
        let mut bytes = Vec::new();
        // What is refused unread is refused with a reset, after the answer.
        let end = stream.read_to_end(&mut bytes);
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) =
            text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{end:?} after {text:?}"));
        Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// That it was refused, with this status and code.
    #[track_caller]
    fn refuses(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{self:?}");
        let error = &self.json()["error"];
        assert_eq!(error["code"], code);
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()));
        assert!(error["next_step"].is_null() || error["next_step"].is_string());
    }

    #[track_caller]
    fn gives(&self, body: Value) {
        assert_eq!((self.status, self.json()), (200, body));
    }
}
