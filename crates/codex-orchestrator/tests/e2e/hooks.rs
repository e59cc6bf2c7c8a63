//! An address on this machine that notices are sent to, and that answers as a test wants.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::fd::{AsRawFd, OwnedFd},
    sync::{Arc, Mutex},
    thread,
};

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, getsockname, listen, socket,
};
use rustls::{ServerConfig, ServerConnection, StreamOwned, crypto::ring};
use serde_json::Value;

/// What is answered to one request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply {
    /// A status, and nothing else.
    Status(u16),
    /// Nothing, and the connection stays open.
    Silence,
}

/// A server, which lasts as long as the test.
pub(crate) struct Hook {
    port: u16,
    secure: bool,
    got: Arc<Mutex<Vec<Value>>>,
    /// The certificate of its authority, where it has one.
    pub(crate) authority: Option<String>,
}

impl Hook {
    /// One that answers so, and with the last of these to whatever comes after.
    pub(crate) fn new(replies: &[Reply]) -> Self {
        Self::listen(replies, None, None)
    }

    /// The same behind TLS, with a certificate that nobody trusts who is not told to.
    pub(crate) fn secure(replies: &[Reply]) -> Self {
        let names = vec!["localhost".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.expect("a key"))
            .expect("a server");
        Self::listen(replies, Some(Arc::new(config)), Some(made.cert.pem()))
    }

    fn listen(
        replies: &[Reply],
        tls: Option<Arc<ServerConfig>>,
        authority: Option<String>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let got = Arc::new(Mutex::new(Vec::new()));
        let (all, replies, secure) = (Arc::clone(&got), replies.to_vec(), tls.is_some());
        thread::spawn(move || {
            let mut open = Vec::new();
            for (number, stream) in listener.incoming().enumerate() {
                let reply = *replies.get(number).or(replies.last()).expect("a reply");
                let Ok(stream) = stream else { continue };
                let kept = stream.try_clone();
                match &tls {
                    None => answer(stream, reply, &all),
                    Some(config) => {
                        let tls = ServerConnection::new(Arc::clone(config)).expect("a connection");
                        answer(StreamOwned::new(tls, stream), reply, &all);
                    }
                }
                if let Reply::Silence = reply {
                    open.extend(kept);
                }
            }
        });
        Self { port, secure, got, authority }
    }

    /// Its address, with a part that is a secret.
    pub(crate) fn url(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://localhost:{}/hooks/secret", self.port)
    }

    /// Everything that it was sent, in order, whatever it answered.
    pub(crate) fn got(&self) -> Vec<Value> {
        self.got.lock().expect("no panic").clone()
    }
}

fn answer(stream: impl Read + Write, reply: Reply, all: &Mutex<Vec<Value>>) {
    let mut reader = BufReader::new(stream);
    let Some(document) = request(&mut reader) else { return };
    all.lock().expect("no panic").push(document);
    if let Reply::Status(status) = reply {
        let text = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        let _ = reader.get_mut().write_all(text.as_bytes());
        let _ = reader.get_mut().flush();
    }
}

/// The document of a request; nothing where it is none, as when a hand-shake fails.
fn request(reader: &mut impl BufRead) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|&count| count > 0)?;
        let line = line.trim_end().to_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(said) = line.strip_prefix("content-length: ") {
            length = said.parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}

/// An address at which nobody listens yet, and that nobody else can get meanwhile.
pub(crate) struct Deaf(OwnedFd);

impl Deaf {
    pub(crate) fn new() -> Self {
        let stream = (AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC);
        let socket = socket(stream.0, stream.1, stream.2, None).expect("a socket");
        bind(socket.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).expect("a port");
        Self(socket)
    }

    pub(crate) fn url(&self) -> String {
        let address: SockaddrIn = getsockname(self.0.as_raw_fd()).expect("an address");
        format!("http://{address}/hooks/secret")
    }

    /// Somebody begins to.
    pub(crate) fn listens(self) -> TcpListener {
        listen(&self.0, Backlog::new(16).expect("not too many")).expect("it is bound");
        self.0.into()
    }
}

/// Takes one notice from a connection, and thanks for it.
pub(crate) fn take(stream: TcpStream) -> Option<Value> {
    let all = Mutex::new(Vec::new());
    answer(stream, Reply::Status(200), &all);
    all.into_inner().ok()?.pop()
}
