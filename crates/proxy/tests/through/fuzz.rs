//! Damaged requests, a great many of them: whoever judges and whoever connects mean the same host.
//!
//! `FUZZ_INPUTS` says how many and `FUZZ_SEED` which ones; a failure shows its input.

use std::time::Instant;

use model::caps::Host;
use proxy::{
    http::{self, Asked},
    socks::{self, Heard},
    tls::{self, Hello},
};

/// Numbers that look like chance and are the same for the same seed.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next()).unwrap() % end.max(1)
    }

    fn of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }

    fn mostly<'a, T: ?Sized>(&mut self, these: &[&'a T], others: &[&'a T]) -> &'a T {
        if self.below(8) > 0 { self.of(these) } else { self.of(others) }
    }
}

const HOSTS: &[&str] = &[
    "a.example",
    "A.Example.",
    "b.example",
    "xn--bcher-kva.example",
    "127.0.0.1",
    "[::1]",
    "::1",
    "[::ffff:127.0.0.1]",
    "0x7f.1",
    "2130706433",
    "localhost",
    "a.example@b.example",
    "a.example\0.b",
    "a_b.example",
    "\u{ff41}.example",
    "a.example%2eb",
    "a..example",
    "-a.example",
    "a.example:80:90",
    "[a.example]",
    "1.2.3",
    "a.example#b",
    "a.example\\b",
    "a.example/b",
    "",
    ".",
    "a.1",
];

const PORTS: &[&str] = &["", ":80", ":443", ":0", ":080", ":65536", ":8080", ":+80", ": 80", ":"];

/// Words that mean something to somebody on the way.
const WORDS: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"\t",
    b" ",
    b":",
    b"@",
    b"//",
    b"\\",
    b"#",
    b"?",
    b"\xff",
    b"\xc2\xa0",
    b"\r\nHost: b.example",
    b"\r\nhost:a.example",
    b"\r\n Host: b.example",
    b"Host : b.example\r\n",
    b"\r\nTransfer-Encoding: chunked",
    b"\r\nContent-Length: 5",
    b"\r\nContent-Length: 0",
    b"HTTP/1.1",
    b"http://",
    b"HTTP://",
    b"https://",
    b"CONNECT ",
    b"GET ",
    b"\r\n\r\n",
    b"a.example",
    b"b.example:443",
    b"\r\nConnection: Host",
    b"\r\nConnection: Content-Length, close",
    b"[::1]",
    b"%00",
    b"\x0b",
    b"\x7f",
];

fn request(chance: &mut Chance) -> Vec<u8> {
    // Mostly what is right, or else nothing would be read that could be compared.
    let host = chance.mostly(&HOSTS[..4], HOSTS);
    let port = chance.mostly(&PORTS[1..3], PORTS);
    let said = if chance.below(4) == 0 { chance.of(HOSTS) } else { host };
    let method = chance.mostly(&["GET", "POST"], &["PUT", "OPTIONS", "M-SEARCH", "get", ""]);
    let version = chance.mostly(&["HTTP/1.1", "HTTP/1.0"], &["HTTP/2.0", "HTTP/0.9"]);
    let more =
        chance.of(&["", "Accept: */*\r\n", "Content-Length: 3\r\n", "Connection: close\r\n"]);
    let text = match chance.below(3) {
        0 => format!("CONNECT {host}{port} {version}\r\nHost: {said}{port}\r\n{more}\r\n"),
        1 => format!("CONNECT {host}{port} {version}\r\n\r\n"),
        _ => {
            let scheme = chance.mostly(&["http://", "HTTP://"], &["https://", "", "ftp://"]);
            let path = chance.mostly(&["/", "", "/x?y=z"], &["?q", "/@b.example", "/a//b", "#f"]);
            format!(
                "{method} {scheme}{host}{port}{path} {version}\r\nHost: {said}{port}\r\n{more}\r\n"
            )
        }
    };
    damaged(text.into_bytes(), chance)
}

fn damaged(mut bytes: Vec<u8>, chance: &mut Chance) -> Vec<u8> {
    for _ in 0..chance.below(4) {
        let at = chance.below(bytes.len() + 1);
        match chance.below(5) {
            0 if at < bytes.len() => bytes[at] = u8::try_from(chance.below(256)).unwrap(),
            1 if at < bytes.len() => _ = bytes.remove(at),
            2 => _ = bytes.splice(at..at, chance.of(WORDS).iter().copied()),
            3 => {
                let end = (at + chance.below(8)).min(bytes.len());
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            _ => {}
        }
    }
    bytes
}

/// The host and port of an authority as somebody else reads them: what stands last before a port, after
/// any user.
fn as_others_read(authority: &str, port: u16) -> (String, u16) {
    let authority = authority.rsplit('@').next().unwrap();
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, written)) if digits(written) => (host, written.parse().unwrap()),
        _ => (authority, port),
    };
    (host.trim_end_matches('.').to_ascii_lowercase(), port)
}

/// Whether a host is the one form of itself, and nothing that anybody could read as another one.
fn is_sound(host: &Host) {
    let shown = host.to_string();
    assert_eq!(shown.parse::<Host>().as_ref(), Ok(host));
    assert!(shown.bytes().all(|c| c.is_ascii_graphic() && !b"@/\\#?%".contains(&c)), "{shown}");
    // Who reads any numbers as an address would read one here only where there is one.
    let numbers = shown.split('.').all(|part| part.bytes().all(|c| c.is_ascii_digit()));
    assert_eq!(numbers || shown.starts_with('['), host.address().is_some(), "{shown}");
}

/// Checks one request; whether it was read.
fn http_agrees(bytes: &[u8]) -> bool {
    let Some(end) = http::end_of_head(bytes) else { return false };
    let head = &bytes[..end];
    let Ok(asked) = http::read(head) else { return false };
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut theirs = httparse::Request::new(&mut headers);
    let read = theirs.parse(head).expect("others read it too");
    assert!(read.is_complete());
    let target = theirs.path.unwrap();
    let said = |name: &str, of: &httparse::Request<'_, '_>| -> Vec<String> {
        let named = of.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
        named.map(|header| String::from_utf8(header.value.to_vec()).unwrap()).collect()
    };
    match asked {
        Asked::Tunnel { host, port } => {
            assert_eq!(theirs.method, Some("CONNECT"));
            is_sound(&host);
            let shown = host.to_string();
            let theirs_host = as_others_read(target, 0);
            // An address may be written in more than one way.
            if host.address().is_none() {
                assert_eq!(theirs_host, (shown, port));
            } else {
                assert_eq!(theirs_host.0.parse::<Host>().unwrap(), host);
            }
        }
        Asked::Plain { host, port, head, body } => {
            is_sound(&host);
            let rest = target.split_once("://").unwrap().1;
            let authority = rest.split(['/', '?', '#', '\\']).next().unwrap();
            let (name, their_port) = as_others_read(authority, 80);
            assert_eq!((name.parse::<Host>().unwrap(), their_port), (host.clone(), port));
            // What is sent on is read by a server: one request, one host, one length.
            let mut headers = [httparse::EMPTY_HEADER; 64];
            let mut sent = httparse::Request::new(&mut headers);
            assert!(sent.parse(&head).expect("a server reads it").is_complete());
            assert_eq!(http::end_of_head(&head), Some(head.len()), "one head");
            assert!(sent.path.unwrap().starts_with('/'));
            assert_eq!(said("host", &sent), [http::shown(&host, port)]);
            assert_eq!(said("transfer-encoding", &sent), [""; 0]);
            let lengths = said("content-length", &sent);
            assert!(lengths.len() <= 1);
            assert_eq!(lengths.first().map_or(0, |length| length.parse().unwrap()), body);
            assert_eq!(said("connection", &sent), ["close"]);
        }
    }
    true
}

fn socks_agrees(chance: &mut Chance) -> bool {
    let host = chance.of(HOSTS).as_bytes();
    let length = u8::try_from(host.len()).unwrap();
    let port = u16::try_from(chance.below(65536)).unwrap();
    let bytes = [&[5, 1, 0, 3, length], host, &port.to_be_bytes()].concat();
    let bytes = damaged(bytes, chance);
    let _ = socks::greeting(&bytes);
    let Heard::All((host, port), length) = socks::request(&bytes) else { return false };
    is_sound(&host);
    // What others read: the bytes that are said to be the name, and the two behind.
    let named = &bytes[5..5 + usize::from(bytes[4])];
    let named = std::str::from_utf8(named).unwrap();
    assert_eq!(named.parse::<Host>().unwrap(), host);
    if host.address().is_none() {
        assert_eq!(named.trim_end_matches('.').to_ascii_lowercase(), host.to_string());
    }
    assert_eq!(bytes[length - 2..length], port.to_be_bytes());
    true
}

/// A hello of a real client, once; damaged ones are made of it.
fn hello() -> Vec<u8> {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let name = "a.example".try_into().unwrap();
    let mut client = rustls::ClientConnection::new(std::sync::Arc::new(config), name).unwrap();
    let mut bytes = vec![];
    client.write_tls(&mut bytes).unwrap();
    bytes
}

fn tls_agrees(whole: &[u8], chance: &mut Chance) -> bool {
    let bytes = damaged(whole.to_vec(), chance);
    let Hello::Named(Some(ours)) = tls::hello(&bytes) else { return false };
    // What a real server reads of the same bytes, where it reads anything.
    let mut acceptor = rustls::server::Acceptor::default();
    if acceptor.read_tls(&mut &bytes[..]).is_err() {
        return true;
    }
    if let Ok(Some(accepted)) = acceptor.accept() {
        let theirs = accepted.client_hello().server_name().map(str::to_owned);
        // Names that are none are none to it.
        if let Some(theirs) = theirs {
            assert_eq!(
                ours.to_ascii_lowercase().trim_end_matches('.'),
                theirs.to_ascii_lowercase().trim_end_matches('.')
            );
        }
    }
    true
}

#[test]
#[expect(clippy::print_stdout, reason = "who asks for millions wants to know how many there were")]
fn whoever_judges_and_whoever_connects_mean_the_same_host() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let inputs = number("FUZZ_INPUTS").unwrap_or(60_000);
    let seed = number("FUZZ_SEED").unwrap_or(0x5eed);
    let mut chance = Chance(seed | 1);
    let whole = hello();
    let begun = Instant::now();
    let mut read = [0_u64; 3];
    for number in 0..inputs {
        let kept = chance.0;
        let way = usize::try_from(number % 8).unwrap();
        let tried = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| match way {
            0..=4 => (0, http_agrees(&request(&mut chance))),
            5 | 6 => (1, socks_agrees(&mut chance)),
            _ => (2, tls_agrees(&whole, &mut chance)),
        }));
        match tried {
            Ok((way, true)) => read[way] += 1,
            Ok(_) => {}
            Err(_) => panic!("input {number} of seed {seed}, state {kept}, way {way}"),
        }
    }
    println!("{inputs} inputs in {:?}; read of HTTP, SOCKS and TLS: {read:?}", begun.elapsed());
    // Most are refused, and some of each kind are not.
    assert!(read.iter().all(|count| *count > inputs / 200), "{read:?}");
}
