//! Tunnels by way of `CONNECT`.

use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
};

use proxy::{Limits, Policy};

use crate::place::{Place, echo, exchange, policy, rest, server};

/// Asks for a tunnel; the first line of the answer.
pub(crate) fn open(stream: &mut TcpStream, to: &str) -> String {
    stream.write_all(format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n").as_bytes()).unwrap();
    let mut head = vec![];
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&head));
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    head.lines().next().unwrap().to_owned()
}

#[test]
fn bytes_go_both_ways_and_each_end_is_told() {
    let port = echo();
    let place = Place::new(&format!("a.example:{port}"));
    let mut stream = place.connect();
    assert_eq!(open(&mut stream, &format!("a.example:{port}")), "HTTP/1.1 200 Connected");
    stream.write_all(b"some").unwrap();
    let mut back = [0; 4];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"some");
    stream.write_all(b"more").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(rest(&mut stream), "more");
    assert_eq!((place.proxy.traffic().sent, place.proxy.traffic().received), (8, 8));
}

#[test]
fn only_the_listed_host_at_the_listed_port_is_reached() {
    let (port, other) = (echo(), echo());
    let place = Place::new(&format!("a.example:{port} *.b.example:{port}"));
    for to in [
        format!("a.example:{other}"),
        format!("x.a.example:{port}"),
        format!("aa.example:{port}"),
        format!("b.example:{port}"),
        format!("127.0.0.1:{port}"),
        format!("[::1]:{port}"),
        format!("localhost:{port}"),
    ] {
        let mut stream = place.connect();
        assert_eq!(open(&mut stream, &to), "HTTP/1.1 403 Not in caps.network.allow", "{to}");
    }
    for to in
        [format!("0x7f.1:{port}"), format!("2130706433:{port}"), format!("a.example.\u{e9}:{port}")]
    {
        let mut stream = place.connect();
        assert_eq!(open(&mut stream, &to), "HTTP/1.1 400 Unclear", "{to}");
    }
    assert_eq!(place.looked_up.load(Ordering::SeqCst), 0);
}

#[test]
fn a_name_that_leads_near_is_denied_whoever_lists_it() {
    let port = echo();
    let listed = Policy {
        pins: Default::default(),
        ..policy(&format!("a.example:{port} 127.0.0.1:{port}"))
    };
    let addresses = ["93.184.215.14", "127.0.0.1"].map(|text| text.parse::<IpAddr>().unwrap());
    let place = Place::with(listed, Limits::default(), move |_| Ok(addresses.to_vec()));
    let mut stream = place.connect();
    assert_eq!(
        open(&mut stream, &format!("a.example:{port}")),
        "HTTP/1.1 403 Not in caps.network.pins"
    );
    let mut stream = place.connect();
    let told =
        exchange(&mut stream, format!("CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n").as_bytes());
    assert!(told.contains("add `\"127.0.0.1\" = [\"ADDRESS\"]` to `caps.network.pins`"), "{told}");
    assert_eq!(place.told(), [format!("a.example:{port} near"), format!("127.0.0.1:{port} near")]);
}

#[test]
fn a_name_is_looked_up_once_and_dialled_where_it_was_found() {
    let reached = Arc::new(AtomicUsize::new(0));
    let count = reached.clone();
    let port = server(move |_| _ = count.fetch_add(1, Ordering::SeqCst));
    let listed = Policy { pins: Default::default(), ..policy(&format!("a.example:{port}")) };
    let turn = AtomicUsize::new(0);
    // Whoever would look a second time would find this machine.
    let limits = Limits { dial: std::time::Duration::from_millis(300), ..Limits::default() };
    let place = Place::with(listed, limits, move |_| match turn.fetch_add(1, Ordering::SeqCst) {
        0 => Ok(vec!["2001:200:ffff::1".parse().unwrap()]),
        _ => Ok(vec!["127.0.0.1".parse().unwrap()]),
    });
    let mut stream = place.connect();
    assert_eq!(open(&mut stream, &format!("a.example:{port}")), "HTTP/1.1 502 Unreachable");
    assert_eq!(place.looked_up.load(Ordering::SeqCst), 1);
    assert_eq!(reached.load(Ordering::SeqCst), 0);
}

#[test]
fn where_tls_has_to_be_there_is_tls_with_the_right_name_or_nothing() {
    let (sender, arrived) = mpsc::channel();
    let port = server(move |mut stream| {
        let mut bytes = vec![];
        let _ = stream.read_to_end(&mut bytes);
        let _ = sender.send(bytes.len());
    });
    let to = format!("a.example:{port}");
    let strict = Policy { tls_ports: [443, port].into(), ..policy(&to) };
    let place = Place::with(strict, Limits::default(), |_| unreachable!("it is pinned"));
    let hello = |name: &str| {
        let roots = rustls::RootCertStore::empty();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = name.to_owned().try_into().unwrap();
        let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        let mut bytes = vec![];
        client.write_tls(&mut bytes as &mut dyn io::Write).unwrap();
        bytes
    };
    let send = |bytes: &[u8]| {
        let mut stream = place.connect();
        assert_eq!(open(&mut stream, &to), "HTTP/1.1 200 Connected");
        stream.write_all(bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = rest(&mut stream);
        arrived.recv_timeout(crate::place::DEADLINE).unwrap()
    };
    assert_eq!(send(b"GET / HTTP/1.1\r\n\r\n"), 0);
    assert_eq!(send(&hello("b.example")), 0);
    assert_eq!(send(&hello("a.example")[..40]), 0);
    let right = hello("a.example");
    assert_eq!(send(&right), right.len());
    for told in ["no_tls", "other_name", "allowed"] {
        place.wait_for(&format!("{to} {told}"));
    }
}

#[test]
fn what_is_widened_holds_for_the_next_connection() {
    let port = echo();
    let place = Place::new("");
    let to = format!("a.example:{port}");
    assert_eq!(open(&mut place.connect(), &to), "HTTP/1.1 403 Not in caps.network.allow");
    place.proxy.rules().replace(policy(&to));
    assert_eq!(open(&mut place.connect(), &to), "HTTP/1.1 200 Connected");
}
