//! A listener that stands for one address of this machine.

use std::{io::Write as _, net::TcpListener};

use proxy::{Forward, Limits};

use crate::place::{connect, echo, rest};

#[test]
fn what_is_forwarded_leads_to_its_address_and_ends_with_it() {
    let to = format!("127.0.0.1:{}", echo());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let forward = Forward::start(listener, to.parse().unwrap(), Limits::default()).unwrap();
    for _ in 0..3 {
        let mut stream = connect(address);
        stream.write_all(b"some").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(rest(&mut stream), "some");
    }
    assert_eq!((forward.traffic().sent, forward.traffic().received), (12, 12));
    drop(forward);
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn where_nobody_listens_the_connection_ends() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let _forward =
        Forward::start(listener, gone.to_string().parse().unwrap(), Limits::default()).unwrap();
    assert_eq!(rest(&mut connect(address)), "");
}
