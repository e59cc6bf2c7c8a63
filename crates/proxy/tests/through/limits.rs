//! As much as there may be, and no more; and nothing when it is stopped.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use proxy::Limits;

use crate::{
    place::{Place, echo, eventually, exchange, policy, rest},
    tunnels::open,
};

fn limited(limits: Limits) -> (Place, String) {
    let to = format!("a.example:{}", echo());
    (Place::with(policy(&to), limits, |_| unreachable!("it is pinned")), to)
}

#[test]
fn one_connection_too_many_is_turned_away_until_there_is_a_place() {
    let (place, to) = limited(Limits { connections: 2, ..Limits::default() });
    let mut held: Vec<TcpStream> = (0..2).map(|_| place.connect()).collect();
    held.iter_mut().for_each(|stream| assert_eq!(open(stream, &to), "HTTP/1.1 200 Connected"));
    assert!(rest(&mut place.connect()).starts_with("HTTP/1.1 503 "));
    held.pop();
    eventually(
        || {
            let mut stream = place.connect();
            let _ = stream.write_all(format!("CONNECT {to} HTTP/1.1\r\n\r\n").as_bytes());
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).is_ok() && answer.ends_with(b"200")
        },
        || "a place".to_owned(),
    );
}

#[test]
fn who_says_nothing_is_let_go() {
    let short = Duration::from_millis(50);
    let (place, to) = limited(Limits { idle: short, head: short, ..Limits::default() });
    assert_eq!(rest(&mut place.connect()), "");
    assert_eq!(exchange(&mut place.connect(), b"CONNECT "), "");
    let mut tunnel = place.connect();
    assert_eq!(open(&mut tunnel, &to), "HTTP/1.1 200 Connected");
    assert_eq!(rest(&mut tunnel), "");
}

#[test]
fn what_is_spent_is_spent() {
    let (place, to) = limited(Limits { bytes: Some(100_000), ..Limits::default() });
    let mut tunnel = place.connect();
    open(&mut tunnel, &to);
    let sender = tunnel.try_clone().unwrap();
    let writing = std::thread::spawn(move || {
        let mut sender = sender;
        while sender.write_all(&[7; 4096]).is_ok() {}
    });
    let _ = rest(&mut tunnel);
    let _ = tunnel.shutdown(std::net::Shutdown::Both);
    writing.join().unwrap();
    place.wait_for(&format!("{to} spent"));
    assert_eq!(open(&mut place.connect(), &to), "HTTP/1.1 403 Denied");
}

#[test]
fn when_it_is_dropped_nothing_goes_through_and_nobody_listens() {
    let (place, to) = limited(Limits::default());
    let mut tunnel = place.connect();
    open(&mut tunnel, &to);
    let silent = place.connect();
    let address = place.address;
    drop(place);
    assert_eq!(rest(&mut tunnel), "");
    assert!(TcpStream::connect(address).is_err());
    drop(silent);
}
