//! A web site of a test's own, on loopback.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

/// A site of a few files, with the policy that the local page has.
pub(crate) struct Site {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
}

/// A path, its media type and what is there.
pub(crate) type Files = &'static [(&'static str, &'static str, &'static str)];

impl Site {
    pub(crate) fn serve(files: Files) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let is_over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&is_over);
        let server = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if seen.load(Ordering::SeqCst) {
                    return;
                }
                // A browser that has changed its mind is no fault of the site's.
                let _ = stream.and_then(|stream| answer(stream, files));
            }
        });
        Self { address, is_over, server: Some(server) }
    }

    pub(crate) fn at(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

fn answer(mut stream: TcpStream, files: Files) -> std::io::Result<()> {
    // Browsers open connections that they may never use.
    stream.set_read_timeout(Some(std::time::Duration::from_secs(1)))?;
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let path = first.split(' ').nth(1).unwrap_or_default();
    let found = files.iter().find(|(name, ..)| *name == path);
    let (status, media, body) = found
        .map_or(("404 Not Found", "text/plain", ""), |(_, media, body)| ("200 OK", media, body));
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: {media}\r\ncontent-length: {}\r\nconnection: close\r\n\
         content-security-policy: default-src 'none'; script-src 'self'\r\n\r\n{body}",
        body.len(),
    )
}

impl Drop for Site {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
    }
}
