//! One connection to the proxy, from its first byte to its last.

use std::{
    io,
    net::{IpAddr, TcpStream},
    sync::Arc,
    time::Instant,
};

use model::caps::Host;

use crate::{
    dial::dial,
    http::{self, Asked, LONGEST_HEAD, Unclear},
    judge::{Denied, Policy},
    news::Said,
    relay::{End, Toll, relay},
    serve::Desk,
    socks::{self, Heard},
    tls::{self, Hello},
    wire::{Stop, Wire, Woken},
};

/// What came of asking for a host.
enum Reached {
    Here(TcpStream),
    Denied(Denied),
    Failed(&'static str),
}

/// A client whose bytes are read ahead.
struct Client<'a> {
    wire: Wire<'a>,
    desk: &'a Desk,
    /// What was read and not used.
    held: Vec<u8>,
    /// Until when it must have said what it wants.
    until: Instant,
}

/// Serves a connection. Whatever goes wrong with it ends it, and is told to whom it concerns.
pub(crate) fn serve(stream: &TcpStream, desk: &Desk, stop: &Stop) {
    let until = Instant::now() + desk.common.limits.head;
    let mut client = Client { wire: Wire { stream, stop }, desk, held: vec![], until };
    // An error is a client that went away, or took too long.
    let _ = client.serve();
}

/// What somebody is told for whom there is no place.
pub(crate) fn turn_away(stream: &TcpStream) {
    use std::io::Write as _;
    let mut stream = stream;
    let text =
        "HTTP/1.1 503 Too many connections\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let _ = stream.write(text.as_bytes());
}

impl Client<'_> {
    /// Reads more; `false` at the client's end.
    fn more(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 4096];
        let count = self.wire.read(&mut buffer, self.until)?;
        self.held.extend_from_slice(&buffer[..count]);
        Ok(count > 0)
    }

    fn serve(&mut self) -> io::Result<()> {
        while self.held.is_empty() {
            if !self.more()? {
                return Ok(());
            }
        }
        match self.held[0] {
            socks::VERSION => self.socks(),
            4 => {
                self.unclear();
                self.say(socks::NOT_FOUR)
            }
            first if first.is_ascii_uppercase() => self.http(),
            _ => {
                self.unclear();
                self.answer(400, "Unclear", "this is a proxy for HTTP and SOCKS 5")
            }
        }
    }

    fn unclear(&self) {
        self.desk.news.count(None, Said::Denied(Denied::Unclear));
    }

    fn say(&self, bytes: &[u8]) -> io::Result<()> {
        self.wire.write(bytes, Instant::now() + self.desk.common.limits.head)
    }

    /// A whole answer in HTTP, with a reason for programs that show only that.
    fn answer(&self, code: u16, reason: &str, text: &str) -> io::Result<()> {
        let body = format!("codex-orchestrator: {text}\n");
        let head = format!(
            "HTTP/1.1 {code} {reason}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
             Cache-Control: no-store\r\nConnection: close\r\n\r\n",
            body.len()
        );
        self.say(&[head.as_bytes(), body.as_bytes()].concat())
    }

    fn http(&mut self) -> io::Result<()> {
        let end = loop {
            if let Some(end) = http::end_of_head(&self.held) {
                break end;
            }
            if self.held.len() > LONGEST_HEAD {
                self.unclear();
                return self.answer(431, "Head too long", "the head of the request is too long");
            }
            if !self.more()? {
                return Ok(());
            }
        };
        let rest = self.held.split_off(end);
        let head = std::mem::replace(&mut self.held, rest);
        match http::read(&head) {
            Err(Unclear(why)) => {
                self.unclear();
                self.answer(400, "Unclear", why)
            }
            Ok(Asked::Tunnel { host, port }) => match self.reach(&host, port) {
                Reached::Here(server) => {
                    self.say(b"HTTP/1.1 200 Connected\r\n\r\n")?;
                    self.tunnel(&server, &host, port)
                }
                other => self.refuse(&host, port, &other),
            },
            Ok(Asked::Plain { host, port, head, body }) => match self.reach(&host, port) {
                Reached::Here(server) => self.plain(&server, &host, port, &head, body),
                other => self.refuse(&host, port, &other),
            },
        }
    }

    /// Says to an HTTP client why it does not reach a host.
    fn refuse(&self, host: &Host, port: u16, reached: &Reached) -> io::Result<()> {
        let to = http::shown(host, port);
        match reached {
            Reached::Denied(denied) => {
                let reason = match denied {
                    Denied::Unlisted | Denied::Refused => "Not in caps.network.allow",
                    Denied::Asked => "A person is asked, try again later",
                    Denied::Near => "Not in caps.network.pins",
                    _ => "Denied",
                };
                let text = format!("{to} {denied}; {}", denied.remedy(host, port));
                self.answer(403, reason, &text)
            }
            Reached::Failed(why) => self.answer(502, "Unreachable", &format!("{to} {why}")),
            Reached::Here(_) => Ok(()),
        }
    }

    fn socks(&mut self) -> io::Result<()> {
        let greeted = loop {
            match socks::greeting(&self.held) {
                Heard::All((), length) => break length,
                Heard::No(code) => {
                    self.unclear();
                    return self.say(&[socks::VERSION, code]);
                }
                Heard::More if self.more()? => {}
                Heard::More => return Ok(()),
            }
        };
        self.held.drain(..greeted);
        self.say(&[socks::VERSION, 0])?;
        let (host, port) = loop {
            match socks::request(&self.held) {
                Heard::All(asked, length) => {
                    self.held.drain(..length);
                    break asked;
                }
                Heard::No(code) => {
                    self.unclear();
                    return self.say(&socks::reply(code));
                }
                Heard::More if self.more()? => {}
                Heard::More => return Ok(()),
            }
        };
        match self.reach(&host, port) {
            Reached::Here(server) => {
                self.say(&socks::reply(socks::GRANTED))?;
                self.tunnel(&server, &host, port)
            }
            Reached::Denied(_) => self.say(&socks::reply(socks::NOT_ALLOWED)),
            Reached::Failed(_) => self.say(&socks::reply(socks::UNREACHABLE)),
        }
    }

    /// Judges a host, finds it and connects to it, in that order. Who gets a connection is told of only
    /// when it is known what is said on it.
    fn reach(&self, host: &Host, port: u16) -> Reached {
        let reached = self.reach_silently(host, port);
        let said = match &reached {
            Reached::Here(_) => return reached,
            Reached::Denied(why) => Said::Denied(*why),
            Reached::Failed(_) => Said::Failed,
        };
        self.desk.news.count(Some((host, port)), said);
        reached
    }

    /// The policy that lets a host through. Where a person may be asked for it, they are, and
    /// waited for a little.
    fn admitting(&self, host: &Host, port: u16) -> Result<Arc<Policy>, Denied> {
        let policy = self.desk.rules.now();
        match policy.judge(host, port) {
            Ok(()) => return Ok(policy),
            Err(Denied::Asked) => {}
            Err(denied) => return Err(denied),
        }
        self.desk.news.count(Some((host, port)), Said::Asked);
        let until = Instant::now() + self.desk.common.limits.asked;
        loop {
            // It comes first, so that no policy is missed that comes meanwhile.
            let replaced = self.desk.rules.replaced().map_err(|_| Denied::Asked)?;
            let policy = self.desk.rules.now();
            match policy.judge(host, port) {
                Ok(()) => return Ok(policy),
                Err(Denied::Asked) => {}
                Err(denied) => return Err(denied),
            }
            match self.wire.stop.wait(&mut vec![replaced.to_poll()], Some(until)) {
                Ok(Woken::Ready) => {}
                Ok(Woken::Late | Woken::Stopped) | Err(_) => return Err(Denied::Asked),
            }
        }
    }

    fn reach_silently(&self, host: &Host, port: u16) -> Reached {
        let policy = match self.admitting(host, port) {
            Ok(policy) => policy,
            Err(denied) => return Reached::Denied(denied),
        };
        let traffic = self.desk.common.traffic();
        if self.desk.common.limits.bytes.is_some_and(|most| traffic.sent + traffic.received > most)
        {
            return Reached::Denied(Denied::Spent);
        }
        let until = Instant::now() + self.desk.common.limits.dial;
        let addresses: Vec<IpAddr> = match (policy.pinned(host), host.address(), host.name()) {
            (Some(pinned), _, _) => pinned,
            (None, Some(address), _) => vec![address],
            (None, None, Some(name)) => match (self.desk.resolve)(name) {
                Ok(found) => found,
                Err(_) => return Reached::Failed("has no address that could be found"),
            },
            (None, None, None) => vec![],
        };
        if policy.pinned(host).is_none()
            && let Err(denied) = Policy::judge_addresses(&addresses)
        {
            return Reached::Denied(denied);
        }
        match dial(&addresses, port, until, self.wire.stop) {
            Ok(server) => Reached::Here(server),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                Reached::Failed("did not answer in time")
            }
            Err(_) => Reached::Failed("could not be connected to"),
        }
    }

    /// Bytes both ways. Where TLS has to be spoken, not one goes out before the server was called by its name.
    fn tunnel(&mut self, server: &TcpStream, host: &Host, port: u16) -> io::Result<()> {
        if self.desk.rules.now().tls_ports.contains(&port)
            && let Err(denied) = self.called(host)?
        {
            self.desk.news.count(Some((host, port)), Said::Denied(denied));
            return Ok(());
        }
        self.desk.news.count(Some((host, port)), Said::Allowed);
        self.relay(server, host, port, None)
    }

    /// Whether a client calls the server by the name that it was let through for.
    fn called(&mut self, host: &Host) -> io::Result<Result<(), Denied>> {
        self.until = Instant::now() + self.desk.common.limits.head;
        loop {
            match tls::hello(&self.held) {
                Hello::Named(name) if tls::is_called(host, name.as_deref()) => return Ok(Ok(())),
                Hello::Named(_) => return Ok(Err(Denied::OtherName)),
                Hello::NotTls => return Ok(Err(Denied::NoTls)),
                Hello::More if self.held.len() > tls::LONGEST * 2 => return Ok(Err(Denied::NoTls)),
                Hello::More => match self.more() {
                    Ok(true) => {}
                    // Who says nothing has at least not said anything else.
                    Ok(false) if self.held.is_empty() => {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    Err(error) if self.held.is_empty() => return Err(error),
                    Ok(false) | Err(_) => return Ok(Err(Denied::NoTls)),
                },
            }
        }
    }

    /// One request in the clear, with the body that belongs to it and no more.
    fn plain(
        &mut self,
        server: &TcpStream,
        host: &Host,
        port: u16,
        head: &[u8],
        body: u64,
    ) -> io::Result<()> {
        self.desk.news.count(Some((host, port)), Said::Allowed);
        let until = Instant::now() + self.desk.common.limits.idle;
        let server_wire = Wire { stream: server, stop: self.wire.stop };
        server_wire.write(head, until)?;
        self.count_sent(head.len());
        // Whatever was sent behind the body would be another request, which nobody has judged.
        self.held.truncate(usize::try_from(body).unwrap_or(usize::MAX));
        self.relay(server, host, port, Some(body))
    }

    fn count_sent(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or_default();
        self.desk.common.sent.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
    }

    /// Sends what was read ahead, and then relays the rest.
    fn relay(
        &mut self,
        server: &TcpStream,
        host: &Host,
        port: u16,
        body: Option<u64>,
    ) -> io::Result<()> {
        let common = &self.desk.common;
        let held = std::mem::take(&mut self.held);
        let server_wire = Wire { stream: server, stop: self.wire.stop };
        server_wire.write(&held, Instant::now() + common.limits.idle)?;
        self.count_sent(held.len());
        let ahead = u64::try_from(held.len()).unwrap_or_default();
        let toll = Toll {
            sent: &common.sent,
            received: &common.received,
            most: common.limits.bytes,
            idle: common.limits.idle,
        };
        let left = body.map(|body| body.saturating_sub(ahead));
        let end = relay(self.wire.stream, server, left, &toll, self.wire.stop)?;
        if end == End::Spent {
            self.desk.news.count(Some((host, port)), Said::Denied(Denied::Spent));
        }
        Ok(())
    }
}
