//! Servers that are reached by HTTP and do what they like: what comes of it on the side of the lines.

use std::{
    io::{BufRead, BufReader, Lines, PipeReader, PipeWriter, Read, Write, pipe},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use afar::{Remote, relay};
use serde_json::{Value, json};

/// Whoever speaks with a server, and what that has got: each request with its head and its body.
struct Spoken {
    to: Option<PipeWriter>,
    told: Lines<BufReader<PipeReader>>,
    got: Receiver<String>,
    complaints: Arc<Mutex<Vec<String>>>,
    over: JoinHandle<()>,
}

/// A request as it comes.
fn request(stream: &TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let mut got = String::new();
    while !got.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut got).unwrap(), 0, "{got}");
    }
    let lower = got.to_lowercase();
    let length = lower.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).unwrap();
    got + &String::from_utf8(body).unwrap()
}

impl Spoken {
    /// With a server that answers the first request so, and the second so, and so on. What begins an
    /// answer without an end is said with a `∞` there, and said again and again.
    fn with(answers: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let answers: Vec<String> = answers.iter().map(|&answer| answer.to_owned()).collect();
        let (sender, got) = channel();
        thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                sender.send(request(&stream)).unwrap();
                match answer.strip_suffix('∞').map(str::to_owned) {
                    None => stream.write_all(answer.as_bytes()).unwrap(),
                    Some(head) => drop(thread::spawn(move || {
                        let more =
                            b"data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}\n\n";
                        let mut said = stream.write_all(head.as_bytes());
                        while said.is_ok() {
                            said = stream.write_all(more);
                        }
                    })),
                }
            }
        });
        Self::of(&url, got)
    }

    fn of(url: &str, got: Receiver<String>) -> Self {
        let headers = vec![("authorization".to_owned(), "Bearer hunter2".to_owned())];
        let remote = Remote { url: url.to_owned(), headers };
        let ((heard, to), (from, told)) = (pipe().unwrap(), pipe().unwrap());
        let complaints = Arc::<Mutex<Vec<String>>>::default();
        let theirs = complaints.clone();
        let complain = move |words: &str| theirs.lock().unwrap().push(words.to_owned());
        let over = thread::spawn(move || relay(remote, BufReader::new(heard), told, complain));
        Self { to: Some(to), told: BufReader::new(from).lines(), got, complaints, over }
    }

    fn say(&mut self, message: &Value) {
        writeln!(self.to.as_ref().unwrap(), "{message}").unwrap();
    }

    fn ask(&mut self, id: i64, method: &str) {
        self.say(&json!({ "jsonrpc": "2.0", "id": id, "method": method }));
    }

    fn told(&mut self) -> Value {
        serde_json::from_str(&self.told.next().expect("more is told").unwrap()).unwrap()
    }

    fn got(&self) -> String {
        self.got.recv_timeout(Duration::from_secs(60)).expect("it is asked something")
    }

    /// Says no more; what was complained of.
    fn end(mut self) -> Vec<String> {
        self.to = None;
        self.over.join().unwrap();
        std::mem::take(&mut self.complaints.lock().unwrap())
    }
}

fn http(head: &str, body: &str) -> String {
    format!("HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn answer(id: i64) -> String {
    answer_in("s1", id)
}

fn answer_in(session: &str, id: i64) -> String {
    let result = json!({ "protocolVersion": "2025-06-18" });
    let body = json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string();
    let kind = "content-type: application/json; charset=utf-8";
    http(&format!("200 OK\r\n{kind}\r\nmcp-session-id: {session}"), &body)
}

const STREAM: &str =
    "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/event-stream\r\n\r\n";

#[test]
fn a_session_goes_on_as_it_was_begun_and_is_left_at_the_end() {
    let note = "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}";
    let stream = format!(
        "{STREAM}: hi\n\nid: 1\ndata: {note}\n\ndata: chat\n\ndata: {{\"jsonrpc\":\"2.0\",\ndata: \"id\":2,\"result\":{{}}}}\n\n"
    );
    let (accepted, gone) = (http("202 Accepted", ""), http("200 OK", ""));
    let mut spoken = Spoken::with(&[&answer(1), &accepted, &stream, &gone]);
    spoken.ask(1, "initialize");
    assert_eq!(spoken.told()["result"]["protocolVersion"], "2025-06-18");
    let first = spoken.got();
    assert!(first.starts_with("POST /mcp HTTP/1.1\r\n") && first.contains("Bearer hunter2"));
    assert!(first.contains("accept: application/json, text/event-stream\r\n"), "{first}");
    assert!(!first.contains("mcp-session-id"), "{first}");
    spoken.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
    let second = spoken.got();
    assert!(second.contains("mcp-session-id: s1\r\n"), "{second}");
    assert!(second.contains("mcp-protocol-version: 2025-06-18\r\n"), "{second}");
    spoken.ask(2, "tools/list");
    assert_eq!(spoken.told()["method"], "notifications/progress");
    assert_eq!(spoken.told(), json!({ "jsonrpc": "2.0", "id": 2, "result": {} }));
    drop(spoken.got());
    spoken.to = None;
    let last = spoken.got();
    assert!(last.starts_with("DELETE /mcp") && last.contains("mcp-session-id: s1"), "{last}");
    assert_eq!(spoken.end(), [""; 0]);
}

/// What is said to whoever makes a request that is answered so, after the greeting.
#[track_caller]
fn check(answers: &[&str], words: &str) {
    let first = answer(1);
    let mut spoken = Spoken::with(&[&[first.as_str()], answers].concat());
    spoken.ask(1, "initialize");
    spoken.told();
    spoken.ask(2, "tools/call");
    let told = spoken.told();
    let said = told["error"]["message"].as_str().unwrap_or_else(|| panic!("{told}"));
    assert_eq!((&told["id"], &told["error"]["code"]), (&json!(2), &json!(-32603)));
    assert!(said.contains(words) && !said.contains("hunter2"), "{said}");
}

#[test]
fn what_is_no_answer_is_an_error_that_says_why_and_nobody_is_followed() {
    check(&[&http("401 No", "who?")], "it wants a login (401); give one by `bearer_token_env_var`");
    let (forgotten, accepted) = (http("404 No", ""), http("202 Accepted", ""));
    let begun = answer_in("s2", 1);
    check(&[&forgotten, &begun, &accepted, &forgotten], "it has forgotten its session");
    check(&[&forgotten, &http("401 No", "who?")], "it wants a login (401)");
    check(&[&forgotten, &begun, &http("500 Oops", "")], "it answered 500");
    let other = begun.replace("2025-06-18", "2025-03-26");
    check(&[&forgotten, &other, &accepted], "another revision of the protocol");
    check(
        &[&http("302 Found\r\nlocation: http://127.0.0.1:1/", "")],
        "it answered 302, and nobody is followed",
    );
    check(&[&http("500 Oops", "")], "it answered 500");
    check(&[&http("200 OK\r\ncontent-type: text/html", "<p>")], "neither JSON nor");
    check(&[&http("200 OK\r\ncontent-type: application/json", "{")], "neither JSON nor");
    check(&[&http("202 Accepted", "")], "it ended its answer before there was one");
    check(&[STREAM], "it ended its answer before there was one");
    let long = format!("{STREAM}data: {}", "x".repeat(17 * 1024 * 1024));
    check(&[&long], "it says more at once than is heard");
}

#[test]
fn one_that_never_ends_its_answer_holds_up_nobody_else_and_is_left_when_nobody_waits() {
    let endless = format!("{STREAM}∞");
    let mut spoken = Spoken::with(&[&answer(1), &endless, &http("202 Accepted", ""), &answer(3)]);
    spoken.ask(1, "initialize");
    spoken.told();
    spoken.ask(2, "tools/call");
    assert_eq!(spoken.told()["method"], "notifications/message");
    let params = json!({ "requestId": 2 });
    let method = "notifications/cancelled";
    spoken.say(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    spoken.ask(3, "tools/call");
    let last = std::iter::repeat_with(|| spoken.told()).find(|told| told.get("id").is_some());
    assert_eq!(last.unwrap()["id"], 3);
}

#[test]
fn what_a_server_asks_amid_an_answer_is_answered_while_that_goes_on() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let (sender, got) = channel();
    thread::spawn(move || {
        let next = || {
            let (stream, _) = listener.accept().unwrap();
            sender.send(request(&stream)).unwrap();
            stream
        };
        next().write_all(answer(1).as_bytes()).unwrap();
        let mut call = next();
        let asks = json!({ "jsonrpc": "2.0", "id": "e", "method": "elicitation/create" });
        call.write_all(format!("{STREAM}data: {asks}\n\n").as_bytes()).unwrap();
        next().write_all(http("202 Accepted", "").as_bytes()).unwrap();
        let result = json!({ "jsonrpc": "2.0", "id": 2, "result": {} });
        call.write_all(format!("data: {result}\n\n").as_bytes()).unwrap();
    });
    let mut spoken = Spoken::of(&url, got);
    spoken.ask(1, "initialize");
    spoken.told();
    spoken.ask(2, "tools/call");
    assert_eq!(spoken.told()["method"], "elicitation/create");
    let declined = json!({ "jsonrpc": "2.0", "id": "e", "result": { "action": "decline" } });
    spoken.say(&declined);
    assert_eq!(spoken.told()["id"], 2);
    let said = spoken.got.try_iter().last().expect("it got something");
    assert!(said.ends_with(&declined.to_string()), "{said}");
    assert_eq!(spoken.end(), [""; 0]);
}

#[test]
fn one_that_is_not_there_or_has_no_address_is_told_of() {
    let mut spoken = Spoken::of("http://127.0.0.1:1/mcp", channel().1);
    spoken.ask(1, "initialize");
    let said = spoken.told()["error"]["message"].to_string();
    assert!(said.to_lowercase().contains("refused"), "{said}");
    assert_eq!(spoken.end().len(), 1);
    let spoken = Spoken::of("no address", channel().1);
    assert_eq!(spoken.end(), ["its address cannot be understood"]);
}

/// Who goes on in a session that the server has forgotten: which, and in which one.
fn heard_in(got: &str) -> (String, Option<String>) {
    let (head, body) = got.split_once("\r\n\r\n").unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    let session = head.lines().find_map(|line| line.strip_prefix("mcp-session-id: "));
    let id = body.get("id").map_or(String::new(), |id| format!(" {id}"));
    (format!("{}{id}", body["method"].as_str().unwrap()), session.map(str::to_owned))
}

#[test]
fn one_that_forgets_its_session_is_greeted_once_more_and_asked_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let (sender, got) = channel();
    thread::spawn(move || {
        let next = || {
            let (stream, _) = listener.accept().unwrap();
            let got = request(&stream);
            sender.send(got.clone()).unwrap();
            (stream, got)
        };
        let accept = || next().0.write_all(http("202 Accepted", "").as_bytes()).unwrap();
        let begin = || next().0.write_all(answer_in("s", 1).as_bytes()).unwrap();
        begin();
        accept();
        // All of them are here before one hears that it is forgotten.
        let calls = [next(), next(), next()];
        for (mut stream, _) in calls {
            stream.write_all(http("404 Not Found", "").as_bytes()).unwrap();
        }
        begin();
        accept();
        for _ in 0..3 {
            let (mut stream, got) = next();
            let (_, body) = got.split_once("\r\n\r\n").unwrap();
            let id = serde_json::from_str::<Value>(body).unwrap()["id"].as_i64().unwrap();
            stream.write_all(answer_in("s", id).as_bytes()).unwrap();
        }
        next().0.write_all(http("200 OK", "").as_bytes()).unwrap();
    });
    let mut spoken = Spoken::of(&url, got);
    let params = json!({ "protocolVersion": "2025-06-18", "clientInfo": { "name": "c" } });
    let greeting = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params });
    spoken.say(&greeting);
    spoken.told();
    let first = spoken.got();
    spoken.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
    spoken.got();
    for id in [2, 3, 4] {
        spoken.ask(id, "tools/call");
    }
    let mut told = [0; 3].map(|_| spoken.told()["id"].as_i64());
    told.sort_unstable();
    assert_eq!(told, [2, 3, 4].map(Some), "each is answered, and of the greeting nobody hears");
    for _ in 0..3 {
        spoken.got();
    }
    assert_eq!(spoken.got(), first, "it is begun as it was the first time");
    let initialized = spoken.got();
    let in_session = || Some("s".to_owned());
    assert_eq!(heard_in(&initialized), ("notifications/initialized".to_owned(), in_session()));
    assert!(initialized.contains("mcp-protocol-version: 2025-06-18\r\n"), "{initialized}");
    let mut again = [0; 3].map(|_| heard_in(&spoken.got()));
    again.sort();
    assert_eq!(again, [2, 3, 4].map(|id| (format!("tools/call {id}"), in_session())));
    spoken.to = None;
    assert!(spoken.got().starts_with("DELETE /mcp"), "nothing else was asked");
    assert_eq!(spoken.end(), [""; 0]);
}

#[test]
fn what_nobody_waits_for_any_more_is_not_asked_again_in_a_new_session() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let (sender, got) = channel();
    thread::spawn(move || {
        let next = || {
            let (stream, _) = listener.accept().unwrap();
            sender.send(request(&stream)).unwrap();
            stream
        };
        next().write_all(answer(1).as_bytes()).unwrap();
        let mut call = next();
        let mut cancelled = next();
        call.write_all(http("404 Not Found", "").as_bytes()).unwrap();
        // The one that does go on is asked after that was read.
        drop(call.read(&mut [0]));
        cancelled.write_all(http("202 Accepted", "").as_bytes()).unwrap();
        next().write_all(answer(3).as_bytes()).unwrap();
    });
    let mut spoken = Spoken::of(&url, got);
    spoken.ask(1, "initialize");
    spoken.told();
    spoken.got();
    spoken.ask(2, "tools/call");
    assert!(spoken.got().contains("tools/call"));
    let params = json!({ "requestId": 2 });
    let method = "notifications/cancelled";
    spoken.say(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    assert!(spoken.got().contains(method));
    spoken.ask(3, "tools/list");
    assert_eq!(spoken.told()["id"], 3);
    assert_eq!(heard_in(&spoken.got()), ("tools/list 3".to_owned(), Some("s1".to_owned())));
}
