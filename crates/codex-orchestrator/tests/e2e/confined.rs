//! Whether a stage can be confined on this machine, and somebody near whom it can be let reach.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    thread,
};

/// Whether stages can be confined here. Who tells is not ours.
pub(crate) fn is_possible() -> bool {
    let words = ["--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "true"];
    let tried = Command::new("unshare").args(words).stderr(Stdio::null()).status();
    tried.is_ok_and(|status| status.success())
}

/// The same for a story that is told only where they can; says so where they cannot.
pub(crate) fn can_be_confined() -> bool {
    let can = is_possible();
    if !can {
        let _ = writeln!(std::io::stderr(), "skipped: no namespaces of one's own");
    }
    can
}

/// A server on this machine that says `hello` to everybody.
pub(crate) struct Near {
    pub(crate) port: u16,
}

impl Near {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        // It goes with the test.
        thread::spawn(move || listener.incoming().flatten().for_each(|one| hello(&one)));
        Self { port }
    }
}

fn hello(mut caller: &TcpStream) {
    let mut asked = Vec::new();
    let mut piece = [0; 1024];
    while !asked.ends_with(b"\r\n\r\n") {
        match caller.read(&mut piece) {
            Ok(0) | Err(_) => return,
            Ok(length) => asked.extend_from_slice(&piece[..length]),
        }
    }
    let _ =
        caller.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
}
