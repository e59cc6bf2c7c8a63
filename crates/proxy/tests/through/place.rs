//! A proxy with a policy, servers behind it, and what was told of it.

use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use proxy::{Event, Limits, Policy, Proxy, Rules, Said};

/// The longest that a test waits for anything.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// A proxy, and what it told.
pub(crate) struct Place {
    pub(crate) proxy: Proxy,
    pub(crate) address: SocketAddr,
    told: Arc<Mutex<Vec<Event>>>,
    /// How many names were looked up.
    pub(crate) looked_up: Arc<AtomicUsize>,
}

/// What is listed; each host in it that is a name is pinned to this machine.
pub(crate) fn policy(listed: &str) -> Policy {
    let hosts: Vec<model::caps::HostPattern> =
        listed.split_whitespace().map(|pattern| pattern.parse().unwrap()).collect();
    let names = listed.split_whitespace().map(|pattern| pattern.split(':').next().unwrap());
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let pins = names.filter_map(|name| Some((name.parse().ok()?, [here].into_iter().collect())));
    Policy { pins: pins.collect(), hosts: hosts.into_iter().collect(), ..Policy::default() }
}

impl Place {
    pub(crate) fn new(listed: &str) -> Self {
        Self::with(policy(listed), Limits::default(), |_| Err(io::ErrorKind::NotFound.into()))
    }

    pub(crate) fn with(
        policy: Policy,
        limits: Limits,
        resolve: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let told = Arc::new(Mutex::new(vec![]));
        let looked_up = Arc::new(AtomicUsize::new(0));
        let (sink, count) = (told.clone(), looked_up.clone());
        let resolve = Box::new(move |name: &str| {
            count.fetch_add(1, Ordering::SeqCst);
            resolve(name)
        });
        let tell = move |event| sink.lock().unwrap().push(event);
        let proxy = Proxy::start_with(listener, Rules::new(policy), limits, tell, resolve).unwrap();
        Self { proxy, address, told, looked_up }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        connect(self.address)
    }

    /// What was told so far, in words.
    pub(crate) fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().iter().map(shown).collect()
    }

    /// Waits until that was told.
    pub(crate) fn wait_for(&self, event: &str) {
        eventually(
            || self.told().iter().any(|told| told == event),
            || format!("{event} in {:?}", self.told()),
        );
    }
}

fn shown(event: &Event) -> String {
    let to = event.to.as_ref().map_or("-".to_owned(), |(host, port)| format!("{host}:{port}"));
    match event.said {
        Said::Allowed => format!("{to} allowed"),
        Said::Asked => format!("{to} may it?"),
        Said::Denied(why) => format!("{to} {}", why.as_str()),
        Said::Failed => format!("{to} failed"),
    }
}

/// Waits for a fact.
pub(crate) fn eventually(fact: impl Fn() -> bool, what: impl Fn() -> String) {
    let until = Instant::now() + DEADLINE;
    while !fact() {
        assert!(Instant::now() < until, "waited in vain for {}", what());
        thread::yield_now();
    }
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// Sends it, and gives all that comes back until the other end has closed.
pub(crate) fn exchange(stream: &mut TcpStream, bytes: &[u8]) -> String {
    stream.write_all(bytes).unwrap();
    rest(stream)
}

/// All that comes until the other end has closed.
pub(crate) fn rest(stream: &mut TcpStream) -> String {
    let mut all = vec![];
    match stream.read_to_end(&mut all) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
        read => _ = read.unwrap(),
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// A server that gives each connection to that; its port.
pub(crate) fn server(each: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let each = Arc::new(each);
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let each = each.clone();
            stream.set_read_timeout(Some(DEADLINE)).unwrap();
            thread::spawn(move || each(stream));
        }
    });
    port
}

/// A server that sends back whatever comes until the end.
pub(crate) fn echo() -> u16 {
    server(|mut stream| {
        let mut buffer = [0; 65536];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            if stream.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
    })
}

/// A web server that answers each request with the request, and how many came on the connection.
pub(crate) fn web() -> u16 {
    server(|mut stream| {
        let mut bytes = vec![];
        let mut buffer = [0; 4096];
        for number in 1.. {
            let end = loop {
                if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                    break at + 4;
                }
                match stream.read(&mut buffer) {
                    Ok(count @ 1..) => bytes.extend_from_slice(&buffer[..count]),
                    _ => return,
                }
            };
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length = |line: &str| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
            };
            let length: usize = head.lines().find_map(length).unwrap_or(0);
            while bytes.len() < end + length {
                match stream.read(&mut buffer) {
                    Ok(count @ 1..) => bytes.extend_from_slice(&buffer[..count]),
                    _ => return,
                }
            }
            let asked = String::from_utf8_lossy(&bytes[..end + length]).into_owned();
            bytes.drain(..end + length);
            let closes = head.contains("Connection: close");
            let body = format!("request {number}: {asked}");
            let connection = if closes { "Connection: close\r\n" } else { "" };
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{connection}\r\n{body}",
                body.len()
            );
            if stream.write_all(answer.as_bytes()).is_err() || closes {
                return;
            }
        }
    })
}
