//! The same by way of SOCKS.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use crate::place::{Place, echo, rest};

fn ask(stream: &mut TcpStream, name: &[u8], port: u16) -> u8 {
    stream.write_all(&[5, 1, 0]).unwrap();
    let mut greeted = [0; 2];
    stream.read_exact(&mut greeted).unwrap();
    assert_eq!(greeted, [5, 0]);
    let length = u8::try_from(name.len()).unwrap();
    stream.write_all(&[&[5, 1, 0, 3, length], name, &port.to_be_bytes()].concat()).unwrap();
    let mut reply = [0; 10];
    stream.read_exact(&mut reply).unwrap();
    reply[1]
}

#[test]
fn a_name_is_reached_and_another_is_not() {
    let port = echo();
    let place = Place::new(&format!("a.example:{port}"));
    let mut stream = place.connect();
    assert_eq!(ask(&mut stream, b"a.example", port), 0);
    stream.write_all(b"some").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(rest(&mut stream), "some");
    assert_eq!(ask(&mut place.connect(), b"b.example", port), 2);
    assert_eq!(ask(&mut place.connect(), b"127.0.0.1", port), 2);
    assert_eq!(ask(&mut place.connect(), b"a.example\0.b.example", port), 8);
    assert_eq!(ask(&mut place.connect(), b"b.example\0a.example", port), 8);
}

#[test]
fn addresses_other_commands_and_version_four_are_refused() {
    let place = Place::new("a.example:80");
    for (asked, code) in
        [(&[5, 1, 0, 1, 127, 0, 0, 1, 0, 80][..], 8), (&[5, 2, 0, 3], 7), (&[5, 3, 0, 3], 7)]
    {
        let mut stream = place.connect();
        stream.write_all(&[&[5, 1, 0], asked].concat()).unwrap();
        let mut reply = [0; 4];
        stream.read_exact(&mut reply).unwrap();
        assert_eq!((reply[..2].to_vec(), reply[3]), (vec![5, 0], code));
    }
    let mut four = place.connect();
    four.write_all(&[4, 1, 0, 80, 127, 0, 0, 1, 0]).unwrap();
    let mut reply = [0; 2];
    four.read_exact(&mut reply).unwrap();
    assert_eq!(reply, [0, 0x5b]);
}
