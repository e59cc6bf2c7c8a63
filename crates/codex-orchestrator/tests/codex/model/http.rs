//! As much of HTTP as the client needs of its model.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpStream},
};

use serde_json::json;

use super::Reply;

/// Reads one request, and writes what comes of its login and its body.
pub(super) fn answer(stream: &TcpStream, reply: impl FnOnce(&str, &[u8]) -> Result<Reply, String>) {
    // A client that was killed says and hears nothing more, which is none of our business.
    let _ = try_answer(stream, reply);
}

fn try_answer(
    mut stream: &TcpStream,
    reply: impl FnOnce(&str, &[u8]) -> Result<Reply, String>,
) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut line, mut first, mut login, mut length) =
        (String::new(), String::new(), String::new(), 0);
    while reader.read_line(&mut line)? > 2 {
        if first.is_empty() {
            first.clone_from(&line);
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("authorization")
        {
            value.trim().clone_into(&mut login);
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    if !first.starts_with("POST /v1/responses ") {
        return respond(stream, "404 Not Found", "application/json", "{}");
    }
    let reply = match reply(&login, &body) {
        Ok(reply) => reply,
        Err(why) => {
            let error = json!({ "error": { "message": why, "type": "invalid_request_error" } });
            return respond(stream, "400 Bad Request", "application/json", &error.to_string());
        }
    };
    if let Some(events) = reply.events() {
        return respond(stream, "200 OK", "text/event-stream", &stream_of(&events));
    }
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";
    match reply {
        Reply::Refuse(status, headers, body) => {
            let kind: String =
                headers.iter().map(|(name, value)| format!("\r\n{name}: {value}")).collect();
            respond(stream, status, &format!("application/json{kind}"), &body.to_string())
        }
        Reply::Cut => {
            let event = stream_of(&[
                json!({ "type": "response.created", "response": { "id": "response" } }),
            ]);
            write!(stream, "{head}content-length: 100000\r\n\r\n{event}")?;
            stream.shutdown(Shutdown::Both)
        }
        // Nothing is said, and the client may wait for it as long as it likes.
        _ => {
            write!(stream, "{head}\r\n")?;
            io::copy(&mut reader, &mut io::sink()).map(|_| ())
        }
    }
}

fn stream_of(events: &[serde_json::Value]) -> String {
    let one = |event: &serde_json::Value| {
        format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default())
    };
    events.iter().map(one).collect()
}

fn respond(mut stream: &TcpStream, status: &str, kind: &str, body: &str) -> io::Result<()> {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    )
}
